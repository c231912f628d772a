// The large numbers.

import type { Figures } from "./answers.js";
import type { Context } from "./context.js";
import { byId, element } from "./element.js";
import type { Word } from "./words.js";

const TILES = ["revenue", "sales", "average", "pieces", "lastMinute"] as const satisfies readonly Word[];

export class Tiles {
  private readonly places = new Map<Word, { name: HTMLElement; value: HTMLElement }>();

  constructor() {
    for (const tile of TILES) {
      const [name, value] = [element("h2"), element("p", { class: "value", id: `tile-${tile}` })];
      this.places.set(tile, { name, value });
      byId("tiles").append(element("div", { class: "tile" }, name, value));
    }
  }

  draw(context: Context, figures: Figures): void {
    const { format } = context;
    const { totals, per_minute: minutes } = figures;
    const texts: Record<(typeof TILES)[number], string> = {
      revenue: format.money(totals.amount),
      sales: format.number(totals.count),
      average: totals.average === null ? "–" : format.money(totals.average),
      pieces: format.number(totals.quantity),
      lastMinute: format.number(minutes.at(-2)?.count ?? 0),
    };
    for (const tile of TILES) {
      const place = this.places.get(tile);
      if (!place) continue;
      place.name.textContent = context.word(tile);
      if (place.value.textContent !== texts[tile]) place.value.textContent = texts[tile];
    }
  }
}
