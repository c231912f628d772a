// The page that Tableau shows in a dashboard as an extension: it has Tableau read its live data again, on a timer.
//
//   Tableau's library -> data sources of the dashboard's sheets -> refreshAsync, one after the other -> wait -> again
//
// It sees no figures and sends nothing anywhere. Tableau's library, a script before this one, defines `tableau`.

import type { DataSource } from "@tableau/extensions-api-types";

const KEY = "interval_s";
const INTERVALS_S = [0, 15, 30, 60, 300, 900];
const DEFAULT_S = 60;

const words = {
  en: {
    waiting: "Waiting for Tableau. This page works inside a Tableau dashboard.",
    missing: "Tableau's library is not here: `make tableau-extension` puts it beside this page.",
    every: "Refresh", never: "by hand", now: "Now", seconds: "s", minutes: "min",
    refreshed: "Refreshed at", extracts: "Only extracts here: a refresh reads none of them again.", failed: "Failed:",
  },
  fr: {
    waiting: "En attente de Tableau. Cette page fonctionne dans un tableau de bord Tableau.",
    missing: "La bibliothèque de Tableau manque : `make tableau-extension` la place à côté de cette page.",
    every: "Actualiser", never: "à la main", now: "Maintenant", seconds: "s", minutes: "min",
    refreshed: "Actualisé à", extracts: "Il n’y a que des extraits : une actualisation n’en relit aucun.",
    failed: "Échec :",
  },
};
type Words = (typeof words)["en"];

function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

function say(state: "waiting" | "good" | "bad", text: string): void {
  byId("state").textContent = text;
  document.body.dataset.state = state;
}

function wordsOf(language: string): Words {
  return language.startsWith("fr") ? words.fr : words.en;
}

class Refresher {
  private timer: number | undefined;
  private running = false;
  private seconds: number;

  constructor(private readonly word: Words) {
    const saved = Number(tableau.extensions.settings.get(KEY) ?? DEFAULT_S);
    this.seconds = INTERVALS_S.includes(saved) ? saved : DEFAULT_S;
    this.offer();
    byId("now").addEventListener("click", () => void this.refresh());
    // A dashboard that nobody sees costs the server nothing.
    document.addEventListener("visibilitychange", () => this.plan());
    this.plan();
  }

  private offer(): void {
    const choice = byId<HTMLSelectElement>("interval");
    const { never, seconds, minutes } = this.word;
    for (const value of INTERVALS_S) {
      const text = value === 0 ? never : value < 60 ? `${value} ${seconds}` : `${value / 60} ${minutes}`;
      choice.add(new Option(text, String(value), false, value === this.seconds));
    }
    choice.addEventListener("change", () => {
      this.seconds = Number(choice.value);
      this.plan();
      void this.save();
    });
    byId("label").textContent = this.word.every;
    byId("now").textContent = this.word.now;
    byId("choices").hidden = false;
  }

  // Authors keep the interval in the workbook; a viewer's choice lasts as long as the page.
  private async save(): Promise<void> {
    if (String(tableau.extensions.environment.mode) !== "authoring") {
      return;
    }
    tableau.extensions.settings.set(KEY, String(this.seconds));
    try {
      await tableau.extensions.settings.saveAsync();
    } catch (error) {
      this.fail(error);
    }
  }

  private plan(): void {
    window.clearTimeout(this.timer);
    if (this.seconds > 0 && !document.hidden) {
      this.timer = window.setTimeout(() => void this.refresh(), this.seconds * 1000);
    }
  }

  // One refresh at a time, and the wait begins when it has ended: a slow server is not asked more often.
  private async refresh(): Promise<void> {
    if (this.running) {
      return;
    }
    this.running = true;
    try {
      const live = (await dataSources()).filter((source) => !source.isExtract);
      for (const source of live) {
        await source.refreshAsync();
      }
      const time = new Date().toLocaleTimeString();
      say("good", live.length > 0 ? `${this.word.refreshed} ${time}` : this.word.extracts);
    } catch (error) {
      this.fail(error);
    } finally {
      this.running = false;
      this.plan();
    }
  }

  private fail(error: unknown): void {
    say("bad", `${this.word.failed} ${error instanceof Error ? error.message : String(error)}`);
  }
}

// Each once, however many sheets it feeds.
async function dataSources(): Promise<DataSource[]> {
  const sheets = tableau.extensions.dashboardContent?.dashboard.worksheets ?? [];
  const found = await Promise.all(sheets.map((sheet) => sheet.getDataSourcesAsync()));
  return [...new Map(found.flat().map((source) => [source.id, source])).values()];
}

async function start(): Promise<void> {
  const word = wordsOf(navigator.language);
  if (typeof tableau === "undefined") {
    say("bad", word.missing);
    return;
  }
  say("waiting", word.waiting);
  try {
    await tableau.extensions.initializeAsync();
    const { language } = tableau.extensions.environment;
    document.documentElement.lang = language;
    say("good", "");
    new Refresher(wordsOf(language));
  } catch (error) {
    say("bad", `${word.failed} ${error instanceof Error ? error.message : String(error)}`);
  }
}

void start();
