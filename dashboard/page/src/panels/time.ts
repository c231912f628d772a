// Revenue over time, with zoom and a forecast that is told apart; and sales per minute of the last hour.

import type { Figures, Forecast, Foretold, Point } from "../answers.js";
import { Card } from "../card.js";
import { Chart, colours, tooltip } from "../chart.js";
import type { Context } from "../context.js";
import { button, element } from "../element.js";

interface Zoom { start: number; end: number }

export class TimePanel {
  private readonly card = new Card("over-time", "overTime", "wide");
  private readonly chart = new Chart(this.card.body, 300);
  private readonly bar = element("div", { class: "zoom", hidden: "" });
  private zoom: Zoom = { start: 0, end: 100 };
  private drawn: { context: Context; figures: Figures; starts: string[] } | null = null;
  private queryDrawn = "";

  constructor() {
    this.card.body.append(this.bar);
    this.chart.plot.on("datazoom", () => {
      const option = this.chart.plot.getOption() as { dataZoom?: Zoom[] };
      const zoom = option.dataZoom?.[0];
      if (zoom) this.zoom = { start: zoom.start, end: zoom.end };
      this.showBar();
    });
  }

  draw(context: Context, figures: Figures, forecast: Forecast | null): void {
    if (context.query !== this.queryDrawn) this.zoom = { start: 0, end: 100 };
    this.queryDrawn = context.query;
    const { format } = context;
    const paint = colours();
    const { step } = figures.period;
    const points = figures.over_time;
    const ahead = new Map(forecast?.steps.map((told) => [told.start, told]));
    const seen = new Map(points.map((point) => [point.start, point]));
    // The step that is not over is on the axis already.
    const starts = [...seen.keys(), ...[...ahead.keys()].filter((start) => !seen.has(start))];
    this.drawn = { context, figures, starts };
    this.chart.draw({
      grid: { left: 8, right: 16, top: ahead.size > 0 ? 34 : 16, bottom: 44, containLabel: true },
      legend: {
        show: ahead.size > 0, top: 0, right: 8, selectedMode: false, textStyle: { color: paint.text },
        data: [context.word("revenue"), context.word("forecast")],
      },
      tooltip: {
        ...tooltip(paint), trigger: "axis",
        formatter: (items: { dataIndex: number }[]) => {
          const start = starts[items[0]?.dataIndex ?? 0];
          if (start === undefined) return "";
          const [point, told] = [seen.get(start), ahead.get(start)];
          return [
            format.start(start, step),
            ...(point ? [format.money(point.amount), `${format.number(point.count)} ${context.word("sales").toLowerCase()}`] : []),
            ...(told ? [`${context.word("forecast")}: ${format.money(told.amount)}`, `${format.money(told.low)} – ${format.money(told.high)}`] : []),
          ].join("\n");
        },
      },
      xAxis: {
        type: "category", boundaryGap: false, data: starts,
        axisLine: { lineStyle: { color: paint.line } }, axisTick: { show: false },
        axisLabel: {
          color: paint.soft, hideOverlap: true, formatter: (start: string) => format.tick(Date.parse(start), step),
          // Hours are named by their days, and quarters of an hour by their hours.
          ...(step === "hour" && { interval: (_: number, start: string) => format.local(start).endsWith("T00:00") }),
          ...(step === "quarter_hour" && { interval: (_: number, start: string) => format.local(start).endsWith(":00") }),
        },
      },
      yAxis: {
        type: "value", splitLine: { lineStyle: { color: paint.line } },
        axisLabel: { color: paint.soft, formatter: (value: number) => format.short(value) },
      },
      dataZoom: [
        { type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseMove: true, ...this.zoom },
        {
          type: "slider", height: 20, bottom: 8, borderColor: paint.line, fillerColor: paint.fill,
          handleStyle: { color: paint.accent }, moveHandleStyle: { color: paint.accent }, showDetail: false,
          dataBackground: { lineStyle: { opacity: 0 }, areaStyle: { opacity: 0 } },
          selectedDataBackground: { lineStyle: { opacity: 0 }, areaStyle: { opacity: 0 } }, ...this.zoom,
        },
      ],
      series: [{
        type: "line", name: context.word("revenue"), data: points.map((point) => Number(point.amount)),
        showSymbol: points.length < 40,
        symbolSize: 5, lineStyle: { color: paint.accent, width: 2 }, itemStyle: { color: paint.accent },
        areaStyle: { color: paint.fill },
      }, ...foretold(context, starts, seen, ahead)],
    });
    const range = `${format.moment(figures.period.from)} – ${format.moment(figures.period.to)}`;
    this.chart.describe(`${context.word("overTime")}, ${range}: ${format.money(figures.totals.amount)}`);
    this.card.label(context, "over-time", () => this.chart.png());
    this.card.tabulate(() => pointRows(context, points, (start) => format.start(start, step)));
    this.showBar();
  }

