"""Extraction: batches across tracks, bounded, one bad file never stops the rest."""

import struct
import threading

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from mess_core.audio.decode import Decoder, segments, sha256_file
from mess_core.embeddings import extraction
from mess_core.embeddings.extraction import (
    QUEUE_BATCHES,
    BatchDone,
    ExtractedTrack,
    FailedTrack,
    WantedTrack,
    encode_in_halves,
    extract,
)
from mess_core.embeddings.store import pool_frames
from mess_core.encoders.mel import Mel
from tests.conftest import RATE_HZ, FakeEncoder


@pytest.fixture(autouse=True, params=[1, 2], ids=["one batch", "two batches at once"])
def n_at_once(monkeypatch, request) -> int:
    """Whatever holds of an encoder that is asked by one thread holds of one that is asked by two."""
    monkeypatch.setattr(FakeEncoder, "threads_at_once", request.param)
    monkeypatch.setattr(extraction, "_n_cores", lambda: 2)
    return request.param


def test_threads_share_the_cores_and_leave_them_as_they_were(write_wav, n_at_once, monkeypatch):
    """Two batches are under way at once; later work has all cores again."""
    import torch

    meet, seen = threading.Barrier(n_at_once), []

    class Meeting(FakeEncoder):
        def encode(self, waveforms):
            if len(seen) < n_at_once:
                seen.append((threading.current_thread().name, torch.get_num_threads()))
                meet.wait(timeout=60)  # would break, were they not at it together
            return super().encode(waveforms)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(extract([source(write_wav("t", 30.0))], Meeting(), batch_size=2))
        assert torch.get_num_threads() == 2
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)
    assert len({name for name, _ in seen}) == n_at_once
    assert [n_threads for _, n_threads in seen] == ([2] if n_at_once == 1 else [1, 1])


def source(path, **facts) -> WantedTrack:
    return WantedTrack(path.stem, path.stem, path, **facts)


def outcomes(events) -> dict[str, ExtractedTrack | FailedTrack]:
    return {event.track.track_id: event for event in events if not isinstance(event, BatchDone)}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_equals_one_track_at_a_time(write_wav, batch_size):
    """Whatever is heard beside a track, its embedding is that of its own segments."""
    paths = [write_wav(f"t{seed}", seconds, seed) for seed, seconds in enumerate((12.3, 5.0, 1.0, 7.1, 2.2, 9.9))]
    encoder = FakeEncoder()
    found = outcomes(extract(map(source, paths), encoder, batch_size=batch_size))
    assert list(found) == [path.stem for path in paths]
    for path in paths:
        info = encoder.info
        alone = [
            pool_frames(encoder.encode(waveform[None])[0], "mean")
            for _, waveform in segments(
                Decoder(path, RATE_HZ), info.segment_samples, info.hop_samples, info.min_samples
            )
        ]
        embedding = found[path.stem].embedding
        np.testing.assert_allclose(embedding.mean, np.mean(alone, axis=0), atol=1e-6)
        assert len(embedding.segments) == len(alone)


def test_segments_are_never_padded_and_batches_are_of_one_track(write_wav):
    """Four tracks of ten seconds are twelve equal segments: of each track a batch of two, and one of what is left."""
    encoder = FakeEncoder()
    list(extract([source(write_wav(f"t{seed}", 10.0, seed)) for seed in range(4)], encoder, batch_size=2))
    assert sorted(encoder.batch_sizes) == [1, 1, 1, 1, 2, 2, 2, 2]


def test_what_is_heard_beside_a_track_changes_no_bit_of_it(write_wav):
    """The law that lets a library be extracted in parts, for an encoder that rounds by what else is in its batch."""

    class Mixing(FakeEncoder):
        def encode(self, waveforms):
            return super().encode(waveforms) + np.float32(np.abs(waveforms).mean() + len(waveforms))

    paths = [write_wav(f"t{seed}", seconds, seed) for seed, seconds in enumerate((12.3, 5.0, 2.2, 9.9))]
    together = outcomes(extract(map(source, paths), Mixing()))
    for path in paths:
        alone = outcomes(extract([source(path)], Mixing()))[path.stem].embedding
        for part, array in vars(alone).items():
            np.testing.assert_array_equal(vars(together[path.stem].embedding)[part], array)


def test_one_bad_file_is_named_and_the_others_go_on(write_wav, tmp_path):
    good, after = write_wav("good"), write_wav("after", seed=1)
    silent = write_wav("silent", level=0.0)
    short = write_wav("short", seconds=0.04)
    empty = tmp_path / "empty.wav"
    empty.touch()
    truncated = write_wav("truncated", seconds=6.0)
    truncated.write_bytes(truncated.read_bytes()[:200_000])
    gone = tmp_path / "gone.wav"
    found = outcomes(extract(map(source, [good, silent, short, empty, gone, truncated, after]), FakeEncoder()))
    assert isinstance(found["good"], ExtractedTrack) and isinstance(found["after"], ExtractedTrack)
    assert found["truncated"].facts.is_truncated
    for name, words in {
        "silent": "is silent",
        "short": "0.04 s",
        "empty": "empty",
        "gone": "does not exist",
    }.items():
        assert isinstance(found[name], FailedTrack)
        assert words in str(found[name].error)


