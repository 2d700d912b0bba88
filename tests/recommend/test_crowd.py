"""The crowd: it finds what others like together, says nothing of one or two of them, and leaves cold rows alone."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.recommend.crowd import FEWEST_OTHERS, blend, crowd_places, label_places, rising_places
from mess_core.recommend.places import places_of
from mess_core.recommend.signals import DAY_S
from tests.recommend.crowds import NOW_S, a_shelf, heard, houses

N = 20
SHELF = a_shelf(np.random.default_rng(0).standard_normal((N, 4)))


def of_ann(events, now_s: float = NOW_S) -> np.ndarray:
    return crowd_places(SHELF, events, "ann", now_s)


def test_what_others_like_together_comes_first():
    """Who likes 0 and 1 likes 2; others like 5, 6 and 7. Ann likes 0 and 1."""
    others = {f"x{i}": [0, 1, 2] for i in range(4)} | {f"y{i}": [5, 6, 7] for i in range(4)}
    places = of_ann(houses({"ann": [0, 1], **others}))
    assert places[2] > places[5] and set(np.flatnonzero(~np.isnan(places))) == {0, 1, 2, 5, 6, 7}
    assert np.nanmin(places) > 0 and np.nanmax(places) <= 1


@pytest.mark.parametrize("n_others", range(6))
def test_of_fewer_than_three_others_nothing_is_told(n_others):
    places = of_ann(houses({"ann": [0, 1], **{f"x{i}": [0, 1, 2, 3] for i in range(n_others)}}))
    assert np.isnan(places).all() == (n_others < FEWEST_OTHERS)


def test_ann_is_none_of_the_three():
    """Two others and Ann herself are not three others."""
    assert np.isnan(of_ann(houses({"ann": [0, 1, 2], "bo": [0, 1, 2], "cy": [0, 1, 2], "di": [9]}))).all()


@pytest.mark.parametrize("seed", range(20))
def test_what_one_or_two_others_like_with_something_moves_nothing(seed):
    """Whatever Bo hears that fewer than two more like: Ann's places stay as they are, to the last digit."""
    rng = np.random.default_rng(seed)
    common = {f"x{i}": rng.choice(10, 5, replace=False).tolist() for i in range(6)}
    common["ann"] = rng.choice(10, 4, replace=False).tolist()
    secret = rng.choice(np.arange(10, N), 4, replace=False).tolist()
    bo = rng.choice(10, 5, replace=False).tolist()
    without = of_ann(houses({**common, "bo": bo}))
    np.testing.assert_array_equal(of_ann(houses({**common, "bo": bo + secret})), without)
    also = {**common, "x0": common["x0"] + secret}  # a second one, who likes the same
    np.testing.assert_array_equal(of_ann(houses({**also, "bo": bo + secret})), without)


def test_a_third_other_is_what_tells():
    common = {f"x{i}": [0, 1] for i in range(3)}
    two = {**common, "ann": [0, 1], "x0": [0, 1, 15], "x1": [0, 1, 15]}
    assert np.isnan(of_ann(houses(two))[15])
    assert not np.isnan(of_ann(houses({**two, "x2": [0, 1, 15]}))[15])


def test_pairs_count_and_not_tracks_alone():
    """Many like 3, and many like 0, but only two like both: that Ann likes 0 says nothing of 3."""
    others = {f"x{i}": [0, 1] for i in range(5)} | {f"y{i}": [3, 4] for i in range(5)} | {"z0": [0, 3], "z1": [0, 3]}
    places = of_ann(houses({"ann": [0], **others}))
    assert places[3] == places[4] < places[1]


def test_the_crowd_knows_no_future():
    others = {f"x{i}": heard([0, 1], [NOW_S - 100, NOW_S + 50]) for i in range(4)}
    events = {"ann": heard([0], [NOW_S - 100]), **others}
    assert np.isnan(of_ann(events)).all() and not np.isnan(of_ann(events, NOW_S + 100)).all()


def test_who_likes_what_nobody_else_does_is_told_nothing():
    others = {f"x{i}": [0, 1, 2] for i in range(4)}
    assert np.isnan(of_ann(houses({"ann": [15], **others}))).all()
    assert np.isnan(of_ann(houses(others))).all()  # she was never here


# --- labels -------------------------------------------------------------------------------------------------


