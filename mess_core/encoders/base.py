"""What an encoder is: a frozen network that turns equal-length waveforms into hidden states.

Conventions
-----------
Waveforms are mono float32 at the encoder's own rate, shape (n, n_samples), all of one length of at least 1 s.
Hidden states are float32, shape (n, n_layers, n_frames, dim); layer 0 is the input of the first block.
An encoder normalises by itself, never pads, and answers a batch exactly as it answers its members alone.
"""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from mess_core.config import HOP_S, SEGMENT_S, SHORT_S
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.storage.paths import Paths
from mess_core.words import counted

Precision = Literal["float32", "bfloat16"]

HEARD = "spans that sound, repeated to 1 s"  # what segments are laid over; in the fingerprint by way of normalisers
# Facts that change no embedding.
MERE_WORDS = ("title", "summary", "source", "licence", "layer_0", "main", "explained_by")
ADDED_LATER = ("widths", "main", "parts", "explained_by", "any_key")  # facts that not every document knows


@dataclass(frozen=True)
class WeightFile:
    """One file of a checkpoint. `sha256` is None where the publisher's hash is not known to us."""

    name: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class EncoderInfo:
    """The facts of one encoder, and with them the identity of everything made from it.

    widths : how many of the `dim` numbers each layer has, where not all have as many; the others are 0 everywhere
    main : the layer that stands for all where there is room for one only; None is the middle one
    parts : of a hearing (hearings.py), whose layers are those of its parts; empty of an encoder
    explained_by : the encoder whose aspects are asked for in a hearing; None is this one
    any_key : its numbers are those of pitch classes, and what is transposed is the same; None is no
    """

    id: str
    title: str
    summary: str
    source: str
    revision: str
    licence: str
    files: tuple[WeightFile, ...]
    sample_rate_hz: int
    frame_rate_hz: float
    n_layers: int
    dim: int
    layer_0: str
    normaliser: str
    pooling: Literal["mean", "mean+std"] = "mean"
    segment_s: float = SEGMENT_S
    hop_s: float = HOP_S
    widths: tuple[int, ...] = ()
    main: int | None = None
    parts: tuple[Part, ...] = ()
    explained_by: EncoderInfo | None = None
    any_key: bool | None = None

    @property
    def encoders(self) -> tuple[EncoderInfo, ...]:
        """Those that must have listened: of a hearing each of its parts' once, else this one."""
        return tuple({part.info.fingerprint: part.info for part in self.parts}.values()) or (self,)

    @property
    def segment_samples(self) -> int:
        return round(self.segment_s * self.sample_rate_hz)

    @property
    def hop_samples(self) -> int:
        return round(self.hop_s * self.sample_rate_hz)

    @property
    def min_samples(self) -> int:
        return round(SHORT_S * self.sample_rate_hz)

    @property
    def embedding_dim(self) -> int:
        """Length of one layer's embedding: frames are pooled to their mean, or to mean and std."""
        return self.dim * (2 if self.pooling == "mean+std" else 1)

    @property
    def n_numbers(self) -> int:
        """Of an embedding, in all layers together."""
        return sum(self.widths) or self.n_layers * self.embedding_dim

    def width_of(self, layer: int) -> int:
        """How many numbers an embedding has in a layer."""
        return self.widths[layer] if self.widths else self.embedding_dim

    @property
    def main_layer(self) -> int:
        """The layer that stands for all where there is room for one only."""
        return self.n_layers // 2 if self.main is None else self.main

    def layer_in_words(self, layer: int) -> str:
        """Which layer it is, of which encoder: of a hearing, the one that it has it from."""
        if not self.parts:
            return f"layer {layer} of {self.title}"
        info, own = [(part.info, own) for part in self.parts for own in part.layers][layer]
        return info.layer_in_words(own)

    @property
    def size_in_words(self) -> str:
        """How many layers of how many numbers: "13 × 192", or "3 layers of 64, 32 and 200"."""
        if not self.widths:
            return f"{self.n_layers} × {self.dim}"
        *others, last = (f"{width:,}" for width in self.widths)
        return f"{counted(self.n_layers, 'layer')} of {', '.join(others)} and {last}"

    @property
    def facts(self) -> dict[str, Any]:
        """All of it, as it is written down; what was added later is left out of encoders that do without it."""
        facts = asdict(replace(self, parts=(), explained_by=None))
        if self.parts:
            facts["parts"] = [
                {"encoder": part.info.id, "fingerprint": part.info.fingerprint, "layers": part.layers, "of": part.of}
                for part in self.parts
            ]
        return {name: value for name, value in facts.items() if name not in ADDED_LATER or value not in ((), None)}

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over what changes an embedding: id, revision, weights, rate, segment, hop, pooling, normaliser."""
        facts = {name: value for name, value in self.facts.items() if name not in MERE_WORDS}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of this encoder's folder of embeddings: `<id>-<first 8 of the fingerprint>`."""
        return f"{self.id.replace(':', '-')}-{self.fingerprint[:8]}"


