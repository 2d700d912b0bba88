"""MERT: a HuBERT-style transformer that listens to 24 kHz music; 75 frames a second, one hidden state per layer.

    waveform (n_samples,)  zero mean, unit variance
      -> 7 convolutions (stride 320 in all, 400 samples seen by each frame)   (n_frames, 512)
      -> LayerNorm, projection, positional convolution                        (n_frames, dim)      layer 0
      -> 12 or 24 transformer blocks                                          (n_frames, dim)      layers 1, 2, ...

The released checkpoints are exactly the `HubertModel` of transformers, so no code of theirs is ever run.
The 95M normalises after each block ("post-norm"), the 330M before ("pre-norm", `do_stable_layer_norm`).

Conventions
-----------
n_frames = floor((n_samples - 400) / 320) + 1: 5 s are 374 frames, not 375.
Nothing is padded: the first convolution is normalised over the whole waveform, and zeros would count.

On a processor 85 % of the time are matrix products, which by their shapes reach nine tenths of the best one; attention
(5 %), the two convolutions that are no such product (5 %) and GELU (3 %) hold the rest (`benchmarks.mert`).

Source
------
Li et al. 2023, "MERT: Acoustic Music Understanding Model with Large-Scale Self-supervised Training";
checkpoints m-a-p/MERT-v1-95M and m-a-p/MERT-v1-330M.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.encoders.base import HEARD, EncoderEntry, EncoderInfo, WeightFile, random_twin
from mess_core.encoders.stock import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    CONSENT,
    FETCH_AGAIN,
    NON_COMMERCIAL,
    PREPROCESSOR_FILE,
    StockEncoder,
    fill,
    in_float32,
    normalise,
    read_config,
    read_tensors,
    require_keys,
    require_values,
    seeded,
)
from mess_core.encoders.weights import locate
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.storage.paths import Paths

SAMPLE_RATE_HZ = 24_000
CONV_KERNEL = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDE = (5, 2, 2, 2, 2, 2, 2)
FRAME_STEP = 320  # samples from one frame to the next: the product of the strides
FRAME_SPAN = 400  # samples that one frame sees before the transformer

# 32 frames at a time keep the widest activations (2 063 x 512 floats, 4 MB) in the processor's cache.
BLOCK_FRAMES = 32

NOTICE = f"The MERT weights are by Li et al. 2023 (m-a-p), {NON_COMMERCIAL}"

MERT_95M = EncoderInfo(
    id="mert-95m",
    title="MERT 95M",
    summary="Music transformer of 12 blocks, learned from 160,000 hours of music: the encoder MESS is built around.",
    source="m-a-p/MERT-v1-95M",
    revision="12af15fef9d0ac838c3f475bfbbf26d2060dd4f5",
    licence="CC BY-NC 4.0",
    files=(
        WeightFile(CONFIG_FILE, 1817, "ea2627c4c7825cd66f3c944b6b966331604c35928174e0100cd4a82829424e32"),
        WeightFile(PREPROCESSOR_FILE, 211, "cc5a5e4a5d3b1a758a5ed984b2eaa15bb0522d811d44a9eed82bfca4baa0dc8f"),
        WeightFile(CHECKPOINT_FILE, 377_552_987, "a2b8b747f72c06e0595aeae41ae5473f4364938c6b39b2c58be38c48e6bd3fcd"),
    ),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=SAMPLE_RATE_HZ / FRAME_STEP,
    n_layers=13,
    dim=768,
    layer_0="projected convolution features plus positional convolution, after LayerNorm",
    normaliser=f"zero mean, unit variance per segment, eps 1e-7, {HEARD}",
)

# No public source pins the hashes of the 330M: weights.py records them at first sight. Its sizes are estimates.
MERT_330M = EncoderInfo(
    id="mert-330m",
    title="MERT 330M",
    summary="The larger MERT: 24 blocks, about three times slower than the 95M.",
    source="m-a-p/MERT-v1-330M",
    revision="0e06c986db0527c0fd1b47181c40f006805e3de0",
    licence="CC BY-NC 4.0",
    files=(
        WeightFile(CONFIG_FILE, 2032, None),
        WeightFile(PREPROCESSOR_FILE, 211, None),
        WeightFile(CHECKPOINT_FILE, 1_261_842_000, None),
    ),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=SAMPLE_RATE_HZ / FRAME_STEP,
    n_layers=25,
    dim=1024,
    layer_0="projected convolution features plus positional convolution, without LayerNorm",
    normaliser=f"zero mean, unit variance per segment, eps 1e-7, {HEARD}",
)

# What both checkpoints share. Everything here must be so for `HubertModel` to compute what MERT computes.
_SWITCHES: dict[str, Any] = {
    "conv_bias": False,
    "conv_kernel": list(CONV_KERNEL),
    "conv_stride": list(CONV_STRIDE),
    "feat_extract_activation": "gelu",
    "feat_extract_norm": "group",
    "feat_proj_layer_norm": True,
    "hidden_act": "gelu",
}

# Branches of the authors' modelling code that no released checkpoint uses and `HubertModel` does not have.
_MUST_BE = {"model_type": "mert_model", "feature_extractor_cqt": False, "deepnorm": False} | _SWITCHES
_MUST_BE["sample_rate"] = SAMPLE_RATE_HZ

# The rest of the architecture, for true-size random twins and to hold a named checkpoint to its facts: the two
# kinds of block have the same tensors, so a wrong `do_stable_layer_norm` would load without complaint.
_COMMON = {
    "conv_dim": [512] * 7,
    "layer_norm_eps": 1e-5,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}
_SIZES: dict[str, dict[str, Any]] = {
    "mert-95m": _COMMON
    | {
        "do_stable_layer_norm": False,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
    },
    "mert-330m": _COMMON
    | {
        "do_stable_layer_norm": True,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
    },
}

# What is handed to `HubertConfig`: nothing else of a downloaded JSON file reaches transformers.
# `mask_time_prob` is only needed because transformers' tensor masked_spec_embed exists where it is above 0.
_ALLOWED = (*_SWITCHES, *_SIZES["mert-95m"], "mask_time_prob")


class Mert(StockEncoder):
    """MERT of any size, through transformers' `HubertModel`.

    Made by `from_folder` (a checkpoint as published) or `random` (the untrained twin of the same size).
    """

    def __init__(self, info: EncoderInfo, model: Any, device: str) -> None:
        import torch

        # The positional convolution's weight is fixed now: compute it from its norm and direction once, not per call.
        positions = model.encoder.pos_conv_embed.conv
        torch.nn.utils.parametrize.remove_parametrizations(positions, "weight")
        positions.forward = functools.partial(in_float32, positions.forward)
        super().__init__(info, model, device)
        if torch.device(device).type == "cpu":
            extractor = model.feature_extractor
            extractor.forward = functools.partial(_features, extractor, _conv_matrices(model))

    @classmethod
    def from_folder(cls, path: Path | str, *, info: EncoderInfo | None = None, device: str = "cpu") -> Mert:
        """Load a checkpoint folder as published: config.json, preprocessor_config.json, pytorch_model.bin.

        Parameters
        ----------
        path : Path or str
            The folder. Its hashes are not checked here: `weights.locate` has done so.
        info : EncoderInfo, optional
            What the checkpoint is expected to be. Without it the facts are read from the folder.
        device : str
            "cpu", "cuda", "cuda:1", "mps".

        Raises
        ------
        DataMissingError
            If a file is not there.
        ArtefactMismatchError
            If a file is damaged, holds more than tensors, or is not the MERT that was asked for.
        """
        path = Path(path)
        config = read_config(path / CONFIG_FILE)
        _check_config(config, path / CONFIG_FILE, info)
        preprocessor = {"do_normalize": True, "sampling_rate": SAMPLE_RATE_HZ}
        require_values(read_config(path / PREPROCESSOR_FILE), preprocessor, path / PREPROCESSOR_FILE)
        checkpoint = read_tensors(path / CHECKPOINT_FILE)
        model = _build(config)
        _fill(model, checkpoint, path / CHECKPOINT_FILE)
        return cls(info or _info_from(path, config), model, device)

    @classmethod
    def random(cls, info: EncoderInfo, seed: int = 0, *, device: str = "cpu") -> Mert:
        """The untrained twin of `MERT_95M` or `MERT_330M`: same architecture, seeded random weights, no files.

        A control: what it finds in music is owed to the architecture and not to learning.
        """
        if info.id not in _SIZES:
            raise InputError(f"There is no untrained twin of {info.id!r}; known are {', '.join(_SIZES)}.")
        model = seeded(seed, lambda: _build(_SWITCHES | _SIZES[info.id] | {"mask_time_prob": 0.05}))
        return cls(random_twin(info, seed), model, device)

    def _prepared(self, waveforms: np.ndarray) -> np.ndarray:
        return normalise(waveforms)

    def _layers(self, waveforms: Any) -> list[Any]:
        answer = self._model(waveforms, output_hidden_states=True)
        # Since transformers 5.16 the last hidden state of a pre-norm model lacks the final LayerNorm.
        return [*answer.hidden_states[:-1], answer.last_hidden_state]


def count_frames(n_samples: int) -> int:
    """Number of frames of a waveform of `n_samples`: 374 for 5 s at 24 kHz.

    Examples
    --------
    >>> count_frames(120_000)
    374
    """
    return (n_samples - FRAME_SPAN) // FRAME_STEP + 1


# --- reading a checkpoint ---------------------------------------------------------------------------------


def _check_config(config: dict[str, Any], file: Path, info: EncoderInfo | None) -> None:
    """Refuse a configuration that `HubertModel` would load and compute wrongly, or that is not `info`'s."""
    # A missing key would silently become HuBERT's default, so every key must be there.
    require_keys(config, (*_MUST_BE, *_ALLOWED), file)
    expected = dict(_MUST_BE)
    if info is not None:
        expected |= {"hidden_size": info.dim, "num_hidden_layers": info.n_layers - 1} | _SIZES.get(info.id, {})
    require_values(config, expected, file, "a MERT that MESS can compute" if info is None else info.id)
    if not isinstance(config["do_stable_layer_norm"], bool):
        raise ArtefactMismatchError(
            f"{file} has do_stable_layer_norm = {config['do_stable_layer_norm']!r}, expected true or false.",
            FETCH_AGAIN,
        )


