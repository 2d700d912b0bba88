"""MusiCNN: equal to the original graph, to librosa and to the network written out, at any length and level."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

from mess_core.embeddings.embedder import Embedder
from mess_core.encoders import musicnn as module
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.encoders.imported import info_of
from mess_core.encoders.mel import mel_filters
from mess_core.encoders.musicnn import MSD, MTT, PENULTIMATE, WIDTHS, Musicnn, Patches, tag_names
from mess_core.encoders.registry import encoder_ids, load_encoder
from mess_core.errors import ArtefactMismatchError, AudioError
from mess_core.storage.paths import Paths
from tests.conftest import SHARED
from tests.contracts import ENCODER_LAWS, name_of, noise

RATE_HZ = 16_000
HERE = Path(module.__file__).parent
EXCERPT = Path(__file__).parents[1] / "data" / "musicnn-golden" / "golden.npz"  # one of its two patches
WHOLE = SHARED / "musicnn" / "golden.npz"
GOLDEN = [
    EXCERPT,
    pytest.param(WHOLE, marks=pytest.mark.skipif(not WHOLE.exists(), reason="the shared data is not here")),
]


@pytest.fixture(scope="module")
def loaded() -> dict[str, Musicnn]:
    return {info.id: Musicnn.load(info) for info in (MTT, MSD)}


@pytest.fixture(scope="module", params=[MTT.id, MSD.id, f"random:{MTT.id}"])
def encoder(request, loaded) -> Encoder:
    return Musicnn.random(MTT) if request.param.startswith("random") else loaded[request.param]


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """A chord that swells, with something like a drum every half second: (1, n_samples)."""
    t_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * hz * t_s) for hz in (110.0, 329.6, 392.0, 1046.5)) * (0.2 + t_s / seconds)
    beats = np.random.default_rng(seed).standard_normal(len(t_s)) * np.exp(-20 * (t_s % 0.5))
    return (0.05 * chord + 0.1 * beats).astype(np.float32)[None]


# --- the same as the original -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=["excerpt", "whole"])
@pytest.mark.parametrize("info", [MTT, MSD], ids=lambda info: info.id)
def test_layers_and_tags_are_those_of_the_original(loaded, info, path):
    """Penultimate and tags to 1e-5; what is pooled, and the convolutions, to 1e-5 of the largest."""
    golden, name, encoder = np.load(path), info.id.removeprefix("musicnn-"), loaded[info.id]
    hidden_states = encoder.hear(torch.from_numpy(golden["input"])[:, None])
    assert hidden_states.shape == (len(golden["input"]), 6, 1, 1506)
    penultimate = hidden_states[:, PENULTIMATE, 0, :200]
    assert np.abs(penultimate - golden[f"{name}_penultimate"]).max() <= 1e-5
    assert np.abs(encoder.tags(penultimate) - golden[f"{name}_tags"]).max() <= 1e-5
    pooled = np.stack([golden[f"{name}_max_pool"], golden[f"{name}_mean_pool"]], axis=2).reshape(-1, 1506)
    assert np.abs(hidden_states[:, 4, 0] - pooled).max() <= 1e-5 * np.abs(pooled).max()
    for number in (1, 2, 3):
        expected = golden[f"{name}_cnn{number}"]
        expected = expected.mean(axis=1) if expected.ndim == 3 else expected
        assert np.abs(hidden_states[:, number, 0, :64] - expected).max() <= 1e-5 * np.abs(expected).max()


def test_golden_answers_tell_the_trainings_apart(loaded):
    """The test above could fail: the other training says something else, and so does a patch turned round."""
    golden = np.load(EXCERPT)
    patch = torch.from_numpy(golden["input"])[:, None]
    for wrong in (loaded[MSD.id].hear(patch), loaded[MTT.id].hear(patch.flip(2)), loaded[MTT.id].hear(patch.flip(3))):
        assert np.abs(wrong[:, PENULTIMATE, 0, :200] - golden["mtt_penultimate"]).max() > 0.1


def written_out(info: EncoderInfo, patches: np.ndarray) -> np.ndarray:
    """The network as its docstring tells it, by plain convolutions in double precision: (n, 6, 1506)."""
    weights = {
        name: torch.from_numpy(array).double() for name, array in load_file(HERE / f"{info.id}.safetensors").items()
    }

    def named(kind, number, part):
        return weights[f"{kind}_{number}/{part}" if number else f"{kind}/{part}"]

    def normalised(values, number, axis):
        gamma, beta, mean, variance = (
            named("batch_normalization", number, part) for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        shape = [-1 if place == axis else 1 for place in range(values.ndim)]
        scaled = (values - mean.view(shape)) / torch.sqrt(variance + 1e-3).view(shape)
        return scaled * gamma.view(shape) + beta.view(shape)

    def convolved(values, number, before, after):
        """(n, n_in, n_frames, n_bands)"""
        kernel = named("conv2d", number, "kernel").permute(3, 2, 0, 1)
        padded = F.pad(values, (0, 0, before, after))
        return normalised(F.conv2d(padded, kernel, named("conv2d", number, "bias")).relu(), number + 1, axis=1)

    x = normalised(torch.from_numpy(patches).double()[:, None], 0, axis=1)
    sides = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    front = torch.cat([convolved(x, number, *side).amax(dim=3) for number, side in enumerate(sides)], dim=1)
    layers = [front]
    for number in (5, 6, 7):
        heard = convolved(layers[-1].transpose(1, 2)[:, None], number, 3, 3)[:, :, :, 0]
        layers.append(heard if number == 5 else heard + layers[-1])
    said = torch.cat(layers, dim=1)
    pooled = torch.stack([said.amax(dim=2), said.mean(dim=2)], dim=2).flatten(1)
    dense = (normalised(pooled, 9, axis=1) @ weights["dense/kernel"] + weights["dense/bias"]).relu()
    rows = [*(layer.mean(dim=2) for layer in layers), pooled, normalised(dense, 10, axis=1)]
    return torch.stack([F.pad(row, (0, 1506 - row.shape[1])) for row in rows], dim=1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("info", "n_frames"), [(MTT, 63), (MSD, 100), (MSD, 187)])
def test_hidden_states_are_those_of_the_network_written_out(loaded, info, n_frames):
    """Of patches of any length, several at once; against convolutions that fold, split and regroup nothing."""
    waveforms = np.concatenate([music(3.0), noise(1, 3.0, RATE_HZ)])
    patches = Patches().log_mel(torch.from_numpy(waveforms))[:, :n_frames]
    expected = written_out(info, patches.numpy())
    found = loaded[info.id].hear(patches[:, None])[:, :, 0]
    for layer in range(6):
        assert np.abs(found[:, layer] - expected[:, layer]).max() <= 1e-5 * np.abs(expected[:, layer]).max()


@pytest.mark.slow
def test_log_mel_is_librosas_rounded_as_in_the_original(librosa):
    """Against librosa and NumPy: the filters, and the bands but for a power that another last bit rounds otherwise."""
    np.testing.assert_allclose(
        mel_filters(512, RATE_HZ, 96, lowest_hz=0.0).T, librosa.filters.mel(sr=RATE_HZ, n_fft=512, n_mels=96), atol=1e-7
    )
    waveform = np.concatenate([music(2.0), noise(1, 1.0, RATE_HZ), np.zeros((1, 4000), np.float32)], axis=1)
    power = librosa.feature.melspectrogram(
        y=waveform[0], sr=RATE_HZ, n_fft=512, hop_length=256, n_mels=96, pad_mode="reflect"
    ).T
    expected = np.log10(10_000 * power.astype(np.float16).astype(np.float32) + 1)
    found = Patches().log_mel(torch.from_numpy(waveform))[0].numpy()
    assert found.shape == expected.shape and np.isfinite(found).all() and expected.max() > 4
    assert np.abs(found - expected).max() < 1e-3  # a step of half precision is 1e-3 of a power
    assert (np.abs(found - expected) > 1e-5).mean() < 0.01
    assert np.abs(found - np.log10(10_000 * power + 1)).mean() > 1e-5  # rounding is heard


# --- laws ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("law", ENCODER_LAWS, ids=name_of)
def test_laws(encoder, law):
    law(encoder)


def test_it_is_offered_and_comes_with_mess(tmp_path):
    """Both trainings and their untrained twins, by id, with a licence beside the weights."""
    for info in (MTT, MSD):
        assert {info.id, f"random:{info.id}"} <= set(encoder_ids())
        loaded = load_encoder(info.id, Paths(tmp_path))
        assert loaded.info == info == info_of(info.facts, "it") and info.licence == "ISC"
        assert sum(WIDTHS) == info.n_numbers == 561 + 3 * 64 + 1506 + 200 and info.main_layer == PENULTIMATE
    assert "Permission to use, copy, modify" in (HERE / "musicnn-LICENSE.md").read_text()
    assert "*-LICENSE.md" in Path("pyproject.toml").read_text()  # so that a wheel has it, too
    assert len({info.fingerprint for info in (MTT, MSD, Musicnn.random(MTT).info, Musicnn.random(MSD).info)}) == 4


def test_changed_weights_are_refused(monkeypatch, tmp_path):
    for file in MTT.files:
        data = bytearray((HERE / file.name).read_bytes())
        data[-1] ^= 1
        (tmp_path / file.name).write_bytes(data)
    monkeypatch.setattr(module, "_HERE", tmp_path)
    with pytest.raises(ArtefactMismatchError, match=r"musicnn-mtt\.safetensors has sha256"):
        Musicnn.load(MTT)


def test_what_a_layer_does_not_have_is_0(encoder):
    hidden_states = encoder.encode(music(3.0))
    for layer, width in enumerate(WIDTHS):
        assert hidden_states[:, layer, :, :width].any() and not hidden_states[:, layer, :, width:].any()


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "n_patches"), [(1.0, 1), (2.9, 1), (3.0, 1), (5.9, 1), (6.0, 2), (9.5, 3)])
def test_whole_patches_are_heard_and_the_rest_is_dropped(loaded, seconds, n_patches):
    """Each as it is heard alone; what is shorter than a patch is heard as it is."""
    waveform, encoder = music(seconds), loaded[MSD.id]
    log_mel = encoder.patches.log_mel(torch.from_numpy(waveform))
    hidden_states = encoder.encode(waveform)
    assert hidden_states.shape == (1, 6, n_patches, 1506)
    length = min(log_mel.shape[1], 187)
    for number in range(n_patches):
        alone = encoder.hear(log_mel[:, None, number * length : (number + 1) * length])
        np.testing.assert_allclose(hidden_states[:, :, number], alone[:, :, 0], atol=1e-4)


def test_a_segment_is_one_patch(loaded):
    """So that what is kept of a segment is what the network says of a patch, tags included."""
    assert loaded[MTT.id].encode(music(MTT.segment_s)).shape[2] == 1
    assert (MTT.segment_samples, MTT.hop_samples) == (48_000, 48_000)
    assert MTT.frame_rate_hz == pytest.approx(1 / 2.992)


@pytest.mark.slow
def test_the_level_counts(loaded):
    """Unlike with the other embedded encoders, and so its normaliser says."""
    waveform = music(3.0)
    for info in (MTT, MSD):
        loud, quiet = (loaded[info.id].encode(waveform * gain)[0, PENULTIMATE, 0] for gain in (1.0, 0.25))
        assert np.abs(loud - quiet).max() > 0.05 and info.normaliser.startswith("none")


def test_what_half_precision_cannot_hold_is_heard_as_the_loudest_it_can(loaded):
    """A recording in floating point may be at any level; the original made NaN of it."""
    for gain in (1e2, 1e4, 1e6):
        hidden_states = loaded[MTT.id].encode(music(1.0) * np.float32(gain))
        assert np.isfinite(hidden_states).all()


@pytest.mark.slow
def test_threads_change_nothing(loaded):
    """One thread or two: the same hidden states to 1e-5 of their size."""
    n_threads = torch.get_num_threads()
    waveforms = noise(6, 3.0, RATE_HZ)
    try:
        torch.set_num_threads(2)
        many = loaded[MSD.id].encode(waveforms)
        torch.set_num_threads(1)
        one = loaded[MSD.id].encode(waveforms)
    finally:
        torch.set_num_threads(n_threads)
    assert np.abs(many - one).max() <= 1e-5 * np.abs(one).max()


def test_random_twin_is_seeded():
    waveforms = noise(1, 1.0, RATE_HZ)
    first, again, other = Musicnn.random(MTT, 0), Musicnn.random(MTT, 0), Musicnn.random(MTT, 1)
    np.testing.assert_array_equal(first.encode(waveforms), again.encode(waveforms))
    assert not np.array_equal(first.encode(waveforms), other.encode(waveforms))
    assert first.info.licence == "Apache-2.0" and first.info.widths == WIDTHS


# --- tags ---------------------------------------------------------------------------------------------------


def test_tags_are_named_in_the_order_of_the_original():
    assert tag_names(MTT)[:3] == ("guitar", "classical", "slow") and tag_names(MTT)[-1] == "choral"
    assert tag_names(MSD)[:3] == ("rock", "pop", "alternative") and tag_names(MSD)[-1] == "happy"
    assert all(len(set(tag_names(info))) == 50 for info in (MTT, MSD))
    assert tag_names(Musicnn.random(MSD).info) == tag_names(MSD)


@pytest.mark.slow
def test_tags_are_read_off_what_the_store_keeps(loaded, tmp_path, write_wav):
    """Off each segment of an embedded file, without its sound: as the network says of its patches, to 0.002."""
    encoder = loaded[MTT.id]
    path = write_wav("a", seconds=10.0, seed=3)
    kept = Embedder(MTT.id, home=tmp_path).embed_file(path)
    raw = Embedder(MTT.id, home=tmp_path).embed_file(path, raw=True)
    assert kept.segments.shape == (4, 6, 1506) and raw.shape == (4, 6, 1, 1506)
    assert kept.starts_s.tolist() == [0.0, 3.0, 6.0, 7.0]  # the last ends where the sound does
    tags = encoder.tags(kept.segments[:, PENULTIMATE, :200])
    np.testing.assert_allclose(tags, encoder.tags(raw[:, PENULTIMATE, 0, :200]), atol=1e-6)
    assert tags.shape == (4, 50) and tags.min() >= 0 and tags.max() <= 1 and tags.dtype == np.float32
    whole = encoder.encode(music(3.0))[0, PENULTIMATE, 0, :200]
    np.testing.assert_allclose(encoder.tags(whole.astype(np.float16)), encoder.tags(whole), atol=2e-3)


def test_tags_of_extreme_numbers_are_numbers(loaded):
    """Without a warning, which a test makes an error."""
    tags = loaded[MTT.id].tags(np.stack([np.full(200, 1e4), np.full(200, -1e4), np.zeros(200)]))
    assert np.isfinite(tags).all()


# --- odd sound ----------------------------------------------------------------------------------------------


def test_short_and_quiet_recordings_are_embedded_and_silent_ones_refused(tmp_path, write_wav):
    embedder = Embedder(MSD.id, home=tmp_path)
    for seconds in (0.15, 1.0, 2.999, 3.0):
        embedding = embedder.embed_file(write_wav(f"s{seconds}", seconds=seconds))
        assert embedding.segments.shape == (1, 6, 1506) and np.isfinite(embedding.mean).all()
        assert embedding.frame_std.max() < 1e-3 * np.abs(embedding.mean).max()  # of one patch
    with pytest.raises(AudioError, match="silent"):
        embedder.embed_file(write_wav("silent", seconds=3.0, level=0.0))
