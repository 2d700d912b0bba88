"""Interactions: in order, one numbering, and no row on both sides of a split."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.catalogue.listening import Events
from mess_core.errors import DataMissingError, InputError
from mess_core.recommend.columns import (
    Interactions,
    from_events,
    interactions_of,
    leave_one_out,
    read_interactions,
    read_sequences,
    split_at,
    split_each_user,
)
from mess_core.recommend.signals import DISLIKE, LIKE, PLAY, SKIP


def events(*rows: tuple[str, float, int, float]) -> Events:
    """Rows of track, time, action, share."""
    ids = tuple(sorted({row[0] for row in rows}))
    columns = [np.array(each) for each in zip(*rows, strict=True)]
    nothing = np.full(len(rows), np.nan)
    return Events(
        ids, np.array([ids.index(row[0]) for row in rows]), columns[1].astype(float), columns[2].astype(np.int8),
        nothing, columns[3].astype(float), nothing,
    )  # fmt: skip


def pairs(interactions: Interactions) -> list[tuple[str, str]]:
    return [
        (interactions.user_ids[user], interactions.item_ids[item])
        for user, item in zip(interactions.user, interactions.item, strict=True)
    ]


def test_rows_are_put_in_order_of_time_and_equal_times_stay():
    found = interactions_of(["b", "a", "b", "a", "a"], ["x", "y", "y", "x", "z"], [5, 9, 2, 3, 3])
    assert pairs(found) == [("b", "y"), ("b", "x"), ("a", "x"), ("a", "z"), ("a", "y")]
    assert found.is_timed and not interactions_of(["a"], ["x"]).is_timed


def test_what_comes_back_is_one_pair_with_more_weight():
    found = interactions_of(["a", "a", "b"], ["x", "x", "x"], weights=[1.0, 2.0, 5.0])
    assert found.matrix.toarray().tolist() == [[3.0], [5.0]] and found.has.toarray().tolist() == [[1.0], [1.0]]


def test_columns_cannot_be_changed():
    found = interactions_of(["a"], ["x"])
    with pytest.raises(ValueError, match="read-only"):
        found.weight[0] = 2.0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((["a"], ["x", "y"]), "1 users, 2 items"),
        ((["a"], ["x"], None, [0.0]), "weight of row 1 is 0"),
        ((["a", "a"], ["x", "y"], [1.0, np.nan]), "time of row 2 is nan"),
        ((["a"], ["x"], None, [np.inf]), "weight of row 1 is inf"),
    ],
)
def test_columns_that_cannot_be_are_refused(columns, said):
    with pytest.raises(InputError, match=said):
        interactions_of(*columns)


def test_the_last_of_each_is_left_out_and_who_has_one_only_trains():
    whole = interactions_of(["a", "a", "a", "b", "c", "c"], ["x", "y", "z", "x", "z", "x"])
    split = leave_one_out(whole)
    assert pairs(split.test) == [("a", "z"), ("c", "x")] and pairs(split.train) == [
        ("a", "x"), ("a", "y"), ("b", "x"), ("c", "z"),
    ]  # fmt: skip
    again = leave_one_out(split.train)  # to choose settings by
    assert pairs(again.test) == [("a", "y")]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_a_split_loses_nothing_and_tests_what_is_later(share, seed):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 20, 300).astype(str).tolist(), rng.integers(0, 40, 300).astype(str).tolist()
    whole = interactions_of(users, items, rng.permutation(300).astype(float))
    for split in (split_each_user(whole, share), leave_one_out(whole), split_at(whole, 300 * (1 - share))):
        both = sorted([*split.train.at_s, *split.test.at_s])
        assert both == sorted(whole.at_s)
        assert split.train.user_ids == split.test.user_ids == whole.user_ids
        for user in split.tested:
            assert split.train.at_s[split.train.user == user].max() < split.test.at_s[split.test.user == user].min()
    n_rows = np.bincount(whole.user)
    n_tested = np.bincount(split_each_user(whole, share).test.user, minlength=len(n_rows))
    np.testing.assert_array_equal(n_tested, np.where(n_rows > 1, np.maximum(1, np.floor(share * n_rows + 1e-9)), 0))


def test_a_cut_in_time_leaks_nothing():
    whole = interactions_of(["a", "a", "b", "b"], ["x", "y", "y", "z"], [1, 10, 2, 3])
    split = split_at(whole, 5)
    assert pairs(split.test) == [("a", "y")] and split.train.at_s.max() < split.test.at_s.min()
    with pytest.raises(InputError, match="Only the order"):
        split_at(interactions_of(["a", "a"], ["x", "y"]), 5)
    with pytest.raises(InputError, match="share of 1"):
        split_each_user(whole, 1.0)


def test_what_a_user_has_already_is_not_sought():
    split = leave_one_out(interactions_of(["a", "a", "a", "b", "b"], ["x", "y", "x", "x", "y"]))
    assert split.relevant.toarray().tolist() == [[0, 0], [0, 1]] and split.tested.tolist() == [1]


def test_events_of_several_become_what_speaks_for_a_track():
    """A skip says nothing for it, and what is disliked now is left out, its plays too."""
    found = from_events(
        {
            "bo": events(("t1", 1, PLAY, 1.0), ("t2", 2, SKIP, 0.1), ("t3", 3, PLAY, 1.0), ("t3", 4, DISLIKE, np.nan)),
            "ann": events(("t1", 5, LIKE, np.nan), ("t4", 6, PLAY, 0.1)),
        }
    )
    assert pairs(found) == [("ann", "t1"), ("bo", "t1")] and found.weight.tolist() == [2.0, 1.0]
    assert found.item_ids == ("t1", "t2", "t3", "t4")
    then = from_events({"bo": events(("t3", 3, PLAY, 1.0), ("t3", 4, DISLIKE, np.nan))}, until_s=3.5)
    assert pairs(then) == [("bo", "t3")]
    assert len(from_events({})) == 0


# --- files --------------------------------------------------------------------------------------------------


def test_sequences_are_read_in_order(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("7 c a b\n\n3 a\n", "utf-8")
    assert pairs(read_sequences(path)) == [("7", "c"), ("7", "a"), ("7", "b"), ("3", "a")]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no interactions"), ("1 2\n3\n", "Line 2 of s.txt has a user and no item"), ("1 2\n1 3\n", "as one before")],
)
def test_what_is_no_file_of_sequences_is_refused_by_line(tmp_path, text, said):
    path = tmp_path / "s.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=said):
        read_sequences(path)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises((InputError, DataMissingError)):
        read_sequences(tmp_path / "nosuch.txt")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError):
        read_sequences(tmp_path / "b")


def test_a_table_is_read_by_its_columns(tmp_path):
    path = tmp_path / "t.dat"
    path.write_text("userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n3\t51\t5\n", "utf-8")
    found = read_interactions(path, "userID", "artistID", "weight")
    assert pairs(found) == [("2", "51"), ("2", "52"), ("3", "51")] and found.weight.tolist() == [13883, 11690, 5]
    assert read_interactions(path, "userID", "artistID", at="weight").item.tolist() == [1, 0, 0]  # as if it were a time
    with pytest.raises(InputError, match="no column 'plays'"):
        read_interactions(path, "userID", "artistID", "plays")
    path.write_text("u,i,w\na,x,many\n", "utf-8")
    with pytest.raises(InputError, match="'many' as 'w'"):
        read_interactions(path, "u", "i", "w")


def test_the_play_counts_of_hetrec(shared_rec):
    """92 834 rows of 1 892 users are published; this copy has a user of twelve rows more."""
    found = read_interactions(shared_rec("hetrec-lastfm-user_artists.dat"), "userID", "artistID", "weight")
    assert (len(found), found.n_users, found.n_items) == (92_834 + 12, 1892 + 1, 17_632)
