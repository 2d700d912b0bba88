"""The embedded encoder against its network written out, and the laws every encoder obeys."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file
from scipy.special import erf, softmax

from mess_core.embeddings.precision import MIN_COSINE
from mess_core.embeddings.store import pool_frames
from mess_core.encoders import nano as module
from mess_core.encoders.base import Encoder
from mess_core.encoders.chroma import Chroma, chroma_filters
from mess_core.encoders.mel import Mel, Mfcc, mel_filters
from mess_core.encoders.nano import NANO, Nano
from mess_core.errors import ArtefactMismatchError
from tests.contracts import ENCODER_LAWS, name_of, noise


@pytest.fixture(scope="module")
def nano() -> Nano:
    return Nano.load()


@pytest.fixture(scope="module", params=["nano", "mel", "mfcc", "chroma", "random:nano"])
def encoder(request) -> Encoder:
    return {"nano": Nano.load, "mel": Mel, "mfcc": Mfcc, "chroma": Chroma, "random:nano": Nano.random}[request.param]()


def reference_hidden_states(waveform: np.ndarray, librosa: ModuleType) -> np.ndarray:
    """The network as its docstring tells it, in NumPy, float64, from the files alone: (13, n_frames, 192)."""
    folder = Path(module.__file__).parent
    w = {name: value.astype(np.float64) for name, value in load_file(folder / "nano.safetensors").items()}
    norm = json.loads((folder / "nano_norm.json").read_text())
    level = waveform.astype(np.float64) * 0.5 / np.abs(waveform).max()
    power = librosa.feature.melspectrogram(
        y=level, sr=24_000, n_fft=2048, hop_length=480, n_mels=128, fmin=20.0, pad_mode="reflect"
    )
    x = ((np.log(power.T + 1e-6) - norm["mean"]) / norm["std"])[None]  # (1, n_mel_frames, 128)

    def gelu(values):
        return values * 0.5 * (1 + erf(values / np.sqrt(2)))

    def layer_norm(values, name):
        centred = values - values.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(values, name):
        return values @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def convolve(values, name, stride):
        kernel = w[f"{name}.weight"]  # (out, in, time, band)
        padded = np.pad(values, [(0, 0), *((size // 2, size // 2) for size in kernel.shape[2:])])
        seen = sliding_window_view(padded, kernel.shape[2:], axis=(1, 2))[:, :: stride[0], :: stride[1]]
        return np.einsum("itbkl,oikl->otb", seen, kernel) + w[f"{name}.bias"][:, None, None]

    for number, stride in ((0, (1, 1)), (2, (2, 2)), (4, (1, 2))):
        x = gelu(convolve(x, f"conv.{number}", stride))
    x = layer_norm(linear(x.transpose(1, 0, 2).reshape(x.shape[1], -1), "inp"), "n0")  # (n_frames, 192)
    near = sliding_window_view(np.pad(x, ((15, 15), (0, 0))), 31, axis=0).reshape(len(x), 12, 16, 31)
    x = x + gelu(
        np.einsum("tgik,goik->tgo", near, w["pos.weight"].reshape(12, 16, 16, 31)).reshape(x.shape) + w["pos.bias"]
    )
    states = [x]
    for number in range(12):
        block = f"blocks.{number}"
        query, key, value = (
            linear(layer_norm(x, f"{block}.n1"), f"{block}.qkv").reshape(-1, 3, 4, 48).transpose(1, 2, 0, 3)
        )
        weights = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(48), axis=-1)
        x = x + linear((weights @ value).transpose(1, 0, 2).reshape(x.shape), f"{block}.o")
        x = x + linear(gelu(linear(layer_norm(x, f"{block}.n2"), f"{block}.f1")), f"{block}.f2")
        states.append(x)
    return np.stack(states)


@pytest.mark.slow
def test_hidden_states_are_those_of_the_network_written_out(nano, librosa):
    """Against NumPy, librosa and SciPy, on a chord that swells, in every layer and frame."""
    t_s = np.arange(36_000) / 24_000
    chord = sum(np.sin(2 * np.pi * hz * t_s) for hz in (130.8, 329.6, 392.0, 1046.5)) * t_s
    waveform = (0.05 * chord + noise(1, 1.5, 24_000)[0] * 0.02).astype(np.float32)
    expected = reference_hidden_states(waveform, librosa)
    found = nano.encode(waveform[None])[0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("law", ENCODER_LAWS, ids=name_of)
def test_laws(encoder, law):
    law(encoder)


def test_recording_gain_changes_nothing(encoder):
    """-12 dB gives the same hidden states: the front-end scales to one peak."""
    waveforms = noise(1, 3.0, 24_000)
    np.testing.assert_allclose(encoder.encode(waveforms), encoder.encode(waveforms * 0.25), atol=2e-3)


@pytest.mark.slow
def test_threads_change_nothing(nano):
    """One thread or two: the same hidden states to 1e-5 of their size."""
    n_threads = torch.get_num_threads()
    waveforms = noise(2, 5.0, 24_000)
    many = nano.encode(waveforms)
    try:
        torch.set_num_threads(1)
        one = nano.encode(waveforms)
    finally:
        torch.set_num_threads(n_threads)
    assert np.abs(many - one).max() <= 1e-5 * np.abs(one).max()


def test_bfloat16_is_close_and_leaves_nothing_behind(encoder):
    """Where an encoder computes in it: as near as is asked of one that is used, and the same weights."""
    if "bfloat16" not in encoder.precisions:
        pytest.skip("computes in float32 alone")
    waveforms = noise(2, 2.0, 24_000)
    exact = encoder.encode(waveforms)
    coarse = encoder.in_precision("bfloat16").encode(waveforms)
    one, other = (pool_frames(states, "mean") for states in (exact, coarse))
    cosines = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    assert coarse.dtype == np.float32 and coarse.shape == exact.shape
    assert cosines.min() >= MIN_COSINE and abs(coarse - exact).max() > 1e-5
    assert encoder.precision == "float32" and encoder.encode(waveforms).tobytes() == exact.tobytes()


def test_random_twin_is_seeded_and_has_its_own_fingerprint():
    waveforms = noise(1, 1.0, 24_000)
    first, again, other = Nano.random(0), Nano.random(0), Nano.random(1)
    np.testing.assert_array_equal(first.encode(waveforms), again.encode(waveforms))
    assert not np.array_equal(first.encode(waveforms), other.encode(waveforms))
    assert len({NANO.fingerprint, first.info.fingerprint, other.info.fingerprint}) == 3


@pytest.mark.parametrize("fft_samples", [1024, 2048])
def test_mel_filters_are_those_of_librosa_and_torchaudio(librosa, fft_samples):
    from torchaudio.functional import melscale_fbanks

    ours = mel_filters(fft_samples)
    theirs = librosa.filters.mel(sr=24_000, n_fft=fft_samples, n_mels=128, fmin=20.0).T
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    others = melscale_fbanks(fft_samples // 2 + 1, 20.0, 12_000.0, 128, 24_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(ours, others, atol=3e-7)


def test_mfcc_agrees_with_librosa(librosa):
    """The same cepstra and slopes as the library that everybody uses, away from the edges."""
    waveform = noise(1, 3.0, 24_000)
    ours = Mfcc().encode(waveform)[0, 0].T  # (60, n_frames)
    log_mel = Mel().encode(waveform)[0, 0].T
    cepstra = librosa.feature.mfcc(S=log_mel, n_mfcc=20)
    np.testing.assert_allclose(ours[:20], cepstra, atol=1e-3)
    np.testing.assert_allclose(ours[20:40, 8:-8], librosa.feature.delta(cepstra)[:, 8:-8], atol=1e-3)


def test_chroma_hears_the_pitch_class_whatever_the_octave(librosa):
    """Every note from C3 to B7: its own class is the loudest, as librosa's filters say, too."""
    seconds = np.arange(24_000) / 24_000
    notes = np.arange(48, 108)
    tones = np.sin(2 * np.pi * librosa.midi_to_hz(notes)[:, None] * seconds).astype(np.float32)
    heard = Chroma().encode(tones)[:, 0, 10:-10].mean(axis=1)  # (60, 12)
    assert (heard.argmax(axis=1) == notes % 12).all()
    powers = np.abs(np.fft.rfft(tones[:, :4096] * np.hanning(4096))) ** 2
    theirs = powers @ librosa.filters.chroma(sr=24_000, n_fft=4096).T
    assert (theirs.argmax(axis=1) == notes % 12).mean() > 0.95


def test_chroma_filters_share_each_bin_between_neighbours():
    filters = chroma_filters()
    used = filters.sum(axis=1) > 0
    np.testing.assert_allclose(filters[used].sum(axis=1), 1.0, rtol=1e-5)
    assert ((filters > 0).sum(axis=1) <= 2).all() and not used[0] and not used[-1]


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    """One flipped bit in the weight file is named, never loaded."""
    for file in NANO.files:
        (tmp_path / file.name).write_bytes((module._HERE / file.name).read_bytes())
    damaged = bytearray((tmp_path / "nano.safetensors").read_bytes())
    damaged[5_000_000] ^= 1
    (tmp_path / "nano.safetensors").write_bytes(damaged)
    monkeypatch.setattr(module, "_HERE", tmp_path)
    with pytest.raises(ArtefactMismatchError, match=r"nano\.safetensors has sha256"):
        Nano.load()
