// A drawing by ECharts in the page's colours.

import { BarChart, LineChart, PieChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { element } from "./element.js";

use([
  BarChart, LineChart, PieChart, DataZoomComponent, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer,
]);

export interface Colours {
  text: string; soft: string; line: string; card: string; accent: string; fill: string; series: string[];
}

export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: read("--text"), soft: read("--soft"), line: read("--line"), card: read("--card"),
    accent: read("--accent"), fill: read("--fill"),
    series: Array.from({ length: 10 }, (_, n) => read(`--series-${n}`)),
  };
}

export class Chart {
  readonly plot: EChartsType;
  private readonly place = element("div", { class: "chart", role: "img" });

  constructor(body: HTMLElement, private readonly height: number) {
    body.append(this.place);
    this.place.style.height = `${height}px`;
    this.plot = init(this.place, null, { renderer: "canvas", height });
    new ResizeObserver(() => this.plot.resize({ height: this.height })).observe(this.place);
  }

  /** What it shows, for who does not see it. */
  describe(text: string): void {
    this.place.setAttribute("aria-label", text);
  }

  draw(option: Record<string, unknown>): void {
    this.plot.setOption({ animation: false, ...option });
  }

  png(): string {
    return this.plot.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: colours().card });
  }
}

/** A tooltip drawn on the canvas: HTML with inline styles is what the page's policy forbids. */
export function tooltip(paint: Colours): Record<string, unknown> {
  return {
    renderMode: "richText", confine: true, backgroundColor: paint.card, borderColor: paint.line,
    textStyle: { color: paint.text, fontSize: 13 }, transitionDuration: 0,
  };
}
