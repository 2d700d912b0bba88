"""Scanning: what a folder holds, again and again, while files, tables and people change it."""

import shutil

import numpy as np
import pretty_midi
import pytest

from mess_core.errors import InputError
from mess_core.workspace.scan import scan


@pytest.fixture
def write_midi(tmp_path):
    def write_midi(name: str):
        midi = pretty_midi.PrettyMIDI()
        piano = pretty_midi.Instrument(0)
        piano.notes = [pretty_midi.Note(80, 60 + n, n * 0.5, n * 0.5 + 0.4) for n in range(8)]
        midi.instruments.append(piano)
        path = tmp_path / "music" / name
        path.parent.mkdir(exist_ok=True)
        midi.write(str(path))
        return path

    return write_midi


def manifest(folder, *rows: str) -> None:
    (folder / "mess.csv").write_text("\n".join(["audio,midi,title,work,performer,split", *rows]), "utf-8")


def by_title(home, library="music"):
    return {track.title: track for track in home.catalogue.tracks(library)}


def test_a_table_describes_what_is_heard_and_describes_it_again(home, write_wav):
    """Names come from the table; a changed table changes them, without any file being opened again."""
    folder = write_wav("a", seed=1).parent
    write_wav("b", seed=2)
    manifest(folder, "a.wav,,Nocturne,op. 9,Ann,train", "b.wav,,Waltz,,Bob,test", "gone.wav,,Lost,,,")
    refused = []
    first = scan(home, folder, "music", on_refused=lambda name, error: refused.append((name, error.message)))
    assert (first.collection.id, first.n_new, first.n_refused) == ("manifest", 2, 1) and "gone.wav" in str(refused)
    nocturne = by_title(home)["Nocturne"]
    assert (nocturne.work, nocturne.performer, nocturne.split) == ("op. 9", "Ann", "train")
    assert nocturne.collection == "manifest"
    manifest(folder, "a.wav,,Nocturne,op. 27,Ann,train", "b.wav,,Waltz,,Bob,test")
    again = scan(home, folder, "music")
    assert (again.n_new, again.n_known) == (0, 2) and by_title(home)["Nocturne"].work == "op. 27"


def test_edits_by_hand_outlive_every_scan(home, write_wav):
    folder = write_wav("a").parent
    manifest(folder, "a.wav,,Nocturne,op. 9,Ann,")
    scan(home, folder, "music")
    track_id = by_title(home)["Nocturne"].track_id
    home.catalogue.edit(track_id, performer="  Clara ", work="")
    for _ in range(2):
        track = home.catalogue.track(track_id)
        assert (track.performer, track.work, track.title) == ("Clara", None, "Nocturne")
        scan(home, folder, "music")
    home.forget_tracks([track_id])  # and a removal: when the same content comes back, they fit again
    scan(home, folder, "music")
    assert home.catalogue.track(track_id).performer == "Clara"
    with pytest.raises(InputError, match="cannot be empty"):
        home.catalogue.edit(track_id, title=" ")
    with pytest.raises(InputError, match="'sha256'"):
        home.catalogue.edit(track_id, sha256="0")


def test_a_moved_file_is_the_same_track(home, write_wav, tmp_path):
    folder = write_wav("a").parent
    scan(home, folder, "music")
    (track,) = home.catalogue.tracks("music")
    (folder / "deeper").mkdir()
    shutil.move(folder / "a.wav", folder / "deeper" / "renamed.wav")
    scanned = scan(home, folder, "music")
    assert scanned.n_new == 1 and [each.track_id for each in home.catalogue.tracks("music")] == [track.track_id]
    assert home.catalogue.audio_path(track.track_id) == folder / "deeper" / "renamed.wav"
    assert home.catalogue.track(track.track_id).title == "a"  # a plain folder renames nothing


