"""Histories of listening: those of others are understood, record by record; our own come back as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import ACTIONS
from mess_core.cli.main import main
from mess_core.errors import DataMissingError, InputError, MessError
from mess_core.handover import events as module
from mess_core.handover.events import COLUMNS, export_events, import_events
from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace
from tests.planted import a_track, plant_tracks

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()


def named(number: int, title: str, performer: str | None = None, **facts) -> Track:
    made = a_track(number, performer=performer, **facts)
    return Track(**{**vars(made), "title": title, "duration_s": 200.0})


@pytest.fixture
def ids(home) -> dict[str, str]:
    """A small collection of songs; track ids by title."""
    tracks = [
        named(1, "Moon River", "Audrey Hepburn", album="Breakfast at Tiffanys"),
        named(2, "Déjà Vu", "Beyoncé"),
        named(3, "Heroes", "David Bowie"),
        named(4, "Blue in Green", "Miles Davis"),
    ]
    plant_tracks(home, tracks)
    return {track.title: track.track_id for track in tracks}


def told(home, listener: str = "me") -> list[tuple]:
    """(title, time, action, seconds, share)"""
    events = home.opinions.events(listener)
    titles = {track.track_id: track.title for track in home.catalogue.tracks("planted")}
    numbers = [
        [None if np.isnan(x) else round(float(x), 3) for x in column] for column in (events.seconds, events.share)
    ]
    return [
        (titles[events.track_ids[track]], float(at), ACTIONS[action], seconds, share)
        for track, at, action, seconds, share in zip(events.track, events.at_s, events.action, *numbers, strict=True)
    ]


def write(path: Path, what: object) -> Path:
    path.write_text(what if isinstance(what, str) else json.dumps(what), "utf-8")
    return path


# --- formats ----------------------------------------------------------------------------------------------

LISTENS = [
    {
        "inserted_at": NOON + 5,
        "listened_at": NOON,
        "track_metadata": {
            "artist_name": "Beyonce feat. JAY-Z",
            "track_name": "Deja Vu",
            "release_name": "B'Day",
            "additional_info": {"duration_ms": 240_000, "recording_mbid": None, "tags": []},
            "mbid_mapping": {"artists": [{"artist_credit_name": "Beyoncé"}], "recording_mbid": "not here"},
        },
    },
    {
        "listened_at": NOON + 300,
        "track_metadata": {"artist_name": "DAVID BOWIE", "track_name": "“Heroes”", "release_name": None},
    },
    {
        "listened_at": NOON + 600,
        "track_metadata": {"artist_name": "Nobody", "track_name": "Nothing", "additional_info": {}},
    },
]
FEEDBACK = [
    {"created": NOON + 10, "recording_mbid": "x", "score": 1, "track_metadata": LISTENS[0]["track_metadata"]},
    {"created": NOON + 11, "recording_mbid": "y", "score": -1, "track_metadata": LISTENS[1]["track_metadata"]},
    {"created": NOON + 12, "recording_mbid": "z", "score": 0, "track_metadata": LISTENS[0]["track_metadata"]},
    {"created": NOON + 13, "recording_mbid": "z", "score": 1, "track_metadata": None},
]
HEARD_LISTENBRAINZ = [
    ("Déjà Vu", NOON, "play", None, None),
    ("Déjà Vu", NOON + 10, "like", None, None),
    ("Heroes", NOON + 11, "dislike", None, None),
    ("Heroes", NOON + 300, "play", None, None),
]


@pytest.mark.parametrize("form", ["lines", "array", "pages", "zip", "folder"])
def test_listenbrainz(home, ids, tmp_path, form):
    lines = ["\n".join(map(json.dumps, part)) for part in (LISTENS, FEEDBACK)]
    path = tmp_path / "export"
    if form == "lines":
        write(path, "\n".join(lines))
    elif form == "array":
        write(path, LISTENS + FEEDBACK)
    elif form == "pages":
        write(path, [{"payload": {"count": 3, "listens": LISTENS}}, {"payload": {"listens": FEEDBACK, "latest": 1}}])
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("user.json", json.dumps({"user_id": 1, "username": "ada"}))
            archive.writestr("listens/2024/5.jsonl", lines[0])
            archive.writestr("feedback.jsonl", lines[1])
            archive.writestr("README.txt", "Your listens. Enjoy.")
    else:
        (path / "listens").mkdir(parents=True)
        write(path / "listens" / "5.jsonl", lines[0])
        write(path / "feedback.jsonl", lines[1])
        (path / "empty.json").touch()
    taken = import_events(home, path)
    assert told(home) == HEARD_LISTENBRAINZ
    assert (taken.n_new, taken.n_known, taken.n_unmatched, taken.n_passed_over, taken.n_refused) == (4, 0, 2, 1, 0)
    assert taken.by_confidence == (("0.95", 2), ("0.9", 2)) and ("Nobody – Nothing", 1) in taken.unmatched
    again = import_events(home, path)
    assert (again.n_new, again.n_known) == (0, 4) and told(home) == HEARD_LISTENBRAINZ
    rows = home.database.connection.execute("SELECT DISTINCT origin FROM plays").fetchall()
    assert [row[0] for row in rows] == ["listenbrainz"]


def lastfm(artist: object, name: str, uts: float) -> dict:
    image = [{"size": "small", "#text": "http://x"}]
    return {
        "artist": artist,
        "name": name,
        "image": image,
        "date": {"uts": str(int(uts)), "#text": "01 May 2024, 12:00"},
    }


LASTFM = [
    lastfm({"mbid": "", "#text": "Miles Davis"}, "Blue In Green", NOON),
    lastfm({"name": "Beyoncé"}, "Déjà vu", NOON + 60),
]
PLAYING = {"artist": {"#text": "Miles Davis"}, "@attr": {"nowplaying": "true"}, "name": "Blue in Green"}
HEARD_LASTFM = [("Blue in Green", NOON, "play", None, None), ("Déjà Vu", NOON + 60, "play", None, None)]


@pytest.mark.parametrize(
    "document",
    [
        {"recenttracks": {"@attr": {"page": "1"}, "track": [PLAYING, *LASTFM]}},
        [{"recenttracks": {"track": LASTFM[:1]}}, {"recenttracks": {"track": LASTFM[1], "@attr": {"page": "2"}}}],
        [LASTFM[:1], LASTFM[1:]],
        {"username": "ada", "scrobbles": [
            {"track": "Blue in Green", "artist": "Miles Davis", "album": "x", "albumId": "", "date": NOON * 1000},
            {"track": "Déjà Vu", "artist": "Beyoncé", "album": "", "albumId": "", "date": (NOON + 60) * 1000},
        ]},
        "Miles Davis,Kind of Blue,Blue in Green,01 May 2024 12:00\nBeyoncé,,Déjà Vu,01 May 2024 12:01\n",
        'artist,album,track,date\nMiles Davis,,Blue in Green,"01 May 2024, 12:00"\n'
        "Beyoncé,,Déjà Vu,01 May 2024 12:01\n",
        f"Artist;Album;AlbumId;Track;Date#ada\nMiles Davis;;;Blue in Green;{NOON:.0f}000\n"
        f"Beyoncé;;;Déjà Vu;{NOON + 60:.0f}000\n",
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        f'"{NOON:.0f}","01 May 2024, 12:00","Miles Davis","","","","Blue in Green",""\n'
        f'"{NOON + 60:.0f}","","Beyoncé","","","","Déjà Vu",""\n',
    ],
    ids=["page", "pages", "arrays", "exporter", "no header", "header", "lastfmstats", "mainstream"],
)  # fmt: skip
def test_lastfm(home, ids, tmp_path, document):
    path = write(tmp_path / "scrobbles", document)
    assert import_events(home, path).n_refused == 0 and told(home) == HEARD_LASTFM
    assert import_events(home, path).n_new == 0
    assert home.database.connection.execute("SELECT DISTINCT origin FROM plays").fetchone()[0] == "lastfm"


def test_loved_tracks_are_liked(home, ids, tmp_path):
    document = {"lovedtracks": {"track": LASTFM, "@attr": {"user": "ada"}}}
    import_events(home, write(tmp_path / "loved.json", document))
    assert [row[:3] for row in told(home)] == [("Blue in Green", NOON, "like"), ("Déjà Vu", NOON + 60, "like")]


def spotify(title: str | None, artist: str | None, at: float, ms_played: object, **more) -> dict:
    ts = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = {"master_metadata_track_name": title, "master_metadata_album_artist_name": artist}
    return {"ts": ts, "platform": "x", "ms_played": ms_played, **names, "episode_name": None, "reason_end": "trackdone",
            "skipped": False, "incognito_mode": False, **more}  # fmt: skip


SPOTIFY = [
    spotify("Heroes - 2017 Remaster", "David Bowie", NOON, 100_000),
    spotify("Déjà Vu (feat. JAY-Z)", "Beyoncé", NOON + 1, 5_000, skipped=True),
    spotify("Moon River", "Audrey Hepburn", NOON + 2, 0, skipped=None, reason_end="fwdbtn"),
    spotify("Moon River", "Audrey Hepburn", NOON + 3, 199_000, skipped=None, reason_end="fwdbtn"),  # heard out
    spotify("Moon River", "Audrey Hepburn", NOON + 4, 400_000),  # longer than ours
    spotify(None, None, NOON + 5, 500_000, episode_name="A talk"),
    spotify("Moon River", "Audrey Hepburn", NOON + 6, 0),  # not heard
]
HEARD_SPOTIFY = [
    ("Heroes", NOON, "play", 100.0, 0.5),
    ("Déjà Vu", NOON + 1, "skip", 5.0, 0.025),
    ("Moon River", NOON + 2, "skip", 0.0, 0.0),
    ("Moon River", NOON + 3, "play", 199.0, 0.995),
    ("Moon River", NOON + 4, "play", 400.0, 1.0),
]


def test_spotify(home, ids, tmp_path):
    with zipfile.ZipFile(tmp_path / "my_spotify_data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        folder = "Spotify Extended Streaming History"
        archive.writestr(f"{folder}/Streaming_History_Audio_2023_0.json", json.dumps(SPOTIFY[:4], indent=2))
        archive.writestr(f"{folder}/Streaming_History_Audio_2024_1.json", json.dumps(SPOTIFY[4:]))
        archive.writestr(f"{folder}/ReadMeFirst.pdf", b"%PDF-1.7\0\0")
    taken = import_events(home, tmp_path / "my_spotify_data.zip")
    assert told(home) == HEARD_SPOTIFY and taken.n_passed_over == 2 and taken.n_refused == 0
    assert import_events(home, write(tmp_path / "again.json", SPOTIFY)).n_known == 5


def test_spotifys_short_history(home, ids, tmp_path):
    row = {"endTime": "2024-05-01 12:00", "artistName": "David Bowie", "trackName": "Heroes", "msPlayed": 50_000}
    import_events(home, write(tmp_path / "StreamingHistory0.json", [row]))
    assert told(home) == [("Heroes", NOON, "play", 50.0, 0.25)]


def test_a_plain_table(home, ids, tmp_path):
    """A track by its id, its path, its names; a time in any way; whose it is."""
    text = (
        "Listener;Track_ID;Path;Artist;Title;Time;Seconds;Share;Action\n"
        f"Ada;{ids['Heroes']};;;;2024-05-01T14:00:00+02:00;10;;\n"
        f"Ada;;music/Moon River.wav;;;{NOON + 1:.0f};;0.5;skip\n"
        "Ada;;;beyonce;DEJA VU;2024-05-01 12:00:02;;;loved\n"
        f";;;Miles Davis;Blue in Green;{NOON * 1000 + 3000:.0f};;;dislike\n"
    )
    taken = import_events(home, write(tmp_path / "mine", text))
    assert taken.listeners == ("Ada", "me") and taken.by_confidence == (("1", 2), ("0.95", 2))
    assert told(home, "Ada") == [
        ("Heroes", NOON, "play", 10.0, None),
        ("Moon River", NOON + 1, "skip", None, 0.5),
        ("Déjà Vu", NOON + 2, "like", None, None),
    ]
    assert told(home) == [("Blue in Green", NOON + 3, "dislike", None, None)]
    row = f"track_id,time,seconds\n{ids['Heroes']},2024-05-01,10\n"  # of the share nothing is said at all
    import_events(home, write(tmp_path / "seconds", row), listener="Eva")
    assert told(home, "Eva")[0][3:] == (10.0, 0.05)
    assert import_events(home, tmp_path / "mine", listener="Eve").listeners == ("Eve",) and len(told(home, "Eve")) == 4


def test_an_older_verdict_does_not_replace_a_newer_one(home, ids, tmp_path):
    home.opinions.judge(ids["Heroes"], "dislike")
    row = f"track_id,time,action\n{ids['Heroes']},2010-01-01,like\n"
    import_events(home, write(tmp_path / "old.csv", row))
    assert home.opinions.verdicts() == {ids["Heroes"]: "dislike"}


def test_the_same_listen_from_two_programs_is_one(home, ids, tmp_path):
    import_events(home, write(tmp_path / "a", {"recenttracks": {"track": LASTFM}}))
    same = {"listened_at": NOON, "track_metadata": {"artist_name": "Miles Davis", "track_name": "Blue in Green"}}
    assert import_events(home, write(tmp_path / "b", [same])).n_known == 1


# --- out and back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_what_goes_out_comes_back(home, ids, tmp_path, name):
    """The same events, of the same listeners, in another data folder and in this one, where it adds nothing."""
    rng = np.random.default_rng(0)
    listeners, tracks = ("me", "=1+1", '\'=née; "x"', "-2"), list(ids.values())
    for number in range(60):
        who, track = listeners[number % 4], tracks[int(rng.integers(4))]
        share = None if number % 3 else float(rng.uniform())
        came = {"section": "@new", "rank": 1 + number, "propensity": float(rng.uniform(0.01, 1))} if number % 2 else {}
        home.opinions.add_play(
            track, float(rng.uniform(1, 300)), share=share, is_skip=number % 5 == 0, listener=who, **came
        )
        if number % 7 == 0:
            context = {"section": "more like this", "rank": 2, "propensity": 0.5} if number % 2 else {}
            home.opinions.judge(track, ("like", "dislike")[number % 2], listener=who, context=context)
    before = {who: home.opinions.events(who) for who in listeners}
    n = export_events(home, tmp_path / name)
    assert n == sum(map(len, before.values()))
    other = Workspace(tmp_path / "other")
    plant_tracks(other, home.catalogue.tracks("planted"))
    assert import_events(other, tmp_path / name).n_new == n and other.opinions.listeners() == sorted(listeners)
    for who in listeners:
        after = other.opinions.events(who)
        assert after.track_ids == before[who].track_ids
        for column in ("track", "at_s", "action", "seconds", "share", "propensity"):
            np.testing.assert_array_equal(getattr(after, column), getattr(before[who], column), err_msg=column)
    export_events(other, tmp_path / f"again {name}")
    assert (tmp_path / f"again {name}").read_bytes() == (tmp_path / name).read_bytes()
    assert import_events(home, tmp_path / name).n_new == 0
    assert export_events(home, tmp_path / "one.csv", listener="-2") == len(before["-2"])


def test_no_cell_that_goes_out_is_run(home, ids, tmp_path):
    home.opinions.add_play(ids["Heroes"], 5, listener="=cmd()", section="@x")
    export_events(home, tmp_path / "a.csv")
    header, row = (tmp_path / "a.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert row.startswith("'=cmd(),") and ",'@x," in row


def test_where_there_is_nothing_it_is_said(home, tmp_path):
    with pytest.raises(DataMissingError, match="Nobody has listened to anything yet"):
        export_events(home, tmp_path / "a.csv")


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"  \n\n ", "is empty"),
        (b"RIFF\0\0\0\0WAVEfmt ", "is no listening history"),
        (b"Dear diary,\ntoday I heard a song.\n", "is no listening history"),
        (b'{"name": "package", "version": 1}', "no record in it is understood"),
        (b"[1, 2, 3]", "no record in it is understood"),
        (b"[]", "no record in it is understood"),
        (b"artist,title\nA,B\n", "is no listening history"),
        (b"PAR1 and no more", "no Parquet"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"<html><body>Sign in</body></html>", "is no listening history"),
        (b"artist,title,time\n", "no record in it is understood"),
    ],
)
def test_a_file_of_another_kind_is_one_clear_sentence(home, ids, tmp_path, data, message):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(MessError, match=message) as caught:
        import_events(home, tmp_path / "file")
    assert "\n" not in str(caught.value.message) and caught.value.hint
    assert home.opinions.listeners() == []


def test_a_zip_of_other_things_and_what_is_no_file_are_refused(home, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photo.jpg", b"\xff\xd8\0")
    with pytest.raises(InputError, match=r"no listening history in a\.zip"):
        import_events(home, tmp_path / "a.zip")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "nowhere"):
        with pytest.raises(InputError):
            import_events(home, path)


WRONG = [
    (spotify("Heroes", "David Bowie", NOON, -5), "heard for -5 ms"),
    (spotify("Heroes", "David Bowie", NOON, 1e12), "heard for 1000000000000.0 ms"),
    (spotify("Heroes", "David Bowie", NOON, "much"), "heard for 'much' ms"),
    (spotify("Heroes", "David Bowie", NOON, float("nan")), "heard for nan ms"),
    (spotify("Heroes", "David Bowie", NOON, 10**400), "heard for"),
    ({**SPOTIFY[0], "ts": None}, "says no time"),
    ({**SPOTIFY[0], "ts": "yesterday"}, "'yesterday' is no time"),
    ({**SPOTIFY[0], "ts": "1969-12-31T23:59:59Z"}, "expected one since 1970"),
    ({**LISTENS[0], "listened_at": -1}, "Its time is -1"),
    ({**LISTENS[0], "listened_at": 1e300}, "Its time is 1e"),
    ({**LISTENS[0], "listened_at": True}, "True is no time"),
    ({**LISTENS[0], "track_metadata": None}, "says no track"),
    ({**LISTENS[0], "track_metadata": ["x"]}, "says no track"),
    ({**FEEDBACK[0], "score": 7}, "score is 7"),
    ({**LASTFM[0], "date": {"uts": "31 Feb"}}, "'31 Feb' is no time"),
    ({"artist": 7, "name": ["x"], "date": {"uts": NOON}}, "says no track"),
    ({"something": "else"}, "no listen of a kind that is known"),
]


@pytest.mark.parametrize(("record", "why"), WRONG, ids=range(len(WRONG)))
def test_a_record_that_is_none_is_named_and_stops_nothing(home, ids, tmp_path, record, why):
    taken = import_events(home, write(tmp_path / "a.json", [SPOTIFY[0], record, LISTENS[1]]))
    assert (taken.n_new, taken.n_refused) == (2, 1)
    place, said = taken.refused[0]
    assert place == "record 2" and why in said


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",,2024-05-01,,,", "says no track"),
        ("A,B,soon,,,", "'soon' is no time"),
        ("A,B,,,,", "says no time"),
        ("A,B,2024-05-01,-1,,", "seconds is '-1'"),
        ("A,B,2024-05-01,1e9,,", "seconds is '1e9'"),
        ("A,B,2024-05-01,,1.5,", "share is '1.5'"),
        ("A,B,2024-05-01,,nan,", "share is 'nan'"),
        ("A,B,2024-05-01,,,danced", "action is 'danced'"),
    ],
)
def test_a_row_that_is_none_is_named_and_stops_nothing(home, ids, tmp_path, row, why):
    good = "David Bowie,Heroes,2024-05-01,1,,"
    text = f"artist,title,time,seconds,share,action\n{good}\n{row}\n{good.replace('01', '02')}\n"
    taken = import_events(home, write(tmp_path / "a.csv", text))
    assert taken.n_new == 2 and taken.refused[0][0] == "line 3" and why in taken.refused[0][1]


def test_only_the_first_five_are_named_and_all_are_counted(home, ids, tmp_path):
    taken = import_events(home, write(tmp_path / "a.json", [SPOTIFY[0], *[{"no": "listen"}] * 20]))
    assert taken.n_refused == 20 and [place for place, _ in taken.refused] == [f"record {n}" for n in range(2, 7)]
    assert "20 records could not be understood" in taken.summary


def test_names_that_are_no_names_are_only_text(home, ids, tmp_path):
    hostile = ["\ud800", "'; DROP TABLE plays; --", "\0", "a" * 100_000, "\u202e", "../../etc/passwd", "=1+1", "%s{0}"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps([spotify(name, name, NOON, 1000) for name in [*hostile, "Heroes"]]), "ascii")
    taken = import_events(home, path)
    assert taken.n_refused + taken.n_passed_over + taken.n_unmatched == 9
    for name in taken.unmatched:
        name[0].encode()


def test_most_of_it_is_not_here(home, ids, tmp_path):
    """Of 20 000 listens one in twenty is known: those are kept, the others counted, the most frequent named."""
    strangers = [spotify(f"Song {n % 700}", f"Band {n % 90}", NOON + 60 * n, 1000) for n in range(18_000)]
    often = [spotify("Everywhere", "Radio", NOON + 60 * n, 1000) for n in range(1000)]
    known = [spotify("Heroes", "David Bowie", NOON + 60 * n, 1000) for n in range(1000)]
    taken = import_events(home, write(tmp_path / "a.json", strangers + often + known))
    assert (taken.n_new, taken.n_unmatched, len(taken.unmatched)) == (1000, 19_000, 10)
    assert taken.unmatched[0] == ("Radio – Everywhere", 1000) and len(told(home)) == 1000
    assert "19,000 events left out" in taken.summary
    plant_tracks(home, [named(5, "Everywhere", "Radio")])
    again = import_events(home, tmp_path / "a.json")
    assert (again.n_new, again.n_known) == (1000, 1000)


def test_what_is_recognised_better_when_music_was_added_moves(home, ids, tmp_path):
    """A misspelt neighbour was meant until the right one came; what else was heard in the same second stays."""
    document = [
        spotify("Heroees", "David Bowie", NOON, 1000),
        spotify("Moon River", "Audrey Hepburn", NOON, 1000),
        spotify("Heroees", "David Bowie", NOON + 60, 1000),
    ]
    path = write(tmp_path / "a.json", document)
    home.opinions.add_play(ids["Heroes"], 7)
    assert import_events(home, path).by_confidence == (("0.95", 1), ("0.6 to 0.85", 2))
    plant_tracks(home, [named(9, "Heroees", "David Bowie")])
    taken = import_events(home, path)
    assert (taken.n_new, taken.n_known, taken.n_moved) == (2, 1, 2)
    assert "2 events recognised as another recording than before" in taken.summary
    heard = sorted(row[0] for row in told(home))
    assert heard == ["Heroees", "Heroees", "Heroes", "Moon River"]  # of Heroes what was heard here
    assert import_events(home, path).n_moved == 0 and sorted(row[0] for row in told(home)) == heard


def test_clocks_in_the_future(home, ids, tmp_path):
    now = time.time()
    document = [spotify("Heroes", "David Bowie", at, 1000) for at in (now - 100, now + 1e6, now + 1e9)]
    taken = import_events(home, write(tmp_path / "a.json", document))
    assert taken.n_future == 2 and "2 events in the future" in taken.summary
    assert len(home.opinions.events()) == 3 and len(home.opinions.events(until_s=now)) == 1


def test_a_thousand_plays_of_one_track_in_a_night(home, ids, tmp_path):
    document = [spotify("Heroes", "David Bowie", NOON + 30 * n, 30_000) for n in range(1000)]
    assert import_events(home, write(tmp_path / "a.json", document)).n_new == 1000
    events = home.opinions.events()
    assert events.track_ids == (ids["Heroes"],) and home.opinions.seconds_heard() == {ids["Heroes"]: 30_000.0}


# --- long files -------------------------------------------------------------------------------------------

IMPORTS = r"""
import json, re, sys
from pathlib import Path
from mess_core.handover.events import import_events
from mess_core.workspace.workspace import Workspace
def peak_mb():  # of this program; `getrusage` tells that of whoever started it, where that was larger
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

