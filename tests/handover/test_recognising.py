"""Recognising tracks by their names: planted names come back however they are written, and no others."""

from __future__ import annotations

import random
import time

import pytest

from mess_core.catalogue.catalogue import NewTrack, Track
from mess_core.handover.listens import Listen
from mess_core.handover.recognising import BY_ID, BY_NAMES, FUZZY_HIGH, FUZZY_LOW, WITHOUT_REMARKS, TrackNames
from tests.planted import a_track, plant_tracks


def plant(home, *facts: dict) -> list[str]:
    """Tracks of these facts; their ids in this order."""
    tracks = [Track(**{**vars(a_track(number)), "title": "untitled", **each}) for number, each in enumerate(facts)]
    folder = home.paths.root.parent / "planted"
    folder.mkdir(exist_ok=True)
    new = []
    for number, track in enumerate(tracks):
        (folder / "in").mkdir(exist_ok=True)
        audio = folder / "in" / f"file {number}.wav"
        audio.write_bytes(b"")
        new.append(NewTrack(track, audio))
    home.catalogue.add(folder, new, "planted")
    return [track.track_id for track in tracks]


def listen(artist: str = "", title: str = "", **facts) -> Listen:
    return Listen(0.0, "play", artist, title, **facts)


SONG = {"title": "Bohemian Rhapsody", "performer": "Queen", "album": "A Night at the Opera", "duration_s": 354.0}


@pytest.mark.parametrize(
    ("artist", "title", "confidence"),
    [
        ("Queen", "Bohemian Rhapsody", BY_NAMES),
        (" QUEEN ", "Bohémian   rhapsody!", BY_NAMES),
        ("Queen", "Bohemian Rhapsody - Remastered 2011", WITHOUT_REMARKS),
        ("Queen", "Bohemian Rhapsody (Live at Wembley) [Bonus]", WITHOUT_REMARKS),
        ("Queen feat. The Muppets", "Bohemian Rhapsody", WITHOUT_REMARKS),
        ("Queen; The Muppets", "Bohemian Rhapsody", BY_NAMES),
        ("Queen", "Bohemian Rapsody", "fuzzy"),
        ("The Queen", "Bohemian Rhapsody", "fuzzy"),
        ("Queen", "Rhapsody, Bohemian", "fuzzy"),
        ("Kings", "Bohemian Rhapsody", None),
        ("Queen", "Bohemian Rhapsody No. 2", None),
        ("Queen", "Another One Bites the Dust", None),
        ("", "Bohemian Rhapsody", None),
        ("Queen", "", None),
        ("???", "!!!", None),
    ],
)
def test_a_song_and_how_sure_it_is(home, artist, title, confidence):
    (song, _) = plant(home, SONG, {"title": "Bohemian Like You", "performer": "The Dandy Warhols"})
    found = TrackNames(home).find(listen(artist, title))
    if confidence is None:
        assert found is None
    else:
        assert found and (found.track_id, found.duration_s) == (song, 354.0)
        assert FUZZY_LOW <= found.confidence <= FUZZY_HIGH if confidence == "fuzzy" else found.confidence == confidence
        assert TrackNames(home, found.confidence).find(listen(artist, title)) == found
        assert TrackNames(home, found.confidence + 0.01).find(listen(artist, title)) is None


def test_ids_and_paths_go_before_names(home):
    song, other = plant(home, SONG, {**SONG, "title": "Other"})
    with home.database.transaction() as connection:
        connection.execute("INSERT INTO details VALUES (?, 'MusicBrainz_TrackId', 'ABCD-1')", (other,))
        connection.execute("INSERT INTO replaced VALUES ('0ld', ?, 0)", (other,))
    names = TrackNames(home)
    root = home.paths.root.parent / "planted"
    for told in (
        {"track_id": other}, {"track_id": "0ld"}, {"path": "in/file 1.wav"}, {"path": r"in\file 1.wav"},
        {"path": str(root / "in" / "file 1.wav")}, {"path": "/elsewhere/file 1.wav"}, {"mbid": "abcd-1"},
    ):  # fmt: skip
        found = names.find(listen("Queen", "Bohemian Rhapsody", **told))
        assert found and (found.track_id, found.confidence) == (other, BY_ID), told
    for told in ({"track_id": "nonsense"}, {"path": "file 9.wav"}, {"mbid": "x"}):
        found = names.find(listen("Queen", "Bohemian Rhapsody", **told))
        assert found and (found.track_id, found.confidence) == (song, BY_NAMES), told


