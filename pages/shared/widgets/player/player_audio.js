// The sound of the player: N recordings on one clock, heard one at a time. player.js, joined to this, is its face.
//
// Clock    where the common timeline is; integer frames, so excerpts join without a gap or an overlap.
// Voice    one recording: fetches its excerpts, lays them onto the clock, has a gain that decides whether it is heard.
// Engine   the audio graph (voices -> output -> loudspeaker), and when to start, wait and stop.

const RATE = 48000; // every excerpt is decoded to this rate, so one second is a whole number of frames everywhere
const toFrames = (seconds) => Math.round(seconds * RATE);
const toSeconds = (frames) => frames / RATE;

const REGION_MIN = toFrames(0.1); // a shorter loop would be a buzz, made of hundreds of sources
const RAMP_S = 0.004; // short enough to be heard as instant, long enough not to click
const LEAD = toFrames(0.05); // sources are started this far ahead: one started late would lag behind the others
const HORIZON = toFrames(4); // how far ahead sources are laid out; a hidden tab wakes up only once a second
const OVERLAP = toFrames(0.04); // fetched on both sides of an excerpt, so that resampling errors at its edges are cut off
const NEXT_SOON = toFrames(12); // a track that is not heard fetches its next excerpt this long before it is needed
const PUMP_MS = 150;
const REST_AFTER_MS = 5000;
const MOST_KEPT_READY = 9; // tracks that fetch ahead while another one is heard; of more, those heard last
const WARM = 5; // of a list, those that are fetched before anybody has asked
const WARM_AFTER_MS = 400; // of calm
const MAX_FETCHES = 3; // at a time: the server decodes each of them
const KEPT_EXCERPTS = { audible: 3, other: 2, resting: 1 }; // 30 s of stereo are 11.5 MB once decoded

/**
 * The common timeline. All values are frames; `now` is the audio context's time.
 * `region` is a stretch {from, to} of it, or null. Looping repeats the region if there is one, else the whole.
 */
class Clock {
  length = 0;
  loops = false;
  region = null;
  #anchor = 0;
  #startedAt = null;

