// Revenue to come in words and as a table: what it is made from, and how well it would have foretold what is known.
// It is drawn in the chart of revenue over time.

import type { Analysis, Forecast } from "../answers.js";
import { Card } from "../card.js";
import type { Context } from "../context.js";
import { element } from "../element.js";

export class ForecastPanel {
  private readonly card = new Card("forecast", "forecastTitle", "wide");
  private readonly text = element("div", { class: "sentences" });

  constructor() {
    this.card.body.append(this.text);
  }

  draw(context: Context, analysis: Analysis | null): void {
    const forecast = analysis?.forecast ?? null;
    const made = forecast?.status === "made";
    this.card.label(context, made ? "forecast" : null, null);
    const sentences = forecast === null ? [] : made ? told(context, forecast) : [why(context, forecast)];
    this.text.replaceChildren(...sentences.map((text) => element("p", {}, text)));
    this.card.root.dataset.status = forecast?.status ?? "";
    const step = analysis?.period.step ?? "hour";
    this.card.tabulate(() => ({
      heads: (["moment", "forecast", "low", "high"] as const).map((key) => context.word(key)),
      rows: (forecast?.steps ?? []).map((told) => ({
        key: told.start,
        cells: [
          context.format.start(told.start, step),
          ...[told.amount, told.low, told.high].map((amount) => context.format.money(amount)),
        ],
      })),
    }));
  }
}

function told(context: Context, forecast: Forecast): string[] {
  const { format, word } = context;
  const season = forecast.season === null ? word("noSeason") : `${word("season")}: ${format.number(forecast.season)}`;
  const sentences = [
    `${word("forecastMade")} ${format.share(forecast.confidence)}. ${format.number(forecast.known_steps)} ${word("forecastFrom")}, ${season}.`,
  ];
  const held = forecast.held_back;
  if (held) {
    const errors = [
      ...(held.relative_error === null ? [] : [`${word("relativeError")} ${format.share(held.relative_error)}`]),
      ...(held.scaled_error === null ? [] : [`${format.share(held.scaled_error)} ${word("scaledError")}`]),
      `${format.number(held.inside)} ${word("of")} ${format.number(held.steps)} ${word("inside")}`,
    ];
    sentences.push(`${word("heldBack")} (${format.number(held.steps)}): ${errors.join(", ")}.`);
  }
  return sentences;
}

function why(context: Context, forecast: Forecast): string {
  if (forecast.status === "over") return context.word("forecastOver");
  if (forecast.status === "waiting") return context.word("forecastWaiting");
  const { format } = context;
  return `${context.word("forecastShort")}: ${format.number(forecast.known_steps)}, ${context.word("forecastNeeds")}: ${format.number(forecast.fewest_steps)}.`;
}
