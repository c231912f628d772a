// What the server answers, as far as the page reads it. Amounts and quantities are exact decimal texts.

export interface Sums { count: number; amount: string; quantity: string }
export interface Point extends Sums { start: string }
export interface Named extends Sums { name: string }
export type Step = "minute" | "five_minutes" | "quarter_hour" | "hour" | "day" | "month";

export interface Figures {
  period: { name: string; from: string; to: string; time_zone: string; step: Step };
  version: number;
  complete: boolean;
  groups: number;
  totals: Sums & { average: string | null };
  over_time: Point[];
  by_region: Named[];
  by_product: Named[];
  by_category: Named[];
  per_minute: Point[];
}

export interface Covered { from: string; to: string; complete: boolean }
export interface Spread { count: number; amount: string; mean: string | null; deviation: number | null }
export interface Spreads extends Spread { name: string }
export interface Statistics extends Covered { total: Spread; by_region: Spreads[]; by_product: Spreads[] }
export interface Customers extends Covered {
  estimate: number; low: number; high: number; confidence: number; exact: boolean; sales: number; identified: number;
}
export interface Foretold { start: string; amount: string; low: string; high: string }
export interface Forecast {
  status: "made" | "short" | "over" | "waiting";
  known_steps: number;
  fewest_steps: number;
  season: number | null;
  confidence: number;
  steps: Foretold[];
  held_back: { steps: number; relative_error: number | null; scaled_error: number | null; inside: number } | null;
}

/** What sales one by one say of a view; null where the server does not read them. */
export interface Analysis {
  period: Figures["period"];
  statistics: Statistics | null;
  customers: Customers | null;
  forecast: Forecast;
}

export interface Freshness {
  state: "loading" | "live" | "stale";
  stale_since_ms: number | null;
  last_change_ms: number | null;
  newest_sale_ms: number | null;
  now_ms: number;
  problem: string | null;
}

export interface PageSettings {
  title: string;
  currency: string;
  time_zone: string;
  amount_digits: number;
  quantity_digits: number;
}

export interface Choices { regions: string[]; products: string[]; categories: string[] }

export async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return (await answer.json()) as T;
}