  private showBar(): void {
    const zoomed = this.zoom.start > 0 || this.zoom.end < 100;
    this.bar.hidden = !zoomed || !this.drawn;
    if (!zoomed || !this.drawn) return this.bar.replaceChildren();
    const { context, figures, starts } = this.drawn;
    this.bar.replaceChildren(
      button(context.word("zoomed"), { class: "primary" }, () => {
        const index = (percent: number) => Math.round((percent / 100) * (starts.length - 1));
        const first = starts[index(this.zoom.start)];
        const after = starts[index(this.zoom.end) + 1] ?? figures.period.to;
        if (first !== undefined && first < after) context.between(context.format.local(first), context.format.local(after));
      }),
      button(context.word("reset"), {}, () => {
        this.chart.plot.dispatchAction({ type: "dataZoom", start: 0, end: 100 });
      }),
    );
  }
}

/** Series of what is to come: its bounds as a band, and dashes that go on from the last full step. */
function foretold(
  context: Context, starts: string[], seen: Map<string, Point>, ahead: Map<string, Foretold>,
): Record<string, unknown>[] {
  const paint = colours();
  const hue = paint.series[1];
  const first = starts.findIndex((start) => ahead.has(start));
  const line = starts.map((start, n) => {
    const told = ahead.get(start);
    if (told) return Number(told.amount);
    return n === first - 1 ? Number(seen.get(start)?.amount ?? 0) : null;
  });
  const bound = (of: (told: Foretold) => number) => starts.map((start) => {
    const told = ahead.get(start);
    return told ? of(told) : null;
  });
  const none = { type: "line", showSymbol: false, silent: true, lineStyle: { opacity: 0 }, stack: "band", stackStrategy: "all" };
  return [
    { ...none, data: bound((told) => Number(told.low)) },
    {
      ...none, data: bound((told) => Number(told.high) - Number(told.low)),
      areaStyle: { color: hue, opacity: 0.18 },
    },
    {
      type: "line", name: context.word("forecast"), data: line, showSymbol: false,
      lineStyle: { color: hue, width: 2, type: "dashed" }, itemStyle: { color: hue },
    },
  ];
}

function pointRows(context: Context, points: Point[], start: (start: string) => string) {
  const heads = (["moment", "revenue", "sales", "pieces"] as const).map((key) => context.word(key));
  const rows = points.map((point) => ({
    key: point.start,
    cells: [
      start(point.start), context.format.money(point.amount),
      context.format.number(point.count), context.format.number(point.quantity),
    ],
  }));
  return { heads, rows };
}

export class MinutePanel {
  private readonly card = new Card("per-minute", "perMinute", "third");
  private readonly chart = new Chart(this.card.body, 230);

  draw(context: Context, figures: Figures): void {
    const { format } = context;
    const paint = colours();
    const points = figures.per_minute;
    this.chart.draw({
      grid: { left: 4, right: 8, top: 12, bottom: 4, containLabel: true },
      tooltip: {
        ...tooltip(paint), trigger: "axis",
        formatter: (items: { dataIndex: number }[]) => {
          const point = points[items[0]?.dataIndex ?? 0];
          return point ? `${format.start(point.start, "minute")}\n${format.number(point.count)}` : "";
        },
      },
      xAxis: {
        type: "category", data: points.map((point) => point.start), axisTick: { show: false },
        axisLine: { lineStyle: { color: paint.line } },
        axisLabel: {
          color: paint.soft, hideOverlap: true, formatter: (start: string) => format.tick(Date.parse(start), "minute"),
        },
      },
      yAxis: {
        type: "value", minInterval: 1, splitLine: { lineStyle: { color: paint.line } },
        axisLabel: { color: paint.soft, formatter: (value: number) => format.number(value) },
      },
      series: [{
        type: "bar", barCategoryGap: "20%", itemStyle: { color: paint.accent, borderRadius: [2, 2, 0, 0] },
        // The last minute is not over yet.
        data: points.map((point, n) => ({
          value: point.count, itemStyle: { opacity: n === points.length - 1 ? 0.45 : 1 },
        })),
      }],
    });
    this.chart.describe(context.word("perMinute"));
    this.card.label(context, null, () => this.chart.png());
    this.card.tabulate(() => pointRows(context, points, (start) => format.start(start, "minute")));
  }
}
