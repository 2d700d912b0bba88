/** A passage while it is being chosen, dragged out or marked end by end. In frames of the clock. */
export class Selection {
  marks = { from: null, to: null }; // the ends of the region; one without the other waits for it
  #anchor = null;
  #tip = null;

  /** What is dragged out so far, {from, to}; null when nothing is. */
  get dragged() {
    if (this.#anchor === null) return null;
    return { from: Math.min(this.#anchor, this.#tip), to: Math.max(this.#anchor, this.#tip) };
  }

  /** The single mark, which waits for the other: {end, frame}, or null. */
  get waiting() {
    const set = Object.entries(this.marks).filter(([, frame]) => frame !== null);
    return set.length === 1 ? { end: set[0][0], frame: set[0][1] } : null;
  }

  /** Which end of the region lies within reach of a place; null if none does. */
  endNear(frame, region, reach) {
    if (!region) return null;
    const end = Math.abs(frame - region.from) < Math.abs(frame - region.to) ? region.from : region.to;
    return Math.abs(frame - end) <= reach ? end : null;
  }

  /** Taken at one of its ends, the region keeps the other one; anywhere else a new passage begins. */
  grab(frame, region, reach) {
    const end = this.endNear(frame, region, reach);
    this.#anchor = end === null ? frame : region.from + region.to - end;
    this.#tip = end ?? frame;
  }

  dragTo(frame) { this.#tip = frame; }

  /** The marks of a region that was set as a whole. */
  follow(region) { this.marks = { from: region?.from ?? null, to: region?.to ?? null }; }

  /** Lets go, and returns what was dragged out. */
  drop() {
    const { dragged } = this;
    this.#anchor = null;
    return dragged;
  }
}
