import { Rows } from "./rows.js";
import { formatTime } from "./time.js";
import { Waveform } from "./waveform.js";

const SEEK_STEP_S = 5;
const CLICK_PX = 4; // a hand that moved less meant a place, not a stretch
const REACH_PX = { mouse: 6, other: 18 }; // how near to an end of the region the pointer takes hold of it

/**
 * The elements on the page. It shows what it is given and says which wishes were expressed.
 *
 * Tracks are shown side by side above the waveform; or, where they come with rows, as a list below it (rows.js), whose
 * keys work wherever on the page nobody types.
 */
export class View {
  constructor(root, wishes) {
    const find = (name) => root.querySelector(`.${name}`);
    this.section = find("player");
    this.tracks = find("tracks");
    this.canvas = find("waveform");
    this.playButton = find("play");
    this.loopButton = find("loop");
    this.compareButton = find("compare");
    this.matchButton = find("match");
    this.nowText = find("now");
    this.totalText = find("total");
    this.status = find("status");
    this.wishes = wishes;
    this.rows = new Rows(this.tracks, wishes);
    this.waveform = new Waveform(this.canvas);
    this.resizing = new ResizeObserver(() => wishes.redraw());
    this.resizing.observe(this.canvas);
    this.section.addEventListener("keydown", (event) => this.#onKey(event));
    this.onPageKey = (event) => this.isList && !isTyping(event) && this.#onKey(event);
    window.addEventListener("keydown", this.onPageKey);
    this.playButton.onclick = () => wishes.toggle();
    this.loopButton.onclick = (event) => this.#afterClick(event, wishes.toggleLoop);
    this.compareButton.onclick = (event) => this.#afterClick(event, wishes.toggleCompare);
    this.matchButton.onclick = (event) => this.#afterClick(event, wishes.toggleMatch);
    this.#listenToPointer();
    this.section.inert = false; // until here nobody would have heard a click
  }

  /** After a click with the mouse the keys belong to the player again: Space must play, not click once more. */
  #afterClick(event, wish) {
    wish();
    if (event.detail > 0) this.section.focus({ preventScroll: true });
  }

