// The face of the player. Its sound, which stands before this text when the two are joined, is player_audio.js.
//
// Waveform  draws the track that is heard.   View  the elements on the page and the keyboard.
// Player    joins sound and view, and tells Python what was heard.
//
// Names and messages come from files and other people: they are set as textContent only.

const SEEK_STEP_S = 5;
const REPORT_CALM_MS = 700; // quick comparing (1 2 1 2 ...) makes one report, not ten

function formatTime(seconds, digits = 0) {
  const scale = 10 ** digits;
  const rounded = Math.floor(seconds * scale + 1e-6) / scale;
  return `${Math.floor(rounded / 60)}:${(rounded % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
}

/** The waveform of the track that is heard: played part coloured, a scale below, hatched where the track is silent. */
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
    this.#colours = { played: colour("--st-primary-color"), text: colour("--st-text-color") };
    this.font = `11px ${colour("--st-font") || "sans-serif"}`;
  }

  /** `track`: {peaks, startS, endS} on the clock; `gain` scales the bars. */
  draw({ peaks, startS, endS, gain, positionS, durationS }) {
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
    this.#drawBars(pen, { peaks, gain, width, barsHeight, playedX: xOf(positionS), startX: xOf(startS), endX: xOf(endS) });
    this.#drawSilence(pen, [[0, xOf(startS)], [xOf(endS), width]], barsHeight);
    this.#drawScale(pen, { width, height, durationS, xOf });
    this.#drawLine(pen, xOf(positionS), barsHeight, 1, 2);
    if (this.hoverX !== null) this.#drawHover(pen, { width, barsHeight, durationS });
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
    this.matchButton.onclick = (event) => this.#afterClick(event, wishes.toggleMatch);
    this.#listenToPointer();
  }

  /** After a click with the mouse the keys belong to the player again: Space must play, not click once more. */
  #afterClick(event, wish) {
    wish();
    if (event.detail > 0) this.section.focus({ preventScroll: true });
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
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
    canvas.onpointerdown = (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      wishes.drag(fractionAt(event));
    };
    canvas.onpointermove = (event) => {
      waveform.hoverX = event.pointerType === "mouse" ? fractionAt(event) * canvas.clientWidth : null;
      if (canvas.hasPointerCapture(event.pointerId)) wishes.drag(fractionAt(event));
      else wishes.redraw();
    };
    canvas.onpointerup = (event) => canvas.hasPointerCapture(event.pointerId) && wishes.drop(fractionAt(event));
    canvas.onpointercancel = () => wishes.drop(null);
    canvas.onpointerleave = () => { waveform.hoverX = null; wishes.redraw(); };
  }

  showTracks(tracks) {
    const shown = JSON.stringify(tracks.map(({ id, label }) => [id, label]));
    if (shown === this.shown) return; // the focus stays where it is
    this.shown = shown;
    this.tracks.replaceChildren(...tracks.map((track, index) => this.#trackButton(track, index)));
  }

  #trackButton(track, index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "track";
    button.setAttribute("role", "radio");
    button.title = track.label;
    for (const [name, text] of [["number", index + 1], ["label", track.label], ["note", ""]]) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = text;
      button.append(part);
    }
    button.onclick = () => this.wishes.select(index);
    return button;
  }

  show({ tracks, audible, isPlaying, loops, matched, positionS, durationS, status }) {
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
    setAttribute(this.loopButton, "aria-pressed", loops);
    setAttribute(this.matchButton, "aria-pressed", matched);
    setText(this.nowText, formatTime(positionS, 1));
    setText(this.totalText, ` / ${formatTime(durationS, 1)}`);
    setText(this.status, status);
    setAttribute(this.canvas, "aria-valuemax", Math.round(durationS));
    setAttribute(this.canvas, "aria-valuenow", Math.floor(positionS)); // whole seconds: not a word every frame
    setAttribute(this.canvas, "aria-valuetext", `${formatTime(positionS)} of ${formatTime(durationS)}`);
  }

  close() { this.resizing.disconnect(); }
}

/** Writing only what changed spares screen readers and layout. */
function setText(element, text) { if (element.textContent !== text) element.textContent = text; }
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

class Player {
  #heard = {};
  #switches = 0;
  #accountedAt = null;
  #dragTo = null;
  #wasPlaying = false;

  constructor(root) {
    this.engine = new Engine(() => this.#onEngineChange());
    this.view = new View(root, {
      toggle: () => (this.engine.wantsToPlay ? this.#pause() : this.#play()),
      toggleLoop: () => this.engine.setLoop(!this.engine.clock.loops),
      toggleMatch: () => { this.engine.setMatched(!this.engine.matched); this.#refresh(); },
      select: (index) => this.#select(index),
      seekBy: (seconds) => this.#seek(toSeconds(this.engine.position) + seconds),
      seekTo: (seconds) => this.#seek(seconds),
      drag: (fraction) => { this.#dragTo = fraction; this.#refresh(); },
      drop: (fraction) => { this.#dragTo = null; if (fraction !== null) this.#seek(fraction * toSeconds(this.engine.clock.length)); },
      redraw: () => this.#refresh(),
    });
    this.onOtherPlayer = (event) => event.detail !== this && this.engine.wantsToPlay && this.#pause();
    window.addEventListener("mess-player-plays", this.onOtherPlayer);
    this.calmMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Called on mount, when the tracks changed, and when the theme did. */
  update({ key, excerpt_s: excerptS, tracks }, sendReport) {
    this.sendReport = sendReport;
    this.engine.setTracks(tracks, excerptS);
    this.view.showTracks(tracks);
    this.view.waveform.readTheme();
    this.#loadPeaks();
    this.#publishProbe(key);
    this.#refresh();
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
    this.sendReport({
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
    view.show({
      tracks: engine.voices.map((each, index) => this.#stateOf(each, index)),
      audible: engine.audible,
      isPlaying: engine.wantsToPlay,
      loops: clock.loops,
      matched: engine.matched,
      positionS,
      durationS,
      status: this.#status(),
    });
    view.waveform.draw({
      peaks: voice.peaks,
      startS: toSeconds(-voice.offset),
      endS: toSeconds(voice.length - voice.offset),
      gain: this.#displayGain(),
      positionS,
      durationS,
    });
  }

  #stateOf(voice, index) {
    const isSilent = voice.excerptAt(Math.min(this.engine.position, this.engine.clock.length - 1)) === null;
    let note = index === 0 && this.engine.voices.length > 1 ? "query" : "";
    if (isSilent) note = this.engine.position + voice.offset < 0 ? "not yet" : "ended";
    if (voice.error) note = "unavailable";
    return { note, isSilent, isFailed: voice.error !== "" };
  }

  #status() {
    const { engine } = this;
    const failed = engine.voices.findIndex((voice) => voice.error && (voice === engine.voice || !engine.voice.error));
    if (failed >= 0) {
      const { error, track } = engine.voices[failed];
      return `${failed + 1} · ${track.label} cannot be played: ${error}. Choose it to try again.`;
    }
    return engine.wantsToPlay && !engine.clock.isRunning ? "Loading …" : "";
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

function round(value, digits) { return Number(value.toFixed(digits)); }

const players = new WeakMap(); // by the element they live in: a rerun finds its player again, still playing

export default function ({ data, parentElement, setStateValue }) {
  if (!players.has(parentElement)) players.set(parentElement, { player: new Player(parentElement), calls: 0 });
  const entry = players.get(parentElement);
  const call = (entry.calls += 1);
  entry.player.update(data, (report) => setStateValue("report", report));
  return () => {
    if (entry.calls !== call) return; // Streamlit may clean up an overtaken call while the component lives on
    players.delete(parentElement);
    entry.player.close();
  };
}
