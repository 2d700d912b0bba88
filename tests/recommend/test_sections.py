"""Each section keeps what its definition promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.recommend.profile import profile_of, weigh_by
from mess_core.recommend.sections import FORGOTTEN_DAYS, LATELY_DAYS, SECTIONS, WEEK_S, week_began_s
from mess_core.recommend.signals import DAY_S
from tests.recommend.crowds import heard
from tests.recommend.worlds import NOW_S, OF_EACH, dislikes, events, group, likes, planted_shelf

HALF = OF_EACH // 2


def a_shelf(seed=0):
    """Six works of the groups, ten players, all there for a year but for rows 110 to 119."""
    shelf = planted_shelf(seed)
    n = len(shelf)
    added_s = np.full(n, NOW_S - 365 * DAY_S)
    added_s[110:] = NOW_S - 3 * DAY_S
    makers = tuple(f"player {row % 10}" for row in range(n))
    return replace(
        shelf,
        makers=makers,
        artists=tuple(frozenset({maker}) for maker in makers),
        works=tuple(f"work {row // 4}" for row in range(n)),
        added_s=added_s,
    )


def a_profile(*said, shelf=None, now_s=NOW_S, **how):
    return profile_of(shelf or a_shelf(), events(*said), now_s, **how)


USUAL = (
    *likes(group(0)[:HALF], days=100),
    *likes(group(2)[:HALF], days=20),
    *likes(group(2)[HALF : HALF + 2], days=3),
    *dislikes([45, 62], days=5),
)


def rows_of(section, profile, n=10, surprise=0.5, seed=0):
    return [each.row for each in SECTIONS[section].choose(profile, n, surprise, seed)]


@pytest.mark.parametrize("section", SECTIONS)
def test_no_section_recommends_what_is_disliked_or_one_track_twice(section):
    rows = rows_of(section, a_profile(*USUAL))
    assert len(set(rows)) == len(rows) <= 10
    assert not {45, 62} & set(rows)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_stands_nothing_and_hardly_anything(section):
    for said in ((), likes([0]), dislikes([0]), dislikes(list(range(120)))):
        assert isinstance(rows_of(section, a_profile(*said)), list)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_same_seed_gives_the_same_rows(section):
    assert rows_of(section, a_profile(*USUAL)) == rows_of(section, a_profile(*USUAL))


def test_quick_picks_were_not_heard_lately_and_a_few_are_tries():
    profile = a_profile(*USUAL)
    chosen = SECTIONS["quick-picks"].choose(profile, 20, 0.5, 0)
    assert all(profile.days_since[each.row] >= LATELY_DAYS for each in chosen)
    tried = [each for each in chosen if each.source == "tried"]
    assert 2 <= len(tried) <= 4
    assert all(0 < each.propensity <= 1 for each in tried)
    assert all(each.propensity == 1 for each in chosen if each.source != "tried")


def test_because_is_around_what_is_liked_most_by_now():
    assert {row // OF_EACH for row in rows_of("because", a_profile(*likes([45], days=1), *likes([5], days=90)), 5)} == {
        2
    }


def test_others_have_no_hand_in_what_is_like_one_track():
    """Their places are dealt into the scores of a taste; a list around one track goes by how near that is."""
    profile = a_profile(*USUAL)
    dealt = np.random.default_rng(0).permutation(profile.taste.scores)
    moved = replace(profile, taste=replace(profile.taste, dealt=dealt))
    assert rows_of("because", moved) == rows_of("because", profile)
    assert rows_of("deep-cuts", moved) != rows_of("deep-cuts", profile)


def test_a_week_s_list_stays_for_the_week_and_changes_after_it():
    began_s = week_began_s(NOW_S)
    assert (began_s - 4 * DAY_S) % WEEK_S == 0  # a Monday
    said = [*USUAL, *likes([81], days=0.01)]
    first, last = (
        rows_of("weekly", profile_of(a_shelf(), events(*said), week_began_s(began_s + day * DAY_S)))
        for day in (0, 6.99)
    )
    assert first == last
    weeks = [
        tuple(rows_of("weekly", profile_of(a_shelf(), events(*USUAL), began_s + week * WEEK_S))) for week in range(4)
    ]
    assert len(set(weeks)) > 1


def test_new_is_new_and_unheard():
    assert set(rows_of("new", a_profile(*USUAL, ("t111", "play", 1, 1.0)), 20)) <= set(range(110, 120)) - {111}


def test_nothing_is_new_where_everything_is():
    shelf = replace(a_shelf(), added_s=np.full(120, NOW_S - DAY_S))
    assert rows_of("new", a_profile(*USUAL, shelf=shelf)) == []


def test_rediscovered_is_what_was_liked_and_not_heard_for_long():
    profile = a_profile(*USUAL)
    rows = rows_of("rediscover", profile)
    assert rows
    assert set(rows) <= set(group(0)[:HALF])
    assert all(profile.days_since[row] >= FORGOTTEN_DAYS for row in rows)


def test_deep_cuts_are_unheard_and_by_those_who_are_liked():
    profile = a_profile(*likes([0, 10, 20, 30]))  # all by player 0
    rows = rows_of("deep-cuts", profile)
    assert rows
    assert all(row % 10 == 0 and not np.isfinite(profile.days_since[row]) for row in rows)


def test_the_same_hands_play_other_works():
    profile = a_profile(*likes([0, 10]))
    rows = rows_of("same-hands", profile)
    assert rows
    assert all(row % 10 == 0 for row in rows)
    assert not {profile.shelf.works[row] for row in rows} & {profile.shelf.works[0], profile.shelf.works[10]}


def test_the_opposite_is_further_from_the_taste_than_anything_by_chance():
    profile = a_profile(*likes(group(0)[:HALF]))
    rows = rows_of("opposite", profile)
    away = profile.shelf.points @ profile.taste.centres.mean(axis=0)
    assert away[rows].mean() < np.quantile(away, 0.25)


def test_an_evening_taste_is_of_what_was_heard_in_the_evening():
    """NOW_S is 15:06 UTC: whole days ago is the afternoon."""
    said = [*likes(group(0)[:9], days=3.0), *likes(group(2)[:9], days=3.3)]  # 3.3 days ago it was morning
    shares = {}
    for part in (None, "morning", "afternoon"):
        weigh = None if part is None else weigh_by(part, 0.0)
        taste = a_profile(*said, weigh=weigh).taste
        shares[part] = sum(each.share for each in taste.interests if each.rows[0] // OF_EACH == 2)
    assert shares["morning"] > shares[None] > shares["afternoon"]


def test_a_sitting_ends_with_half_an_hour_of_silence():
    """A quarter of an hour lies between what is heard in the latest one; an hour before it there was another."""
    one_after_the_other = heard([0, 1, 2, 3, 4], [NOW_S + 60 * minute for minute in (0, 15, 75, 90, 105)])
    assert weigh_by("sitting", 0.0)(one_after_the_other).tolist() == [0.5, 0.5, 1.0, 1.0, 1.0]
    assert weigh_by("sitting", 0.0)(heard([])).tolist() == []


def test_what_is_to_be_no_reason_tells_no_taste():
    profile = a_profile(*likes(group(0)[:9]), *likes([40]), ignored=["t040"])
    assert all(40 not in interest.rows for interest in profile.taste.interests)
    assert 40 in profile.heard