  #onKey(event) {
    if (isChord(event)) return;
    const { wishes } = this;
    const isOnToggle = event.target.matches?.(".toggle, .play, .act") ?? false;
    const ofRows = {
      ArrowUp: () => this.#auditionBeside(-1),
      ArrowDown: () => this.#auditionBeside(1),
      a: wishes.hearQuery,
      A: wishes.hearQuery,
      b: wishes.hearAgain,
      B: wishes.hearAgain,
      m: wishes.toMoment,
      M: wishes.toMoment,
    };
    const actions = {
      " ": isOnToggle ? null : wishes.toggle, // a button in focus answers to Space by itself
      ArrowLeft: () => wishes.seekBy(-SEEK_STEP_S),
      ArrowRight: () => wishes.seekBy(SEEK_STEP_S),
      PageDown: event.target === this.canvas ? () => wishes.seekBy(-6 * SEEK_STEP_S) : null,
      PageUp: event.target === this.canvas ? () => wishes.seekBy(6 * SEEK_STEP_S) : null,
      ArrowUp: () => this.#selectBeside(-1),
      ArrowDown: () => this.#selectBeside(1),
      Home: () => wishes.seekTo(0),
      End: event.target === this.canvas ? () => wishes.seekBy(Infinity) : null,
      l: wishes.toggleLoop,
      L: wishes.toggleLoop,
      "[": () => wishes.mark("from"),
      "]": () => wishes.mark("to"),
      Escape: wishes.hasPassage() ? wishes.clearPassage : null, // else it is the page's
      ...(this.isList ? ofRows : {}),
    };
    let action = actions[event.key];
    const track = /^[1-9]$/.test(event.key) ? wishes.trackOfKey(Number(event.key)) : null;
    if (track !== null) action = () => wishes.select(track);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit and the page have shortcuts of their own
    action();
  }

  /** Up and down walk through the tracks, as in any group of radio buttons. */
  #selectBeside(step) {
    const [next, button] = this.#beside([...this.tracks.children], step);
    this.wishes.select(next);
    button.focus();
  }

  /** In a list they are heard at once, each at its best moment. */
  #auditionBeside(step) {
    const [next, button] = this.#beside(this.rows.buttons, step);
    this.wishes.audition(next, false);
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  }

  #beside(buttons, step) {
    const current = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
    const next = (current + step + buttons.length) % buttons.length;
    return [next, buttons[next]];
  }

  #listenToPointer() {
    const { canvas, waveform, wishes } = this;
    const fractionAt = (event) => Math.max(0, Math.min(1, event.offsetX / canvas.clientWidth));
    const reachOf = (event) => (REACH_PX[event.pointerType] ?? REACH_PX.other) / canvas.clientWidth;
    let pressedX = 0;
    canvas.onpointerdown = (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      canvas.setPointerCapture(event.pointerId);
      pressedX = event.offsetX;
      wishes.grab(fractionAt(event), reachOf(event));
    };
    canvas.onpointermove = (event) => {
      const isHeld = canvas.hasPointerCapture(event.pointerId);
      const saysWhere = event.pointerType === "mouse" || (isHeld && wishes.isSelecting());
      waveform.hoverX = saysWhere ? fractionAt(event) * canvas.clientWidth : null;
      canvas.classList.toggle("at-end", wishes.isAtEnd(fractionAt(event), reachOf(event)));
      if (isHeld) wishes.drag(fractionAt(event));
      else wishes.redraw();
    };
    canvas.onpointerup = (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      wishes.drop(fractionAt(event), Math.abs(event.offsetX - pressedX) < CLICK_PX);
    };
    canvas.onpointercancel = () => wishes.drop(null);
    canvas.onpointerleave = () => { waveform.hoverX = null; wishes.redraw(); };
  }

  #showTracks(tracks) {
    const shown = JSON.stringify(tracks.map(({ id, label, performer }) => [id, label, performer]));
    if (shown === this.shown) return; // the focus stays where it is
    this.shown = shown;
    this.tracks.replaceChildren(...tracks.map((track, index) => this.#trackButton(track, index)));
  }

  #trackButton({ label, performer }, index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "track";
    button.setAttribute("role", "radio");
    button.title = [label, performer].filter(Boolean).join("\n");
    for (const [name, text] of [["number", index + 1], ["label", label], ["note", ""]]) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = text;
      button.append(part);
    }
    if (performer) {
      const part = document.createElement("span");
      part.className = "performer";
      part.textContent = performer;
      button.querySelector(".label").append(" ", part); // the space parts them where they are read aloud
    }
    button.onclick = () => this.wishes.select(index);
    return button;
  }

  /** `tracks`: all of them as they are now. The view keeps no list of its own that could be another one. */
  show({ tracks, audible, isPlaying, loops, compares, matched, isStrange, positionS, durationS, momentText, status }) {
    this.#layOut(tracks.every((track) => track.row));
    if (this.isList) this.rows.show(tracks, { audible, isPlaying, colours: this.waveform.colours });
    else this.#showButtons(tracks, audible);
    this.section.classList.toggle("playing", isPlaying);
    this.section.classList.toggle("strange", isStrange);
    setAttribute(this.playButton, "aria-label", isPlaying ? "Pause" : "Play");
    setAttribute(this.loopButton, "aria-pressed", loops);
    setAttribute(this.compareButton, "aria-pressed", compares);
    setAttribute(this.matchButton, "aria-pressed", matched);
    setText(this.nowText, formatTime(positionS, 1));
    setText(this.totalText, ` / ${formatTime(durationS, 1)}`);
    setText(this.status, status);
    setAttribute(this.canvas, "aria-valuemax", Math.round(durationS));
    setAttribute(this.canvas, "aria-valuenow", Math.floor(positionS)); // whole seconds: not a word every frame
    setAttribute(this.canvas, "aria-valuetext", `${formatTime(positionS)} of ${formatTime(durationS)}`);
    setAttribute(this.canvas, "aria-description", momentText);
  }

  /** Tracks above the waveform, a list below it; also for those who go from one to the next by key. */
  #layOut(isList) {
    if (isList === this.isList) return;
    this.isList = isList;
    this.section.classList.toggle("list", isList);
    const deck = this.section.querySelector(".deck");
    this.section.prepend(...(isList ? [deck, this.tracks] : [this.tracks, deck]));
    this.tracks.replaceChildren();
    this.shown = "";
  }

  #showButtons(tracks, audible) {
    this.#showTracks(tracks);
    [...this.tracks.children].forEach((button, index) => {
      const { note, isSilent, isFailed } = tracks[index];
      setAttribute(button, "aria-checked", index === audible);
      button.tabIndex = index === audible ? 0 : -1;
      button.classList.toggle("silent", isSilent);
      button.classList.toggle("failed", isFailed);
      setText(button.lastChild, note);
    });
  }

  close() {
    this.resizing.disconnect();
    window.removeEventListener("keydown", this.onPageKey);
  }
}

const TYPING = "input, textarea, select, [contenteditable], [role=slider], [role=combobox], [role=listbox], [role=radio],"
  + " [role=tab], [role=grid], [role=menuitem], [role=dialog] *, canvas, video, audio";
const CLICKED_BY_SPACE = "button, a, summary";
/** What is chosen with one click: who has clicked it listens next, who came to it by Tab goes on from there. */
const CHOSEN = "button, a, summary, [role=radio], [role=tab], [role=switch], input[type=checkbox], input[type=radio]";

let clicked = null; // what was clicked last, unless Tab was pressed since
window.addEventListener("pointerdown", (event) => { [clicked] = event.composedPath(); }, true);
window.addEventListener("keydown", (event) => { if (event.key === "Tab") clicked = null; }, true);

/** Whether a key pressed on the page belongs to what has the focus there. */
function isTyping(event) {
  const [target] = event.composedPath();
  if (!(target instanceof Element) || event.defaultPrevented) return event.defaultPrevented;
  if (target.matches(CHOSEN) && hasFocusByClick(target) && !target.closest("[role=dialog]")) return false;
  return target.matches(TYPING) || (event.key === " " && target.matches(CLICKED_BY_SPACE));
}

function hasFocusByClick(target) {
  if (!(clicked instanceof Element)) return false;
  return target.contains(clicked) || (clicked.closest("label")?.contains(target) ?? false);
}

/** Keys pressed together belong to the browser, except where this is how a keyboard writes a bracket (AltGr, Option). */
function isChord(event) {
  const { key, ctrlKey, metaKey, altKey } = event;
  const writesBracket = (key === "[" || key === "]") && (event.getModifierState("AltGraph") || (altKey && !ctrlKey));
  return metaKey || (!writesBracket && (ctrlKey || altKey));
}

/** Writing only what changed spares screen readers and layout. */
function setText(element, text) { if (element.textContent !== text) element.textContent = text; }
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}
