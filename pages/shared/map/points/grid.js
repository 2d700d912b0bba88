// Which points are where: sorted into the cells of a grid, so that of a hundred thousand only a few are looked at.

const PER_CELL = 4;
const MOST_CELLS = 512; // along a side

export class Grid {
  /** places : x and y of each point, one after the other */
  constructor(places) {
    this.places = places;
    this.n = places.length / 2;
    const bounds = [Infinity, Infinity, -Infinity, -Infinity];
    for (let at = 0; at < places.length; at += 2) {
      bounds[0] = Math.min(bounds[0], places[at]);
      bounds[1] = Math.min(bounds[1], places[at + 1]);
      bounds[2] = Math.max(bounds[2], places[at]);
      bounds[3] = Math.max(bounds[3], places[at + 1]);
    }
    this.bounds = this.n ? bounds : [-1, -1, 1, 1];
    this.side = Math.min(MOST_CELLS, Math.max(1, Math.floor(Math.sqrt(this.n / PER_CELL))));
    this.starts = new Uint32Array(this.side ** 2 + 1);
    this.rows = new Uint32Array(this.n);
    const cells = new Uint32Array(this.n);
    for (let row = 0; row < this.n; row += 1) {
      cells[row] = this.#column(places[2 * row]) + this.side * this.#line(places[2 * row + 1]);
      this.starts[cells[row] + 1] += 1;
    }
    for (let cell = 0; cell < this.side ** 2; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    for (let row = 0; row < this.n; row += 1) this.rows[next[cells[row]]++] = row;
  }

  #cell(value, low, high) {
    const cell = Math.floor(((value - low) / (high - low || 1)) * this.side);
    return Math.min(this.side - 1, Math.max(0, cell));
  }

  #column(x) { return this.#cell(x, this.bounds[0], this.bounds[2]); }
  #line(y) { return this.#cell(y, this.bounds[1], this.bounds[3]); }

  /** Every point of the cells that a rectangle touches. */
  *#around(left, bottom, right, top) {
    for (let line = this.#line(bottom); line <= this.#line(top); line += 1) {
      for (let column = this.#column(left); column <= this.#column(right); column += 1) {
        const cell = column + this.side * line;
        for (let at = this.starts[cell]; at < this.starts[cell + 1]; at += 1) yield this.rows[at];
      }
    }
  }

  /** The row of the nearest point within a radius; -1 if there is none. */
  nearest(x, y, radius) {
    let best = -1, least = radius ** 2;
    for (const row of this.#around(x - radius, y - radius, x + radius, y + radius)) {
      const distance = (this.places[2 * row] - x) ** 2 + (this.places[2 * row + 1] - y) ** 2;
      if (distance <= least) [best, least] = [row, distance];
    }
    return best;
  }

  /** The rows inside a polygon of [x, y], in order. */
  inside(polygon) {
    const xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y);
    const found = [];
    for (const row of this.#around(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys))) {
      if (isInside(polygon, this.places[2 * row], this.places[2 * row + 1])) found.push(row);
    }
    return found.sort((one, other) => one - other);
  }
}

function isInside(polygon, x, y) {
  let inside = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [[x1, y1], [x2, y2]] = [polygon[at], polygon[before]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}
