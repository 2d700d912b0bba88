"""Questions: what each twenty hold, that they follow from the seed, and that what is asked tells something."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.sittings import Asked, Choice, Clip
from mess_core.errors import DataMissingError
from mess_core.learning import questions as module
from mess_core.learning.questions import (
    FEWEST_RECORDINGS,
    FIRST_ROUND_CALM,
    REPEAT_APART,
    NextQuestion,
    answered_rows,
    choose_question,
    purposes,
    weighing_of,
)
from mess_core.learning.ways import Ways, build_ways

N, LISTENERS = 24, range(20)  # recordings; seeds


def world(n: int = N, seed: int = 0) -> Ways:
    rng = np.random.default_rng(seed)
    named = {"one": [("a", rng.standard_normal((n, 3))), ("b", rng.standard_normal((n, 3)))],
             "two": [("c", rng.standard_normal((n, 3)))]}  # fmt: skip
    return build_ways([f"t{row:02d}" for row in range(n)], named)


WAYS = world()
ALONE = [f"w{row}" for row in range(N)]  # each its own work


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """Enough for libraries as small as these."""
    monkeypatch.setattr(module, "N_CANDIDATES", 200)


def asked(number: int, question: NextQuestion, answer: Choice | None = None, ways: Ways = WAYS) -> Asked:
    clips = (Clip(ways.track_ids[row], 0.0, 10.0) for row in question.rows)
    return Asked(f"q{number}", 1, number, *clips, question.purpose, question.repeats, answer, float(number))


def sit(n: int, seed: int, answer, ways: Ways = WAYS, works=ALONE, *, is_of_playing: bool = False) -> list[Asked]:
    """A whole sitting; `answer` gives what is answered to (rows, purpose)."""
    found: list[Asked] = []
    for number in range(n):
        question = choose_question(ways, works, found, number, seed, is_of_playing=is_of_playing)
        found.append(asked(number, question, answer(question), ways))
    return found


def of_kind(
    purpose: str, n_sittings: int, works=ALONE, ways: Ways = WAYS, *, is_of_playing: bool = False
) -> list[NextQuestion]:
    """All questions of a kind in the first forty of several sittings in which nothing was answered."""
    return [
        choose_question(ways, works, [], number, seed, is_of_playing=is_of_playing)
        for seed in range(n_sittings)
        for number, each in enumerate(purposes(40, seed))
        if each == purpose
    ]


def by_way(way: int, ways: Ways = WAYS):
    """Somebody who hears in one way alone, and tells every catch."""

    def answer(question: NextQuestion) -> Choice:
        anchor, first, _ = question.rows
        if question.purpose == "catch":
            return "first" if first == anchor else "second"
        return "first" if ways.differences(np.array([question.rows]))[0, way] > 0 else "second"

    return answer


def said(choice: Choice):
    return lambda question: choice


# --- why each is asked --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", LISTENERS)
def test_every_twenty_hold_the_same_of_each_kind(seed):
    found = purposes(300, seed)
    for start in range(0, 300, 20):
        assert Counter(found[start : start + 20]) == {"catch": 3, "repeat": 2, "active": 7, "random": 8}


@pytest.mark.parametrize("seed", LISTENERS)
def test_it_begins_calmly(seed):
    """The first question is a real one, and nothing is repeated before there is something to repeat."""
    found = purposes(60, seed)
    assert found[0] in ("random", "active") and "repeat" not in found[:FIRST_ROUND_CALM]


def test_the_order_is_one_of_chance_that_does_not_depend_on_how_many_are_wanted():
    """Who extends a sitting is asked as if it had been that long; two listeners of one seed alike, of others not."""
    orders = [tuple(purposes(60, seed)) for seed in LISTENERS]
    assert len(set(orders)) == len(orders)
    assert all(order[:20] != order[20:40] for order in orders)
    for seed in LISTENERS:
        assert [tuple(purposes(n, seed)) for n in (1, 25, 60)] == [orders[seed][:n] for n in (1, 25, 60)]


def test_a_catch_or_a_repeat_cannot_be_foretold_by_its_place():
    """Over many sittings each comes at every place of the later rounds."""
    found = [purposes(40, seed)[20:] for seed in range(400)]
    for kind, expected in (("catch", 60), ("repeat", 40)):
        often = [sum(order[place] == kind for order in found) for place in range(20)]
        assert min(often) > expected / 2 and max(often) < expected * 2


# --- which recordings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_a_sitting_follows_from_its_seed_and_its_answers(seed):
    """A question that was not kept is chosen again; and no two clips are one recording but in a catch."""
    one, other = (sit(60, seed, by_way(0)) for _ in range(2))
    assert one == other
    for each in one:
        assert len({clip.track_id for clip in each.clips}) == (2 if each.purpose == "catch" else 3)
        assert each.purpose != "catch" or each.anchor in (each.first, each.second)
    assert [each.purpose for each in one] == purposes(60, seed)
    sides = [each.first == each.anchor for each in one if each.purpose == "catch"]
    assert len(sides) == 9


def test_a_catch_has_its_answer_on_either_side():
    sides = [question.rows[1] == question.rows[0] for question in of_kind("catch", 40)]
    assert len(sides) == 240 and np.mean(sides) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("seed", range(2))
def test_repeats_turn_an_earlier_question_round_once(seed):
    found = sit(100, seed, by_way(1))
    repeats = [each for each in found if each.purpose == "repeat"]
    assert len(repeats) == 10 and len({each.repeats for each in repeats}) == 10
    for each in repeats:
        before = found[each.repeats]
        assert each.clips == (before.anchor, before.second, before.first)
        assert before.purpose in ("random", "active") and each.number - before.number >= REPEAT_APART


def test_only_what_was_told_is_repeated():
    """Where nothing could be told, a question by chance is asked in its place; and it is measured as one."""
    found = sit(40, 0, said("neither"))
    assert all(each.purpose != "repeat" and each.repeats is None for each in found)
    assert Counter(each.purpose for each in found) == {"catch": 6, "active": 14, "random": 20}
    told = {3, 4}
    some = [replace(each, answer="first" if each.number in told else "neither") for each in found]
    place = max(number for number, purpose in enumerate(purposes(40, 0)) if purpose == "repeat")
    repeat = choose_question(WAYS, ALONE, some[:place], place, 0)
    assert {found[number].purpose for number in told} <= {"random", "active"}
    assert repeat.purpose == "repeat" and repeat.repeats in told


def test_what_is_gone_is_not_repeated():
    """Of questions whose recordings were removed meanwhile nothing can be heard again."""
    left = WAYS.track_ids[4:]
    fewer = build_ways(left, {"one": [("a", WAYS.points[0][4:])]})
    kinds, n_gone = [], 0
    for seed in range(6):
        before = sit(20, seed, by_way(0))
        place = next(number for number, purpose in enumerate(purposes(80, seed)) if purpose == "repeat" and number > 20)
        found = choose_question(fewer, ALONE[4:], before, place, seed)
        kinds.append(found.purpose)
        if found.repeats is not None:
            clips = before[found.repeats].clips
            assert [left[row] for row in found.rows] == [clips[place].track_id for place in (0, 2, 1)]
        n_gone += sum(not {clip.track_id for clip in each.clips} <= set(left) for each in before)
    assert kinds.count("repeat") > 3 and n_gone > 20


def test_questions_by_chance_are_the_same_for_all_who_judge():
    """Whatever they answer: only so can it be told how far they agree."""
    one, other = (sit(60, 5, by_way(way)) for way in (0, 2))
    same = [(a.clips, b.clips) for a, b in zip(one, other, strict=True) if a.purpose in ("random", "catch")]
    assert len(same) == 33 and all(a == b for a, b in same)
    assert [a.clips for a in one if a.purpose == "active"] != [b.clips for b in other if b.purpose == "active"]


def test_chance_takes_every_recording_alike():
    seeds = [seed for seed in range(900) if purposes(1, seed) == ["random"]]
    places = np.array([choose_question(WAYS, ALONE, [], 0, seed).rows for seed in seeds])
    for place in places.T:
        often = np.bincount(place, minlength=N)
        assert len(places) > 300 and often.min() > 0 and often.max() < 3 * len(places) / N


def test_active_questions_tell_more_than_those_of_chance():
    """By what is known so far, each of them tells more than nearly all that chance would have asked."""
    found = sit(60, 1, by_way(0))
    better = []
    rng = np.random.default_rng(0)
    by_chance = np.array([rng.permutation(N)[:3] for _ in range(500)])
    for each in found[20:]:
        if each.purpose != "active":
            continue
        known = weighing_of(WAYS, found[: each.number])
        rows = np.array([[WAYS.track_ids.index(clip.track_id) for clip in each.clips]])
        told = known.information(WAYS.differences(rows), seed=99)[0]
        better.append((known.information(WAYS.differences(by_chance), seed=99) < told).mean())
    assert len(better) == 14 and np.median(better) > 0.95


def test_active_questions_are_new_while_there_are_new_ones():
    found = [each for each in sit(100, 2, by_way(0)) if each.purpose != "repeat"]
    for each in found:
        if each.purpose == "active":
            mine = {clip.track_id for clip in each.clips}
            assert all({clip.track_id for clip in other.clips} != mine for other in found[: found.index(each)])


# --- of playing ---------------------------------------------------------------------------------------------


def test_of_playing_two_questions_of_three_are_within_a_work():
    """Also of those that tell most: two works differ more than two hands do, and would always be chosen."""
    works = [f"w{row % 6}" for row in range(N)]  # four recordings of each
    for is_of_playing, expected in ((True, 2 / 3 + 1 / 3 * 3 / 23 * 2 / 22), (False, 3 / 23 * 2 / 22)):
        found = of_kind("random", 40, works, is_of_playing=is_of_playing)
        within = [len({works[row] for row in question.rows}) == 1 for question in found]
        assert len(within) == 640 and np.mean(within) == pytest.approx(expected, abs=0.06)
    usual = [choose_question(WAYS, works, [], 0, seed) for seed in range(40)]
    assert usual == [choose_question(WAYS, works, [], 0, seed, is_of_playing=False) for seed in range(40)]
    threes = [f"w{row % 8}" for row in range(N)]  # as few as can be asked about
    found = of_kind("random", 10, threes, is_of_playing=True)
    assert np.mean([len({threes[row] for row in question.rows}) == 1 for question in found]) > 0.5
    far = world()
    for at in far.points:
        at += 10 * np.random.default_rng(1).standard_normal((6, 3))[np.arange(N) % 6]
    found = of_kind("active", 5, works, far, is_of_playing=True)
    within = [len({works[row] for row in question.rows}) == 1 for question in found]
    assert len(within) == 70 and np.mean(within) == pytest.approx(2 / 3, abs=0.15)


@pytest.mark.parametrize("works", [["one"] * N, ALONE], ids=["one work", "a work each"])
def test_of_playing_any_library_can_be_asked_about(works):
    """Of one work alone, and where nobody plays what another plays."""
    found = sit(40, 3, by_way(0), works=works, is_of_playing=True)
    assert [each.purpose for each in found] == purposes(40, 3)


# --- small libraries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(FEWEST_RECORDINGS))
def test_too_few_recordings_are_refused(n):
    with pytest.raises(DataMissingError, match=f"^{n} recordings .* {FEWEST_RECORDINGS} are needed"):
        choose_question(world(n), ALONE[:n], [], 0, 0)


def test_the_smallest_library_can_be_asked_about_for_long():
    """Four recordings have twelve questions: then what was asked is asked again."""
    ways = world(FEWEST_RECORDINGS)
    found = sit(60, 0, by_way(0, ways), ways, ALONE[:FEWEST_RECORDINGS])
    assert [each.purpose for each in found] == purposes(60, 0)


def test_recordings_that_are_all_the_same_can_be_asked_about():
    """No way differs; what is asked is then by chance."""
    ways = build_ways([f"t{row}" for row in range(6)], {"one": [("a", np.ones((6, 2)))]})
    found = sit(20, 0, said("first"), ways, ALONE[:6])
    assert [each.purpose for each in found] == purposes(20, 0)


# --- what was answered --------------------------------------------------------------------------------------


def test_what_is_learned_leaves_out_catches_and_what_could_not_be_told():
    found = sit(60, 7, by_way(0))
    unsure = [replace(each, answer="neither") if each.number % 5 == 0 else each for each in found]
    rows, is_first = answered_rows(WAYS, unsure)
    kept = [each for each in unsure if each.answer != "neither" and each.purpose != "catch"]
    assert [[WAYS.track_ids[row] for row in triplet] for triplet in rows] == [
        [clip.track_id for clip in each.clips] for each in kept
    ]
    assert is_first.tolist() == [each.answer == "first" for each in kept]
    assert weighing_of(WAYS, unsure).n_answers == len(kept)
    only, _ = answered_rows(WAYS, unsure, ("random",))
    assert len(only) == sum(each.purpose == "random" for each in kept)
    assert answered_rows(WAYS, [])[0].shape == (0, 3)


def test_a_listener_of_one_way_is_known_by_it():
    for way in range(3):
        weights = weighing_of(WAYS, sit(60, 4, by_way(way))).weights
        assert weights.argmax() == way and weights[way] > 3 * np.delete(weights, way).max()
