"""Listening events: what was reported is told as it was, in columns; what is forgotten is on no disk any more."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time

import numpy as np
import pytest

from mess_core.catalogue import listening
from mess_core.catalogue import opinions as module
from mess_core.catalogue.listening import ACTIONS
from mess_core.catalogue.takeover import Changed, _inherit_opinions
from mess_core.errors import InputError, StorageError
from mess_core.storage.database import Database, copy_catalogue
from mess_core.workspace.workspace import Workspace
from tests.storage.first_schema import ROWS_1, SCHEMA_1

PLAY, SKIP, LIKE, DISLIKE = range(4)
NOON = 1_750_000_000.0


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "time", clock.time)
    return clock


@pytest.fixture
def opinions(home, clock):
    return home.opinions


def rows(events) -> list[tuple]:
    """What the columns tell, row by row, with None for what is not known."""
    columns = (events.seconds, events.share, events.propensity)
    told = [[None if math.isnan(value) else float(value) for value in column] for column in columns]
    names = [events.track_ids[place] for place in events.track]
    actions = [ACTIONS[place] for place in events.action]
    return list(zip(names, events.at_s.tolist(), actions, *told, strict=True))


# --- one play, told in pieces -----------------------------------------------------------------------------


def test_what_goes_on_is_the_same_play(opinions, clock):
    """Twenty seconds, half a minute's pause, ten more: one play of thirty, which ended last."""
    opinions.add_play("a", 20, share=0.2)
    clock.now += 40  # 30 s of silence, 10 s of sound
    opinions.add_play("a", 10, share=0.1)
    assert rows(opinions.events()) == [("a", NOON + 40, "play", 30, pytest.approx(0.3), None)]


@pytest.mark.parametrize(("pause_s", "n_plays"), [(0, 1), (59, 1), (61, 2), (3600, 2), (-59, 1), (-3600, 2)])
def test_a_long_pause_or_a_clock_that_was_set_makes_two(opinions, clock, pause_s, n_plays):
    opinions.add_play("a", 20)
    clock.now += pause_s + 10
    opinions.add_play("a", 10)
    assert len(opinions.events()) == n_plays and opinions.seconds_heard() == {"a": 30}


@pytest.mark.parametrize(
    "other",
    [{"track_id": "b"}, {"listener": "Ada"}, {"query_track_id": "q"}, {"section": "new"}],
    ids=lambda other: next(iter(other)),
)
def test_what_is_heard_elsewhere_is_another_play(opinions, other):
    opinions.add_play("a", 20)
    opinions.add_play(**{"track_id": "a", "seconds": 10.0, **other})
    n = [len(opinions.events(listener)) for listener in ("me", "Ada")]
    assert sum(n) == 2


def test_tracks_that_are_compared_stay_one_play_each(opinions, clock):
    """To and fro between two, ten times: two plays and not twenty."""
    for number in range(20):
        clock.now += 3
        opinions.add_play("ab"[number % 2], 3, share=0.03)
    assert [(row[0], row[3]) for row in rows(opinions.events())] == [("a", 30), ("b", 30)]


def test_what_was_heard_whole_or_skipped_begins_anew(opinions, clock):
    opinions.add_play("a", 60, share=0.6)
    opinions.add_play("a", 60, share=0.6)  # together more than there is: some of it was heard twice
    opinions.add_play("a", 10, share=0.1)
    opinions.add_play("b", 5, share=0.05)
    opinions.add_play("b", 1, share=0.01, is_skip=True)
    opinions.add_play("b", 50, share=0.5)
    told = sorted((row[0], row[2], row[3], row[4]) for row in rows(opinions.events()))
    assert told == [
        ("a", "play", 10, 0.1), ("a", "play", 120, 1.0), ("b", "play", 50, 0.5), ("b", "skip", 6, pytest.approx(0.06)),
    ]  # fmt: skip


