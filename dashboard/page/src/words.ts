// Every word of the page, in both languages.

const en = {
  skip: "Skip to the figures",
  today: "Today", hour: "Last hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", all: "All",
  period: "Period", from: "From", to: "to", apply: "Apply", zone: "Time zone",
  region: "Regions", product: "Products", category: "Categories",
  search: "Search", everything: "all", none: "(none)", clear: "Clear all filters", remove: "Remove filter",
  nothing: "Nothing found",
  revenue: "Revenue", sales: "Sales", pieces: "Pieces", average: "Average basket", lastMinute: "Sales, last full minute",
  overTime: "Revenue over time", onMap: "Revenue on the map", byRegion: "Revenue by region", best: "Best products",
  split: "Revenue by category", perMinute: "Sales per minute, last hour",
  table: "Table", image: "PNG", moment: "Time", name: "Name", share: "Share",
  zoomed: "Look at this stretch only", reset: "Zoom out", pick: "Click to filter",
  live: "Live", loading: "Loading…", stale: "Stale since", offline: "No connection to the server since",
  newest: "newest sale", change: "last change", ago: "ago", ahead: "ahead of the clock", never: "none yet",
  incomplete: "older days are still being read",
  light: "Light", dark: "Dark", system: "System", theme: "Colours",
  other: "Français", elsewhere: "Sales of regions that are not on this map are in the bars and in every total.",
  map: "Map: departments of France by MapSVG and svg-maps, CC BY 4.0, grouped into regions.",
  chart: "Charts: Apache ECharts.", allSales: "Download these sales", exact: "Amounts are exact sums, never estimates, but for what is called a forecast.",
  title: "Sales, live",
  customers: "Distinct customers", countedAll: "all counted", identified: "customer known for",
  readSince: "sales since", reading: "sales are still being read",
  spreadByRegion: "Amount of a sale by region", spreadByProduct: "Amount of a sale by product",
  mean: "Mean", deviation: "Standard deviation", spreadNote: "Mean of a sale ± standard deviation", allOfThem: "All sales",
  forecast: "Forecast", forecastTitle: "Revenue to come (forecast)", low: "From", high: "Up to",
  forecastMade: "An estimate by exponential smoothing (Holt-Winters), not a figure of sales made. Interval:",
  forecastFrom: "full steps known", season: "season in steps", noSeason: "no season found",
  forecastShort: "Not enough history for a forecast: full steps known", forecastNeeds: "needed",
  forecastOver: "The period is over: nothing to forecast.", forecastWaiting: "Older days are still being read.",
  heldBack: "Error on steps held back", relativeError: "relative error", scaledError: "of the error of “as a season before”",
  inside: "inside the interval", of: "of",
};

const fr: typeof en = {
  skip: "Aller aux chiffres",
  today: "Aujourd’hui", hour: "Dernière heure", "24h": "24 heures", "7d": "7 jours", "30d": "30 jours", all: "Tout",
  period: "Période", from: "Du", to: "au", apply: "Appliquer", zone: "Fuseau horaire",
  region: "Régions", product: "Produits", category: "Catégories",
  search: "Chercher", everything: "tout", none: "(aucun)", clear: "Effacer les filtres", remove: "Retirer le filtre",
  nothing: "Aucun résultat",
  revenue: "Chiffre d’affaires", sales: "Ventes", pieces: "Articles", average: "Panier moyen",
  lastMinute: "Ventes, dernière minute pleine",
  overTime: "Chiffre d’affaires dans le temps", onMap: "Chiffre d’affaires sur la carte",
  byRegion: "Chiffre d’affaires par région", best: "Meilleurs produits",
  split: "Chiffre d’affaires par catégorie", perMinute: "Ventes par minute, dernière heure",
  table: "Tableau", image: "PNG", moment: "Moment", name: "Nom", share: "Part",
  zoomed: "Ne regarder que cet intervalle", reset: "Dézoomer", pick: "Cliquer pour filtrer",
  live: "En direct", loading: "Chargement…", stale: "Figé depuis", offline: "Serveur injoignable depuis",
  newest: "dernière vente", change: "dernier changement", ago: "", ahead: "en avance sur l’horloge", never: "aucun",
  incomplete: "les jours plus anciens sont encore en lecture",
  light: "Clair", dark: "Sombre", system: "Système", theme: "Couleurs",
  other: "English", elsewhere: "Les ventes des régions absentes de cette carte sont dans les barres et dans tous les totaux.",
  map: "Carte : départements de France par MapSVG et svg-maps, CC BY 4.0, regroupés en régions.",
  chart: "Graphiques : Apache ECharts.", allSales: "Télécharger ces ventes",
  exact: "Les montants sont des sommes exactes, jamais des estimations, hors ce qui est nommé prévision.",
  title: "Ventes en direct",
  customers: "Clients distincts", countedAll: "tous comptés", identified: "client connu pour",
  readSince: "ventes depuis", reading: "les ventes sont encore en lecture",
  spreadByRegion: "Montant d’une vente par région", spreadByProduct: "Montant d’une vente par produit",
  mean: "Moyenne", deviation: "Écart type", spreadNote: "Moyenne d’une vente ± écart type", allOfThem: "Toutes les ventes",
  forecast: "Prévision", forecastTitle: "Chiffre d’affaires à venir (prévision)", low: "De", high: "Jusqu’à",
  forecastMade: "Une estimation par lissage exponentiel (Holt-Winters), pas un chiffre de ventes faites. Intervalle :",
  forecastFrom: "pas entiers connus", season: "saison en pas", noSeason: "aucune saison trouvée",
  forecastShort: "Pas assez d’historique pour une prévision : pas entiers connus", forecastNeeds: "nécessaires",
  forecastOver: "La période est passée : rien à prévoir.", forecastWaiting: "Les jours plus anciens sont encore en lecture.",
  heldBack: "Erreur sur les pas mis de côté", relativeError: "erreur relative",
  scaledError: "de l’erreur de « comme une saison avant »",
  inside: "dans l’intervalle", of: "sur",
};

export type Word = keyof typeof en;
export type Language = "en" | "fr";
const WORDS: Record<Language, typeof en> = { en, fr };

export function languageOf(wanted: string | null): Language {
  return (wanted ?? navigator.language).toLowerCase().startsWith("fr") ? "fr" : "en";
}

export function word(language: Language, key: Word): string {
  return WORDS[language][key];
}
