// The face of the player. Its sound, which stands before this text when the two are joined, is player_audio.js.
//
// Waveform   draws the track that is heard.   View  the elements on the page and the keyboard.
// Selection  a passage while it is being chosen.
// Player     joins sound and view, and tells Python what was heard and which passage was chosen.
//
// Names and messages come from files and other people: they are set as textContent only.

const SEEK_STEP_S = 5;
const REPORT_CALM_MS = 700; // quick comparing (1 2 1 2 ...) makes one report, not ten
const PASSAGE_MIN = toFrames(1); // as in player.py
const ECHO_TOLERANCE = toFrames(0.06); // a passage comes back from Python rounded, to tenths of a second at most
const CLICK_PX = 4; // a hand that moved less meant a place, not a stretch
const REACH_PX = { mouse: 6, other: 18 }; // how near to an end of the region the pointer takes hold of it

function formatTime(seconds, digits = 0) {
  const scale = 10 ** digits;
  const rounded = Math.floor(seconds * scale + 1e-6) / scale;
  return `${Math.floor(rounded / 60)}:${(rounded % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
}

/**
 * The waveform of the track that is heard: played part coloured, a scale below, hatched where the track is silent.
 * Behind it a soft band for the moment of this track, a clear one between brackets for the region of the clock.
 */
class Waveform {
  hoverX = null;
  #colours = {};

  constructor(canvas) {
    this.canvas = canvas;
    this.readTheme();
  }

  readTheme() {
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [played, text, background] = ["primary", "text", "background"].map((name) => colour(`--st-${name}-color`));
    this.#colours = { played, text, background };
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
    if (region) this.#drawBand(pen, region.map(xOf), barsHeight, this.#colours.played, 0.2);
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
    this.#drawBand(pen, [from, to], barsHeight, this.#colours.text, 0.1);
    pen.globalAlpha = 0.6;
    pen.fillRect(from, 2, 2, 9); // the tick: here it begins
  }

  /** One end of a region, 0 the left and 1 the right; with a grip while it can be dragged. */
  #drawBracket(pen, at, { end, width, barsHeight, hasGrips }) {
    const x = Math.max(0, Math.min(end === 0 ? at : at - 2, width - 2)); // the line lies within the region
    const inwards = end === 0 ? x : x - 4;
    pen.fillStyle = this.#colours.played;
    pen.globalAlpha = 1;
    pen.fillRect(x, 2, 2, barsHeight);
    for (const y of [2, barsHeight]) pen.fillRect(inwards, y, 6, 2);
    if (!hasGrips) return;
    pen.beginPath();
    pen.roundRect(x - 2, barsHeight / 2 - 9, 6, 22, 3);
    pen.strokeStyle = this.#colours.background; // a rim, or it is lost among the bars
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
      pen.fillStyle = isPlayed ? this.#colours.played : this.#colours.text;
      pen.fillRect(x, middle - half, 2, 2 * half);
    }
  }

  #drawSilence(pen, spans, barsHeight) {
    pen.fillStyle = this.#colours.text;
    pen.globalAlpha = 0.16;
    for (const [from, to] of spans) {
      for (let x = from + 4; x < to - 3; x += 9) pen.fillRect(x, barsHeight / 2 + 1.5, 3, 1);
    }
  }

  #drawScale(pen, { width, height, durationS, xOf }) {
    const stepS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600].find((step) => xOf(step) >= 64) ?? 7200;
    pen.fillStyle = this.#colours.text;
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
    pen.fillStyle = this.#colours.text;
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

/** The elements on the page. It shows what it is given and says which wishes were expressed. */
class View {
  constructor(root, wishes) {
    const find = (name) => root.querySelector(`.${name}`);
    this.section = find("player");
    this.tracks = find("tracks");
    this.canvas = find("waveform");
    this.playButton = find("play");
    this.loopButton = find("loop");
    this.passageButton = find("passage");
    this.matchButton = find("match");
    this.nowText = find("now");
    this.totalText = find("total");
    this.status = find("status");
    this.wishes = wishes;
    this.waveform = new Waveform(this.canvas);
    this.resizing = new ResizeObserver(() => wishes.redraw());
    this.resizing.observe(this.canvas);
    this.section.addEventListener("keydown", (event) => this.#onKey(event));
    this.playButton.onclick = () => wishes.toggle();
    this.loopButton.onclick = (event) => this.#afterClick(event, wishes.toggleLoop);
    this.passageButton.onclick = (event) => this.#afterClick(event, wishes.togglePassage);
    this.matchButton.onclick = (event) => this.#afterClick(event, wishes.toggleMatch);
    this.#listenToPointer();
  }

  /** After a click with the mouse the keys belong to the player again: Space must play, not click once more. */
  #afterClick(event, wish) {
    wish();
    if (event.detail > 0) this.section.focus({ preventScroll: true });
  }

  #onKey(event) {
    if (isChord(event)) return;
    const { wishes } = this;
    const isOnToggle = event.target.classList.contains("toggle") || event.target === this.playButton;
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
      p: wishes.togglePassage,
      P: wishes.togglePassage,
      "[": () => wishes.mark("from"),
      "]": () => wishes.mark("to"),
      Escape: wishes.hasPassage() ? wishes.clearPassage : null, // else it is the page's
    };
    let action = actions[event.key];
    const number = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
    if (number >= 0 && number < this.tracks.children.length) action = () => wishes.select(number);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit and the page have shortcuts of their own
    action();
  }

  /** Up and down walk through the tracks, as in any group of radio buttons. */
  #selectBeside(step) {
    const buttons = [...this.tracks.children];
    const current = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
    const next = (current + step + buttons.length) % buttons.length;
    this.wishes.select(next);
    buttons[next].focus();
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
  show({ tracks, audible, isPlaying, loops, selects, matched, positionS, durationS, momentText, status }) {
    this.#showTracks(tracks);
    [...this.tracks.children].forEach((button, index) => {
      const { note, isSilent, isFailed } = tracks[index];
      setAttribute(button, "aria-checked", index === audible);
      button.tabIndex = index === audible ? 0 : -1;
      button.classList.toggle("silent", isSilent);
      button.classList.toggle("failed", isFailed);
      setText(button.lastChild, note);
    });
    this.section.classList.toggle("playing", isPlaying);
    setAttribute(this.playButton, "aria-label", isPlaying ? "Pause" : "Play");
    this.section.classList.toggle("selecting", selects);
    setAttribute(this.loopButton, "aria-pressed", loops);
    setAttribute(this.passageButton, "aria-pressed", selects);
    setAttribute(this.matchButton, "aria-pressed", matched);
    setText(this.nowText, formatTime(positionS, 1));
    setText(this.totalText, ` / ${formatTime(durationS, 1)}`);
    setText(this.status, status);
    setAttribute(this.canvas, "aria-valuemax", Math.round(durationS));
    setAttribute(this.canvas, "aria-valuenow", Math.floor(positionS)); // whole seconds: not a word every frame
    setAttribute(this.canvas, "aria-valuetext", `${formatTime(positionS)} of ${formatTime(durationS)}`);
    setAttribute(this.canvas, "aria-description", momentText);
  }

  close() { this.resizing.disconnect(); }
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

/** A passage while it is being chosen, dragged out or marked end by end. In frames of the clock. */
class Selection {
  isOn = false; // dragging on the waveform chooses a passage; else it seeks
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
    if (!this.isOn || !region) return null;
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

class Player {
  #heard = {};
  #switches = 0;
  #hasReported = false;
  #accountedAt = null;
  #dragTo = null;
  #wasPlaying = false;
  #selection = new Selection();
  #region = null; // as it was asked for, in frames: {trackId, from, to} in that track, or in the clock if trackId is null
  #regionAsked = "null"; // what Python said last
  #passageSent = "null"; // what Python was told last

  constructor(root) {
    this.engine = new Engine(() => this.#onEngineChange());
    this.view = new View(root, {
      toggle: () => (this.engine.wantsToPlay ? this.#pause() : this.#play()),
      toggleLoop: () => this.engine.setLoop(!this.engine.clock.loops),
      togglePassage: () => this.#togglePassage(),
      mark: (end) => this.#mark(end),
      hasPassage: () => this.#hasPassage,
      clearPassage: () => this.#clearPassage(),
      toggleMatch: () => { this.engine.setMatched(!this.engine.matched); this.#refresh(); },
      select: (index) => this.#select(index),
      seekBy: (seconds) => this.#seek(toSeconds(this.engine.position) + seconds),
      seekTo: (seconds) => this.#seek(seconds),
      isSelecting: () => this.#selection.dragged !== null,
      isAtEnd: (fraction, reach) => this.#selection.endNear(this.#frameAt(fraction), ...this.#regionWithin(reach)) !== null,
      grab: (fraction, reach) => this.#grab(fraction, reach),
      drag: (fraction) => this.#drag(fraction),
      drop: (fraction, isClick) => this.#drop(fraction, isClick),
      redraw: () => this.#refresh(),
    });
    this.onOtherPlayer = (event) => event.detail !== this && this.engine.wantsToPlay && this.#pause();
    window.addEventListener("mess-player-plays", this.onOtherPlayer);
    this.calmMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Called on mount, when the tracks changed, and when the theme did. */
  update({ key, excerpt_s: excerptS, tracks, region, starts }, send) {
    this.send = send;
    this.#account(); // what was heard until now, of a track that may be gone in a moment
    const goesOn = this.engine.setTracks(tracks, excerptS);
    this.#takeRegion(region, !goesOn);
    this.view.waveform.readTheme();
    this.#loadPeaks();
    this.#publishProbe(key);
    this.#takeStart(starts);
    this.#refresh();
  }

  /** A wish of the page's, made once: the first track from its beginning. */
  #takeStart(starts) {
    const isNew = starts !== null && starts !== this.started;
    this.started = starts ?? this.started;
    if (!isNew) return;
    this.#select(0);
    this.#seek(0);
    this.#play();
  }

  // --- wishes of the listener ------------------------------------------------------------------------------

  #play() {
    window.dispatchEvent(new CustomEvent("mess-player-plays", { detail: this }));
    this.engine.play();
  }

  #pause() {
    this.#account();
    this.engine.pause();
  }

  #select(index) {
    if (index !== this.engine.audible) {
      this.#account();
      this.#switches += 1;
      clearTimeout(this.calm);
      this.calm = setTimeout(() => this.#report(), REPORT_CALM_MS);
    }
    this.engine.select(index);
    this.#loadPeaks();
  }

  #seek(seconds) {
    this.#account();
    this.engine.seek(toFrames(Math.max(0, Math.min(seconds, toSeconds(this.engine.clock.length)))));
  }

  // --- the pointer: it seeks, or chooses a passage -----------------------------------------------------------

  #frameAt(fraction) { return Math.round(fraction * this.engine.clock.length); }

  #regionWithin(reach) { return [this.engine.clock.region, reach * this.engine.clock.length]; }

  #grab(fraction, reach) {
    if (this.#selection.isOn) this.#selection.grab(this.#frameAt(fraction), ...this.#regionWithin(reach));
    else this.#dragTo = fraction;
    this.#refresh();
  }

  #drag(fraction) {
    if (this.#selection.dragged) this.#selection.dragTo(this.#frameAt(fraction));
    else if (this.#dragTo !== null) this.#dragTo = fraction; // null: given up with Escape
    this.#refresh();
  }

  /** `fraction` is null if the browser took the pointer away. What is too short for a passage is a place to go to. */
  #drop(fraction, isClick) {
    const dragged = this.#selection.drop();
    const seeks = dragged !== null || this.#dragTo !== null;
    this.#dragTo = null;
    const isChosen = fraction !== null && dragged !== null && !isClick && this.#choose(dragged);
    if (seeks && !isChosen && fraction !== null) this.#seek(fraction * toSeconds(this.engine.clock.length));
    this.#refresh();
  }

  // --- the passage and the region ----------------------------------------------------------------------------

  get #hasPassage() {
    const { dragged, marks } = this.#selection;
    return Boolean(dragged || this.engine.clock.region || marks.from !== null || marks.to !== null);
  }

  #togglePassage() {
    this.#selection.isOn = !this.#selection.isOn;
    this.#refresh();
  }

  /** The passage begins or ends where the listener is; with its other end it is chosen. */
  #mark(end) {
    const { marks } = this.#selection;
    marks[end] = this.engine.position;
    const hasBoth = marks.from !== null && marks.to !== null;
    if (hasBoth && !this.#choose(marks)) marks[end === "from" ? "to" : "from"] = null; // the other one is to come anew
    this.#refresh();
  }

  /** Makes {from, to} of the clock the passage, as far as the track that is heard goes; false if too little is left. */
  #choose(span) {
    const { voice } = this.engine;
    const from = Math.max(0, span.from + voice.offset);
    const to = Math.min(voice.length, span.to + voice.offset);
    if (to - from < PASSAGE_MIN) return false;
    const trackId = voice.track.id;
    this.#region = { trackId, from, to };
    this.#showRegion();
    this.#selection.follow(this.engine.clock.region);
    this.#sendPassage({ track_id: trackId, start_s: round(toSeconds(from), 6), end_s: round(toSeconds(to), 6) });
    return true;
  }

  /** Escape: a drag is given up; else the region goes, and with it the passage that Python knows of. */
  #clearPassage() {
    if (!this.#selection.drop()) {
      this.#region = null;
      this.#showRegion();
      this.#selection.follow(null);
      this.#sendPassage(null);
    }
    this.#refresh();
  }

  #sendPassage(passage) {
    const told = JSON.stringify(passage);
    if (told === this.#passageSent) return;
    this.#passageSent = told;
    if (!this.#hasReported) this.#report(); // in Python a passage is part of a report
    this.send("passage", passage);
  }

  /** A region from Python, in seconds of the clock, or null. It counts when it is new; until then the listener's stays. */
  #takeRegion(region, isFresh) {
    const asked = JSON.stringify(region);
    const isNew = isFresh || asked !== this.#regionAsked;
    const wasAsked = this.#regionAsked !== "null";
    this.#regionAsked = asked;
    const replaces = isNew && region !== null && (isFresh || !this.#isShown(region));
    if (replaces) this.#region = { trackId: null, from: toFrames(region[0]), to: toFrames(region[1]) };
    // What Python has taken up and now no longer asks about is gone, also if it was drawn here.
    if (isNew && region === null && (wasAsked || this.#region?.trackId === null)) {
      this.#region = null;
      this.#sendPassage(null);
    }
    this.#showRegion(); // also where only the tracks or their offsets changed
    const { clock } = this.engine;
    if (replaces && clock.region) this.engine.moveTo(clock.region.from);
  }

  /** Whether a region from Python is only the passage that it was told: then the sound goes on where it is. */
  #isShown([fromS, toS]) {
    const { region } = this.engine.clock;
    const isNear = (frame, seconds) => Math.abs(frame - toFrames(seconds)) <= ECHO_TOLERANCE;
    return region !== null && isNear(region.from, fromS) && isNear(region.to, toS);
  }

  /** Lays the region onto the clock. */
  #showRegion() {
    this.#account();
    const isAnother = this.engine.setRegion(this.#regionOnClock());
    if (isAnother) this.#selection.follow(this.engine.clock.region);
  }

  #regionOnClock() {
    if (!this.#region) return null;
    const { trackId, from, to } = this.#region;
    if (trackId === null) return { from, to };
    const voice = this.engine.voices.find(({ track }) => track.id === trackId);
    return voice ? { from: from - voice.offset, to: to - voice.offset } : null;
  }

  // --- what was heard --------------------------------------------------------------------------------------

  /** Adds the seconds since the last call to the track that was heard; silence does not count. */
  #account() {
    const { engine } = this;
    const { now } = engine;
    const isSounding = engine.clock.isRunning && !engine.voice.error && engine.voice.excerptAt(engine.position) !== null;
    if (isSounding && this.#accountedAt !== null) {
      const { id } = engine.voice.track;
      this.#heard[id] = (this.#heard[id] ?? 0) + toSeconds(now - this.#accountedAt);
    }
    this.#accountedAt = isSounding ? now : null;
  }

  #report() {
    clearTimeout(this.calm);
    this.#account();
    this.#hasReported = true;
    this.send("report", {
      position_s: round(toSeconds(this.engine.position), 3),
      track_id: this.engine.voice.track.id,
      switches: this.#switches,
      heard: Object.fromEntries(Object.entries(this.#heard).map(([id, seconds]) => [id, round(seconds, 2)])),
    });
  }

  // --- showing ---------------------------------------------------------------------------------------------

  #onEngineChange() {
    if (!this.view) return;
    this.#account();
    if (this.#wasPlaying && !this.engine.wantsToPlay) this.#report(); // paused, or at its end
    this.#wasPlaying = this.engine.wantsToPlay;
    this.#refresh();
    this.#animate();
  }

  #animate() {
    if (this.frame || !this.engine.clock.isRunning || this.calmMotion.matches) return; // else the pump's pace will do
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#refresh();
      this.#animate();
    });
  }

  #refresh() {
    const { engine, view } = this;
    const { voice, clock } = engine;
    if (!voice) return;
    const durationS = toSeconds(clock.length);
    const positionS = this.#dragTo === null ? toSeconds(engine.position) : this.#dragTo * durationS;
    const moment = this.#momentOf(voice);
    view.show({
      tracks: engine.voices.map((each, index) => this.#stateOf(each, index)),
      audible: engine.audible,
      isPlaying: engine.wantsToPlay,
      loops: clock.loops,
      selects: this.#selection.isOn,
      matched: engine.matched,
      positionS,
      durationS,
      momentText: moment ? `Marked: ${spanText(moment)}` : "",
      status: this.#status(),
    });
    this.#tellOthers(voice);
    view.waveform.draw({
      peaks: voice.peaks,
      startS: toSeconds(-voice.offset),
      endS: toSeconds(voice.length - voice.offset),
      gain: this.#displayGain(),
      positionS,
      durationS,
      moment,
      ...this.#regionToDraw(),
    });
  }

  /** What is heard now, for whatever else on the page follows it (follow.js). */
  #tellOthers({ track, offset }) {
    const detail = {
      trackId: track.id,
      second: toSeconds(this.engine.position + offset),
      isPlaying: this.engine.clock.isRunning,
    };
    window.dispatchEvent(new CustomEvent("mess-heard", { detail }));
  }

  #regionToDraw() {
    const { dragged, waiting, isOn } = this.#selection;
    const region = dragged ?? this.engine.clock.region;
    return {
      region: region && [toSeconds(region.from), toSeconds(region.to)],
      mark: waiting && { atS: toSeconds(waiting.frame), isBeginning: waiting.end === "from" },
      hasGrips: isOn,
    };
  }

  /** The moment of a track, [from, to] in seconds of the clock, as far as it lies on it; null without one. */
  #momentOf({ track, offset, length }) {
    if (!track.moment) return null;
    const [startS, lengthS] = track.moment;
    const from = Math.max(0, Math.max(0, startS) - toSeconds(offset));
    const to = Math.min(startS + lengthS, toSeconds(length)) - toSeconds(offset);
    return to > from ? [from, to] : null;
  }

  #stateOf(voice, index) {
    const isSilent = voice.excerptAt(Math.min(this.engine.position, this.engine.clock.length - 1)) === null;
    let note = index === 0 && this.engine.voices.length > 1 ? "query" : "";
    if (isSilent) note = this.engine.position + voice.offset < 0 ? "not yet" : "ended";
    if (voice.error) note = "unavailable";
    const { id, label, performer } = voice.track;
    return { id, label, performer, note, isSilent, isFailed: voice.error !== "" };
  }

  #status() {
    const { engine } = this;
    const failed = engine.voices.findIndex((voice) => voice.error && (voice === engine.voice || !engine.voice.error));
    if (failed >= 0) {
      const { error, track } = engine.voices[failed];
      return `${failed + 1} · ${track.label} cannot be played: ${error}. Choose it to try again.`;
    }
    return engine.wantsToPlay && !engine.clock.isRunning ? "Loading …" : this.#passageStatus();
  }

  #passageStatus() {
    const { waiting, isOn } = this.#selection;
    const { region } = this.engine.clock;
    if (waiting?.end === "from") return `Passage from ${formatTime(toSeconds(waiting.frame), 1)}: press ] at its end`;
    if (waiting) return `Passage up to ${formatTime(toSeconds(waiting.frame), 1)}: press [ at its beginning`;
    if (region) return `Passage ${spanText([toSeconds(region.from), toSeconds(region.to)])}`;
    return isOn ? "Drag across the waveform to choose a passage" : "";
  }

  /** The loudest bar of all tracks, at the loudness it is heard with, fills the height. */
  #displayGain() {
    const gainOf = (voice) => (this.engine.matched ? 10 ** (voice.track.gain_db / 20) : 1);
    const loudest = Math.max(...this.engine.voices.map((voice) => (voice.peaks ? Math.max(...voice.peaks) * gainOf(voice) : 0)));
    return loudest > 0 ? gainOf(this.engine.voice) / loudest : 0;
  }

  async #loadPeaks() {
    const { voice } = this.engine;
    if (voice.peaks || voice.peaksAsked || !voice.track.peaks_url) return;
    voice.peaksAsked = true;
    try {
      const answer = await fetch(voice.track.peaks_url);
      const { peaks } = await answer.json();
      if (Array.isArray(peaks) && peaks.length) voice.peaks = peaks.map((peak) => Number(peak) || 0);
    } catch {
      voice.peaksAsked = false; // a missing picture is no reason to say anything; the next choice asks again
    }
    this.#refresh();
  }

  /** For tests: read-only views of the audio graph. */
  #publishProbe(key) {
    const { engine } = this;
    this.key = key;
    this.probe = Object.freeze({
      get context() { return engine.context; },
      get output() { return engine.output; },
      get inputs() { return engine.voices.map((voice) => voice.input); },
      get gains() { return engine.voices.map((voice) => voice.gain?.gain.value ?? 0); },
      get positions() { return engine.voices.map((voice) => toSeconds(engine.position + voice.offset)); },
      get position() { return toSeconds(engine.position); },
      get duration() { return toSeconds(engine.clock.length); },
      get region() { return engine.clock.region && [toSeconds(engine.clock.region.from), toSeconds(engine.clock.region.to)]; },
      get isRunning() { return engine.clock.isRunning; },
      get audible() { return engine.voice.track.id; },
      get ready() { return engine.voices.map((voice) => voice.isReadyAt(engine.position)); },
      get decoded() { return engine.voices.map((voice) => voice.decoded); },
      get sources() { return engine.voices.map((voice) => voice.sourceCount); },
    });
    (window.__messPlayer ??= {})[key] = this.probe;
  }

  close() {
    clearTimeout(this.calm);
    cancelAnimationFrame(this.frame);
    window.removeEventListener("mess-player-plays", this.onOtherPlayer);
    this.engine.close();
    this.view.close();
    if (window.__messPlayer[this.key] === this.probe) delete window.__messPlayer[this.key];
  }
}

function spanText([fromS, toS]) { return `${formatTime(fromS, 1)}–${formatTime(toS, 1)}`; }

function round(value, digits) { return Number(value.toFixed(digits)); }

const players = new WeakMap(); // by the element they live in: a rerun finds its player again, still playing

export default function ({ data, parentElement, setStateValue }) {
  if (!players.has(parentElement)) players.set(parentElement, { player: new Player(parentElement), calls: 0 });
  const entry = players.get(parentElement);
  const call = (entry.calls += 1);
  entry.player.update(data, setStateValue);
  return () => {
    if (entry.calls !== call) return; // Streamlit may clean up an overtaken call while the component lives on
    players.delete(parentElement);
    entry.player.close();
  };
}
