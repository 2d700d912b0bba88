"""Blending: the crowd counts where it helps, and not where it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.listening import Events
from mess_core.evaluation.blending import BlendStudy, pooled, replay_blends, weights_of
from mess_core.recommend.crowd import CROWD, NAMES, WEIGHTS
from mess_core.recommend.signals import DAY_S
from tests.recommend.crowds import NOW_S, a_shelf, heard

N_CAMPS, N_OF_A_CAMP = 6, 20
N = N_CAMPS * N_OF_A_CAMP


def a_house(camp_of_row: np.ndarray, n: int, seed: int) -> dict[str, Events]:
    """Each listener is of one camp: hears ten of its rows, and later five more of them."""
    rng = np.random.default_rng(seed)
    found = {}
    for listener in range(n):
        own = rng.permutation(np.flatnonzero(camp_of_row == listener % N_CAMPS))[:15]
        times = [NOW_S - 5 * DAY_S + 60 * i for i in range(10)] + [NOW_S + DAY_S + 60 * i for i in range(5)]
        found[f"l{listener:02}"] = heard(own.tolist(), times)
    return found


@pytest.fixture(scope="module")
def camps() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(N_CAMPS), N_OF_A_CAMP))


def test_where_sound_tells_nothing_the_crowd_is_taken(camps):
    """Camps that no point tells apart: others alone know what goes with what."""
    shelf = a_shelf(np.random.default_rng(1).standard_normal((N, 8)))
    study = replay_blends(shelf, a_house(camps, 48, 2), NOW_S)
    assert study.n_listeners == 48 and study.weight >= 0.5
    # Any order of the ten left of a camp, five of them sought, comes to half.
    assert study.figures[0].value < 0.2 and study.best.value > 0.45
    assert "The crowd counts for" in study.verdict
    asked = replay_blends(shelf, a_house(camps, 48, 2), NOW_S, (0.0, WEIGHTS[CROWD]))
    assert asked.weight == WEIGHTS[CROWD]


def test_where_sound_tells_all_content_is_kept(camps):
    """Camps are what points tell, and too few listeners are of any for the crowd to know."""
    rng = np.random.default_rng(3)
    shelf = a_shelf(np.eye(N_CAMPS)[camps] + 0.1 * rng.standard_normal((N, N_CAMPS)))
    study = replay_blends(shelf, a_house(camps, 12, 4), NOW_S)
    assert study.weight == 0.0 and study.figures[0].value > 0.5
    assert (study.share_known == 0).all() and "does not help" in study.verdict


def test_what_was_heard_before_is_not_sought_and_nothing_of_the_future_is_used(camps):
    shelf = a_shelf(np.random.default_rng(1).standard_normal((N, 8)))
    again = {f"l{i}": heard([0, 1, 2, 0], [NOW_S - 30, NOW_S - 20, NOW_S - 10, NOW_S + 10]) for i in range(5)}
    assert replay_blends(shelf, again, NOW_S) is None


def test_households_are_pooled_listener_by_listener():
    one, other = (
        BlendStudy(CROWD, 10, (0.0, 0.5), np.array(table), np.zeros(len(table))) for table in ([[0, 1]], [[1, 1]] * 3)
    )
    both = pooled([one, other])
    assert both.n_listeners == 4 and [each.value for each in both.figures] == [0.75, 1.0]
    assert both.figures[1].gain == 0.25 and both.weight == 0.0  # of one in four alone


def test_of_equal_weights_the_least_is_best():
    table = np.tile([[0.1, 0.4, 0.4]], (40, 1)) + np.random.default_rng(0).random((40, 1))
    assert BlendStudy(CROWD, 10, (0.0, 0.3, 0.6), table, np.zeros(40)).weight == 0.3


def named(shelf, camp_of_row: np.ndarray):
    """Each camp is by somebody of its own."""
    return replace(shelf, artists=tuple(frozenset({f"player {camp}"}) for camp in camp_of_row))


def test_where_sound_tells_nothing_names_are_taken_and_names_dealt_by_chance_are_not(camps):
    rng = np.random.default_rng(1)
    shelf = a_shelf(rng.standard_normal((N, 8)))
    house = a_house(camps, 48, 2)
    study = replay_blends(named(shelf, camps), house, NOW_S, source=NAMES)
    assert study.weight >= 0.5 and study.best.value > 0.45 and "Names count for" in study.verdict
    by_chance = replay_blends(named(shelf, rng.permutation(camps)), house, NOW_S, (0.0, WEIGHTS[NAMES]), source=NAMES)
    assert by_chance.weight == 0.0


def test_a_source_of_which_nothing_is_known_changes_nothing(camps):
    shelf = a_shelf(np.random.default_rng(1).standard_normal((N, 8)))
    study = replay_blends(shelf, a_house(camps, 12, 2), NOW_S, source=NAMES)
    assert (study.share_known == 0).all() and (study.table == study.table[:, :1]).all()
    assert weights_of({NAMES: study}) == {NAMES: 0.0} and "Names do not help" in study.verdict