def test_classical_recordings_are_found_by_who_plays_or_wrote(home):
    """By composer and work only the length tells who of two plays; of one there is no question."""
    sonata = {"title": "01 Maestoso", "work": "Piano Sonata No. 32", "composer": "Ludwig van Beethoven"}
    arrau, pires, fifth = plant(
        home, {**sonata, "performer": "Claudio Arrau", "duration_s": 560.0},
        {**sonata, "performer": "Maria João Pires", "duration_s": 530.0},
        {"title": "x", "work": "Symphony No. 5", "composer": "Ludwig van Beethoven"},
    )  # fmt: skip
    names = TrackNames(home)

    def found(*arguments, **facts) -> str | None:
        match = names.find(listen(*arguments, **facts))
        return match and match.track_id

    assert found("Claudio Arrau", "Piano Sonata No. 32") == arrau
    assert found("Maria Joao Pires", "01 Maestoso") == pires
    assert found("Ludwig van Beethoven", "Piano Sonata No. 32") is None
    assert found("Ludwig van Beethoven", "Piano Sonata No. 32", duration_s=531.0) == pires
    assert found("Ludwig van Beethoven", "Piano Sonata No. 32", duration_s=545.0) is None
    assert found("Beethoven, Ludwig van", "Symphony No. 5") == fifth
    assert found("Ludwig van Beethoven", "Symphony No. 6") is None
    assert found("Ludwig van Beethoven", "Symphony no. 5 (Karajan)") == fifth


def test_of_recordings_with_one_name_album_and_length_decide(home):
    studio, live = plant(home, SONG, {**SONG, "album": "Live Killers", "duration_s": 300.0})
    names = TrackNames(home)
    for facts, expected in (
        ({"album": "live killers"}, live),
        ({"album": "A Night at the Opera"}, studio),
        ({"duration_s": 301.0}, live),
        ({"duration_s": 353.0}, studio),
        ({}, min(studio, live)),  # two copies of one song: the first, always the same
        ({"album": "another"}, min(studio, live)),
    ):
        found = names.find(listen("Queen", "Bohemian Rhapsody", **facts))
        assert found and found.track_id == expected, facts


def test_two_that_are_nearly_alike_are_a_guess_and_none(home):
    plant(
        home,
        {"title": "Bohemian Rhapsodya", "performer": "Queen"},
        {"title": "Bohemian Rhapsodyb", "performer": "Queen"},
    )
    assert TrackNames(home).find(listen("Queen", "Bohemian Rhapsodyc")) is None


@pytest.mark.slow
def test_thousands_of_names_take_seconds(home):
    """A letter is missing: of 2000 most are found, none is another; 2000 strangers are none. Not all are compared."""
    rng = random.Random(0)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]

    def word() -> str:
        return "".join(rng.choices(syllables, k=rng.randint(2, 4)))

    def name(n: int) -> str:
        return " ".join(word() for _ in range(n)).title()

    bands = [name(2) for _ in range(300)]
    songs = [(rng.choice(bands), name(3)) for _ in range(4000)]
    tracks = [
        Track(**{**vars(a_track(number)), "title": title, "performer": band})
        for number, (band, title) in enumerate(songs)
    ]
    plant_tracks(home, tracks)
    names = TrackNames(home)
    began = time.perf_counter()
    n_found = 0
    for track in tracks[:2000]:
        at = rng.randrange(1, len(track.title) - 1)
        found = names.find(listen(track.performer or "", track.title[:at] + track.title[at + 1 :]))
        assert found is None or found.track_id == track.track_id
        n_found += found is not None
    assert n_found > 1900  # where a letter is missing from a short word, or two words are one, too little is shared
    n_mistaken = sum(names.find(listen(rng.choice(bands), name(3))) is not None for _ in range(2000))
    assert n_mistaken == 0
    assert time.perf_counter() - began < 30  # about 2 s; compared with all it would be minutes