def test_a_share_that_is_not_known_of_a_part_is_not_known_of_the_whole(opinions):
    opinions.add_play("a", 20, share=0.2)
    opinions.add_play("a", 20)
    assert rows(opinions.events()) == [("a", NOON, "play", 40, None, None)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"share": 1.1}, "share .* is 1.1, expected 0 to 1"),
        ({"share": math.nan}, "share .* is nan"),
        ({"rank": 0}, "rank .* is 0, expected 1 or more"),
        ({"propensity": 0.0}, "propensity .* is 0, expected above 0"),
        ({"propensity": math.nan}, "propensity .* is nan"),
        ({"section": ""}, "The section of an opinion"),
        ({"seconds": 0}, "expected more than 0"),
        ({"seconds": -1, "is_skip": True}, "expected more than 0"),
    ],
)
def test_what_cannot_be_is_refused(opinions, wrong, message):
    with pytest.raises(InputError, match=message):
        opinions.add_play(**{"track_id": "a", "seconds": 1.0, **wrong})
    assert len(opinions.events()) == 0


# --- events -----------------------------------------------------------------------------------------------


def test_columns_tell_what_happened_oldest_first(opinions, clock):
    opinions.add_play("b", 30, share=0.5)
    clock.now += 1000
    opinions.add_play("a", 0, is_skip=True, section="new", rank=3, propensity=0.25)
    clock.now += 1000
    opinions.judge("c", "like", context={"section": "new", "propensity": 0.5})
    clock.now += 1000
    opinions.judge("a", "dislike", context={"propensity": "much"})
    events = opinions.events()
    assert events.track_ids == ("a", "b", "c")
    assert rows(events) == [
        ("b", NOON, "play", 30, 0.5, None),
        ("a", NOON + 1000, "skip", 0, None, 0.25),
        ("c", NOON + 2000, "like", None, None, 0.5),
        ("a", NOON + 3000, "dislike", None, None, None),
    ]
    kinds = [events.track.dtype, events.at_s.dtype, events.action.dtype, events.seconds.dtype]
    assert kinds == [np.int64, np.float64, np.int8, np.float64]
    with pytest.raises(ValueError, match="read-only"):
        events.share[0] = 1


def test_only_verdicts_that_count_on_a_track_by_itself_are_events(opinions, clock):
    """The latest of each track, unless it takes one back; as an answer to a query a track is not judged alone."""
    for track, verdict in (("a", "like"), ("a", "dislike"), ("b", "like"), ("b", "none"), ("c", "like")):
        clock.now += 1
        opinions.judge(track, verdict)
        opinions.judge(track, "like", listener="Ada", query_track_id="q")
    assert [row[:3] for row in rows(opinions.events())] == [("a", NOON + 2, "dislike"), ("c", NOON + 5, "like")]
    assert len(opinions.events("Ada")) == 0 and opinions.listeners() == ["me"]


def test_nobody_has_no_events(opinions):
    events = opinions.events("nobody")
    assert events.track_ids == () and len(events) == 0 and opinions.listeners() == []
    assert [column.shape for column in (events.track, events.at_s, events.action, events.share)] == [(0,)] * 4
    assert len(events.until(NOON)) == 0


def test_the_future_is_kept_and_left_out(opinions, clock):
    for track, day in (("z", 0), ("a", 2), ("z", 1)):
        clock.now = NOON + 86_400 * day
        opinions.add_play(track, 5)
    whole = opinions.events()
    assert len(whole) == 3 and whole.track_ids == ("a", "z")
    now = opinions.events(until_s=NOON + 86_400)
    assert [row[0] for row in rows(now)] == ["z", "z"] and now.track_ids == ("z",) and now.track.dtype == np.int64
    assert opinions.events(until_s=NOON + 1e9) is whole and len(opinions.events(until_s=0)) == 0


def test_events_are_remembered_until_they_are_others(home, opinions, clock):
    opinions.add_play("a", 5, share=0.1)
    before = opinions.events()
    home.database.set_setting("somebody", "works")
    opinions.add_play("a", 5, listener="Ada")
    assert opinions.events() is before
    for change in (
        lambda: opinions.add_play("a", 5, share=0.1),  # the same play grows
        lambda: opinions.judge("a", "like"),
        lambda: opinions.judge("a", "none"),
        lambda: opinions.forget("me", NOON, NOON + 5),
    ):
        known = rows(opinions.events())
        clock.now += 1
        change()
        assert rows(opinions.events()) != known
    with home.database.transaction() as connection:  # a file whose bytes changed
        connection.execute("INSERT INTO plays (listener, track_id, seconds, played_at) VALUES ('me', 'a', 1, 2)")
    assert opinions.events().track_ids == ("a",)
    with home.database.transaction() as connection:
        _inherit_opinions(connection, Changed("a", "b"))
        connection.execute("INSERT INTO replaced VALUES ('a', 'b', 3)")
    assert opinions.events().track_ids == ("b",)