def test_midi_that_comes_later_is_seen_though_the_audio_is_not_opened_again(home, write_wav, write_midi):
    folder = write_wav("a").parent
    scan(home, folder, "music")
    (track,) = home.catalogue.tracks("music")
    midi = write_midi("a.mid")
    assert scan(home, folder, "music").n_known == 1
    assert home.catalogue.file_paths(track.track_id, "midi") == [midi]


def test_midi_alone_is_played_if_somebody_asks(home, write_midi):
    folder = write_midi("waltz.mid").parent
    manifest(folder, ",waltz.mid,Waltz,op. 3,Ann,")
    silent = scan(home, folder, "music")
    assert silent.n_silent == 1 and "--render" in silent.summary and home.catalogue.n_tracks("music") == 0
    assert scan(home, folder, "music", renders=True).n_new == 1
    track = by_title(home)["Waltz"]
    assert track.duration_s > 3.9 and "rendered" in track.instrument and track.performer == "Ann"
    assert home.catalogue.audio_path(track.track_id).is_relative_to(home.paths.root)
    assert len(home.catalogue.file_paths(track.track_id, "midi")) == 1
    assert scan(home, folder, "music", renders=True).n_recordings == 1 and home.catalogue.n_tracks("music") == 1


def test_one_midi_file_is_played_if_somebody_asks(home, write_midi):
    path = write_midi("waltz.mid")
    assert scan(home, path, "music").summary.endswith("1 has only MIDI: --render plays it with our synthesiser.")
    assert scan(home, path, "music", renders=True).n_new == 1


def test_one_bad_file_stops_nothing(home, write_wav):
    folder = write_wav("a").parent
    (folder / "b.wav").write_bytes(b"RIFF but no more")
    refused = []
    scanned = scan(home, folder, "music", on_refused=lambda name, error: refused.append(name))
    assert (scanned.n_new, scanned.n_refused, refused) == (1, 1, ["b.wav"])
    assert scanned.summary == "1 of 2 files registered."


def test_what_was_committed_stays_when_a_scan_is_ended(home, write_wav, monkeypatch):
    from mess_core.workspace import scan as module

    monkeypatch.setattr(module, "COMMIT_EVERY_S", -1.0)
    folder = write_wav("a", seed=1).parent
    for number in range(4):
        write_wav(f"b{number}", seed=2 + number)

    def stop(n_done, n_total, name):
        if n_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(home, folder, "music", on_progress=stop)
    assert home.catalogue.n_tracks("music") == 3
    assert (scan(home, folder, "music").n_known, home.catalogue.n_tracks("music")) == (3, 5)


def test_tracks_are_found_by_words_of_their_names(home, write_wav):
    folder = write_wav("a", seed=1).parent
    write_wav("b", seed=2), write_wav("c", seed=3)
    manifest(folder, "a.wav,,100% Nocturne,op. 9,Ann,", "b.wav,,Under_score,,Ann,", "c.wav,,Waltz,,Bob,test")
    scan(home, folder, "music")

    def titles(text, limit=None):
        tracks, n_found = home.catalogue.find("music", text, limit)
        return [track.title for track in tracks], n_found

    assert titles("") == (["100% Nocturne", "Under_score", "Waltz"], 3)
    assert titles("ann NOCT") == (["100% Nocturne"], 1) and titles("test bob") == (["Waltz"], 1)
    assert titles("0%") == (["100% Nocturne"], 1) and titles("r_s") == (["Under_score"], 1) and titles("!") == ([], 0)
    assert titles("", limit=2) == (["100% Nocturne", "Under_score"], 3) and titles("ann", 1)[1] == 2


def test_whatever_is_in_one_file_stops_nothing(home, write_wav, monkeypatch):
    """Also what no reader foresaw: the file is named with it, and the others are registered."""
    from mess_core.workspace import scan as module

    real = module.open_recording

    def fail(recording, name):
        if recording.audio.stem == "b":
            raise ZeroDivisionError("division by zero")
        return real(recording, name)

    monkeypatch.setattr(module, "open_recording", fail)
    folder = write_wav("a", seed=1).parent
    write_wav("b", seed=2), write_wav("c", seed=3)
    refused = []
    scanned = scan(home, folder, "music", on_refused=lambda name, error: refused.append((name, error.message)))
    assert (scanned.n_new, refused) == (2, [("b.wav", "It cannot be used: ZeroDivisionError, division by zero.")])


