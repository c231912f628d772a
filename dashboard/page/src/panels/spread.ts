// How amounts of sales spread, by region or product: bars of means, with standard deviations, and all of it as a table.

import type { Analysis, Spread, Spreads, Statistics } from "../answers.js";
import { Card, type Row } from "../card.js";
import { Chart, colours, tooltip } from "../chart.js";
import { coveredWords, shown, type Context } from "../context.js";
import type { Word } from "../words.js";

/** Bars that are drawn; the table has all. */
const MOST_BARS = 13;
/** Pixels from one bar to the next, however few there are. */
const BAND = 26;

export class SpreadPanel {
  private readonly card: Card;
  private readonly chart: Chart;

  constructor(
    id: "statistics-regions" | "statistics-products", private readonly title: Word,
    private readonly listOf: (statistics: Statistics) => Spreads[],
  ) {
    this.card = new Card(id, title, "third");
    this.chart = new Chart(this.card.body, MOST_BARS * BAND + 8);
  }

  draw(context: Context, analysis: Analysis | null): void {
    const statistics = analysis?.statistics ?? null;
    const paint = colours();
    const list = statistics === null ? [] : this.listOf(statistics).slice(0, MOST_BARS);
    const label = (name: string) => {
      const text = shown(context, name);
      return text.length > 24 ? `${text.slice(0, 23)}…` : text;
    };
    this.chart.draw({
      grid: { left: 4, right: 150, top: 4, height: list.length * BAND, containLabel: true },
      tooltip: {
        ...tooltip(paint), trigger: "item",
        formatter: (item: { dataIndex: number }) => {
          const row = list[item.dataIndex];
          return row ? `${shown(context, row.name)}\n${spreadText(context, row)}` : "";
        },
      },
      xAxis: { type: "value", show: false },
      yAxis: {
        type: "category", inverse: true, data: list.map((row) => row.name), axisTick: { show: false },
        axisLine: { show: false }, axisLabel: { color: paint.text, formatter: label },
      },
      series: [{
        type: "bar", data: list.map((row) => Number(row.mean ?? 0)), barMaxWidth: 16,
        itemStyle: { color: paint.series[2], borderRadius: [0, 3, 3, 0] },
        label: {
          show: true, position: "right", color: paint.soft,
          formatter: (item: { dataIndex: number }) => {
            const row = list[item.dataIndex];
            return row ? spreadText(context, row) : "";
          },
        },
      }],
    });
    const all = statistics === null ? "" : `: ${spreadText(context, statistics.total)}`;
    this.chart.describe(`${context.word(this.title)}${all}`);
    this.card.label(context, statistics === null ? null : this.card.id, () => this.chart.png());
    this.card.note.hidden = statistics === null;
    const words = statistics === null ? [] : coveredWords(context, statistics);
    this.card.note.textContent = [`${context.word("spreadNote")}${all}`, ...words].join(" · ");
    this.card.tabulate(() => ({
      heads: (["name", "sales", "revenue", "mean", "deviation"] as const).map((key) => context.word(key)),
      rows: statistics === null ? [] : this.listOf(statistics).map((row) => spreadRow(context, row)),
    }));
    // The whole card is of no use where the server reads no sales.
    this.card.root.hidden = analysis !== null && statistics === null;
  }
}

function spreadText(context: Context, spread: Spread): string {
  const { format } = context;
  if (spread.mean === null) return "–";
  const around = spread.deviation === null ? "" : ` ± ${format.amount(spread.deviation)}`;
  return `${format.money(spread.mean)}${around}`;
}

function spreadRow(context: Context, row: Spreads): Row {
  const { format } = context;
  return {
    key: row.name,
    cells: [
      shown(context, row.name), format.number(row.count), format.money(row.amount),
      row.mean === null ? "–" : format.money(row.mean),
      row.deviation === null ? "–" : format.amount(row.deviation),
    ],
  };
}