def test_another_process_is_seen(home, opinions):
    opinions.add_play("a", 5)
    assert len(opinions.events()) == 1
    other = Database(home.paths.database)
    with other.transaction() as connection:
        connection.execute("INSERT INTO plays (listener, track_id, seconds, played_at) VALUES ('me', 'b', 1, 2)")
    other.close()
    assert opinions.events().track_ids == ("a", "b")


def test_a_hundred_thousand_are_told_as_one_by_one(home, opinions):
    """Against rows read one by one; a thousand plays of one track in a night are a thousand rows, and no more."""
    rng = np.random.default_rng(0)
    given = [("me", f"t{track}", float(heard), float(at)) for track, heard, at in zip(
        rng.integers(0, 10_000, 99_000), rng.uniform(1, 300, 99_000), np.round(rng.uniform(1e9, 1.7e9, 99_000), 6),
        strict=True,
    )]  # fmt: skip
    given += [("me", "loop", 30.0, NOON + 30.0 * number) for number in range(1000)]
    with home.database.transaction() as connection:
        connection.executemany("INSERT INTO plays (listener, track_id, seconds, played_at) VALUES (?, ?, ?, ?)", given)
    began = time.perf_counter()
    events = opinions.events()
    assert time.perf_counter() - began < 5  # 0.15 s where nobody else works; a hundred times that would be per row
    assert sorted((row[0], row[3], row[1]) for row in rows(events)) == sorted(row[1:] for row in given)
    assert (np.diff(events.at_s) >= 0).all()
    assert np.bincount(events.track)[events.track_ids.index("loop")] == 1000


# --- wishes -----------------------------------------------------------------------------------------------


def test_wishes_are_kept_until_they_are_taken_back(opinions):
    assert opinions.wishes() == {"less": (), "ignore": ()}
    for kind, track in (("less", "b"), ("less", "a"), ("ignore", "b"), ("less", "b")):
        opinions.wish(kind, track)
    opinions.wish("less", "c", "Ada")
    assert opinions.wishes() == {"less": ("b", "a"), "ignore": ("b",)}
    opinions.unwish("less", "b")
    opinions.unwish("ignore", "never wished")
    assert opinions.wishes() == {"less": ("a",), "ignore": ("b",)} and opinions.wishes("Ada")["less"] == ("c",)
    with pytest.raises(InputError, match="The wish is 'more', expected one of: less, ignore"):
        opinions.wish("more", "a")
    with pytest.raises(InputError, match="expected its name"):
        opinions.wish("less", "")


# --- a file whose bytes changed ---------------------------------------------------------------------------


def test_the_next_track_takes_over_plays_and_wishes_and_what_was_told_twice_is_heard_once(home, opinions):
    taken_in = "INSERT INTO plays (listener, track_id, seconds, played_at, origin) VALUES ('me', ?, 9, ?, 'spotify')"
    with home.database.transaction() as connection:
        connection.executemany(taken_in, [("old", 1), ("old", 2), ("new", 2), ("new", 3)])
    for track in ("old", "new"):
        opinions.wish("less", track)
    opinions.wish("ignore", "old")
    with home.database.transaction() as connection:
        _inherit_opinions(connection, Changed("old", "new"))
    assert [row[:2] for row in rows(opinions.events())] == [("new", 1), ("new", 2), ("new", 3)]
    assert opinions.wishes() == {"less": ("new",), "ignore": ("new",)}


# --- forgetting -------------------------------------------------------------------------------------------


def test_a_listener_is_forgotten_and_nobody_else(opinions):
    for listener in ("me", "Ada"):
        opinions.add_play("a", 5, listener=listener)
        opinions.judge("a", "like", listener=listener)
        opinions.judge("a", "like", listener=listener, query_track_id="q")
        opinions.wish("less", "a", listener)
    kept = opinions.export("Ada")
    assert opinions.forget("me") == 4
    assert opinions.export("me") == [] and len(opinions.events()) == 0 and opinions.listeners() == ["Ada"]
    assert opinions.export("Ada") == kept and opinions.forget("nobody") == 0


