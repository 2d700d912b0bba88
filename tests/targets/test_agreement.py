"""Does this MIDI belong to this audio: planted onsets, shifted, incomplete, and of another piece."""

import numpy as np
import pytest

from mess_core.targets.agreement import MIN_AGREEMENT, agreement


def onsets(seed: int, n: int = 200, mean_s: float = 0.4) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(mean_s, n) + 0.05)


@pytest.mark.parametrize("shift_s", [0.0, 0.12, -0.25])
def test_the_right_midi_agrees_whatever_the_clock(shift_s):
    """A file format may delay the audio: a constant shift up to 0.3 s does not matter."""
    assert agreement(onsets(0), onsets(0) + shift_s) > 0.95


def test_missed_and_invented_onsets_lower_it_but_not_below_the_bound():
    """A detector that finds 70 % and invents 20 % is still recognised."""
    rng = np.random.default_rng(1)
    true = onsets(0)
    heard = np.sort(np.concatenate([true[rng.random(200) < 0.7], rng.uniform(0, true[-1], 40)]))
    assert agreement(true, heard) > MIN_AGREEMENT


@pytest.mark.parametrize("seed", range(1, 9))
def test_another_piece_does_not_agree(seed):
    """Eight unrelated lists of 200 onsets."""
    assert agreement(onsets(seed), onsets(0)) < MIN_AGREEMENT


def test_few_onsets_say_nothing():
    assert np.isnan(agreement(onsets(0)[:5], onsets(0)))
