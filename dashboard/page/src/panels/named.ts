// Sums by name: bars of regions and products, and the split by category. A click filters.

import type { Figures, Named } from "../answers.js";
import { Card } from "../card.js";
import { Chart, colours, tooltip } from "../chart.js";
import { namedRows, shown, type Context } from "../context.js";
import type { Dimension } from "../view.js";
import type { Word } from "../words.js";

/** Bars that are drawn; the table has all. */
const MOST_BARS = 13;
/** Pixels from one bar to the next, however few there are. */
const BAND = 30;

export class BarPanel {
  private readonly card: Card;
  private readonly chart: Chart;
  private context: Context | null = null;
  private names: string[] = [];

  constructor(
    id: string, private readonly title: Word, private readonly dimension: Dimension,
    private readonly download: string, private readonly listOf: (figures: Figures) => Named[],
  ) {
    this.card = new Card(id, title, "half");
    this.chart = new Chart(this.card.body, 400);
    this.chart.plot.getZr().on("click", (event: { offsetX: number; offsetY: number }) => {
      const point = [event.offsetX, event.offsetY];
      if (!this.chart.plot.containPixel({ gridIndex: 0 }, point)) return;
      const at = this.chart.plot.convertFromPixel({ gridIndex: 0 }, point)[1];
      const name = at === undefined ? undefined : this.names[at];
      if (name !== undefined) this.context?.toggle(this.dimension, name);
    });
  }

  draw(context: Context, figures: Figures): void {
    this.context = context;
    const { format } = context;
    const paint = colours();
    const list = this.listOf(figures).slice(0, MOST_BARS);
    this.names = list.map((row) => row.name);
    const label = (name: string) => {
      const text = shown(context, name);
      return text.length > 24 ? `${text.slice(0, 23)}…` : text;
    };
    this.chart.draw({
      grid: { left: 4, right: 78, top: 4, height: list.length * BAND, containLabel: true },
      tooltip: {
        ...tooltip(paint), trigger: "item",
        formatter: (item: { dataIndex: number }) => {
          const row = list[item.dataIndex];
          return row ? `${shown(context, row.name)}\n${format.money(row.amount)}\n${format.number(row.count)} ${context.word("sales").toLowerCase()}\n${context.word("pick")}` : "";
        },
      },
      xAxis: { type: "value", show: false },
      yAxis: {
        type: "category", inverse: true, data: this.names, axisTick: { show: false },
        axisLine: { show: false }, axisLabel: { color: paint.text, formatter: label },
      },
      series: [{
        type: "bar", data: list.map((row) => Number(row.amount)), barMaxWidth: 20, cursor: "pointer",
        itemStyle: { color: paint.accent, borderRadius: [0, 3, 3, 0] },
        label: {
          show: true, position: "right", color: paint.soft,
          formatter: (item: { dataIndex: number }) => format.short(Number(list[item.dataIndex]?.amount ?? 0)),
        },
      }],
    });
    const top = list[0];
    const best = top ? `: ${shown(context, top.name)} ${format.money(top.amount)}` : "";
    this.chart.describe(`${context.word(this.title)}${best}`);
    this.card.label(context, this.download, () => this.chart.png());
    this.card.tabulate(() => namedRows(context, this.listOf(figures)));
  }
}

export class SplitPanel {
  private readonly card = new Card("categories", "split", "third");
  private readonly chart = new Chart(this.card.body, 230);
  private context: Context | null = null;
  private order: string[] = [];

  constructor() {
    this.chart.plot.on("click", (event: { dataIndex?: number; data?: unknown }) => {
      const name = (event.data as { key?: string } | undefined)?.key;
      if (name !== undefined) this.context?.toggle("category", name);
    });
  }

  draw(context: Context, figures: Figures, all: string[]): void {
    this.context = context;
    // A category keeps its colour when others come and go.
    this.order = all;
    const { format } = context;
    const paint = colours();
    const list = figures.by_category;
    const total = list.reduce((sum, row) => sum + Number(row.amount), 0);
    const colour = (name: string) => paint.series[Math.max(0, this.order.indexOf(name)) % paint.series.length];
    this.chart.draw({
      tooltip: {
        ...tooltip(paint), trigger: "item",
        formatter: (item: { dataIndex: number }) => {
          const row = list[item.dataIndex];
          return row ? `${shown(context, row.name)}\n${format.money(row.amount)}\n${context.word("pick")}` : "";
        },
      },
      legend: {
        orient: "vertical", left: "56%", top: "middle", itemWidth: 12, itemHeight: 12, itemGap: 9,
        selectedMode: false, textStyle: { color: paint.text, fontSize: 13 },
        formatter: (name: string) => {
          const row = list.find((other) => shown(context, other.name) === name);
          return `${name}  ${format.share(total === 0 || !row ? 0 : Number(row.amount) / total)}`;
        },
      },
      series: [{
        type: "pie", radius: ["52%", "86%"], center: ["28%", "50%"], cursor: "pointer", label: { show: false },
        itemStyle: { borderColor: paint.card, borderWidth: 2 },
        data: list.map((row) => ({
          key: row.name, name: shown(context, row.name), value: Number(row.amount), itemStyle: { color: colour(row.name) },
        })),
      }],
    });
    this.chart.describe(context.word("split"));
    this.card.label(context, "categories", () => this.chart.png());
    this.card.tabulate(() => namedRows(context, list));
  }
}
