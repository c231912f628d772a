// Wires the page: the view in the URL, the stream of its figures, and the panels that draw them.

import { ask, type Analysis, type Choices, type Figures, type PageSettings } from "./answers.js";
import type { Context } from "./context.js";
import { byId, element } from "./element.js";
import { Filters } from "./filters.js";
import { Format } from "./format.js";
import { FreshnessLine } from "./freshness.js";
import { LiveView } from "./live.js";
import { ForecastPanel } from "./panels/forecast.js";
import { MapPanel } from "./panels/map.js";
import { BarPanel, SplitPanel } from "./panels/named.js";
import { SpreadPanel } from "./panels/spread.js";
import { MinutePanel, TimePanel } from "./panels/time.js";
import { ThemeSwitch } from "./theme.js";
import { Tiles } from "./tiles.js";
import { queryOf, toggled, ViewHolder } from "./view.js";
import { languageOf, word, type Word } from "./words.js";

class Dashboard {
  private readonly holder = new ViewHolder();
  private readonly filters = new Filters((view) => this.holder.set(view));
  private readonly tiles = new Tiles();
  private readonly time = new TimePanel();
  private readonly map = new MapPanel();
  private readonly regions = new BarPanel("regions", "byRegion", "region", "regions", (figures) => figures.by_region);
  private readonly products = new BarPanel("products", "best", "product", "products", (figures) => figures.by_product);
  private readonly categories = new SplitPanel();
  private readonly minutes = new MinutePanel();
  private readonly spreads = [
    new SpreadPanel("statistics-regions", "spreadByRegion", (statistics) => statistics.by_region),
    new SpreadPanel("statistics-products", "spreadByProduct", (statistics) => statistics.by_product),
  ];
  private readonly forecast = new ForecastPanel();
  private readonly freshness = new FreshnessLine();
  private readonly theme = new ThemeSwitch(() => { this.draw(); this.drawAnalysis(); });
  private readonly live = new LiveView(
    (figures) => this.take(figures),
    (analysis) => { this.analysis = analysis; this.drawAnalysis(); },
    (freshness) => this.freshness.hear(freshness),
    (since) => this.freshness.offline(since),
  );
  private context: Context;
  private figures: Figures | null = null;
  private analysis: Analysis | null = null;
  private choices: Choices = { regions: [], products: [], categories: [] };
  private groups = -1;

  constructor(private readonly page: PageSettings) {
    this.context = this.makeContext();
    this.holder.onChange(() => this.look());
    byId("language").addEventListener("click", () => {
      this.holder.setLanguage(this.context.format.language === "fr" ? "en" : "fr");
    });
    this.look();
  }

  private makeContext(): Context {
    const { view } = this.holder;
    const language = languageOf(this.holder.language);
    return {
      page: this.page,
      format: new Format(language, this.page),
      view,
      query: queryOf(view),
      since: null,
      word: (key: Word) => word(language, key),
      toggle: (dimension, name) => this.holder.set(toggled(this.holder.view, dimension, name)),
      between: (from, to) => this.holder.set({ ...this.holder.view, period: "between", from, to }),
    };
  }

  /** Something else is looked at, or in another language. */
  private look(): void {
    const before = this.figures === null ? null : this.context.query;
    this.context = this.makeContext();
    this.label();
    if (this.context.query !== before) {
      // What is on the page is of the view before until the first figures of this one come.
      document.body.dataset.drawn = "";
      document.body.dataset.analysed = "";
      this.figures = null;
      this.analysis = null;
      this.live.follow(this.context.query);
    }
    this.draw();
    this.drawAnalysis();
  }

  private take(figures: Figures): void {
    const first = this.figures === null;
    this.figures = figures;
    this.context.since = figures.period.from;
    this.freshness.figures(figures.complete);
    if (figures.groups !== this.groups) {
      this.groups = figures.groups;
      void ask<Choices>("/api/choices").then((choices) => {
        this.choices = choices;
        this.filters.label(this.context, choices);
        this.draw();
      }, () => { this.groups = -1; });
    }
    this.draw();
    // An analysis that came before them is of no use without them.
    if (first) this.drawAnalysis();
  }

  private label(): void {
    const { context } = this;
    document.documentElement.lang = context.format.language;
    const title = this.page.title || context.word("title");
    document.title = title;
    byId("title").textContent = title;
    byId("language").textContent = context.word("other");
    byId("language").setAttribute("lang", context.format.language === "fr" ? "en" : "fr");
    for (const place of document.querySelectorAll<HTMLElement>("[data-word]")) {
      place.textContent = context.word(place.dataset.word as Word);
    }
    this.theme.label(context);
    this.filters.label(context, this.choices);
    this.freshness.label(context);
    const sales = (format: string) => element("a", { href: `/api/download/sales.${format}?${context.query}`, download: "" }, format.toUpperCase());
    byId("foot").replaceChildren(
      element("p", {}, `${context.word("allSales")}: `, sales("csv"), " ", sales("parquet")),
      element("p", {}, context.word("exact"), " ", element("a", { href: "/api/openapi.json" }, "API")),
      element("p", {}, context.word("map"), " ",
        element("a", { href: "https://creativecommons.org/licenses/by/4.0/", rel: "noreferrer" }, "CC BY 4.0"), " ",
        context.word("chart")),
    );
  }

  private draw(): void {
    const { context, figures } = this;
    if (!figures) return;
    this.filters.resolve(context, figures);
    this.tiles.draw(context, figures);
    this.time.draw(context, figures, this.analysis?.forecast ?? null);
    this.map.draw(context, figures);
    this.regions.draw(context, figures);
    this.products.draw(context, figures);
    this.categories.draw(context, figures, this.choices.categories);
    this.minutes.draw(context, figures);
    // What is on the page now, for whoever looks at it from outside.
    document.body.dataset.drawn = context.query;
    document.body.dataset.version = String(figures.version);
    document.body.dataset.complete = String(figures.complete);
    document.body.dataset.from = figures.period.from;
    document.body.dataset.to = figures.period.to;
    document.body.dataset.step = figures.period.step;
  }

  /** What comes after the figures, and not more than once a second. */
  private drawAnalysis(): void {
    const { context, figures, analysis } = this;
    this.tiles.drawCustomers(context, analysis?.customers ?? null);
    for (const panel of this.spreads) panel.draw(context, analysis);
    this.forecast.draw(context, analysis);
    if (!figures || !analysis) return;
    this.time.draw(context, figures, analysis.forecast);
    const covered = analysis.statistics?.complete ?? true;
    document.body.dataset.analysed = covered && analysis.forecast.status !== "waiting" ? context.query : "";
  }
}

async function start(): Promise<void> {
  for (;;) {
    try {
      new Dashboard(await ask<PageSettings>("/api/page"));
      return;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      // The server is not there yet.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

void start();
