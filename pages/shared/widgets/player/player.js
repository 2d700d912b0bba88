// The player: joins its sound (player_audio.js) and its face (view.js), and tells Python what was heard, which passage
// was chosen (selection.js), and what a listener thinks of a row of its list (rows.js).
//
// Names and messages come from files and other people: they are set as textContent only.

import { Engine, toFrames, toSeconds } from "./player_audio.js";
import { Selection } from "./selection.js";
import { formatTime, spanText } from "./time.js";
import { View } from "./view.js";

const REPORT_CALM_MS = 700; // quick comparing (1 2 1 2 ...) makes one report, not ten
const PASSAGE_MIN = toFrames(1); // as in player.py
const SOUND_LEFT = toFrames(1); // less is no place to go on from: a key would be answered by silence
const ECHO_TOLERANCE = toFrames(0.06); // a passage comes back from Python rounded, to tenths of a second at most

class Player {
  #heard = {};
  #switches = 0;
  #hasReported = false;
  #accountedAt = null;
  #wasPlaying = false;
  #lastRow = 1; // the neighbour that was heard last
  #judged = {}; // what the listener thinks of a track, until Python has it
  #selection = new Selection();
  #region = null; // as it was asked for, in frames: {trackId, from, to} in that track, or in the clock if trackId is null
  #regionAsked = "null"; // what Python said last
  #passageSent = "null"; // what Python was told last

