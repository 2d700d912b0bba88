"""Vectors of another program: an encoder like any other, but that it embeds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mess_core import open_library
from mess_core.cli.main import main
from mess_core.encoders.registry import encoder_ids, encoder_info, load_encoder
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.incoming import import_library
from mess_core.handover.outgoing import export_library
from mess_core.handover.vectors import import_vectors
from mess_core.upkeep.check import check
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.handover.conftest import nearest
from tests.planted import TWO_LAYERS, plant_heard_library

pytestmark = pytest.mark.slow


def write_vectors(folder: Path, vectors: np.ndarray, names: list[str]) -> tuple[Path, Path]:
    np.save(folder / "v.npy", vectors, allow_pickle=True)
    (folder / "ids.txt").write_text("\n".join(names) + "\n", "utf-8")
    return folder / "v.npy", folder / "ids.txt"


@pytest.fixture(params=[(5,), (3, 4)], ids=["one layer", "three layers"])
def table(request, home, tmp_path) -> tuple[Workspace, list[str], np.ndarray, tuple[Path, Path]]:
    """Forty tracks, and vectors of another program for each."""
    ids = plant_heard_library(home, TWO_LAYERS)
    vectors = np.random.default_rng(1).standard_normal((len(ids), *request.param))
    return home, ids, vectors, write_vectors(tmp_path, vectors, ids)


def test_imported_vectors_are_an_encoder(table, tmp_path):
    """Search gives the centred cosine; the same again changes nothing; the data folder may be moved."""
    home, ids, vectors, files = table
    found = import_vectors(home, "other", *files, "planted")
    assert (found.n_rows, found.n_new, found.n_known, found.refused) == (40, 40, 0, ())
    info = encoder_info("imported:other", home.paths)
    assert info == found.info and info.licence == "unknown"
    assert "imported:other" in encoder_ids(home.paths) and "imported:other" not in encoder_ids()
    layers = vectors.reshape(40, -1, vectors.shape[-1]).astype(np.float32)
    assert np.array_equal(home.store.load(ids, info).vectors, layers)
    centred = layers - layers.mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=-1, keepdims=True)
    cosines = np.einsum("ld,nld->nl", units[0], units).mean(axis=1)
    expected = [ids[row] for row in np.argsort(-cosines) if row != 0][:10]
    assert [track_id for track_id, _ in nearest(home, ids[0], "planted", info.id)] == expected
    again = import_vectors(home, "other", *files, "planted")
    assert (again.n_new, again.n_known) == (0, 40)
    assert check(home) == []
    with pytest.raises(InputError, match="stands for other vectors"):
        import_vectors(home, "other", *write_vectors(tmp_path, vectors + 1, ids), "planted")


def test_imported_vectors_are_probed_and_mapped(table):
    home, _, _, files = table
    info = import_vectors(home, "other", *files, "planted").info
    run = ["--home", str(home.paths.root)]
    submit(home, ProbeRequest("planted", info.id))
    submit(home, MapRequest("planted", info.id, layer=0))
    work(home)
    assert [home.jobs.latest(kind).state for kind in ("probe", "map")] == ["done", "done"]
    assert Scope(home, "planted", info).discovery().result.n_groups == 20
    assert main([*run, "map", "--encoder", info.id, "--library", "planted", "--json"]) == 0


def test_imported_vectors_embed_nothing(table, write_wav, capsys):
    home, ids, _, files = table
    import_vectors(home, "other", *files, "planted")
    with pytest.raises(DataMissingError, match="cannot embed"):
        load_encoder("imported:other", home.paths)
    run = ["--home", str(home.paths.root)]
    assert main([*run, "similar", str(write_wav("new")), "--encoder", "imported:other", "--json"]) == 2
    assert "cannot embed" in json.loads(capsys.readouterr().out)["error"]
    assert main([*run, "extract", "--encoder", "imported:other", "--json"]) == 2
    capsys.readouterr()
    assert main([*run, "similar", ids[3], "--encoder", "imported:other", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 10


def test_imported_vectors_are_handed_over(table, tmp_path):
    """Out and in again, with what the encoder is."""
    home, ids, _, files = table
    info = import_vectors(home, "other", *files, "planted").info
    export_library(home, "planted", tmp_path / "export", [info.id])
    other = Workspace(tmp_path / "other")
    assert import_library(other, tmp_path / "export").elsewhere == ()
    assert nearest(other, ids[0], "planted", info.id) == nearest(home, ids[0], "planted", info.id)


def test_rows_are_named_by_title_or_file(home, tmp_path):
    ids = plant_heard_library(home, TWO_LAYERS)
    titles = {track.track_id: track.title for track in home.catalogue.tracks("planted")}
    names = [ids[0], titles[ids[1]], f"{titles[ids[2]]}.wav", "nosuch", titles[ids[4]], titles[ids[5]]]
    with home.database.transaction() as connection:
        connection.execute("UPDATE tracks SET title = ? WHERE track_id = ?", (titles[ids[4]], ids[6]))
    vectors = np.ones((6, 2))
    vectors[5, 1] = np.nan
    found = import_vectors(home, "some", *write_vectors(tmp_path, vectors, names))
    assert found.n_new == 3 and [name for name, _ in found.refused] == names[3:]
    assert [why for _, why in found.refused] == [
        "no such track in this library", "names 2 tracks of this library", "its vector holds a NaN or infinity"
    ]  # fmt: skip
    assert home.store.known(found.info).keys() == set(ids[:3])


@pytest.mark.parametrize(
    ("vectors", "n_names", "text"),
    [
        (np.ones((3, 2)), 4, "has 3 rows, ids.txt has 4 lines"),
        (np.ones(3), 3, r"shape \(3,\)"),
        (np.ones((3, 0)), 3, r"shape \(3, 0\)"),
        (np.full((3, 2), 1j), 3, "real numbers"),
        (np.full((3, 2), None), 3, "no .npy file"),  # pickled objects
        (np.full((3, 2), np.inf), 3, "No row"),
        (np.full((3, 2), 1e39), 3, "No row"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(home, tmp_path, vectors, n_names, text):
    ids = plant_heard_library(home, TWO_LAYERS)
    files = write_vectors(tmp_path, vectors, ids[:n_names])
    with pytest.raises(InputError, match=text):
        import_vectors(home, "bad", *files)
    assert encoder_ids(home.paths) == encoder_ids()


def test_segments_come_with_their_times(home, tmp_path):
    """A track has its rows in order of time, and their mean; the file, the array and the command line say the same."""
    ids = plant_heard_library(home, TWO_LAYERS)[:3]
    rng = np.random.default_rng(2)
    names = [ids[0], ids[1], ids[0], ids[2], ids[0]]
    starts_s, vectors = np.array([4.0, 0.0, 0.0, 1.5, 2.0]), rng.standard_normal((5, 3, 4))
    np.save(tmp_path / "starts.npy", starts_s)
    files = write_vectors(tmp_path, vectors, names)
    found = import_vectors(home, "parts", *files, "planted", starts_path=tmp_path / "starts.npy", segment_s=3.0)
    assert (found.n_rows, found.n_new, found.info.segment_s, found.info.hop_s) == (5, 3, 3.0, 2.0)
    kept = home.store.read(ids[0], found.info)
    assert kept.starts_s.tolist() == [0.0, 2.0, 4.0]
    np.testing.assert_allclose(kept.segments, vectors[[2, 4, 0]], rtol=1e-3)
    np.testing.assert_allclose(kept.mean, vectors[[2, 4, 0]].mean(axis=0), rtol=1e-5)
    assert home.store.read(ids[2], found.info).starts_s.tolist() == [1.5]
    assert check(home) == []
    library = open_library("planted", home=home.paths.root)
    again = library.take_vectors("parts", vectors, names, starts_s=starts_s, segment_s=3.0)
    assert (again.n_known, again.info) == (3, found.info)
    options = ["--vectors", *map(str, files[:1]), "--ids", str(files[1]), "--starts", str(tmp_path / "starts.npy")]
    options += ["--segment", "3", "--name", "parts", "--json"]
    assert main(["--home", str(home.paths.root), "import", *options]) == 0
    with pytest.raises(InputError, match="stands for other vectors"):
        library.take_vectors("parts", vectors, names, starts_s=starts_s + 1, segment_s=3.0)


@pytest.mark.parametrize(
    ("starts_s", "text"),
    [
        (np.array([0.0, 0.0, 1.0]), "begin at one time"),
        (np.array([0.0, 1.0]), r"\(2,\), expected \(3,\)"),
        (np.array([-1.0, np.nan, np.inf]), "it begins at -1 s"),
        (np.zeros((3, 1)), "expected"),
    ],
)
def test_times_that_cannot_be_are_refused(home, tmp_path, starts_s, text):
    ids = plant_heard_library(home, TWO_LAYERS)
    np.save(tmp_path / "starts.npy", starts_s)
    files = write_vectors(tmp_path, np.ones((3, 2)), [ids[0]] * 3)
    with pytest.raises(InputError, match=text):
        import_vectors(home, "bad", *files, starts_path=tmp_path / "starts.npy")
    assert encoder_ids(home.paths) == encoder_ids()


def test_arrays_that_do_not_fit_are_refused(home):
    ids = plant_heard_library(home, TWO_LAYERS)
    library = open_library("planted", home=home.paths.root)
    for vectors, names, starts_s, text in (
        (np.ones((3, 2)), ids[:2], None, "3 rows, beside 2 names"),
        (np.ones((2, 2)), ids[:2], np.zeros(3), "2 names and 3 times"),
        (np.ones(2), ids[:2], None, r"shape \(2,\)"),
        (np.array([["a"], ["b"]]), ids[:2], None, "real numbers"),
        (np.ones((2, 2)), [ids[0], ids[0]], None, "are of one track"),
    ):
        with pytest.raises(InputError, match=text):
            library.take_vectors("bad", vectors, names, starts_s=starts_s)
    with pytest.raises(InputError, match="cannot be -1"):
        library.take_vectors("bad", np.ones((2, 2)), ids[:2], starts_s=np.zeros(2), segment_s=-1.0)


def test_files_and_names_that_cannot_be_are_refused(home, tmp_path):
    ids = plant_heard_library(home, TWO_LAYERS)
    vectors, names = write_vectors(tmp_path, np.ones((2, 2)), [ids[0], ids[0]])
    with pytest.raises(InputError, match="Lines 1 and 2"):
        import_vectors(home, "x", vectors, names)
    for name in ("", "../x", "A", "a/b", "a:b", "x" * 65, "."):
        with pytest.raises(InputError, match="cannot be called"):
            import_vectors(home, name, vectors, names)
    for wrong in (tmp_path / "nosuch", names, tmp_path):
        with pytest.raises(InputError):
            import_vectors(home, "x", wrong, names)
    for wrong in (tmp_path / "nosuch", vectors, tmp_path):
        with pytest.raises(InputError):
            import_vectors(home, "x", vectors, wrong)
    with pytest.raises(InputError, match="no imported encoder"):
        encoder_info("imported:../x", home.paths)


def test_vectors_on_the_command_line(home, tmp_path, capsys):
    """What was left out is named, and the exit code says that something was."""
    ids = plant_heard_library(home, TWO_LAYERS)
    vectors, names = write_vectors(tmp_path, np.eye(len(ids) + 1), [*ids, "nosuch"])
    options = ["--vectors", str(vectors), "--ids", str(names), "--name", "eye", "--json"]
    assert main(["--home", str(home.paths.root), "import", *options]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["n_new"], document["n_known"], document["encoder"]) == (len(ids), 0, "imported:eye")
    assert document["refused"] == [{"name": "nosuch", "reason": "no such track in this library"}]
