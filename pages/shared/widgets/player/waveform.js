import { formatTime } from "./time.js";

/**
 * The waveform of the track that is heard: played part coloured, a scale below, hatched where the track is silent.
 * Behind it a soft band for the moment of this track, a clear one between brackets for the region of the clock.
 */
export class Waveform {
  hoverX = null;
  colours = {};

  constructor(canvas) {
    this.canvas = canvas;
    this.readTheme();
  }

  readTheme() {
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [played, text, background] = ["primary", "text", "background"].map((name) => colour(`--st-${name}-color`));
    this.colours = { played, text, background };
    this.font = `11px ${colour("--st-font") || "sans-serif"}`;
  }

  /**
   * All seconds are those of the clock. The track is silent outside startS .. endS; `gain` scales the bars.
   * `moment` and `region`: [from, to] or null; `mark`: one end of a region to come, or null.
   */
  draw({ peaks, startS, endS, gain, positionS, durationS, moment, region, mark, hasGrips }) {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !durationS) return;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const xOf = (seconds) => (seconds / durationS) * width;
    const barsHeight = height - 18; // the scale stands below
    if (moment) this.#drawMoment(pen, moment.map(xOf), barsHeight);
    if (region) this.#drawBand(pen, region.map(xOf), barsHeight, this.colours.played, 0.2);
    this.#drawBars(pen, { peaks, gain, width, barsHeight, playedX: xOf(positionS), startX: xOf(startS), endX: xOf(endS) });
    this.#drawSilence(pen, [[0, xOf(startS)], [xOf(endS), width]], barsHeight);
    this.#drawScale(pen, { width, height, durationS, xOf });
    if (region) region.map(xOf).forEach((x, end) => this.#drawBracket(pen, x, { end, width, barsHeight, hasGrips }));
    if (mark) this.#drawBracket(pen, xOf(mark.atS), { end: mark.isBeginning ? 0 : 1, width, barsHeight, hasGrips: false });
    this.#drawLine(pen, xOf(positionS), barsHeight, 1, 2);
    if (this.hoverX !== null) this.#drawHover(pen, { width, barsHeight, durationS });
  }

  #drawBand(pen, [from, to], barsHeight, colour, alpha) {
    pen.fillStyle = colour;
    pen.globalAlpha = alpha;
    pen.fillRect(from, 2, to - from, barsHeight);
  }

  #drawMoment(pen, [from, to], barsHeight) {
    this.#drawBand(pen, [from, to], barsHeight, this.colours.text, 0.1);
    pen.globalAlpha = 0.6;
    pen.fillRect(from, 2, 2, 9); // the tick: here it begins
  }

  /** One end of a region, 0 the left and 1 the right; with a grip while it can be dragged. */
  #drawBracket(pen, at, { end, width, barsHeight, hasGrips }) {
    const x = Math.max(0, Math.min(end === 0 ? at : at - 2, width - 2)); // the line lies within the region
    const inwards = end === 0 ? x : x - 4;
    pen.fillStyle = this.colours.played;
    pen.globalAlpha = 1;
    pen.fillRect(x, 2, 2, barsHeight);
    for (const y of [2, barsHeight]) pen.fillRect(inwards, y, 6, 2);
    if (!hasGrips) return;
    pen.beginPath();
    pen.roundRect(x - 2, barsHeight / 2 - 9, 6, 22, 3);
    pen.strokeStyle = this.colours.background; // a rim, or it is lost among the bars
    pen.lineWidth = 3;
    pen.stroke();
    pen.fill();
  }

  #drawBars(pen, { peaks, gain, width, barsHeight, playedX, startX, endX }) {
    const middle = barsHeight / 2 + 2;
    for (let x = 0; x < width; x += 3) {
      if (x + 2 < startX || x > endX) continue;
      const loudest = peaks ? maxBetween(peaks, (x - startX) / (endX - startX), (x + 3 - startX) / (endX - startX)) : 0;
      const half = Math.max(1, Math.min(1, loudest * gain) * (barsHeight / 2 - 4));
      const isPlayed = x < playedX;
      pen.globalAlpha = isPlayed ? 1 : 0.34;
      pen.fillStyle = isPlayed ? this.colours.played : this.colours.text;
      pen.fillRect(x, middle - half, 2, 2 * half);
    }
  }

  #drawSilence(pen, spans, barsHeight) {
    pen.fillStyle = this.colours.text;
    pen.globalAlpha = 0.16;
    for (const [from, to] of spans) {
      for (let x = from + 4; x < to - 3; x += 9) pen.fillRect(x, barsHeight / 2 + 1.5, 3, 1);
    }
  }

  #drawScale(pen, { width, height, durationS, xOf }) {
    const stepS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600].find((step) => xOf(step) >= 64) ?? 7200;
    pen.fillStyle = this.colours.text;
    pen.font = this.font;
    pen.textBaseline = "alphabetic";
    for (let second = 0; second <= durationS; second += stepS) {
      const text = formatTime(second);
      const textWidth = pen.measureText(text).width;
      const x = Math.min(Math.max(4, xOf(second) - textWidth / 2), width - textWidth - 4);
      if (second && xOf(second) + textWidth / 2 > width - 2) break;
      pen.globalAlpha = 0.65;
      pen.fillText(text, x, height - 5);
    }
  }

  #drawLine(pen, x, barsHeight, alpha, thickness) {
    pen.globalAlpha = alpha;
    pen.fillStyle = this.colours.text;
    pen.fillRect(Math.max(0, x - thickness / 2), 2, thickness, barsHeight);
  }

  #drawHover(pen, { width, barsHeight, durationS }) {
    this.#drawLine(pen, this.hoverX, barsHeight, 0.45, 1);
    const text = formatTime((this.hoverX / width) * durationS, 1);
    const textWidth = pen.measureText(text).width;
    pen.globalAlpha = 0.9;
    pen.fillText(text, this.hoverX + textWidth + 10 > width ? this.hoverX - textWidth - 5 : this.hoverX + 5, 13);
  }
}

function maxBetween(values, from, to) {
  const first = Math.max(0, Math.floor(from * values.length));
  const last = Math.min(values.length - 1, Math.max(first, Math.ceil(to * values.length) - 1));
  let loudest = 0;
  for (let i = first; i <= last; i += 1) if (values[i] > loudest) loudest = values[i];
  return loudest;
}

/**
 * A waveform of a hand's breadth, of a recording of its own: `moment` [from, to] and `played` are shares of its length.
 */
export function drawSmall(canvas, { peaks, moment, played, colours }, [width, height]) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (moment) {
    const [from, to] = moment.map((share) => share * width);
    pen.fillStyle = colours.played;
    pen.globalAlpha = 0.18;
    pen.fillRect(from, 0, Math.max(2, to - from), height);
  }
  const loudest = peaks ? Math.max(...peaks) : 0;
  for (let x = 0; x < width; x += 3) {
    const level = loudest ? maxBetween(peaks, x / width, (x + 3) / width) / loudest : 0;
    const half = Math.max(0.75, level * (height / 2 - 1));
    const isPlayed = x < played * width;
    const isInMoment = moment && x >= moment[0] * width && x < moment[1] * width;
    pen.fillStyle = isPlayed ? colours.played : colours.text;
    pen.globalAlpha = isPlayed || isInMoment ? 0.9 : 0.3;
    pen.fillRect(x, height / 2 - half, 2, 2 * half);
  }
}
