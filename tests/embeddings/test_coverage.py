"""Coverage: what the database counts is what counting row by row gives, whatever libraries share the tracks."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.catalogue import ALL, FILTERS, NAMES, Track, track_id_of
from mess_core.embeddings.store import remember_encoder
from mess_core.encoders.hearings import SAME_SOUND
from mess_core.encoders.registry import encoder_info
from mess_core.workspace.scope import Scope, count_segments
from tests.conftest import FakeEncoder

LENGTHS_S = (0.0, 1e-9, 1.0, 5.0, 5.00002, 7.5, 7.50002, 22.5, 3600.0)
LIBRARIES = ("most", "few", "none")
WORDS = ("Étude", "étude", "100%", "under_score", "wow!", "Anna", "anna", "piano", "a b", "x\u00a0y")


@pytest.fixture
def mixed(home):
    """Tracks with odd names and lengths, in one library, two or none; embedded by one encoder, both or neither."""
    home.database.connection.execute("PRAGMA synchronous = OFF")
    rng = np.random.default_rng(0)
    encoders = [FakeEncoder().info, replace(FakeEncoder().info, id="other", title="Other")]
    with home.database.transaction() as connection:
        for info in encoders:
            remember_encoder(connection, info)
    for number in range(150):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        names = {name: str(rng.choice(WORDS)) for name in (*NAMES[1:], "collection") if rng.random() < 0.3}
        length_s = LENGTHS_S[number % len(LENGTHS_S)] if number < 100 else float(rng.uniform(0, 100))
        title = f"{rng.choice(WORDS)} {number % 40}"
        track = Track(track_id_of(sha256), sha256, title, length_s, 44_100, 1, "WAV", **names)
        library = "most" if number % 5 else "few"
        home.catalogue.add_nameless(track, library)
        if number % 10 == 5:
            home.catalogue.add_to_library("most", [track.track_id])
        if number % 3 == 0:
            home.catalogue.add_details({track.track_id: {str(rng.choice(["mood", "ID"])): str(rng.choice(WORDS))}})
        with home.database.transaction() as connection:
            for n, info in enumerate(encoders):
                if rng.random() < (0.7, 0.3)[n]:
                    values = (track.track_id, info.fingerprint, f"{n}/{number}", sha256, 1, 1, 0.0)
                    connection.execute("INSERT INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            if number % 30 == 7:  # an upload
                connection.execute("DELETE FROM library_tracks WHERE track_id = ?", (track.track_id,))
    return home, encoders


@pytest.mark.parametrize("library", [*LIBRARIES, ALL])
def test_what_is_counted_is_what_is_there(mixed, library):
    home, encoders = mixed
    for info in encoders:
        scope = Scope(home, library, info)
        known, tracks = home.store.known(info), home.catalogue.tracks(library)
        done = [track for track in tracks if track.track_id in known]
        segments = [count_segments(track.duration_s, info) for track in tracks]
        n_done = sum(count_segments(track.duration_s, info) for track in done)
        coverage = scope.coverage
        assert (coverage.n_tracks, coverage.n_embedded) == (len(tracks), len(done)) == (len(tracks), scope.n_embedded)
        assert (coverage.n_segments, coverage.n_segments_embedded) == (sum(segments), n_done)
        assert scope.share_embedded == (n_done / sum(segments) if tracks else 0.0)
        estimate = scope.estimate()
        assert (estimate.n_tracks, estimate.n_segments) == (len(tracks) - len(done), sum(segments) - n_done)
        assert len(scope.missing_tracks) == estimate.n_tracks
        for most in (0, 1, 7, 1000):
            assert scope.some_embedded_ids(most) == scope.embedded_ids[:most]
        first = min(done, key=lambda track: (track.title, track.track_id), default=None)
        assert scope.first_embedded_id == (None if first is None else first.track_id)
        ids = [track.track_id for track in tracks[::2]]
        assert home.store.among(info, [*ids, "of nobody"]) == {each for each in ids if each in known}
    assert library == "none" or coverage.n_embedded


def test_what_is_counted_is_counted_again(mixed):
    home, (info, _) = mixed
    scope = Scope(home, "most", info)
    before, gone, n_before = scope.coverage, scope.some_embedded_ids(1), home.catalogue.n_tracks("most")
    home.catalogue.remove_tracks(gone)
    after = scope.coverage
    assert (after.n_tracks, after.n_embedded) == (before.n_tracks - 1, before.n_embedded - 1)
    assert scope.some_embedded_ids(1) != gone and home.catalogue.n_tracks("most") == n_before - 1
    assert {each.name: each.n_tracks for each in home.catalogue.libraries()}["most"] == n_before - 1


def test_a_hearing_has_embedded_what_each_of_its_encoders_has(home):
    info = encoder_info(SAME_SOUND, home.paths)
    assert len(info.encoders) == 2
    sounds = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(8)]
    with home.database.transaction() as connection:
        for each in info.encoders:
            remember_encoder(connection, each)
    for number, sha256 in enumerate(sounds):
        home.catalogue.add_nameless(Track(track_id_of(sha256), sha256, "t", 9.0, 44_100, 1, "WAV"), "music")
        with home.database.transaction() as connection:
            for n, each in enumerate(info.encoders):
                if number >> n & 1:
                    values = (track_id_of(sha256), each.fingerprint, f"{n}/{number}", sha256, 1, 1, 0.0)
                    connection.execute("INSERT INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    scope = Scope(home, "music", info)
    both = sorted(track_id_of(sounds[number]) for number in (3, 7))
    assert scope.n_embedded == scope.coverage.n_embedded == 2
    assert scope.some_embedded_ids(9) == scope.embedded_ids == both
    assert home.store.among(info, scope.workspace.catalogue.track_ids("music")) == set(both)


# --- what the catalogue reads of a library, by either way ---------------------------------------------------------


@pytest.mark.parametrize("library", [*LIBRARIES, ALL])
@pytest.mark.parametrize(("most_passed", "most_listed"), [(0, 2), (1, 50_000), (1_000_000, 2), (1_000_000, 50_000)])
def test_a_library_is_read_alike_by_either_way(mixed, library, most_passed, most_listed, monkeypatch):
    """Passing over the rows of other libraries, or looking for each of its own; few that are found, or many."""
    from mess_core.catalogue import catalogue as module

    home, _ = mixed
    monkeypatch.setattr(module, "MOST_PASSED", most_passed)
    monkeypatch.setattr(module, "MOST_LISTED", most_listed)
    catalogue = home.catalogue
    tracks = catalogue.tracks(library)
    ids = [track.track_id for track in tracks]
    assert ids == sorted(set(ids)) == catalogue.track_ids(library) and len(ids) == catalogue.n_tracks(library)
    assert catalogue.first_ids(library, 3) == ids[:3]
    assert catalogue.length_s(library) == pytest.approx(sum(track.duration_s for track in tracks), rel=1e-12)
    for name in FILTERS:
        assert catalogue.names(library)[name] == sorted({value for t in tracks if (value := getattr(t, name))})
    assert set(catalogue.labels(library)) == set(catalogue.added_s(library)) == set(ids)
    told = catalogue.details_of_many(ids)
    assert told == catalogue.details(library)
    assert catalogue.detail_names(library) == list(dict.fromkeys(name for each in ids for name in told.get(each, ())))
    ordered = sorted(tracks, key=lambda track: (track.title, track.track_id))
    assert catalogue.find(library, "", 5) == (ordered[:5], len(ids)) and catalogue.find(library)[0] == ordered
    some_id = ids[0] if ids else "0" * 16
    for text in ("anna", "ÉTUDE", "étude 3", "100%", "_", "!", "w!", "a b", "piano Anna", "nowhere", some_id, "%"):

        def is_found(track: Track, text: str = text) -> bool:
            values = [getattr(track, name) or "" for name in NAMES] + list(told.get(track.track_id, {}).values())
            return all(word == track.track_id or any(_has(value, word) for value in values) for word in text.split())

        expected = [track for track in ordered if is_found(track)]
        assert catalogue.find(library, text, 4) == (expected[:4], len(expected)), text


def _has(value: str, word: str) -> bool:
    """As SQLite compares: letters of the English alphabet in either case, all others as they are."""
    return _lower(word) in _lower(value)


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def test_a_library_that_is_everything_is_read_without_looking_for_its_rows(home):
    for number in range(3):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        home.catalogue.add_nameless(Track(track_id_of(sha256), sha256, f"t{number}", 9.0, 44_100, 1, "WAV"), "music")
    assert home.catalogue.find("music", "t1")[1] == 1
    with home.database.transaction() as connection:  # it is everything no more
        connection.execute("DELETE FROM library_tracks WHERE track_id = ?", (home.catalogue.track_ids("music")[0],))
    titles = [track.title for track in home.catalogue.tracks("music")]
    assert sorted(titles) == [track.title for track in home.catalogue.find("music", "t")[0]] and len(titles) == 2
