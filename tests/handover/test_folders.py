"""Handing over: what comes out of one data folder goes into another, the same to the last bit; damage is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.catalogue.catalogue import TRACK_FIELDS
from mess_core.catalogue.passages import ScoreTimes
from mess_core.cli.main import main
from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.errors import (
    ArtefactMismatchError,
    DataMissingError,
    InputError,
    StorageError,
    UnknownTrackError,
)
from mess_core.handover import folders, outgoing
from mess_core.handover.folders import MANIFEST, UNFINISHED
from mess_core.handover.incoming import import_library
from mess_core.handover.outgoing import export_library
from mess_core.handover.parquet import schema_of
from mess_core.handover.served import export_index, load_index
from mess_core.storage.files import unseal
from mess_core.targets.measurements import measure_track
from mess_core.targets.registry import TARGETS
from mess_core.upkeep.check import check
from mess_core.work.add import AddRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.handover.conftest import contents, forge, nearest

N = 4


def fill(home: Workspace, paths: list[Path], first: int = 0) -> list[str]:
    """Register, embed with the log-mel control, measure; score times and planted truth come along."""
    new = []
    for number, each in enumerate(map(read_track, paths), start=first):
        times = ScoreTimes.of("a score", [0, 1, 2, 3], [0.1, 0.9 + 0.1 * number, 2.0, 2.5])
        track = replace(each.track, work=f"work {number}")
        new.append(replace(each, track=track, planted={"x": 1 / 3}, score_times=[times]))
    home.catalogue.add(paths[0].parent, new, "music")
    submit(home, ExtractRequest("music", MEL.id))
    work(home)
    for files in home.measurements.missing(home.catalogue.track_ids("music")):
        home.measurements.write(files, measure_track(files), lambda connection: None)
    return sorted(each.track.track_id for each in new)


def arrays_of(home: Workspace, library: str = "music") -> dict[str, object]:
    """Everything that search, probe and map are made from."""
    ids = home.catalogue.track_ids(library)
    embeddings = home.store.load(ids, MEL)
    segments = [(track_id, n) for track_id in ids for n in range(2)]
    return {
        "tracks": [asdict(track) for track in home.catalogue.tracks(library)],
        "ids": embeddings.track_ids,
        "content": embeddings.content,
        "vectors": embeddings.vectors.tobytes(),
        "segments": [home.store.read(track_id, MEL).segments.tobytes() for track_id in ids],
        "targets": [repr(home.measurements.of_track(track_id)) for track_id in ids],
        "values": {target: home.measurements.values(ids, target).tobytes() for target in TARGETS},
        "segment values": {target: home.measurements.segment_values(segments, target).tobytes() for target in TARGETS},
        "planted": home.catalogue.planted(library),
        "scores": [
            (times.score, times.beats.tobytes(), times.times_s.tobytes())
            for track_id in ids
            for times in home.catalogue.passages.of_track(track_id)
        ],
        "neighbours": {track_id: nearest(home, track_id, library) for track_id in ids},
    }


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> tuple[Workspace, list[Path], Path]:
    """A filled data folder, its music, and its export; only read by the tests that take it."""
    import soundfile

    folder = tmp_path_factory.mktemp("origin")
    (folder / "music").mkdir()
    paths = []
    for seed in range(N):
        rng = np.random.default_rng(seed)
        time_s = np.arange(round(24_000 * 5.5)) / 24_000
        tone = np.sin(2 * np.pi * (200 + 70 * seed) * time_s) * (1 + 0.5 * np.sin(2 * np.pi * seed * time_s))
        paths.append(folder / "music" / f"t{seed}.wav")
        soundfile.write(paths[-1], 0.2 * (tone + 0.1 * rng.standard_normal(len(time_s))), 24_000)
    home = Workspace(folder / "home")
    fill(home, paths)
    home.catalogue.edit(home.catalogue.track_ids("music")[0], performer="By hand")
    export_library(home, "music", folder / "export")
    return home, paths, folder / "export"


@pytest.fixture
def copy(origin, tmp_path) -> Path:
    """An own copy of the export, to be damaged."""
    return Path(shutil.copytree(origin[2], tmp_path / "copy"))


# --- out ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_library_gives_the_same_bytes(origin, tmp_path):
    home, _, folder = origin
    export_library(home, "music", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)


def test_an_export_is_read_without_mess(origin):
    """pyarrow, safetensors and json are enough; nothing says where the music lies."""
    import pyarrow.parquet as pq
    from safetensors.numpy import load_file

    home, paths, folder = origin
    ids = home.catalogue.track_ids("music")
    tracks = pq.read_table(folder / "tracks.parquet").to_pylist()
    assert [track["track_id"] for track in tracks] == ids
    assert tracks[0]["performer"] == "By hand" and dict(tracks[0]["planted"]) == {"x": 1 / 3}
    assert sorted(track["files"][0]["name"] for track in tracks) == [path.name for path in paths]
    assert set(TRACK_FIELDS) <= tracks[0].keys()
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert manifest["format"] == "mess-library-2"
    assert manifest["counts"]["tracks"] == N == manifest["counts"]["embeddings"] == manifest["counts"]["score_times"]
    (encoder,) = manifest["encoders"]
    assert encoder["fingerprint"] == MEL.fingerprint and encoder["licence"] == MEL.licence and encoder["n_tracks"] == N
    for track_id in ids:
        vectors = load_file(folder / "embeddings" / encoder["folder"] / track_id[:2] / f"{track_id}.safetensors")
        assert np.array_equal(vectors["mean"], home.store.read(track_id, MEL).mean)
    rows = pq.read_table(folder / f"neighbours-{MEL.folder}.parquet").to_pylist()
    for track_id in ids:
        own = [(row["neighbour"], row["similarity"]) for row in rows if row["track_id"] == track_id]
        assert own == nearest(home, track_id)
    for name, data in contents(folder).items():
        assert str(paths[0].parent.parent).encode() not in data, name


def test_stored_files_are_handed_over_byte_for_byte(origin):
    home, _, folder = origin
    stored = {path.name: path.read_bytes() for path in home.paths.embeddings.rglob("*.safetensors")}
    assert {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")} == stored and len(stored) == N


def test_an_export_replaces_an_export_and_nothing_else(origin, tmp_path):
    home, _, folder = origin
    new = tmp_path / "new"
    new.mkdir()
    export_library(home, "music", new)  # an empty folder is as good as none
    (new / "README.txt").write_text("other")
    export_library(home, "music", new)
    assert contents(new) == contents(folder)
    (new / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        export_library(home, "music", new)
    assert (new / "notes.txt").read_text() == "mine"
    with pytest.raises(InputError, match="no export"):
        export_library(home, "music", home.paths.root)
    with pytest.raises(InputError, match="no export"):
        export_index(Scope(home, "music", MEL), folder)  # of another kind
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_stopped_export_leaves_nothing_and_the_next_is_whole(origin, tmp_path):
    """Stopped in the middle; killed an hour ago, which leaves a folder that the next one sweeps."""
    home, _, folder = origin

    def stop(n_done: int, n_total: int) -> None:
        if n_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_library(home, "music", tmp_path / "new", on_progress=stop)
    assert list(tmp_path.iterdir()) == []
    (dead := tmp_path / "new.abc.tmp").mkdir()
    (dead / UNFINISHED).touch()
    (foreign := tmp_path / "new.def.tmp").mkdir()
    for path in (dead, foreign):
        os.utime(path, (0, 0))
    export_library(home, "music", tmp_path / "new")
    assert not dead.exists() and foreign.exists() and contents(tmp_path / "new") == contents(folder)


def test_what_cannot_be_exported_says_so(origin, home, tmp_path, monkeypatch):
    full, _, _ = origin
    with pytest.raises(DataMissingError, match="no track"):
        export_library(home, "all", tmp_path / "x")
    with pytest.raises(UnknownTrackError, match="no library"):
        export_library(full, "nosuch", tmp_path / "x")
    with pytest.raises(InputError, match="no encoder called 'nosuch'"):
        export_library(full, "music", tmp_path / "x", ["nosuch"])
    with pytest.raises(DataMissingError, match="mfcc"):
        export_library(full, "music", tmp_path / "x", ["mfcc"])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export_library(full, "music", tmp_path / "file")
    with pytest.raises(StorageError):
        export_library(full, "music", tmp_path / "file" / "below")
    assert not (tmp_path / "x").exists()
    monkeypatch.setattr(outgoing, "NEIGHBOURS_UP_TO", N - 1)
    manifest = export_library(full, "music", tmp_path / "x", ["mel"])
    assert f"{N} tracks are more than {N - 1}" in manifest.left_out[0] and not list(
        (tmp_path / "x").glob("neighbours*")
    )


def test_a_damaged_embedding_is_not_handed_over(origin, home, tmp_path):
    import_library(home, origin[2])
    path = min(home.paths.embeddings.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactMismatchError, match=path.name):
        export_library(home, "music", tmp_path / "x")
    path.unlink()
    with pytest.raises(ArtefactMismatchError, match=path.name):
        export_library(home, "music", tmp_path / "x")
    assert not (tmp_path / "x").exists()


# --- in -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_halves_joined_are_one_filled_alone(origin, tmp_path):
    """Embeddings, targets, truth, score times and neighbours: equal to the last bit."""
    alone, paths, _ = origin
    first, second = Workspace(tmp_path / "first"), Workspace(tmp_path / "second")
    rest = tmp_path / "rest"  # the same music, elsewhere
    rest.mkdir()
    fill(first, paths[:2])
    fill(second, [Path(shutil.copy(path, rest)) for path in paths[2:]], first=2)
    edited = alone.catalogue.track_ids("music")[0]
    holder = first if edited in first.catalogue.track_ids("music") else second
    holder.catalogue.edit(edited, performer="By hand")

    export_library(second, "music", tmp_path / "export")
    taken = import_library(first, tmp_path / "export")
    assert (taken.library, taken.n_tracks, taken.n_new_tracks, taken.n_without_audio) == ("music", 2, 2, 2)
    assert (taken.n_embeddings, taken.n_measured, taken.n_score_times) == (2, 2, 2)
    joined, whole = arrays_of(first), arrays_of(alone)
    for name in whole:
        assert joined[name] == whole[name], name
    assert check(first) == []


def test_importing_twice_changes_nothing(origin, home):
    import_library(home, origin[2])
    before, files = arrays_of(home), {p: p.stat().st_mtime_ns for p in home.paths.root.rglob("*.safetensors")}
    again = import_library(home, origin[2])
    assert (again.n_new_tracks, again.n_embeddings, again.n_measured, again.n_score_times) == (0, 0, 0, 0)
    assert (again.n_kept_embeddings, again.n_kept_measured) == (0, 0)
    assert arrays_of(home) == before == arrays_of(origin[0])
    assert {p: p.stat().st_mtime_ns for p in home.paths.root.rglob("*.safetensors")} == files


def test_a_stopped_import_goes_on(origin, home, monkeypatch):
    """What was written before is there; embeddings are written a few at a time, here three."""
    monkeypatch.setattr("mess_core.embeddings.store.BATCH", 3)
    calls = []

    def stop(n_done: int, n_total: int) -> None:
        calls.append(n_done)
        if n_total == N and n_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_library(home, origin[2], on_progress=stop)
    n_there = Scope(home, "music", MEL).n_embedded
    taken = import_library(home, origin[2])
    assert n_there == 3 and taken.n_embeddings == N - 3 and arrays_of(home) == arrays_of(origin[0])


def test_ours_stays_where_theirs_differs(origin, home, tmp_path):
    """Other bytes, other values, other names: counted, and not written over; what we did not know is taken."""
    _, paths, folder = origin
    (mine,) = fill(home, paths[:1])
    embedding = home.store.read(mine, MEL)
    home.store.write(mine, MEL, replace(embedding, mean=embedding.mean + 1))
    home.catalogue.edit(mine, composer="Ours")
    with home.database.transaction() as connection:
        connection.execute("UPDATE targets SET value = 7 WHERE target = 'tempo'")
        connection.execute("UPDATE tracks SET instrument = 'ours', title = 'ours' WHERE track_id = ?", (mine,))
    taken = import_library(home, folder, "other")
    assert (taken.n_kept_embeddings, taken.n_kept_measured, taken.n_new_tracks) == (1, 1, N - 1)
    assert np.array_equal(home.store.read(mine, MEL).mean, embedding.mean + 1)
    assert home.measurements.of_track(mine)["tempo"].value == 7
    track = home.catalogue.track(mine)
    assert (track.title, track.instrument, track.composer) == ("ours", "ours", "Ours")
    assert home.catalogue.n_tracks("other") == N and home.catalogue.n_tracks("music") == 1
    assert home.catalogue.audio_path(mine) == paths[0].resolve()


def test_tracks_without_audio_are_found_and_not_heard(origin, home):
    """Search works; listening says why it does not, and adding the folder cures it."""
    _, paths, folder = origin
    import_library(home, folder)
    ids = home.catalogue.track_ids("music")
    assert nearest(home, ids[0]) == nearest(origin[0], ids[0]) and len(nearest(home, ids[0])) == N - 1
    with pytest.raises(DataMissingError, match="never here") as caught:
        home.catalogue.audio_path(ids[0])
    assert "add FOLDER" in caught.value.hint
    assert not home.catalogue.likely_audio_path(ids[0]).exists()
    submit(home, TargetsRequest("music"))
    work(home)
    assert home.jobs.latest("targets").message.startswith("Nothing to do")
    submit(home, AddRequest(paths[0].parent, "music"))
    work(home)
    assert {home.catalogue.audio_path(track_id) for track_id in ids} == {path.resolve() for path in paths}
    assert home.catalogue.n_tracks("music") == N


def test_every_bit_counts(origin, home, copy):
    """One bit in any file of an export: refused, the file named, nothing taken in."""
    for name, data in contents(copy).items():
        for place in {0, len(data) // 2, len(data) - 1}:
            (copy / name).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(ArtefactMismatchError, match=Path(name).name.replace(".", r"\.")):
                import_library(home, copy)
        (copy / name).write_bytes(data)
    assert home.catalogue.libraries() == []
    assert import_library(home, copy).n_tracks == N


def test_a_half_copied_export_is_refused(origin, home, copy):
    for name, data in contents(copy).items():
        (copy / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(ArtefactMismatchError, match=Path(name).name):
            import_library(home, copy)
        (copy / name).unlink()
        with pytest.raises(ArtefactMismatchError, match=Path(name).name):
            import_library(home, copy)
        (copy / name).write_bytes(data)
    with pytest.raises(ArtefactMismatchError, match="no manifest"):
        import_library(home, copy / "nosuch")
    assert home.catalogue.libraries() == []


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "a/../../x", "..", "", ".", "a//b", "..\\x", "C:/x", "link/x", "x\0y", "./README.txt"],
)
def test_no_path_leads_out(origin, home, copy, path):
    (copy.parent / "x").write_text("secret")
    (copy / "link").symlink_to(copy.parent)
    listed = {"path": path, "size_bytes": 6, "sha256": "0" * 64}
    forge(copy, files=[listed])
    with pytest.raises((InputError, ArtefactMismatchError)) as caught:
        import_library(home, copy)
    if path != ".":
        assert isinstance(caught.value, InputError) and "leads out" in caught.value.message


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": "mess-library-3"}, "mess-library-3, this MESS reads mess-library-2"),
        ({"format": "mess-index-1"}, "expected 'mess-library-2'"),
        ({"format": None}, "expected 'mess-library-2'"),
        ({"files": None}, "lists no files"),
        ({"files": [{"path": "README.txt"}]}, "without path, size or sha256"),
        ({"files": []}, r"lists no tracks\.parquet"),
        ({"encoders": None}, "which encoders"),
        ({"encoders": [{}]}, "which encoders"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(origin, home, copy, changes, text):
    forge(copy, **changes)
    with pytest.raises(ArtefactMismatchError, match=text):
        import_library(home, copy)
    assert home.catalogue.libraries() == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../x"},
        {"n_layers": 0},
        {"dim": "6"},
        {"pooling": "max"},
        {"revision": "2"},
        {"files": 3},
        {"more": 1},
    ],
)
def test_an_encoder_that_cannot_be_is_refused(origin, home, copy, change):
    document = unseal((copy / MANIFEST).read_bytes(), MANIFEST)
    document["encoders"][0]["facts"] |= change
    forge(copy, encoders=document["encoders"])
    with pytest.raises(ArtefactMismatchError):
        import_library(home, copy)


def test_rows_that_cannot_be_are_refused(origin, home, copy):
    """Right hashes do not make a right table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rewrite(name: str, table: pa.Table) -> None:
        pq.write_table(table, copy / name)
        (copy / MANIFEST).write_bytes(manifest)
        listed = folders._listed(copy, copy / name)
        document = unseal(manifest, MANIFEST)
        files = [vars(listed) if file["path"] == name else file for file in document["files"]]
        forge(copy, files=files)

    manifest, whole = (copy / MANIFEST).read_bytes(), contents(copy)
    tracks, targets = (pq.read_table(copy / name) for name in ("tracks.parquet", "targets.parquet"))
    escaping = pa.array(["../../../../x", *tracks["track_id"].to_pylist()[1:]])
    bad = {
        "tracks.parquet": [tracks.drop(["title"]), tracks.set_column(0, tracks.schema.field(0), escaping)],
        "targets.parquet": [targets.set_column(0, targets.schema.field(0), pa.array(["0" * 16] * len(targets)))],
    }
    for name, tables in bad.items():
        for table in tables:
            rewrite(name, table)
            with pytest.raises(ArtefactMismatchError, match=name):
                import_library(home, copy)
        (copy / name).write_bytes(whole[name])
    (copy / "tracks.parquet").write_bytes(b"PAR1 is no table")
    (copy / MANIFEST).write_bytes(manifest)
    listed = folders._listed(copy, copy / "tracks.parquet")
    forge(copy, files=[vars(listed) if f["path"] == listed.path else f for f in unseal(manifest, MANIFEST)["files"]])
    with pytest.raises(ArtefactMismatchError, match=r"tracks\.parquet is no table"):
        import_library(home, copy)


