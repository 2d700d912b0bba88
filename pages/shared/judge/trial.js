// A question of 5_Judge: three clips without names, heard with the player's own sound, and an answer.
//
// An answer is kept in this browser (localStorage) until the server says that it is on its disk, and sent again after a
// reload or a new server; the server keeps the first of a question, so nothing is counted twice. That it is kept is told
// to the page until the page moves on: what Streamlit is told while its own connection is down, it never hears.

const { Engine, toFrames } = await import(`${window.location.origin}/modules/DIGEST/player_audio.js`);

const STORE = "mess-answers";
const RETRY_MS = 2000;
const FIRST_TOLD_AGAIN_MS = 4000; // and then after twice the time: a rerun that is told anew begins anew
const TICK_MS = 100;
const LETTERS = ["X", "A", "B"];
const CHOICES = { a: "first", b: "second", n: "neither" };
const TYPING = "input, textarea, select, [contenteditable], [role=combobox], [role=slider], [role=listbox], [role=dialog] *";

/** Answers that wait for the server, the oldest first; in memory where the browser keeps nothing. */
class Waiting {
  #memory = [];

  get all() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE) ?? "[]");
      return Array.isArray(kept) ? kept.filter((each) => typeof each?.asked_id === "string") : [];
    } catch {
      return this.#memory;
    }
  }

  put(answer) { this.#keep([...this.all.filter((each) => each.asked_id !== answer.asked_id), answer]); }

  remove(askedId) { this.#keep(this.all.filter((each) => each.asked_id !== askedId)); }

  #keep(answers) {
    this.#memory = answers;
    try {
      if (answers.length) localStorage.setItem(STORE, JSON.stringify(answers));
      else localStorage.removeItem(STORE);
    } catch { /* as if it kept nothing */ }
  }
}

class Trial {
  #waiting = new Waiting();
  #heardS = [0, 0, 0];
  #isSending = false;
  #isGiven = false; // this question has its answer, and waits for the next one

  constructor(root) {
    const find = (name) => root.querySelector(`.${name}`);
    this.section = find("trial");
    this.clips = find("clips");
    this.allButton = find("all");
    this.allText = find("what");
    this.answers = [...root.querySelectorAll(".answer")];
    this.status = find("status");
    this.engine = new Engine(() => this.#onEngineChange());
    this.engine.isAlone = true;
    this.tiles = LETTERS.map((letter, index) => this.#tile(letter, index));
    this.clips.replaceChildren(...this.tiles);
    this.allButton.onclick = () => this.#toggleAll();
    for (const button of this.answers) button.onclick = () => this.#give(button.dataset.choice);
    this.onKey = (event) => this.#onKey(event);
    window.addEventListener("keydown", this.onKey);
    this.onOtherPlayer = (event) => event.detail !== this && this.engine.pause();
    window.addEventListener("mess-player-plays", this.onOtherPlayer);
    this.ticking = setInterval(() => this.#tick(), TICK_MS);
    this.section.inert = false;
  }

  update({ asked_id: askedId, clips, given, needs_s: needsS, again }, trigger) {
    this.trigger = trigger;
    this.needsS = needsS;
    this.given = given;
    this.again = again;
    if (askedId !== this.askedId) {
      clearTimeout(this.telling);
      this.askedId = askedId;
      this.#heardS = [0, 0, 0];
      this.#isGiven = false;
      this.goesThrough = false;
      this.engine.pause();
      this.engine.setTracks(clips.map((clip) => ({ ...clip, offset_s: 0, gain_db: 0 })), 30);
      this.engine.warm(this.engine.voices.map((voice) => [voice, 0]));
      this.#say("");
    }
    this.#send();
    this.#refresh();
  }

  // --- hearing ---------------------------------------------------------------------------------------------

  #tile(letter, index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "clip";
    button.setAttribute("aria-label", `Hear ${letter}`);
    for (const name of ["letter", "state", "played"]) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = name === "letter" ? letter : "";
      button.append(part);
    }
    button.onclick = () => { this.goesThrough = false; this.#hear(index); };
    return button;
  }

  /** A clip from its beginning; the one that is heard stops. */
  #hear(index) {
    const { engine } = this;
    if (engine.wantsToPlay && engine.audible === index && !this.goesThrough) { engine.pause(); return; }
    engine.select(index);
    engine.fit();
    engine.seek(0);
    window.dispatchEvent(new CustomEvent("mess-player-plays", { detail: this }));
    engine.play();
  }

  #toggleAll() {
    if (this.engine.wantsToPlay) { this.goesThrough = false; this.engine.pause(); return; }
    this.goesThrough = true;
    this.#hear(0);
  }

