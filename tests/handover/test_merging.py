"""Merging: parts that machines have extracted apart are, joined, what one of them would have made of all."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.catalogue.catalogue import TRACK_FIELDS
from mess_core.catalogue.passages import ScoreTimes
from mess_core.cli.main import main
from mess_core.collections.opening import read_track
from mess_core.embeddings.shards import Shard, parse_shard
from mess_core.encoders.mel import MEL
from mess_core.errors import ArtefactMismatchError, InputError, StorageError
from mess_core.handover import merging
from mess_core.handover.merging import merge
from mess_core.storage.database import SCHEMA_VERSION
from mess_core.targets.measurements import measure_track
from mess_core.upkeep.backup import back_up
from mess_core.upkeep.check import check
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import Workspace
from tests.conftest import work, write_recording

N = 4
OF_CATALOGUE = (  # all that is not when and how it was done
    f"SELECT {', '.join(TRACK_FIELDS)}, added_at FROM tracks ORDER BY track_id",
    "SELECT * FROM library_tracks ORDER BY library, track_id",
    "SELECT * FROM details ORDER BY track_id, name",
    "SELECT * FROM planted ORDER BY track_id, name",
    "SELECT * FROM edits ORDER BY track_id, field",
    "SELECT * FROM score_times ORDER BY track_id, score",
    "SELECT track_id, role, path, relative_path, size_bytes, mtime_ns FROM files JOIN roots USING (root_id)"
    " ORDER BY track_id, role, path, relative_path",
    "SELECT fingerprint, encoder, facts FROM encoders ORDER BY fingerprint",
    "SELECT track_id, fingerprint, path, sha256, size_bytes, n_segments FROM embeddings ORDER BY track_id, fingerprint",
    "SELECT * FROM targets ORDER BY track_id, target",
    "SELECT * FROM segment_targets ORDER BY track_id, target, segment",
)


def rows_of(home: Workspace) -> list[list[tuple]]:
    return [[tuple(row) for row in home.database.connection.execute(query)] for query in OF_CATALOGUE]


def bytes_of(home: Workspace) -> dict[str, bytes]:
    folder = home.paths.embeddings
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def extract(home: Workspace, shard: str = "") -> None:
    submit(home, ExtractRequest("music", MEL.id, shard=shard))
    work(home)
    known = home.store.known(MEL)
    for files in home.measurements.missing([each for each in home.catalogue.track_ids("music") if each in known]):
        home.measurements.write(files, measure_track(files), lambda connection: None)


def machine(base: Workspace, folder: Path, shard: str = "") -> Workspace:
    """A data folder of another machine, with the tracks of this one, of which it extracts a part."""
    back_up(base, folder)
    home = Workspace(folder)
    extract(home, shard)
    return home


@pytest.fixture(scope="module")
def homes(made_once) -> Path:
    """`base`, in which music is registered; `whole`, extracted by one; `1` and `2`, extracted in two parts."""
    return made_once("merging", _make_homes)


def _make_homes(folder: Path) -> None:
    base = Workspace(folder / "base")
    new = []
    for seed in range(N):
        each = read_track(write_recording(folder / "music" / f"t{seed}.wav", 5.5, seed))
        track = replace(each.track, work=f"work {seed}")
        times = ScoreTimes.of("a score", [0, 1, 2, 3], [0.1, 0.9 + 0.1 * seed, 2.0, 2.5])
        new.append(replace(each, track=track, planted={"x": 1 / 3}, score_times=[times], details={"mood": f"m{seed}"}))
    base.catalogue.add(folder / "music", new, "music")
    base.catalogue.add_to_library("some", base.catalogue.track_ids("music")[:2])
    base.catalogue.edit(base.catalogue.track_ids("music")[0], performer="By hand")
    for name, shard in {"whole": "", "1": "1/2", "2": "2/2"}.items():
        machine(base, folder / name, shard).database.close()
    base.database.close()


@pytest.fixture
def parts(homes: Path, tmp_path: Path) -> list[Path]:
    """Copies of the two parts."""
    return [Path(shutil.copytree(homes / name, tmp_path / name)) for name in "12"]


@pytest.fixture
def base(homes: Path, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(homes / "base", tmp_path / "base")))


def test_shards_are_disjoint_and_together_all():
    """Whatever the number of parts; a cut is in the part of its file, and the parts are of about one size."""
    rng = np.random.default_rng(0)
    track_ids = [rng.bytes(8).hex() for _ in range(600)] + ["00ff00ff00ff00ff", "00ff00ff00ff00ff@0-5000"]
    for of in (1, 2, 7, 30):
        holders = [[n for n in range(1, of + 1) if Shard(n, of).holds(track_id)] for track_id in track_ids]
        assert all(len(each) == 1 for each in holders) and holders[-1] == holders[-2]
        sizes = np.bincount([each[0] for each in holders], minlength=of + 1)[1:]
        assert abs(sizes - len(track_ids) / of).max() < 5 * np.sqrt(len(track_ids) / of)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "-1/2", "1/2/3", "a/b", "1/99999999", " 1/2"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(InputError, match="There is no shard"):
        parse_shard(text)


def test_two_parts_merged_are_one_run(homes, parts, base):
    """The law: every array to the last bit, and every row of the catalogue."""
    merged = merge(base, parts)
    whole = Workspace(homes / "whole")
    assert (merged.n_tracks, merged.n_new_tracks, merged.n_embeddings, merged.n_measured) == (N, 0, N, N)
    assert merged.problems == merged.apart == () and merged.n_kept_embeddings == merged.n_kept_measured == 0
    assert 0 < len(bytes_of(Workspace(parts[0]))) < N
    assert bytes_of(base) == bytes_of(whole) and rows_of(base) == rows_of(whole)
    assert check(base) == []


def test_an_empty_data_folder_becomes_that_of_one_run(homes, parts, home):
    """Names, libraries, edits and where files lie come along."""
    assert merge(home, parts).n_new_tracks == N
    whole = Workspace(homes / "whole")
    assert bytes_of(home) == bytes_of(whole)
    without_time = [[row[:-1] for row in rows_of(each)[0]] for each in (home, whole)]
    assert without_time[0] == without_time[1] and rows_of(home)[1:] == rows_of(whole)[1:]


def test_a_part_that_comes_twice_changes_nothing(parts, base):
    """Named twice at once, merged again, and in the other order."""
    merge(base, [parts[0], parts[0] / ".." / "1", parts[1]])
    rows, files = rows_of(base), {path: path.stat().st_mtime_ns for path in base.paths.embeddings.rglob("*")}
    again = merge(base, parts[::-1])
    assert (again.n_homes, again.n_new_tracks, again.n_embeddings, again.n_measured) == (2, 0, 0, 0)
    assert rows_of(base) == rows
    assert {path: path.stat().st_mtime_ns for path in base.paths.embeddings.rglob("*")} == files


def test_a_merge_that_was_stopped_goes_on(homes, parts, base):
    """At every step: what was taken in is whole, and the next merge ends where one alone would have."""
    whole = Workspace(homes / "whole")
    for step in (0, 2, 4, 6):  # of seven: two of tracks, four of embeddings, the end
        left = [step]

        def stop(n_done: int, n_total: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            merge(base, parts, stop)
        assert check(base) == []
    merge(base, parts)
    assert bytes_of(base) == bytes_of(whole) and rows_of(base) == rows_of(whole)


def test_what_is_here_stays(parts, base):
    """Other bytes, other values, other names: counted, and not written over."""
    merge(base, parts[:1])
    mine = sorted(base.store.known(MEL))[0]
    embedding = base.store.read(mine, MEL)
    base.store.write(mine, MEL, replace(embedding, mean=embedding.mean + 1))
    with base.database.transaction() as connection:
        connection.execute("UPDATE targets SET value = 7 WHERE target = 'tempo' AND track_id = ?", (mine,))
        connection.execute("UPDATE tracks SET title = 'ours' WHERE track_id = ?", (mine,))
    merged = merge(base, parts)
    assert (merged.n_kept_embeddings, merged.n_kept_measured) == (1, 1)
    assert "What is here stays, though another came: 1 embedding" in merged.summary
    assert np.array_equal(base.store.read(mine, MEL).mean, embedding.mean + 1)
    assert base.measurements.of_track(mine)["tempo"].value == 7 and base.catalogue.track(mine).title == "ours"


def test_another_version_of_an_encoder_lies_apart(parts, base):
    """Its embeddings are kept under their own fingerprint, and are no one's who asks for this one."""
    other = replace(MEL, revision="of another machine")
    strange = Workspace(parts[1])
    track_id = sorted(strange.store.known(MEL))[0]
    embedding = strange.store.read(track_id, MEL)
    strange.store.write(track_id, other, replace(embedding, mean=embedding.mean * 2))
    strange.database.close()
    merged = merge(base, parts)
    assert merged.apart == ("mel",) and "kept apart: mel" in merged.summary
    assert merged.n_embeddings == N + 1 and len(base.store.known(MEL)) == N
    assert np.array_equal(base.store.read(track_id, other).mean, embedding.mean * 2)
    assert np.array_equal(base.store.read(track_id, MEL).mean, embedding.mean)


