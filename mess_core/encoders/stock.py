"""Stock networks: checkpoints of others, computed by modules of torch and transformers; no code of theirs is ever run.

    folder   config.json          what is built: only keys that we know reach the library
             weights              tensors and nothing else; what would run code is refused
      -> a frozen module in true float32 -> layers, a few waveforms at a time

They compute in bfloat16, too. Whether the layers come out the same is found out on the user's own music
(`embeddings.precision`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from mess_core.encoders.base import Encoder, EncoderInfo, Precision, check_waveforms
from mess_core.errors import ArtefactMismatchError, DataMissingError
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, parse_safetensors, read_json, read_untrusted

CONFIG_FILE = "config.json"
MOST_CONFIG_BYTES = 2**20
PREPROCESSOR_FILE = "preprocessor_config.json"
CHECKPOINT_FILE = "pytorch_model.bin"
FETCH_AGAIN = "Fetch the checkpoint again, or choose another folder."
NORMALISER_EPS = 1e-7  # Wav2Vec2FeatureExtractor's, which published preprocessors name

# On a CPU more segments at once only spill the cache and take memory: 2 are within 1 % of the fastest (benchmarks/).
CPU_TOGETHER = 2

NON_COMMERCIAL = (
    "under CC BY-NC 4.0 (https://creativecommons.org/licenses/by-nc/4.0/): non-commercial use only. Read carefully, "
    "this also covers using embeddings made with them in a commercial service. Your audio stays on this machine."
)
CONSENT = "I use it for non-commercial purposes only"

Built = TypeVar("Built")


class StockEncoder(Encoder):
    """A frozen module of torch, and how it is asked.

    Parameters
    ----------
    info : EncoderInfo
    model : torch.nn.Module
        Frozen here.
    device : str
        "cpu", "cuda", "cuda:1", "mps".
    """

    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16")

    def __init__(self, info: EncoderInfo, model: Any, device: str) -> None:
        self.info = info
        self.device = device
        self._model = freeze(model, device)

    @abstractmethod
    def _layers(self, waveforms: Any) -> list[Any]:
        """One tensor per layer, each (n, n_frames, dim), of waveforms (n, n_samples) on the device."""

    def _prepared(self, waveforms: np.ndarray) -> np.ndarray:
        """What the network is given of waveforms (n, n_samples), float32."""
        return waveforms

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """Hidden states of equal-length waveforms; see `Encoder.encode`.

        Returns
        -------
        ndarray, shape (n, n_layers, n_frames, dim), float32
        """
        import torch

        waveforms = self._prepared(check_waveforms(waveforms, self.info))
        device, n = torch.device(self.device), len(waveforms)
        together = CPU_TOGETHER if device.type == "cpu" else n
        is_coarse = self.precision == "bfloat16"
        stacked: np.ndarray | None = None
        for start in range(0, n, together):
            rows = slice(start, start + together)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=is_coarse):
                layers = self._layers(torch.from_numpy(waveforms[rows]).to(device))
            if stacked is None:
                stacked = np.empty((n, len(layers), *layers[0].shape[1:]), np.float32)
            for layer in range(len(layers)):
                stacked[rows, layer] = layers[layer].float().cpu().numpy()
                layers[layer] = None  # freed as it is copied: never two copies of a batch
        assert stacked is not None  # there is one waveform at least
        return stacked


def in_float32(convolve: Any, features: Any) -> Any:
    """The convolution that tells positions, in whatever precision the rest is computed.

    On processors with AMX torch's grouped convolution in bfloat16 is wrong where a group has few channels (off by its
    own size with 12; right with the 48 of the published sizes). It is a twentieth of the arithmetic.
    """
    import torch

    with torch.autocast(features.device.type, enabled=False):
        return convolve(features.float())


def normalise(waveforms: np.ndarray) -> np.ndarray:
    """Bring each waveform to zero mean and unit variance.

    The first convolution is followed by a normalisation of its own, but one whose eps swallows quiet music:
    60 dB down, untreated input would turn the embedding of MERT by 48 degrees.

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


# --- reading a checkpoint ---------------------------------------------------------------------------------


def read_config(file: Path) -> dict[str, Any]:
    """The object in a configuration; DataMissingError or ArtefactMismatchError."""
    try:
        return read_json(file, MOST_CONFIG_BYTES, name=str(file), cure=FETCH_AGAIN)
    except FileNotFoundError as error:
        raise _missing(file) from error


def require_keys(found: Mapping[str, Any], keys: Iterable[str], file: Path) -> None:
    """Refuse a configuration that leaves to a library's defaults what changes the answer."""
    absent = [key for key in keys if key not in found]
    if absent:
        raise ArtefactMismatchError(f"{file} lacks {', '.join(dict.fromkeys(absent))}.", FETCH_AGAIN)


def require_values(found: Mapping[str, Any], expected: Mapping[str, Any], file: Path, what: str = "") -> None:
    """Refuse a configuration that says anything else; `what` is said to need it."""
    for key, value in expected.items():
        if found.get(key) != value:
            needs = f" for {what}" if what else ""
            raise ArtefactMismatchError(
                f"{file} has {key} = {found.get(key)!r}, expected {value!r}{needs}.", FETCH_AGAIN
            )


def read_tensors(file: Path, within: str = "") -> dict[str, Any]:
    """The tensors of a published file, by name; nothing in it is run.

    Parameters
    ----------
    file : Path
        `.safetensors`, or what `torch.save` wrote.
    within : str
        The entry that holds them, where the file holds more.
    """
    import torch

    if not file.is_file():
        raise _missing(file)
    if file.suffix == ".safetensors":
        arrays = parse_safetensors(read_untrusted(file, MOST_TENSORS_BYTES), str(file), FETCH_AGAIN)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch has a dozen kinds of error for damaged and for hostile files
        raise ArtefactMismatchError(
            f"{file} is damaged or holds more than tensors; nothing in it was run.", FETCH_AGAIN
        ) from error
    if within:
        checkpoint = checkpoint.get(within) if isinstance(checkpoint, dict) else None
    if not isinstance(checkpoint, dict) or not all(isinstance(value, torch.Tensor) for value in checkpoint.values()):
        raise ArtefactMismatchError(f"{file} is not a dictionary of tensors.", FETCH_AGAIN)
    return checkpoint


def fill(model: Any, tensors: Mapping[str, Any], file: Path) -> None:
    """Put a checkpoint's tensors into a module: all of them, each where it belongs."""
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        details = " ".join(str(error).split())
        raise ArtefactMismatchError(f"{file} does not fit its {CONFIG_FILE}: {details[:400]}", FETCH_AGAIN) from error


def seeded(seed: int, build: Callable[[], Built]) -> Built:
    """What `build` makes of fresh random weights; the caller's random numbers go on undisturbed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def freeze(model: Any, device: str) -> Any:
    """For inference on a device, in true float32: TF32 keeps 10 bits of a product, which is not what others compute."""
    import torch

    if torch.device(device).type == "cuda":
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    return model.eval().requires_grad_(False).to(device)


def _missing(file: Path) -> DataMissingError:
    return DataMissingError(f"{file} is not there.", FETCH_AGAIN)
