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
from typing import Any, Literal

import numpy as np

from mess_core.encoders.base import (
    HEARD,
    Encoder,
    EncoderEntry,
    EncoderInfo,
    WeightFile,
    check_waveforms,
    random_twin,
)
from mess_core.encoders.weights import locate
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import read_json

CONFIG_FILE = "config.json"
MOST_CONFIG_BYTES = 2**20
PREPROCESSOR_FILE = "preprocessor_config.json"
CHECKPOINT_FILE = "pytorch_model.bin"

SAMPLE_RATE_HZ = 24_000
CONV_KERNEL = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDE = (5, 2, 2, 2, 2, 2, 2)
FRAME_STEP = 320  # samples from one frame to the next: the product of the strides
FRAME_SPAN = 400  # samples that one frame sees before the transformer
NORMALISER_EPS = 1e-7  # Wav2Vec2FeatureExtractor's, which the published preprocessor names

# 32 frames at a time keep the widest activations (2 063 x 512 floats, 4 MB) in the processor's cache.
BLOCK_FRAMES = 32

# On a CPU more segments at once only spill the cache and take memory: 2 are within 1 % of the fastest (benchmarks/).
CPU_TOGETHER = 2

NOTICE = (
    "The MERT weights are by Li et al. 2023 (m-a-p), under CC BY-NC 4.0 "
    "(https://creativecommons.org/licenses/by-nc/4.0/): non-commercial use only. Read carefully, this also covers "
    "using embeddings made with them in a commercial service. Your audio stays on this machine."
)
CONSENT = "I use it for non-commercial purposes only"

MERT_95M = EncoderInfo(
    id="mert-95m",
    title="MERT 95M",
    summary="Music transformer of 12 blocks, learned from 160 000 hours of music: the encoder MESS is built around.",
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

Precision = Literal["float32", "bfloat16"]


class Mert(Encoder):
    """MERT of any size, through transformers' `HubertModel`.

    Made by `from_folder` (a checkpoint as published) or `random` (the untrained twin of the same size).
    """

    def __init__(self, info: EncoderInfo, model: Any, device: str, precision: Precision) -> None:
        if precision not in ("float32", "bfloat16"):
            raise InputError(f"Precision must be 'float32' or 'bfloat16', got {precision!r}.")
        if precision != "float32":  # other numbers, so another identity: the two never meet in one index
            info = dataclasses.replace(info, revision=f"{info.revision}+{precision}")
        self.info = info
        self.device = device
        self.precision = precision
        self._model = _prepare(model, device, blocked=precision == "float32")

    @classmethod
    def from_folder(
        cls,
        path: Path | str,
        *,
        info: EncoderInfo | None = None,
        device: str = "cpu",
        precision: Precision = "float32",
    ) -> Mert:
        """Load a checkpoint folder as published: config.json, preprocessor_config.json, pytorch_model.bin.

        Parameters
        ----------
        path : Path or str
            The folder. Its hashes are not checked here: `weights.locate` has done so.
        info : EncoderInfo, optional
            What the checkpoint is expected to be. Without it the facts are read from the folder.
        device : str
            "cpu", "cuda", "cuda:1", "mps".
        precision : "float32" or "bfloat16"
            bfloat16 is for measurements: its error is what `benchmarks/mert.py` prints.

        Raises
        ------
        DataMissingError
            If a file is not there.
        ArtefactMismatchError
            If a file is damaged, holds more than tensors, or is not the MERT that was asked for.
        """
        path = Path(path)
        config = _read_json(path / CONFIG_FILE)
        _check_config(config, path / CONFIG_FILE, info)
        _check_preprocessor(_read_json(path / PREPROCESSOR_FILE), path / PREPROCESSOR_FILE)
        checkpoint = _read_checkpoint(path / CHECKPOINT_FILE)
        model = _build(config)
        _fill(model, checkpoint, path / CHECKPOINT_FILE)
        return cls(info or _info_from(path, config), model, device, precision)

    @classmethod
    def random(cls, info: EncoderInfo, seed: int = 0, *, device: str = "cpu", precision: Precision = "float32") -> Mert:
        """The untrained twin of `MERT_95M` or `MERT_330M`: same architecture, seeded random weights, no files.

        A control: what it finds in music is owed to the architecture and not to learning.
        """
        import torch

        if info.id not in _SIZES:
            raise InputError(f"There is no untrained twin of {info.id!r}; known are {', '.join(_SIZES)}.")
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers go on undisturbed
            torch.manual_seed(seed)
            model = _build(_SWITCHES | _SIZES[info.id] | {"mask_time_prob": 0.05})
        return cls(random_twin(info, seed), model, device, precision)

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """Hidden states of equal-length waveforms; see `Encoder.encode`.

        Returns
        -------
        ndarray, shape (n, n_layers, n_frames, dim), float32
        """
        import torch

        waveforms = normalise(check_waveforms(waveforms, self.info))
        n, n_samples = waveforms.shape
        together = CPU_TOGETHER if torch.device(self.device).type == "cpu" else n
        stacked = np.empty((n, self.info.n_layers, count_frames(n_samples), self.info.dim), dtype=np.float32)
        for start in range(0, n, together):
            rows = slice(start, start + together)
            states = self._hidden_states(torch.from_numpy(waveforms[rows]))
            for layer in range(len(states)):
                stacked[rows, layer] = states[layer].float().cpu().numpy()
                states[layer] = None  # freed as it is copied: never two copies of a batch
        return stacked

    def _hidden_states(self, waveforms: Any) -> list[Any]:
        """One tensor per layer, each of shape (n, n_frames, dim)."""
        import torch

        device = torch.device(self.device)
        is_coarse = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=is_coarse):
            answer = self._model(waveforms.to(device), output_hidden_states=True)
        # Since transformers 5.16 the last hidden state of a pre-norm model lacks the final LayerNorm.
        return [*answer.hidden_states[:-1], answer.last_hidden_state]


