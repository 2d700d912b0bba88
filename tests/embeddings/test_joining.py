"""Joining: brute force over all pairs of segments."""

import numpy as np
import pytest

from mess_core.embeddings.joining import same_time


@pytest.mark.parametrize(("segment_s", "other_segment_s"), [(5.0, 5.0), (3.0, 5.0), (5.0, 3.0), (1.0, 10.0)])
def test_the_nearest_middle_is_taken(segment_s, other_segment_s):
    """Of any starts, gaps among them; none where neither holds the other's middle."""
    rng = np.random.default_rng(0)
    for n, n_others in ((1, 1), (40, 1), (1, 40), (60, 40)):
        starts, others = (np.sort(rng.uniform(0, 100, size).astype(np.float32)) for size in (n, n_others))
        far = np.abs((starts + segment_s / 2)[:, None] - (others + other_segment_s / 2))
        expected = np.where(far.min(axis=1) <= max(segment_s, other_segment_s) / 2, far.argmin(axis=1), -1)
        np.testing.assert_array_equal(same_time(starts, segment_s, others, other_segment_s), expected)


def test_the_same_layout_is_joined_one_to_one():
    """Whatever its gaps, and the last segment that ends with the recording begins when it likes."""
    starts = np.array([0.0, 2.5, 5.0, 5.1, 40.3, 42.8, 42.9], np.float32)
    assert same_time(starts, 5.0, starts, 5.0).tolist() == list(range(7))


def test_nothing_is_joined_with_nothing():
    assert same_time(np.array([0.0, 1.0]), 5.0, np.empty(0), 5.0).tolist() == [-1, -1]
    assert same_time(np.empty(0), 5.0, np.array([0.0]), 5.0).tolist() == []
