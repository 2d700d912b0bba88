"""The player and the drop zone in Chromium, measured in its audio graph.

A recorder (an AudioWorklet) hangs on the player's own nodes: one channel for every track at its own level, and
the last one for what is heard. All channels share the audio clock, so what they say about time is exact to a sample.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from mess_core.errors import InputError
from pages.shared.player import PlayerTrack, _read_report, matching_gains_db, player
from pages.shared.upload import _read_upload

pytestmark = pytest.mark.e2e

RATE = 48_000
APP = Path(__file__).with_name("component_app.py")
PICTURES = Path(__file__).resolve().parents[2] / "test-results"

RECORDER = """
async (key) => {
  const player = window.__messPlayer[key];
  const code = `registerProcessor("recorder", class extends AudioWorkletProcessor {
    process(inputs) {
      this.port.postMessage({ frame: currentFrame, blocks: inputs.map((input) => input[0]?.slice() ?? null) });
      return true;
    }
  })`;
  await player.context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const sources = [...player.inputs, player.output];
  const node = new AudioWorkletNode(player.context, "recorder", { numberOfInputs: sources.length, channelCount: 1,
    channelCountMode: "explicit" });
  sources.forEach((source, index) => source.connect(node, 0, index));
  node.connect(player.context.destination);
  window.__tape = [];
  node.port.onmessage = ({ data }) => window.__tape.push(data);
  window.__cut = () => {
    const tape = window.__tape;
    const samples = new Float32Array(sources.length * tape.length * 128);
    tape.forEach(({ blocks }, at) => blocks.forEach((block, channel) => {
      if (block) samples.set(block, (channel * tape.length + at) * 128);
    }));
    const frames = tape.map(({ frame }) => frame);
    const bytes = new Uint8Array(samples.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    window.__tape = [];
    return { frames, channels: sources.length, base64: btoa(text) };
  };
}
"""

TAPES = 5


@dataclass(frozen=True)
class Recording:
    """`channels`: shape (n_tracks + 1, n_frames); `start`: the context's time of the first frame, in frames."""

    start: int
    channels: np.ndarray

    @property
    def heard(self) -> np.ndarray:
        return self.channels[-1]


@pytest.fixture(scope="module")
def app_url(serve) -> str:
    return serve(APP).url


@pytest.fixture(scope="module")
def figures():
    """What was measured, kept in test-results/player-figures.json."""
    measured: dict[str, list[float]] = {}
    yield measured
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "player-figures.json").write_text(json.dumps(measured, indent=1))


@pytest.fixture
def open_player(open_page, app_url):
    """Factory: `open_player(scene) -> Page` with a player in it."""

    def open_one(scene: str = "ab", **options):
        page = open_page(f"{app_url}/?scene={scene}", **options)
        page.locator(".player").first.wait_for()
        return page

    return open_one


def probe(page, name: str):
    return page.evaluate(f"window.__messPlayer.main.{name}")


def wait_for(page, condition: str) -> None:
    """Wait until a condition on the probe `p` holds."""
    page.wait_for_function(f"(() => {{ const p = window.__messPlayer?.main; return p && ({condition}); }})()")


def play(page) -> None:
    """Press play and wait until every track sounds at its own level."""
    page.get_by_role("button", name="Play").first.click()
    wait_for(page, "p.isRunning && p.ready.every(Boolean) && p.position > 0.3")


def seek(page, seconds: float) -> None:
    """Click into the waveform."""
    box = page.locator(".waveform").bounding_box()
    total = float(page.locator(".waveform").get_attribute("aria-valuemax"))
    page.mouse.click(box["x"] + box["width"] * seconds / total, box["y"] + 20)