  constructor(root) {
    this.engine = new Engine(() => this.#onEngineChange());
    this.view = new View(root, {
      toggle: () => (this.engine.wantsToPlay ? this.#pause() : this.#play()),
      toggleLoop: () => this.engine.setLoop(!this.engine.clock.loops),
      toggleCompare: () => this.#toggleCompare(),
      trackOfKey: (number) => this.#trackOfKey(number),
      audition: (index, staysHere) => this.#audition(index, staysHere),
      hearQuery: () => this.hasQuery && this.#audition(0, true),
      hearAgain: () => this.#audition(this.#lastRow, true),
      toMoment: () => this.#seekToMoment(),
      judge: (trackId, verdict) => this.#judge(trackId, verdict),
      follow: (trackId) => this.trigger("follow", trackId),
      open: (trackId) => this.trigger("open", trackId),
      take: (trackId, how) => this.trigger("take", { track_id: trackId, how }),
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
  update({ excerpt_s: excerptS, tracks, region, starts, has_query: hasQuery = true, is_strange: isStrange }, send, trigger) {
    this.hasQuery = hasQuery;
    this.view.section.classList.toggle("no-query", !hasQuery);
    this.isStrange = Boolean(isStrange);
    this.send = send;
    this.trigger = trigger;
    this.#judged = {}; // Python knows by now
    this.#account(); // what was heard until now, of a track that may be gone in a moment
    this.given = { tracks, excerptS };
    const goesOn = this.#layTracks();
    this.#takeRegion(region, !goesOn);
    this.view.waveform.readTheme();
    this.#loadPeaks();
    this.#takeStart(starts);
    if (this.#isList) this.engine.warm(this.engine.voices.slice(hasQuery ? 1 : 0).map((voice) => [voice, this.#startOf(voice)]));
    this.#refresh();
  }

  /**
   * Gives the engine its tracks. In a list each is heard in its own time, from its beginning to its end, until rows are
   * compared: then all are laid beside the query, at one place of the clock.
   */
  #layTracks() {
    const { tracks, excerptS } = this.given;
    const isAlone = tracks.every(({ row }) => row) && !this.compares;
    this.engine.isAlone = isAlone;
    const laid = tracks.map((track) => ({ ...track, offset_s: isAlone ? 0 : track.offset_s, beside_s: track.offset_s }));
    return this.engine.setTracks(laid, excerptS);
  }

  /** Rows are compared, or no longer; the sound goes on at the place of the music where it is. */
  #toggleCompare() {
    const before = this.engine.voice.offset;
    const position = this.engine.position;
    this.#account();
    this.compares = !this.compares;
    this.#layTracks();
    this.#showRegion();
    this.#seek(toSeconds(position + before - this.engine.voice.offset));
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

  get #isList() { return this.engine.voices.length > 0 && this.engine.voices.every(({ track }) => track.row); }

  /** In a list the key is the number of the row, and the query has a key of its own; what is hidden is shown first. */
  #trackOfKey(number) {
    const { voices } = this.engine;
    const index = this.#isList ? voices.findIndex(({ track }) => track.row.number === String(number)) : number - 1;
    if (index < 0) { // it stands under another row, which opens
      const above = voices.find(({ track }) => track.row.holds?.includes(String(number)));
      if (above) this.trigger("open", above.track.id);
    }
    return index >= 0 && index < voices.length ? index : null;
  }

  /** A click on a row: it is heard at its best moment, or where the music is now; on the one that is heard, it ends. */
  #audition(index, staysHere) {
    if (index >= this.engine.voices.length) return;
    const stays = staysHere || this.compares;
    if (!stays && index === this.engine.audible && this.engine.wantsToPlay) { this.#pause(); return; }
    this.#select(index);
    if (!stays) this.#seekToMoment();
    this.#play();
  }

  #seekToMoment() {
    this.#seek(toSeconds(this.#startOf(this.engine.voice)));
  }

  /** Where a row begins to play, in frames of the clock: at its moment, or the region; the query goes on where it is. */
  #startOf(voice) {
    const moment = this.#momentOf(voice);
    if (moment) return toFrames(moment[0]);
    return this.engine.clock.region?.from ?? (voice === this.engine.voice ? this.engine.position : 0);
  }

  #judge(trackId, verdict) {
    this.#judged[trackId] = verdict;
    this.trigger("judge", { track_id: trackId, verdict });
    this.#refresh();
  }

  #select(index) {
    if (index > 0 || !this.hasQuery) this.#lastRow = index;
    if (index !== this.engine.audible) {
      this.#account();
      this.#switches += 1;
      clearTimeout(this.calm);
      this.calm = setTimeout(() => this.#report(), REPORT_CALM_MS);
    }
    const before = this.engine.voice;
    this.engine.select(index);
    if (this.engine.isAlone) this.#goOnBeside(before);
    this.#loadPeaks();
  }

  /** Each row has its own time: the same place of the music is another second of it; where it has none, its moment. */
  #goOnBeside(before) {
    const besideOf = ({ track }) => toFrames(track.beside_s);
    const { voice, position } = this.engine;
    if (voice === before) return;
    this.engine.fit();
    const place = position - besideOf(before) + besideOf(voice);
    const isThere = place >= 0 && place + SOUND_LEFT <= voice.length;
    this.engine.moveTo(isThere ? place : toFrames(this.#momentOf(voice)?.[0] ?? 0));
    this.#showRegion();
  }

  #seek(seconds) {
    this.#account();
    this.engine.seek(toFrames(Math.max(0, Math.min(seconds, toSeconds(this.engine.clock.length)))));
  }

  // --- the pointer: it seeks, or chooses a passage -----------------------------------------------------------

  #frameAt(fraction) { return Math.round(fraction * this.engine.clock.length); }

  #regionWithin(reach) { return [this.engine.clock.region, reach * this.engine.clock.length]; }

  #grab(fraction, reach) {
    this.#selection.grab(this.#frameAt(fraction), ...this.#regionWithin(reach));
    this.#refresh();
  }

  #drag(fraction) {
    if (this.#selection.dragged) this.#selection.dragTo(this.#frameAt(fraction)); // else it was given up with Escape
    this.#refresh();
  }