def _build(config: dict[str, Any]) -> Any:
    """A `HubertModel` of this architecture, with random weights."""
    from transformers import HubertConfig, HubertModel

    allowed = {key: config[key] for key in _ALLOWED}
    config_of_hubert: Any = HubertConfig  # its keywords are made at run time
    return HubertModel(config_of_hubert(**allowed, attn_implementation="sdpa"))


def _fill(model: Any, checkpoint: dict[str, Any], file: Path) -> None:
    """As `fill`, and the two tensors whose names have changed have arrived."""
    import torch

    fill(model, checkpoint, file)
    # Older and newer torch name the two tensors of the weight-normed convolution differently, and some versions
    # have left them random with a warning at most. So look.
    prefix = "encoder.pos_conv_embed.conv."
    loaded = model.encoder.pos_conv_embed.conv.parametrizations.weight
    for ours, names in (
        (loaded.original0, ("weight_g", "parametrizations.weight.original0")),
        (loaded.original1, ("weight_v", "parametrizations.weight.original1")),
    ):
        theirs = next((checkpoint[prefix + name] for name in names if prefix + name in checkpoint), None)
        if theirs is None or not torch.equal(ours, theirs.float()):
            raise ArtefactMismatchError(f"The positional convolution of {file} did not arrive in the model.")