def normalise(waveforms: np.ndarray) -> np.ndarray:
    """Bring each waveform to zero mean and unit variance.

    The first convolution is followed by a normalisation of its own, but one whose eps swallows quiet music:
    60 dB down, untreated input would turn the embedding by 48 degrees.

    Parameters
    ----------
    waveforms : ndarray, shape (n, n_samples), float32

    Returns
    -------
    ndarray, shape (n, n_samples), float32; digital silence stays silence
    """
    wide = waveforms.astype(np.float64)
    wide -= wide.mean(axis=1, keepdims=True)
    wide /= np.sqrt(wide.var(axis=1, keepdims=True) + NORMALISER_EPS)
    return wide.astype(np.float32)


def count_frames(n_samples: int) -> int:
    """Number of frames of a waveform of `n_samples`: 374 for 5 s at 24 kHz.

    Examples
    --------
    >>> count_frames(120_000)
    374
    """
    return (n_samples - FRAME_SPAN) // FRAME_STEP + 1


# --- reading a checkpoint ---------------------------------------------------------------------------------


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file, MOST_CONFIG_BYTES, name=str(file), cure=_FETCH_AGAIN)
    except FileNotFoundError as error:
        raise _missing(file) from error


_FETCH_AGAIN = "Fetch the checkpoint again, or choose another folder."


def _missing(file: Path) -> DataMissingError:
    return DataMissingError(
        f"{file} is not there.",
        f"A MERT folder holds {CONFIG_FILE}, {PREPROCESSOR_FILE} and {CHECKPOINT_FILE} as published.",
    )


def _check_config(config: dict[str, Any], file: Path, info: EncoderInfo | None) -> None:
    """Refuse a configuration that `HubertModel` would load and compute wrongly, or that is not `info`'s."""
    # A missing key would silently become HuBERT's default, so every key must be there.
    absent = [key for key in (*_MUST_BE, *_ALLOWED) if key not in config]
    if absent:
        raise ArtefactMismatchError(f"{file} lacks {', '.join(dict.fromkeys(absent))}.", _FETCH_AGAIN)
    expected = dict(_MUST_BE)
    if info is not None:
        expected |= {"hidden_size": info.dim, "num_hidden_layers": info.n_layers - 1} | _SIZES.get(info.id, {})
    for key, value in expected.items():
        if config[key] != value:
            what = info.id if info is not None else "a MERT that MESS can compute"
            raise ArtefactMismatchError(
                f"{file} has {key} = {config[key]!r}, expected {value!r} for {what}.", _FETCH_AGAIN
            )
    if not isinstance(config["do_stable_layer_norm"], bool):
        raise ArtefactMismatchError(
            f"{file} has do_stable_layer_norm = {config['do_stable_layer_norm']!r}, expected true or false.",
            _FETCH_AGAIN,
        )


def _check_preprocessor(preprocessor: dict[str, Any], file: Path) -> None:
    for key, value in {"do_normalize": True, "sampling_rate": SAMPLE_RATE_HZ}.items():
        if preprocessor.get(key) != value:
            raise ArtefactMismatchError(
                f"{file} has {key} = {preprocessor.get(key)!r}, expected {value!r}.", _FETCH_AGAIN
            )


def _read_checkpoint(file: Path) -> dict[str, Any]:
    """Tensors of a published .bin file; `weights_only` refuses anything that would run code."""
    import torch

    if not file.is_file():
        raise _missing(file)
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch has a dozen kinds of error for damaged and for hostile files
        raise ArtefactMismatchError(
            f"{file} is damaged or holds more than tensors; nothing in it was run.", _FETCH_AGAIN
        ) from error
    if not isinstance(checkpoint, dict) or not all(isinstance(value, torch.Tensor) for value in checkpoint.values()):
        raise ArtefactMismatchError(f"{file} is not a dictionary of tensors.", _FETCH_AGAIN)
    return checkpoint


def _build(config: dict[str, Any]) -> Any:
    """A `HubertModel` of this architecture, with random weights."""
    from transformers import HubertConfig, HubertModel

    allowed = {key: config[key] for key in _ALLOWED}
    config_of_hubert: Any = HubertConfig  # its keywords are made at run time
    return HubertModel(config_of_hubert(**allowed, attn_implementation="sdpa"))


def _fill(model: Any, checkpoint: dict[str, Any], file: Path) -> None:
    """Put a checkpoint's tensors into the model: all of them, each where it belongs."""
    import torch

    try:
        model.load_state_dict(checkpoint, strict=True)
    except RuntimeError as error:
        details = " ".join(str(error).split())
        raise ArtefactMismatchError(f"{file} does not fit its {CONFIG_FILE}: {details[:400]}", _FETCH_AGAIN) from error
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


def _prepare(model: Any, device: str, blocked: bool) -> Any:
    """Freeze a model for inference on a device, in true float32; `blocked`: with the faster convolutions."""
    import torch

    if torch.device(device).type == "cuda":  # TF32 keeps 10 bits of a product: not what the others compute
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    # The positional convolution's weight is fixed now: compute it from its norm and direction once, not per call.
    torch.nn.utils.parametrize.remove_parametrizations(model.encoder.pos_conv_embed.conv, "weight")
    model.eval().requires_grad_(False).to(device)
    if blocked and torch.device(device).type == "cpu":
        model.feature_extractor.forward = functools.partial(_extract_features, _conv_matrices(model))
    return model


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
