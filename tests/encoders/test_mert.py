"""MERT against the authors' own answers, the laws of every encoder, and checkpoints that must be refused."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mess_core.encoders import mert as mert_module
from mess_core.encoders.base import random_twin
from mess_core.encoders.mert import MERT_95M, MERT_330M, Mert, count_frames
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from tests.contracts import ENCODER_LAWS, name_of

GOLDEN = Path(__file__).parent.parent / "data" / "mert-golden"
KINDS = ("post-ln", "pre-ln")


@pytest.fixture(scope="module", params=KINDS)
def mert(request) -> Mert:
    return Mert.from_folder(GOLDEN / request.param)


@pytest.fixture(scope="module")
def large() -> Mert:
    """The 95M at its true size, untrained."""
    return Mert.random(MERT_95M, seed=7)


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A copy of a golden checkpoint, to be spoilt."""
    return Path(shutil.copytree(GOLDEN / "pre-ln", tmp_path / "checkpoint"))


def waveform() -> np.ndarray:
    return np.load(GOLDEN / "waveform_24k.npy")


def noise(n: int, n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (n, n_samples)).astype(np.float32)


# --- the same numbers as the authors' code ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_reproduces_the_authors_hidden_states(kind):
    """Every layer of both architectures to 1e-4, the last of the pre-norm one included."""
    hidden_states = Mert.from_folder(GOLDEN / kind).encode(waveform()[None])[0]
    expected = np.load(GOLDEN / kind / "hidden_states.npy")
    assert hidden_states.dtype == np.float32
    np.testing.assert_allclose(hidden_states, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_stock_convolutions_give_the_same(kind):
    """The blocked convolutions of the CPU path equal the stock module's, which other devices use."""
    ours, stock = Mert.from_folder(GOLDEN / kind), Mert.from_folder(GOLDEN / kind)
    del stock._model.feature_extractor.forward  # the instance's: the class's own comes back
    waveforms = noise(2, 30_001)
    np.testing.assert_allclose(ours.encode(waveforms), stock.encode(waveforms), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_true_size_convolutions(large):
    """At the true size, and for a tone with an offset whose variance mostly cancels."""
    tone = 0.5 + 0.4 * np.sin(2 * np.pi * 60 * np.arange(48_000) / 24_000)[None]
    waveforms = torch.from_numpy(tone.astype(np.float32))
    extractor = large._model.feature_extractor
    with torch.inference_mode():
        ours, stock = extractor(waveforms), type(extractor).forward(extractor, waveforms)
    assert ours.shape == stock.shape == (1, 512, count_frames(48_000))
    np.testing.assert_allclose(ours, stock, rtol=0, atol=2e-4)


# --- laws of an encoder -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [24_000, 24_079, 24_080, 48_137, 120_000])
def test_frame_count(mert, n_samples):
    """floor((n_samples - 400) / 320) + 1 frames."""
    assert mert.encode(noise(1, n_samples)).shape == (1, 5, (n_samples - 400) // 320 + 1, 48)
    assert count_frames(120_000) == 374


@pytest.mark.parametrize("law", ENCODER_LAWS, ids=name_of)
def test_laws(mert, law):
    law(mert)


def test_loudness_does_not_matter(mert):
    """12 dB down, and 60 dB down: the same embedding in every layer."""
    embedding = mert.encode(waveform()[None]).mean(axis=2)[0]
    for gain in (10 ** (-12 / 20), 1e-3):
        quiet = mert.encode(waveform()[None] * np.float32(gain)).mean(axis=2)[0]
        cosines = (quiet * embedding).sum(1) / np.linalg.norm(quiet, axis=1) / np.linalg.norm(embedding, axis=1)
        assert cosines.min() >= 0.999


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_matter(mert, threads):
    before = torch.get_num_threads()
    expected = mert.encode(waveform()[None])
    torch.set_num_threads(threads)
    try:
        np.testing.assert_allclose(mert.encode(waveform()[None]), expected, rtol=0, atol=1e-4)
    finally:
        torch.set_num_threads(before)


# --- identity -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_published_facts(large):
    """The true-size twin has the shape that the facts promise, and as many numbers as the published checkpoint."""
    hidden_states = large.encode(noise(1, 24_000))
    assert hidden_states.shape == (1, MERT_95M.n_layers, 74, MERT_95M.dim)
    assert (
        sum(tensor.numel() for tensor in large._model.parameters()) == 94_371_712 - 128
    )  # norm and direction: now one


def test_random_twin_is_seeded(monkeypatch):
    """Same seed, same answers; the identity is the twin's and the caller's random numbers are left alone."""
    small = {"conv_dim": [16] * 7, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2} | {
        "num_attention_heads": 2
    }
    monkeypatch.setitem(mert_module._SIZES, "mert-95m", mert_module._SIZES["mert-95m"] | small)
    info = dataclasses.replace(MERT_95M, n_layers=3, dim=32)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one, same, other = (Mert.random(info, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(torch.rand(3), expected)
    assert one.info == random_twin(info, 7)
    waveforms = noise(1, 24_000)
    np.testing.assert_array_equal(one.encode(waveforms), same.encode(waveforms))
    assert abs(one.encode(waveforms) - other.encode(waveforms)).max() > 0.1
    with pytest.raises(InputError, match="untrained twin"):
        Mert.random(dataclasses.replace(info, id="other"))


def test_a_folder_is_known_by_its_files():
    """Without pins, the hashes of the files are the identity."""
    one, two = (Mert.from_folder(GOLDEN / kind).info for kind in KINDS)
    assert one.fingerprint != two.fingerprint
    assert (one.n_layers, one.dim, one.frame_rate_hz) == (5, 48, 75.0)
    assert "without LayerNorm" in two.layer_0 and "after LayerNorm" in one.layer_0


def test_bfloat16_is_close_and_leaves_nothing_behind(mert):
    """Other numbers by the same weights; float32 afterwards says what it said before, to the byte."""
    exact = mert.encode(waveform()[None])
    coarse = mert.in_precision("bfloat16").encode(waveform()[None])
    assert 1e-4 < abs(exact - coarse).max() < 0.2
    assert mert.encode(waveform()[None]).tobytes() == exact.tobytes()
    with pytest.raises(InputError, match="float16"):
        mert.in_precision("float16")


# --- what must be refused -----------------------------------------------------------------------------------


def change_json(file: Path, **values) -> None:
    content = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


@pytest.mark.parametrize(
    ("file", "values", "says"),
    [
        ("config.json", {"model_type": "hubert"}, "model_type = 'hubert', expected 'mert_model'"),
        ("config.json", {"feature_extractor_cqt": True}, "feature_extractor_cqt"),
        ("config.json", {"deepnorm": True}, "deepnorm"),
        ("config.json", {"feat_extract_norm": "layer"}, "feat_extract_norm"),
        ("config.json", {"sample_rate": 16_000}, "sample_rate = 16000, expected 24000"),
        ("config.json", {"do_stable_layer_norm": ...}, "lacks do_stable_layer_norm"),
        ("config.json", {"do_stable_layer_norm": "yes"}, "expected true or false"),
        ("config.json", {"num_hidden_layers": 3}, "does not fit its config.json: .*encoder.layers.3"),
        ("preprocessor_config.json", {"do_normalize": False}, "do_normalize = False"),
        ("preprocessor_config.json", {"sampling_rate": 16_000}, "sampling_rate = 16000"),
    ],
)
def test_wrong_configurations_are_refused(checkpoint, file, values, says):
    change_json(checkpoint / file, **values)
    with pytest.raises(ArtefactMismatchError, match=says):
        Mert.from_folder(checkpoint)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_unreadable_configurations_are_refused(checkpoint, text):
    (checkpoint / "config.json").write_text(text)
    with pytest.raises(ArtefactMismatchError, match=r"config\.json"):
        Mert.from_folder(checkpoint)


@pytest.mark.parametrize("kind", KINDS)
def test_named_checkpoints_are_held_to_their_facts(kind, tmp_path):
    """The two kinds of block have the same tensors, so only the facts can tell a wrong `do_stable_layer_norm`."""
    info = {"post-ln": MERT_330M, "pre-ln": MERT_95M}[kind]
    facts = {"hidden_size": info.dim, "num_hidden_layers": info.n_layers - 1, "conv_dim": [512] * 7}
    sizes = {"intermediate_size": 4 * info.dim, "num_attention_heads": info.dim // 64}
    pos_conv = {"num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16}
    folder = Path(shutil.copytree(GOLDEN / kind, tmp_path / kind))
    change_json(folder / "config.json", **facts, **sizes, **pos_conv)
    with pytest.raises(ArtefactMismatchError, match=f"do_stable_layer_norm = .* for {info.id}"):
        Mert.from_folder(folder, info=info)


def test_another_size_than_asked_for_is_refused():
    with pytest.raises(ArtefactMismatchError, match="hidden_size = 48, expected 768 for mert-95m"):
        Mert.from_folder(GOLDEN / "post-ln", info=MERT_95M)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "pytorch_model.bin"])
def test_missing_files_are_named(checkpoint, name):
    (checkpoint / name).unlink()
    with pytest.raises(DataMissingError, match=name):
        Mert.from_folder(checkpoint)


def change_tensors(checkpoint: Path, change) -> None:
    file = checkpoint / "pytorch_model.bin"
    tensors = torch.load(file, weights_only=True)
    change(tensors)
    torch.save(tensors, file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda tensors: tensors.pop("encoder.layers.1.attention.k_proj.bias"),
            "Missing key.*layers.1.attention.k_proj",
        ),
        (lambda tensors: tensors.pop("encoder.pos_conv_embed.conv.weight_g"), "pos_conv_embed"),
        (lambda tensors: tensors.update(stowaway=torch.zeros(2)), "Unexpected key.*stowaway"),
        (lambda tensors: tensors.update({"masked_spec_embed": torch.zeros(7)}), "masked_spec_embed"),
        (lambda tensors: tensors.update(note="hello"), "not a dictionary of tensors"),
    ],
)
def test_wrong_tensors_are_refused(checkpoint, change, says):
    change_tensors(checkpoint, change)
    with pytest.raises(ArtefactMismatchError, match=says):
        Mert.from_folder(checkpoint)


@pytest.mark.parametrize("keep", [0, 1000, 0.5, -1])
def test_truncated_checkpoints_are_refused(checkpoint, keep):
    file = checkpoint / "pytorch_model.bin"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ArtefactMismatchError, match=r"pytorch_model\.bin is damaged or holds more than tensors"):
        Mert.from_folder(checkpoint)


class Hostile:
    """Unpickled, this would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("is_legacy", [False, True])
def test_hostile_checkpoints_are_refused(checkpoint, tmp_path, is_legacy):
    """Code in a checkpoint is not run."""
    trace = tmp_path / "trace"
    content = {"encoder.layer_norm.weight": Hostile(trace)}
    torch.save(content, checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=not is_legacy)
    with pytest.raises(ArtefactMismatchError, match="nothing in it was run"):
        Mert.from_folder(checkpoint)
    assert not trace.exists()


# --- manners ------------------------------------------------------------------------------------------------


def test_import_is_quick():
    """Importing brings in neither torch nor transformers nor the hub's client."""
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'httpx2'}"
    script = (
        f"import sys, mess_core.encoders.mert, mess_core.encoders.weights; sys.exit(bool({heavy} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_loading_and_encoding_are_silent(capfd):
    """Nothing is printed; warnings are errors in every test."""
    Mert.from_folder(GOLDEN / "pre-ln").encode(noise(1, 24_000))
    assert capfd.readouterr() == ("", "")
