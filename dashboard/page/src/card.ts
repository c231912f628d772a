// A card: a title, a chart, the same figures as a table, and files of both.

import { byId, button, element } from "./element.js";
import type { Context } from "./context.js";
import type { Word } from "./words.js";

export interface Row { key: string; cells: string[] }

export class Card {
  readonly root: HTMLElement;
  readonly body = element("div", { class: "plot" });
  readonly note = element("p", { class: "note", hidden: "" });
  private readonly heading: HTMLElement;
  private readonly tools = element("div", { class: "tools" });
  private readonly summary = element("summary");
  private readonly details: HTMLDetailsElement;
  private readonly table = element("table");
  private rows: () => { heads: string[]; rows: Row[] } = () => ({ heads: [], rows: [] });

  constructor(readonly id: string, private readonly title: Word, width: "wide" | "half" | "third") {
    this.heading = element("h2", { id: `${id}-title` });
    this.details = element("details", { class: "table" }, this.summary, element("div", { class: "scroll" }, this.table));
    // A closed table is not kept up to date: it would cost more than the chart.
    this.details.addEventListener("toggle", () => this.fill());
    this.root = element(
      "section", { class: `card ${width}`, id, "aria-labelledby": `${id}-title` },
      element("div", { class: "head" }, this.heading, this.tools), this.body, this.note, this.details,
    );
    byId("cards").append(this.root);
  }

  /** Words and links of the view. `table` is the download's name, `image` gives a data URL. */
  label(context: Context, table: string | null, image: (() => Promise<string> | string) | null): void {
    this.heading.textContent = context.word(this.title);
    this.summary.textContent = context.word("table");
    const named = (kind: string) => ({ "aria-label": `${kind}: ${context.word(this.title)}` });
    const links = table === null ? [] : ["csv", "parquet"].map((format) =>
      element("a", {
        href: `/api/download/${table}.${format}?${context.query}`, download: "", ...named(format.toUpperCase()),
      }, format === "csv" ? "CSV" : "Parquet"));
    const png = image === null ? null : button("PNG", named("PNG"), () => {
      void Promise.resolve(image()).then((url) => {
        const link = element("a", { href: url, download: `${this.id}.png` });
        link.click();
      });
    });
    this.tools.replaceChildren(...links, ...(png ? [png] : []));
  }

  /** Tells how to fill the table, and fills it if it is open. */
  tabulate(rows: () => { heads: string[]; rows: Row[] }): void {
    this.rows = rows;
    this.fill();
  }

  private fill(): void {
    if (!this.details.open) return;
    const { heads, rows } = this.rows();
    const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
    const lines = rows.map(({ key, cells }) => {
      const [name = "", ...rest] = cells;
      const line = element("tr", {}, element("th", { scope: "row" }, name), ...rest.map((text) => element("td", {}, text)));
      line.dataset.key = key;
      return line;
    });
    this.table.replaceChildren(
      element("caption", {}, this.heading.textContent ?? ""),
      element("thead", {}, head), element("tbody", {}, ...lines),
    );
  }
}
