"""Frames: where exactly in a track does a passage begin, and is it the very same sound?

Segments are five seconds long and begin every 2.5 s, and so does what is found by them; half of what those at its ends
hear is not the passage. The sound around a find is read, twenty frames a second, and the passage laid along it again.

    samples       -> |STFT| over 0.38 s -> twelve pitch classes, compressed      (n_frames, 12)
    passage, find -> their similarities -> a constant lag, or where that is clearly better, an alignment

Pitch classes stay the same at another level, with noise, through codecs, and by and large on other instruments. A copy
runs along at a constant lag; what somebody else plays does not, and is followed as segments are.

Figures (`tests/search/test_frames.py` plants the like): 18 passages copied between the segments of 18 recordings, real
and rendered, among 56 others, at another level and with noise. The first of the list, and the start to 0.25 s, by
segments alone and with this; how alike at a constant lag the copies are, and whatever else is found, at most:

                                           first   start     first   start     copies   others
    6 to 12 s, noise 20 to 35 dB below        18       5        18      18       .96+      .62
    4 to 8 s, noise 10 to 20 dB below         13       –        18      18       .88+      .69
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mess_core.encoders.chroma import chroma_filters
from mess_core.search.matching import Moment, align, diagonal_means

RATE_HZ = 8000  # pitches up to the top of the piano
HOP, WINDOW = 400, 3072  # samples: 50 ms, and 0.38 s
HOP_S = HOP / RATE_HZ
LOW_HZ, HIGH_HZ = 100.0, 3500.0
COMPRESSION = 100.0  # log(1 + 100 x) of a pitch class over the loud ones: soft notes count too
LONGEST_S = 15.0  # of a passage: its beginning says where it begins
SHORTEST_S = 2.0  # what is shorter resembles too much
AROUND_S = 5.0  # of a find, on either side: it begins on the grid of two recordings, and at another tempo
# An alignment is always a little more alike than a constant lag. It is believed where it is so by much, or takes
# longer or less than the passage and is so by something.
CLEAR_GAIN, TEMPO_GAIN, TEMPO_CHANGE = 0.08, 0.02, 0.06
LEAST = 0.5  # below this similarity the passage is not there note for note, and the find says more
COPY = 0.85  # from here on, at a constant lag, it is the same sound


@dataclass(frozen=True)
class PassagePlace:
    """Where a passage lies in a track, and whether it is the same sound there."""

    moment: Moment
    is_copy: bool


def pitch_classes(samples: np.ndarray) -> np.ndarray:
    """Which pitch classes sound, less what is usual, each frame of length 1; a frame is centred at its time.

    Parameters
    ----------
    samples : ndarray, shape (n,), mono at `RATE_HZ`

    Returns
    -------
    ndarray, shape (n // HOP + 1, 12), float32; frame i is at i * `HOP_S`
    """
    padded = np.pad(np.asarray(samples, np.float32), WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    classes = np.abs(np.fft.rfft(windows * np.hanning(WINDOW).astype(np.float32), axis=1)) @ _filters()
    loud = np.quantile(classes, 0.95) + 1e-9
    classes = np.log1p(COMPRESSION * classes / loud)
    classes -= classes.mean(axis=1, keepdims=True)
    unit: np.ndarray = classes / (np.linalg.norm(classes, axis=1, keepdims=True) + 1e-3)
    return unit.astype(np.float32)


def locate(moment: Moment, passage: np.ndarray, start_s: float, stretch: np.ndarray, stretch_s: float) -> PassagePlace:
    """Say more exactly where a passage begins in a track.

    Parameters
    ----------
    moment : Moment
        As its segments were matched.
    passage, stretch : ndarray, shape (n_frames, 12)
        `pitch_classes` of the passage, or of its first `LONGEST_S`, and of the track around the moment.
    start_s, stretch_s : float, seconds
        When each begins, in the query and in the track.

    Returns
    -------
    PassagePlace
        Its moment begins with the very start of the passage and is of the same similarity; it is as it was where the
        passage is too short or not there.
    """
    n_frames = len(passage)
    if not SHORTEST_S / HOP_S <= n_frames <= len(stretch):
        return PassagePlace(moment, is_copy=False)
    similarities = passage @ stretch.T
    lags = diagonal_means(similarities, n_frames)[0]
    first, alike = int(lags.argmax()), float(lags.max())
    last, is_copy = first + n_frames - 1, alike >= COPY
    alignment = align(similarities)
    begin, end = alignment.pairs[[0, -1], 1].tolist()
    is_other_tempo = abs((end - begin) / (n_frames - 1) - 1) > TEMPO_CHANGE
    if alignment.similarity > alike + (TEMPO_GAIN if is_other_tempo else CLEAR_GAIN):
        first, last, alike, is_copy = begin, end, alignment.similarity, False
    if alike < LEAST:
        return PassagePlace(moment, is_copy)
    track_s, end_s = stretch_s + first * HOP_S, stretch_s + last * HOP_S
    if n_frames * HOP_S > LONGEST_S:  # it was cut: the segments know its end
        end_s = max(end_s, moment.track_s + moment.length_s)
    return PassagePlace(replace(moment, query_s=start_s, track_s=track_s, length_s=end_s - track_s), is_copy)


@cache
def _filters() -> np.ndarray:
    return chroma_filters(RATE_HZ, WINDOW, LOW_HZ, HIGH_HZ)
