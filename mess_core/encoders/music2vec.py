"""Music2Vec: MERT's older sister, which learned to say of 16 kHz music what a slower copy of itself says.

    waveform (n_samples,)  zero mean, unit variance
      -> 7 convolutions, each with a LayerNorm (stride 320 in all, 400 samples seen by a frame)   (n_frames, 512)
      -> LayerNorm, projection, 5 positional convolutions, LayerNorm                (n_frames, dim)   layer 0
      -> 12 transformer blocks                                                      (n_frames, dim)   layers 1, 2, …

The released checkpoint is exactly the `Data2VecAudioModel` of transformers.

Conventions
-----------
n_frames = floor((n_samples - 400) / 320) + 1, as of MERT, but 50 a second: 5 s are 249 frames.
A published comparison fed it 24 kHz and left out the normalisation: its figures are not those of this encoder.

Source
------
Li et al. 2022, "MAP-Music2Vec: A Simple and Effective Baseline for Self-Supervised Music Audio Representation
Learning"; checkpoint m-a-p/music2vec-v1. Normalised as in MARBLE (Yuan et al. 2023).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mess_core.encoders.base import HEARD, EncoderEntry, EncoderInfo, WeightFile, random_twin
from mess_core.encoders.stock import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    CONSENT,
    NON_COMMERCIAL,
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
from mess_core.encoders.weights import locate
from mess_core.storage.paths import Paths

SAMPLE_RATE_HZ = 16_000
FRAME_STEP = 320  # samples from one frame to the next: the product of the strides

# No public source gives the sizes to the byte, so the hashes cannot be pinned here: weights.py records them.
MUSIC2VEC = EncoderInfo(
    id="music2vec",
    title="Music2Vec",
    summary="Music transformer of 12 blocks that came before MERT, learned from 1,000 hours of music.",
    source="m-a-p/music2vec-v1",
    revision="99b5bfbd4de814b5a44b0e3a3244f737b23c7983",
    licence="CC BY-NC 4.0",
    files=(
        WeightFile(CONFIG_FILE, 1753, None),
        WeightFile(PREPROCESSOR_FILE, 214, None),
        WeightFile(CHECKPOINT_FILE, 373_000_000, None),
    ),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=SAMPLE_RATE_HZ / FRAME_STEP,
    n_layers=13,
    dim=768,
    layer_0="projected convolution features plus positional convolutions, after LayerNorm",
    normaliser=f"zero mean, unit variance per segment, eps 1e-7, {HEARD}",
)
NOTICE = f"The Music2Vec weights are by Li et al. 2022 (m-a-p), {NON_COMMERCIAL}"

# Everything here must be so for `Data2VecAudioModel` to compute what was published.
_MUST_BE: dict[str, Any] = {
    "add_adapter": False,
    "conv_bias": False,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
}
_SIZES: dict[str, Any] = {
    "conv_dim": [512] * 7,
    "conv_pos_kernel_size": 19,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-5,
    "num_attention_heads": 12,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 5,
    "num_hidden_layers": 12,
}
# What is handed to `Data2VecAudioConfig`, and nothing else: the published file has a path where a number belongs, in an
# entry that we do not need. `mask_time_prob` is, for a tensor is there only where it is above 0.
_ALLOWED = (*_MUST_BE, *_SIZES, "mask_time_prob")


class Music2Vec(StockEncoder):
    """Music2Vec, through transformers' `Data2VecAudioModel`."""

    @classmethod
    def from_folder(cls, path: Path, *, info: EncoderInfo = MUSIC2VEC, device: str = "cpu") -> Music2Vec:
        """Load a checkpoint folder as published; errors as `Mert.from_folder`."""
        file = path / CONFIG_FILE
        config = read_config(file)
        require_keys(config, _ALLOWED, file)
        sizes = _SIZES if info.id == MUSIC2VEC.id else {}
        facts = {"hidden_size": info.dim, "num_hidden_layers": info.n_layers - 1}
        require_values(config, {"model_type": "data2vec-audio"} | _MUST_BE | sizes | facts, file, info.id)
        rate = {"sampling_rate": SAMPLE_RATE_HZ}
        require_values(read_config(path / PREPROCESSOR_FILE), rate, path / PREPROCESSOR_FILE, info.id)
        model = _build(config)
        fill(model, read_tensors(path / CHECKPOINT_FILE), path / CHECKPOINT_FILE)
        return cls(info, model, device)

    @classmethod
    def random(cls, info: EncoderInfo = MUSIC2VEC, seed: int = 0, *, device: str = "cpu") -> Music2Vec:
        """The untrained twin: the same architecture with seeded random weights, a control."""
        model = seeded(seed, lambda: _build(_MUST_BE | _SIZES | {"mask_time_prob": 0.05}))
        return cls(random_twin(info, seed), model, device)

    def _prepared(self, waveforms: np.ndarray) -> np.ndarray:
        return normalise(waveforms)

    def _layers(self, waveforms: Any) -> list[Any]:
        answer = self._model(waveforms, output_hidden_states=True)
        return [*answer.hidden_states[:-1], answer.last_hidden_state]


def _build(config: dict[str, Any]) -> Any:
    """A `Data2VecAudioModel` of this architecture, with random weights."""
    from transformers import Data2VecAudioConfig, Data2VecAudioModel

    config_of_model: Any = Data2VecAudioConfig  # its keywords are made at run time
    return Data2VecAudioModel(config_of_model(**{key: config[key] for key in _ALLOWED}, attn_implementation="sdpa"))


def _load(info: EncoderInfo, paths: Paths, device: str) -> Music2Vec:
    return Music2Vec.from_folder(locate(info, paths), info=info, device=device)


def _untrained(info: EncoderInfo, device: str) -> Music2Vec:
    return Music2Vec.random(info, device=device)


ENTRIES = (EncoderEntry(MUSIC2VEC, _load, _untrained, NOTICE, CONSENT),)
