// What every panel needs to draw itself.

import type { Covered, Named, PageSettings } from "./answers.js";
import type { Row } from "./card.js";
import type { Format } from "./format.js";
import type { Dimension, View } from "./view.js";
import type { Word } from "./words.js";

export interface Context {
  page: PageSettings;
  format: Format;
  view: View;
  /** The view as the API takes it. */
  query: string;
  /** When the period begins; null until its first figures have come. */
  since: string | null;
  word(key: Word): string;
  /** Puts a name into a filter, or takes it out. */
  toggle(dimension: Dimension, name: string): void;
  /** Looks at a stretch of time alone; moments in the page's time zone. */
  between(from: string, to: string): void;
}

/** A name as it is shown: sales without one have the empty name. */
export function shown(context: Context, name: string): string {
  return name === "" ? context.word("none") : name;
}

/** Rows of a table of named sums, with each one's share. */
export function namedRows(context: Context, list: Named[]): { heads: string[]; rows: Row[] } {
  const total = list.reduce((sum, row) => sum + Number(row.amount), 0);
  const heads = (["name", "revenue", "share", "sales", "pieces"] as const).map((key) => context.word(key));
  const rows = list.map((row) => ({
    key: row.name,
    cells: [
      shown(context, row.name), context.format.money(row.amount),
      context.format.share(total === 0 ? 0 : Number(row.amount) / total),
      context.format.number(row.count), context.format.number(row.quantity),
    ],
  }));
  return { heads, rows };
}

/** What is to be said of answers for which not all sales were read. The period begins with them otherwise. */
export function coveredWords(context: Context, covered: Covered): string[] {
  const words = [];
  const begin = context.since;
  if (begin !== null && Date.parse(covered.from) > Date.parse(begin)) {
    words.push(`${context.word("readSince")} ${context.format.moment(covered.from)}`);
  }
  if (!covered.complete) words.push(context.word("reading"));
  return words;
}
