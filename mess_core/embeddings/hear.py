"""Hearing whole sounds: the interface of HEAR, the Holistic Evaluation of Audio Representations, over any encoder.

    scene        (n_sounds, n_layers * embedding_dim)                one vector a sound
    timestamp    (n_sounds, n_timestamps, n_layers * dim)            one a frame, and the times in ms

Audio is (n_sounds, n_samples) at the rate of the encoder, a tensor of torch or an array; what comes back is of the same
kind. Layers stand one after the other. Unlike a library, which leaves out silence, this hears all of a sound: in
segments side by side, the last of which ends where the sound does; what is shorter than a second is repeated to one.

Source
------
Turian et al. 2022, "HEAR: Holistic Evaluation of Audio Representations"; https://hearbenchmark.com/hear-api.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mess_core.embeddings.store import pool_frames
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import InputError

BATCH_SOUNDS = 8
Encodes = Callable[[np.ndarray], np.ndarray]


def scene_embeddings(audio: Any, encode: Encodes, info: EncoderInfo, layers: Sequence[int]) -> Any:
    """One vector a sound, (n_sounds, n_layers * embedding_dim): frames pooled as a library does, over all of it."""
    sounds = _checked(audio, info)
    found = []
    for batch in _batches(sounds):
        pooled = [pool_frames(states[:, list(layers)], info.pooling) for _, _, states in _heard(batch, encode, info)]
        found.append(np.mean(pooled, axis=0).reshape(len(batch), -1))
    return _like(audio, np.concatenate(found))


def timestamp_embeddings(audio: Any, encode: Encodes, info: EncoderInfo, layers: Sequence[int]) -> tuple[Any, Any]:
    """A vector for each frame, (n_sounds, n_timestamps, n_layers * dim), and the middle of each in ms."""
    sounds = _checked(audio, info)
    found, times_ms = [], np.empty(0)
    for batch in _batches(sounds):
        parts, times, covered_s = [], [], 0.0
        for start, n_samples, states in _heard(batch, encode, info):
            n_frames = states.shape[2]
            frame_s = 1 / info.frame_rate_hz if info.frame_rate_hz else n_samples / info.sample_rate_hz / n_frames
            middles_s = start / info.sample_rate_hz + (np.arange(n_frames) + 0.5) * frame_s
            is_new = (middles_s >= covered_s) & (middles_s <= sounds.shape[1] / info.sample_rate_hz)
            parts.append(states[:, list(layers)][:, :, is_new].swapaxes(1, 2).reshape(len(batch), is_new.sum(), -1))
            times.append(middles_s[is_new])
            covered_s = (start + n_samples) / info.sample_rate_hz
        found.append(np.concatenate(parts, axis=1))
        times_ms = np.concatenate(times) * 1e3
    return _like(audio, np.concatenate(found)), _like(audio, np.tile(times_ms, (len(sounds), 1)))


def _heard(sounds: np.ndarray, encode: Encodes, info: EncoderInfo) -> Iterator[tuple[int, int, np.ndarray]]:
    """Where a segment begins and how long it is, in samples, and its hidden states; the last one ends at the end."""
    n, long = sounds.shape[1], info.segment_samples
    if n < info.min_samples:
        sounds = np.tile(sounds, (1, math.ceil(info.min_samples / n)))[:, : info.min_samples]
        yield 0, info.min_samples, encode(sounds)
        return
    for start in range(0, n, long):
        begin = max(0, min(start, n - long))
        yield begin, min(n, long), encode(np.ascontiguousarray(sounds[:, begin : begin + long]))


def _batches(sounds: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(sounds), BATCH_SOUNDS):
        yield sounds[start : start + BATCH_SOUNDS]


def _checked(audio: Any, info: EncoderInfo) -> np.ndarray:
    """Sounds as float32; the axes are looked at here, as a short sound is repeated before any encoder sees it."""
    sounds = as_waveforms(audio.detach().cpu() if hasattr(audio, "detach") else audio, "Sounds", "n_sounds, n_samples")
    cure = None
    if sounds.ndim == 1 and len(sounds):
        cure = "One alone: sound[None]."
    elif 0 in sounds.shape or sounds.ndim == 0:
        cure = "There is nothing to hear: leave it out."
    elif sounds.ndim > 2:
        cure = "One channel each: the mean over channels is mono."
    elif sounds.shape[1] < min(len(sounds), info.min_samples):
        cure = "Are sounds and samples exchanged? x.T turns them."
    if cure is not None:
        raise InputError(f"Sounds are (n_sounds, n_samples) at {info.sample_rate_hz} Hz, got {sounds.shape}.", cure)
    return sounds


def as_waveforms(waveforms: object, what: str = "Waveforms", axes: str = "n, n_samples") -> np.ndarray:
    """Waveforms as float32; whole numbers, as a WAV file holds them, are no waveforms."""
    try:
        found = np.asarray(waveforms)
    except ValueError as error:
        raise InputError(f"{what} are of unequal length, expected an array ({axes}).") from error
    if found.dtype.kind in "iu":
        cure = f"Divide them by {2 ** (8 * found.dtype.itemsize - 1):,}."
        raise InputError(f"{what} are {found.dtype.name}, expected numbers from -1 to 1.", cure)
    if found.dtype.kind != "f":
        cure = "A file is heard by embed_file." if found.dtype.kind in "UO" else ""
        raise InputError(f"{what} are {found.dtype.name}, expected an array ({axes}) of numbers.", cure)
    return found.astype(np.float32, copy=False)


def _like(audio: Any, numbers: np.ndarray) -> Any:
    """A tensor on the device of the sounds, where they were one."""
    numbers = numbers.astype(np.float32)
    if not hasattr(audio, "detach"):
        return numbers
    import torch

    return torch.from_numpy(numbers).to(audio.device)
