"""Precision: planted encoders whose bfloat16 is fine, and others whose is not, each in another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors import safe_open

from mess_core.audio.decode import Decoder
from mess_core.cli import doctor
from mess_core.cli.doctor import examine
from mess_core.collections.opening import read_track
from mess_core.embeddings import precision as module
from mess_core.embeddings.precision import (
    MIN_AGREEMENT,
    MIN_COSINE,
    N_SEGMENTS,
    Certificate,
    as_certified,
    certify,
    computes_bfloat16,
    is_open,
    keep_certificate,
    read_certificate,
    some_segments,
)
from mess_core.encoders import registry
from mess_core.encoders.base import Encoder, EncoderEntry, check_waveforms
from mess_core.encoders.mel import Mel
from mess_core.handover.incoming import import_library
from mess_core.handover.outgoing import export_library
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.conftest import RATE_HZ, FakeEncoder, work

pytestmark = pytest.mark.slow

N_BANDS = 16
INFO = FakeEncoder(id="planted", n_layers=3, dim=N_BANDS).info
Error = Callable[[np.ndarray], np.ndarray]  # hidden states in float32 -> in bfloat16


class Planted(Encoder):
    """Three layers of what sounds in sixteen bands below 1.6 kHz; what bfloat16 does to them is planted."""

    precisions = ("float32", "bfloat16")

    def __init__(self, error: Error, cost: float = 0.5) -> None:
        self.info, self.error, self.cost = INFO, error, cost
        self.heard: list[tuple[str, int]] = []

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        waveforms = check_waveforms(waveforms, self.info)
        self.heard.append((self.precision, len(waveforms)))
        Clock.now_s += len(waveforms) * (1.0 if self.precision == "float32" else self.cost)
        spectra = np.abs(np.fft.rfft(waveforms, axis=1))[:, : round(1600 * waveforms.shape[1] / RATE_HZ)]
        bands = np.log(np.stack([band.mean(1) for band in np.array_split(spectra, N_BANDS, axis=1)], axis=1) + 1e-6)
        frames = np.stack([bands, bands**2, np.tanh(bands)], axis=1)[:, :, None].repeat(2, axis=2).astype(np.float32)
        return self.error(frames) if self.precision == "bfloat16" else frames


class Clock:
    now_s = 0.0


@pytest.fixture(autouse=True)
def planted_clock(monkeypatch):
    """Time passes only while a planted encoder listens, and this machine has bfloat16."""
    monkeypatch.setattr(module, "clock", lambda: Clock.now_s)
    for where in (module, doctor):
        monkeypatch.setattr(where, "computes_bfloat16", lambda device: True)


def fine(frames: np.ndarray) -> np.ndarray:
    return frames * (1 + 1e-6 * np.random.default_rng(0).standard_normal(frames.shape)).astype(np.float32)


def one_layer_turned(frames: np.ndarray) -> np.ndarray:
    frames = fine(frames)
    frames[:, 1] += 0.1 * np.abs(frames[:, 1]) * np.random.default_rng(1).choice([-1, 1], frames[:, 1].shape)
    return frames


def common_part_kept_alone(frames: np.ndarray) -> np.ndarray:
    """What all music has in common stays, what tells it apart goes: no cosine notices, all neighbours do."""
    return frames + 0.01 * np.random.default_rng(2).standard_normal(frames.shape).astype(np.float32)


def all_moved_alike(frames: np.ndarray) -> np.ndarray:
    return frames + np.linspace(-0.2, 0.2, N_BANDS, dtype=np.float32)


def overflowing(frames: np.ndarray) -> np.ndarray:
    return np.where(frames > np.quantile(frames, 0.99), np.nan, frames)


def segments(n: int = N_SEGMENTS) -> np.ndarray:
    """Tones that rise, in noise: each has its own neighbours."""
    t_s = np.arange(INFO.segment_samples) / RATE_HZ
    rng = np.random.default_rng(0)
    tones = [np.sin(2 * np.pi * (100 + 70 * number) * t_s) for number in range(n)]
    return np.stack([0.2 * tone + 0.02 * rng.standard_normal(len(t_s)) for tone in tones]).astype(np.float32)


# --- what is found ------------------------------------------------------------------------------------------


def test_what_is_fine_is_granted_with_its_figures():
    encoder = Planted(fine, cost=0.4)
    found = certify(encoder, segments())
    assert found.precision == "bfloat16" and found.n_segments == N_SEGMENTS and found.times_faster == pytest.approx(2.5)
    assert len(found.cosines) == 3 and min(found.cosines) >= MIN_COSINE and found.agreement >= MIN_AGREEMENT
    assert "2.50 times as fast" in found.words and found.words.startswith("bfloat16: on 20 segments")
    assert encoder.precision == "float32"


def test_cosines_and_neighbours_are_those_of_the_definition():
    """Written out in loops: layer by layer, segment by segment, in double precision."""
    encoder = Planted(lambda frames: frames + 0.3 * np.random.default_rng(4).standard_normal(frames.shape))
    waveforms = segments()
    exact, coarse = (encoder.in_precision(p).encode(waveforms).mean(2).astype(float) for p in encoder.precisions)
    found = certify(encoder, waveforms[:4])  # one batch, as above: the planted error is the same
    again = encoder.in_precision("bfloat16").encode(waveforms[:4]).mean(2).astype(float)
    lowest = [
        min(a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(exact[:4, layer], again[:, layer], strict=True))
        for layer in range(3)
    ]
    np.testing.assert_allclose(found.cosines, lowest, rtol=0, atol=1e-6)

    def nearest(query: int, queries: np.ndarray) -> set[int]:
        def similarity(row: int) -> float:
            total = 0.0
            for layer in range(3):
                a, b = (each[layer] - exact[:, layer].mean(0) for each in (queries[query], exact[row]))
                total += a @ b / np.sqrt((a @ a) * (b @ b))
            return total

        return set(sorted((row for row in range(N_SEGMENTS) if row != query), key=similarity)[-10:])

    expected = np.mean([len(nearest(q, exact) & nearest(q, coarse)) / 10 for q in range(N_SEGMENTS)])
    truth, asked = module._nearest(exact, exact), module._nearest(coarse, exact)
    assert 0.5 < expected < 1 and module._share_in_common(truth, asked) == pytest.approx(expected)
    two_of_200 = truth.copy()
    two_of_200[:2, 0] = -1
    assert module._share_in_common(truth, two_of_200) == MIN_AGREEMENT  # exactly: still granted


@pytest.mark.parametrize(
    ("error", "cost", "why"),
    [
        (one_layer_turned, 0.5, lambda found: found.cosines[1] < MIN_COSINE <= min(found.cosines[::2])),
        (overflowing, 0.5, lambda found: min(found.cosines) == 0),
        (fine, 1.2, lambda found: found.times_faster < 1 and found.agreement == 1),
    ],
    ids=["one layer", "no numbers", "slower"],
)
def test_what_is_not_fine_is_refused(error, cost, why):
    found = certify(Planted(error, cost), segments())
    assert found.precision == "float32" and found.words.startswith("float32: ") and why(found)
    json.dumps(asdict(found), allow_nan=False)


@pytest.mark.parametrize("error", [common_part_kept_alone, all_moved_alike], ids=["blurred", "moved"])
def test_a_large_common_part_hides_nothing(monkeypatch, error):
    """All cosines are all but 1, and the nearest are others: what is compared is what search compares.

    Those that all moved alike are each other's neighbours as before, but not those of what was embedded before them.
    """
    hear = Planted.encode

    def shifted(self, waveforms):
        self.error = lambda frames: frames
        frames = 0.01 * hear(self, waveforms) + 100
        return error(frames) if self.precision == "bfloat16" else frames

    monkeypatch.setattr(Planted, "encode", shifted)
    found = certify(Planted(error), segments())
    assert min(found.cosines) > 0.99999 and found.agreement < 0.95 and found.precision == "float32"


# --- what is kept -------------------------------------------------------------------------------------------

GRANTED = Certificate("this one", N_SEGMENTS, (1.0, 0.9999, 1.0), 1.0, 2.0)


def test_a_certificate_holds_for_one_encoder_on_one_machine(home, monkeypatch):
    encoder = Planted(fine)
    monkeypatch.setattr(module, "machine_of", lambda device: "this one")
    assert is_open(encoder, home.database) and as_certified(encoder, home.database).precision == "float32"
    keep_certificate(INFO, GRANTED, home.database)
    assert read_certificate(INFO, "cpu", home.database) == GRANTED and not is_open(encoder, home.database)
    assert as_certified(encoder, home.database).precision == "bfloat16"
    assert read_certificate(replace(INFO, revision="2"), "cpu", home.database) is None
    monkeypatch.setattr(module, "machine_of", lambda device: "another one")
    assert is_open(encoder, home.database) and as_certified(encoder, home.database).precision == "float32"


def test_a_refusal_is_remembered(home, monkeypatch):
    encoder = Planted(fine)
    monkeypatch.setattr(module, "machine_of", lambda device: "this one")
    keep_certificate(INFO, replace(GRANTED, agreement=0.98), home.database)
    assert not is_open(encoder, home.database) and as_certified(encoder, home.database).precision == "float32"


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: "{",
        lambda kept: "[]",
        lambda kept: json.dumps(kept | {"cosines": []}),
        lambda kept: json.dumps(kept | {"cosines": ["1", 1, 1]}),
        lambda kept: json.dumps(kept | {"agreement": "all"}),
        lambda kept: json.dumps({"machine": "this one"}),
    ],
)
def test_a_damaged_certificate_is_none(home, monkeypatch, damage):
    monkeypatch.setattr(module, "machine_of", lambda device: "this one")
    home.database.set_setting(f"{module.SETTING} {INFO.fingerprint}", damage(asdict(GRANTED)))
    assert read_certificate(INFO, "cpu", home.database) is None and is_open(Planted(fine), home.database)


def test_encoders_without_bfloat16_are_left_alone(home):
    mel = Mel()
    assert as_certified(mel, home.database) is mel and not is_open(mel, home.database)


def test_nobody_is_asked_where_a_machine_has_it_not(home, monkeypatch):
    monkeypatch.setattr(module, "computes_bfloat16", lambda device: False)
    assert not is_open(Planted(fine), home.database)


def test_a_processor_says_whether_it_has_bfloat16(monkeypatch):
    monkeypatch.undo()
    import torch

    for has, expected in (
        ({"avx512_bf16": True}, True),
        ({"bf16": True}, True),
        ({"avx512_f": True}, False),
        ({}, False),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has)
        assert module.computes_bfloat16("cpu") == expected
    assert not computes_bfloat16("mps")


# --- which segments -----------------------------------------------------------------------------------------


def test_segments_are_spread_over_recordings_and_do_not_overlap(write_wav, tmp_path):
    """The middle of each first; short, silent, and unreadable ones are passed over."""
    long = write_wav("long", 40.0, 1)
    short, silent = write_wav("short", 3.0, 2), write_wav("silent", 12.0, 3, 0.0)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    found = some_segments([long, short, silent, broken, tmp_path / "gone.wav"], INFO)
    assert found.shape == (7, INFO.segment_samples) and found.dtype == np.float32  # 40 s have room for seven
    whole = np.concatenate(list(Decoder(long, INFO.sample_rate_hz)))
    starts = [
        next(at for at in np.flatnonzero(whole == segment[0]) if (whole[at : at + len(segment)] == segment).all())
        for segment in found
    ]
    assert min(np.diff(sorted(starts))) >= INFO.segment_samples
    assert abs(starts[0] / RATE_HZ - 17.5) < 0.1  # its middle is at 20 s
    files = [write_wav(f"t{seed}", 6.0, seed) for seed in range(25)]
    assert len(some_segments(files, INFO)) == N_SEGMENTS
    assert len(some_segments([], INFO)) == 0


# --- a library ----------------------------------------------------------------------------------------------


def library(home: Workspace, write_wav, n: int) -> list[str]:
    new = [read_track(write_wav(f"t{seed}", 6.0, seed)) for seed in range(n)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    return [each.track.track_id for each in new]


def plant(monkeypatch, error: Error) -> Planted:
    planted = Planted(error)
    table = {**registry._table(), INFO.id: EncoderEntry(INFO, load=lambda info, paths, device: planted)}
    monkeypatch.setattr(registry, "_table", lambda: table)
    return planted


def said_of_precision(home: Workspace, track_id: str) -> dict | None:
    (path,) = home.store.file_paths(track_id)
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["mess"]).get("precision")


def embed(home: Workspace) -> None:
    submit(home, ExtractRequest("music", INFO.id))
    work(home)


@pytest.mark.parametrize(("error", "expected"), [(fine, "bfloat16"), (one_layer_turned, "float32")])
def test_the_first_use_finds_out_and_all_others_go_by_it(home, write_wav, monkeypatch, error, expected):
    planted = plant(monkeypatch, error)
    ids = library(home, write_wav, 22)
    embed(home)
    assert sum(n for kind, n in planted.heard if kind == "bfloat16") == 21 + (44 if expected == "bfloat16" else 0)
    certificate = read_certificate(INFO, "cpu", home.database)
    assert certificate.precision == expected
    figures = certificate.figures if expected == "bfloat16" else None
    assert [said_of_precision(home, track_id) for track_id in ids] == [figures] * 22
    (line,) = [finding for finding in examine(home) if finding.subject.startswith("precision")]
    assert line == replace(line, subject="precision planted", is_ok=True) and line.state.startswith(
        f"{expected}: on 20"
    )

    planted.heard.clear()  # what comes later is heard in that precision at once, and nothing is compared again
    late = read_track(write_wav("late", 6.0, 30))
    home.catalogue.add(late.audio.parent, [late], None)
    submit(home, EncodeRequest(late.track.track_id, INFO.id))
    work(home)
    assert {kind for kind, _ in planted.heard} == {expected}


def test_too_little_music_leaves_it_open(home, write_wav, monkeypatch):
    """Nineteen recordings of one segment each: float32, and the next time it is asked again."""
    planted = plant(monkeypatch, fine)
    library(home, write_wav, 19)
    embed(home)
    assert {kind for kind, _ in planted.heard} == {"float32"} and is_open(planted, home.database)
    (line,) = [finding for finding in examine(home) if finding.subject == "precision"]
    assert line.is_ok and "float32; bfloat16 is tried" in line.state


def test_what_was_embedded_before_stays_and_joins(home, write_wav, monkeypatch):
    """One fingerprint: embeddings in float32 are neither made again nor put aside, and one index has both."""
    plant(monkeypatch, fine)
    ids = library(home, write_wav, 10)
    embed(home)
    before = home.store.known(INFO)
    more = [read_track(write_wav(f"u{seed}", 6.0, 40 + seed)) for seed in range(12)]
    home.catalogue.add(more[0].audio.parent, more, "music")
    embed(home)
    assert home.store.known(INFO).items() >= before.items() and len(home.store.known(INFO)) == 22
    assert said_of_precision(home, ids[0]) is None
    assert said_of_precision(home, more[0].track.track_id)["computed_in"] == "bfloat16"
    assert home.store.load(list(home.store.known(INFO)), INFO).vectors.shape == (22, 3, N_BANDS)


def test_a_library_that_is_handed_over_keeps_what_it_says(home, write_wav, monkeypatch, tmp_path):
    plant(monkeypatch, fine)
    ids = library(home, write_wav, 22)
    embed(home)
    export_library(home, "music", tmp_path / "out")
    other = Workspace(tmp_path / "other")
    import_library(other, tmp_path / "out")
    assert said_of_precision(other, ids[0]) == said_of_precision(home, ids[0])
    assert other.store.known(INFO) == home.store.known(INFO)


def test_nothing_is_said_of_float32(home, write_wav):
    """Files of what has no bfloat16 are, to the byte, what they were before there was any."""
    new = read_track(write_wav("a", 6.0))
    home.catalogue.add(new.audio.parent, [new], "music")
    submit(home, ExtractRequest("music", "mel"))
    work(home)
    (path,) = home.store.file_paths(new.track.track_id)
    with safe_open(path, "np") as file:
        keys = json.loads(file.metadata()["mess"]).keys()
    assert keys == {"encoder", "fingerprint", "format", "licence", "track_id"}