def record(page, seconds: float, action=None) -> Recording:
    """Record all tracks and what is heard, while `action` happens.

    On a busy machine the recorder itself may miss a block; such a tape proves nothing, so it is made again.
    """
    if not page.evaluate("Boolean(window.__cut)"):
        page.evaluate(RECORDER, "main")
        page.wait_for_timeout(150)  # the graph misses a block while it is being rebuilt
    for _ in range(TAPES):
        page.evaluate("window.__cut()")
        if action:
            page.wait_for_timeout(100)
            action()
        page.wait_for_timeout(seconds * 1000)
        tape = page.evaluate("window.__cut()")
        frames = np.array(tape["frames"])
        if (np.diff(frames) == 128).all():
            break
    assert (np.diff(frames) == 128).all(), f"the recorder missed a block {TAPES} times"
    samples = np.frombuffer(base64.b64decode(tape["base64"]), dtype="<f4").reshape(tape["channels"], -1)
    return Recording(int(frames[0]), samples)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2) + 1e-20))


def tone_level(samples: np.ndarray, frequency_hz: float, window: int = 240) -> np.ndarray:
    """Amplitude of one frequency over time, each from the 5 ms before that frame; shape (n_frames,)."""
    carrier = np.exp(-2j * np.pi * frequency_hz * np.arange(len(samples)) / RATE)
    total = np.concatenate([[0], np.cumsum(samples * carrier)])
    amplitude = 2 * np.abs(total[window:] - total[:-window]) / window
    return np.concatenate([np.zeros(window - 1), amplitude])


def report(page) -> dict | None:
    text = page.get_by_text("report: ").inner_text().removeprefix("report: ")
    return None if text == "None" else json.loads(text)


# --- the Python halves ------------------------------------------------------------------------------------------


def test_gains_only_attenuate():
    """The quietest track sets the level; unknown counts as loud; near silence pulls nobody down."""
    assert matching_gains_db([-12.0, -25.0]) == [-13.0, 0.0]
    assert matching_gains_db([-12.0, None, -20.0, float("-inf")]) == [-8.0, -8.0, 0.0, -8.0]
    assert matching_gains_db([-15.0, -70.0]) == [-30.0, 0.0]
    assert matching_gains_db([None, None]) == [0.0, 0.0]


@pytest.mark.parametrize(
    "raw", [None, 3, {}, {"heard": []}, {"position_s": "x", "track_id": 1, "switches": 0, "heard": {}}]
)
def test_nonsense_from_the_browser_is_no_report(raw):
    """A browser can send anything."""
    assert _read_report(raw) is None
    assert _read_upload(raw) is None
    assert _read_upload({"sha256": "../../etc/passwd", "title": "x", "duration_s": 1}) is None


def test_player_refuses_what_it_cannot_play():
    """No track, the same track twice, a duration that is none."""
    track = PlayerTrack("a", "A", "/excerpt/a", None, 1.0)
    for tracks in ([], [track, track], [PlayerTrack("b", "B", "/excerpt/b", None, float("nan"))]):
        with pytest.raises(InputError, match="player"):
            player(tracks, key="k")


# --- the sound --------------------------------------------------------------------------------------------------


def test_switching_is_within_20_ms_and_keeps_the_place(open_player, figures):
    """From the key press to the other track at full level: 20 ms, and the clock does not jump."""
    page = open_player()
    play(page)
    page.evaluate(
        "window.addEventListener('keydown', (event) => { if (event.key === '2')"
        " window.__pressed = window.__messPlayer.main.context.currentTime; }, true)"
    )
    recording = record(page, 0.6, lambda: page.keyboard.press("2"))
    pressed = round(page.evaluate("window.__pressed") * RATE) - recording.start
    low, high = tone_level(recording.heard, 440), tone_level(recording.heard, 880)
    before, after = low[pressed - 2400 : pressed - 480].mean(), high[pressed + 4800 : pressed + 9600].mean()
    assert before > 0.05 and after > 0.05
    gone, arrived = np.argmax(low[pressed:] < 0.05 * before), np.argmax(high[pressed:] > 0.95 * after)
    switch_ms = 1000 * max(gone, arrived) / RATE  # with the 5 ms that the measuring itself takes
    figures.setdefault("switch_ms", []).append(switch_ms)
    assert 0 < switch_ms <= 20
    # the tones at their own level run through the switch without a break: same phase before and after
    assert sine_error(recording.channels[0], 440) < 1e-3
    assert sine_error(recording.channels[1], 880) < 1e-3


