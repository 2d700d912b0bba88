"""Precision: whether an encoder says the same in bfloat16, found out on the user's own music.

bfloat16 keeps 8 bits of a number where float32 keeps 24; a processor or GPU that has it computes a transformer two to
three times as fast. What that changes hangs on the weights and on the music, so nobody is asked to believe in it. Once
for each encoder, machine and version of torch, 20 segments of a library are heard both ways:

    layers       cosine of the two embeddings of a segment at least .9995, in every layer, for the worst segment
    neighbours   at least 99 % of the ten nearest of each segment the same, asked in bfloat16 of either kind
    time         less than float32 takes

What was found is kept as a *certificate* in the catalogue. Where all of it holds, embeddings of either kind are
interchangeable: they have one fingerprint, lie in one index, and the file of one that was computed in bfloat16 says so,
with the figures. Everywhere else everything is computed in float32.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from mess_core.audio.decode import Decoder
from mess_core.audio.source import inspect_audio
from mess_core.config import SILENCE_PEAK
from mess_core.embeddings.extraction import BATCH_SIZE_CPU, BATCH_SIZE_GPU, encode_in_halves
from mess_core.embeddings.store import pool_frames
from mess_core.encoders.base import Encoder, EncoderInfo, Precision
from mess_core.errors import ArtefactMismatchError, MessError
from mess_core.storage.database import Database
from mess_core.storage.untrusted import build, parse_json, understanding

N_SEGMENTS = 20
N_NEAREST = 10
MIN_COSINE = 0.9995
MIN_AGREEMENT = 0.99
BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")  # of a processor, as torch calls them
BFLOAT16_CAPABILITY = (8, 0)  # of an NVIDIA GPU: Ampere; before, it is emulated
SETTING = "precision"
SLACK_S = 0.05  # what resampling may take from the end of a passage

Network = TypeVar("Network", bound=Encoder)
clock = time.perf_counter


@dataclass(frozen=True)
class Certificate:
    """What was found of one encoder on one machine.

    machine : processor or GPU, and version of torch
    cosines : for each layer, the lowest of any segment
    agreement : share of the ten nearest that are the same
    times_faster : seconds in float32 over seconds in bfloat16
    """

    machine: str
    n_segments: int
    cosines: tuple[float, ...]
    agreement: float
    times_faster: float

    @property
    def precision(self) -> Precision:
        """In which this encoder computes here."""
        is_same = min(self.cosines) >= MIN_COSINE and self.agreement >= MIN_AGREEMENT
        return "bfloat16" if is_same and self.times_faster > 1 else "float32"

    @property
    def figures(self) -> dict[str, Any]:
        """As an embedding that was computed in bfloat16 says it of itself."""
        return {"computed_in": self.precision, "cosine": min(self.cosines), "nearest": self.agreement}

    @property
    def words(self) -> str:
        layer = int(np.argmin(self.cosines))
        return (
            f"{self.precision}: on {self.n_segments} segments of yours bfloat16 and float32 have a cosine of at least "
            f"{self.cosines[layer]:.6f} (layer {layer}; {MIN_COSINE} is asked) and {self.agreement:.1%} of the ten "
            f"nearest in common ({MIN_AGREEMENT:.0%}); bfloat16 is {self.times_faster:.2f} times as fast"
        )


class Settings(Protocol):
    """Where certificates are kept: a `Database`, or a copy of what one says."""

    def setting(self, name: str) -> str | None: ...


# --- asking -----------------------------------------------------------------------------------------------


def computes_bfloat16(device: str) -> bool:
    """Whether a device has instructions for it; others emulate it, slowly."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
    if kind == "cpu":
        has = torch.cpu.get_capabilities()
        return any(has.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
    return False


def machine_of(device: str) -> str:
    """What a certificate holds for: another processor, GPU or version of torch rounds otherwise."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        processor = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
        name = f"{kind}, {processor}, {torch.backends.cpu.get_cpu_capability()}"
    return f"{name}, torch {torch.__version__}"


def read_certificate(info: EncoderInfo, device: str, database: Settings) -> Certificate | None:
    """What was found of an encoder on this machine; None if nothing was, or on another one."""
    text = database.setting(f"{SETTING} {info.fingerprint}")
    if text is None:
        return None
    try:
        with understanding("The certificate of a precision"):
            found = parse_json(text, "The certificate of a precision")
            certificate = build(Certificate, found, cosines=tuple(found["cosines"]))
            figures = (*certificate.cosines, certificate.agreement, certificate.times_faster)
            if len(certificate.cosines) != info.n_layers or not all(map(math.isfinite, figures)):
                return None
    except ArtefactMismatchError:  # asked again
        return None
    return certificate if certificate.machine == machine_of(device) else None


def keep_certificate(info: EncoderInfo, certificate: Certificate, database: Database) -> None:
    database.set_setting(f"{SETTING} {info.fingerprint}", json.dumps(asdict(certificate), allow_nan=False))


def is_open(encoder: Encoder, database: Database) -> bool:
    """Whether bfloat16 might serve here, and nobody has looked yet."""
    device = device_of(encoder)
    return (
        "bfloat16" in encoder.precisions
        and computes_bfloat16(device)
        and read_certificate(encoder.info, device, database) is None
    )


def as_certified(encoder: Network, database: Settings) -> Network:
    """The encoder in the precision that it may compute in here."""
    if "bfloat16" not in encoder.precisions:
        return encoder
    certificate = read_certificate(encoder.info, device_of(encoder), database)
    return encoder.in_precision("float32" if certificate is None else certificate.precision)


def device_of(encoder: Encoder) -> str:
    return str(getattr(encoder, "device", "cpu"))


# --- finding out ------------------------------------------------------------------------------------------


def certify(encoder: Encoder, waveforms: np.ndarray, on_batch: Callable[[], None] = lambda: None) -> Certificate:
    """Hear segments both ways, and compare.

    Parameters
    ----------
    waveforms : ndarray, shape (n, n_samples), float32
        More than `N_NEAREST` segments.
    on_batch : callable
        Called between batches; its time does not count.
    """
    device = device_of(encoder)
    pooled, seconds = {}, {}
    for precision in ("float32", "bfloat16"):
        pooled[precision], seconds[precision] = _hear(encoder.in_precision(precision), waveforms, device, on_batch)
    exact, coarse = pooled["float32"], pooled["bfloat16"]
    cosines = np.nan_to_num(_cosines(exact, coarse), nan=0.0).min(axis=0)
    nearest = _nearest(exact, exact)
    agreement = min(_share_in_common(nearest, _nearest(coarse, rows)) for rows in (exact, coarse))
    times_faster = seconds["float32"] / max(seconds["bfloat16"], 1e-9)
    return Certificate(machine_of(device), len(waveforms), tuple(cosines.tolist()), agreement, times_faster)


def some_segments(files: Sequence[Path], info: EncoderInfo, n: int = N_SEGMENTS) -> np.ndarray:
    """Segments of recordings spread over a library, the middles first: (at most n, segment_samples) float32.

    What cannot be read, is silent or too short is passed over.
    """
    chosen = [files[row] for row in np.unique(np.linspace(0, len(files) - 1, n).round().astype(int))] if files else []
    slots = {file: _slots(file, info) for file in chosen}
    found: list[np.ndarray] = []
    while slots and len(found) < n:
        for file in list(slots):
            start_s = next(slots[file], None)
            if start_s is None:
                del slots[file]
                continue
            waveform = _segment(file, start_s, info)
            if waveform is not None and len(found) < n:
                found.append(waveform)
    return np.stack(found) if found else np.empty((0, info.segment_samples), np.float32)


def _slots(file: Path, info: EncoderInfo) -> Iterator[float]:
    """Where segments that do not overlap begin, seconds, from the middle outwards."""
    try:
        duration_s = inspect_audio(file).duration_s
    except (MessError, OSError):
        return
    slot_s = info.segment_s + SLACK_S
    n_slots = int(duration_s // slot_s)
    for slot in sorted(range(n_slots), key=lambda slot: abs(slot - (n_slots - 1) / 2))[:N_SEGMENTS]:
        yield (duration_s - n_slots * slot_s) / 2 + slot * slot_s


def _segment(file: Path, start_s: float, info: EncoderInfo) -> np.ndarray | None:
    length_s = info.segment_s + SLACK_S
    try:
        blocks = list(Decoder(file, info.sample_rate_hz, start_s=start_s, length_s=length_s, measure_loudness=False))
    except (MessError, OSError):
        return None
    waveform = np.concatenate(blocks)[: info.segment_samples] if blocks else np.empty(0, np.float32)
    is_heard = len(waveform) == info.segment_samples and np.abs(waveform).max(initial=0) >= SILENCE_PEAK
    return waveform.astype(np.float32) if is_heard else None


def _hear(
    encoder: Encoder, waveforms: np.ndarray, device: str, on_batch: Callable[[], None]
) -> tuple[np.ndarray, float]:
    """Embeddings of segments, (n, n_layers, embedding_dim), and the seconds that they took."""
    size = BATCH_SIZE_CPU if device == "cpu" else BATCH_SIZE_GPU
    encode_in_halves(encoder, waveforms[:1])  # what is made ready at first is not counted
    pooled, seconds = [], 0.0
    for start in range(0, len(waveforms), size):
        on_batch()
        started = clock()
        hidden_states = encode_in_halves(encoder, waveforms[start : start + size])
        seconds += clock() - started
        pooled.append(pool_frames(hidden_states, encoder.info.pooling))
    return np.concatenate(pooled).astype(np.float64), seconds


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of the same rows, layer by layer: (n, n_layers); NaN where one of them has no length, or is no number."""
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines: np.ndarray = np.vecdot(one, other) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    return cosines


def _nearest(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The ten nearest of each query but for itself, (n, 10), by the mean over layers of centred cosines."""
    centre = rows.mean(axis=0)
    similarities = np.nan_to_num(_cosines((queries - centre)[:, None], (rows - centre)[None]), nan=-1.0).mean(axis=-1)
    np.fill_diagonal(similarities, -np.inf)
    return np.argsort(-similarities, axis=1, kind="stable")[:, :N_NEAREST]


def _share_in_common(one: np.ndarray, other: np.ndarray) -> float:
    n_in_common = sum(len(np.intersect1d(a, b)) for a, b in zip(one, other, strict=True))
    return n_in_common / one.size  # of whole numbers, so that exactly 99 % is that