@dataclass(frozen=True)
class Part:
    """Some layers of an encoder, as part of a hearing. of : the question they answer, as people call it"""

    info: EncoderInfo
    layers: tuple[int, ...]
    of: str


class Encoder(ABC):
    """A frozen network.

    precision : in which it computes
    precisions : in which it can
    threads_at_once : that may call `encode`
    """

    info: EncoderInfo
    precision: Precision = "float32"
    precisions: ClassVar[tuple[Precision, ...]] = ("float32",)
    threads_at_once: int = 1

    def in_precision(self, precision: Precision) -> Self:
        """The same network with the same weights, which computes in another precision.

        It keeps its identity: whoever keeps what it says holds a certificate that it says the same
        (`embeddings.precision`).
        """
        if precision not in self.precisions:
            known = " or ".join(map(repr, self.precisions))
            raise InputError(f"{self.info.id} computes in {known}, got {precision!r}.")
        twin = copy.copy(self)
        twin.precision = precision
        return twin

    @abstractmethod
    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """Hidden states of equal-length waveforms.

        Parameters
        ----------
        waveforms : ndarray, shape (n, n_samples), float32, mono at `info.sample_rate_hz`, at least 1 s

        Returns
        -------
        ndarray, shape (n, n_layers, n_frames, dim), float32

        Raises
        ------
        InputError
            If the array is not 2-D, shorter than 1 s, or holds a NaN or infinity.
        """

    def encode_beside(self, others: Sequence[Encoder], waveforms: np.ndarray) -> list[np.ndarray]:
        """What this encoder and then each of the others makes of the same waveforms, as `encode` would.

        Encoders that begin with the same step take it once.
        """
        return [encoder.encode(waveforms) for encoder in (self, *others)]


@dataclass(frozen=True)
class EncoderEntry:
    """One line in the table of encoders: its facts, and what only its own file knows.

    load : callable (info, paths, device) -> Encoder; the weights, verified
    untrained : callable (info, device) -> Encoder, the network with random weights; None if there is no such twin
    untrained_revision : what tells this twin from another of the same encoder; "" where a seed says it all
    notice : on whose terms the weights come, said before they are fetched
    consent : what a person agrees to before they are fetched; "" if nothing is asked
    """

    info: EncoderInfo
    load: Callable[[EncoderInfo, Paths, str], Encoder]
    untrained: Callable[[EncoderInfo, str], Encoder] | None = None
    notice: str = ""
    consent: str = ""
    untrained_revision: str = ""


def check_waveforms(waveforms: np.ndarray, info: EncoderInfo) -> np.ndarray:
    """The door of every `encode`: shape, length and finiteness; returns contiguous float32, the input untouched."""
    waveforms = np.require(waveforms, np.float32, ["C", "W"])  # a copy of what is read-only, which torch warns of
    if waveforms.ndim != 2 or waveforms.shape[0] == 0:
        cure = "One alone: waveform[None]." if waveforms.ndim == 1 and len(waveforms) else ""
        raise InputError(f"{info.id} takes waveforms of shape (n, n_samples), got {waveforms.shape}.", cure)
    if waveforms.shape[1] < info.min_samples:
        is_turned = waveforms.shape[0] >= info.min_samples
        raise InputError(
            f"{info.id} takes at least {SHORT_S:g} s ({info.min_samples} samples at {info.sample_rate_hz} Hz), "
            f"got {counted(waveforms.shape[1], 'sample')}.",
            "Are samples and waveforms exchanged? waveforms.T turns them." if is_turned else "",
        )
    if not np.isfinite(waveforms).all():
        raise InputError(f"{info.id} got a waveform with NaN or infinite samples.")
    return waveforms


def random_twin(info: EncoderInfo, seed: int) -> EncoderInfo:
    """The facts of the untrained twin: same architecture, seeded fresh weights; the control for what training adds."""
    return replace(
        info,
        id=f"random:{info.id}",
        title=f"{info.title}, untrained",
        summary="The same network with random weights: what it does better, training has added.",
        revision=f"seed-{seed}",
        licence="Apache-2.0",
        files=(),
    )


def verify_file(path: Path, file: WeightFile) -> str:
    """The sha256 of a weight file; refuses one that is absent, of another size, or of another hash."""
    if not path.is_file():
        raise DataMissingError(f"The weight file {file.name} is not in {path.parent}.")
    size = path.stat().st_size
    if size != file.size_bytes:
        raise ArtefactMismatchError(
            f"{file.name} has {counted(size, 'byte')}, expected {file.size_bytes:,}: it is incomplete or another file.",
            "Fetch it again.",
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if file.sha256 is not None and digest != file.sha256:
        raise ArtefactMismatchError(
            f"{file.name} has sha256 {digest[:12]}…, expected {file.sha256[:12]}…: it is damaged or another version.",
            "Fetch it again.",
        )
    return digest
