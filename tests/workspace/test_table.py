"""A user's own table: nothing of it is dropped, and what its columns hold can be said."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mess_core import open_library
from mess_core.cli.main import main
from mess_core.collections.manifest import parse_columns
from mess_core.encoders.mel import MEL
from mess_core.errors import InputError, MessError
from mess_core.handover.incoming import import_library
from mess_core.handover.outgoing import export_library
from mess_core.probing.discovery import groups_of
from mess_core.probing.result import ProbeSettings
from mess_core.workspace.workspace import Workspace

OWN = ["take", "Licence", "microphone pair", "remark", *(f"column {n}" for n in range(30))]


@pytest.fixture
def folder(write_wav) -> Path:
    """Four recordings and a table whose columns are called as its author calls them, in a file of another name."""
    rows = []
    for number in range(4):
        path = write_wav(f"t{number}", 3.0, number)
        names = {"recfile": path.name, "piece": f"Piece {number // 2}", "who": f"Player {number % 2}"}
        licence = {"Licence": "CC0" if number else "CC BY 4.0"}
        rows.append({**names, "composer": "N. N.", **{each: f"{each} of {number}" for each in OWN}, **licence})
    with (path.parent / "session log.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path.parent


MEANT = "recfile=audio,piece=work,who=performer"


def test_every_column_is_kept_and_those_that_were_said_are_names(folder, home, capsys):
    """Added by the table itself, on the command line; nothing of what is left is dropped."""
    root = str(home.paths.root)
    assert main(["--home", root, "add", str(folder / "session log.csv"), "--columns", MEANT]) == 0
    assert "4 of 4 recordings registered" in capsys.readouterr().out
    tracks = {track.title: track for track in home.catalogue.tracks(folder.name)}
    assert len(tracks) == 4
    first = tracks["t0"]
    assert (first.work, first.performer, first.composer) == ("Piece 0", "Player 0", "N. N.")
    kept = home.catalogue.details_of(first.track_id)
    assert kept == {**{name: f"{name} of 0" for name in OWN}, "Licence": "CC BY 4.0"}


def test_what_was_said_of_a_folder_is_remembered(folder, home):
    """Read again as the page reads it, without a word, the columns hold what they held."""
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    library.add(folder / "session log.csv", columns=parse_columns(MEANT))
    library.add(folder)
    assert {track.work for track in library.tracks} == {"Piece 0", "Piece 1"}
    assert len(home.catalogue.detail_names("music")) == len(OWN)
    (folder / "session log.csv").unlink()
    assert library.add(folder) == [] and {track.work for track in library.tracks} == {"Piece 0", "Piece 1"}


def test_a_table_of_our_name_needs_no_naming(folder, home):
    (folder / "session log.csv").rename(folder / "mess.csv")
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    assert library.add(folder, columns={"RECFILE": "audio", "piece": "work"}) == []
    assert {track.work for track in library.tracks} == {"Piece 0", "Piece 1"}
    assert "who" in home.catalogue.detail_names("music")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"recfile": "audio", "peice": "work"}, r"The table has no column 'peice'\. Did you mean piece\?"),
        ({"recfile": "audio", "piece": "wrok"}, r"There is no name for a column here 'wrok'\. Did you mean work\?"),
        ({"piece": "work"}, r"has no column audio or midi\. Its columns: recfile, .* --columns COLUMN=audio"),
    ],
)
def test_what_cannot_be_said_of_columns(folder, home, columns, sentence):
    with pytest.raises(MessError, match=sentence):
        open_library("music", encoder=MEL.id, home=home.paths.root).add(folder / "session log.csv", columns=columns)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("piece", "'piece' does not say what a column holds"), ("piece=", "does not say"), ("=work", "does not say"),
     ("a=work,a=title", "'a' is named twice"), ("a=titel", r"Did you mean title\?")],
)  # fmt: skip
def test_columns_as_they_are_typed(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_columns(text)


def test_what_is_no_table_has_no_columns(folder, home):
    with pytest.raises(MessError, match=r"t0\.wav is no table, so it has no columns"):
        open_library("music", encoder=MEL.id, home=home.paths.root).add(folder / "t0.wav", columns={"a": "work"})


def test_columns_beyond_what_is_kept_are_said(write_wav, home):
    path = write_wav("a", 3.0)
    names = [f"c{n}" for n in range(230)]
    (path.parent / "mess.csv").write_text(f"audio,{','.join(names)}\na.wav,{','.join(names)}\n", "utf-8")
    (failure,) = open_library("music", encoder=MEL.id, home=home.paths.root).add(path.parent)
    assert "230 columns of its own" in failure.message and len(home.catalogue.detail_names("music")) == 200


@pytest.mark.slow
def test_without_works_it_is_said_when_added_and_when_probed(folder, home, capsys):
    """A table that names none; and discovery, how many recordings name none."""
    root = str(home.paths.root)
    assert main(["--home", root, "add", str(folder / "session log.csv"), "--columns", "recfile=audio"]) == 0
    assert "None names its work" in capsys.readouterr().out
    library = open_library(folder.name, encoder=MEL.id, home=root)
    library.embed()
    settings = ProbeSettings(n_folds=2, n_repeats=1, n_bootstraps=0, n_permutations=0, without=("untrained",))
    (notice,) = library.discover(settings=settings).notices
    assert notice.startswith("None of 4 tracks names its work, so each counts as one: performances of one piece may be")
    assert library.discover("performer", settings=settings).notices == ()
    home.catalogue.edit(library.tracks[0].track_id, work="Piece 0")
    (notice,) = library.discover("work", settings=ProbeSettings(**{**vars(settings), "seed": 1})).notices
    assert notice.startswith("3 of 4 tracks name no work, so each of these counts as one")


@pytest.mark.slow
def test_any_kept_column_and_any_name_can_be_what_is_kept_apart(folder, home):
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    library.add(folder / "session log.csv", columns=parse_columns(MEANT))
    tracks, details = library.tracks, home.catalogue.details("music")
    assert len(set(groups_of(tracks, "take", details))) == 4 and len(set(groups_of(tracks, "Licence", details))) == 2
    assert len(set(groups_of(tracks, "composer", details))) == 1 and len(set(groups_of(tracks, "work", details))) == 2
    library.embed()
    settings = ProbeSettings(n_folds=2, n_repeats=1, n_bootstraps=0, n_permutations=0, without=("untrained",))
    assert library.discover("take", settings=settings).result.n_groups == 4
    with pytest.raises(InputError, match=r"Did you mean Licence\?"):
        library.discover("License", settings=settings)


@pytest.mark.slow
def test_licences_of_each_track_survive_being_handed_over(folder, home, tmp_path):
    """In the manifest in sum, and each with its track, there and back."""
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    library.add(folder / "session log.csv", columns=parse_columns(MEANT))
    library.embed()
    export_library(home, "music", tmp_path / "handed", None, lambda n_done, n_total: None)
    manifest = json.loads((tmp_path / "handed" / "manifest.json").read_text("utf-8"))
    assert [each["licence"] for each in manifest["collections"]] == ["CC0 (3), CC BY 4.0 (1)"]
    other = Workspace(tmp_path / "other")
    import_library(other, tmp_path / "handed", "music", lambda n_done, n_total: None)
    assert other.catalogue.details("music") == home.catalogue.details("music")
    assert {d["Licence"] for d in other.catalogue.details("music").values()} == {"CC0", "CC BY 4.0"}
