"""The making of MESS-nano: labels against planted notes, shards and runs that repeat, and what may be learned from."""

import hashlib
import json
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
import torch

from mess_core.encoders import nano
from mess_core.encoders.mel import LogMel
from mess_core.encoders.nano import FFT_SAMPLES, NANO
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.notes.midi import Note
from mess_core.notes.synthesis import INSTRUMENTS, SAMPLE_RATE_HZ
from training import bars, batches, data, excerpts, lessons, recordings, sources, teachers, weights
from training.batches import Batch, Recordings
from training.data import POP909, SHARED, VIENNA, DataConfig, make_shard, make_shards, shard_name, write_shard
from training.excerpts import plan_excerpts
from training.labels import FRAME_RATE_HZ, NO_CHORD, articulation_ratios, beat_phase, chords, label
from training.passages import Part, Passage
from training.recordings import TrainingRecording, frame_peaks, from_bytes, log_mel, play, to_bytes
from training.render import render_folder
from training.sources import find_key, find_sources, refuse_evaluation
from training.train import TrainConfig, Trainer, train
from training.voices import FAMILY_NAMES, LOWEST, Hit, Voice, draw_kit

ROOT = Path(__file__).parents[1]
DEMO_ONLY = DataConfig(pop909=None, vienna=None, demo=True)  # needs no data from elsewhere
STARTS_S = (0.5, 1.49, 3.0, 4.31)
PITCHES = (60, 64, 67, 72)


@pytest.fixture(scope="module")
def shard() -> dict[str, np.ndarray]:
    """Two passages, four recordings."""
    return make_shard(DEMO_ONLY, 0, n_twins=2)


@pytest.fixture
def small(monkeypatch):
    """Crops of 1.5 s, layers of 48 numbers and no bfloat16, for speed; as many layers as ever, and every teacher."""
    monkeypatch.setattr(batches, "N_FRAMES", 38)
    monkeypatch.setattr(batches, "N_MEL_FRAMES", 75)
    for module in (nano, teachers):
        monkeypatch.setattr(module, "NANO", replace(NANO, dim=48))
    monkeypatch.setattr(torch, "autocast", partial(torch.autocast, enabled=False))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # equal to the last bit only with as many threads
    yield
    torch.set_num_threads(n_threads)


def planted(**changes: object) -> Passage:
    """Four notes, half a second each, on our piano."""
    notes = tuple(Note(s, s + 0.5, p, 80) for s, p in zip(STARTS_S, PITCHES, strict=True))
    part = Part(notes, Voice("piano", INSTRUMENTS["piano"]), 0.0)
    passage = Passage((part,), (), (), draw_kit(np.random.default_rng(0)), np.arange(0, 20, 0.5), 0)
    return replace(passage, **changes)


# --- labels -----------------------------------------------------------------------------------------------------