def sine_error(samples: np.ndarray, frequency_hz: float) -> float:
    """Largest deviation from one unbroken sine, relative to its amplitude."""
    phase = 2 * np.pi * frequency_hz * np.arange(len(samples)) / RATE
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    fit, *_ = np.linalg.lstsq(basis, samples.astype(float), rcond=None)
    return float(np.abs(samples - basis @ fit).max() / np.hypot(*fit))


@pytest.mark.parametrize(("name", "key", "frequency_hz"), [("low", "1", 440), ("high", "2", 880)])
def test_excerpts_join_without_a_gap(open_player, figures, name, key, frequency_hz):
    """Across the joint at 30 s the tone goes on sample by sample, although each excerpt was resampled alone."""
    page = open_player()
    play(page)
    page.keyboard.press(key)
    page.get_by_role("slider", name="Position").focus()
    page.keyboard.press("Home")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    wait_for(page, "p.isRunning && p.position > 28.5")
    recording = record(page, 1.6)
    assert probe(page, "position") > 30.3
    error = sine_error(recording.heard, frequency_hz)
    figures.setdefault("joint_error", []).append(error)
    assert error < 1e-3


def test_positions_of_all_tracks_are_equal(open_player, figures):
    """Clicks that lie at whole seconds of two files with different rates come out together, also after a seek."""
    page = open_player("ticks")
    play(page)
    for at_s in (None, 44.6):
        if at_s:
            seek(page, at_s)
            wait_for(page, f"p.isRunning && p.ready.every(Boolean) && p.position > {at_s}")
            page.wait_for_timeout(300)
        recording = record(page, 1.4)
        first, second = (int(np.argmax(np.abs(channel))) for channel in recording.channels[:2])
        difference_ms = 1000 * abs(first - second) / RATE
        figures.setdefault("position_difference_ms", []).append(difference_ms)
        assert np.abs(recording.channels[:2]).max(axis=1).min() > 0.1
        assert difference_ms % 1000 <= 5


def test_offsets_align_other_moments(open_player):
    """Second 0 of the clock is 40.25 s of one track and 10.25 s of the other: both tick 0.75 s later."""
    page = open_player("aligned")
    page.get_by_role("button", name="Play").click()
    wait_for(page, "p.isRunning && p.ready.every(Boolean)")
    first, second = probe(page, "positions")
    assert first - second == pytest.approx(30.0, abs=0.02)
    recording = record(page, 1.3)
    ticks = [np.flatnonzero(np.abs(channel) > 0.1)[0] for channel in recording.channels[:2]]
    assert abs(ticks[0] - ticks[1]) <= 0.005 * RATE
    assert page.locator(".waveform").get_attribute("aria-valuemax") == "65"  # the longer rest: 75 - 10.25 s


def test_loudness_is_matched(open_player, figures):
    """-12 and -25 dBFS come out within 0.5 dB of each other, nothing is amplified, and the toggle lifts it."""
    page = open_player()
    play(page)
    levels = {}
    for matched in (True, False):
        if not matched:
            page.get_by_role("button", name="Same loudness").click()
        for key in "12":
            page.keyboard.press(key)
            page.wait_for_timeout(100)
            levels[matched, key] = level_db(record(page, 0.4).heard)
    figures.setdefault("matched_db", []).append(levels[True, "1"] - levels[True, "2"])
    assert levels[True, "1"] == pytest.approx(levels[True, "2"], abs=0.5)
    assert levels[True, "2"] == pytest.approx(-25.0, abs=0.5)
    assert levels[False, "1"] == pytest.approx(-12.0, abs=0.5)
    assert levels[False, "2"] == pytest.approx(-25.0, abs=0.5)


def test_shorter_track_is_silent_after_its_end(open_player):
    """The clock runs on to the end of the longest track; the ended one says so."""
    page = open_player()
    play(page)
    page.keyboard.press("3")
    seek(page, 20)
    wait_for(page, "p.isRunning && p.position > 20")
    page.wait_for_timeout(200)
    assert level_db(record(page, 0.3).heard) < -90
    assert page.get_by_role("radio", name="Prélude").locator(".note").inner_text() == "ended"
    page.keyboard.press("1")
    page.wait_for_timeout(100)
    assert level_db(record(page, 0.3).heard) > -40


