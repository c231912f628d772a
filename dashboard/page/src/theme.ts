// Dark, light, or as the system has it.

import type { Context } from "./context.js";
import { byId } from "./element.js";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEPT = "lake-dashboard-theme";

export class ThemeSwitch {
  private theme: Theme = THEMES.find((theme) => theme === localStorage.getItem(KEPT)) ?? "system";
  private context: Context | null = null;

  constructor(redraw: () => void) {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const apply = () => {
      const isDark = this.theme === "dark" || (this.theme === "system" && dark.matches);
      document.documentElement.dataset.theme = isDark ? "dark" : "light";
    };
    apply();
    dark.addEventListener("change", () => { apply(); redraw(); });
    byId("theme").addEventListener("click", () => {
      this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length] ?? "system";
      localStorage.setItem(KEPT, this.theme);
      apply();
      if (this.context) this.label(this.context);
      redraw();
    });
  }

  label(context: Context): void {
    this.context = context;
    byId("theme").textContent = `${context.word("theme")}: ${context.word(this.theme)}`;
  }
}
