// The large numbers.

import type { Customers, Figures } from "./answers.js";
import { coveredWords, type Context } from "./context.js";
import { byId, element } from "./element.js";
import type { Word } from "./words.js";

const TILES = ["revenue", "sales", "average", "pieces", "lastMinute"] as const satisfies readonly Word[];

export class Tiles {
  private readonly places = new Map<Word, { name: HTMLElement; value: HTMLElement }>();
  private readonly customers = {
    name: element("h2"), value: element("p", { class: "value", id: "tile-customers" }),
    note: element("p", { class: "note", id: "tile-customers-note" }),
  };

  constructor() {
    for (const tile of TILES) {
      const [name, value] = [element("h2"), element("p", { class: "value", id: `tile-${tile}` })];
      this.places.set(tile, { name, value });
      byId("tiles").append(element("div", { class: "tile" }, name, value));
    }
    const { name, value, note } = this.customers;
    byId("tiles").append(element("div", { class: "tile" }, name, value, note));
  }

  /** How many customers, and how sure that is. */
  drawCustomers(context: Context, customers: Customers | null): void {
    const { format } = context;
    const { name, value, note } = this.customers;
    name.textContent = context.word("customers");
    if (customers === null) {
      value.textContent = "–";
      note.textContent = "";
      return;
    }
    const about = customers.exact ? "" : "≈ ";
    value.textContent = `${about}${format.number(customers.estimate)}`;
    const known = customers.sales === 0 ? 0 : customers.identified / customers.sales;
    note.textContent = [
      customers.exact ? context.word("countedAll")
        : `${format.number(customers.low)} – ${format.number(customers.high)} (${format.share(customers.confidence)})`,
      `${context.word("identified")} ${format.share(known)}`,
      ...coveredWords(context, customers),
    ].join(" · ");
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
