"""Checkpoints of the wav2vec 2.0 family: what transformers computes of them, from a folder or the hub's cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import mess_core
from mess_core import plugins
from mess_core.encoders.base import Encoder
from mess_core.encoders.registry import encoder_ids, load_encoder
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.storage.paths import Paths
from tests.contracts import ENCODER_LAWS

pytestmark = pytest.mark.slow
RATE_HZ = 16_000
TINY = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "conv_dim": [8, 8], "conv_kernel": [10, 4], "conv_stride": [80, 4], "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
WAVEFORMS = 0.1 * np.random.default_rng(0).standard_normal((2, 2 * RATE_HZ)).astype(np.float32)


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(plugins, "_registered", {})


def write_checkpoint(folder: Path, kind: str, head: bool = False, **config: object) -> Path:
    """A tiny checkpoint with random weights, as transformers writes it."""
    import torch
    import transformers

    torch.manual_seed(1)
    of_kind = getattr(transformers, f"{kind}Config")(**(TINY | config))
    model = getattr(transformers, f"{kind}{'ForCTC' if head else 'Model'}")(of_kind)
    with torch.no_grad():
        for parameter in model.parameters():  # what is initialised to 0 or 1 would hide a tensor that did not arrive
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE_HZ).save_pretrained(folder)
    return folder


def reference(folder: Path) -> np.ndarray:
    """What transformers itself makes of it, (n, n_layers, n_frames, dim)."""
    import torch
    import transformers

    model = transformers.AutoModel.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(list(WAVEFORMS), sampling_rate=RATE_HZ, return_tensors="pt").input_values
    with torch.inference_mode():
        answer = model(inputs, output_hidden_states=True)
    return np.stack([layer.numpy() for layer in (*answer.hidden_states[:-1], answer.last_hidden_state)], axis=1)


def load(id_: str) -> Encoder:
    return load_encoder(id_, Paths.default())


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("Wav2Vec2", {}),
        ("Wav2Vec2", {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}),
        ("Hubert", {}),
        ("Hubert", {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "mask_time_prob": 0.0}),
        ("WavLM", {}),
        ("Data2VecAudio", {"conv_pos_kernel_size": 3, "num_conv_pos_embeddings": 2}),
    ],
)
def test_a_checkpoint_answers_as_transformers_has_it(tmp_path, kind, config):
    """The golden test: a checkpoint that nobody has seen before, and the library's own answer."""
    folder = write_checkpoint(tmp_path / "My Model", kind, **config)
    info = mess_core.encoder_from_hf(folder, licence="MIT")
    assert (info.id, info.n_layers, info.dim, info.frame_rate_hz) == ("hf-my-model", 3, 16, 50.0)
    encoder = load(info.id)
    np.testing.assert_allclose(encoder.encode(WAVEFORMS), reference(folder), atol=2e-5)
    for law in ENCODER_LAWS:
        law(encoder)
    twin = load(f"random:{info.id}")
    assert np.abs(twin.encode(WAVEFORMS) - encoder.encode(WAVEFORMS)).mean() > 0.01
    assert f"random:{info.id}" in encoder_ids()


def test_a_head_is_left_out(tmp_path):
    folder = write_checkpoint(tmp_path / "with-head", "Wav2Vec2", head=True)
    np.testing.assert_allclose(
        load(mess_core.encoder_from_hf(folder).id).encode(WAVEFORMS), reference(folder), atol=2e-5
    )


def test_older_names_and_files_are_read(tmp_path):
    """What torch and transformers wrote before: pytorch_model.bin, and two other names of the positions."""
    import torch
    from safetensors.torch import load_file

    folder = write_checkpoint(tmp_path / "older", "Hubert")
    expected = reference(folder)
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    assert any(name.endswith("weight_g") for name in renamed)
    torch.save(renamed, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    np.testing.assert_allclose(load(mess_core.encoder_from_hf(folder).id).encode(WAVEFORMS), expected, atol=2e-5)


def test_a_model_comes_from_the_cache_of_the_hub(tmp_path, monkeypatch):
    """As the hub's client lays it out; its commit is what it is known by, and what is not there says how to get it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--someone--tiny-music"
    commit = "0123456789abcdef0123456789abcdef01234567"
    write_checkpoint(cached / "snapshots" / commit, "Wav2Vec2")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    by_name = mess_core.encoder_from_hf("someone/tiny-music")
    assert by_name.id == "hf-tiny-music" and load(by_name.id).info.source == "someone/tiny-music"
    assert mess_core.encoder_from_hf("someone/tiny-music", commit).fingerprint == by_name.fingerprint
    with pytest.raises(DataMissingError, match=r"hf download someone/other --revision v2"):
        mess_core.encoder_from_hf("someone/other", "v2")


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_what_is_no_such_checkpoint_is_one_sentence(tmp_path):
    folder = write_checkpoint(tmp_path / "tiny", "Wav2Vec2")
    info = mess_core.encoder_from_hf(folder)
    with pytest.raises(InputError, match="no revision"):
        mess_core.encoder_from_hf(folder, "main")
    change(folder / "preprocessor_config.json", do_normalize=False)
    with pytest.raises(ArtefactMismatchError, match="has changed since it was registered"):
        load(info.id)
    other = mess_core.encoder_from_hf(folder)
    assert other.fingerprint != info.fingerprint
    quiet = load(other.id).encode(WAVEFORMS)
    assert np.abs(quiet - reference(folder)).max() < 2e-5
    change(folder / "config.json", intermediate_size=20)
    with pytest.raises(ArtefactMismatchError, match="does not fit its config"):
        load(mess_core.encoder_from_hf(folder).id)
    change(folder / "config.json", adapter_attn_dim=4)
    with pytest.raises(ArtefactMismatchError, match="adapter_attn_dim = 4"):
        mess_core.encoder_from_hf(folder)
    change(folder / "config.json", model_type="bert")
    with pytest.raises(ArtefactMismatchError, match="kind 'bert', expected one of: data2vec-audio, hubert"):
        mess_core.encoder_from_hf(folder)
    (folder / "model.safetensors").unlink()
    change(folder / "config.json", model_type="wav2vec2", adapter_attn_dim=None)
    with pytest.raises(DataMissingError, match="Neither model"):
        mess_core.encoder_from_hf(folder)
    with pytest.raises(DataMissingError, match="There is no folder"):
        mess_core.encoder_from_hf(tmp_path / "nowhere")


def test_a_name_that_code_comes_with_is_never_run(tmp_path):
    """`auto_map` of a configuration names code of the publisher's: nothing looks at it."""
    folder = write_checkpoint(tmp_path / "tiny", "Wav2Vec2")
    (folder / "code.py").write_text("raise SystemExit('was run')")
    change(folder / "config.json", auto_map={"AutoModel": "code.Model", "AutoConfig": "code.Config"})
    assert load(mess_core.encoder_from_hf(folder).id).encode(WAVEFORMS).shape[1] == 3
