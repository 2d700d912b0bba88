"""Sittings: a question is asked once, its first answer counts, and what was acknowledged is never lost."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from mess_core.catalogue import sittings as module
from mess_core.catalogue.comparisons import Comparison
from mess_core.catalogue.sittings import MOST_QUESTIONS, Clip
from mess_core.catalogue.takeover import Changed, _inherit_opinions
from mess_core.errors import ArtefactMismatchError, InputError, UnknownTrackError
from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace
from tests.planted import a_track, plant_tracks

ASKS = "Which is more like X?"
X, A, B = Clip("tx", 1.0, 11.0), Clip("ta", 2.5, 12.5), Clip("tb", 0.0, 7.25)

ANSWERS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from mess_core.catalogue.sittings import Clip
from mess_core.workspace.workspace import Workspace
sittings = Workspace(Path(sys.argv[1])).sittings
sitting = sittings.begin("ann", "music", "Which is more like X?", "mel", 60, 7)
for number in range(int(sys.argv[2])):
    clips = [Clip(f"{letter}{number}", 0.0, 10.0) for letter in "xab"]
    asked = sittings.ask(sitting.sitting_id, number, clips, "random")
    sittings.answer(asked.asked_id, ("first", "second", "neither")[number % 3], (1.5, 2.5, number))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def sittings(home):
    return home.sittings


def begin(sittings, listener="ann", library="music", question=ASKS, n_wanted=60, seed=7):
    return sittings.begin(listener, library, question, "mel", n_wanted, seed)


def ask(sittings, sitting, number=0, clips=(X, A, B), purpose="random", repeats=None):
    return sittings.ask(sitting.sitting_id, number, clips, purpose, repeats)


# --- beginning and ending -----------------------------------------------------------------------------------


def test_who_begins_again_goes_on(sittings):
    """With the same library and question, as it was begun; anything else is another sitting."""
    one = begin(sittings)
    assert begin(sittings, n_wanted=20, seed=99) == one and one.ended_at is None and one.begun_at > 0
    others = [begin(sittings, "bob"), begin(sittings, library="all"), begin(sittings, question="Another?")]
    assert len({one, *others}) == 4 and sittings.all() == [one, *others]
    assert sittings.all("music") == [one, others[0], others[2]] and sittings.all("nowhere") == []
    assert sittings.find(one.sitting_id) == one and sittings.find(999) is None
    sittings.end(one.sitting_id)
    assert begin(sittings, seed=99).seed == 99 and sittings.find(one.sitting_id).ended_at > one.begun_at


@pytest.mark.parametrize(
    "name", ["", "   ", "\n", "a" * 61, "a\0b", "a\u202eb", "a\u200bb", "\ud800", "a\ufeff", "\x1b[31m"]
)
def test_what_is_no_name_is_refused(sittings, name):
    with pytest.raises(InputError, match="is no name for a listener" if name.split() else "has no name"):
        begin(sittings, name)
    assert sittings.all() == []


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a" * 60, "a" * 60),
        ("  Ann \t Lee\n", "Ann Lee"),
        ("♪ 李", "♪ 李"),
        ("'; DROP TABLE asked; --", "'; DROP TABLE asked; --"),
        ("<img src=x>", "<img src=x>"),
    ],
)
def test_any_other_name_is_only_text(sittings, name, kept):
    assert begin(sittings, name).listener == kept
    assert begin(sittings, f" {kept} ").sitting_id == begin(sittings, kept).sitting_id


@pytest.mark.parametrize("n_wanted", [9, 301, 0, -1])
def test_the_number_of_questions_has_bounds(sittings, n_wanted):
    for fits in (10, 300):
        assert begin(sittings, f"ann {fits}", n_wanted=fits).n_wanted == fits
    with pytest.raises(InputError, match=f"{n_wanted} questions were asked for, expected 10 to 300"):
        begin(sittings, n_wanted=n_wanted)


def test_at_the_end_the_open_question_is_forgotten_and_the_answers_stay(sittings):
    sitting, other = begin(sittings), begin(sittings, "bob")
    given = sittings.answer(ask(sittings, sitting).asked_id, "neither")
    assert given.heard_s == (0, 0, 0)  # nobody said
    opened, of_other = ask(sittings, sitting, 1), ask(sittings, other)
    sittings.end(sitting.sitting_id)
    ended_at = sittings.find(sitting.sitting_id).ended_at
    assert sittings.questions(sitting.sitting_id) == [given] and sittings.find_question(opened.asked_id) is None
    assert sittings.questions(other.sitting_id) == [of_other]
    sittings.end(sitting.sitting_id)
    assert sittings.find(sitting.sitting_id).ended_at == ended_at
    with pytest.raises(UnknownTrackError, match="not asked any more"):
        sittings.answer(opened.asked_id, "first")


def test_a_sitting_that_has_ended_goes_on_with_more_questions(sittings):
    sitting = begin(sittings)
    sittings.end(sitting.sitting_id)
    sittings.extend(sitting.sitting_id, 20)
    longer = sittings.find(sitting.sitting_id)
    assert (longer.n_wanted, longer.ended_at) == (80, None)
    sittings.extend(sitting.sitting_id, MOST_QUESTIONS - 80)
    with pytest.raises(InputError, match="at most 300 questions"):
        sittings.extend(sitting.sitting_id, 1)
    assert sittings.find(sitting.sitting_id).n_wanted == MOST_QUESTIONS
    sittings.forget("ann")
    with pytest.raises(UnknownTrackError, match="deleted meanwhile"):
        sittings.extend(sitting.sitting_id, 1)


def test_forgetting_a_listener_takes_only_theirs(sittings):
    mine, theirs = [begin(sittings), begin(sittings, library="all")], begin(sittings, "anna")
    for sitting in (*mine, theirs):
        sittings.answer(ask(sittings, sitting).asked_id, "first")
        ask(sittings, sitting, 1)
    assert sittings.forget("ann") == 2
    assert sittings.all() == [theirs] and len(sittings.questions(theirs.sitting_id)) == 2
    assert sittings.database.connection.execute("SELECT count(*) FROM asked").fetchone()[0] == 2
    assert sittings.forget("ann") == 0 and [each.listener for each in sittings.comparisons()] == ["anna"]


# --- asking and answering -----------------------------------------------------------------------------------


def test_a_question_comes_back_as_it_was_asked(sittings):
    sitting = begin(sittings)
    asked = ask(sittings, sitting)
    assert asked.clips == (X, A, B) and (asked.purpose, asked.repeats, asked.answer) == ("random", None, None)
    assert sittings.find_question(asked.asked_id) == asked and sittings.find_question("no such") is None
    turned = ask(sittings, sitting, 9, (X, B, A), "repeat", 0)
    assert (turned.repeats, turned.clips) == (0, (X, B, A)) and sittings.questions(sitting.sitting_id) == [
        asked,
        turned,
    ]


def test_a_number_is_asked_once(sittings):
    """Another tab that asks something else under it gets what was asked."""
    sitting = begin(sittings)
    first = ask(sittings, sitting)
    assert ask(sittings, sitting, clips=(A, X, B), purpose="active") == first
    given = sittings.answer(first.asked_id, "second")
    assert ask(sittings, sitting) == given and sittings.questions(sitting.sitting_id) == [given]


def test_the_name_of_a_question_tells_nothing(sittings):
    """Not its number, not its clips, not its purpose; and none can be guessed from another."""
    names = [ask(sittings, begin(sittings, f"ann {n}"), purpose="catch", clips=(X, X, B)).asked_id for n in range(50)]
    assert len(set(names)) == 50 and all(len(name) == 16 and int(name, 16) for name in names)
    assert all(sum(name[place] == names[0][place] for name in names) < 25 for place in range(16))


def test_nothing_is_asked_in_a_sitting_that_was_deleted(sittings):
    sitting = begin(sittings)
    sittings.forget("ann")
    with pytest.raises(UnknownTrackError):
        ask(sittings, sitting)


def test_the_first_answer_counts_but_for_who_answers_again(sittings):
    sitting = begin(sittings)
    asked = ask(sittings, sitting)
    given = sittings.answer(asked.asked_id, "first", (1.234, 2.0, 3))
    assert given.answer == "first" and given.heard_s == (1.23, 2.0, 3.0) and given.answered_at > sitting.begun_at
    assert sittings.answer(asked.asked_id, "second", (9.0, 9.0, 9.0)) == given
    changed = sittings.answer(asked.asked_id, "neither", (4.0, 5.0, 6.0), again=True)
    assert changed.answer == "neither" and changed.heard_s == (4.0, 5.0, 6.0)
    assert sittings.questions(sitting.sitting_id) == [changed]


def test_again_is_also_the_first_answer_where_there_is_none(sittings):
    assert sittings.answer(ask(sittings, begin(sittings)).asked_id, "second", again=True).answer == "second"


@pytest.mark.parametrize("choice", ["", "FIRST", "third", "None", "first "])
def test_an_unknown_answer_is_refused(sittings, choice):
    asked = ask(sittings, begin(sittings))
    with pytest.raises(InputError, match="expected one of: first, second, neither"):
        sittings.answer(asked.asked_id, choice)
    assert sittings.find_question(asked.asked_id) == asked


def test_only_what_nobody_has_answered_is_dropped(sittings):
    sitting = begin(sittings)
    given = sittings.answer(ask(sittings, sitting).asked_id, "first")
    for asked in (given, ask(sittings, sitting, 1)):
        sittings.drop(asked.asked_id)
    assert sittings.questions(sitting.sitting_id) == [given]


def test_two_who_ask_and_answer_at_once_make_one_question_with_one_answer(sittings):
    sitting = begin(sittings)
    at_once = Barrier(2)

    def both(turn):
        mine = []
        for number in range(20):
            at_once.wait(20)
            asked = ask(sittings, sitting, number, ((X, A, B), (X, B, A))[turn])
            at_once.wait(20)
            mine.append(sittings.answer(asked.asked_id, ("first", "second")[turn]))
        sittings.database.close()
        return mine

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(both, range(2))
    assert one == other == sittings.questions(sitting.sitting_id) and len(one) == 20


def test_two_who_begin_at_once_have_one_sitting(sittings):
    at_once = Barrier(2)

    def both(turn):
        mine = []
        for number in range(20):
            at_once.wait(20)
            mine.append(begin(sittings, f"ann {number}", seed=turn))
        sittings.database.close()
        return mine

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(both, range(2))
    assert one == other == sittings.all()


def test_the_table_itself_refuses_what_is_no_question(home):
    """A second door, for whoever writes past this class."""
    sitting = begin(home.sittings)
    for purpose, answer in (("chance", None), ("random", "both"), (None, None)):
        with pytest.raises(sqlite3.IntegrityError), home.database.transaction() as connection:
            connection.execute(
                "INSERT INTO asked (asked_id, sitting_id, number, anchor, first, second, spans_s, purpose, answer)"
                " VALUES ('x', ?, 0, 'a', 'b', 'c', '[]', ?, ?)",
                (sitting.sitting_id, purpose, answer),
            )


@pytest.mark.parametrize("column", ["spans_s", "heard_s"])
@pytest.mark.parametrize("text", ["", "{", "[]", "[1, 2]", "5", '"abc"', "[[1, 2], [3, 4], [null, 5]]", '{"0": 1}'])
def test_a_damaged_question_is_a_sentence(home, column, text):
    sitting = begin(home.sittings)
    asked = ask(home.sittings, sitting)
    with home.database.transaction() as connection:
        connection.execute(f"UPDATE asked SET {column} = ?", (text,))
    for read in (
        lambda: home.sittings.questions(sitting.sitting_id),
        lambda: home.sittings.find_question(asked.asked_id),
    ):
        with pytest.raises(ArtefactMismatchError, match="damaged"):
            read()


# --- what was answered --------------------------------------------------------------------------------------


def test_a_catch_is_right_where_the_anchor_itself_was_chosen(sittings):
    sitting = begin(sittings)
    for number, (clips, choice, is_right) in enumerate(
        [
            ((X, X, B), "first", True),
            ((X, X, B), "second", False),
            ((X, B, X), "second", True),
            ((X, B, X), "first", False),
            ((X, B, X), "neither", False),
        ]
    ):
        asked = ask(sittings, sitting, number, clips, "catch")
        assert asked.is_right is None
        assert sittings.answer(asked.asked_id, choice).is_right is is_right
    assert sittings.answer(ask(sittings, sitting, 9).asked_id, "first").is_right is None


def test_comparisons_are_what_was_told_of_real_questions(sittings, monkeypatch):
    """The oldest first; of a second choice the second is the nearer one; where it stood is kept."""
    times = iter(range(100, 200))
    monkeypatch.setattr(module.time, "time", lambda: float(next(times)))
    ann, bob = begin(sittings), begin(sittings, "bob", question="Which is played more like X?")
    asked = [
        (ann, 0, (X, A, B), "random", "first"),
        (bob, 0, (X, A, B), "active", "second"),
        (ann, 1, (X, X, B), "catch", "first"),
        (ann, 2, (X, B, A), "active", "neither"),
        (ann, 9, (X, B, A), "repeat", "second"),
        (ann, 10, (B, A, X), "random", None),
    ]
    for sitting, number, clips, purpose, answer in asked:
        one = ask(sittings, sitting, number, clips, purpose)
        if answer is not None:
            sittings.answer(one.asked_id, answer)
    found = sittings.comparisons()
    played = bob.question
    assert found == [
        Comparison("tx", "ta", "tb", ASKS, "ann", found[0].judged_at, "first"),
        Comparison("tx", "tb", "ta", played, "bob", found[1].judged_at, "second"),
        Comparison("tx", "ta", "tb", ASKS, "ann", found[2].judged_at, "second"),
    ]
    assert found[0].judged_at < found[1].judged_at < found[2].judged_at


def test_a_question_follows_a_file_that_was_tagged_anew(home, sittings):
    """Its ids stand for content; where two of its files have become one, nothing was compared."""
    old = plant_tracks(home, [a_track(n) for n in range(3)])
    sitting = begin(sittings)
    clips = [Clip(track_id, 0.0, 6.0) for track_id in old]
    for number, order in enumerate([(0, 1, 2), (1, 0, 2), (2, 1, 0)]):
        sittings.answer(ask(sittings, sitting, number, [clips[place] for place in order]).asked_id, "first")
    catch = sittings.answer(ask(sittings, sitting, 3, (clips[0], clips[1], clips[0]), "catch").asked_id, "second")
    with home.database.transaction() as connection:
        _inherit_opinions(connection, Changed(old[0], "new"))
    said = [(each.anchor.track_id, each.first.track_id, each.second.track_id)
            for each in sittings.questions(sitting.sitting_id)]  # fmt: skip
    assert said[:3] == [("new", old[1], old[2]), (old[1], "new", old[2]), (old[2], old[1], "new")]
    assert said[3] == ("new", old[1], "new") and catch.is_right
    assert sittings.find_question(catch.asked_id).is_right
    assert len(sittings.comparisons()) == 3
    with home.database.transaction() as connection:
        _inherit_opinions(connection, Changed(old[1], "new"))
    assert sittings.comparisons() == []


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(tmp_path):
    """SIGKILL right after the call has returned: nothing is flushed on the way out."""
    killed = subprocess.run([sys.executable, "-c", ANSWERS_AND_DIES, str(tmp_path), "12"], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    home = Workspace(tmp_path)
    assert check(home) == []
    sittings = home.sittings
    (sitting,) = sittings.all()
    kept = sittings.questions(sitting.sitting_id)
    assert [each.answer for each in kept] == ["first", "second", "neither"] * 4
    assert [each.heard_s for each in kept] == [(1.5, 2.5, float(number)) for number in range(12)]
    assert [each.anchor.track_id for each in kept] == [f"x{number}" for number in range(12)]
    assert begin(sittings) == sitting