def test_loop_and_end(open_player):
    """At the end the player stops and reports; with L it goes on from the beginning."""
    page = open_player()
    play(page)
    page.keyboard.press("l")
    seek(page, 74)
    wait_for(page, "p.isRunning && p.position > 0.2 && p.position < 5")
    page.keyboard.press("l")
    seek(page, 74)
    wait_for(page, "!p.isRunning && p.position === 75")
    page.get_by_text('"position_s": 75.0').wait_for()
    page.get_by_role("button", name="Play").click()
    wait_for(page, "p.isRunning && p.position > 0.1 && p.position < 5")


def test_keyboard(open_player):
    """Everything can be done from the keyboard, and screen readers are told."""
    page = open_player()
    radios = page.get_by_role("radiogroup", name="Track you hear").get_by_role("radio")
    slider = page.get_by_role("slider", name="Position")
    radios.first.focus()
    page.keyboard.press(" ")
    wait_for(page, "p.isRunning")
    page.keyboard.press("2")
    assert [radio.get_attribute("aria-checked") for radio in radios.all()] == ["false", "true", "false"]
    page.keyboard.press("ArrowDown")
    assert probe(page, "audible") == "short"
    page.keyboard.press("ArrowDown")
    assert probe(page, "audible") == "low"
    page.keyboard.press(" ")
    wait_for(page, "!p.isRunning")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    wait_for(page, "Math.abs(p.position - 5) < 0.001")
    assert slider.get_attribute("aria-valuetext") == "0:05 of 1:15"
    assert slider.get_attribute("aria-valuenow") == "5"
    page.keyboard.press("L")
    assert page.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Loop").focus()
    page.keyboard.press(" ")  # a button in focus answers to Space by itself
    assert page.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "false"
    assert not probe(page, "isRunning")


def test_memory_stays_bounded(open_player):
    """Seeking about in long tracks keeps a few excerpts per track, and no source is left behind."""
    page = open_player("many")
    play(page)
    for at_s in (35, 65, 5, 40, 70, 10):
        seek(page, at_s)
        wait_for(page, f"p.isRunning && p.position > {at_s - 1} && p.ready.every(Boolean)")
    decoded = probe(page, "decoded")
    assert max(decoded) <= 3 and sorted(decoded)[-2] <= 2
    for _ in range(30):
        page.keyboard.press(" ")
        page.keyboard.press("ArrowRight")
    wait_for(page, "p.sources.every((count) => count <= 3)")


# --- with Streamlit ---------------------------------------------------------------------------------------------


def test_rerun_keeps_playing(open_player):
    """An unrelated widget reruns the page; the sound runs through."""
    page = open_player()
    play(page)
    recording = record(page, 1.2, lambda: page.get_by_role("slider", name="Unrelated").press("ArrowRight"))
    assert sine_error(recording.heard, 440) < 1e-3
    assert probe(page, "isRunning")


def test_exchanging_another_track_keeps_playing(open_player):
    """New neighbours come and go; the query sounds on."""
    page = open_player()
    play(page)

    def exchange() -> None:
        before = page.get_by_role("radio").all_inner_texts()
        page.get_by_text("Another last track").click()
        expect(page.get_by_role("radio")).not_to_have_text(before)

    recording = record(page, 1.2, exchange)
    assert sine_error(recording.channels[0], 440) < 1e-3  # its own level: what is heard is matched anew


def test_report(open_player):
    """A report comes on a change of track and on pause, and says how long each was heard."""
    page = open_player()
    assert report(page) is None
    play(page)
    page.wait_for_timeout(500)
    page.keyboard.press("2")
    page.get_by_text('"switches": 1').wait_for()
    page.keyboard.press(" ")
    page.wait_for_function("!window.__messPlayer.main.isRunning")
    page.wait_for_timeout(700)
    told = report(page)
    assert told["track_id"] == "high"
    assert told["heard"].keys() == {"low", "high"}
    assert sum(told["heard"].values()) == pytest.approx(told["position_s"], abs=0.1)


