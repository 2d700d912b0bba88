"""Speech-like transformers: any checkpoint of the wav2vec 2.0 family, from a folder or the Hugging Face cache.

    encoder_from_hf("facebook/hubert-base-ls960", revision="…")   once it was fetched: nothing is fetched here
    encoder_from_hf("~/models/my-wav2vec2")                       a folder as transformers writes it

The classes are those of transformers; no code that comes with a checkpoint is ever run, and of its configuration only
known keys reach the library. The identity is the hash of the three files, so a checkpoint that was trained on never
meets the vectors of what it was. The untrained twin has the same configuration and seeded random weights.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mess_core import plugins
from mess_core.encoders.base import HEARD, EncoderEntry, EncoderInfo, Precision, random_twin
from mess_core.encoders.registry import GROUP, check_own
from mess_core.encoders.stock import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    FETCH_AGAIN,
    PREPROCESSOR_FILE,
    StockEncoder,
    fill,
    normalise,
    read_config,
    read_tensors,
    require_keys,
    require_values,
    seeded,
)
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.storage.paths import Paths

SAFE_FILE = "model.safetensors"  # looked for first
# model_type -> the classes of transformers, and what the tensors of a model with a head begin with
KINDS = {
    "data2vec-audio": ("Data2VecAudioConfig", "Data2VecAudioModel", "data2vec_audio."),
    "hubert": ("HubertConfig", "HubertModel", "hubert."),
    "unispeech": ("UniSpeechConfig", "UniSpeechModel", "unispeech."),
    "unispeech-sat": ("UniSpeechSatConfig", "UniSpeechSatModel", "unispeech_sat."),
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model", "wav2vec2."),
    "wavlm": ("WavLMConfig", "WavLMModel", "wavlm."),
}
_NEEDED = ("hidden_size", "num_hidden_layers", "conv_stride", "conv_kernel")
# What decides what is computed; dropout, heads and whatever else a configuration says reach nobody.
_ALLOWED = (
    *_NEEDED, "activation_dropout", "conv_bias", "conv_dim", "conv_pos_batch_norm", "conv_pos_kernel_size",
    "do_stable_layer_norm", "feat_extract_activation", "feat_extract_norm", "feat_proj_layer_norm", "hidden_act",
    "intermediate_size", "layer_norm_eps", "mask_feature_prob", "mask_time_prob", "max_bucket_distance",
    "num_attention_heads", "num_buckets", "num_conv_pos_embedding_groups", "num_conv_pos_embeddings",
)  # fmt: skip
# Branches that answer at another rate, or need an input that we do not have.
_MUST_NOT = ("add_adapter", "adapter_attn_dim")
_MASK = "masked_spec_embed"  # of training alone
_OLD_NAMES = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}


@dataclass(frozen=True)
class SpeechCheckpoint:
    """A checkpoint on this machine. normalises : whether its waveforms are brought to zero mean and unit variance"""

    folder: Path
    config: dict[str, Any]
    normalises: bool
    weights: str
    sha256: str


def encoder_from_hf(
    name: str | os.PathLike[str],
    revision: str | None = None,
    *,
    id: str = "",
    licence: str = "see its source",
    title: str = "",
) -> EncoderInfo:
    """Register a checkpoint of the wav2vec 2.0 family as an encoder, for as long as this process lives.

    Parameters
    ----------
    name : str or path
        A folder, or the name of a model in the Hugging Face cache of this machine. Nothing is downloaded.
    revision : str, optional
        Commit, branch or tag of the model; by default "main", as it was when it was fetched.
    id : str
        What the encoder is called; by default `hf-` and the name.
    licence : str
        On whose terms what it makes may be used; exports carry it.

    Returns
    -------
    EncoderInfo
        Whose `id` is what `open_library` and `--encoder` take.

    Raises
    ------
    InputError
        If what is named, or the id, cannot be one.
    DataMissingError
        If it is not on this machine; the hint says how to get it.
    ArtefactMismatchError
        If it is another kind of model, or damaged.
    """
    found = _read(_folder_of(name, revision))
    config, called = found.config, os.fspath(name).rstrip("/").rpartition("/")[2]
    rate_hz = read_config(found.folder / PREPROCESSOR_FILE)["sampling_rate"]
    info = EncoderInfo(
        id=id or "hf-" + re.sub(r"[^a-z0-9._-]+", "-", called.lower()),
        title=title or called,
        summary=f"A checkpoint of the kind {config['model_type']}, from {os.fspath(name)}.",
        source=os.fspath(name),
        revision=found.sha256,
        licence=licence,
        files=(),
        sample_rate_hz=rate_hz,
        frame_rate_hz=rate_hz / math.prod(config["conv_stride"]),
        n_layers=config["num_hidden_layers"] + 1,
        dim=config["hidden_size"],
        layer_0="projected convolution features plus positional convolution",
        normaliser=f"zero mean, unit variance per segment, eps 1e-7, {HEARD}" if found.normalises else f"none, {HEARD}",
    )
    entry = EncoderEntry(info, functools.partial(_load, found), functools.partial(_untrained, found))
    check_own(entry)
    plugins.register(GROUP, info.id, entry)
    return info


class Speech(StockEncoder):
    """A transformer of the wav2vec 2.0 family, through transformers."""

    # In bfloat16 torch's grouped convolution is wrong on some processors (see `stock.in_float32`).
    precisions: ClassVar[tuple[Precision, ...]] = ("float32",)

    def __init__(self, info: EncoderInfo, model: Any, device: str, *, normalises: bool) -> None:
        super().__init__(info, model, device)
        self._normalises = normalises

    def _prepared(self, waveforms: np.ndarray) -> np.ndarray:
        return normalise(waveforms) if self._normalises else waveforms

    def _layers(self, waveforms: Any) -> list[Any]:
        answer = self._model(waveforms, output_hidden_states=True)
        return [*answer.hidden_states[:-1], answer.last_hidden_state]  # the latter with the final LayerNorm, if any


def _folder_of(name: str | os.PathLike[str], revision: str | None) -> Path:
    """Where a checkpoint lies: a folder as it is, a name in the cache of the hub."""
    if not isinstance(name, str | os.PathLike):
        raise InputError(f"A checkpoint is {name!r}, expected a folder, or a model as the hub calls it.")
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise InputError(f"{folder} is a folder, which has no revision.", "Leave out the revision.")
        return folder.resolve()
    model = os.fspath(name)
    command = f"hf download {model}{f' --revision {revision}' if revision else ''}"
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise DataMissingError(f"There is no folder {folder}.", "Name a folder, or a model as the hub calls it.")
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(model, CONFIG_FILE, revision=revision)
    if not isinstance(found, str):
        at = f" at the revision {revision}" if revision else ""
        raise DataMissingError(f"{model} is not on this machine{at}.", f"With a network, fetch it: {command}")
    return Path(found).parent


def _read(folder: Path) -> SpeechCheckpoint:
    """What a folder holds, looked at: a kind that is known, and its identity."""
    file = folder / CONFIG_FILE
    config = read_config(file)
    if config.get("model_type") not in KINDS:
        raise ArtefactMismatchError(
            f"{file} describes a model of the kind {config.get('model_type')!r}, expected one of: {', '.join(KINDS)}.",
            "Write a function for it: mess_core.register_encoder.",
        )
    require_keys(config, _NEEDED, file)
    for key in _MUST_NOT:
        if config.get(key):
            require_values(config, {key: None}, file, "hidden states at one rate")
    if not all(type(config[key]) is int and config[key] > 0 for key in ("hidden_size", "num_hidden_layers")):
        raise ArtefactMismatchError(f"{file} has no whole numbers of layers and of numbers in each.", FETCH_AGAIN)
    preprocessor = read_config(folder / PREPROCESSOR_FILE)
    require_keys(preprocessor, ("sampling_rate",), folder / PREPROCESSOR_FILE)
    weights = SAFE_FILE if (folder / SAFE_FILE).is_file() else CHECKPOINT_FILE
    if not (folder / weights).is_file():
        raise DataMissingError(f"Neither {SAFE_FILE} nor {CHECKPOINT_FILE} is in {folder}.", FETCH_AGAIN)
    digests = {}
    for role, name in (("config", CONFIG_FILE), ("preprocessor", PREPROCESSOR_FILE), ("weights", weights)):
        with (folder / name).open("rb") as stream:
            digests[role] = hashlib.file_digest(stream, "sha256").hexdigest()
    sha256 = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    return SpeechCheckpoint(folder, config, bool(preprocessor.get("do_normalize", True)), weights, sha256)


def _build(config: dict[str, Any]) -> Any:
    """A model of this architecture, with random weights; what it does not say is as transformers has it."""
    import transformers

    config_name, model_name, _ = KINDS[config["model_type"]]
    allowed = {key: config[key] for key in _ALLOWED if key in config}
    try:
        return getattr(transformers, model_name)(getattr(transformers, config_name)(**allowed))
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ArtefactMismatchError(
            f"No {model_name} can be built of its {CONFIG_FILE}: {error}", FETCH_AGAIN
        ) from error


def _load(found: SpeechCheckpoint, info: EncoderInfo, paths: Paths, device: str) -> Speech:
    again = _read(found.folder)
    if again.sha256 != found.sha256:
        raise ArtefactMismatchError(
            f"What {found.folder} holds has changed since it was registered as {info.id}.", "Register it again."
        )
    model, file = _build(again.config), again.folder / again.weights
    expected = model.state_dict()
    tensors = _body(read_tensors(file), KINDS[again.config["model_type"]][2])
    if _MASK in expected:
        tensors.setdefault(_MASK, expected[_MASK])
    else:
        tensors.pop(_MASK, None)
    fill(model, tensors, file)
    return Speech(info, model, device, normalises=again.normalises)


def _body(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors of the transformer itself, as torch calls them now; a head that stands on it is left out."""
    if any(name.startswith(prefix) for name in tensors):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    renamed = {}
    for name, value in tensors.items():
        for old, new in _OLD_NAMES.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        renamed[name] = value
    return renamed


def _untrained(found: SpeechCheckpoint, info: EncoderInfo, device: str) -> Speech:
    model = seeded(0, lambda: _build(found.config))
    return Speech(random_twin(info, 0), model, device, normalises=found.normalises)
