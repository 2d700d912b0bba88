"""Resampling: intervals that cover, permutations that keep blocks, p that is honest."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from mess_core.probing.resampling import adjusted_p, draw_groups, intervals, permute_blocks


def test_replicates_are_the_whole_then_draws_then_each_left_out():
    counts = draw_groups(7, 20, np.random.default_rng(0))
    assert counts.shape == (1 + 20 + 7, 7)
    assert (counts[0] == 1).all() and (counts[1:21].sum(axis=1) == 7).all()
    assert (counts[21:] == 1 - np.eye(7)).all()


@pytest.mark.parametrize(("n_groups", "method"), [(20, "percentile"), (60, "BCa")])
def test_intervals_are_those_of_scipy(n_groups, method):
    """Percentiles below thirty groups, BCa from there on; skewed data, so that it matters."""
    values = np.random.default_rng(1).exponential(size=n_groups)
    counts = draw_groups(n_groups, 8000, np.random.default_rng(2))
    low, high = intervals((counts @ values / counts.sum(axis=1))[:, None], 8000)
    theirs = bootstrap((values,), np.mean, n_resamples=8000, method=method, rng=3).confidence_interval
    assert np.allclose([low[0], high[0]], theirs, atol=0.03)


@pytest.mark.parametrize("n_draws", [1, 40, 99])
def test_few_groups_have_the_quantiles_of_their_draws(n_draws):
    """To the last digit, between two draws as well, and for each figure by itself."""
    replicates = np.random.default_rng(0).exponential(size=(1 + n_draws + 20, 3))
    tails = np.quantile(replicates[1 : 1 + n_draws], [0.025, 0.975], axis=0)
    np.testing.assert_allclose(intervals(replicates, n_draws, coverage=0.95), tails, rtol=1e-12)


def test_without_draws_there_is_no_interval():
    low, high = intervals(np.zeros((1 + 5, 3)), 0)
    assert np.isnan(low).all() and np.isnan(high).all()


def test_groups_of_one_size_exchange_whole_blocks():
    """Every permuted column consists of the blocks, each once and in its own order."""
    groups = np.repeat(np.random.default_rng(0).permutation(8), 3)
    values = np.arange(24)
    for permuted in values[permute_blocks(groups, np.random.default_rng(1).random((50, 8)))]:
        blocks = {tuple(permuted[groups == group]) for group in range(8)}
        assert blocks == {tuple(values[groups == group]) for group in range(8)}


def test_groups_of_other_sizes_repeat_or_cut_the_block():
    """Each group takes the values of one other, neighbours staying neighbours; each block is taken once."""
    groups = np.array([0, 0, 0, 1, 2, 2])
    for rows in permute_blocks(groups, np.random.default_rng(0).random((30, 3))):
        sources = [set(groups[rows[groups == group]]) for group in range(3)]
        assert all(len(source) == 1 for source in sources) and set.union(*sources) == {0, 1, 2}


def test_ascending_keys_keep_everything_in_place_and_missing_groups_are_skipped():
    groups = np.array([4, 1, 1, 7, 4])
    assert permute_blocks(groups, np.linspace(0, 0.5, 9)[None]).tolist() == [[0, 1, 2, 3, 4]]


def test_targets_with_the_same_groups_move_together():
    """Same keys, same exchange: what was correlated stays so."""
    keys = np.random.default_rng(0).random((5, 6))
    assert np.array_equal(permute_blocks(np.arange(6), keys), permute_blocks(np.arange(6), keys.copy()))


def test_p_of_the_best_is_adjusted_for_the_search():
    """By hand: three permutations of two figures; adjusted p is never smaller and falls as the figure grows."""
    null = np.array([[0.5, 0.2], [0.1, 0.6], [0.4, 0.1], [0.0, 0.3]])
    p, p_adj = adjusted_p(null)
    assert p.tolist() == [0.25, 0.75]
    assert p_adj.tolist() == [0.5, 1.0]
    many = np.random.default_rng(0).standard_normal((200, 50))
    p, p_adj = adjusted_p(many)
    assert (p_adj >= p).all() and (np.diff(p_adj[np.argsort(many[0])]) <= 0).all()
    assert p.min() >= 1 / 200 and p_adj.max() <= 1