def test_leaving_closes_the_audio(open_player):
    """Unmounted, the player closes its audio context and takes its probe away."""
    page = open_player()
    play(page)
    page.evaluate("window.__context = window.__messPlayer.main.context")
    page.get_by_text("Show", exact=True).click()
    page.wait_for_function("window.__context.state === 'closed' && !window.__messPlayer.main")


def test_one_player_at_a_time(open_player):
    """Starting a second player pauses the first."""
    page = open_player("two")
    play(page)
    page.get_by_role("group", name="Player").nth(1).get_by_role("button", name="Play").click()
    wait_for(page, "!p.isRunning && window.__messPlayer.second.isRunning")


def test_failing_track_says_so_and_others_play(open_player, watch):
    """One sentence for the track that failed; choosing it tries again; the others sound."""
    watch.expected += ["/excerpt/missing", "/peaks/missing"]
    page = open_player("broken")
    play(page)
    status = page.get_by_role("group", name="Player").get_by_role("status")
    assert "Mazurka that is gone cannot be played: The file has gone." in status.inner_text()
    assert level_db(record(page, 0.3).heard) > -40
    with page.expect_request("**/excerpt/missing*"):
        page.keyboard.press("2")
    wait_for(page, "p.isRunning")
    page.keyboard.press("3")
    page.wait_for_timeout(100)
    assert level_db(record(page, 0.3).heard) > -40


def test_hostile_label_is_text(open_player, watch):
    """Neither a label nor a message about it becomes an element or a request."""
    watch.expected += ["/excerpt/missing", "/peaks/missing"]
    page = open_player("hostile")
    play(page)
    assert "<img src=x" in page.get_by_role("radio").first.inner_text()
    assert "<img src=x" in page.get_by_role("group", name="Player").get_by_role("status").inner_text()
    assert page.locator(".player img").count() == 0
    assert page.evaluate("window.__pwn") is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}),
    ],
)
def test_appearance(open_player, name, options):
    """Fits its column, in light, dark and on a phone; the pictures lie in test-results/."""
    page = open_player("ab", **options)
    play(page)
    page.get_by_role("radio").nth(1).click()
    wait_for(page, "p.position > 1")
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"player-{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator(".player").evaluate("(element) => element.scrollWidth <= element.clientWidth")


def test_reduced_motion_draws_at_a_calm_pace(open_player):
    """With reduced motion the picture moves with the pump, not with every frame."""
    page = open_player("ab", reduced_motion="reduce")
    play(page)
    page.evaluate(
        "() => { window.__frames = 0; const original = window.requestAnimationFrame;"
        " window.requestAnimationFrame = (callback) => { window.__frames += 1; return original(callback); }; }"
    )
    shown = page.locator(".player .now").inner_text()
    page.wait_for_timeout(600)
    assert page.evaluate("window.__frames") < 10
    assert page.locator(".player .now").inner_text() != shown


# --- the drop zone ----------------------------------------------------------------------------------------------


@pytest.fixture
def drop_zone(open_page, app_url):
    """A page with the drop zone."""
    page = open_page(f"{app_url}/?scene=upload")
    page.locator(".zone").wait_for()
    return page


@pytest.fixture
def choose(drop_zone, tmp_path):
    """`choose(name, size)`: choose a file of that name and size in bytes."""

    def choose_one(name: str, size: int) -> None:
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(size)
        drop_zone.locator("input.file").set_input_files(path)

    return choose_one


def test_upload_reaches_python(drop_zone, choose):
    """The server's answer arrives in Python; a name full of markup stays text."""
    name = "Träumerei <img src=x onerror=window.__pwn=1> %2e.wav"
    choose(name, 200_000)
    drop_zone.get_by_text("received: {").wait_for()
    received = json.loads(drop_zone.get_by_text("received: ").inner_text().removeprefix("received: "))
    assert received["title"] == name and received["duration_s"] == 2.0 and len(received["sha256"]) == 64
    assert drop_zone.locator(".upload .notice").inner_text() == f"Uploaded: {name} (0:02)"
    assert drop_zone.evaluate("window.__pwn") is None


