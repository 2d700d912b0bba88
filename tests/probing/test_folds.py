"""Groups and folds: no group on both sides, chance that can be repeated."""

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.probing.folds import assign_folds, connect_groups


def test_rows_that_share_anything_are_one_group():
    """A chain of shared works and sessions is one component, named by its smallest recording."""
    recordings = ["r4", "r2", "r3", "r1", "r5"]
    works = ["w1", "w1", "w2", None, None]
    sessions = [None, "s1", "s1", "s2", None]
    assert connect_groups(recordings, works, sessions) == ("r2", "r2", "r2", "r1", "r5")


def test_groups_do_not_depend_on_the_order_of_rows():
    """The same rows in another order keep their groups."""
    rng = np.random.default_rng(0)
    names = [f"r{i:02}" for i in range(40)]
    works = [f"w{i}" for i in rng.integers(0, 25, 40)]
    players = [f"p{i}" for i in rng.integers(0, 30, 40)]
    groups = np.array(connect_groups(names, works, players))
    order = rng.permutation(40)
    shuffled = connect_groups(*([column[i] for i in order] for column in (names, works, players)))
    assert tuple(groups[order]) == shuffled


def test_no_rows_give_no_groups():
    assert connect_groups([], []) == ()


def test_columns_of_groups_must_agree_and_the_first_must_name_every_row():
    with pytest.raises(InputError, match=r"\[2, 1\] rows"):
        connect_groups(["a", "b"], ["w"])
    with pytest.raises(InputError, match="first column"):
        connect_groups(["a", None])


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_a_group_is_in_one_fold_and_every_fold_is_used(n_folds):
    """Sizes from 1 to 30: no group is split, no fold is empty."""
    rng = np.random.default_rng(1)
    groups = np.repeat([f"g{i}" for i in range(20)], rng.integers(1, 30, 20))
    folds = assign_folds(groups, n_folds, seed=3)
    assert set(folds) == set(range(n_folds))
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))


def test_folds_are_balanced():
    """Equal groups are dealt evenly; unequal ones within the largest group."""
    even = assign_folds([f"g{i}" for i in range(50)], 5)
    assert np.bincount(even).tolist() == [10] * 5
    sizes = np.arange(1, 41)
    uneven = np.bincount(assign_folds(np.repeat(sizes.astype(str), sizes), 5))
    assert uneven.max() - uneven.min() <= sizes.max()


def test_the_largest_groups_lie_in_different_folds():
    """They are dealt first, a hand at a time, so that the last hand, which may be short, is of the smallest."""
    sizes = np.random.default_rng(0).permutation(np.arange(1, 8) * 10)
    names = np.array([f"g{i}" for i in range(7)])
    for seed in range(10):
        folds = dict(zip(np.repeat(names, sizes), assign_folds(np.repeat(names, sizes), 3, seed=seed), strict=True))
        by_size = [folds[name] for name in names[np.argsort(-sizes)]]
        assert set(by_size[:3]) == set(by_size[3:6]) == {0, 1, 2}


def test_folds_follow_from_seed_and_repeat_and_not_from_the_order_of_rows():
    """Same seed, same folds; another seed or repeat, others, even when all sizes differ."""
    groups = np.repeat([f"g{i}" for i in range(12)], range(1, 13))
    folds = assign_folds(groups, 4, seed=7)
    order = np.random.default_rng(0).permutation(len(groups))
    assert (assign_folds(groups[order], 4, seed=7) == folds[order]).all()
    assert (assign_folds(groups, 4, seed=8) != folds).any()
    assert (assign_folds(groups, 4, seed=7, repeat=1) != folds).any()


def test_other_group_labels_give_other_folds_of_the_same_kind():
    """Permuting labels changes who is held out together, not how it is asked for."""
    groups = np.repeat([f"g{i}" for i in range(10)], 3)
    permuted = np.random.default_rng(0).permutation(groups)
    one, other = assign_folds(groups, 5), assign_folds(permuted, 5)
    assert one.shape == other.shape and one.dtype == other.dtype and (one != other).any()
    assert all(len(set(other[permuted == group])) == 1 for group in set(groups))


def test_impossible_folds_are_refused():
    with pytest.raises(InputError, match="3 groups cannot fill 5 folds"):
        assign_folds(["a", "b", "c"], 5)
    with pytest.raises(InputError, match="at least 2"):
        assign_folds(["a", "b", "c"], 1)
