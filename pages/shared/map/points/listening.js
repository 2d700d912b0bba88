// The map and the sound: a point that the pointer rests on is heard, the segment that a player plays is lit, and what is
// pointed at in the player beside the map is ringed.

const DELAY_MS = 1000; // who crosses the map on the way to a point asks for nothing

export class Listening {
  #waiting = 0;
  #sound = null;
  #isPlaying = false;
  #given = { hears: false, path_of: null, path: [], player_ids: [] };
  lit = -1; // the segment that is heard
  ringed = null; // the id of the track that is pointed at in the player

  constructor(onChange) {
    this.onChange = onChange;
    this.listeners = {
      "mess-heard": ({ detail }) => this.#onHeard(detail),
      "pointermove": (event) => this.#onPointed(event), // not pointerover and focusin: from one row to the next these
      "keyup": (event) => this.#onPointed(event), // stay inside the player's shadow root
      "pointerdown": () => this.stop(),
    };
    for (const [name, listener] of Object.entries(this.listeners)) window.addEventListener(name, listener);
  }

  update(given) {
    this.#given = given;
    if (!given.hears) this.stop();
  }

  /** The pointer has come to this point. */
  restOn(trackId) {
    this.stop();
    if (!trackId || !this.#given.hears || this.#isPlaying) return;
    this.#waiting = setTimeout(() => {
      this.#sound = new Audio(`${window.location.origin}/preview/${encodeURIComponent(trackId)}`);
      this.#sound.play().catch(() => {}); // before the first click on a page a browser lets nothing sound
      window.dispatchEvent(new CustomEvent("mess-heard-in-passing", { detail: { trackId } }));
    }, DELAY_MS);
  }

  stop() {
    clearTimeout(this.#waiting);
    this.#sound?.pause();
    this.#sound = null;
  }

  #onHeard({ trackId, isPlaying, second }) {
    this.#isPlaying = isPlaying;
    if (isPlaying) this.stop();
    const isHere = isPlaying && trackId === this.#given.path_of && this.#given.path.length > 0;
    this.#set("lit", isHere ? Math.max(0, this.#given.path.findLastIndex(({ start_s: startS }) => startS <= second)) : -1);
  }

  #onPointed(event) {
    const track = event.composedPath().find((each) => each instanceof Element && each.matches(".track"));
    const root = track?.getRootNode();
    const isOfMap = Boolean(root?.host?.closest(".st-key-map-player"));
    this.#set("ringed", isOfMap ? this.#given.player_ids[[...root.querySelectorAll(".track")].indexOf(track)] ?? null : null);
  }

  #set(name, value) {
    if (this[name] === value) return;
    this[name] = value;
    this.onChange();
  }

  close() {
    for (const [name, listener] of Object.entries(this.listeners)) window.removeEventListener(name, listener);
    this.stop();
  }
}