def test_one_bad_item_stops_no_merge(parts, base):
    """A damaged file, one that is gone, and a track that cannot be: named, and the rest is in."""
    parts.sort(key=lambda part: -len(bytes_of(Workspace(part))))
    strange = Workspace(parts[0])
    ids = sorted(strange.store.known(MEL))
    damaged, gone = (strange.store.file_paths(track_id)[0] for track_id in ids[:2])
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    gone.unlink()
    there = Workspace(parts[1])
    (impossible, *_) = sorted(there.store.known(MEL))
    with there.database.transaction() as connection:
        connection.execute("UPDATE tracks SET n_channels = -1 WHERE track_id = ?", (impossible,))
    for each in (strange, there):
        each.database.close()
    merged = merge(Workspace(parts[0].parent / "new"), parts)
    whats = " ".join(why for _, why, _ in merged.problems)
    assert "damaged: its sha256 changed" in whats and "is gone" in whats and "cannot be" in whats
    assert merged.n_new_tracks == N and merged.n_embeddings == N - 2  # the other folder knows the track, too
    assert "Left out: 3 items." in merged.summary
    alone = merge(Workspace(parts[0].parent / "newer"), parts[1:])
    assert alone.n_new_tracks == N - 1 and len(alone.problems) == 2  # the track, and its embedding


