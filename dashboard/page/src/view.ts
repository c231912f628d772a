// What is looked at, as the URL has it. The query is the same that the API takes, plus the language.

export type Dimension = "region" | "product" | "category";
export const DIMENSIONS: Dimension[] = ["region", "product", "category"];
export const PERIODS = ["today", "hour", "24h", "7d", "30d", "all"] as const;

export interface View {
  period: string;
  from: string;
  to: string;
  region: string[];
  product: string[];
  category: string[];
}

export function viewOf(search: string): View {
  const query = new URLSearchParams(search);
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  const named = query.get("period") ?? "";
  const known = (PERIODS as readonly string[]).includes(named);
  const between = !known && from !== "" && to !== "";
  const names = (dimension: Dimension) => [...new Set(query.getAll(dimension))].sort();
  return {
    period: between ? "between" : known ? named : "today",
    from: between ? from : "",
    to: between ? to : "",
    region: names("region"),
    product: names("product"),
    category: names("category"),
  };
}

export function queryOf(view: View): string {
  const query = new URLSearchParams();
  if (view.period === "between") {
    query.set("from", view.from);
    query.set("to", view.to);
  } else {
    query.set("period", view.period);
  }
  for (const dimension of DIMENSIONS) for (const name of view[dimension]) query.append(dimension, name);
  return query.toString();
}

/** The view with a name put into a filter, or taken out if it is there. */
export function toggled(view: View, dimension: Dimension, name: string): View {
  const there = view[dimension].includes(name);
  const names = there ? view[dimension].filter((other) => other !== name) : [...view[dimension], name];
  return { ...view, [dimension]: names.sort() };
}

/** Holds the view, keeps the URL equal to it, and tells of every change, the back button's too. */
export class ViewHolder {
  view = viewOf(location.search);
  language = new URLSearchParams(location.search).get("lang");
  private listeners: (() => void)[] = [];

  constructor() {
    addEventListener("popstate", () => {
      this.view = viewOf(location.search);
      this.language = new URLSearchParams(location.search).get("lang");
      this.tell();
    });
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  set(view: View): void {
    if (queryOf(view) === queryOf(this.view)) return;
    this.view = view;
    this.push();
  }

  setLanguage(language: string): void {
    this.language = language;
    this.push();
  }

  private push(): void {
    const language = this.language ? `&lang=${this.language}` : "";
    history.pushState(null, "", `?${queryOf(this.view)}${language}`);
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
