"""Encoders that cut music into the same segments, asked together: a recording is opened, decoded and cut once.

To extraction they are one encoder whose layers are those of all; what it makes of a track is parted again into what
each would have made alone of the same batches, number for number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.base import Encoder, EncoderInfo
from mess_core.errors import InputError


class Together(Encoder):
    """Several encoders as one.

    Parameters
    ----------
    encoders : sequence of Encoder
        At least one.

    Raises
    ------
    InputError
        If two of them do not hear the same segments (`in_groups`).
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        if len(in_groups([encoder.info for encoder in encoders])) != 1:
            names = ", ".join(encoder.info.id for encoder in encoders)
            raise InputError(f"These do not hear the same segments: {names or 'no encoder'}.", "Ask each by itself.")
        first = encoders[0]
        self.encoders = tuple(encoders)
        self.info = first.info if len(encoders) == 1 else _as_one([encoder.info for encoder in encoders])
        self.device = getattr(first, "device", "cpu")
        self.threads_at_once = min(encoder.threads_at_once for encoder in encoders)

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """As `Encoder.encode`: the layers of the first, then those of the next, …"""
        first, *others = self.encoders
        return np.concatenate(first.encode_beside(others, waveforms), axis=1) if others else first.encode(waveforms)

    def part(self, embedding: TrackEmbedding) -> list[TrackEmbedding]:
        """What of an embedding is each encoder's, in their order."""
        return parted(embedding, [encoder.info for encoder in self.encoders])


def parted(embedding: TrackEmbedding, infos: Sequence[EncoderInfo]) -> list[TrackEmbedding]:
    """What of the embedding by several encoders that were asked as one is each one's, in their order."""
    ends = np.cumsum([info.n_layers for info in infos])[:-1]
    parts = zip(
        np.split(embedding.segments, ends, axis=1),
        np.split(embedding.mean, ends),
        np.split(embedding.frame_std, ends),
        strict=True,
    )
    return [TrackEmbedding(segments, embedding.starts_s, mean, std) for segments, mean, std in parts]


def in_groups(infos: Sequence[EncoderInfo]) -> list[tuple[EncoderInfo, ...]]:
    """Those that can be asked together, in the order in which the first of each group stands."""
    groups: dict[tuple[object, ...], list[EncoderInfo]] = {}
    for info in infos:
        segment = (info.sample_rate_hz, info.segment_samples, info.hop_samples, info.min_samples)
        groups.setdefault((*segment, info.frame_rate_hz, info.dim, info.pooling), []).append(info)
    return [tuple(group) for group in groups.values()]


def _as_one(infos: Sequence[EncoderInfo]) -> EncoderInfo:
    n_layers = sum(info.n_layers for info in infos)
    widths = [width for info in infos for width in info.widths or info.n_layers * (info.embedding_dim,)]
    return replace(
        infos[0],
        id=" + ".join(info.id for info in infos),
        title=" and ".join(info.title for info in infos),
        n_layers=n_layers,
        files=tuple(file for info in infos for file in info.files),
        widths=tuple(widths) if any(info.widths for info in infos) else (),
    )