def test_what_is_no_data_folder_of_this_version_is_refused_before_anything_is_taken_in(parts, base, tmp_path):
    before = rows_of(base)
    (tmp_path / "music").mkdir()
    with pytest.raises(InputError, match="is no data folder: it holds no"):
        merge(base, [parts[0], tmp_path / "music"])
    with pytest.raises(InputError, match="cannot be merged into itself"):
        merge(base, [parts[0], base.paths.root])
    older = sqlite3.connect(parts[1] / "mess.sqlite")
    older.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    older.close()
    with pytest.raises(ArtefactMismatchError, match=f"has schema {SCHEMA_VERSION - 1}, this MESS reads"):
        merge(base, parts)
    (parts[1] / "mess.sqlite").write_bytes(b"no catalogue" * 1000)
    with pytest.raises(StorageError, match="cannot be read"):
        merge(base, parts)
    assert rows_of(base) == before and not (tmp_path / "music" / "mess.sqlite").exists()


def test_a_full_disk_ends_a_merge_and_the_next_goes_on(homes, parts, base, monkeypatch):
    write, n = merging.EmbeddingStore.take, [3]

    def full(self, *arguments):
        n[0] -= 1
        if n[0] < 0:
            raise StorageError("It could not be written: No space left on device.")
        write(self, *arguments)

    monkeypatch.setattr(merging.EmbeddingStore, "take", full)
    with pytest.raises(StorageError, match="No space left"):
        merge(base, parts)
    assert len(base.store.known(MEL)) == 3 and check(base) == []
    monkeypatch.undo()
    assert merge(base, parts).n_embeddings == N - 3
    assert bytes_of(base) == bytes_of(Workspace(homes / "whole"))


def test_merge_on_the_command_line(parts, tmp_path, capsys):
    """Exit 0 where all came, 1 where something was left out, 2 where it cannot be meant."""
    into = str(tmp_path / "into")
    assert main(["merge", *map(str, parts), "--into", into, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["n_embeddings"], document["problems"], document["into"]) == (N, [], into)
    Workspace(parts[0]).store.path_of(next(iter(bytes_of_first(parts[0])))).unlink()
    assert main(["--home", str(tmp_path / "other"), "merge", *map(str, parts)]) == 1
    assert "is gone" in capsys.readouterr().out
    assert main(["merge", str(tmp_path / "nowhere"), "--into", into]) == 2
    assert "is no data folder" in capsys.readouterr().err


def bytes_of_first(root: Path) -> list[str]:
    return [row[0] for row in Workspace(root).database.connection.execute("SELECT path FROM embeddings")]


def test_extract_of_a_shard_on_the_command_line(homes, base, capsys):
    """Only its part; what is not a shard is refused at once; the job says which part it is of."""
    shard = Shard(1, 2)
    code = main(["--home", str(base.paths.root), "extract", "--encoder", "mel", "--shard", "1/2", "--json"])
    assert code == 0 and json.loads(capsys.readouterr().out)["done"]
    known = base.store.known(MEL)
    assert set(known) == {each for each in base.catalogue.track_ids("music") if shard.holds(each)}
    assert main(["--home", str(base.paths.root), "extract", "--encoder", "mel", "--shard", "3/2"]) == 2
    assert "There is no shard '3/2'" in capsys.readouterr().err
    request = ExtractRequest("music", MEL.id, shard="1/2")
    assert request.words(base).startswith("Embedding part 1/2 of music")
    job = base.jobs.latest("extract")
    assert not request.is_left(base, job) and ExtractRequest("music", MEL.id).is_left(base, job)
    assert request.what_is_kept(base, job).startswith(f"{len(known)} of {len(known)} track")
