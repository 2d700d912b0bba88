"""The embedded encoder against its golden answers and the laws every encoder obeys."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mess_core.encoders.base import Encoder
from mess_core.encoders.mel import Mel, Mfcc
from mess_core.encoders.nano import NANO, Nano
from mess_core.errors import ArtefactMismatchError, InputError

GOLDEN = Path(__file__).parent.parent / "data" / "nano-golden"


@pytest.fixture(scope="module")
def nano() -> Nano:
    return Nano.load()


@pytest.fixture(scope="module", params=["nano", "mel", "mfcc", "random:nano"])
def encoder(request) -> Encoder:
    return {"nano": Nano.load, "mel": Mel, "mfcc": Mfcc, "random:nano": Nano.random}[request.param]()


def noise(n: int, seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (n, round(seconds * 24_000))).astype(np.float32)


def test_reproduces_the_golden_hidden_states(nano):
    """The weights as stored give the hidden states recorded when they were trained."""
    waveform = np.load(GOLDEN / "golden_waveform.npy")
    hidden_states = nano.encode(waveform[None])[0]
    np.testing.assert_allclose(hidden_states, np.load(GOLDEN / "golden_hidden.npy"), atol=1e-3)


def test_shape_is_what_info_says(encoder):
    """(n, n_layers, n_frames, dim), with the frame rate of the info."""
    info = encoder.info
    hidden_states = encoder.encode(noise(2, 5.0))
    assert hidden_states.shape[:2] == (2, info.n_layers) and hidden_states.shape[3] == info.dim
    assert abs(hidden_states.shape[2] - 5.0 * info.frame_rate_hz) <= 1
    assert hidden_states.dtype == np.float32


def test_batch_equals_single(encoder):
    """A batch is answered exactly as its members alone."""
    waveforms = noise(5, 2.3)
    single = np.concatenate([encoder.encode(w[None]) for w in waveforms])
    np.testing.assert_allclose(encoder.encode(waveforms), single, atol=1e-4)


def test_input_is_untouched(encoder):
    waveforms = noise(2, 1.0)
    before = waveforms.copy()
    encoder.encode(waveforms)
    np.testing.assert_array_equal(waveforms, before)


def test_recording_gain_changes_nothing(encoder):
    """-12 dB gives the same hidden states: the front-end scales to one peak."""
    waveforms = noise(1, 3.0)
    np.testing.assert_allclose(encoder.encode(waveforms), encoder.encode(waveforms * 0.25), atol=2e-3)


def test_silence_is_finite(encoder):
    assert np.isfinite(encoder.encode(np.zeros((1, 48_000), np.float32))).all()


@pytest.mark.parametrize(
    ("waveforms", "match"),
    [
        (np.zeros(24_000, np.float32), "shape"),
        (np.zeros((1, 23_999), np.float32), "at least 1 s"),
        (np.full((1, 24_000), np.nan, np.float32), "NaN"),
        (np.zeros((0, 24_000), np.float32), "shape"),
    ],
)
def test_bad_waveforms_are_refused(encoder, waveforms, match):
    with pytest.raises(InputError, match=match):
        encoder.encode(waveforms)


def test_threads_change_nothing(nano):
    """One thread or two: the same hidden states to 1e-5 of their size."""
    n_threads = torch.get_num_threads()
    waveforms = noise(2, 5.0)
    many = nano.encode(waveforms)
    try:
        torch.set_num_threads(1)
        one = nano.encode(waveforms)
    finally:
        torch.set_num_threads(n_threads)
    assert np.abs(many - one).max() <= 1e-5 * np.abs(one).max()


def test_random_twin_is_seeded_and_has_its_own_fingerprint():
    waveforms = noise(1, 1.0)
    first, again, other = Nano.random(0), Nano.random(0), Nano.random(1)
    np.testing.assert_array_equal(first.encode(waveforms), again.encode(waveforms))
    assert not np.array_equal(first.encode(waveforms), other.encode(waveforms))
    assert len({NANO.fingerprint, first.info.fingerprint, other.info.fingerprint}) == 3


def test_mfcc_agrees_with_librosa():
    """The same cepstra and slopes as the library that everybody uses, away from the edges."""
    import librosa

    waveform = noise(1, 3.0)
    ours = Mfcc().encode(waveform)[0, 0].T  # (60, n_frames)
    log_mel = Mel().encode(waveform)[0, 0].T
    cepstra = librosa.feature.mfcc(S=log_mel, n_mfcc=20)
    np.testing.assert_allclose(ours[:20], cepstra, atol=1e-3)
    np.testing.assert_allclose(ours[20:40, 8:-8], librosa.feature.delta(cepstra)[:, 8:-8], atol=1e-3)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    """One flipped bit in the weight file is named, never loaded."""
    import mess_core.encoders.nano as module

    for file in NANO.files:
        (tmp_path / file.name).write_bytes((module._HERE / file.name).read_bytes())
    damaged = bytearray((tmp_path / "nano.safetensors").read_bytes())
    damaged[5_000_000] ^= 1
    (tmp_path / "nano.safetensors").write_bytes(damaged)
    monkeypatch.setattr(module, "_HERE", tmp_path)
    with pytest.raises(ArtefactMismatchError, match=r"nano\.safetensors has sha256"):
        Nano.load()