  get isRunning() { return this.#startedAt !== null; }

  start(frame) { this.#startedAt = frame; }

  stop(now) { this.#anchor = this.positionAt(now); this.#startedAt = null; }

  moveTo(position) { this.#anchor = Math.max(0, Math.min(position, this.length)); }

  positionAt(now) {
    const elapsed = this.isRunning ? Math.max(0, now - this.#startedAt) : 0;
    return this.after(this.#anchor, elapsed);
  }

  get loopStart() { return this.region?.from ?? 0; }

  /** How far the sound runs on from a position before it stops or starts again. */
  endAfter(position) {
    const { loops, region, length } = this;
    return loops && region && position < region.to ? region.to : length; // past the region: first to the very end
  }

  /** Where one is `frames` after a position: on to the end, and there back to the start of the loop, or at rest. */
  after(position, frames) {
    const beyond = position + frames - this.endAfter(position);
    if (beyond < 0) return position + frames;
    if (!this.loops || !this.length) return this.length;
    return this.loopStart + (beyond % (this.endAfter(this.loopStart) - this.loopStart));
  }

  isOutsideRegion(position) {
    return this.region !== null && (position < this.region.from || position >= this.region.to);
  }
}

/** Decodes without a gesture of the listener's, which the sound itself waits for. */
const decoder = new OfflineAudioContext(1, 1, RATE);

/** One recording. `input` carries it at its own level, `gain` decides whether and how loud it is heard. */
class Voice {
  error = "";
  peaks = null;
  #excerpts = new Map(); // index -> {buffer, firstFrame, abort}; the most recently used comes last
  #sources = new Set();
  #context = null;

  constructor(track, excerptS, onChange) {
    this.excerptLength = toFrames(excerptS);
    this.onChange = onChange;
    this.update(track);
  }

  update(track) {
    this.track = track;
    this.offset = toFrames(track.offset_s);
    this.length = toFrames(track.duration_s);
  }

  connect(context, output) {
    this.#context = context;
    this.input = new GainNode(context);
    this.gain = new GainNode(context, { gain: 0 });
    this.input.connect(this.gain).connect(output);
  }

  get isConnected() { return this.#context !== null; }
  get sourceCount() { return this.#sources.size; }
  get fetching() { return [...this.#excerpts.values()].filter((excerpt) => !excerpt.buffer).length; }
  get decoded() { return this.#excerpts.size - this.fetching; }

  /** Which excerpt sounds at a position of the clock; null before the beginning and after the end. */
  excerptAt(position) {
    const frame = position + this.offset;
    return frame >= 0 && frame < this.length ? Math.floor(frame / this.excerptLength) : null;
  }

  /** The excerpts needed from a position on, the current one first, each with the frames left until it is needed. */
  upcoming(position, clock) {
    const frame = position + this.offset;
    const untilNext = frame < 0 ? -frame : this.excerptLength - (frame % this.excerptLength);
    const needs = [{ index: this.excerptAt(position), within: 0 }];
    if (frame < this.length) needs.push({ index: this.excerptAt(clock.after(position, untilNext)), within: untilNext });
    if (clock.loops) needs.push({ index: this.excerptAt(clock.loopStart), within: clock.endAfter(position) - position });
    return needs.filter((need) => need.index !== null);
  }

  /** Whether the sound (or the silence) at this position is there to be played. */
  isReadyAt(position) {
    const index = this.excerptAt(position);
    return this.error !== "" || index === null || Boolean(this.#excerpts.get(index)?.buffer);
  }

  // --- excerpts --------------------------------------------------------------------------------------------

  has(index) { return this.#excerpts.has(index); }

  async fetchExcerpt(index) {
    const firstFrame = Math.max(0, index * this.excerptLength - OVERLAP);
    const endFrame = Math.min(this.length, (index + 1) * this.excerptLength + OVERLAP);
    const excerpt = { firstFrame, buffer: null, abort: new AbortController() };
    this.#excerpts.set(index, excerpt);
    try {
      const range = `start_s=${toSeconds(firstFrame)}&length_s=${toSeconds(endFrame - firstFrame)}`;
      const answer = await fetch(`${this.track.excerpt_url}?${range}`, { signal: excerpt.abort.signal });
      if (!answer.ok) throw new Error(await failureOf(answer));
      const bytes = await answer.arrayBuffer();
      excerpt.buffer = await decoder.decodeAudioData(bytes).catch(() => { throw new Error("the sound arrived damaged"); });
    } catch (error) {
      if (this.#excerpts.get(index) === excerpt) this.#excerpts.delete(index);
      if (error.name !== "AbortError") this.error = error instanceof TypeError ? "the server cannot be reached" : error.message;
    }
    this.onChange();
  }

  /** Keeps memory bounded: drops what is not needed now, the longest unused first. */
  forget(needed, kept) {
    for (const index of needed) {
      const excerpt = this.#excerpts.get(index);
      if (excerpt) { this.#excerpts.delete(index); this.#excerpts.set(index, excerpt); }
    }
    for (const [index, excerpt] of [...this.#excerpts]) {
      const isUseless = !excerpt.buffer || this.#excerpts.size > kept;
      if (!needed.has(index) && isUseless) { excerpt.abort.abort(); this.#excerpts.delete(index); }
    }
  }

  /** Of a track that nobody listens to: drops what is decoded beyond so many, the longest unused first. */
  shed(kept) {
    for (const [index, excerpt] of [...this.#excerpts]) {
      if (this.decoded <= kept) return;
      if (excerpt.buffer) this.#excerpts.delete(index);
    }
  }

  // --- sound -----------------------------------------------------------------------------------------------

  coveredUntil = 0; // up to here (frame of the context) sources are laid out

  /** Lays excerpts end to end onto the clock, as far as they are decoded. */
  layOut(clock, now) {
    let frame = Math.max(this.coveredUntil, now + LEAD / 2);
    while (frame < now + HORIZON) {
      const position = clock.positionAt(frame);
      const piece = position < clock.length ? this.#pieceAt(position, clock.endAfter(position) - position) : { length: Infinity };
      if (!piece) return;
      if (piece.buffer) this.#play(piece, frame);
      frame += piece.length;
      this.coveredUntil = frame;
    }
  }

  /** What to play from a position on: a stretch of one excerpt or of silence; null while it is not decoded. */
  #pieceAt(position, room) {
    const frame = position + this.offset;
    if (frame < 0) return { length: Math.min(room, -frame) };
    if (frame >= this.length) return { length: room };
    const index = this.excerptAt(position);
    const end = Math.min(this.length, (index + 1) * this.excerptLength);
    const length = Math.min(room, end - frame);
    if (this.error) return { length };
    const excerpt = this.#excerpts.get(index);
    return excerpt?.buffer ? { length, buffer: excerpt.buffer, offset: frame - excerpt.firstFrame } : null;
  }

  #play({ buffer, offset, length }, frame) {
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.input);
    source.onended = () => { source.disconnect(); this.#sources.delete(source); };
    source.start(toSeconds(frame), toSeconds(offset), toSeconds(length));
    this.#sources.add(source);
  }

  halt(atS = 0) {
    this.#sources.forEach((source) => source.stop(atS));
    this.coveredUntil = 0;
  }

  close() {
    this.halt();
    this.#excerpts.forEach((excerpt) => excerpt.abort.abort());
    this.#excerpts.clear();
    if (this.isConnected) [this.input, this.gain].forEach((node) => node.disconnect());
  }
}

/** One sentence's worth of why the server said no: its own words if it has any. */
async function failureOf(answer) {
  const said = await answer.json().catch(() => ({}));
  return typeof said.error === "string" ? said.error.replace(/\.$/, "") : `the server answered ${answer.status}`;
}

function ramp(param, value, context) {
  const now = context.currentTime;
  param.cancelScheduledValues(now);
  param.setValueAtTime(param.value, now);
  param.linearRampToValueAtTime(value, now + RAMP_S);
}

/** The audio graph. `wantsToPlay` is what the listener asked for; the clock runs once the sound has arrived. */
class Engine {
  clock = new Clock();
  voices = [];
  audible = 0;
  isAlone = false; // the clock is that of the track that is heard
  #heardLast = []; // voices, the latest first
  matched = true;
  wantsToPlay = false;
  isClosed = false;
  context = null; // made at the first gesture: a browser does not let it sound before

  constructor(onChange) {
    this.onChange = onChange;
    this.timer = setInterval(() => this.clock.isRunning && this.pump(), PUMP_MS);
  }

  get now() { return this.context ? Math.round(this.context.currentTime * RATE) : 0; }
  get position() { return this.clock.positionAt(this.now); }
  get voice() { return this.voices[this.audible]; }

  /**
   * Unchanged tracks keep their sound and keep playing. The one heard goes on; if it has gone, the first does, from
   * the same place, unless that is new: then everything is, and the clock begins at 0.
   * Returns whether the clock goes on.
   */
  setTracks(tracks, excerptS) {
    const identity = (track) => `${track.id} ${track.excerpt_url} ${track.duration_s}`;
    const heard = this.voice && identity(this.voice.track);
    const before = new Map(this.voices.map((voice) => [identity(voice.track), voice]));
    const keepsFirst = before.has(identity(tracks[0]));
    this.voices = tracks.map((track) => {
      const voice = before.get(identity(track));
      before.delete(identity(track));
      if (!voice) return new Voice(track, excerptS, () => this.pump());
      if (voice.track.offset_s !== track.offset_s) voice.halt();
      voice.update(track);
      return voice;
    });
    before.forEach((voice) => voice.close());
    const stillThere = this.voices.findIndex((voice) => identity(voice.track) === heard);
    this.audible = Math.max(0, stillThere);
    const goesOn = stillThere >= 0 || keepsFirst;
    this.fit();
    if (!goesOn) { this.pause(); this.clock.moveTo(0); }
    if (this.context) this.#connect();
    this.pump();
    return goesOn;
  }

  /** The clock ends with the last track; or, where tracks are heard alone, with the one that is heard. */
  fit() {
    const heard = this.isAlone ? [this.voice] : this.voices;
    const length = Math.max(...heard.map((voice) => voice.length - voice.offset));
    if (length === this.clock.length) return;
    if (this.clock.loops) this.#hold(); // laid out around another end
    this.clock.length = length;
  }

  /** To be called from a gesture. */
  async wake() {
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
      this.output = new GainNode(this.context, { gain: 0 });
      this.output.connect(this.context.destination);
      this.#connect();
    }
    if (this.context.state !== "running") await this.context.resume();
  }

  #connect() {
    this.voices.filter((voice) => !voice.isConnected).forEach((voice) => voice.connect(this.context, this.output));
    this.applyGains();
  }

  gainOf(index) {
    if (index !== this.audible) return 0;
    return this.matched ? 10 ** (this.voices[index].track.gain_db / 20) : 1;
  }

  applyGains() {
    this.voices.forEach((voice, index) => voice.isConnected && ramp(voice.gain.gain, this.gainOf(index), this.context));
  }

  async play() {
    this.wantsToPlay = true;
    if (this.position >= this.clock.length) this.clock.moveTo(0);
    if (this.clock.isOutsideRegion(this.position)) this.moveTo(this.clock.region.from);
    this.voices.forEach((voice) => { voice.error = ""; }); // playing again is also trying again
    await this.wake();
    this.pump();
  }

  pause() {
    this.wantsToPlay = false;
    this.#hold();
    this.#restWhenIdle();
    this.onChange();
  }

  async select(index) {
    this.audible = index;
    this.#heardLast = [this.voice, ...this.#heardLast.filter((voice) => voice !== this.voice)].slice(0, MOST_KEPT_READY);
    if (this.voice.error) { this.voice.error = ""; this.voice.halt(); } // choosing a failed track tries it again
    await this.wake();
    this.applyGains();
    this.pump();
  }

  async seek(position) {
    await this.wake();
    this.moveTo(position);
  }

  /** Like `seek`, without waking the sound: also when nobody has made a gesture yet. */
  moveTo(position) {
    this.#hold();
    this.clock.moveTo(position);
    this.pump();
  }

  setLoop(loops) {
    this.#hold(); // what is laid out beyond the end no longer holds
    this.clock.loops = loops;
    this.#enterLoop();
    this.pump();
  }

  /** `region`: {from, to} or null. What lies off the clock is cut off. Returns whether it is another one than before. */
  setRegion(region) {
    const { clock } = this;
    const from = Math.max(0, region?.from ?? 0);
    const to = Math.min(clock.length, region?.to ?? 0);
    const fitting = to - from >= REGION_MIN ? { from, to } : null;
    if (fitting?.from === clock.region?.from && fitting?.to === clock.region?.to) return false;
    if (clock.loops) this.#hold(); // what is laid out goes around the former region
    clock.region = fitting;
    this.#enterLoop();
    this.pump();
    return true;
  }

  /** Looping a region means hearing it now, not after all that comes before it. */
  #enterLoop() {
    const { clock } = this;
    if (clock.loops && clock.isOutsideRegion(this.position)) clock.moveTo(clock.region.from);
  }

  setMatched(matched) {
    this.matched = matched;
    this.applyGains();
  }

  /** The heart: called on a timer, on every gesture and whenever an excerpt has arrived. */
  pump() {
    if (this.isClosed) return;
    const { clock, now } = this;
    if (clock.isRunning && !clock.loops && clock.positionAt(now) >= clock.length) this.pause();
    const hasRunDry = clock.isRunning && this.voice.coveredUntil <= now && !this.voice.isReadyAt(clock.positionAt(now));
    if (hasRunDry) this.#hold();
    if (this.wantsToPlay && this.context && !clock.isRunning && this.voice.isReadyAt(this.position)) this.#begin();
    if (clock.isRunning) this.voices.forEach((voice) => voice.layOut(clock, now));
    if (this.context) this.#fetchWhatIsNeeded();
    this.#restWhenIdle();
    this.onChange();
  }

  /** A paused player gives the sound device back after a while. */
  #restWhenIdle() {
    clearTimeout(this.rest);
    if (!this.wantsToPlay && this.context) this.rest = setTimeout(() => this.context.suspend(), REST_AFTER_MS);
  }

  #begin() {
    const start = this.now + LEAD;
    this.clock.start(start);
    this.voices.forEach((voice) => { voice.coveredUntil = start; });
    this.output.gain.setValueAtTime(0, toSeconds(start));
    this.output.gain.linearRampToValueAtTime(1, toSeconds(start) + RAMP_S);
  }

  /** Stops the sound where it is; `pump` starts it again once it can. */
  #hold() {
    if (!this.clock.isRunning) return;
    this.clock.stop(this.now);
    ramp(this.output.gain, 0, this.context);
    this.voices.forEach((voice) => voice.halt(this.context.currentTime + RAMP_S));
  }

  #fetchWhatIsNeeded() {
    const others = this.wantsToPlay ? this.#keptReady : [];
    const wanted = [];
    for (const voice of [this.voice, ...others]) {
      const isAudible = voice === this.voice;
      let horizon = 0; // while paused only the place where the listener is
      if (this.wantsToPlay) horizon = isAudible ? Infinity : NEXT_SOON;
      const needs = voice.upcoming(this.position, this.clock).filter((need) => need.within <= horizon);
      voice.forget(new Set(needs.map((need) => need.index)), isAudible ? KEPT_EXCERPTS.audible : KEPT_EXCERPTS.other);
      if (!voice.error) wanted.push(...needs.map((need) => ({ ...need, voice })));
    }
    const recent = new Set([...this.#heardLast, ...this.voices.slice(0, WARM + 1)]);
    const resting = this.voices.filter((voice) => voice !== this.voice && !others.includes(voice));
    resting.forEach((voice) => voice.shed(recent.has(voice) ? KEPT_EXCERPTS.resting : 0));
    wanted.sort((a, b) => (a.within > 0) - (b.within > 0)); // what sounds now comes before what sounds next
    let free = MAX_FETCHES - this.voices.reduce((sum, voice) => sum + voice.fetching, 0);
    for (const { voice, index } of wanted) {
      if (free <= 0) return;
      if (!voice.has(index)) { voice.fetchExcerpt(index); free -= 1; }
    }
  }

  /** Those that go on beside the one that is heard, so that one can switch: all, or of many the first and the latest. */
  get #keptReady() {
    if (this.isAlone) return []; // where another one would begin, it is another place
    const others = this.voices.filter((voice) => voice !== this.voice);
    if (others.length <= MOST_KEPT_READY) return others;
    const wanted = new Set([this.voices[0], ...this.#heardLast, ...others].filter((voice) => others.includes(voice)));
    return [...wanted].slice(0, MOST_KEPT_READY);
  }

  /** Fetches where a click would begin to play, of the first of a list, before there is a click. */
  warm(positions) {
    clearTimeout(this.warming);
    this.warming = setTimeout(() => {
      if (this.isClosed) return;
      positions.slice(0, WARM).forEach(([voice, position]) => {
        const index = voice.excerptAt(position);
        if (this.voices.includes(voice) && index !== null && !voice.has(index) && !voice.error) voice.fetchExcerpt(index);
      });
    }, WARM_AFTER_MS);
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.warming);
    clearInterval(this.timer);
    clearTimeout(this.rest);
    this.voices.forEach((voice) => voice.close());
    this.context?.close();
  }
}