def test_a_library_of_everything_is_called_after_its_folder(origin, home, tmp_path):
    export_library(origin[0], "all", tmp_path / "everything")
    assert import_library(home, tmp_path / "everything").library == "everything"
    with pytest.raises(InputError, match="cannot be called 'all'"):
        import_library(home, tmp_path / "everything", "all")


def test_the_columns_of_the_tables_are_those_of_the_format():
    """Whoever changes a Track changes the format: then FORMAT must grow."""
    assert outgoing.FORMAT == "mess-library-2"
    assert schema_of("tracks.parquet").names == [
        "track_id", "sha256", "title", "duration_s", "sample_rate_hz", "n_channels", "codec", "is_truncated",
        "loudness_lufs", "work", "composer", "performer", "instrument", "session", "split", "collection",
        "album", "album_artist", "disc", "movement", "conductor", "samples_sha256", "sounding_s", "downmix",
        "planted", "files", "details",
    ]  # fmt: skip


# What mess-library-1 held of a track.
FIRST_COLUMNS = [
    "track_id", "sha256", "title", "duration_s", "sample_rate_hz", "n_channels", "codec", "is_truncated",
    "loudness_lufs", "work", "composer", "performer", "instrument", "session", "split", "collection",
    "planted", "files",
]  # fmt: skip


