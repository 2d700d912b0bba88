// How each point looks: its colour, and how faint it is.

const NO_NAME = 65535; // as in packed.py
export const LEFT_OUT = 1, FOUND = 2, CHOSEN = 4; // as in packed.py
const FAINT = 0.2; // of what filters leave out
const UNCHOSEN = 0.25; // of the others, where some are chosen
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];

export function rgbOf(colour) { return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)); }

const STOPS = VIRIDIS.map(rgbOf);

/** A share of 0 to 1 as a colour. */
export function viridis(share) {
  const place = Math.min(1, Math.max(0, share)) * (STOPS.length - 1);
  const below = Math.min(STOPS.length - 2, Math.floor(place));
  return STOPS[below].map((from, channel) => Math.round(from + (STOPS[below + 1][channel] - from) * (place - below)));
}

export const VIRIDIS_CSS = `linear-gradient(to right, ${VIRIDIS.join(", ")})`;

/** What the points are coloured by, as it was packed: names, numbers, or nothing. */
export class Colouring {
  constructor(pack, { title, shades, other, plain }) {
    Object.assign(this, { title, shades, other, plain });
    this.codes = pack?.codes;
    this.values = pack?.values;
    this.names = this.codes ? JSON.parse(pack.header.names) : [];
    if (this.values) {
      const known = this.values.filter((value) => !Number.isNaN(value));
      this.low = known.reduce((least, value) => Math.min(least, value), Infinity);
      this.high = known.reduce((most, value) => Math.max(most, value), -Infinity);
    }
  }

  nameOf(row) { return this.codes && this.codes[row] !== NO_NAME ? this.names[this.codes[row]] : null; }

  /** What is known of a point, in words; empty if nothing is. */
  wordsOf(row) {
    const value = this.values?.[row];
    const said = this.values ? (Number.isNaN(value) ? null : brief(value)) : this.nameOf(row);
    return said === null || said === undefined ? "" : `${this.title}: ${said}`;
  }

  /** Red, green and blue of every point. */
  rgb(n) {
    const rgb = new Uint8Array(3 * n);
    const other = rgbOf(this.other), plain = rgbOf(this.plain);
    const ofCode = this.names.map((name) => (this.shades[name] ? rgbOf(this.shades[name]) : other));
    const span = this.high - this.low || 1;
    for (let row = 0; row < n; row += 1) {
      let colour = plain;
      if (this.codes) colour = ofCode[this.codes[row]] ?? other;
      if (this.values) colour = Number.isNaN(this.values[row]) ? other : viridis((this.values[row] - this.low) / span);
      rgb.set(colour, 3 * row);
    }
    return rgb;
  }
}

export function brief(value) {
  const text = value.toPrecision(3);
  return text.includes("e") ? text : String(Number(text));
}

/** Colours with how much of each is seen (n × 4), and the order in which the points are painted: the faint ones first. */
export function looksOf(colouring, marks, n, emphasised) {
  const rgb = colouring.rgb(n), rgba = new Uint8Array(4 * n);
  const order = new Uint32Array(n);
  const isAnyChosen = marks.some((mark) => mark & CHOSEN);
  let first = 0, last = n;
  for (let row = 0; row < n; row += 1) {
    let seen = marks[row] & LEFT_OUT ? FAINT : 1;
    if (isAnyChosen && !(marks[row] & CHOSEN)) seen *= UNCHOSEN;
    if (emphasised !== null && colouring.nameOf(row) !== emphasised) seen *= UNCHOSEN;
    rgba.set([rgb[3 * row], rgb[3 * row + 1], rgb[3 * row + 2], Math.round(255 * seen)], 4 * row);
    if (seen < 1) order[first++] = row;
    else order[--last] = row;
  }
  order.subarray(last).reverse();
  return { rgba, order };
}

/** How large points are, in pixels, and how opaque: the more there are in sight, the less of each. */
export function sizeAndOpacity(n, zoom) {
  const crowd = Math.max(1, n / zoom ** 2 / 2000);
  return { size: Math.max(2.5, 9 * crowd ** -0.33), opacity: Math.max(0.3, crowd ** -0.25) };
}
