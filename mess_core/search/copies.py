"""Copies: the same recording again, through another codec, at another level, cut elsewhere. Told by their onsets.

Embeddings cannot tell. 32 kbit/s MP3 moves a track's mean as far as another performance of the piece does (cosine .83
to .99 against .89 to .99 on one piano), and its segments, aligned at the best constant lag, too (.87 to .99 against .69
to .95): five seconds are too coarse. But nobody plays a piece twice in the same time. So what is near in the mean is
compared as sound: where, to a hundredth of a second, something begins in which band.

    onsets      log energy in BANDS bands of 10 ms, its rise from one to the next, less what is usual
    score       correlation of the onsets of both, over what they have in common at the best constant lag
    copy        a score of at least COPY

Figures (`python -m benchmarks.copies`: the first 30 s of 40 real recordings with seven copies of each, and of 48
performances of 12 pieces, rendered with one piano, which is harder than any two recordings of a piece):

                                      pairs   least   1 %   50 %   99 %   most
    32 kbit/s MP3                        40     .52   .54    .96    .99    .99
    Ogg at quality 0                     40     .55   .61    .94   1.00   1.00
    24 kbit/s Opus                       40     .74   .74    .93    .99    .99
    20 dB softer                         40     .91   .94   1.00   1.00   1.00
    from 1.1 s on                        40     .99   .99   1.00   1.00   1.00
    from 1.1 s on, 32 kbit/s MP3         40     .50   .53    .96    .99    .99
    at half the rate                     40     .96   .97   1.00   1.00   1.00
    the same piece by others             72     .05   .05    .09    .21    .27
    other recordings                    780     .03   .03    .05    .21    .40
"""

from __future__ import annotations

import itertools

import numpy as np

RATE_HZ = 8000  # what every codec keeps
HOP, WINDOW = 80, 256  # samples: 10 ms, and 32 ms
EDGES_HZ = np.geomspace(100.0, 3200.0, 9)
BANDS = len(EDGES_HZ) - 1
FLOOR = 1e-4  # of the loudest tenth's energy: below it there is no onset, whatever a codec makes of silence
HEARD_S = 60.0  # of each recording, from its start
SHARE = 0.5  # of the shorter that both must have in common
FEWEST = 200  # hops in common: two seconds
NEAR = 0.3  # squared distance of track means, the typical pair's being 1: farther apart, nothing is heard
SAME = 0.005  # the same below which nothing need be heard: a cosine above .995
COPY = 0.45


def onsets(audio: np.ndarray) -> np.ndarray:
    """Where something begins, (n_hops, BANDS) float32: of a recording at RATE_HZ, (n_samples,), whatever its level."""
    n = max(0, 1 + (len(audio) - WINDOW) // HOP)
    if not n:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(audio, np.float32), WINDOW)[: n * HOP : HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)).astype(np.float32) ** 2
    edges = np.round(EDGES_HZ * WINDOW / RATE_HZ).astype(int)
    energy = np.stack([power[:, a : max(b, a + 1)].sum(axis=1) for a, b in itertools.pairwise(edges)], 1)
    floor = FLOOR * np.quantile(energy, 0.9, axis=0) + 1e-12
    rise = np.diff(np.log(energy + floor), axis=0).clip(min=0)
    return (rise - rise.mean(axis=0)).astype(np.float32)


def copy_score(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two recordings' onsets at the best constant lag, 0 to 1; the same either way round.

    Examples
    --------
    >>> music = onsets(np.random.default_rng(0).standard_normal(80_000))
    >>> round(copy_score(music, music[100:]), 6)
    1.0
    """
    n, m = len(one), len(other)
    least = max(FEWEST, int(SHARE * min(n, m)))
    if min(n, m) < least:
        return 0.0
    size = 1 << (n + m - 1).bit_length()

    def against(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """For each lag, from -(n - 1) to m - 1: the sum of products of what lies on each other."""
        spectrum = np.conj(np.fft.rfft(left, size, axis=0)) * np.fft.rfft(right, size, axis=0)
        products = np.fft.irfft(spectrum.sum(axis=1), size)
        return np.concatenate([products[size - n + 1 :], products[:m]])

    products = against(one, other)
    ones = np.ones((n, 1)), np.ones((m, 1))
    energies = [
        against((one**2).sum(axis=1, keepdims=True), ones[1]),
        against(ones[0], (other**2).sum(axis=1, keepdims=True)),
    ]
    in_common = against(*ones)
    norms = np.sqrt(energies[0].clip(min=0) * energies[1].clip(min=0))
    enough = (in_common > least - 0.5) & (norms > 1e-9)
    return float((products[enough] / norms[enough]).max(initial=0.0))


def is_copy(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two recordings are copies of each other, by their onsets."""
    return copy_score(one, other) >= COPY
