"""Judging: a whole sitting by simulated listeners, on a library whose music is planted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue import sittings as clock
from mess_core.catalogue.sittings import Asked, Choice, Sitting
from mess_core.encoders.mel import MEL
from mess_core.errors import DataMissingError, InputError, UnknownTrackError
from mess_core.handover.judgements import all_judgements
from mess_core.learning import questions as choosing
from mess_core.learning.agreement import progress_of
from mess_core.learning.judging import (
    PLAYED,
    QUESTIONS,
    SECONDS_PER_QUESTION,
    SittingState,
    agreement_on,
    begin_sitting,
    go_on,
    inattentive,
    judged_in,
)
from mess_core.learning.questions import REPEAT_APART, purposes
from mess_core.learning.ways import Ways, ways_of
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import plant_embeddings, plant_library

N = 12
ASKS = QUESTIONS["alike"]


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """Enough for libraries as small as these."""
    monkeypatch.setattr(choosing, "N_CANDIDATES", 200)


@pytest.fixture
def scope(home) -> Scope:
    """Twelve recordings of six works, seen by the mel control."""
    plant_library(home, MEL, n=N)
    return Scope(home, "planted", MEL)


@pytest.fixture
def ways(scope) -> Ways:
    return ways_of(scope)


def hears(ways: Ways, model: str = MEL.title):
    """Who goes by one model, and tells every catch."""

    def answer(asked: Asked) -> Choice:
        if asked.purpose == "catch":
            return "first" if asked.first == asked.anchor else "second"
        rows = np.array([[ways.track_ids.index(clip.track_id) for clip in asked.clips]])
        return "first" if ways.told(model, ways.differences(rows))[0] > 0 else "second"

    return answer


def judge(scope: Scope, ways: Ways, sitting: Sitting, answer, n: int = 300) -> SittingState:
    """Answer what is asked, at most `n` questions."""
    for _ in range(n):
        now = go_on(scope, ways, sitting)
        if now.open is None:
            break
        scope.workspace.sittings.answer(now.open.asked_id, answer(now.open))
    return go_on(scope, ways, sitting)


def questions(scope: Scope, sitting: Sitting) -> list[Asked]:
    return scope.workspace.sittings.questions(sitting.sitting_id)


# --- a sitting ----------------------------------------------------------------------------------------------


def test_a_whole_sitting(scope, ways):
    """Sixty questions of the kinds and in the order that its seed gives; then none is asked, and it has ended."""
    sitting = begin_sitting(scope, "ann", ASKS, 60)
    now = judge(scope, ways, sitting, hears(ways))
    assert now.open is None and len(now.answered) == 60 and now.n_left == 0 and now.seconds_left == 0
    assert [each.number for each in now.answered] == list(range(60))
    assert Counter(each.purpose for each in now.answered) == {"catch": 9, "repeat": 6, "active": 21, "random": 24}
    assert [each.purpose for each in now.answered] == purposes(60, sitting.seed)
    assert scope.workspace.sittings.find(sitting.sitting_id).ended_at is not None
    for each in now.answered:
        if each.purpose == "repeat":
            before = now.answered[each.repeats]
            assert each.clips == (before.anchor, before.second, before.first)
            assert each.number - before.number >= REPEAT_APART
        if each.purpose == "catch":
            assert each.anchor in (each.first, each.second) and each.is_right
    found = progress_of(ways, now.answered)
    assert found.accuracies[MEL.title].value == 1 and found.listening.consistency.value == 1
    assert len(scope.workspace.sittings.comparisons()) == 51 == len(all_judgements(scope.workspace))


def test_a_sitting_goes_on_in_another_process(scope, ways):
    """With the open question, and as if it had never stopped."""
    sitting = begin_sitting(scope, "ann", ASKS, 30)
    half = judge(scope, ways, sitting, hears(ways), 13)
    other = replace(scope, workspace=Workspace(scope.workspace.paths.root))
    their_ways = ways_of(other)
    again = begin_sitting(other, "ann", ASKS, 30)
    assert again == sitting and go_on(other, their_ways, again).open == half.open is not None
    rest = judge(other, their_ways, again, hears(their_ways))
    in_one_go = judge(scope, ways, begin_sitting(scope, "bob", ASKS, 30), hears(ways))
    assert [each.clips for each in rest.answered] == [each.clips for each in in_one_go.answered]
    assert rest.answered[:13] == half.answered


def test_looking_twice_asks_once(scope, ways):
    """Another tab, or a reload."""
    sitting = begin_sitting(scope, "ann", ASKS, 10)
    assert go_on(scope, ways, sitting) == go_on(scope, ways, sitting)
    assert len(questions(scope, sitting)) == 1


def test_what_was_removed_meanwhile_is_asked_no_more(scope, ways):
    """The open question gives way to another; what was answered stays, and is not repeated."""
    sitting = begin_sitting(scope, "ann", ASKS, 40)
    before = judge(scope, ways, sitting, hears(ways), 12)
    gone = before.open.anchor.track_id
    with scope.workspace.database.transaction() as connection:
        connection.execute("DELETE FROM tracks WHERE track_id = ?", (gone,))
    fewer = ways_of(scope)
    assert gone not in fewer.track_ids and len(fewer.track_ids) == N - 1
    now = go_on(scope, fewer, sitting)
    assert now.answered == before.answered and now.open.number == before.open.number
    assert now.open.asked_id != before.open.asked_id
    assert scope.workspace.sittings.find_question(before.open.asked_id) is None
    end = judge(scope, fewer, sitting, hears(fewer))
    assert len(end.answered) == 40
    assert all(gone not in {clip.track_id for clip in each.clips} for each in end.answered[12:])
    assert progress_of(fewer, end.answered).accuracies[MEL.title].value == 1


def test_what_is_removed_while_a_question_is_chosen_is_a_sentence(scope, ways):
    sitting = begin_sitting(scope, "ann", ASKS, 40)
    with scope.workspace.database.transaction() as connection:
        connection.execute("DELETE FROM tracks WHERE track_id = ?", (ways.track_ids[0],))
    with pytest.raises(UnknownTrackError, match="removed meanwhile"):
        go_on(scope, ways, sitting)


def test_a_sitting_that_was_deleted_cannot_go_on(scope, ways):
    sitting = begin_sitting(scope, "ann", ASKS, 10)
    scope.workspace.sittings.forget("ann")
    with pytest.raises(UnknownTrackError, match="deleted meanwhile"):
        go_on(scope, ways, sitting)


def test_of_three_recordings_nothing_is_asked(home):
    plant_library(home, MEL, n=4)
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM tracks WHERE track_id IN (SELECT track_id FROM tracks LIMIT 1)")
    scope = Scope(home, "planted", MEL)
    with pytest.raises(DataMissingError, match="3 recordings of this library are embedded, and 4 are needed"):
        go_on(scope, ways_of(scope), begin_sitting(scope, "ann", ASKS, 10))


def test_who_ends_early_and_goes_on_is_asked_what_comes_next(scope, ways):
    sitting = begin_sitting(scope, "ann", ASKS, 60)
    judge(scope, ways, sitting, hears(ways), 5)
    scope.workspace.sittings.end(sitting.sitting_id)
    assert go_on(scope, ways, sitting).open is None and len(questions(scope, sitting)) == 5
    scope.workspace.sittings.extend(sitting.sitting_id, 5 + 20 - 60)
    now = judge(scope, ways, sitting, hears(ways))
    assert len(now.answered) == 25 and now.sitting.n_wanted == 25
    assert [each.purpose for each in now.answered] == purposes(25, sitting.seed)


def test_what_has_ended_can_be_looked_at_where_nothing_may_be_written(scope, ways):
    sitting = begin_sitting(scope, "ann", ASKS, 10)
    ended = judge(scope, ways, sitting, hears(ways))
    scope.workspace.database.connection.execute("PRAGMA query_only = ON")
    again = go_on(scope, ways, sitting)
    assert again.open is None and again.answered == ended.answered and len(judged_in(scope.workspace, "planted")) == 1


def test_unsure_answers_end_a_sitting_too(scope, ways):
    now = judge(scope, ways, begin_sitting(scope, "ann", ASKS, 20), lambda asked: "neither")
    assert now.open is None and len(now.answered) == 20 and scope.workspace.sittings.comparisons() == []
    assert progress_of(ways, now.answered).listening.n_neither == 20


def test_who_is_asked_of_playing_hears_one_work(home):
    """Four recordings of each of three works: more questions are within one than of another question."""
    ids = plant_library(home, MEL, n=N)
    with home.database.transaction() as connection:
        for row, track_id in enumerate(ids):
            connection.execute(
                "UPDATE tracks SET work = ?, composer = 'c' WHERE track_id = ?", (f"w{row % 3}", track_id)
            )
    scope = Scope(home, "planted", MEL)
    ways = ways_of(scope)
    work_of = {track_id: row % 3 for row, track_id in enumerate(ids)}
    share = []
    for question in (PLAYED, ASKS):
        now = judge(scope, ways, begin_sitting(scope, "ann", question, 20), hears(ways))
        share.append(np.mean([len({work_of[clip.track_id] for clip in each.clips}) == 1 for each in now.answered
                              if each.purpose in ("random", "active")]))  # fmt: skip
    assert share[0] > 0.4 > 0.2 > share[1]


# --- beginning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "which is more like x?", "<script>"])
def test_only_known_questions_are_asked(scope, question):
    with pytest.raises(InputError, match="is not asked here"):
        begin_sitting(scope, "ann", question, 10)


def test_another_sitting_asks_something_else_and_another_listener_the_same(scope, ways):
    """However the name was typed."""
    first = {}
    for name in ("ann", "bob"):
        sitting = begin_sitting(scope, name, ASKS, 20)
        first[name] = [each.clips for each in judge(scope, ways, sitting, hears(ways)).answered]
    assert first["ann"] == first["bob"]
    seeds = [sitting.seed for sitting in scope.workspace.sittings.all()]
    for name in ("ann", "  ann ", "ann"):
        again = begin_sitting(scope, name, ASKS, 20)
        assert again.listener == "ann" and again.seed not in seeds
        scope.workspace.sittings.end(again.sitting_id)  # before anything was answered: nothing was asked of anybody
        assert begin_sitting(scope, name, ASKS, 20).seed == again.seed
        seeds.append(again.seed)
        assert go_on(scope, ways, again).open is None
        latest = scope.workspace.sittings.all()[-1]
        waiting = go_on(scope, ways, latest).open
        scope.workspace.sittings.answer(waiting.asked_id, "neither")
        scope.workspace.sittings.end(latest.sitting_id)
    played = begin_sitting(scope, "ann", PLAYED, 20)
    assert played.seed not in seeds


def test_the_time_that_is_left_goes_by_the_listeners_own_pace(scope, ways, monkeypatch):
    """Once five steps are known; a pause for tea is none."""
    seconds = iter([0, 8, 16, 24, 4000, 4008, 4016, 4024])
    sitting = begin_sitting(scope, "ann", ASKS, 60)
    monkeypatch.setattr(clock.time, "time", lambda: 1e9 + next(seconds))
    few = judge(scope, ways, sitting, hears(ways), 5)
    assert few.seconds_left == 55 * SECONDS_PER_QUESTION
    assert judge(scope, ways, sitting, hears(ways), 3).seconds_left == pytest.approx(52 * 8)


# --- all that was judged ------------------------------------------------------------------------------------


def test_listeners_are_told_apart_and_compared(scope, ways):
    """Who hears the same agrees, who guesses does not; who tells no catch is not counted, and named."""
    rng = np.random.default_rng(0)
    home = scope.workspace
    likes = {
        "ann": hears(ways),
        "bob": hears(ways),
        "deaf": lambda asked: str(rng.choice(["first", "second"])),
    }
    for name, answer in likes.items():
        judge(scope, ways, begin_sitting(scope, name, ASKS, 40), answer)
    begin_sitting(scope, "cid", ASKS, 40)
    judge(scope, ways, begin_sitting(scope, "ann", PLAYED, 10), hears(ways), 3)
    judged = judged_in(home, "planted")
    assert [(each.question, each.listener, len(each.asked)) for each in judged] == [
        (ASKS, "ann", 40), (ASKS, "bob", 40), (ASKS, "cid", 0), (ASKS, "deaf", 40), (PLAYED, "ann", 3)
    ]  # fmt: skip
    assert [each.open is not None for each in judged] == [False, False, True, False, True]
    assert inattentive(home) == {"deaf"} and judged[3].listening.is_excluded
    alpha = agreement_on(home, judged, ASKS)
    assert alpha.n_listeners == 2 and alpha.value == 1 and alpha.n_questions >= 16
    assert agreement_on(home, judged, PLAYED).n_listeners == 1
    assert judged_in(home, "nowhere") == []
    home.sittings.forget("ann")
    assert [each.listener for each in judged_in(home, "planted")] == ["bob", "cid", "deaf"]


def test_answers_of_all_sittings_count_together(scope, ways):
    for _ in range(2):
        judge(scope, ways, begin_sitting(scope, "ann", ASKS, 20), hears(ways))
    (judged,) = judged_in(scope.workspace, "planted")
    assert len(judged.asked) == 40 and judged.open is None
    assert judged.listening.consistency.n == 4 and judged.listening.catches.n == 6
    assert judged.listening.consistency.value == 1


def test_recordings_that_all_sound_the_same_can_be_judged(home):
    """By chance, then: nothing tells them apart."""
    ids = plant_library(home, n=6)
    plant_embeddings(home, MEL, {track_id: np.ones((MEL.n_layers, MEL.embedding_dim)) for track_id in ids})
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM targets")
        connection.execute("UPDATE tracks SET work = NULL")
    scope = Scope(home, "planted", MEL)
    ways = ways_of(scope)
    now = judge(scope, ways, begin_sitting(scope, "ann", ASKS, 20), lambda asked: "first")
    assert ways.names == () and len(now.answered) == 20 and progress_of(ways, now.answered).accuracies == {}
