// Appended to player.js where a test fetches it: read-only views of the audio graph, by the key of the player.

const { update, close } = Player.prototype;

/** The key that Python gave the component: a class of an element around it. */
function keyOf({ view }) {
  const root = view.section.getRootNode();
  const around = (root.host ?? view.section).closest("[class*='st-key-']");
  return /st-key-([\w-]+)/.exec(around.className)[1];
}

function probeOf({ engine }) {
  return Object.freeze({
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
}

Player.prototype.update = function (...given) {
  update.apply(this, given);
  this.key = keyOf(this);
  this.probe ??= probeOf(this);
  (window.__messPlayer ??= {})[this.key] = this.probe;
};

Player.prototype.close = function () {
  close.apply(this);
  if (window.__messPlayer[this.key] === this.probe) delete window.__messPlayer[this.key];
};
