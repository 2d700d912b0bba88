"""Opinions: the last word counts, the first is kept, and what was said is never lost."""

from __future__ import annotations

import json
import math
import signal
import sqlite3
import subprocess
import sys

import pytest

from mess_core.catalogue import opinions as module
from mess_core.catalogue.opinions import heard_since
from mess_core.config import MAX_DURATION_S
from mess_core.errors import InputError
from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace

HOSTILE = [
    "'; DROP TABLE judgements; --",
    "<img src=x onerror=alert(1)>",
    "=HYPERLINK(1)",
    "a\0b",
    "a\r\nb",
    "\u202egnp.wav",
    "e\u0301",
    "é",
    "♪" * 5000,
    " ",
    "NULL",
]

WRITES_AND_DIES = """
import os, signal, sys
from pathlib import Path
from mess_core.workspace.workspace import Workspace
opinions = Workspace(Path(sys.argv[1])).opinions
for number in range(int(sys.argv[2])):
    opinions.judge(f"t{number}", "like", context={"rank": number})
    opinions.add_play(f"t{number}", number + 1)
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def opinions(home):
    return home.opinions


# --- judgements -------------------------------------------------------------------------------------------


def test_the_latest_verdict_counts_and_all_are_kept(opinions):
    for verdict in ("like", "dislike", "like", "dislike"):
        opinions.judge("a", verdict)
    opinions.judge("b", "like")
    assert opinions.verdicts() == {"a": "dislike", "b": "like"}
    kept = [(entry["track_id"], entry["verdict"]) for entry in opinions.export("me")]
    assert kept == [("a", "like"), ("a", "dislike"), ("a", "like"), ("a", "dislike"), ("b", "like")]


def test_taking_back_leaves_no_verdict_and_a_new_one_may_follow(opinions):
    opinions.judge("a", "like")
    opinions.judge("a", "none")
    assert opinions.verdicts() == {}
    assert len(opinions.export("me")) == 2
    opinions.judge("a", "dislike")
    assert opinions.verdicts() == {"a": "dislike"}


def test_the_last_word_counts_though_the_clock_was_set_back(opinions, monkeypatch):
    opinions.judge("a", "like")
    monkeypatch.setattr(module.time, "time", lambda: 1.0)
    opinions.judge("a", "dislike")
    assert opinions.verdicts() == {"a": "dislike"}


def test_each_query_has_its_own_verdicts(opinions):
    """A good answer to one query is a bad one to another; without a query is a question of its own."""
    opinions.judge("a", "like", query_track_id="q1")
    opinions.judge("a", "dislike", query_track_id="q2")
    opinions.judge("b", "like")
    assert opinions.verdicts("q1") == {"a": "like"}
    assert opinions.verdicts("q2") == {"a": "dislike"}
    assert opinions.verdicts() == {"b": "like"}
    assert opinions.verdicts("q3") == {}


def test_listeners_are_apart(opinions):
    opinions.judge("a", "like", listener="Ada")
    opinions.judge("a", "dislike")
    opinions.add_play("a", 5.0, listener="Ada")
    assert opinions.verdicts(listener="Ada") == {"a": "like"} and opinions.verdicts() == {"a": "dislike"}
    assert opinions.seconds_heard("Ada") == {"a": 5.0} and opinions.seconds_heard() == {}
    assert {entry["listener"] for entry in opinions.export("Ada")} == {"Ada"}
    assert opinions.export("Eve") == []


@pytest.mark.parametrize("verdict", ["", "LIKE", "love", None, 1, "like "])
def test_an_unknown_verdict_is_refused(opinions, verdict):
    with pytest.raises(InputError, match="expected one of: like, dislike, none"):
        opinions.judge("a", verdict)
    assert opinions.export("me") == []


@pytest.mark.parametrize("context", [{"rank": math.nan}, {"x": object()}, {"x": b"bytes"}])
def test_a_context_that_json_cannot_hold_is_refused(opinions, context):
    with pytest.raises(InputError, match="must be JSON"):
        opinions.judge("a", "like", context=context)


def test_the_context_comes_back_and_is_not_changed(opinions):
    context = {"request": {"aspects": {"brightness": 0.7}}, "encoder": "nano", "library": "demo ♪\ud800", "rank": 3}
    before = json.dumps(context)
    opinions.judge("a", "like", context=context)
    assert opinions.export("me")[0]["context"] == context and json.dumps(context) == before


# --- plays ------------------------------------------------------------------------------------------------


def test_seconds_add_up(opinions):
    for track_id, seconds in (("a", 2.5), ("b", 1), ("a", 0.5)):
        opinions.add_play(track_id, seconds, query_track_id="q")
    assert opinions.seconds_heard() == {"a": 3.0, "b": 1.0}


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, -math.inf, MAX_DURATION_S + 1])
def test_a_time_that_nobody_hears_is_refused(opinions, seconds):
    with pytest.raises(InputError, match=r"expected more than 0, at most 43200 s"):
        opinions.add_play("a", seconds)
    assert opinions.seconds_heard() == {}


def test_the_longest_time_is_taken(opinions):
    opinions.add_play("a", MAX_DURATION_S)
    assert opinions.seconds_heard() == {"a": MAX_DURATION_S}


# --- both -------------------------------------------------------------------------------------------------


def test_an_export_has_every_key_oldest_first_and_is_strict_json(opinions):
    opinions.add_play("a", 4.0, query_track_id="q")
    opinions.judge("a", "like", query_track_id="q", context={"rank": 1})
    exported = opinions.export("me")
    json.dumps(exported, allow_nan=False)
    assert exported[0].pop("at") <= exported[1].pop("at")
    names = ("share", "is_skip", "section", "rank", "propensity", "wish", "origin")
    same = {"listener": "me", "track_id": "a", "query_track_id": "q", **dict.fromkeys(names)}
    assert exported == [
        {"kind": "play", **same, "verdict": None, "context": None, "seconds": 4.0, "is_skip": False},
        {"kind": "judgement", **same, "verdict": "like", "context": {"rank": 1}, "seconds": None},
    ]


def test_an_export_tells_where_a_play_came_from_and_what_was_wished(opinions):
    opinions.add_play("a", 4.0, share=0.5, section="new", rank=2, propensity=0.25, is_skip=True)
    opinions.wish("less", "b")
    play, wish = opinions.export()
    assert [play[name] for name in ("share", "is_skip", "section", "rank", "propensity")] == [0.5, True, "new", 2, 0.25]
    assert (wish["kind"], wish["wish"], wish["track_id"], wish["seconds"]) == ("wish", "less", "b", None)


def test_an_opinion_outlives_its_track(home, write_wav):
    """And is there again when the same file comes back."""
    from mess_core.collections.opening import read_track

    new = read_track(write_wav("a"))
    home.catalogue.add(new.audio.parent, [new], "music")
    track_id = new.track.track_id
    home.opinions.judge(track_id, "like")
    home.opinions.add_play(track_id, 2.0)
    home.remove_library("music")
    assert home.catalogue.libraries() == []
    assert home.opinions.verdicts() == {track_id: "like"} and home.opinions.seconds_heard() == {track_id: 2.0}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_only_text(opinions, text):
    opinions.judge(text, "like", query_track_id=text, listener=text, context={text: text})
    opinions.add_play(text, 1.0, query_track_id=text, listener=text)
    assert opinions.verdicts(text, text) == {text: "like"}
    assert opinions.seconds_heard(text) == {text: 1.0}
    assert [entry["track_id"] for entry in opinions.export(text)] == [text, text]
    assert opinions.verdicts("a", "a") == {} and opinions.export("a") == []


def test_names_that_look_alike_are_not_the_same(opinions):
    for listener in ("é", "e\u0301", "É"):
        opinions.judge("a", "like", listener=listener)
        assert len(opinions.export(listener)) == 1


@pytest.mark.parametrize("name", ["", None, 7, "\ud800"])
def test_what_is_no_name_is_refused(opinions, name):
    for names in ({"track_id": name}, {"track_id": "a", "listener": name}):
        with pytest.raises(InputError, match="expected its name"):
            opinions.judge(**names, verdict="like")
        with pytest.raises(InputError, match="expected its name"):
            opinions.add_play(**names, seconds=1.0)
    if name is not None:
        with pytest.raises(InputError, match="The query of an opinion"):
            opinions.judge("a", "like", query_track_id=name)


def test_the_table_itself_refuses_what_is_no_opinion(home):
    """A second door, for whoever writes past this class."""
    for statement in (
        "INSERT INTO judgements VALUES (NULL, 'me', NULL, 'a', 'love', '{}', 0, NULL)",
        "INSERT INTO judgements VALUES (NULL, NULL, NULL, 'a', 'like', '{}', 0, NULL)",
        "INSERT INTO plays VALUES (NULL, 'me', 'a', NULL, -1, 0, NULL, 0, NULL, NULL, NULL, NULL)",
        "INSERT INTO plays VALUES (NULL, 'me', 'a', NULL, 1, 0, 1.5, 0, NULL, NULL, NULL, NULL)",
        "INSERT INTO wishes VALUES (NULL, 'me', 'more', 'a', 0)",
    ):
        with pytest.raises(sqlite3.IntegrityError), home.database.transaction() as connection:
            connection.execute(statement)


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(tmp_path):
    """SIGKILL right after the call has returned: nothing is flushed on the way out."""
    n = 20
    killed = subprocess.run(
        [sys.executable, "-c", WRITES_AND_DIES, str(tmp_path), str(n)], capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout.split() == [str(number) for number in range(n)]
    home = Workspace(tmp_path)
    assert home.opinions.verdicts() == {f"t{number}": "like" for number in range(n)}
    assert home.opinions.seconds_heard() == {f"t{number}": number + 1 for number in range(n)}
    assert check(home) == []


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path):
    for round_ in range(5):
        home = Workspace(tmp_path / str(round_))
        process = subprocess.Popen(
            [sys.executable, "-c", WRITES_AND_DIES, str(home.paths.root), "100000"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(5 + 7 * round_):
            process.stdout.readline()
        process.kill()
        acknowledged = 5 + 7 * round_ + len(process.stdout.readlines())
        process.wait()
        process.stdout.close()
        # the last line may be torn, and one more of each may have been written than could be said
        assert len(home.opinions.verdicts()) in range(acknowledged - 1, acknowledged + 2)
        assert len(home.opinions.seconds_heard()) in range(acknowledged - 1, acknowledged + 2)
        assert check(home) == []


# --- the player's reports ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "heard"),
    [
        ({}, {}, {}),
        ({}, {"a": 3.0}, {"a": 3.0}),
        ({"a": 3.0}, {"a": 3.0}, {}),
        ({"a": 3.0}, {"a": 4.5, "b": 2.0}, {"a": 1.5, "b": 2.0}),
        ({"a": 3.0}, {"a": 1.0}, {"a": 1.0}),  # the player appeared anew
        ({"a": 3.0}, {}, {}),  # the player shows others now
        ({"a": 3.0}, {"a": 3.49}, {}),
        ({"a": 3.0}, {"a": 3.5}, {"a": 0.5}),
        ({"a": 3.0}, {"a": 0.4}, {}),
        ({"a": 3.0}, {"a": math.nan}, {}),
    ],
)
def test_two_reports_make_what_was_heard_between_them(before, now, heard):
    was = dict(before), dict(now)
    assert heard_since(before, now) == heard
    assert (before, now) == was


def test_short_times_add_up_if_only_what_was_counted_is_kept():
    """Reports every 0.3 s, as the docstring says to keep them, lose nothing."""
    before, total = {}, 0.0
    for number in range(1, 101):
        now = {"a": 0.3 * number}
        heard = heard_since(before, now)
        before = {**before, **{track_id: now[track_id] for track_id in heard}}
        total += sum(heard.values())
    assert total == pytest.approx(30.0, abs=0.5)
