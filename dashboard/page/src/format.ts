// Numbers, money and moments as people of a language write them. Texts of exact decimals go to Intl as
// they are, which formats every digit; only what is drawn becomes a float.

import type { PageSettings, Step } from "./answers.js";
import type { Language } from "./words.js";

/** Intl takes decimal texts exactly; its types do not say so yet. */
const exactly = (text: string) => text as unknown as number;

export class Format {
  readonly locale: string;
  private readonly moneyFormat: Intl.NumberFormat;
  private readonly shortMoney: Intl.NumberFormat;
  private readonly numberFormat: Intl.NumberFormat;
  private readonly shareFormat: Intl.NumberFormat;
  private readonly dates = new Map<string, Intl.DateTimeFormat>();

  constructor(readonly language: Language, private readonly page: PageSettings) {
    this.locale = language === "fr" ? "fr-FR" : "en-GB";
    const currency = { style: "currency", currency: page.currency } as const;
    const digits = page.amount_digits;
    this.moneyFormat = new Intl.NumberFormat(this.locale, {
      ...currency, minimumFractionDigits: digits, maximumFractionDigits: digits,
    });
    this.shortMoney = new Intl.NumberFormat(this.locale, {
      ...currency, notation: "compact", minimumFractionDigits: 0, maximumFractionDigits: 1,
    });
    this.numberFormat = new Intl.NumberFormat(this.locale, { maximumFractionDigits: page.quantity_digits });
    this.shareFormat = new Intl.NumberFormat(this.locale, { style: "percent", maximumFractionDigits: 1 });
  }

  money(text: string): string { return this.moneyFormat.format(exactly(text)); }
  /** An amount that is no exact one, rounded to the currency's digits. */
  amount(value: number): string { return this.moneyFormat.format(value); }
  number(value: number | string): string { return this.numberFormat.format(exactly(String(value))); }
  short(value: number): string { return this.shortMoney.format(value); }
  share(value: number): string { return this.shareFormat.format(value); }

  /** When a step begins, as short as the step allows. */
  start(moment: string | number, step: Step): string {
    const clock = { hour: "2-digit", minute: "2-digit" } as const;
    const day = { day: "2-digit", month: "short" } as const;
    if (step === "month") return this.date(moment, { month: "long", year: "numeric" });
    if (step === "day") return this.date(moment, { weekday: "short", ...day, year: "numeric" });
    if (step === "minute" || step === "five_minutes") return this.date(moment, clock);
    return this.date(moment, { weekday: "short", ...day, ...clock });
  }

  /** A label of the time axis. */
  tick(moment: number, step: Step): string {
    if (step === "month") return this.date(moment, { month: "short", year: "2-digit" });
    if (step === "day") return this.date(moment, { day: "2-digit", month: "short" });
    const midnight = this.date(moment, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }) === "00:00";
    if (midnight || step === "hour") {
      return midnight ? this.date(moment, { day: "2-digit", month: "short" })
        : this.date(moment, { weekday: "short", hour: "2-digit", minute: "2-digit" });
    }
    return this.date(moment, { hour: "2-digit", minute: "2-digit" });
  }

  clock(ms: number): string {
    return this.date(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  }

  moment(text: string): string {
    return this.date(text, { dateStyle: "medium", timeStyle: "short" });
  }

  /** Milliseconds as an age, such as `0.4 s` or `3 min`. */
  age(ms: number): string {
    const [value, unit, digits] =
      ms < 10_000 ? ([ms / 1_000, "second", 1] as const)
      : ms < 120_000 ? ([ms / 1_000, "second", 0] as const)
      : ms < 7_200_000 ? ([ms / 60_000, "minute", 0] as const)
      : ms < 172_800_000 ? ([ms / 3_600_000, "hour", 0] as const)
      : ([ms / 86_400_000, "day", 0] as const);
    return new Intl.NumberFormat(this.locale, {
      style: "unit", unit, unitDisplay: "short", minimumFractionDigits: digits, maximumFractionDigits: digits,
    }).format(value);
  }

  /** `2026-01-31T12:00` in the page's time zone, as inputs of date and time take it. */
  local(moment: string | number): string {
    const parts = this.parts(moment);
    return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
  }

  private parts(moment: string | number): Record<string, string> {
    const format = this.dateFormat({
      year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    }, "en-GB");
    return Object.fromEntries(format.formatToParts(new Date(moment)).map((part) => [part.type, part.value]));
  }

  private date(moment: string | number, options: Intl.DateTimeFormatOptions): string {
    return this.dateFormat(options, this.locale).format(new Date(moment));
  }

  private dateFormat(options: Intl.DateTimeFormatOptions, locale: string): Intl.DateTimeFormat {
    const key = locale + JSON.stringify(options);
    let format = this.dates.get(key);
    if (!format) {
      format = new Intl.DateTimeFormat(locale, { timeZone: this.page.time_zone, ...options });
      this.dates.set(key, format);
    }
    return format;
  }
}