home = Workspace(Path(sys.argv[1]))
len(home.opinions.events("nobody"))
import_events(home, Path(sys.argv[2]))
before = peak_mb()
taken = import_events(home, Path(sys.argv[3]))
print(json.dumps([taken.n_new + taken.n_known, taken.n_unmatched, taken.n_refused, peak_mb() - before]))
"""


def write_long(path: Path, n_bytes: int) -> tuple[int, int, int]:
    """A malformed history of so many bytes; how many of its records are known, strange, and broken."""
    counts = [0, 0, 0]
    with path.open("w") as file:
        file.write("[")
        at = 0
        while file.tell() < n_bytes:
            part = []
            for number in range(at, at + 1000):
                if number % 10 == 7:
                    part.append(json.dumps(spotify("Heroes", "David Bowie", NOON + number, 1000)))
                    counts[0] += 1
                elif number % 50 == 1:
                    part.append(json.dumps(SPOTIFY[0])[:-30] + '"open')
                    counts[2] += 1
                else:
                    part.append(json.dumps(spotify(f"Song {number}", f"Band {number % 9999}", NOON, 1000)))
                    counts[1] += 1
            at += 1000
            file.write(",\n".join(part) + ",\n")
        file.write("{}]")
        counts[2] += 1
    return counts[0], counts[1], counts[2]


def import_apart(home: Workspace, tmp_path: Path, path: Path) -> list:
    """What was taken, and by how many MB the peak of memory grew after a first, small import."""
    small = write(tmp_path / "small.json", [SPOTIFY[0]])
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(home.paths.root), str(small), str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_a_malformed_history_of_50_mb_takes_little_memory(home, ids, tmp_path):
    expected = write_long(tmp_path / "long.json", 50 * 10**6)
    *counts, grown_mb = import_apart(home, tmp_path, tmp_path / "long.json")
    assert tuple(counts) == expected
    assert 0 <= grown_mb < 100


@pytest.mark.slow
def test_two_processes_that_import_at_once_add_each_event_once(home, ids, tmp_path):
    document = [spotify("Heroes", "David Bowie", NOON + n, 1000) for n in range(20_000)]
    path = write(tmp_path / "a.json", document)
    code = (
        "import sys; from pathlib import Path; from mess_core.handover.events import import_events;"
        "from mess_core.workspace.workspace import Workspace;"
        "taken = import_events(Workspace(Path(sys.argv[1])), Path(sys.argv[2])); print(taken.n_new, taken.n_known)"
    )
    command = [sys.executable, "-c", code, str(home.paths.root), str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [process.communicate() for process in running]
    assert [error for _, error in ended] == ["", ""]
    new, known = zip(*(map(int, out.split()) for out, _ in ended), strict=True)
    assert sum(new) == 20_000 and sum(known) == 20_000
    assert len(home.opinions.events()) == 20_000 and check(home) == []


def test_what_was_kept_before_a_failure_is_known_the_next_time(home, ids, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PORTION", 10)
    path = write(tmp_path / "a.json", [spotify("Heroes", "David Bowie", NOON + n, 1000) for n in range(55)])
    take_in, portions = home.opinions.take_in, []

    def fails_at_last(told, origin):
        portions.append(len(told))
        if len(portions) == 4:
            raise OSError("no")
        return take_in(told, origin)

    monkeypatch.setattr(home.opinions, "take_in", fails_at_last)
    with pytest.raises(OSError, match="no"):
        import_events(home, path)
    assert len(home.opinions.events()) == 30
    monkeypatch.setattr(home.opinions, "take_in", take_in)
    taken = import_events(home, path)
    assert (taken.n_new, taken.n_known) == (25, 30)


# --- the command line -------------------------------------------------------------------------------------


def run(home, capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["--home", str(home.paths.root), "--json", "events", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_the_verbs(home, ids, tmp_path, capsys):
    path = write(tmp_path / "a.json", [*SPOTIFY, {"no": "listen"}])
    code, document = run(home, capsys, "import", str(path), "--listener", "Ada")
    assert code == 1 and (document["n_new"], document["n_matched"], document["n_refused"]) == (5, 5, 1)
    assert document["refused"][0]["name"] == "record 8" and document["listeners"] == ["Ada"]
    assert document["by_confidence"][0] == {"confidence": "0.95", "n": 3}
    code, document = run(home, capsys, "list")
    assert document["listeners"] == [
        {"listener": "Ada", "n_events": 5, "n_tracks": 3, "n_play": 3, "n_skip": 2, "n_like": 0, "n_dislike": 0}
    ]
    assert run(home, capsys, "export", str(tmp_path / "a.csv"))[1]["n_events"] == 5
    code, document = run(home, capsys, "forget", "--listener", "Ada", "--to", "2024-05-01T12:00:02")
    assert document == {"listener": "Ada", "n_events": 2, "forgotten": False} and len(home.opinions.events("Ada")) == 5
    code, document = run(home, capsys, "forget", "--listener", "Ada", "--to", "2024-05-01T12:00:02", "--yes")
    assert document["forgotten"] and len(home.opinions.events("Ada")) == 3
    assert run(home, capsys, "forget", "--listener", "Ada", "--yes")[1]["n_events"] == 3
    assert run(home, capsys, "list")[1] == {"listeners": []}


def test_the_verbs_in_words(home, ids, tmp_path, capsys):
    path = write(tmp_path / "a.json", [*LISTENS, SPOTIFY[1]])
    assert main(["--home", str(home.paths.root), "events", "import", str(path)]) == 0
    said = capsys.readouterr().out
    assert "3 events taken in, 0 known already." in said and "1 × Nobody – Nothing" in said
    main(["--home", str(home.paths.root), "events", "list"])
    assert capsys.readouterr().out == "me: 2 heard, 1 skipped, 0 liked, 0 disliked; 2 tracks\n"
    main(["--home", str(home.paths.root), "events", "forget"])
    assert capsys.readouterr().out == "3 entries of me. --yes forgets them.\n"
    main(["--home", str(home.paths.root), "events", "forget", "--yes"])
    assert "3 entries of me forgotten. Backups" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "needs a FILE"),
        (["export"], "needs a FILE"),
        (["import", "x", "--confidence", "2"], "--confidence is 2, expected 0 to 1"),
        (["forget", "--from", "yesterday"], "'yesterday' is no date"),
    ],
)
def test_wrong_use_is_said(home, capsys, arguments, message):
    try:
        code = main(["--home", str(home.paths.root), "events", *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err