def test_upload_shows_progress_and_can_be_cancelled(drop_zone, choose):
    """Bytes and percentage grow; cancelling keeps nothing, and the next file goes through."""
    choose("slow.wav", 25_000_000)
    under_way = drop_zone.locator('[role="progressbar"]:not([aria-valuenow="0"])')
    under_way.wait_for()
    assert int(under_way.get_attribute("aria-valuenow")) < 100
    assert " of 25 MB · " in drop_zone.locator(".amount").inner_text()
    drop_zone.keyboard.press("Enter")  # the cancel button has the focus
    drop_zone.get_by_text("Cancelled. Nothing was kept.").wait_for()
    assert drop_zone.get_by_text("received: None").count() == 1
    choose("next.wav", 100_000)
    drop_zone.get_by_text("Uploaded: next.wav").wait_for()


@pytest.mark.parametrize(
    ("name", "sentence", "hint", "can_retry"),
    [
        ("text.wav", "“text.wav” is not audio that MESS reads.", "Send a wav.", False),
        ("full.wav", "The disk is full.", "Free 3 MB.", True),
    ],
)
def test_upload_shows_what_the_server_says(drop_zone, choose, watch, name, sentence, hint, can_retry):
    """The server's sentence and its hint, as an alert; a retry only where it can help."""
    watch.expected.append("/upload")
    choose(name, 1000)
    alert = drop_zone.locator(".upload").get_by_role("alert")
    alert.get_by_text(sentence).wait_for()
    assert hint in alert.inner_text()
    assert drop_zone.get_by_role("button", name="Try again").is_visible() == can_retry


def test_upload_refuses_at_once_what_is_too_large_or_empty(drop_zone, choose):
    """The browser says so itself; nothing is sent."""
    sent = []
    drop_zone.on("request", lambda request: request.method == "PUT" and sent.append(request.url))
    choose("big.wav", 30_000_001)
    drop_zone.get_by_text("“big.wav” has 30 MB; at most 30 MB can be uploaded.").wait_for()
    choose("empty.wav", 0)
    drop_zone.get_by_text("“empty.wav” is empty (0 bytes).").wait_for()
    assert sent == []


def test_upload_survives_a_broken_connection(drop_zone, choose, watch):
    """The connection breaks: one sentence and a retry that works."""
    watch.expected.append("/upload")
    drop_zone.route("**/upload", lambda route: route.abort("connectionreset"))
    choose("fine.wav", 1000)
    drop_zone.get_by_text("The connection broke before the file had arrived.").wait_for()
    drop_zone.unroute("**/upload")
    drop_zone.get_by_role("button", name="Try again").click()
    drop_zone.get_by_text("Uploaded: fine.wav").wait_for()
    assert drop_zone.locator(".upload .error").inner_text() == ""


def test_dropping_files(drop_zone):
    """Of several files the first is taken, and it says so; the zone lights up; a miss does not leave the page."""
    drop_zone.evaluate("""() => {
      window.__files = new DataTransfer();
      for (const name of ["one.wav", "two.wav"]) window.__files.items.add(new File(["x".repeat(5000)], name));
    }""")
    zone = drop_zone.locator(".upload")
    event = "(element, type) => element.dispatchEvent(new DragEvent(type, {dataTransfer: window.__files, bubbles: true,"
    event += " cancelable: true, composed: true}))"
    zone.evaluate(event, "dragenter")
    assert "dragging" in zone.get_attribute("class")
    zone.evaluate(event, "drop")
    assert "dragging" not in zone.get_attribute("class")
    drop_zone.get_by_text("2 files were given; only the first is taken: one.wav").wait_for()
    drop_zone.get_by_text("received: {").wait_for()
    was_let_through = drop_zone.locator("body").evaluate(event, "drop")
    assert not was_let_through


def test_upload_appearance(open_page, app_url):
    """Fits a phone, in dark; the picture lies in test-results/."""
    page = open_page(f"{app_url}/?scene=upload", viewport={"width": 390, "height": 600}, color_scheme="dark")
    page.locator(".zone").wait_for()
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "upload-phone-dark.png")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
