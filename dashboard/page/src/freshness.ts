// How fresh the figures are, said honestly: ages by the server's clock, and since when nothing comes.

import type { Freshness } from "./answers.js";
import type { Context } from "./context.js";
import { byId } from "./element.js";

export class FreshnessLine {
  private told: { freshness: Freshness; at: number } | null = null;
  private offlineSince: number | null = null;
  private context: Context | null = null;
  private complete = true;
  private stateText = "";

  constructor() {
    setInterval(() => this.show(), 250);
  }

  label(context: Context): void {
    this.context = context;
    this.show();
  }

  hear(freshness: Freshness): void {
    this.told = { freshness, at: performance.now() };
    this.offlineSince = null;
    this.show();
  }

  /** Figures are of this moment. */
  figures(complete: boolean): void {
    this.complete = complete;
    if (this.told) {
      const { freshness, at } = this.told;
      const now = freshness.now_ms + performance.now() - at;
      this.told = { freshness: { ...freshness, last_change_ms: now, now_ms: now }, at: performance.now() };
    }
  }

  offline(since: number): void {
    this.offlineSince ??= since;
    this.show();
  }

  private show(): void {
    const { context } = this;
    if (!context) return;
    const freshness = this.told?.freshness;
    const state = this.offlineSince !== null ? "offline" : (freshness?.state ?? "loading");
    byId("freshness").dataset.state = state;
    byId("freshness").title = freshness?.problem ?? "";
    let text = context.word(state === "loading" ? "loading" : state);
    if (state === "offline") text += ` ${context.format.clock(this.offlineSince ?? 0)}`;
    if (state === "stale" && freshness?.stale_since_ms) text += ` ${context.format.clock(freshness.stale_since_ms)}`;
    if (state === "live" && !this.complete) text += ` (${context.word("incomplete")})`;
    // Read aloud when the state changes, not with every second of an age.
    if (text !== this.stateText) byId("state").textContent = text;
    this.stateText = text;
    byId("ages").textContent = freshness ? this.ages(context, freshness) : "";
  }

  private ages(context: Context, freshness: Freshness): string {
    const now = freshness.now_ms + performance.now() - (this.told?.at ?? 0);
    const age = (moment: number | null) => {
      if (moment === null) return context.word("never");
      const ms = now - moment;
      const text = context.format.age(Math.abs(ms));
      if (ms < -1_000) return `${text} ${context.word("ahead")}`;
      return context.format.language === "fr" ? `il y a ${text}` : `${text} ${context.word("ago")}`;
    };
    const newest = `${context.word("newest")} ${age(freshness.newest_sale_ms)}`;
    return `${newest} · ${context.word("change")} ${age(freshness.last_change_ms)}`;
  }
}
