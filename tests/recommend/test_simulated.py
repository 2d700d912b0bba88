"""Simulated listeners do what was planted, and are told apart from people."""

from __future__ import annotations

import numpy as np

from mess_core.recommend.signals import DAY_S, signals_of
from mess_core.recommend.simulated import PEOPLE, SIMULATED, Planted, is_simulated, simulate
from tests.recommend.worlds import NOW_S

IDS = [f"t{row:03}" for row in range(100)]
PLANTED = Planted("x", (tuple(range(10)), tuple(range(10, 20)), tuple(range(20, 30))), tuple(range(30, 40)))


def test_they_like_what_was_planted_and_not_what_they_cannot_stand():
    found = signals_of(simulate(PLANTED, IDS, 200, NOW_S, 0), NOW_S)
    liking = dict(zip(found.track_ids, found.liking, strict=True))
    disliked = {track_id for track_id, is_it in zip(found.track_ids, found.is_disliked, strict=True) if is_it}
    of = [np.mean([liking.get(IDS[row], 0.0) for row in rows]) for rows in (*PLANTED.tastes, range(40, 100))]
    assert of[0] > of[1] > of[2] > 3 * of[3]
    assert disliked
    assert disliked <= {IDS[row] for row in PLANTED.unwanted}


def test_events_are_in_order_within_their_days_and_of_what_they_came_across():
    events = simulate(PLANTED, IDS, 30, NOW_S, 1, among=list(range(50)))
    assert (np.diff(events.at_s) >= 0).all()
    assert events.at_s.min() >= NOW_S - 30 * DAY_S
    assert events.at_s.max() < NOW_S
    assert set(events.track_ids) <= set(IDS[:50])


def test_the_same_seed_hears_the_same_and_no_days_hear_nothing():
    one, other = (simulate(PLANTED, IDS, 20, NOW_S, 7) for _ in range(2))
    np.testing.assert_array_equal(one.at_s, other.at_s)
    assert one.track_ids == other.track_ids
    assert len(simulate(PLANTED, IDS, 0, NOW_S, 7)) == 0


def test_they_are_called_simulated():
    assert all(name.endswith(SIMULATED) and is_simulated(name) for name in PEOPLE)
    assert not is_simulated("me")