def test_labels_agree_with_the_notes_that_are_heard():
    """Onset frames are where the sound begins, and the pitch named there is the pitch heard, within a frame."""
    passage = planted()
    audio = play(passage)
    labels = label(passage, audio, SAMPLE_RATE_HZ)
    frames, keys = np.nonzero(labels.onsets)
    assert (keys + LOWEST).tolist() == list(PITCHES)
    level = np.abs(audio[: 16 * SAMPLE_RATE_HZ].reshape(-1, SAMPLE_RATE_HZ // 100)).max(axis=1)  # every 10 ms
    for frame, start_s, pitch in zip(frames, STARTS_S, PITCHES, strict=True):
        begins = int(start_s * 100) - 10 + int(np.argmax(level[int(start_s * 100) - 10 :] > 0.01))
        assert abs(begins / 100 - frame / FRAME_RATE_HZ) <= 1 / FRAME_RATE_HZ
        heard = audio[round((start_s + 0.05) * SAMPLE_RATE_HZ) :][: SAMPLE_RATE_HZ // 4]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 1 << 16))
        hz = np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 16)
        assert round(69 + 12 * np.log2(hz / 440)) == pitch


def test_active_frames_are_those_between_onset_and_damper():
    """A key sounds for as long as its note, within a frame at each end."""
    labels = label(planted(), np.zeros(16 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    for start_s, pitch in zip(STARTS_S, PITCHES, strict=True):
        active = np.flatnonzero(labels.active[:, pitch - LOWEST]) / FRAME_RATE_HZ
        assert abs(active[0] - start_s) <= 1 / FRAME_RATE_HZ
        assert abs(active[-1] - start_s - 0.5) <= 1.5 / FRAME_RATE_HZ
    assert labels.active.sum() == labels.families[:, FAMILY_NAMES.index("piano")].sum()


def test_touch_is_labelled_where_notes_begin():
    """Velocity and articulation stand at onsets and nowhere else; the last note has no next one."""
    labels = label(planted(), np.zeros(16 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    assert np.nansum(labels.velocity) == 4 * 80 and np.isfinite(labels.velocity).sum() == 4
    assert np.isfinite(labels.articulation).sum() == 3
    ratios = articulation_ratios(planted().parts[0].notes)
    np.testing.assert_allclose(ratios[:3], 0.5 / np.diff(STARTS_S))


def test_drums_beat_chord_and_key_are_what_was_planted():
    passage = planted(hits=(Hit(2.0, "snare", 90),))
    labels = label(passage, play(passage), SAMPLE_RATE_HZ)
    assert np.argwhere(labels.drums).tolist() == [[50, 1]]
    assert labels.tempo_bpm == 120.0 and np.isclose(labels.beat[6], 0.48)
    active = np.zeros((100, 88), bool)
    active[:50, np.array([57, 60, 64]) - LOWEST] = True  # A minor
    assert chords(active)[25] == 12 + 9 and chords(active)[-1] == NO_CHORD
    assert find_key([Note(i, i + 1, p, 64) for i, p in enumerate((60, 64, 67, 65, 69, 71, 72, 60))]) == 0
    assert np.isnan(beat_phase(np.zeros(0), 10)[0]).all()


def test_a_soundfont_teaches_no_velocity(monkeypatch):
    """Its loudness does not follow velocity, so nobody may learn velocity from it; all else stays."""

    class FakeSoundFont:
        def play(self, passage, rng):
            return play(passage)

    monkeypatch.setattr(recordings, "SOUNDFONT_SHARE", 1.0)
    rng = np.random.default_rng(0)
    ours, theirs = (recordings.record(planted(), "x", rng, font).labels for font in (None, FakeSoundFont()))
    assert np.isfinite(ours.velocity).sum() == 4 and np.isnan(theirs.velocity).all()
    np.testing.assert_array_equal(ours.onsets, theirs.onsets)


def test_loudness_follows_the_sound():
    """The contour is 0 dB at its loudest and far below between notes."""
    loudness = label(planted(), play(planted()), SAMPLE_RATE_HZ).loudness
    assert loudness.max() == 0 and loudness[-1] < -40 and loudness[int(0.6 * FRAME_RATE_HZ)] > -20


# --- recordings and shards --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_seed_gives_the_same_shard(shard):
    again = make_shard(DEMO_ONLY, 0, n_twins=2)
    assert all(np.array_equal(shard[name], again[name], equal_nan=shard[name].dtype.kind == "f") for name in shard)
    other = make_shard(DEMO_ONLY, 1, n_twins=1)
    assert not np.array_equal(shard["log_mel"][:2], other["log_mel"])


def test_twins_are_the_same_music_in_another_sound(shard):
    """Same piece and key; another spectrum."""
    assert shard["music"][0] == shard["music"][1] and shard["key"][0] == shard["key"][1]
    assert shard["log_mel"].shape == (4, 800, 128) and shard["log_mel"].dtype == np.uint8
    first, second = shard["log_mel"][:2].astype(float).mean(axis=1)
    assert np.abs(first - second).mean() > 1


def test_log_mel_survives_its_bytes():
    values = np.linspace(-18, 9, 1000)
    assert np.abs(from_bytes(torch.from_numpy(to_bytes(values))).numpy() - values).max() <= 0.056


def test_a_crop_is_what_the_encoder_would_hear():
    """A crop's log-mel is the front-end's of the same five seconds, but for the edges and the rounding to bytes."""
    audio = play(planted()) + 1e-3 * np.random.default_rng(0).standard_normal(16 * SAMPLE_RATE_HZ)
    audio *= 0.5 / np.abs(audio).max()
    labels = label(planted(), audio, SAMPLE_RATE_HZ)
    recording = TrainingRecording(to_bytes(log_mel(audio)), frame_peaks(audio), labels, "planted")
    crop = Recordings([data.pack([recording, recording])]).crop(np.array([0]), np.array([60]))
    segment = audio[60 * 960 :][: 5 * SAMPLE_RATE_HZ].astype(np.float32)
    heard = LogMel(fft_samples=FFT_SAMPLES)(torch.from_numpy(segment[None]))
    assert crop.log_mel.shape == heard.shape == (1, 251, 128)
    assert (crop.log_mel - heard)[:, 2:-2].abs().max() < 0.08
    np.testing.assert_array_equal(crop.active[0].numpy().astype(bool), labels.active[60:186])


def test_shards_that_exist_are_left_alone(tmp_path, monkeypatch):
    """A second call makes nothing; another recipe is refused."""
    monkeypatch.setattr(data, "N_TWINS", 1)
    monkeypatch.setattr(make_shard, "__defaults__", (1,))
    write_shard(DEMO_ONLY, tmp_path, 0)
    before = (tmp_path / shard_name(0)).stat().st_mtime_ns
    make_shards(DEMO_ONLY, tmp_path, 1, n_processes=1)
    assert (tmp_path / shard_name(0)).stat().st_mtime_ns == before
    assert len(Recordings([tmp_path / shard_name(0)])) == 2
    with pytest.raises(ArtefactMismatchError, match="another recipe"):
        make_shards(replace(DEMO_ONLY, seed=1), tmp_path, 1, n_processes=1)


# --- training ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_teacher_is_learned_from(shard, small):
    """On one batch over and over, the loss of each teacher falls."""
    trainer = Trainer(TrainConfig(n_steps=10, n_music=2, warmup_steps=1, peak_rate=4e-3), Recordings([shard]))
    batch = trainer.recordings.draw(0, 0, 2)
    trainer.recordings.draw = lambda *_: batch

    def losses() -> dict[str, float]:
        with torch.no_grad():
            return {name: float(loss) for name, loss in trainer.losses(batch, 0).items()}

    before = losses()
    for _ in range(10):
        trainer.learn()
    after = losses()
    assert {name: (before[name], after[name]) for name in before if not after[name] < before[name]} == {}


def test_bfloat16_changes_little(shard, small, monkeypatch):
    """As a run computes, the losses are those of float32 to a few hundredths."""
    trainer = Trainer(TrainConfig(n_music=1), Recordings([shard]))
    batch = trainer.recordings.draw(0, 0, 1)
    with torch.no_grad():
        exact = trainer.losses(batch, 0)
        monkeypatch.setattr(torch, "autocast", torch.autocast.func)
        rounded = trainer.losses(batch, 0)
    assert any(rounded[name] != exact[name] for name in exact)
    for name, loss in exact.items():
        np.testing.assert_allclose(float(rounded[name]), float(loss), rtol=0.05, atol=0.01, err_msg=name)


@pytest.mark.slow
def test_a_run_resumed_equals_one_uninterrupted(shard, small, tmp_path):
    """Weights and curves, to the last bit."""
    recordings = Recordings([shard])
    config = TrainConfig(n_steps=3, n_music=1)
    train(Trainer(config, recordings), tmp_path / "whole")
    half = Trainer(config, recordings)
    half.learn()
    (tmp_path / "parts").mkdir()
    torch.save(half.state(), tmp_path / "parts" / "checkpoint.pt")
    train(Trainer(config, recordings), tmp_path / "parts")
    for name in (weights.WEIGHTS, weights.NORM):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    with pytest.raises(ArtefactMismatchError, match="other numbers"):
        Trainer(replace(config, peak_rate=1.0), recordings).resume(half.state())


@pytest.mark.slow
def test_a_run_after_another_begins_with_its_weights(shard, small, tmp_path):
    """With a rate of nothing, it ends with them too."""
    recordings = Recordings([shard])
    train(Trainer(TrainConfig(n_steps=1, n_music=1), recordings), tmp_path / "first")
    second = TrainConfig(n_steps=1, n_music=1, peak_rate=0.0, seed=1, after="first")
    train(Trainer(second, recordings), tmp_path / "second")
    for name in (weights.WEIGHTS, weights.NORM):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    with pytest.raises(DataMissingError, match="no run 'third'"):
        train(Trainer(replace(second, after="third"), recordings), tmp_path / "fourth")


def test_alike_in_notes_asks_for_the_measure_of_search(shard):
    """A layer whose mean is the notes themselves is asked nothing more; one of noise is."""
    batch = Recordings([shard]).draw(0, 0, 2)
    shares = [(notes.sum(1) / notes.sum((1, 2))[:, None]).sqrt() for notes in (batch.active, batch.onsets)]
    notes = 5 * torch.cat(shares, dim=1)[:, None].expand(-1, 4, -1) + 3  # another size and place
    noise = torch.randn(len(notes), 4, 192, generator=torch.Generator().manual_seed(0))
    perfect, poor = (
        lessons.alike_in_notes(lessons.Lesson(layer, torch.nn.Identity(), batch, batch.log_mel, batch.log_mel))
        for layer in (notes, noise)
    )
    assert perfect < 1e-6 < 0.1 < poor


@pytest.mark.slow
def test_exported_weights_are_the_network(shard, tmp_path):
    """Loaded as MESS loads them, they give the hidden states of the network that was trained."""
    trainer = Trainer(TrainConfig(n_steps=1), Recordings([shard]))
    files = weights.export(trainer.network, trainer.mean.numpy(), trainer.std.numpy(), tmp_path)
    encoder = weights.load(tmp_path)
    assert encoder.info.files == files and encoder.info.fingerprint != weights.load().info.fingerprint
    waveforms = np.random.default_rng(0).normal(0, 0.1, (1, 36_000)).astype(np.float32)
    log_mel = LogMel(trainer.mean.numpy(), trainer.std.numpy(), FFT_SAMPLES)(torch.from_numpy(waveforms))
    with torch.inference_mode():
        expected = torch.stack(trainer.network.half().float()(log_mel), dim=1)
    np.testing.assert_allclose(encoder.encode(waveforms), expected.numpy(), atol=1e-4)
    (tmp_path / weights.NORM).write_text("{}")
    with pytest.raises(ArtefactMismatchError):
        weights.load(tmp_path)


def test_a_batch_holds_each_piece_four_times(shard):
    """Two moments of each of two twins; the same for the same step."""
    batch, again = (Recordings([shard]).draw(0, 5, 2) for _ in range(2))
    assert all(
        torch.equal(getattr(batch, field.name).nan_to_num(), getattr(again, field.name).nan_to_num())
        for field in fields(Batch)
    )
    assert (batch.recording[:, None] == batch.recording).sum(1).tolist() == [2] * 8
    assert torch.isfinite(batch.log_mel).all()


# --- what may be learned from -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "perf-midi/asap/Bach/Fugue/bwv_848/Denisova06M.mid",
        "perf-midi/smd/midi/Bach_BWV849-01_001_20090916-SMD.mid",
        "elsewhere/Bach_BWV849-01_001_20090916-SMD.mid",
        "maestro/2008/a.mid",
        "real-audio/cc0_loop_mika.flac",
        "pop909/001.wav",
    ],
)
def test_what_is_kept_for_evaluation_is_refused(path):
    with pytest.raises(InputError, match="kept for evaluation"):
        refuse_evaluation(Path(path))


def test_a_wrong_folder_teaches_nothing(tmp_path):
    """A folder of ASAP given as POP909 is refused as a whole, an empty one named."""
    folder = tmp_path / "asap"
    folder.mkdir()
    (folder / "a.mid").write_bytes(b"")
    with pytest.raises(InputError, match="asap"):
        find_sources(folder, None)
    with pytest.raises(DataMissingError, match="no MIDI"):
        find_sources(tmp_path, None)


@pytest.mark.slow
@pytest.mark.skipif(not POP909.is_dir() or not VIENNA.is_dir(), reason="POP909 and Vienna 4x22 are not here")
def test_nothing_evaluated_is_learned_from():
    """No file of the evaluation is a source, no held-out song is either, and no work is on both sides."""
    learned = [s.path for part in find_sources(POP909, VIENNA).values() for s in part if s.path]
    held_out = [s.path for part in find_sources(POP909, VIENNA, held_out=True).values() for s in part]
    evaluated = plan_excerpts(SHARED / "perf-midi", Path("unused"))
    assert not set(learned) & set(held_out) and len(held_out) == sources.N_HELD_OUT
    hashes = [
        {hashlib.sha256(p.read_bytes()).hexdigest() for p in paths} for paths in (learned, [e.midi for e in evaluated])
    ]
    assert not hashes[0] & hashes[1]
    works = {excerpt.work for excerpt in evaluated}
    assert not {work for work in works for name in ("op_10_3", "op_38", "k_331", "331_1", "783") if name in work}


def test_each_pianist_of_a_piece_has_another_instrument():
    """So that a piece is found by its notes."""
    if not (SHARED / "perf-midi").is_dir():
        pytest.skip("the performances are not here")
    for soundfont in (None, Path("some.sf2")):
        planned = plan_excerpts(SHARED / "perf-midi", Path("unused"), soundfont)
        pairs = [(e.work, e.instrument) for e in planned]
        assert len(pairs) == len(set(pairs)) and len({e.audio for e in planned}) == len(planned)


def test_a_soundfont_may_play_what_is_evaluated(tmp_path, monkeypatch):
    """Each file always by the same program of its family, at the encoder's peak."""
    draws = []

    class FakeSoundFont:
        def play(self, passage, rng):
            draws.append((passage.parts[0].voice.family, int(rng.integers(1 << 30))))
            return 3 * play(passage)

    monkeypatch.setattr(excerpts, "_soundfont", lambda path: FakeSoundFont())
    midi = pretty_midi.PrettyMIDI()
    midi.instruments.append(pretty_midi.Instrument(0))
    midi.instruments[0].notes.append(pretty_midi.Note(80, 60, 0.0, 1.0))
    midi.write(str(tmp_path / "a.mid"))
    for name in ("a.flac", "b.flac", "a.flac"):
        planned = excerpts.Excerpt(tmp_path / "a.mid", tmp_path, tmp_path / name, "w", "p", "flute", tmp_path / "x.sf2")
        excerpts._render(planned)
    assert draws[0] == draws[2] != draws[1] and draws[0][0] == "flute"
    assert np.abs(soundfile.read(tmp_path / "a.flac")[0]).max() == pytest.approx(0.5, abs=1e-4)


def test_nothing_in_mess_core_knows_of_training():
    for path in (ROOT / "mess_core").rglob("*.py"):
        assert "training." not in "".join(line for line in path.read_text().splitlines() if "import" in line), path


# --- evaluation -------------------------------------------------------------------------------------------------


def test_bars_find_what_was_planted():
    """A layer that is the piece finds it always, noise as often as chance, and the ratio is over the control."""
    rng = np.random.default_rng(0)
    works = np.repeat(np.arange(12), 4)
    performers = [str(i) for i in range(48)]
    vectors = rng.standard_normal((48, 2, 16))
    vectors[:, 1] = rng.standard_normal((12, 16))[works]
    question = bars.ask_for("piece", works.tolist(), performers, works.tolist())
    noise, perfect, chosen, search = bars.retrieval_figures(question, vectors, "x", vectors[:, :1])
    assert chosen.layer == bars.CHOSEN and chosen.value == 1 and chosen.verdict == ""
    assert perfect.value == 1 and noise.ratio == 1 and search.layer == bars.SEARCH and search.value > noise.value
    assert noise.low < noise.chance + 0.1 and json.dumps(bars.as_json([noise]))


def test_a_difference_from_chroma_is_paired_and_its_sentence_follows():
    """By hand, group by group; equal vectors differ by exactly 0, whatever is drawn; the best is chosen elsewhere."""
    rng = np.random.default_rng(1)
    works = np.repeat(np.arange(12), 4)
    question = bars.ask_for("piece", works.tolist(), [str(i) for i in range(48)], works.tolist())
    known = rng.standard_normal((12, 16))[works][:, None] + 0.8 * rng.standard_normal((48, 1, 16))
    noise = rng.standard_normal((48, 1, 16))

    def search(vectors: np.ndarray, chroma: np.ndarray) -> bars.Figure:
        return bars.retrieval_figures(question, vectors, "nano", noise, chroma)[-1]

    same = search(known, known)
    assert (same.above, same.above_low, same.above_high) == (0, 0, 0) and same.verdict == "nano not above chroma"
    better, worse = search(known, noise), search(noise, known)
    assert better.above == pytest.approx(better.value - worse.value) == pytest.approx(-worse.above)
    assert 0 < better.above_low < better.above < better.above_high
    assert (better.verdict, worse.verdict) == ("nano above chroma", "nano below chroma")
    assert better.above_high - better.above_low < better.high - better.low + worse.high - worse.low
    *layers, chosen, _ = bars.retrieval_figures(question, rng.standard_normal((48, 9, 16)), "x", noise, noise)
    assert chosen.value < max(figure.value for figure in layers), "what looks best is not best elsewhere"


def test_bars_are_judged_by_what_was_reached():
    """A ratio below its bar, a probe below log-mel and too much memory are said; what is reached exactly is reached."""

    def asked(bar: str, best: float, search: float) -> list[bars.Figure]:
        ratios = {0: best, bars.SEARCH: search}
        return [bars.Figure(bar, "x", layer, r, None, None, ratio=r) for layer, r in ratios.items()]

    figures = [*asked("piece", 2.5, 1.9), *asked("instrument", 1.0, 2.0), *asked("recording", 0.9, 2.0)]
    probes = [{"encoder": "x", "target": str(r2), "log_mel": 0.1, "r2": r2} for r2 in (0.0, 0.1, 0.2)]
    speed = {"times_real_time": 99.0, "peak_mb": 250.0, "load_s": 0.1}
    met = [bar.is_met for bar in bars.judge(figures, probes, speed, "x")]
    assert met == [True, False, True, False, False, True, True, False, False, True, True]


# --- a second timbre --------------------------------------------------------------------------------------------


def test_a_folder_of_midi_is_played_once_and_a_bad_file_is_named(tmp_path):
    """Louder is louder: all have one gain. What is there stays, and one that cannot be read stops nothing."""
    asked = []

    class FakeSoundFont:
        def play(self, passage, rng):
            (part,) = passage.parts
            asked.append(part.voice.family)
            return np.full(round(passage.duration_s * 24_000), part.notes[0].velocity / 127)

    for name, velocity in (("soft", 32), ("loud", 96)):
        midi = pretty_midi.PrettyMIDI()
        midi.instruments.append(pretty_midi.Instrument(0))
        midi.instruments[0].notes.append(pretty_midi.Note(velocity, 60, 0.0, 0.5))
        midi.write(str(tmp_path / f"{name}.mid"))
    (tmp_path / "broken.mid").write_bytes(b"no MIDI")
    n_made, refused = render_folder(tmp_path, FakeSoundFont())
    assert n_made == 2 and [name for name, _ in refused] == ["broken.mid"] and asked == ["piano", "piano"]
    soft, loud = (soundfile.read(tmp_path / f"{name}.flac")[0].max() for name in ("soft", "loud"))
    assert loud / soft == pytest.approx(3.0, rel=1e-3) and loud < 1
    before = (tmp_path / "soft.flac").stat().st_mtime_ns
    assert render_folder(tmp_path, FakeSoundFont())[0] == 0 and (tmp_path / "soft.flac").stat().st_mtime_ns == before
