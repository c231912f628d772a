// The filter bar: periods by name and free, regions, products and categories with search, and what is set.

import type { Choices, Figures } from "./answers.js";
import { shown, type Context } from "./context.js";
import { byId, button, element } from "./element.js";
import { DIMENSIONS, PERIODS, type Dimension, type View } from "./view.js";

const LISTS: Record<Dimension, keyof Choices> = { region: "regions", product: "products", category: "categories" };

export class Filters {
  private readonly periods = element("div", { class: "periods", role: "group" });
  private readonly from = element("input", { type: "datetime-local", id: "from" });
  private readonly to = element("input", { type: "datetime-local", id: "to" });
  private readonly form = element("form", { class: "between" });
  private readonly menus = new Map<Dimension, Menu>();
  private readonly chips = element("div", { class: "chips" });
  private context: Context | null = null;

  constructor(private readonly set: (view: View) => void) {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.from.value && this.to.value && this.from.value < this.to.value) {
        this.context?.between(this.from.value, this.to.value);
      }
    });
    const menus = element("div", { class: "menus" });
    for (const dimension of DIMENSIONS) {
      const menu = new Menu((name) => this.context?.toggle(dimension, name));
      this.menus.set(dimension, menu);
      menus.append(menu.root);
    }
    byId("filters").append(element("div", { class: "row" }, this.periods, this.form, menus), this.chips);
  }

  /** Draws words and what is set. */
  label(context: Context, choices: Choices): void {
    this.context = context;
    byId("filters").setAttribute("aria-label", context.word("period"));
    this.periods.setAttribute("aria-label", context.word("period"));
    this.periods.replaceChildren(...PERIODS.map((name) =>
      button(context.word(name), { "aria-pressed": String(context.view.period === name), "data-period": name }, () =>
        this.set({ ...context.view, period: name, from: "", to: "" }))));
    this.form.replaceChildren(
      element("label", { for: "from" }, context.word("from")), this.from,
      element("label", { for: "to" }, context.word("to")), this.to,
      element("button", { type: "submit" }, context.word("apply")),
      element("span", { class: "zone", title: context.word("zone") }, context.page.time_zone),
    );
    this.form.dataset.set = String(context.view.period === "between");
    for (const [dimension, menu] of this.menus) menu.label(context, dimension, choices[LISTS[dimension]]);
    this.showChips(context);
  }

  /** Shows from when to when the period is. */
  resolve(context: Context, figures: Figures): void {
    // Not while somebody types there.
    if (this.form.contains(document.activeElement)) return;
    this.from.value = context.format.local(figures.period.from);
    this.to.value = context.format.local(figures.period.to);
  }

  private showChips(context: Context): void {
    const chips = DIMENSIONS.flatMap((dimension) => context.view[dimension].map((name) =>
      button(`${shown(context, name)} ×`, { class: "chip", "aria-label": `${context.word("remove")}: ${shown(context, name)}` },
        () => context.toggle(dimension, name))));
    const clear = button(context.word("clear"), { class: "clear" }, () =>
      this.set({ ...context.view, region: [], product: [], category: [] }));
    this.chips.replaceChildren(...(chips.length > 0 ? [...chips, clear] : []));
  }
}

class Menu {
  readonly root: HTMLDetailsElement;
  private readonly summary = element("summary");
  private readonly search = element("input", { type: "search", autocomplete: "off" });
  private readonly list = element("div", { class: "options", role: "group" });
  private names: string[] = [];
  private context: Context | null = null;
  private dimension: Dimension = "region";

  constructor(private readonly toggle: (name: string) => void) {
    this.root = element("details", { class: "menu" }, this.summary, element("div", { class: "panel" }, this.search, this.list));
    this.search.addEventListener("input", () => this.fill());
    this.root.addEventListener("toggle", () => {
      if (this.root.open) this.search.focus();
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.root.open = false;
      this.summary.focus();
    });
    document.addEventListener("pointerdown", (event) => {
      if (!this.root.contains(event.target as Node)) this.root.open = false;
    });
  }

  label(context: Context, dimension: Dimension, names: string[]): void {
    this.context = context;
    this.dimension = dimension;
    const picked = context.view[dimension];
    const some = picked.length === 0 ? context.word("everything") : String(picked.length);
    this.summary.textContent = `${context.word(dimension)}: ${some}`;
    this.root.dataset.dimension = dimension;
    this.root.dataset.set = String(picked.length > 0);
    this.search.placeholder = context.word("search");
    this.search.setAttribute("aria-label", `${context.word("search")}: ${context.word(dimension)}`);
    this.list.setAttribute("aria-label", context.word(dimension));
    // A name from a shared URL can be unticked although nothing was sold of it yet.
    this.names = [...new Set([...names, ...picked])].sort((a, b) => a.localeCompare(b, context.format.locale));
    this.fill();
  }

  private fill(): void {
    const { context } = this;
    if (!context) return;
    const plain = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    const wanted = plain(this.search.value);
    const found = this.names.filter((name) => plain(shown(context, name)).includes(wanted));
    const focused = (document.activeElement as HTMLInputElement | null)?.value;
    const options = found.map((name) => {
      const box = element("input", { type: "checkbox", value: name });
      box.checked = context.view[this.dimension].includes(name);
      box.addEventListener("change", () => this.toggle(name));
      return element("label", {}, box, shown(context, name));
    });
    const inside = this.list.contains(document.activeElement);
    this.list.replaceChildren(...(options.length > 0 ? options : [element("p", {}, context.word("nothing"))]));
    // The box that was ticked has been made anew.
    if (inside) {
      const again = [...this.list.querySelectorAll("input")].find((box) => box.value === focused);
      again?.focus();
    }
  }
}
