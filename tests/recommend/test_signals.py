"""What events say of a track, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.recommend.signals import DAY_S, ratings, signals_of, what_is_left
from tests.recommend.worlds import NOW_S, events


def liking(*said, **how):
    found = signals_of(events(*said), NOW_S, **how)
    return dict(zip(found.track_ids, found.liking.tolist(), strict=True))


def disliking(*said):
    found = signals_of(events(*said), NOW_S)
    return dict(zip(found.track_ids, found.disliking.tolist(), strict=True))


def test_ratings_are_those_that_are_documented():
    said = events(
        ("a", "like", 9, None), ("b", "dislike", 8, None), ("c", "skip", 7, 0.05), ("d", "play", 6, 1.0),
        ("e", "play", 5, 0.8), ("f", "play", 4, 0.5), ("g", "play", 3, 0.2), ("h", "play", 2, None),
    )  # fmt: skip
    np.testing.assert_allclose(ratings(said), [2, -2, -0.5, 1, 1, 0.2, 0, 0.6])


def test_half_is_left_after_a_half_life():
    assert what_is_left(np.array([30.0]), (30.0,))[0] == pytest.approx(0.5)
    assert what_is_left(np.array([180.0]), (180.0,))[0] == pytest.approx(0.5)
    assert what_is_left(np.array([30.0]))[0] == pytest.approx((0.5 + 2 ** (-1 / 6)) / 2)
    assert what_is_left(np.array([1e6]), (np.inf,))[0] == 1.0
    assert what_is_left(np.array([-5.0]))[0] == 1.0  # a clock that is a little fast


def test_a_month_without_music_is_a_month():
    """The seed counted how many events lay between, not days."""
    alone = liking(("a", "like", 30, None))["a"]
    among_many = liking(("a", "like", 30, None), *((f"b{n}", "play", 29 - n / 100, 1.0) for n in range(500)))["a"]
    assert alone == pytest.approx(among_many)


def test_a_thousand_plays_in_a_night_are_not_a_thousand_likes():
    once = liking(("a", "play", 0.5, 1.0))["a"]
    night = liking(*(("a", "play", 0.5 + n / 1e5, 1.0) for n in range(1000)))["a"]
    assert once < night < 12 * once


def test_what_is_disliked_is_not_liked_and_its_plays_do_not_count():
    said = [*(("a", "play", 3, 1.0) for _ in range(20)), ("a", "dislike", 1, None)]
    assert liking(*said)["a"] == 0.0
    assert disliking(*said)["a"] > 1.5


def test_what_is_liked_is_not_held_against_when_it_is_skipped():
    said = [("a", "like", 5, None), *(("a", "skip", 2, 0.1) for _ in range(20))]
    assert disliking(*said)["a"] == 0.0
    assert liking(*said)["a"] > 0.0


def test_what_is_only_skipped_counts_against():
    assert disliking(("a", "skip", 1, 0.1))["a"] > 0.0
    assert liking(("a", "skip", 1, 0.1))["a"] == 0.0


def test_the_future_is_left_out():
    found = signals_of(events(("a", "like", -400, None), ("b", "like", 1, None)), NOW_S)
    assert found.track_ids == ("b",)


def test_later_is_stronger_and_twice_the_time_ago_weaker():
    days = [0, 1, 10, 100, 1000]
    found = [liking(("a", "like", day, None))["a"] for day in days]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(2.0)


def test_nothing_said_is_nothing():
    found = signals_of(events(), NOW_S)
    assert found.track_ids == ()
    assert len(found.liking) == 0


def test_without_a_track_the_others_say_what_they_said():
    said = [("a", "like", 2, None), ("b", "play", 5, 0.9), ("b", "play", 3, 0.6)]
    without = signals_of(events(*said), NOW_S).without(["a"])
    alone = signals_of(events(*said[1:]), NOW_S)
    assert without.track_ids == alone.track_ids
    np.testing.assert_allclose(without.liking, alone.liking)


def test_what_is_no_reason_stays_heard_and_disliked():
    found = signals_of(events(("a", "like", 2, None), ("b", "dislike", 2, None)), NOW_S).unmoved_by(["a", "b"])
    assert found.liking.tolist() == [0.0, 0.0]
    assert found.disliking[1] > 0.0
    assert found.last_s[0] == pytest.approx(NOW_S - 2 * DAY_S)