  /** `fraction` is null if the browser took the pointer away. What is too short for a passage is a place to go to. */
  #drop(fraction, isClick) {
    const dragged = this.#selection.drop();
    const isChosen = fraction !== null && dragged !== null && !isClick && this.#choose(dragged);
    if (dragged !== null && !isChosen && fraction !== null) this.#seek(fraction * toSeconds(this.engine.clock.length));
    this.#refresh();
  }

  // --- the passage and the region ----------------------------------------------------------------------------

  get #hasPassage() {
    const { dragged, marks } = this.#selection;
    return Boolean(dragged || this.#region || marks.from !== null || marks.to !== null);
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
      const isFromPython = this.#region?.trackId === null; // it was asked about by a link: nothing was told from here
      this.#region = null;
      this.#showRegion();
      this.#selection.follow(null);
      this.#sendPassage(null);
      if (isFromPython) this.trigger("clear", true);
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
    // What Python asks about is a passage of the query; where each row has its own time, it is no other row's.
    if (this.engine.isAlone && (trackId ?? this.engine.voices[0].track.id) !== this.engine.voice.track.id) return null;
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
    const positionS = toSeconds(engine.position);
    const moment = this.#momentOf(voice);
    view.show({
      tracks: engine.voices.map((each, index) => this.#stateOf(each, index)),
      audible: engine.audible,
      isPlaying: engine.wantsToPlay,
      loops: clock.loops,
      compares: Boolean(this.compares),
      isStrange: this.isStrange,
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
    const { dragged, waiting } = this.#selection;
    const region = dragged ?? this.engine.clock.region;
    return {
      region: region && [toSeconds(region.from), toSeconds(region.to)],
      mark: waiting && { atS: toSeconds(waiting.frame), isBeginning: waiting.end === "from" },
      hasGrips: true,
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
    const isMarked = this.hasQuery && index === 0 && this.engine.voices.length > 1 && !voice.track.row;
    let note = isMarked ? "query" : "";
    if (isSilent && !voice.track.row) note = this.engine.position + voice.offset < 0 ? "not yet" : "ended";
    if (voice.error) note = "unavailable";
    const { id, label, performer, row } = voice.track;
    const verdict = this.#judged[id] ?? row?.verdict;
    return { id, label, performer, row, verdict, note, isSilent, isFailed: voice.error !== "", ...this.#sharesOf(voice) };
  }

  /** What a row's own waveform shows: its peaks, its moment, and how far it was played, as shares of its length. */
  #sharesOf({ track, peaks, offset, length }) {
    if (!track.row) return {};
    const share = (seconds) => Math.max(0, Math.min(1, seconds / track.duration_s));
    const moment = track.moment && [share(track.moment[0]), share(track.moment[0] + track.moment[1])];
    const isHeard = track.id === this.engine.voice.track.id;
    return { peaks, moment, played: isHeard ? Math.max(0, Math.min(1, (this.engine.position + offset) / length)) : 0 };
  }

  #status() {
    const { engine } = this;
    const failed = engine.voices.findIndex((voice) => voice.error && (voice === engine.voice || !engine.voice.error));
    if (failed >= 0) {
      const { error, track } = engine.voices[failed];
      return `${track.row ? track.row.number : failed + 1} · ${track.label} cannot be played: ${error}. Choose it to try again.`;
    }
    return engine.wantsToPlay && !engine.clock.isRunning ? "Loading …" : this.#passageStatus();
  }

  #passageStatus() {
    const { waiting } = this.#selection;
    const { region } = this.engine.clock;
    if (waiting?.end === "from") return `Passage from ${formatTime(toSeconds(waiting.frame), 1)}: press ] at its end`;
    if (waiting) return `Passage up to ${formatTime(toSeconds(waiting.frame), 1)}: press [ at its beginning`;
    if (region) return `Passage ${spanText([toSeconds(region.from), toSeconds(region.to)])}`;
    return "";
  }

  /** The loudest bar of all tracks, at the loudness it is heard with, fills the height. */
  #displayGain() {
    const gainOf = (voice) => (this.engine.matched ? 10 ** (voice.track.gain_db / 20) : 1);
    const loudest = Math.max(...this.engine.voices.map((voice) => (voice.peaks ? Math.max(...voice.peaks) * gainOf(voice) : 0)));
    return loudest > 0 ? gainOf(this.engine.voice) / loudest : 0;
  }

  /** The picture of the track that is heard; of a list those of all, one after the other. */
  async #loadPeaks() {
    const { voices, voice } = this.engine;
    await this.#loadPeaksOf(voice);
    if (this.#isList) for (const each of voices) if (this.engine.voices.includes(each)) await this.#loadPeaksOf(each);
  }

  async #loadPeaksOf(voice) {
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

  close() {
    clearTimeout(this.calm);
    cancelAnimationFrame(this.frame);
    window.removeEventListener("mess-player-plays", this.onOtherPlayer);
    this.engine.close();
    this.view.close();
  }
}

function round(value, digits) { return Number(value.toFixed(digits)); }

const players = new WeakMap(); // by the element they live in: a rerun finds its player again, still playing

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  if (!players.has(parentElement)) players.set(parentElement, { player: new Player(parentElement), calls: 0 });
  const entry = players.get(parentElement);
  const call = (entry.calls += 1);
  entry.player.update(data, setStateValue, setTriggerValue);
  return () => {
    if (entry.calls !== call) return; // Streamlit may clean up an overtaken call while the component lives on
    players.delete(parentElement);
    entry.player.close();
  };
}
