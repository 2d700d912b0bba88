"""Same music, any key, from sound to answer: a transposed performance is found, and its key said."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from mess_core.cli.main import main
from mess_core.collections.demo import PERFORMERS, perform, plan_demo
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.hearings import ANY_KEY
from mess_core.encoders.nano import NANO
from mess_core.errors import InputError
from mess_core.handover.exports import as_csv, as_json
from mess_core.handover.served import build_served
from mess_core.library import Library, open_library
from mess_core.notes.synthesis import SAMPLE_RATE_HZ, render
from mess_core.search.answers import build_index
from mess_core.search.comparisons import map_moments
from mess_core.workspace.scope import scope_of, scope_to_listen

pytestmark = pytest.mark.slow

N_PIECES = 10


def play(path: Path, piece: int, up: int = 0, instrument: str | None = None) -> Path:
    """A piece of the demo library by its first performer, so many semitones higher."""
    plan = plan_demo()[piece * len(PERFORMERS)]
    heard = perform(plan)
    notes = [replace(note, pitch=note.pitch + up) for note in heard.notes]
    sound = render(notes, heard.pedal, instrument or plan.instrument, duration_s=heard.duration_s)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, sound, SAMPLE_RATE_HZ)
    return path


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    """Ten pieces, by chroma alone."""
    folder = tmp_path_factory.mktemp("any key")
    for piece in range(N_PIECES):
        play(folder / "music" / f"piece {piece}.wav", piece)
    library = open_library("music", encoder=ANY_KEY, home=folder / "home")
    library.add(folder / "music")
    assert library.embed() == [] and len(library.scope.workspace.store.known(CHROMA)) == N_PIECES
    return library


def as_heard_by(library: Library, encoder: str) -> Library:
    return open_library("music", encoder=encoder, home=library.scope.workspace.paths.root)


@pytest.mark.parametrize("up", [1, -3])
def test_what_is_transposed_is_found_and_its_key_told(library, tmp_path, up) -> None:
    """Each of ten pieces; by the same pitch classes in their own key fewer than half are."""
    chroma = as_heard_by(library, CHROMA.id)
    first_by_chroma = []
    for piece in range(N_PIECES):
        query = play(tmp_path / "query.wav", piece, up)
        nearest = library.similar(query).found[0]
        assert (nearest.track.title, nearest.neighbour.semitones) == (f"piece {piece}", -up)
        plain = chroma.similar(query).found
        assert all(item.neighbour.semitones is None for item in plain)
        first_by_chroma.append(plain[0].track.title == f"piece {piece}")
    assert sum(first_by_chroma) < N_PIECES / 2


def test_its_passage_is_found_in_its_place(library, tmp_path) -> None:
    """To a quarter of a second, by its sound in the other key; the very same sound it is not."""
    query = play(tmp_path / "query.wav", 4, 2)
    found = library.similar(query, passage=(5.0, 12.0))
    nearest = found.found[0]
    assert (nearest.track.title, nearest.neighbour.semitones) == ("piece 4", -2)
    assert nearest.moment is not None and nearest.moment.track_s == pytest.approx(5.0, abs=0.25)
    assert not any("very same sound" in sentence for sentence in found.plan.notices)
    octave = library.similar(play(tmp_path / "octave.wav", 4, 12), passage=(5.0, 12.0)).found[0]
    assert (octave.track.title, octave.neighbour.semitones) == ("piece 4", 0)


def test_moments_are_in_the_key_of_the_whole(library, tmp_path) -> None:
    """The same performance, moved: what sounds at once is alike, in the table as in the map of moments."""
    found = library.similar(play(tmp_path / "query.wav", 2, -4))
    nearest = found.found[0]
    assert nearest.track.title == "piece 2" and nearest.moment.query_s == nearest.moment.track_s
    moments = map_moments(build_index(found.plan), found.plan, found.query, nearest.track.track_id)
    assert all(pair[0] == pair[1] for pair in moments.path)
    assert moments.moments[0].similarity == nearest.moment.similarity


def test_the_key_is_said_in_every_export(library, tmp_path, capsys) -> None:
    query = play(tmp_path / "query.wav", 3, 2)
    found = library.similar(query, k=3)
    assert [result["semitones"] for result in json.loads(as_json(found))["results"]] == [
        item.neighbour.semitones for item in found.found
    ]
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert rows[0]["semitones"] == "-2"
    plain = as_heard_by(library, CHROMA.id).similar(query, k=3)
    assert "semitones" not in as_csv(plain).splitlines()[0]
    home = str(library.scope.workspace.paths.root)
    assert main(["--home", home, "similar", str(query), "--encoder", ANY_KEY, "-k", "1"]) == 0
    assert "piece 3  (two semitones lower)" in capsys.readouterr().out


def test_it_is_asked_for_by_name_and_is_no_index_for_others(library) -> None:
    """Where nothing else has heard the library, either."""
    workspace = library.scope.workspace
    assert scope_to_listen(workspace, "music").info == NANO
    assert scope_of(workspace, "music", ANY_KEY).n_embedded == N_PIECES
    with pytest.raises(InputError, match="no other search engine"):
        build_served(library.scope)
