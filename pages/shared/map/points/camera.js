// What part of the map is seen: its centre, and how many pixels a radius of the map is long. Upward is up.

const MARGIN = 0.06; // around the points, as a share of their extent
const MOST_ZOOM = 400, LEAST_ZOOM = 0.5;

export class Camera {
  x = 0;
  y = 0;
  scale = 1;
  width = 1;
  height = 1;
  #bounds = [-1, -1, 1, 1];
  #isWhole = true;

  /** How much larger than the whole map. */
  get zoom() { return this.scale / this.#wholeScale; }

  get #wholeScale() {
    const [left, bottom, right, top] = this.#bounds;
    const span = 1 + 2 * MARGIN;
    return Math.min(this.width / (span * Math.max(right - left, 1e-6)), this.height / (span * Math.max(top - bottom, 1e-6)));
  }

  /** The extent of the points; what is seen of them stays, unless it was all. */
  setBounds(bounds) {
    this.#bounds = bounds;
    if (this.#isWhole) this.showAll();
  }

  resize(width, height) {
    const zoom = this.zoom;
    [this.width, this.height] = [Math.max(1, width), Math.max(1, height)];
    if (this.#isWhole) this.showAll();
    else this.scale = zoom * this.#wholeScale;
  }

  showAll() {
    const [left, bottom, right, top] = this.#bounds;
    [this.x, this.y, this.scale] = [(left + right) / 2, (bottom + top) / 2, this.#wholeScale];
    this.#isWhole = true;
  }

  /** A place on the map, in pixels from the upper left. */
  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toMap(left, top) {
    return [this.x + (left - this.width / 2) / this.scale, this.y - (top - this.height / 2) / this.scale];
  }

  moveBy(right, down) {
    this.x -= right / this.scale;
    this.y += down / this.scale;
    this.#isWhole = false;
  }

  /** Nearer or further; what lies at this pixel stays there. */
  zoomAt(left, top, factor) {
    const [x, y] = this.toMap(left, top);
    const whole = this.#wholeScale;
    this.scale = Math.min(MOST_ZOOM * whole, Math.max(LEAST_ZOOM * whole, this.scale * factor));
    this.x = x - (left - this.width / 2) / this.scale;
    this.y = y + (top - this.height / 2) / this.scale;
    this.#isWhole = false;
  }

  isInSight(x, y) {
    const [left, top] = this.toScreen(x, y);
    return left >= 0 && top >= 0 && left <= this.width && top <= this.height;
  }
}
