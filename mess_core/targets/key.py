"""The key: its tonic, major or minor, and how clear that is.

    notes of each half-second -> mean pitch classes, of the whole and of its opening -> likeness to 24 keys -> the best

The likeness is Pearson's correlation with how often each pitch class occurs in pieces of a known key. A piece begins in
its key and then leaves it, most often for the dominant: so the opening counts as much as all of it.

A pitch class is a place on a circle: B is next to C. It is stored to be shown and to be filtered by, on the scale
`circle`, which no line can be fitted to. Whoever wants harmony as numbers has the mode's clarity.

Figures (`python -m benchmarks.features`: the first 90 s of 70 performances of 35 works of ASAP, on eight instruments):
key and mode right .71 [.54, .86], chance .11; mode right .83 [.69, .94], chance .66. Where the confidence is below
`CLEAR`, one key in seven is right. Of ten real recordings whose titles say the key nine are right.

Source
------
Krumhansl and Schmuckler (Krumhansl 1990); profiles: Temperley 2007, "Music and Probability" (as in essentia's key.cpp,
"temperley2005"). Those of Krumhansl and Kessler 1982, and of Temperley 1999, did worse on ASAP.
"""

from __future__ import annotations

import numpy as np

from mess_core.targets.base import TargetValue
from mess_core.targets.key_names import KEY, key_in_words
from mess_core.targets.moments import MOMENT_S

MAJOR = np.array([0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400])
MINOR = np.array([0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330])
OPENING_MOMENTS = 40  # 20 s
MIN_MOMENTS = 10  # 5 s
LEAST_LIKENESS = 0.1  # of the best key: a correlation over twelve pitch classes below that is nothing
CLEAR = 0.05  # of the likeness of the best key: below it, a key is wrong more often than right


def likenesses(chroma: np.ndarray) -> np.ndarray:
    """Correlation of pitch classes with those of the 24 keys, shape (2, 12): minor, major; tonic C first.

    Parameters
    ----------
    chroma : ndarray, shape (12,), not constant
    """
    profiles = np.stack([[np.roll(profile, tonic) for tonic in range(12)] for profile in (MINOR, MAJOR)])
    profiles = profiles - profiles.mean(axis=2, keepdims=True)
    centred = chroma - chroma.mean()
    lengths = np.linalg.norm(profiles, axis=2) * np.linalg.norm(centred)
    return (profiles @ centred) / np.maximum(lengths, 1e-12)


def measure(chroma: np.ndarray, is_sounding: np.ndarray) -> dict[str, TargetValue]:
    """All targets of this file.

    Parameters
    ----------
    chroma : ndarray, shape (n_moments, 12)
    is_sounding : ndarray, shape (n_moments,), bool
    """
    names = (*KEY, "mode_clarity", "key_confidence")
    chroma = chroma[is_sounding & (chroma.sum(axis=1) > 0)]
    n = len(chroma)
    if n < MIN_MOMENTS:
        reason = f"{n * MOMENT_S:.1f} s of sound; a key needs {MIN_MOMENTS * MOMENT_S:g} s"
        return dict.fromkeys(names, TargetValue.none(reason, n))
    alike = (likenesses(chroma.mean(axis=0)) + likenesses(chroma[:OPENING_MOMENTS].mean(axis=0))) / 2
    second, first = np.sort(alike, axis=None)[-2:]
    if first < LEAST_LIKENESS:
        return dict.fromkeys(names, TargetValue.none("no key is like it: all pitch classes sound alike", n))
    mode, tonic = np.unravel_index(np.argmax(alike), alike.shape)
    confidence = (first - second) / first
    values = (float(tonic), float(mode), alike[1].max() - alike[0].max(), confidence)
    if confidence < CLEAR:
        other_mode, other = np.unravel_index(np.argsort(alike, axis=None)[-2], alike.shape)
        reason = f"{key_in_words(float(other), float(other_mode))} is almost as likely (confidence {confidence:.2f})"
        return {name: TargetValue.weak(value, n, reason) for name, value in zip(names, values, strict=True)}
    return {name: TargetValue.good(value, n) for name, value in zip(names, values, strict=True)}