def test_an_export_of_the_first_format_is_taken_in(origin, home, copy):
    """Columns that it did not have are empty; all else is as in a newer one."""
    import pyarrow.parquet as pq

    tracks = pq.read_table(copy / "tracks.parquet")
    pq.write_table(tracks.select(FIRST_COLUMNS), copy / "tracks.parquet")
    document = unseal((copy / MANIFEST).read_bytes(), MANIFEST)
    data = (copy / "tracks.parquet").read_bytes()
    listed = {"path": "tracks.parquet", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files = [listed if file["path"] == "tracks.parquet" else file for file in document["files"]]
    forge(copy, format="mess-library-1", files=files)
    taken = import_library(home, copy)
    assert (taken.n_tracks, taken.n_embeddings, taken.n_measured) == (N, N, N)
    ours, theirs = home.catalogue.tracks("music"), origin[0].catalogue.tracks("music")
    assert [(t.track_id, t.title, t.performer) for t in ours] == [(t.track_id, t.title, t.performer) for t in theirs]
    assert all(track.album is None and track.conductor is None for track in ours)


def test_albums_and_details_travel(origin, home, tmp_path):
    """The columns of the user's own table too; of a known track what is here stays."""
    source = Workspace(shutil.copytree(origin[0].paths.root, tmp_path / "source"))
    track_id = source.catalogue.track_ids("music")[0]
    source.catalogue.edit(track_id, album="Box", conductor="Cy")
    with source.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO details VALUES (?, ?, ?)", [(track_id, "era", "late"), (track_id, "level", "4")]
        )
    export_library(source, "music", tmp_path / "out")
    for _ in range(2):
        import_library(home, tmp_path / "out")
        track = home.catalogue.track(track_id)
        assert (track.album, track.conductor) == ("Box", "Cy")
        assert home.catalogue.details("music") == {track_id: {"era": "late", "level": "4"}}