def test_a_time_is_forgotten_and_wishes_are_not(opinions, clock):
    for day in range(4):
        clock.now = NOON + day * 86_400
        opinions.add_play(f"t{day}", 5)
        opinions.judge(f"t{day}", "like")
    opinions.wish("less", "t1")
    assert opinions.forget("me", from_s=NOON + 86_400, to_s=NOON + 3 * 86_400) == 4
    assert opinions.events().track_ids == ("t0", "t3") and opinions.wishes()["less"] == ("t1",)
    assert opinions.forget("me", to_s=NOON + 1) == 2 and opinions.events().track_ids == ("t3",)
    assert opinions.forget("me", from_s=NOON) == 2 and opinions.events().track_ids == ()
    with pytest.raises(InputError, match="no number"):
        opinions.forget("me", math.nan)


def test_what_was_forgotten_is_in_no_file(tmp_path):
    """Neither in the catalogue nor in its log: names that nobody else has are searched for as bytes."""
    home = Workspace(tmp_path / "home")
    for number in range(200):
        home.opinions.add_play(f"secret-track-{number}", 5, listener="Secret Listener", section="secret section")
        home.opinions.judge(f"secret-track-{number}", "like", listener="Secret Listener", context={"secret": number})
    home.opinions.wish("less", "secret-wish", "Secret Listener")
    home.opinions.add_play("public", 5)

    def bytes_on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(home.paths.root.rglob("*")) if path.is_file()).lower()

    copy_catalogue(home.database.connection, home.paths.root, "2026-01-01")
    with contextlib.closing(sqlite3.connect(home.paths.copies / "mess-schema-1.sqlite")) as old:
        old.executescript(f"{SCHEMA_1} PRAGMA user_version = 1; {ROWS_1}")  # which knew of no plays
    assert bytes_on_disk().count(b"secret listener") > 800
    home.opinions.forget("Secret Listener")
    assert b"secret" not in bytes_on_disk() and b"public" in bytes_on_disk()
    assert home.database.connection.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000
    assert home.opinions.seconds_heard() == {"public": 5}
    (home.paths.copies / "mess-2026-01-02.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=r"not in the copy .*mess-2026-01-02\.sqlite") as caught:
        home.opinions.forget("me")
    assert "by hand" in caught.value.hint and home.opinions.seconds_heard() == {}


# --- read anew what has changed ---------------------------------------------------------------------------


def told_by(opinions) -> list[tuple]:
    events = opinions.events()
    assert list(events.track_ids) == sorted({events.track_ids[place] for place in events.track})
    return rows(events)


def test_what_is_read_little_by_little_is_what_is_read_at_once(home, clock, monkeypatch):
    """Plays that go on, thumbs up, down and taken back, what is forgotten."""
    monkeypatch.setattr(listening, "_GOES_ON", 3)
    monkeypatch.setattr(listening, "_READ_AGAIN", 5)
    rng = np.random.default_rng(0)
    for step in range(120):
        clock.now += rng.choice([5, 300])
        track = str(rng.choice(list("abcdefgh")))
        match rng.integers(6):
            case 0 | 1 | 2:
                home.opinions.add_play(track, 20, share=0.2)
            case 3 | 4:
                home.opinions.judge(track, str(rng.choice(["like", "dislike", "none"])))
            case 5 if step % 4 == 0:
                home.opinions.forget("me", clock.now - 2000, clock.now - 900)
        afresh = Workspace(home.paths.root)
        assert told_by(home.opinions) == told_by(afresh.opinions)
        afresh.database.close()


def test_only_the_latest_rows_are_read_again(home, clock, monkeypatch):
    monkeypatch.setattr(listening, "_GOES_ON", 2)
    monkeypatch.setattr(listening, "_READ_AGAIN", 4)
    for number in range(11):
        clock.now += 600
        home.opinions.add_play(f"track {number}", 20)
    home.opinions.events()
    read = []
    original = listening._read

    def counted(*arguments, is_settled):
        read.append(is_settled)
        return original(*arguments, is_settled=is_settled)

    monkeypatch.setattr(listening, "_read", counted)
    home.opinions.judge("track 3", "like")
    assert len(home.opinions.events()) == 12 and read == [False]
    with home.database.transaction() as connection:  # an old row becomes another, as no page can make it
        connection.execute("UPDATE plays SET played_at = played_at + 1 WHERE play_id = 2")
    assert home.opinions.events().at_s[1] == NOON + 1201 and read == [False, True, False]