  #onEngineChange() {
    if (!this.engine) return; // still being made
    const { engine } = this;
    const hasEnded = this.wasPlaying && !engine.wantsToPlay && engine.position >= engine.clock.length - toFrames(0.1);
    this.wasPlaying = engine.wantsToPlay;
    if (hasEnded && this.goesThrough) {
      if (engine.audible < 2) this.#hear(engine.audible + 1);
      else this.goesThrough = false;
    }
    this.#refresh();
  }

  #tick() {
    const { engine } = this;
    if (!engine.voice || !engine.clock.isRunning || engine.voice.error) return;
    this.#heardS[engine.audible] += TICK_MS / 1000;
    this.#refresh();
  }

  get #isHeard() { return this.#heardS.every((seconds) => seconds >= this.needsS); }

  // --- answering -------------------------------------------------------------------------------------------

  #give(choice) {
    if (this.#isGiven) return;
    // Who cannot hear a clip can say so; who has not heard it cannot compare it.
    if (!this.#isHeard && choice !== "neither") { this.#say("Hear X, A and B first."); return; }
    this.#isGiven = true;
    this.given = choice;
    this.goesThrough = false;
    this.engine.pause();
    this.#waiting.put({
      asked_id: this.askedId, choice, again: this.again, heard_s: this.#heardS.map((each) => Number(each.toFixed(1))),
    });
    this.#send();
    this.#refresh();
  }

  /** Sends what waits, one after the other. */
  async #send() {
    if (this.#isSending || this.isClosed) return;
    this.#isSending = true;
    clearTimeout(this.retry);
    try {
      for (const answer of this.#waiting.all) {
        const isThis = answer.asked_id === this.askedId;
        const reply = await fetch("/answer", {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer),
        });
        if (reply.status >= 500) throw new Error((await this.#sentence(reply)) || "The server could not keep it.");
        this.#waiting.remove(answer.asked_id);
        if (reply.ok) {
          if (!isThis) continue;
          this.#say("");
        } else {
          if (isThis) this.#isGiven = false;
          this.#say(await this.#sentence(reply));
        }
        this.#tell(answer.asked_id, FIRST_TOLD_AGAIN_MS);
      }
    } catch (error) {
      const why = error instanceof TypeError ? "The server does not answer." : error.message;
      this.#say(`${why} Your answer is kept in this browser, and sent as soon as it does.`);
      this.retry = setTimeout(() => this.#send(), RETRY_MS);
    } finally {
      this.#isSending = false;
    }
    // What was given while the last one was being sent.
    if (this.#waiting.all.length && !this.isClosed) {
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.#send(), RETRY_MS);
    }
  }

  /** Tells the page that a question has its answer, until it shows another one. */
  #tell(askedId, againMs) {
    if (this.isClosed) return;
    this.trigger("answered", `${askedId} ${Date.now()}`);
    if (askedId === this.askedId && this.#isGiven) this.telling = setTimeout(() => this.#tell(askedId, 2 * againMs), againMs);
  }

  async #sentence(reply) {
    try {
      const { error, hint } = await reply.json();
      return [error, hint].filter((each) => typeof each === "string" && each).join(" ");
    } catch {
      return "";
    }
  }

  #onKey(event) {
    const [target] = event.composedPath();
    const isElsewhere = !(target instanceof Element) || target.matches(TYPING) || event.defaultPrevented;
    if (isElsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    let action = null;
    if (/^[123]$/.test(key)) action = () => { this.goesThrough = false; this.#hear(Number(key) - 1); };
    else if (key in CHOICES) action = () => this.#give(CHOICES[key]);
    else if (key === "backspace") action = () => this.trigger("back", `${this.askedId} ${Date.now()}`);
    else if (key === " " && !target.matches("button, a, summary")) action = () => this.#toggleAll();
    if (!action) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    action();
  }

  // --- showing ---------------------------------------------------------------------------------------------

  /** What has gone wrong; else what is to be done. */
  #say(text) {
    this.said = text;
    const shown = text || (this.#isGiven || this.#isHeard ? "" : "Hear all three, then choose A or B.");
    if (this.status.textContent !== shown) this.status.textContent = shown;
  }

  #refresh() {
    const { engine } = this;
    if (!engine.voice || !this.tiles) return;
    this.tiles.forEach((tile, index) => {
      const isHeardNow = engine.wantsToPlay && engine.audible === index;
      const voice = engine.voices[index];
      const share = isHeardNow && engine.clock.length ? Math.min(1, engine.position / engine.clock.length) : 0;
      const [, state, played] = tile.children;
      tile.setAttribute("aria-pressed", isHeardNow);
      tile.classList.toggle("failed", Boolean(voice.error));
      let text = this.#heardS[index] >= this.needsS ? "heard" : "not heard yet";
      if (isHeardNow) text = engine.clock.isRunning ? "playing" : "loading …";
      if (voice.error) text = "cannot be played";
      if (state.textContent !== text) state.textContent = text;
      played.style.width = `${(share * 100).toFixed(1)}%`;
    });
    this.section.classList.toggle("playing", engine.wantsToPlay);
    this.allButton.disabled = false;
    this.#say(this.said ?? "");
    const what = engine.wantsToPlay ? "Stop" : "Hear X, A and B";
    if (this.allText.textContent !== what) this.allText.textContent = what;
    for (const button of this.answers) {
      const isNeither = button.dataset.choice === "neither";
      button.disabled = this.#isGiven || !(isNeither || this.#isHeard);
      button.setAttribute("aria-pressed", button.dataset.choice === this.given);
    }
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.retry);
    clearTimeout(this.telling);
    clearInterval(this.ticking);
    window.removeEventListener("keydown", this.onKey);
    window.removeEventListener("mess-player-plays", this.onOtherPlayer);
    this.engine.close();
  }
}

const trials = new WeakMap(); // by the element they live in

export default function ({ data, parentElement, setTriggerValue }) {
  if (!trials.has(parentElement)) trials.set(parentElement, { trial: new Trial(parentElement), calls: 0 });
  const entry = trials.get(parentElement);
  const call = (entry.calls += 1);
  entry.trial.update(data, setTriggerValue);
  return () => {
    if (entry.calls !== call) return;
    trials.delete(parentElement);
    entry.trial.close();
  };
}
