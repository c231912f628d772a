// The event stream of the view that is looked at, opened anew whenever it falls silent.

import type { Analysis, Figures, Freshness } from "./answers.js";

/** The server tells its freshness every second. */
const SILENT_AFTER_MS = 3_500;
const AGAIN_AFTER_MS = 1_000;

export class LiveView {
  private source: EventSource | null = null;
  private query = "";
  private heardAt = performance.now();
  private again = 0;

  constructor(
    private readonly onFigures: (figures: Figures) => void,
    private readonly onAnalysis: (analysis: Analysis) => void,
    private readonly onFreshness: (freshness: Freshness) => void,
    private readonly onOffline: (since: number) => void,
  ) {
    setInterval(() => this.look(), 500);
  }

  /** Follows another view; what still comes of the one before is dropped. */
  follow(query: string): void {
    this.query = query;
    this.open();
  }

  private open(): void {
    clearTimeout(this.again);
    this.source?.close();
    const source = new EventSource(`/api/stream?${this.query}`);
    this.source = source;
    const heard = <T>(event: MessageEvent<string>, take: (value: T) => void) => {
      if (source !== this.source) return;
      this.heardAt = performance.now();
      take(JSON.parse(event.data) as T);
    };
    source.addEventListener("figures", (event) => heard(event, this.onFigures));
    source.addEventListener("analysis", (event) => heard(event, this.onAnalysis));
    source.addEventListener("status", (event) => heard(event, this.onFreshness));
    source.addEventListener("error", () => {
      if (source !== this.source || source.readyState !== EventSource.CLOSED) return;
      this.again = window.setTimeout(() => this.open(), AGAIN_AFTER_MS);
    });
  }

  private look(): void {
    const silence = performance.now() - this.heardAt;
    if (silence < SILENT_AFTER_MS) return;
    this.onOffline(Date.now() - silence);
    // A connection that is open and silent is as good as none.
    if (silence > 2 * SILENT_AFTER_MS && this.source?.readyState === EventSource.OPEN) this.open();
  }
}