def _info_from(path: Path, config: dict[str, Any]) -> EncoderInfo:
    """Facts of a folder that nobody has pinned: its identity is the hash of its files."""
    files = []
    for name in (CONFIG_FILE, PREPROCESSOR_FILE, CHECKPOINT_FILE):
        with (path / name).open("rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
        files.append(WeightFile(name, (path / name).stat().st_size, sha256))
    like = MERT_330M if config["do_stable_layer_norm"] else MERT_95M
    return dataclasses.replace(
        like,
        id="mert-folder",
        title=f"MERT from {path.name}",
        summary="A MERT checkpoint from a folder of yours.",
        source=str(path),
        revision="unpinned",
        licence="see its source",
        files=tuple(files),
        n_layers=config["num_hidden_layers"] + 1,
        dim=config["hidden_size"],
    )


# --- computing faster, the same numbers -------------------------------------------------------------------


def _features(extractor: Any, matrices: tuple[Any, Any, list[Any]], waveforms: Any) -> Any:
    """The convolutions of a waveform: faster in float32, as the stock module has them in bfloat16."""
    import torch

    if torch.is_autocast_enabled("cpu"):
        return type(extractor).forward(extractor, waveforms)
    return _extract_features(matrices, waveforms)


def _conv_matrices(model: Any) -> tuple[Any, Any, list[Any]]:
    """Weights of the convolutions as `_extract_features` wants them.

    Returns
    -------
    tuple of
        the first convolution, float64, shape (512, 10); its GroupNorm;
        the others, each of shape (kernel, in, out)
    """
    first, *others = model.feature_extractor.conv_layers
    return (
        first.conv.weight[:, 0].double(),
        first.layer_norm,
        [layer.conv.weight.permute(2, 1, 0).contiguous() for layer in others],
    )


def _extract_features(matrices: tuple[Any, Any, list[Any]], waveforms: Any) -> Any:
    """The seven convolutions as matrix products over blocks of frames that fit the processor's cache.

    A third of all arithmetic happens here, on activations of 49 MB per segment; layer by layer, as the stock module
    goes, half of the time is memory traffic. Frames are rows and channels columns throughout, so a convolution whose
    stride is 2 is the product of pairs of rows, read in place, plus one product for the third tap.

    Parameters
    ----------
    waveforms : tensor, shape (n, n_samples), float32

    Returns
    -------
    tensor, shape (n, 512, n_frames), float32; equals the stock module's to float32 rounding
    """
    import torch

    first, norm, others = matrices
    n_frames = count_frames(waveforms.shape[1])
    features = waveforms.new_empty((len(waveforms), n_frames, others[-1].shape[2]))
    for waveform, rows in zip(waveforms, features, strict=True):
        matrix, bias = _fold_norm(first, norm, waveform)
        for start in range(0, n_frames, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, n_frames)
            block = waveform[start * FRAME_STEP : (stop - 1) * FRAME_STEP + FRAME_SPAN]
            block = torch.addmm(bias, block.unfold(0, CONV_KERNEL[0], CONV_STRIDE[0]), matrix)
            block = torch.nn.functional.gelu(block)
            for taps, stride in zip(others, CONV_STRIDE[1:], strict=True):
                block = torch.nn.functional.gelu(_convolve(block, taps, stride))
            rows[start:stop] = block
    return features.transpose(1, 2)


def _fold_norm(first: Any, norm: Any, waveform: Any) -> tuple[Any, Any]:
    """The first convolution and its GroupNorm as one matrix and one bias.

    The convolution is linear, so mean and variance of each channel follow from the mean and the covariance of the
    waveform's 10-sample windows: no pass over the 24 000 x 512 outputs is needed. In float64, because a filter that
    rejects most of a signal leaves a small difference of large numbers.

    Returns
    -------
    tensor, shape (10, 512), float32; tensor, shape (512,), float32
    """
    import torch

    windows = waveform.unfold(0, CONV_KERNEL[0], CONV_STRIDE[0]).double()
    mean = windows.mean(0)
    windows = windows - mean
    covariance = windows.T @ windows / len(windows)
    variance = ((first @ covariance) * first).sum(1)
    matrix = first * (norm.weight.double() / torch.sqrt(variance + norm.eps))[:, None]
    bias = norm.bias.double() - matrix @ mean
    return matrix.T.float().contiguous(), bias.float()


def _convolve(rows: Any, taps: Any, stride: int) -> Any:
    """Convolve over rows: (n_rows, in) with taps (kernel, in, out) -> (n_out, out), for kernel >= stride."""
    kernel, n_in, n_out = taps.shape
    n = (len(rows) - kernel) // stride + 1
    result = rows[: n * stride].view(n, stride * n_in) @ taps[:stride].reshape(stride * n_in, n_out)
    for tap in range(stride, kernel):
        result.addmm_(rows[tap : tap + (n - 1) * stride + 1 : stride], taps[tap])
    return result


def _load(info: EncoderInfo, paths: Paths, device: str) -> Mert:
    return Mert.from_folder(locate(info, paths), info=info, device=device)


def _untrained(info: EncoderInfo, device: str) -> Mert:
    return Mert.random(info, seed=0, device=device)


ENTRIES = tuple(EncoderEntry(info, _load, _untrained, NOTICE, CONSENT) for info in (MERT_95M, MERT_330M))
