"""For a listener, in a library: the lists, why each row is there, why another is not, and what comes in between."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.opinions import ME
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.errors import DataMissingError, InputError
from mess_core.recommend.beginning import N_STARTERS
from mess_core.recommend.explaining import why_not_of
from mess_core.recommend.for_you import Stay, begin_with, latest_events, next_of_radio, recommend
from mess_core.recommend.gathering import profile_for, shelf_of, to_the_hour
from mess_core.recommend.sections import FORGOTTEN_DAYS, SECTIONS, week_began_s
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import PEOPLE
from mess_core.search.answers import build_index
from mess_core.workspace.scope import Scope
from tests.planted import a_track, discover, pace, plant_embeddings, plant_heard_library, plant_tracks, told
from tests.recommend.worlds import (
    IN_EACH,
    INSTRUMENTS,
    NOW_S,
    PLANTED,
    disliked,
    grouped_tracks,
    liked,
    plant_events,
    plant_groups,
)


@pytest.fixture
def groups(home) -> list[list[str]]:
    return plant_groups(home)


@pytest.fixture
def scope(home) -> Scope:
    return Scope(home, "planted", NANO)


def ids_of(found) -> list[str]:
    return [row.track.track_id for row in found.found]


def ask(scope: Scope, section: str = "quick-picks", listener: str = ME, **how):
    return recommend(scope, listener, section, **{"now_s": NOW_S, "k": 10, **how})


def group_of(groups, track_id: str) -> int:
    return next(number for number, own in enumerate(groups) if track_id in own)


def of_each_group(groups, found) -> Counter[int]:
    return Counter(group_of(groups, track_id) for track_id in ids_of(found))


# --- what cannot be meant -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"section_id": "nonsense"}, "no section 'nonsense'"),
        ({"k": 0}, "0 recommendations were asked for, expected 1 or more"),
        ({"k": -3}, "-3 recommendations"),
        ({"surprise": 1.5}, "surprise is 1.5, expected 0"),
        ({"surprise": float("nan")}, "surprise is nan"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(scope, groups, how, said):
    with pytest.raises(InputError, match=re.escape(said)):
        recommend(scope, **how)


def test_of_hardly_any_recording_nothing_is_recommended(home, scope):
    for ask_for in (recommend, begin_with, shelf_of):
        with pytest.raises(DataMissingError, match="has heard 0 recordings of 'planted', and of 3 at least"):
            ask_for(scope)
    ids = plant_tracks(home, [a_track(number) for number in range(2)])
    plant_embeddings(home, NANO, {each: np.ones((NANO.n_layers, NANO.embedding_dim)) for each in ids})
    with pytest.raises(DataMissingError, match="has heard 2 recordings") as error:
        recommend(scope)
    assert "Library page" in error.value.hint


def test_recordings_that_are_all_the_same_are_recommended_all_the_same(home, scope):
    """No direction tells them apart, so every point is zero."""
    ids = plant_tracks(home, [a_track(number) for number in range(5)])
    plant_embeddings(home, NANO, {each: np.zeros((NANO.n_layers, NANO.embedding_dim)) for each in ids})
    plant_events(home, *liked(ids[:3]))
    for section in SECTIONS:
        assert set(ids_of(ask(scope, section))) <= set(ids)
    assert np.isfinite(profile_for(scope, ME, NOW_S).taste.scores).all()


# --- each section -------------------------------------------------------------------------------------------


def test_quick_picks_are_of_the_groups_that_are_liked(home, scope, groups):
    plant_events(home, *liked(groups[0][:5], 40), *liked(groups[2][:5], 40))
    found = ask(scope, surprise=0.0)
    tried = {row.rank for row in found.found if row.chosen.source == "tried"}
    of_taste = [row for row in found.found if row.rank not in tried]
    assert {group_of(groups, row.track.track_id) for row in of_taste} == {0, 2} and len(tried) == 1
    assert [row.rank for row in found.found] == list(range(1, len(found.found) + 1))
    assert found.profile.n_events == 10 and sum(each.share for each in found.interests) == pytest.approx(1.0)


def test_interests_are_the_planted_groups_and_are_named_by_what_they_share(home, scope, groups):
    plant_events(home, *liked(groups[1][:6]), *liked(groups[3][:6], 90))
    found = ask(scope)
    assert {frozenset(each.track_ids) for each in found.interests} == {
        frozenset(groups[1][:6]),
        frozenset(groups[3][:6]),
    }
    assert [INSTRUMENTS[1] in found.interests[0].name, INSTRUMENTS[3] in found.interests[1].name] == [True, True]
    assert "composer 1" in found.interests[0].name and found.interests[0].share > found.interests[1].share
    assert all(each.medoid.track_id in each.track_ids for each in found.interests)


def test_because_is_like_the_one_that_is_liked_most(home, scope, groups):
    plant_events(home, *liked(groups[3][:1], 1), *liked(groups[0][:4], 120))
    found = ask(scope, "because", k=5)
    title = home.catalogue.track(groups[3][0]).title
    assert found.title == f"Because you like {title}"
    assert set(of_each_group(groups, found)) == {3} and groups[3][0] not in ids_of(found)
    assert all(row.why.track_id == groups[3][0] and title in row.why.text for row in found.found)


def test_the_weekly_list_stays_whatever_is_heard_and_goes_by_what_was_heard_until_monday(home, scope, groups):
    monday_s = week_began_s(NOW_S)
    plant_events(home, *liked(groups[0][:6], 3), now_s=monday_s)
    before = ask(scope, "weekly", now_s=monday_s + DAY_S)
    plant_events(home, *liked(groups[2], 0.5), now_s=monday_s + 2 * DAY_S)
    after = ask(scope, "weekly", now_s=monday_s + 5 * DAY_S)
    assert ids_of(after) == ids_of(before) and ids_of(before)
    plant_events(home, *disliked(ids_of(before)[:1], 0.1), now_s=monday_s + 5 * DAY_S)
    without = ask(scope, "weekly", now_s=monday_s + 5 * DAY_S)
    assert ids_of(without)[: len(ids_of(before)) - 1] == ids_of(before)[1:]
    assert ids_of(ask(scope, "weekly", now_s=monday_s + 8 * DAY_S)) != ids_of(before)


@pytest.mark.parametrize("section", ["weekly", "because", "opposite"])
def test_whose_row_it_is_is_told_by_the_interests_that_are_shown(home, scope, groups, section):
    """Since Monday another interest may have become the largest, or the only one."""
    monday_s = week_began_s(NOW_S)
    heard = [*groups[1][:4], *groups[2][:4], *groups[3][:4]]
    plant_events(home, *((track_id, "play", 2.0, 1.0) for track_id in heard), now_s=monday_s)
    plant_events(home, *disliked(heard[4:], 0.2), now_s=monday_s + DAY_S)
    found = ask(scope, section, now_s=monday_s + DAY_S)
    assert found.found
    for row in found.found:
        if section == "opposite":
            assert row.chosen.interest == -1  # nothing of it fits an interest
        else:
            best = found.profile.taste.best[found.profile.shelf.rows[row.track.track_id]]
            assert row.chosen.interest == best and 0 <= best < len(found.interests)


def test_a_reason_of_the_week_names_an_interest_that_is_still_there(home, scope):
    """Without names two recordings share nothing that could be said, so the interest is named."""
    groups = plant_groups(home, grouped_tracks(has_names=False))
    monday_s = week_began_s(NOW_S)
    plant_events(home, *((each, "play", 9.0, 1.0) for own in groups for each in own[:5]), now_s=monday_s)
    plant_events(home, *(each for own in groups[1:] for each in disliked(own[:5], 0.2)), now_s=monday_s + DAY_S)
    found = ask(scope, "weekly", now_s=monday_s + DAY_S)
    assert len(found.interests) < len(profile_for(scope, ME, monday_s).taste.interests) and found.found
    assert all(-1 <= row.chosen.interest < len(found.interests) for row in found.found)
    heard_by_monday = {each for own in groups for each in own[:5]}
    assert {row.why.track_id for row in found.found} <= {None, *heard_by_monday}


def test_a_week_before_which_nothing_was_heard_has_no_rotation(home, scope, groups):
    plant_events(home, *liked(groups[0][:5], 0.01))
    assert ids_of(ask(scope, "weekly", now_s=week_began_s(NOW_S) + DAY_S / 24)) == []


def test_new_is_what_came_lately(home, scope, groups):
    with home.database.transaction() as connection:
        connection.execute("UPDATE tracks SET added_at = ?", (NOW_S - 300 * DAY_S,))
        for track_id in groups[1][:4]:
            connection.execute("UPDATE tracks SET added_at = ? WHERE track_id = ?", (NOW_S - DAY_S, track_id))
    plant_events(home, *liked(groups[1][6:9]), *liked(groups[0][:3]), (groups[1][0], "play", 0.5, 1.0))
    assert set(ids_of(ask(scope, "new"))) <= set(groups[1][1:4]) and ids_of(ask(scope, "new"))


def test_what_three_others_have_begun_to_play_rises_and_who_they_are_is_not_said(home, scope, groups):
    plant_events(home, *liked(groups[0][:4], 20))
    for name in ("Ann", "Ben", "Cem"):
        plant_events(home, (groups[3][0], "play", 2.0, 1.0), (groups[0][0], "play", 2.0, 1.0), listener=name)
    found = ask(scope, "rising")
    assert ids_of(found) == [groups[3][0]]  # the other one was heard
    assert not any(name in row.why.text for row in found.found for name in ("Ann", "Ben", "Cem"))
    home.opinions.forget("Cem")
    assert ids_of(ask(scope, "rising")) == []


def test_rediscovered_is_what_was_liked_long_ago(home, scope, groups):
    old, new = groups[0][:4], groups[0][4:8]
    plant_events(home, *liked(old, FORGOTTEN_DAYS + 5), *liked(new, FORGOTTEN_DAYS - 5))
    found = ids_of(ask(scope, "rediscover"))
    assert found and set(found) <= set(old)


def test_deep_cuts_and_same_hands_are_unheard_and_by_those_who_are_liked(home, scope, groups):
    plant_events(home, *liked([groups[0][0], groups[0][3]]))  # both by player 0-0
    deep = ask(scope, "deep-cuts")
    assert ids_of(deep) and not set(ids_of(deep)) & {groups[0][0], groups[0][3]}
    assert all(row.track.performer == "player 0-0" or row.track.composer == "composer 0" for row in deep.found)
    same = ask(scope, "same-hands")
    assert ids_of(same) and all(row.track.performer == "player 0-0" for row in same.found)
    assert not {row.track.work for row in same.found} & {"work 0-0", "work 0-1"}


def test_the_opposite_is_of_no_group_that_is_liked(home, scope, groups):
    plant_events(home, *liked(groups[0][:4]), *liked(groups[1][:4]))
    found = ask(scope, "opposite", k=6)
    assert found.found and not {0, 1} & set(of_each_group(groups, found))
    assert {row.why.kind for row in found.found} == {"opposite"}


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_disliked_never_comes(home, scope, groups, section):
    plant_events(home, *liked(groups[0][:6], 70), *disliked(groups[0][6:9], 70), *disliked(groups[3]))
    refused = {*groups[0][6:9], *groups[3]}
    assert not refused & set(ids_of(ask(scope, section, k=48)))
    everything = [track_id for own in groups for track_id in own]
    plant_events(home, *disliked(everything, 0.1))
    assert ids_of(ask(scope, section)) == [] and next_of_radio(scope, ME, [], now_s=NOW_S) is None


# --- a list that is looked at -------------------------------------------------------------------------------


def test_what_stays_stands_where_it_stood_and_nothing_comes_twice(home, scope, groups):
    plant_events(home, *liked(groups[0][:6], 70), *liked(groups[1][:6], 70))
    before = ids_of(ask(scope))
    stays = {2: Stay(before[1], "tried", 0.25), 5: Stay(before[4], "interest", 1.0)}
    plant_events(home, *liked([before[1]], 0.01), *disliked([before[0]], 0.01))
    found = ask(scope, stays=stays)
    after = ids_of(found)
    assert (after[1], after[4]) == (before[1], before[4]) and before[0] not in after
    assert len(set(after)) == len(after) == 10
    assert (found.found[1].chosen.source, found.found[1].chosen.propensity) == ("tried", 0.25)


def test_what_stays_and_is_disliked_meanwhile_or_gone_does_not_stay(home, scope, groups):
    plant_events(home, *liked(groups[0][:6], 70))
    before = ids_of(ask(scope))
    plant_events(home, *disliked([before[1]], 0.01))
    home.forget_tracks([before[2]])
    after = ids_of(
        ask(scope, stays={n: Stay(each, "interest", 1.0) for n, each in enumerate([*before[1:3], "nonsense"], 2)})
    )
    assert not {before[1], before[2], "nonsense"} & set(after) and after


def test_a_knob_and_a_part_of_the_day_are_asked_for(home, scope, groups):
    """What was heard in the morning tells a morning; NOW_S is an afternoon in UTC."""
    offset_days = time.localtime(NOW_S).tm_gmtoff / DAY_S
    midnight = (NOW_S / DAY_S + offset_days) % 1.0  # days since local midnight
    morning, evening = 2 + midnight - 9 / 24, 2 + midnight - 20 / 24
    plant_events(home, *liked(groups[0][:8], morning), *liked(groups[1][:8], evening))
    shares = {}
    for part in ("morning", "evening"):
        found = ask(scope, context=part)
        shares[part] = sum(each.share for each in found.interests if each.medoid.track_id in groups[0])
    assert shares["morning"] > 0.6 and shares["evening"] < 0.4
    assert ids_of(ask(scope, surprise=0.0)) != ids_of(ask(scope, surprise=1.0))


# --- why, and why not ---------------------------------------------------------------------------------------


def test_a_reason_says_what_the_listener_did_with_the_track(home, scope, groups):
    """Liked, heard often, or heard once."""
    one, often, once = groups[0][0], groups[1][0], groups[2][0]
    plant_events(
        home, *liked([one], 20), *((often, "play", 20.0 + n, 1.0) for n in range(4)), (once, "play", 20.0, 1.0)
    )
    said = " ".join(row.why.text for row in ask(scope, k=48).found)
    titles = {track_id: home.catalogue.track(track_id).title for track_id in (one, often, once)}
    assert re.search(rf"Because you like {titles[one]}\b", said)
    assert re.search(rf"Because you often hear {titles[often]}\b", said)
    assert re.search(rf"Because you heard {titles[once]}\b", said)


def test_a_reason_names_what_two_recordings_share(home, scope, groups):
    plant_events(home, *liked(groups[0][:3], 20))
    found = [row for row in ask(scope).found if row.why.kind == "track" and row.track.track_id in groups[0]]
    assert found
    for row in found:
        carrier = home.catalogue.track(row.why.track_id)
        shared = {"the same work": "work", "the same instrument": "instrument", "the same player": "performer"}
        for aspect in row.why.aspects:
            assert getattr(carrier, shared[aspect]) == getattr(row.track, shared[aspect])
        assert row.why.aspects and all(aspect in row.why.text for aspect in row.why.aspects)
        assert row.why.carrier.drop > 0


def test_without_names_the_reason_is_how_near_and_an_interest_is_named_by_its_track(home, scope):
    groups = plant_groups(home, grouped_tracks(has_names=False))
    plant_events(home, *liked(groups[0][:4], 20))
    found = ask(scope)
    assert found.interests[0].name == f"music like {found.interests[0].medoid.title}"
    assert set(of_each_group(groups, ask(scope, "because", k=5))) == {0}
    assert ids_of(ask(scope, "deep-cuts")) == ids_of(ask(scope, "same-hands")) == []
    assert all(row.why.text for row in found.found)
    near = [row.why.text for row in found.found if row.why.kind == "track"]
    assert near and all("nearer to it than" in text or re.fullmatch(r"Because you like \S+\.", text) for text in near)


def test_what_is_no_reason_any_more_is_named_by_none(home, scope, groups):
    plant_events(home, *liked(groups[0][:3], 20))
    carrier = next(row.why.track_id for row in ask(scope).found if row.why.track_id)
    home.opinions.wish("ignore", carrier)
    assert all(row.why.track_id != carrier for row in ask(scope).found)
    home.opinions.unwish("ignore", carrier)
    assert any(row.why.track_id == carrier for row in ask(scope).found)


def test_less_of_something_turns_the_list_away_from_it(home, scope, groups):
    plant_events(home, *liked(groups[0][:6], 20), *liked(groups[1][:6], 20))
    before = ask(scope)
    home.opinions.wish("less", groups[1][0])
    after = ask(scope)
    share = [sum(each.share for each in found.interests if groups[1][0] in each.track_ids) for found in (before, after)]
    assert share[1] < share[0] / 2
    first = [sum(row.track.track_id in groups[1] for row in found.found[:5]) for found in (before, after)]
    assert first[1] < first[0]


def test_why_not_in_each_of_its_sentences(home, scope, groups):
    def said(track_id: str) -> str:
        found, text = why_not_of(scope, ME, track_id, NOW_S)
        assert 0 <= found.place <= 100 and text.endswith(".")
        return text

    assert said(groups[0][0]) == "Nothing is known of your taste yet."
    shelf = shelf_of(scope)
    rows = [shelf.rows[track_id] for track_id in groups[3]]
    cosines = shelf.points[rows] @ shelf.points[rows].T - 2 * np.eye(IN_EACH)
    one, near = (groups[3][place] for place in np.unravel_index(cosines.argmax(), cosines.shape))  # the nearest two
    plant_events(home, *liked(groups[0][:3], 40), *liked(groups[0][3:4], 3), *disliked([one], 40))
    assert "It is disliked." in said(one)
    assert f"near to {home.catalogue.track(one).title}, which is disliked" in said(near)
    assert "within the last two weeks" in said(groups[0][3])
    assert re.fullmatch(
        r"It fits what you like better than [\d.]+.%? of this library, best your taste for .*\.", said(groups[0][6])
    )
    assert why_not_of(scope, ME, groups[0][6], NOW_S)[0].place > why_not_of(scope, ME, groups[1][6], NOW_S)[0].place


@pytest.mark.parametrize("named", ["", "nonsense", "**x**"])
def test_why_not_of_what_is_not_here_is_a_sentence(scope, groups, named):
    with pytest.raises(InputError, match="is no recording of this library"):
        why_not_of(scope, ME, named)


@pytest.mark.slow
def test_with_a_discovery_a_reason_names_aspects(home):
    """Brightness and tempo are planted, and nothing else tells two recordings apart."""
    ids = plant_heard_library(home, MEL)
    scope = Scope(home, "planted", MEL)
    first = ids[0]
    plant_events(home, *liked([first], 40))
    without = recommend(scope, now_s=NOW_S, index_of=build_index)
    assert not any({"brightness", "tempo"} & set(row.why.aspects) for row in without.found)
    discover(home, MEL)
    found = recommend(scope, now_s=NOW_S, index_of=build_index)
    named = [row for row in found.found if {"brightness", "tempo"} & set(row.why.aspects)]
    assert named
    for row in named:
        for aspect, planted in (("brightness", told(ids)), ("tempo", pace(ids))):
            if aspect in row.why.aspects:  # then the two are nearer in it than most pairs are
                apart = abs(planted[ids.index(row.track.track_id)] - planted[0])
                pairs = np.abs(planted[:, None] - planted)[np.triu_indices(len(ids), 1)]
                assert apart < np.median(pairs)


# --- listeners ----------------------------------------------------------------------------------------------


def test_what_one_does_changes_nothing_for_another(home, scope, groups):
    plant_events(home, *liked(groups[0][:4]), listener="Ann")
    ann = ids_of(ask(scope, listener="Ann"))
    plant_events(home, *liked(groups[1][:4]), *disliked(groups[0]), listener="Bob")
    home.opinions.wish("ignore", groups[0][0], "Bob")
    assert ids_of(ask(scope, listener="Ann")) == ann
    assert not set(groups[0]) & set(ids_of(ask(scope, listener="Bob")))
    assert {past.title for past in latest_events(scope, "Ann")} == {
        home.catalogue.track(each).title for each in groups[0][:4]
    }
    assert latest_events(scope, "nobody") == [] and ask(scope, listener="nobody").profile.n_events == 0


def test_a_like_is_known_to_the_next_list_and_forgetting_takes_it_back(home, scope, groups):
    plant_events(home, *liked(groups[0][:4], 20))
    profile = profile_for(scope, ME, NOW_S)
    assert profile_for(scope, ME, NOW_S) is profile  # remembered
    before = ids_of(ask(scope))
    home.opinions.judge(groups[2][0], "like")
    now_s = to_the_hour(time.time())
    assert profile_for(scope, ME, now_s).taste.n_liked == 5
    home.opinions.forget(ME, NOW_S + 1)
    assert profile_for(scope, ME, now_s).taste.n_liked == 4 and ids_of(ask(scope)) == before
    home.opinions.forget(ME)
    assert profile_for(scope, ME, now_s).taste.n_liked == 0 and ask(scope).interests == ()


def test_a_track_that_is_added_or_removed_is_known_to_the_next_list(home, scope, groups):
    plant_events(home, *liked(groups[0][:3], 20))
    assert len(shelf_of(scope)) == PLANTED * IN_EACH
    home.forget_tracks([groups[0][0]])  # it carried a reason
    found = ask(scope)
    assert len(shelf_of(scope)) == PLANTED * IN_EACH - 1 and found.profile.taste.n_liked == 2
    assert all(row.why.track_id != groups[0][0] for row in found.found)
    assert groups[0][0] in [past.title for past in latest_events(scope, ME)]  # its id, for its name is gone


@pytest.mark.parametrize("name", PEOPLE)
def test_who_is_simulated_finds_nothing_where_nothing_is_theirs(home, scope, groups, name):
    assert ask(scope, listener=name).profile.n_events == 0 and home.opinions.listeners() == []


# --- odd histories ------------------------------------------------------------------------------------------


def test_what_a_wrong_clock_put_into_the_future_does_not_count(home, scope, groups):
    plant_events(home, *liked(groups[0][:3], 20))
    before = ids_of(ask(scope))
    plant_events(home, *liked(groups[2], -40), *disliked(groups[0][6:8], -40), (groups[1][0], "play", -3e6, 1.0))
    found = ask(scope)
    assert ids_of(found) == before and found.profile.n_events == 3
    assert latest_events(scope, ME, 3)[0].at_s > NOW_S  # it is there to look at


def test_a_track_that_ran_all_night_does_not_drown_the_others(home, scope, groups):
    """A thousand plays of one recording, and eight likes of other music."""
    looped = groups[3][0]
    plant_events(home, *liked(groups[0][:8], 20), *((looped, "play", 1 + n / 1000, 1.0) for n in range(1000)))
    found = ask(scope, surprise=0.0)
    share = sum(each.share for each in found.interests if looped in each.track_ids)
    assert share < 0.5 and looped not in ids_of(found)
    assert of_each_group(groups, found)[0] >= 2
    assert len(latest_events(scope, ME, 100)) == 100


def test_a_listener_of_one_artist_is_recommended_what_is_like_it(home, scope, groups):
    of_one = [track_id for track_id in groups[2] if home.catalogue.track(track_id).performer == "player 2-1"]
    plant_events(home, *((track_id, "play", 30.0, 1.0) for track_id in of_one))
    found = ask(scope, k=4, surprise=0.0)  # of four rows none is a try
    assert of_each_group(groups, found)[2] >= 3
    assert max(Counter(row.track.performer for row in found.found).values()) <= 2


def test_what_is_not_here_changes_nothing(home, scope, groups):
    """Of twenty events nineteen are of tracks that are in no catalogue."""
    plant_events(home, *liked(groups[0][:5], 20))
    before = ids_of(ask(scope))
    plant_events(home, *((f"gone {n}", "play", 21 + n / 10, 1.0) for n in range(95)))
    found = ask(scope)
    assert ids_of(found) == before and found.profile.taste.n_liked == 5 and found.profile.n_events == 100


def test_latest_events_are_the_latest_first_with_what_was_heard_of_them(home, scope, groups):
    first, second = groups[0][:2]
    plant_events(home, (first, "play", 3.0, 0.25), (second, "skip", 2.0, None), (first, "dislike", 1.0, None))
    past = latest_events(scope, ME)
    assert [(each.action, each.share) for each in past] == [("dislike", None), ("skip", None), ("play", 0.25)]
    assert [each.at_s for each in past] == sorted((each.at_s for each in past), reverse=True)
    assert len(latest_events(scope, ME, 2)) == 2 and latest_events(scope, ME, 2) == past[:2]


# --- to begin with ------------------------------------------------------------------------------------------


def test_to_begin_with_every_planted_group_is_among_them(home, scope, groups):
    found = [track.track_id for track in begin_with(scope)]
    assert len(set(found)) == len(found) == N_STARTERS
    assert {group_of(groups, track_id) for track_id in found} == set(range(PLANTED))
    assert [track.track_id for track in begin_with(scope)] == found
    assert {group_of(groups, track.track_id) for track in begin_with(scope, PLANTED)} == set(range(PLANTED))


def test_of_few_recordings_all_are_to_begin_with(home, scope):
    tracks = [replace(a_track(number), duration_s=9.0) for number in range(5)]
    ids = plant_tracks(home, tracks)
    rng = np.random.default_rng(0)
    plant_embeddings(home, NANO, {each: rng.standard_normal((NANO.n_layers, NANO.embedding_dim)) for each in ids})
    assert sorted(track.track_id for track in begin_with(scope)) == ids


# --- radio --------------------------------------------------------------------------------------------------


def test_a_radio_plays_nothing_again_before_half_of_the_library_was_played(home, scope, groups):
    plant_events(home, *liked(groups[0][:4], 40), *disliked(groups[3], 40))
    played: list[str] = []
    for number in range(40):
        one = next_of_radio(scope, ME, played, seed=number, now_s=NOW_S)
        assert one.track.track_id not in played[-(PLANTED * IN_EACH // 2) :] and 0 < one.chosen.propensity <= 1
        assert one.track.track_id not in groups[3] and one.why.text
        played.append(one.track.track_id)


def test_where_one_recording_alone_is_not_disliked_the_radio_plays_it_again(home, scope, groups):
    everything = [track_id for own in groups for track_id in own]
    plant_events(home, *disliked(everything[1:]))
    for played in ([], everything[:1], everything[:1] * 3):
        assert next_of_radio(scope, ME, played, now_s=NOW_S).track.track_id == everything[0]