def test_what_the_tags_say_is_on_the_track_and_an_album_is_capped_across_discs(home, tmp_path):
    """Two discs in two folders are one album; without such a tag the folder is."""
    import soundfile

    from mess_core.search.track_facts import facts_of

    for disc in (1, 2):
        for number in (1, 2):
            path = tmp_path / "music" / f"CD{disc}" / f"{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            with soundfile.SoundFile(path, "w", 24_000, 1) as file:
                file.album, file.artist = "Box", "Ann"
                file.write(np.random.default_rng(10 * disc + number).standard_normal(24_000) * 0.1)
    soundfile.write(tmp_path / "music" / "CD1" / "plain.wav", np.ones(24_000) * 0.1, 24_000)
    scan(home, tmp_path / "music", "music")
    tracks = home.catalogue.tracks("music")
    albums = [facts_of(home, track.track_id).album for track in tracks]
    assert sorted(map(albums.count, albums)) == [1, 4, 4, 4, 4]
    assert sum(track.album == "Box" and track.performer == "Ann" for track in tracks) == 4


def test_details_are_kept_found_and_replaced_by_the_table(home, write_wav):
    """All columns of the table, by their names; another table takes their place, a plain folder leaves them."""
    folder = write_wav("a").parent
    (folder / "mess.csv").write_text("audio,title,era,level\na.wav,Nocturne,romantic,4\n", "utf-8")
    scan(home, folder, "music")
    (track,) = home.catalogue.tracks("music")
    assert home.catalogue.details("music") == {track.track_id: {"era": "romantic", "level": "4"}}
    assert home.catalogue.detail_names("music") == ["era", "level"]
    assert home.catalogue.find("music", "ROMANTIC noct")[1] == 1
    (folder / "mess.csv").write_text("audio,title,level\na.wav,Nocturne,5\n", "utf-8")
    scan(home, folder, "music")
    assert home.catalogue.details_of(track.track_id) == {"level": "5"}
    (folder / "mess.csv").unlink()
    scan(home, folder, "music")
    assert home.catalogue.details_of(track.track_id) == {"level": "5"}


def test_audio_that_the_table_does_not_name_is_counted(home, write_wav):
    folder = write_wav("a", seed=1).parent
    write_wav("b", seed=2)
    manifest(folder, "a.wav,,Nocturne,,,")
    assert scan(home, folder, "music").summary.endswith(
        "1 of 1 recording registered. 1 other file is not in the table."
    )


def test_what_a_collection_does_not_know_is_counted(home, write_midi, tmp_path):
    """Six files named as SMD names them, and another beside them."""
    folder = tmp_path / "midi"
    folder.mkdir()
    for name in ("Bach_BWV849-01_001_20090916-SMD", "Bach_BWV849-02_001_20090916-SMD", "my own tune"):
        shutil.copy(write_midi("one.mid"), folder / f"{name}.mid")
    scanned = scan(home, folder, "music")
    assert scanned.collection.id == "smd" and scanned.n_silent == 2 and scanned.n_unlisted == 1
    assert "1 other file is not part of it: --dataset folder takes everything." in scanned.summary
    assert scan(home, folder, "music", "folder").n_silent == 3


@pytest.mark.slow
def test_of_very_many_that_are_refused_the_first_are_named(home, write_wav):
    folder = write_wav("a").parent
    (folder / "mess.csv").write_text("audio\na.wav\n" + "".join(f"gone{n}.wav\n" for n in range(5000)), "utf-8")
    refused = []
    scanned = scan(home, folder, "music", on_refused=lambda name, error: refused.append(name))
    assert scanned.n_refused == 5000 and len(refused) == 2001 and refused[-1] == "3,000 more"