def test_rows_of_a_liked_artist_come_first():
    labels = [{"bach"}, {"bach"}, {"satie"}, set(), {"satie", "bach"}]
    places = label_places(labels, np.array([2.0, 0, 0, 5.0, 0]))
    assert np.isnan(places[3]) and places[0] == places[1] == places[4] > places[2]
    assert np.isnan(label_places(labels, np.zeros(5))).all()
    with pytest.raises(InputError, match="2 rows have labels and 5"):
        label_places(labels[:2], np.zeros(5))


def test_all_of_many_is_believed_more_than_the_one_of_one():
    labels = [{"once"}] + [{"often"}] * 8
    places = label_places(labels, np.ones(9))
    assert places[1] > places[0]


# --- blend --------------------------------------------------------------------------------------------------


def a_mix(seed: int, n: int = 200) -> tuple[np.ndarray, list[tuple[np.ndarray, float]]]:
    rng = np.random.default_rng(seed)
    sources = []
    for weight in (0.4, 0.3):
        scores = np.where(rng.random(n) < 0.6, rng.random(n), np.nan)
        sources.append((places_of(scores), weight))
    return places_of(rng.random(n)), sources


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_a_blend(seed):
    """The same places, dealt anew; a cold row keeps its own; what all sources put higher stands higher."""
    content, sources = a_mix(seed)
    found = blend(content, sources)
    np.testing.assert_array_equal(np.sort(found), np.sort(content))
    known = np.array([~np.isnan(places) for places, _ in sources])
    cold = ~known.any(axis=0)
    assert cold.any()
    np.testing.assert_array_equal(found[cold], content[cold])
    for pattern in np.unique(known, axis=1).T:
        rows = np.flatnonzero((known == pattern[:, None]).all(axis=0))
        np.testing.assert_array_equal(np.sort(found[rows]), np.sort(content[rows]))
        every = [content, *(places for (places, _), has in zip(sources, pattern, strict=True) if has)]
        for one in rows[:20]:
            for other in rows[:20]:
                if all(each[one] > each[other] for each in every):
                    assert found[one] > found[other]


def test_weights_at_the_ends():
    content, ((places, _), _) = a_mix(1)
    np.testing.assert_array_equal(blend(content, []), content)
    np.testing.assert_array_equal(blend(content, [(places, 0.0)]), content)
    alone = blend(content, [(places, 1.0)])
    known = ~np.isnan(places)
    np.testing.assert_array_equal(np.argsort(alone[known]), np.argsort(places[known]))
    np.testing.assert_array_equal(alone[~known], content[~known])
    before = content.copy()
    blend(content, [(places, 0.5)])
    np.testing.assert_array_equal(content, before)


@pytest.mark.parametrize("weights", [(-0.1, 0.1), (0.7, 0.6), (np.nan, 0.1)])
def test_weights_that_cannot_be_are_refused(weights):
    content, sources = a_mix(0)
    with pytest.raises(InputError, match="Weights are"):
        blend(content, [(places, weight) for (places, _), weight in zip(sources, weights, strict=True)])


def test_content_knows_every_row():
    with pytest.raises(InputError, match="content a number"):
        blend(np.array([0.1, np.nan]), [(np.array([0.5, 1.0]), 0.5)])
    with pytest.raises(InputError, match="place for each row"):
        blend(np.array([0.1, 0.2]), [(np.array([0.5]), 0.5)])


def test_what_rises_is_what_three_others_have_begun_to_take_to():
    """Rows 0 and 1 they heard three days ago, 1 also twenty days ago; row 2 is heard by one of them alone."""
    shelf = a_shelf(np.eye(4))

    def rising(n_others: int, own: tuple[int, ...] = ()) -> list[int]:
        days_ago = [3.0, 3.0, 20.0]
        events = {f"other {n}": heard([0, 1, 1], [NOW_S - days * DAY_S for days in days_ago]) for n in range(n_others)}
        events["alone"] = heard([2])
        found = rising_places(shelf, {**events, "me": heard(list(own))}, "me", NOW_S)
        return np.flatnonzero(~np.isnan(found)).tolist()

    assert rising(3) == [0]
    assert rising(2) == []
    assert rising(2, own=(0,)) == []  # one's own listening makes nothing rise for oneself
