"""Does this MIDI file belong to this recording?

The onsets found in the audio are compared with those of the MIDI at many shifts. At the right one nearly all of them
meet; by chance, at shifts of several seconds, only as many as the music's density makes likely. What is left above
chance is the agreement: about 0 for another piece, most of 1 for the right one.
"""

from __future__ import annotations

import numpy as np

TOLERANCE_S = 0.05  # as for onset detection in general
NEAR_S = np.arange(-0.3, 0.301, 0.02)  # encoders and file formats delay audio by up to this much
FAR_S = np.concatenate([np.arange(-10.0, -1.9, 0.37), np.arange(2.0, 10.1, 0.37)])
MIN_ONSETS = 8  # with fewer nothing can be said
# On the demo library the right MIDI agrees by .23 at least (median 1), another piece's by .24 in the median: pieces of
# 20 s are short and regular, and a wrong MIDI of one may pass. On recordings of minutes (SMD) the right one agrees by
# .86 and .94, another by less than .1. Refusing the right one would be the worse fault.
MIN_AGREEMENT = 0.2


def agreement(midi_onsets_s: np.ndarray, audio_onsets_s: np.ndarray) -> float:
    """How far two lists of onsets agree beyond chance.

    Parameters
    ----------
    midi_onsets_s, audio_onsets_s : ndarray, shape (n,), seconds, increasing

    Returns
    -------
    float
        1 if all audio onsets have a MIDI onset, about 0 for unrelated lists; NaN with fewer than `MIN_ONSETS`.
    """
    if min(len(midi_onsets_s), len(audio_onsets_s)) < MIN_ONSETS:
        return float("nan")
    best = max(_share_met(midi_onsets_s + shift, audio_onsets_s) for shift in NEAR_S)
    chance = float(np.mean([_share_met(midi_onsets_s + shift, audio_onsets_s) for shift in FAR_S]))
    return (best - chance) / (1 - chance) if chance < 1 else 0.0


def _share_met(midi_onsets_s: np.ndarray, audio_onsets_s: np.ndarray) -> float:
    after = np.searchsorted(midi_onsets_s, audio_onsets_s)
    padded = np.concatenate([[-np.inf], midi_onsets_s, [np.inf]])
    nearest = np.minimum(audio_onsets_s - padded[after], padded[after + 1] - audio_onsets_s)
    return float((nearest <= TOLERANCE_S).mean())