def test_one_item_at_which_the_encoder_fails_fails_alone(write_wav):
    """The others are done as ever."""

    class Picky(FakeEncoder):
        def encode(self, waveforms):
            if (np.abs(waveforms).max(axis=1) > 0.9).any():
                raise RuntimeError("overflow in a kernel")
            return super().encode(waveforms)

    paths = [write_wav("a", 12.0), write_wav("loud", 12.0, level=0.95), write_wav("b", 12.0, seed=1)]
    found = outcomes(extract(map(source, paths), Picky(), batch_size=8))
    assert isinstance(found["loud"], FailedTrack)
    assert found["loud"].error.message == "fake failed at 'loud': RuntimeError: overflow in a kernel."
    plain = outcomes(extract(map(source, [paths[0], paths[2]]), FakeEncoder(), batch_size=8))
    for name in ("a", "b"):
        np.testing.assert_array_equal(found[name].embedding.mean, plain[name].embedding.mean)


def test_a_file_that_changed_is_refused(write_wav):
    """The bytes that are read are those of the track, or there is no embedding."""
    path = write_wav("a")
    sha256 = sha256_file(path)
    assert isinstance(outcomes(extract([source(path, sha256=sha256)], FakeEncoder()))["a"], ExtractedTrack)
    path.write_bytes(path.read_bytes() + b"id3 \2\0\0\0ab")
    failed = outcomes(extract([source(path, sha256=sha256)], FakeEncoder()))["a"]
    assert isinstance(failed, FailedTrack)
    assert str(failed.error) == "a.wav has changed since it was added. Add its folder again."


@pytest.mark.slow
def test_a_track_that_is_decoded_twice_keeps_nothing_of_the_first(write_wav, tmp_path):
    """Channels that cancel are noticed at the end: segments that waited in a batch, and raw states, are made again."""
    mono = write_wav("b", 12.0)
    samples, rate = soundfile.read(mono, dtype="float32")
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([samples, -samples], 1), rate, subtype="FLOAT")
    raw = tmp_path / "a.safetensors"
    paths = [write_wav("before", 7.0, seed=2), path, write_wav("after", 7.0, seed=3)]
    for batch_size in (1, 3, 64):
        sources = [source(each, raw=raw if each == path else None) for each in paths]
        found = outcomes(extract(sources, FakeEncoder(), batch_size=batch_size))
        assert list(found) == ["before", "a", "after"] and isinstance(found["a"], ExtractedTrack), found["a"]
        alone = outcomes(extract([source(mono)], FakeEncoder()))["b"]
        np.testing.assert_allclose(found["a"].embedding.mean, alone.embedding.mean, atol=1e-3)
        assert len(load_file(raw)["hidden_states"]) == len(alone.embedding.starts_s)


def test_nan_samples_become_silence_and_the_vector_stays_finite(write_wav):
    path = write_wav("nan")
    data = bytearray(path.read_bytes())
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    samples[1000:2000] = np.nan
    samples[3000] = np.inf
    soundfile.write(path, samples, rate, subtype="FLOAT")
    assert bytes(data) != path.read_bytes()
    done = outcomes(extract([source(path)], Mel()))["nan"]
    assert np.isfinite(done.embedding.mean).all() and done.facts.n_bad_samples == 1001


def test_out_of_memory_halves_the_batch():
    class Small(FakeEncoder):
        def encode(self, waveforms):
            if len(waveforms) > 2:
                raise RuntimeError("CUDA out of memory")
            return super().encode(waveforms)

    waveforms = np.random.default_rng(0).standard_normal((7, RATE_HZ)).astype(np.float32)
    np.testing.assert_array_equal(encode_in_halves(Small(), waveforms), FakeEncoder().encode(waveforms))


def test_other_errors_of_an_encoder_are_not_swallowed():
    class Broken(FakeEncoder):
        def encode(self, waveforms):
            raise RuntimeError("no kernel for this device")

    with pytest.raises(RuntimeError, match="no kernel"):
        encode_in_halves(Broken(), np.zeros((4, RATE_HZ), np.float32))


def test_an_error_of_the_sources_reaches_the_caller():
    def sources():
        raise OSError("the catalogue is gone")
        yield

    with pytest.raises(OSError, match="catalogue is gone"):
        list(extract(sources(), FakeEncoder()))


def test_decoding_waits_for_the_encoder(write_wav):
    """However long the recording, only a few batches are decoded ahead: memory is bounded by design."""
    decoded = []

    def sources():
        for number in range(200):
            decoded.append(number)
            yield source(path)

    path = write_wav("t", 5.0)
    events = extract(sources(), FakeEncoder(), batch_size=2)
    next(events)
    assert len(decoded) <= QUEUE_BATCHES * 2 + 6
    events.close()


def test_raw_hidden_states_are_kept_on_demand(write_wav, tmp_path):
    path = write_wav("t", 8.0)
    encoder = FakeEncoder()
    raw = tmp_path / "raw" / "t.safetensors"
    done = outcomes(extract([source(path, raw=raw)], encoder))["t"]
    hidden_states = load_file(raw)["hidden_states"]
    assert hidden_states.shape == (len(done.embedding.segments), 2, 50, 3)
    np.testing.assert_allclose(hidden_states.mean(axis=2), done.embedding.segments, atol=2e-3)
    assert struct.unpack("<Q", raw.read_bytes()[:8])[0] == 512
