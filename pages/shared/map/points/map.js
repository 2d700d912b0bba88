// The map: joins what it is drawn from (pack.js), what is seen of it (camera.js), who paints (painter.js, shapes.js) and
// the sound (listening.js), and tells Python which points were chosen.
//
// Titles and names come from files and other people: they are set as textContent only.

import { Camera } from "./camera.js";
import { densityOf, drawDensity } from "./density.js";
import { Grid } from "./grid.js";
import { Listening } from "./listening.js";
import { brief, CHOSEN, Colouring, looksOf, rgbOf, sizeAndOpacity, VIRIDIS_CSS } from "./looks.js";
import { Packs } from "./pack.js";
import { CanvasPainter, glPainter } from "./painter.js";
import { pngPicture, save, svgPicture } from "./picture.js";
import { drawShapes, shapesOf } from "./shapes.js";

const REACH_PX = 10; // how far from a point a pointer may be
const STILL_PX = 4; // what moves less is a click
const MOVE_MS = 600;
const STEP = 1.4; // of a button or a key that zooms
const PLACED = 255; // as in packed.py
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class PointMap {
  #packs = new Packs();
  camera = new Camera();
  #mode = "move";
  #pointers = new Map(); // that are down, by their id: [left, top]
  #drag = null; // {from, moved, outline}
  #pointed = -1; // the row under the pointer, or the one the keyboard is at
  #emphasised = null; // the name in the legend that the others pale beside
  #movesSince = -Infinity;
  #isLost = false;

  constructor(root) {
    this.section = root.querySelector(".map");
    for (const name of ["plane", "said", "legend", "slow", "spoken"]) this[name] = root.querySelector(`.${name}`);
    [this.cloud, this.canvas, this.top] = ["cloud", "points", "marks"].map((name) => root.querySelector(`canvas.${name}`));
    this.listening = new Listening(() => this.#refreshTop());
    this.calmMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.#takePainter(glPainter(this.canvas));
    this.sizes = new ResizeObserver(() => this.#resize());
    this.sizes.observe(this.plane);
    this.#listen();
    this.#setMode("move");
  }

  // --- what Python says ---------------------------------------------------------------------------------------

  /** Called on mount, when anything that is shown changed, and when the theme did. */
  async update(data, trigger) {
    this.trigger = trigger;
    this.asked = data;
    this.listening.update(data);
    this.plane.setAttribute("aria-label", data.label);
    let packs;
    try {
      packs = await Promise.all([
        this.#packs.pack("places", data.places), this.#packs.pack("colours", data.colours), this.#packs.pack("marks", data.marks),
      ]);
    } catch {
      this.#lose(data.places);
      return;
    }
    if (this.asked !== data) return; // overtaken
    this.#isLost = false;
    this.data = data;
    const [{ places, kept }, colours, { marks }] = packs;
    this.#layPlaces(places, kept, data);
    this.colouring = new Colouring(colours, data.colouring);
    this.marks = marks;
    if (!this.colouring.names.includes(this.#emphasised)) this.#emphasised = null;
    this.density = data.has_density ? densityOf(this.grid) : null;
    this.#showLegend();
    this.#look();
    this.section.dataset.ready = this.grid.n;
    this.#packs.titles(data.titles).then(
      (titles) => {
        if (this.asked !== data) return;
        this.titles = titles;
        this.#say(); // what is pointed at has waited for its title
        this.#refreshTop();
      },
      () => this.asked === data && this.#lose(data.titles),
    );
  }

  /** What is at an address is held no more: Python packs it again, and is told once. */
  #lose(address) {
    if (!this.#isLost) this.trigger("lost", address);
    this.#isLost = true;
  }

  #layPlaces(places, kept, data) {
    if (this.laidFor !== data.titles) this.titles = null; // they are of other recordings
    if (this.places === places) return;
    const goesOn = this.laidFor === data.titles && this.places?.length === places.length; // the same recordings
    const before = goesOn ? this.places : places;
    this.places = places;
    this.kept = kept;
    this.laidFor = data.titles;
    this.grid = new Grid(places);
    this.camera.setBounds(this.grid.bounds);
    this.isDiamond = kept.map((per_cent) => Number(per_cent === PLACED));
    this.painter.setPlaces(places, before, this.isDiamond);
    this.before = before;
    this.#movesSince = goesOn && this.painter.isQuick && !this.calmMotion.matches ? performance.now() : -Infinity;
    this.#point(-1);
  }

  /** Colours and paleness, anew. */
  #look() {
    this.looks = looksOf(this.colouring, this.marks, this.grid.n, this.#emphasised);
    this.painter.setLooks(this.looks);
    const nChosen = this.marks.reduce((sum, mark) => sum + Number((mark & CHOSEN) > 0), 0);
    this.section.querySelector("[data-do=none]").hidden = nChosen === 0;
    this.section.dataset.chosen = nChosen;
    this.#refresh();
  }

  #showLegend() {
    const { names, shades, other, values, low, high, title, codes } = this.colouring;
    this.legend.replaceChildren();
    if (values && low <= high) {
      const ramp = document.createElement("i");
      ramp.className = "ramp";
      ramp.style.background = VIRIDIS_CSS;
      this.legend.append(`${title}: ${brief(low)}`, ramp, brief(high));
    }
    if (!codes) return;
    for (const name of names.filter((each) => shades[each]).sort()) {
      const button = document.createElement("button"), dot = document.createElement("i"), words = document.createElement("span");
      button.type = "button";
      button.title = "Pales the others";
      button.setAttribute("aria-pressed", String(this.#emphasised === name));
      dot.style.background = shades[name];
      words.textContent = name;
      button.append(dot, words);
      button.addEventListener("click", () => this.#emphasise(this.#emphasised === name ? null : name));
      this.legend.append(button);
    }
    if (names.some((name) => !shades[name])) {
      const dot = document.createElement("i");
      dot.style.background = other;
      this.legend.append(dot, "others");
    }
  }

  #emphasise(name) {
    this.#emphasised = name;
    for (const button of this.legend.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.textContent === name));
    this.#look();
  }

  // --- drawing ------------------------------------------------------------------------------------------------

  #takePainter(painter) {
    if (!painter) { // a canvas that was asked for WebGL gives no other context
      const fresh = this.canvas.cloneNode();
      this.canvas.replaceWith(fresh);
      this.canvas = fresh;
    }
    this.painter = painter ?? new CanvasPainter(this.canvas);
    this.slow.hidden = this.painter.isQuick;
    if (painter) this.canvas.addEventListener("webglcontextlost", () => this.#losePainter(painter), { once: true });
  }

  /** A browser may take WebGL away at any time. */
  #losePainter(painter) {
    if (this.painter !== painter || this.isClosed) return;
    this.#takePainter(null);
    if (!this.data) return;
    this.painter.setPlaces(this.places, this.places, this.isDiamond);
    this.painter.setLooks(this.looks);
    this.#resize();
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.plane;
    if (!width || !height) return;
    this.camera.resize(width, height);
    this.#setCanvases(Math.min(2, window.devicePixelRatio));
    this.#draw();
  }

  #setCanvases(ratio) {
    this.ratio = ratio;
    for (const canvas of [this.cloud, this.canvas, this.top]) {
      [canvas.width, canvas.height] = [this.camera.width, this.camera.height].map((side) => Math.round(side * ratio));
    }
    this.hasNewPoints = true; // a canvas of another size is empty
  }

  /** Draw anew: all of it, or what lies on top. A hundred thousand points take a moment without a graphics card. */
  #refresh() {
    this.hasNewPoints = true;
    this.#refreshTop();
  }

  #refreshTop() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.#draw());
  }

  get #theme() {
    const style = getComputedStyle(this.section);
    return {
      text: style.getPropertyValue("--st-text-color").trim(),
      background: style.getPropertyValue("--st-background-color").trim(),
      accent: style.getPropertyValue("--st-primary-color").trim(),
      font: style.fontFamily,
    };
  }

  #shapes(context, theme) {
    const ringed = this.listening.ringed === null ? -1 : this.titles?.ids.indexOf(this.listening.ringed) ?? -1;
    this.section.dataset.ringed = ringed >= 0 ? this.listening.ringed : "";
    this.section.dataset.heard = this.listening.lit;
    return shapesOf({
      camera: this.camera, places: this.places, marks: this.marks, data: this.data, theme, context,
      lit: this.listening.lit, pointed: this.#pointed, ringed,
    });
  }

  #draw() {
    if (!this.data || !this.ratio) return;
    const theme = this.#theme;
    const isMoving = this.hasNewPoints && this.#drawPoints(theme);
    const top = this.#cleared(this.top);
    if (isMoving) return this.#refresh(); // what lies on top waits until the points are where they are
    this.hasNewPoints = false;
    drawShapes(top, this.#shapes(top, theme));
    if (this.#drag?.outline) this.#drawOutline(top, theme);
  }

  /** The points, and the cloud behind them; whether the points are still on their way. */
  #drawPoints(theme) {
    const moved = Math.min(1, (performance.now() - this.#movesSince) / MOVE_MS);
    const eased = moved * moved * (3 - 2 * moved);
    const edge = /^#[0-9a-f]{6}$/i.test(theme.background) ? rgbOf(theme.background) : [255, 255, 255];
    this.painter.paint(this.camera, { ...sizeAndOpacity(this.grid.n, this.camera.zoom), edge, moved: eased, ratio: this.ratio });
    const cloud = this.#cleared(this.cloud);
    if (this.density && moved >= 1) drawDensity(cloud, this.camera, this.density);
    return moved < 1;
  }

  #cleared(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.camera.width, this.camera.height);
    return context;
  }

  #drawOutline(context, { accent }) {
    context.beginPath();
    this.#drag.outline.forEach(([left, top], number) => (number ? context.lineTo(left, top) : context.moveTo(left, top)));
    context.closePath();
    context.strokeStyle = context.fillStyle = accent;
    context.lineWidth = 1.5;
    context.stroke();
    context.globalAlpha = 0.08;
    context.fill();
    context.globalAlpha = 1;
  }

  async #savePicture(kind) {
    if (!this.data) return;
    const theme = this.#theme, camera = this.camera;
    if (kind === "svg") {
      const text = svgPicture({
        camera, places: this.places, looks: this.looks, isDiamond: this.isDiamond, colouring: this.colouring,
        density: this.density, theme, ...sizeAndOpacity(this.grid.n, camera.zoom),
        shapes: this.#shapes(this.top.getContext("2d"), theme),
      });
      return save(new Blob([text], { type: "image/svg+xml" }), `${this.data.name}.svg`);
    }
    this.#setCanvases(2);
    this.#draw(); // WebGL forgets what it painted once this is left
    const picture = pngPicture([this.cloud, this.canvas, this.top], { camera, colouring: this.colouring, theme, ratio: this.ratio });
    this.#resize();
    save(await picture, `${this.data.name}.png`);
  }

  // --- pointing -----------------------------------------------------------------------------------------------

  #wordsOf(row) {
    const kept = this.kept[row];
    return [
      this.titles?.titles[row] ?? "its title is on the way",
      this.colouring.wordsOf(row),
      kept === PLACED ? "placed beside its nearest" : `${kept} % of its true neighbours are near it here`,
    ].filter(Boolean);
  }

  /** Show what a point is; -1 for none. */
  #point(row, isByKey = false) {
    if (row === this.#pointed) return;
    this.#pointed = row;
    this.said.hidden = row < 0;
    this.plane.classList.toggle("on-point", row >= 0);
    this.#say();
    if (row >= 0) {
      const [left, top] = this.camera.toScreen(this.places[2 * row], this.places[2 * row + 1]);
      const isRight = left > this.camera.width / 2, isLow = top > this.camera.height / 2;
      this.said.style.cssText = `${isRight ? "right" : "left"}:${(isRight ? this.camera.width - left : left) + 12}px;`
        + `${isLow ? "bottom" : "top"}:${(isLow ? this.camera.height - top : top) + 8}px`;
      if (isByKey) this.spoken.textContent = this.#wordsOf(row).join(", ");
    }
    this.listening.restOn(row >= 0 ? this.titles?.ids[row] : null);
    this.#refreshTop();
  }

  #say() {
    if (this.#pointed >= 0) this.said.textContent = this.#wordsOf(this.#pointed).join("\n");
  }

  #rowAt(left, top) {
    return this.grid ? this.grid.nearest(...this.camera.toMap(left, top), REACH_PX / this.camera.scale) : -1;
  }

  /** These are chosen: shown at once, and told to Python. */
  #choose(rows) {
    if (!this.data) return;
    const chosen = new Set(rows);
    this.marks = this.marks.map((mark, row) => (mark & ~CHOSEN) | (chosen.has(row) ? CHOSEN : 0));
    this.#look();
    this.spoken.textContent = rows.length === 1 ? this.#wordsOf(rows[0]).join(", ") : `${rows.length} chosen`;
    this.trigger("pick", { rows, titles: this.data.titles });
  }

  #setMode(mode) {
    this.#mode = this.plane.dataset.mode = mode;
    for (const button of this.section.querySelectorAll("[data-mode][role=radio]")) {
      const isIt = button.dataset.mode === mode;
      button.setAttribute("aria-checked", String(isIt));
      button.tabIndex = isIt ? 0 : -1;
    }
  }

  #do(what) {
    const { width, height } = this.camera;
    if (what === "nearer" || what === "further") this.camera.zoomAt(width / 2, height / 2, what === "nearer" ? STEP : 1 / STEP);
    if (what === "whole") this.camera.showAll();
    if (what === "none") this.#choose([]);
    if (what === "sight" && this.grid) this.#choose(this.grid.inside(this.#boxOf([0, 0], [width, height]).map((at) => this.camera.toMap(...at))));
    if (what === "svg" || what === "png") this.#savePicture(what);
    this.#point(-1);
    this.#refresh();
  }

  #boxOf([left, top], [right, bottom]) { return [[left, top], [right, top], [right, bottom], [left, bottom]]; }

  // --- hands --------------------------------------------------------------------------------------------------

  #listen() {
    const { plane } = this;
    const at = (event) => { const box = plane.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    plane.addEventListener("pointerdown", (event) => event.button === 0 && this.#onDown(event, at(event)));
    plane.addEventListener("pointermove", (event) => this.#onMove(event, at(event)));
    for (const name of ["pointerup", "pointercancel"]) plane.addEventListener(name, (event) => this.#onUp(event, at(event)));
    plane.addEventListener("pointerleave", () => this.#drag || this.#point(-1));
    plane.addEventListener("blur", () => this.#point(-1));
    plane.addEventListener("dblclick", (event) => this.#rowAt(...at(event)) < 0 && this.#do("whole"));
    plane.addEventListener("keydown", (event) => this.#onKey(event));
    plane.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.camera.zoomAt(...at(event), Math.exp(-Math.sign(event.deltaY) * Math.min(100, Math.abs(event.deltaY)) * 0.002));
      this.#point(-1);
      this.#refresh();
    }, { passive: false });
    this.section.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.mode) this.#setMode(button.dataset.mode);
      if (button?.dataset.do) this.#do(button.dataset.do);
    });
    const modes = [...this.section.querySelectorAll("[data-mode][role=radio]")];
    modes.forEach((button, number) => button.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
      if (!step) return;
      const next = modes[(number + step + modes.length) % modes.length];
      this.#setMode(next.dataset.mode);
      next.focus();
    }));
  }

  #onDown(event, from) {
    this.plane.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, from);
    const kind = event.shiftKey ? "lasso" : this.#mode;
    const isPinch = this.#pointers.size > 1;
    this.#drag = { from, kind: isPinch ? "pinch" : kind, moved: 0, outline: null };
    this.plane.classList.toggle("dragging", kind === "move");
  }

  #onMove(event, to) {
    if (!this.#drag) return this.#point(this.#rowAt(...to));
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    this.#drag.moved = Math.max(this.#drag.moved, Math.hypot(to[0] - this.#drag.from[0], to[1] - this.#drag.from[1]));
    if (this.#drag.kind === "pinch") this.#pinch(event.pointerId, before, to);
    this.#pointers.set(event.pointerId, to);
    if (this.#drag.moved < STILL_PX) return;
    this.#point(-1);
    if (this.#drag.kind === "move") this.camera.moveBy(to[0] - before[0], to[1] - before[1]);
    if (this.#drag.kind === "box") this.#drag.outline = this.#boxOf(this.#drag.from, to);
    if (this.#drag.kind === "lasso") (this.#drag.outline ??= [this.#drag.from]).push(to);
    if (this.#drag.outline) this.#refreshTop();
    else this.#refresh();
  }

  #pinch(id, before, to) {
    const other = [...this.#pointers].find(([each]) => each !== id)?.[1];
    if (!other) return;
    const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
    this.camera.zoomAt((to[0] + other[0]) / 2, (to[1] + other[1]) / 2, apart(to) / apart(before));
    this.camera.moveBy((to[0] - before[0]) / 2, (to[1] - before[1]) / 2);
  }

  #onUp(event, to) {
    if (!this.#pointers.delete(event.pointerId) || !this.#drag) return;
    const { kind, moved, outline } = this.#drag;
    if (kind === "pinch" && this.#pointers.size) return;
    this.#drag = null;
    this.plane.classList.remove("dragging");
    this.#refreshTop();
    if (event.type === "pointercancel" || kind === "pinch" || !this.grid) return;
    if (outline) return this.#choose(this.grid.inside(outline.map((at) => this.camera.toMap(...at))));
    const row = moved < STILL_PX ? this.#rowAt(...to) : -1;
    if (row >= 0) this.#choose([row]);
  }

  #onKey(event) {
    const acts = {
      "+": () => this.#do("nearer"), "=": () => this.#do("nearer"), "-": () => this.#do("further"), "0": () => this.#do("whole"),
      "Enter": () => this.#pointed >= 0 && this.#choose([this.#pointed]), "Escape": () => this.section.dataset.chosen !== "0" && this.#choose([]),
    };
    const act = ARROWS[event.key] ? () => this.#step(...ARROWS[event.key]) : acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || !this.data) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** With the keyboard to the next point in a direction: near, and not far to the side. From none, to the middlemost. */
  #step(right, down) {
    const from = this.#pointed >= 0 ? this.camera.toScreen(this.places[2 * this.#pointed], this.places[2 * this.#pointed + 1])
      : [this.camera.width / 2, this.camera.height / 2];
    let best = -1, least = Infinity;
    for (let row = 0; row < this.grid.n; row += 1) {
      const [left, top] = this.camera.toScreen(this.places[2 * row], this.places[2 * row + 1]);
      const [onward, aside] = [(left - from[0]) * right + (top - from[1]) * down, Math.abs((left - from[0]) * down) + Math.abs((top - from[1]) * right)];
      const cost = this.#pointed < 0 ? Math.hypot(left - from[0], top - from[1]) : onward > 1 ? onward + 2 * aside : Infinity;
      if (cost < least) [best, least] = [row, cost];
    }
    if (best < 0) return;
    const [x, y] = [this.places[2 * best], this.places[2 * best + 1]];
    if (!this.camera.isInSight(x, y)) {
      const [left, top] = this.camera.toScreen(x, y);
      this.camera.moveBy(this.camera.width / 2 - left, this.camera.height / 2 - top);
    }
    this.#point(best, true);
  }

  close() {
    this.isClosed = true;
    cancelAnimationFrame(this.frame);
    this.sizes.disconnect();
    this.listening.close();
    this.painter.close();
  }
}

const maps = new WeakMap(); // by the element they live in: a rerun finds its map again, with what is seen of it

export default function ({ data, parentElement, setTriggerValue }) {
  if (!maps.has(parentElement)) maps.set(parentElement, { map: new PointMap(parentElement), calls: 0 });
  const entry = maps.get(parentElement);
  const call = (entry.calls += 1);
  entry.map.update(data, setTriggerValue);
  return () => {
    if (entry.calls !== call) return; // Streamlit may clean up an overtaken call while the component lives on
    maps.delete(parentElement);
    entry.map.close();
  };
}
