"""Lists: caps, shares of interests, the knob, sources, and what is tried out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mess_core.recommend.exploring import N_DRAWS, n_to_try, posterior_of, try_out
from mess_core.recommend.generator import Wanted, choose
from mess_core.recommend.signals import signals_of
from mess_core.recommend.taste import taste_of
from tests.recommend.worlds import NOW_S, OF_EACH, dislikes, events, group, likes, planted_shelf

HALF = OF_EACH // 2


def signals(*said):
    return signals_of(events(*said), NOW_S)


def half_of(*numbers):
    return [row for number in numbers for row in group(number)[:HALF]]


def liking(shelf, *numbers):
    return taste_of(shelf, signals(*likes(half_of(*numbers))))


def rows_of(chosen):
    return [each.row for each in chosen]


def test_no_row_comes_twice_and_what_is_left_out_stays_out():
    shelf = planted_shelf()
    never = half_of(0, 2)
    chosen = rows_of(choose(liking(shelf, 0, 2), Wanted(30, never=never)))
    assert len(set(chosen)) == 30
    assert not set(chosen) & set(never)


def test_only_some_are_chosen_from_and_a_short_shelf_makes_a_short_list():
    shelf = planted_shelf()
    assert sorted(rows_of(choose(liking(shelf, 0), Wanted(10, only=[3, 5, 7])))) == [3, 5, 7]
    assert choose(liking(shelf, 0), Wanted(10, only=[])) == []
    assert choose(liking(shelf, 0), Wanted(0)) == []


def test_never_more_of_an_artist_or_a_work_than_the_caps_allow():
    shelf = planted_shelf()
    n = len(shelf)
    shelf = replace(
        shelf,
        makers=tuple(f"player {row % 10}" for row in range(n)),
        works=tuple(f"work {row % 40}" for row in range(n)),
    )
    chosen = rows_of(choose(liking(shelf, 0, 2), Wanted(15)))
    assert len(chosen) == 15
    assert max(Counter(shelf.makers[row] for row in chosen).values()) <= 2
    assert max(Counter(shelf.works[row] for row in chosen).values()) == 1
    assert len(choose(liking(shelf, 0, 2), Wanted(60))) == 20  # ten players, two of each
    free = choose(liking(shelf, 0, 2), Wanted(60, most_of_an_artist=None, most_of_a_work=None))
    assert len(free) == 60


def test_an_interest_gets_its_share_of_the_rows():
    shelf = planted_shelf(1)
    found = taste_of(shelf, signals(*likes(half_of(0)), *likes(half_of(2), days=60)))
    shares = Counter()
    for interest in found.interests:
        shares[int(interest.rows[0]) // OF_EACH] += interest.share
    chosen = Counter(row // OF_EACH for row in rows_of(choose(found, Wanted(10, never=half_of(0, 2)))))
    assert chosen[0] == pytest.approx(10 * shares[0], abs=1)
    assert chosen[2] == pytest.approx(10 * shares[2], abs=1)


def test_the_knob_moves_from_what_is_like_what_was_heard_to_what_is_not():
    shelf = planted_shelf(2, noise=0.4)
    found = liking(shelf, 0, 2)
    heard = np.array(half_of(0, 2))

    def nearest(surprise):
        rows = rows_of(choose(found, Wanted(12, surprise, never=heard.tolist()), heard=heard))
        return (shelf.points[rows] @ shelf.points[heard].T).max(axis=1).mean()

    familiar, between, surprising = nearest(0.0), nearest(0.5), nearest(1.0)
    assert familiar >= between - 1e-6
    assert between > surprising


def test_liked_artists_and_what_is_new_gain_a_little():
    shelf = planted_shelf(3)
    artists, added = [frozenset()] * len(shelf), np.full(len(shelf), 0.0)
    artists[group(0)[-1]], added[group(0)[-2]] = frozenset({"she"}), 10.0
    shelf = replace(shelf, artists=tuple(artists), added_s=added)
    found = liking(shelf, 0)
    only = group(0)[HALF:]
    plain = {each.row: each for each in choose(found, Wanted(10, only=only))}
    moved = {each.row: each for each in choose(found, Wanted(10, only=only), liked_artists={"she"}, new_from_s=5.0)}
    assert moved[only[-1]].score > plain[only[-1]].score
    assert moved[only[-2]].score > plain[only[-2]].score
    assert (moved[only[-1]].source, moved[only[-2]].source) == ("artist", "new")


def test_without_a_taste_a_list_is_diverse():
    shelf = planted_shelf(4)
    chosen = rows_of(choose(taste_of(shelf, signals()), Wanted(6)))
    assert len({row // OF_EACH for row in chosen}) >= 5


# --- trying out ---------------------------------------------------------------------------------------------


def test_what_is_tried_has_a_propensity_that_is_how_often_it_is_tried():
    shelf = planted_shelf(5)
    posterior = posterior_of(shelf, signals(*likes(half_of(0)[:3])))
    allowed = np.arange(40)
    told: dict[int, list[float]] = {}
    times = Counter()
    for seed in range(300):
        for row, propensity in try_out(shelf, posterior, allowed, 2, np.random.default_rng(seed)):
            told.setdefault(row, []).append(propensity)
            times[row] += 1
    for row, n in times.most_common(5):
        assert np.mean(told[row]) == pytest.approx(n / 300, abs=0.08)
    assert all(1 / N_DRAWS / 2 <= each <= 1 for propensities in told.values() for each in propensities)


def test_what_is_known_to_be_disliked_is_tried_less():
    shelf = planted_shelf(6)
    allowed = np.array([row for number in range(6) for row in group(number)[HALF:]])

    def share_of_group_3(said):
        posterior = posterior_of(shelf, signals(*said))
        rows = [
            row for seed in range(60) for row, _ in try_out(shelf, posterior, allowed, 3, np.random.default_rng(seed))
        ]
        return np.mean([row in group(3) for row in rows])

    assert share_of_group_3(dislikes(half_of(3))) < share_of_group_3([]) / 3


def test_one_or_two_rows_in_ten_are_tries():
    assert [n_to_try(n, 0.0) for n in (4, 10, 20)] == [0, 1, 2]
    assert [n_to_try(n, 1.0) for n in (4, 10, 20)] == [0, 2, 4]


def test_nothing_left_to_try():
    shelf = planted_shelf()
    posterior = posterior_of(shelf, signals())
    assert try_out(shelf, posterior, np.empty(0, int), 2, np.random.default_rng(0)) == []
    assert len(try_out(shelf, posterior, np.array([4]), 2, np.random.default_rng(0))) == 1
