"""Encoders asked together: what each says is what it says alone, and a file is decoded once for all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.audio.decode import Decoder
from mess_core.collections.opening import read_track
from mess_core.embeddings import extraction
from mess_core.embeddings.extraction import BatchDone, ExtractedTrack, FailedTrack, WantedTrack, extract
from mess_core.embeddings.together import Together, in_groups
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.hearings import LIKE_THIS, SAME_SOUND
from mess_core.encoders.musicnn import MSD, MTT, Musicnn
from mess_core.encoders.nano import NANO
from mess_core.errors import InputError
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import scope_of
from tests.conftest import FakeEncoder, work


class Tripled(FakeEncoder):
    """Says three times as much as the plain one, in one layer."""

    def __init__(self) -> None:
        super().__init__(id="tripled", n_layers=1)

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        return 3 * super().encode(waveforms)[:, :1]


@pytest.fixture
def n_decoded(monkeypatch) -> list[str]:
    """The files that were decoded, as often as they were."""
    decoded: list[str] = []

    def counted(path, *arguments, **options) -> Decoder:
        decoded.append(path.name)
        return Decoder(path, *arguments, **options)

    monkeypatch.setattr(extraction, "Decoder", counted)
    return decoded


def test_each_part_is_what_its_encoder_says_alone(write_wav):
    path = write_wav("t", 13.0)
    encoders = [FakeEncoder(), Tripled(), FakeEncoder(id="other")]

    def listen(encoder) -> ExtractedTrack:
        (track,) = [e for e in extract([WantedTrack("t", "t", path)], encoder) if isinstance(e, ExtractedTrack)]
        return track

    together = Together(encoders)
    parts = together.part(listen(together).embedding)
    for encoder, part in zip(encoders, parts, strict=True):
        alone = listen(encoder).embedding
        for name in ("segments", "starts_s", "mean", "frame_std"):
            np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))
    np.testing.assert_allclose(parts[1].mean, 3 * parts[0].mean[:1], rtol=1e-6)


def test_one_decoding_serves_encoders_of_other_rates_and_segments(write_wav, n_decoded):
    """Each gets what it gets alone, number for number, of tracks of any length, a broken one and a silent one too."""
    paths = [write_wav(f"t{seed}", seconds, seed=seed) for seed, seconds in enumerate([13.0, 2.0, 31.0, 7.5])]
    paths.insert(2, write_wav("silent", 9.0, level=0.0))
    (broken := paths[0].with_name("broken.wav")).write_bytes(b"RIFF")
    paths.insert(3, broken)
    encoders = [FakeEncoder(), FakeEncoder(id="slow", sample_rate_hz=16_000, segment_s=3.0, hop_s=3.0)]

    def listen(*encoders) -> list[tuple]:
        events = extract([WantedTrack(path.name, path.name, path) for path in paths], *encoders, batch_size=3)
        return [event for event in events if not isinstance(event, BatchDone)]

    together = listen(*encoders)
    assert sorted(n_decoded) == sorted(path.name for path in paths)
    assert [(event.track.title, event.row) for event in together] == [(p.name, row) for p in paths for row in (0, 1)]
    for row, encoder in enumerate(encoders):
        alone = listen(encoder)
        for now, before in zip((event for event in together if event.row == row), alone, strict=True):
            assert type(now) is type(before)
            if isinstance(now, FailedTrack):
                assert (now.error.message, now.error.hint) == (before.error.message, before.error.hint)
                continue
            assert now.facts == before.facts
            for name in ("segments", "starts_s", "mean", "frame_std"):
                np.testing.assert_array_equal(getattr(now.embedding, name), getattr(before.embedding, name))
    assert sum(isinstance(event, FailedTrack) for event in together) == 4


def test_only_those_that_hear_the_same_segments_are_asked_together():
    assert in_groups([NANO, MTT, CHROMA, MSD]) == [(NANO,), (MTT, MSD), (CHROMA,)]
    assert in_groups([]) == []
    shifted = replace(MSD, hop_s=1.0)
    assert in_groups([MTT, shifted]) == [(MTT,), (shifted,)]
    with pytest.raises(InputError, match="do not hear the same segments: fake, slow"):
        Together([FakeEncoder(), FakeEncoder(id="slow", hop_s=1.0)])
    with pytest.raises(InputError, match="no encoder"):
        Together([])


@pytest.mark.slow
def test_both_trainings_of_musicnn_make_their_patches_once(monkeypatch):
    encoders, n_made = [Musicnn.load(info) for info in (MTT, MSD)], [0]
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, MTT.segment_samples)).astype(np.float32)
    alone = [encoder.encode(waveforms) for encoder in encoders]
    real = encoders[0].patches

    def patches(waveforms):
        n_made[0] += 1
        return real(waveforms)

    for encoder in encoders:
        monkeypatch.setattr(encoder, "patches", patches)
    heard = Together(encoders).encode(waveforms)
    assert n_made == [1]
    np.testing.assert_array_equal(heard, np.concatenate(alone, axis=1))
    beside = encoders[0].encode_beside([FakeEncoder(sample_rate_hz=MTT.sample_rate_hz)], waveforms)
    np.testing.assert_array_equal(beside[0], alone[0])


@pytest.mark.slow
def test_a_hearing_decodes_a_file_once_for_the_encoders_that_hear_the_same(home, write_wav, n_decoded):
    """It keeps what each makes by itself, to what a batch of another size rounds; what lacks one is heard by that."""
    for seed in range(3):
        home.add(
            write_wav(f"t{seed}", 7.0, seed=seed).parent, [read_track(write_wav(f"t{seed}", 7.0, seed=seed))], "music"
        )
    ids = home.catalogue.track_ids("music")
    submit(home, ExtractRequest("music", SAME_SOUND))
    work(home)
    assert sorted(n_decoded) == ["t0.wav", "t1.wav", "t2.wav"]
    together = {(info, each): home.store.read(each, info) for info in (MTT, MSD) for each in ids}

    def assert_the_same() -> None:
        for (info, each), before in together.items():
            now = home.store.read(each, info)
            np.testing.assert_array_equal(now.starts_s, before.starts_s)
            np.testing.assert_allclose(now.mean, before.mean, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(now.segments.astype(float), before.segments.astype(float), rtol=2e-3, atol=1e-3)

    home.store.forget(ids[0], MSD.fingerprint)
    home.store.forget(ids[1], MTT.fingerprint), home.store.forget(ids[1], MSD.fingerprint)
    n_decoded.clear()
    submit(home, ExtractRequest("music", SAME_SOUND))
    work(home)
    assert len(n_decoded) == 2
    assert_the_same()
    for track_id in ids:
        for info in (MTT, MSD):
            home.store.forget(track_id, info.fingerprint)
    for info in (MTT, MSD):
        submit(home, ExtractRequest("music", info.id))
        work(home)
    assert_the_same()


@pytest.mark.slow
def test_a_query_is_decoded_once_for_all_that_hear_it(home, write_wav, n_decoded):
    home.add(write_wav("t", 7.0).parent, [read_track(write_wav("t", 7.0))], "music")
    (track_id,) = home.catalogue.track_ids("music")
    submit(home, EncodeRequest(track_id, LIKE_THIS))
    work(home)
    assert n_decoded == ["t.wav"] and scope_of(home, "music", LIKE_THIS).n_embedded == 1