# --- on the command line ------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, capsys):
    def run(*arguments: object) -> tuple[int, str]:
        code = main(["--home", str(tmp_path / "home"), *map(str, arguments)])
        return code, capsys.readouterr().out

    return run


def test_export_and_import_on_the_command_line(run, origin, tmp_path):
    code, out = run("import", origin[2], "--json")
    assert code == 0
    assert json.loads(out) == {
        "library": "music", "n_tracks": N, "n_new_tracks": N, "n_without_audio": N, "n_embeddings": N, "n_measured": N,
        "n_score_times": N, "n_kept_embeddings": 0, "n_kept_measured": 0, "elsewhere": [],
    }  # fmt: skip
    code, out = run("export", tmp_path / "out", "--library", "music", "--encoder", "mel", "--json")
    document = json.loads(out)
    assert code == 0 and document["counts"]["tracks"] == N and document["left_out"] == [] and document["files"] == N + 6
    code, out = run("export", tmp_path / "index", "--index", "--encoder", "mel", "--json")
    assert code == 0 and json.loads(out)["n_tracks"] == N == len(load_index(tmp_path / "index").track_ids)
    assert f"{N} tracks in 'music', 0 new" in run("import", tmp_path / "out")[1]
    (tmp_path / "out" / "targets.parquet").write_bytes(b"")
    code, out = run("import", tmp_path / "out", "--json")
    assert code == 2 and "targets.parquet is damaged" in json.loads(out)["error"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--name", "x"], ["F", "--name", "x"], ["--vectors", "a", "--ids", "b"], ["--library", "x"], ["nosuch"]],
)
def test_wrong_use_of_import_is_exit_2(run, arguments):
    code, out = run("import", *arguments, "--json")
    assert code == 2 and json.loads(out)["error"]


def test_an_index_is_of_one_encoder(run, origin, tmp_path):
    run("import", origin[2])
    code, out = run("export", tmp_path / "x", "--index", "--encoder", "mel", "--encoder", "mfcc", "--json")
    assert code == 2 and "one encoder" in json.loads(out)["error"] and not (tmp_path / "x").exists()
