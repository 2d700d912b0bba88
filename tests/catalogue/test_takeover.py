"""A path has one track: files are retagged, made anew, moved, copied, swapped, and nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mess_core.audio.decode import samples_sha256, wav_bytes
from mess_core.catalogue.catalogue import track_id_of
from mess_core.catalogue.sittings import Clip
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import StorageError
from mess_core.upkeep.check import check
from mess_core.work.add import AddRequest
from mess_core.work.request import submit
from mess_core.workspace.scan import scan
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import SHARED, work
from tests.reliability.faults import MOST_CALLS, failing_statement

RATE_HZ = 8000


def sound(samples: int, tag: int = 0) -> bytes:
    """A second of noise; `tag` changes the bytes of the file and not its samples."""
    noise = np.random.default_rng(samples).uniform(-0.3, 0.3, (RATE_HZ, 1)).astype(np.float32)
    chunk = struct.pack("<4sI", b"junk", 4) + struct.pack("<I", tag)
    data = wav_bytes(noise, RATE_HZ) + chunk
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def id_of(path: Path) -> str:
    return track_id_of(hashlib.sha256(path.read_bytes()).hexdigest())


def embed(home: Workspace, path: Path, info=MEL) -> None:
    """What extraction does, with an embedding that tells of which samples it is."""
    track_id, samples = id_of(path), samples_sha256(path)
    mean = np.full((info.n_layers, info.embedding_dim), told(samples), np.float32)
    made = TrackEmbedding(
        mean[None].astype(np.float16), np.zeros(1, np.float32), mean, np.zeros((info.n_layers, info.dim), np.float32)
    )

    def guard(connection) -> None:
        connection.execute(
            "UPDATE tracks SET samples_sha256 = ?, loudness_lufs = -20.0 WHERE track_id = ?", (samples, track_id)
        )

    home.store.write(track_id, info, made, guard)
    with home.database.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO targets VALUES (?, 'tempo', ?, 'BPM', 'good', 1, '', '1')",
            (track_id, told(samples)),
        )


def told(samples_hash: str) -> float:
    return int(samples_hash[:3], 16) / 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "music").mkdir()
    return tmp_path / "music"


def write(path: Path, samples: int, tag: int = 0) -> str:
    path.write_bytes(sound(samples, tag))
    return id_of(path)


def test_a_retagged_file_stays_one_track_with_all_that_was_known(home: Workspace, folder: Path) -> None:
    """Edits, libraries, opinions, targets, embeddings of every encoder; nothing is left of the old id but its name."""
    path = folder / "a.wav"
    old = write(path, 1)
    scan(home, folder, "one")
    home.catalogue.add_to_library("two", [old])
    for info in (MEL, MFCC):
        embed(home, path, info)
    home.catalogue.edit(old, title="By hand", composer="Anon")
    home.opinions.judge(old, "like", query_track_id=old)
    home.opinions.add_play(old, 3.0)
    sitting = home.sittings.begin("me", "one", "Which is more like X?", "mel", 10, 0)
    clips = [Clip(old, 0.0, 1.0), Clip(old, 0.0, 1.0), Clip("other", 0.0, 1.0)]
    asked = home.sittings.ask(sitting.sitting_id, 0, clips, "catch")
    with home.database.transaction() as connection:
        connection.execute("INSERT INTO details VALUES (?, 'mood', 'calm')", (old,))
    before = {path.name for path in home.paths.embeddings.rglob("*.safetensors")}
    new = write(path, 1, tag=7)
    scan(home, folder, "one")
    for library in ("one", "two"):
        assert home.catalogue.track_ids(library) == [new]
    track = home.catalogue.track(new)
    assert (track.title, track.composer, track.loudness_lufs) == ("By hand", "Anon", -20.0)
    assert home.opinions.verdicts(new) == {new: "like"} and home.opinions.seconds_heard() == {new: 3.0}
    kept = home.sittings.find_question(asked.asked_id)
    assert [clip.track_id for clip in kept.clips] == [new, new, "other"]
    assert home.measurements.of_track(new)["tempo"].value == told(samples_sha256(path))
    rows = home.database.connection.execute("SELECT * FROM details").fetchall()
    assert [tuple(row) for row in rows] == [(new, "mood", "calm")]
    files = list(home.paths.embeddings.rglob("*.safetensors"))
    assert len(files) == 2 and not before & {file.name for file in files}
    for info in (MEL, MFCC):
        assert home.store.read(new, info).mean[0, 0] == np.float32(told(samples_sha256(path)))
    assert all(track_in(file) == new for file in files)
    assert check(home) == [] and Scope(home, "one", MEL).missing_tracks == []
    assert home.catalogue.track(old) == track  # links, searches
    home.opinions.judge(old, "dislike", query_track_id=old)  # a page that was open meanwhile
    assert home.opinions.verdicts(new) == {new: "dislike"}


def track_in(file: Path) -> str:
    data = file.read_bytes()
    (n_bytes,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8 : 8 + n_bytes])["__metadata__"]["mess"])["track_id"]


def test_a_chain_of_ids_leads_to_its_end_and_a_file_may_come_back(home: Workspace, folder: Path) -> None:
    path = folder / "a.wav"
    ids = []
    for tag in (0, 1, 2, 0):
        ids.append(write(path, 1, tag))
        scan(home, folder, "music")
        if tag == 0:
            embed(home, path)
            home.catalogue.edit(ids[-1], title="Kept")
        assert {home.catalogue.track(known).track_id for known in ids} == {ids[-1]}
        assert home.catalogue.track(ids[0]).title == "Kept" and home.catalogue.n_tracks("music") == 1


def test_other_samples_keep_names_and_opinions_and_nothing_that_was_computed(home: Workspace, folder: Path) -> None:
    path = folder / "a.wav"
    old = write(path, 1)
    scan(home, folder, "music")
    embed(home, path)
    home.catalogue.edit(old, title="By hand")
    home.opinions.judge(old, "like")
    new = write(path, 2)
    scan(home, folder, "music")
    assert home.catalogue.track_ids("music") == [new] and home.catalogue.track(new).title == "By hand"
    assert home.opinions.verdicts() == {new: "like"}
    assert [track.track_id for track in Scope(home, "music", MEL).missing_tracks] == [new]
    assert home.measurements.of_track(new) == {} and not list(home.paths.embeddings.rglob("*.safetensors"))


def test_another_known_recording_in_its_place_keeps_its_own_names(home: Workspace, folder: Path) -> None:
    """`cp b.wav a.wav` says nothing about b."""
    a, b = write(folder / "a.wav", 1), write(folder / "b.wav", 2)
    scan(home, folder, "music")
    home.catalogue.edit(a, title="The title of a")
    home.opinions.judge(a, "dislike")
    (folder / "a.wav").write_bytes((folder / "b.wav").read_bytes())
    scan(home, folder, "music")
    assert home.catalogue.track_ids("music") == [b] and home.catalogue.track(b).title == "b"
    assert home.opinions.verdicts() == {a: "dislike"}
    write(folder / "a.wav", 1)  # it comes back, and finds what was known of it
    scan(home, folder, "music")
    assert home.catalogue.track(a).title == "The title of a" and home.catalogue.track(b).title == "b"


def test_two_files_that_change_names_keep_what_is_theirs(home: Workspace, folder: Path) -> None:
    a, b = write(folder / "a.wav", 1), write(folder / "b.wav", 2)
    for name in "ab":
        (folder / f"{name}.mid").write_bytes(name.encode())
    scan(home, folder, "music")
    home.catalogue.edit(a, title="A")
    (folder / "a.wav").rename(folder / "x")
    (folder / "b.wav").rename(folder / "a.wav")
    (folder / "x").rename(folder / "b.wav")
    scan(home, folder, "music")
    assert home.catalogue.file_paths(a) == [folder / "b.wav"] and home.catalogue.file_paths(b) == [folder / "a.wav"]
    assert home.catalogue.track(a).title == "A" and home.catalogue.track(b).title == "b"
    assert home.catalogue.file_paths(a, "midi") == [folder / "b.mid"]  # what lies beside it now
    assert home.catalogue.file_paths(b, "midi") == [folder / "a.mid"]


@pytest.mark.parametrize("names", ["cd", "cde"])
def test_files_that_change_names_and_are_retagged_at_once_keep_what_is_theirs(
    home: Workspace, folder: Path, names: str
) -> None:
    """Two of them, and three in a ring: each is known by its samples, whatever its path was called."""
    ids = {name: write(folder / f"{name}.wav", n) for n, name in enumerate(names)}
    scan(home, folder, "music")
    for name, track_id in ids.items():
        (folder / f"{name}.mid").write_bytes(name.encode())
        for info in (MEL, MFCC):
            embed(home, folder / f"{name}.wav", info)
        home.catalogue.edit(track_id, composer=f"composer of {name}")
        home.catalogue.add_to_library(f"with {name}", [track_id])
        home.opinions.judge(track_id, "like")
        home.opinions.add_play(track_id, ord(name))
    places = dict(zip(names, names[1:] + names[0], strict=True))  # whose samples -> where they lie now
    now = {name: write(folder / f"{place}.wav", names.index(name), tag=1) for name, place in places.items()}
    scan(home, folder, "music")
    assert set(home.catalogue.track_ids("all")) == set(now.values())
    for name, track_id in now.items():
        path = folder / f"{places[name]}.wav"
        assert home.catalogue.track(track_id).composer == f"composer of {name}"
        assert home.catalogue.track(ids[name]).track_id == track_id
        assert home.catalogue.file_paths(track_id) == [path]
        assert home.catalogue.file_paths(track_id, "midi") == [path.with_suffix(".mid")]
        assert home.catalogue.track_ids(f"with {name}") == [track_id]
        assert home.measurements.of_track(track_id)["tempo"].value == told(samples_sha256(path))
        assert all(home.store.read(track_id, info).mean[0, 0] == told(samples_sha256(path)) for info in (MEL, MFCC))
    assert home.opinions.verdicts() == dict.fromkeys(now.values(), "like")
    assert home.opinions.seconds_heard() == {track_id: ord(name) for name, track_id in now.items()}
    assert len(list(home.paths.embeddings.rglob("*.safetensors"))) == 2 * len(names) and check(home) == []


def test_pushed_aside_by_other_music_it_keeps_its_names(home: Workspace, folder: Path) -> None:
    """Other music at its path, and itself retagged at another: that one has its names, and the other has none."""
    old = write(folder / "a.wav", 1)
    scan(home, folder, "music")
    embed(home, folder / "a.wav")
    home.catalogue.edit(old, title="By hand")
    home.catalogue.add_to_library("two", [old])
    other, new = write(folder / "a.wav", 2), write(folder / "z.wav", 1, tag=1)
    scan(home, folder, "music")
    assert home.catalogue.track(new).title == "By hand" and home.catalogue.track(other).title == "a"
    assert home.catalogue.track_ids("two") == [new] and set(home.catalogue.track_ids("all")) == {new, other}
    assert home.store.known(MEL).keys() == {new} and home.measurements.of_track(other) == {}


@pytest.mark.parametrize("is_seen", [False, True])
def test_gone_and_back_under_another_name_and_retagged_it_is_still_one(
    home: Workspace, folder: Path, is_seen: bool
) -> None:
    """Whether its absence was seen or not, and below another folder that was added."""
    write(folder / "other.wav", 2)
    old = write(folder / "g.wav", 1)
    scan(home, folder, "music")
    home.catalogue.add_to_library("two", [old])
    for info in (MEL, MFCC):
        embed(home, folder / "g.wav", info)
    home.catalogue.edit(old, title="By hand")
    home.opinions.judge(old, "like")
    (folder / "g.wav").unlink()
    if is_seen:
        scan(home, folder, "music")
        assert home.catalogue.track(old).track_id == old
    elsewhere = folder.parent / "new disk"
    elsewhere.mkdir()
    new = write(elsewhere / "back.wav", 1, tag=1)
    scan(home, elsewhere, "music")
    assert home.catalogue.track(old) == home.catalogue.track(new) and home.catalogue.track(new).title == "By hand"
    assert home.catalogue.n_tracks("music") == 2 and home.catalogue.track_ids("two") == [new]
    assert home.catalogue.file_paths(new) == [elsewhere / "back.wav"] and home.opinions.verdicts() == {new: "like"}
    assert home.store.known(MEL).keys() == home.store.known(MFCC).keys() == {new} and check(home) == []
    assert [tuple(row)[:2] for row in home.database.connection.execute("SELECT * FROM replaced")] == [(old, new)]


def test_a_copy_that_is_retagged_is_another_track(home: Workspace, folder: Path) -> None:
    """The first keeps everything: beside it, in place of one of its two paths, and when the two change names."""
    old = write(folder / "a.wav", 1)
    scan(home, folder, "music")
    embed(home, folder / "a.wav")
    home.catalogue.edit(old, title="By hand")
    home.opinions.judge(old, "like")
    copy = write(folder / "b.wav", 1, tag=1)
    scan(home, folder, "music")
    assert set(home.catalogue.track_ids("music")) == {old, copy} and home.catalogue.track(copy).title == "b"
    assert home.catalogue.track(old).title == "By hand" and home.opinions.verdicts() == {old: "like"}
    embed(home, folder / "b.wav")
    (folder / "a.wav").rename(folder / "x")
    (folder / "b.wav").rename(folder / "a.wav")
    (folder / "x").rename(folder / "b.wav")
    scan(home, folder, "music")
    assert home.catalogue.file_paths(old) == [folder / "b.wav"] and home.catalogue.file_paths(copy) == [
        folder / "a.wav"
    ]
    assert home.catalogue.track(old).title == "By hand" and home.catalogue.track(copy).title == "b"
    (
        folder / "b.wav"
    ).unlink()  # the first is gone, the copy was another before, and is put elsewhere: it stays another
    (folder / "a.wav").rename(folder / "c.wav")
    scan(home, folder, "music")
    assert set(home.catalogue.track_ids("music")) == {old, copy} and home.catalogue.track(copy).title == "b"


def test_nothing_is_decoded_but_what_may_be_what_is_lost(
    home: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are registered by their headers, unless a recording of that rate and length has lost its path."""
    decoded: list[str] = []

    def counting(path: Path) -> str:
        decoded.append(path.name)
        return samples_sha256(path)

    monkeypatch.setattr("mess_core.workspace.workspace.samples_sha256", counting)
    for n in range(3):
        write(folder / f"{n}.wav", n)
    scan(home, folder, "music")
    for n in range(3):
        embed(home, folder / f"{n}.wav")
    write(folder / "new.wav", 3)
    (folder / "copy.wav").write_bytes(sound(1))
    scan(home, folder, "music")
    assert decoded == []
    (folder / "0.wav").unlink()
    (folder / "1.wav").replace(folder / "copy.wav")
    (folder / "moved.wav").write_bytes(sound(2))
    write(folder / "as long.wav", 4)
    for name, n_frames, rate_hz in (("longer", 4 * RATE_HZ, RATE_HZ), ("of another rate", 16000, 16000)):
        noise = np.random.default_rng(5).uniform(-0.3, 0.3, (n_frames, 1)).astype(np.float32)
        (folder / f"{name}.wav").write_bytes(wav_bytes(noise, rate_hz))
    scan(home, folder, "music")
    assert decoded == ["as long.wav"]


def test_moved_then_retagged_it_is_still_one(home: Workspace, folder: Path) -> None:
    """The path that it left does not keep the old id alive; a disk that is not there does."""
    write(folder / "a.wav", 1)
    scan(home, folder, "music")
    (folder / "a.wav").rename(folder / "b.wav")
    scan(home, folder, "music")
    new = write(folder / "b.wav", 1, tag=1)
    scan(home, folder, "music")
    assert home.catalogue.track_ids("music") == [new] and home.catalogue.file_paths(new) == [folder / "b.wav"]

    other = folder.parent / "disk"
    other.mkdir()
    shutil.copy(folder / "b.wav", other / "c.wav")
    scan(home, other, "music")
    shutil.move(other, folder.parent / "unmounted")
    newest = write(folder / "b.wav", 1, tag=2)
    scan(home, folder, "music")
    assert set(home.catalogue.track_ids("music")) == {new, newest}
    assert home.catalogue.file_paths(new) == [other / "c.wav"]


def test_a_folder_added_below_another_is_the_same_files(home: Workspace, folder: Path) -> None:
    """One path under two roots: changed bytes are met through either."""
    (folder / "sub").mkdir()
    write(folder / "sub" / "a.wav", 1)
    scan(home, folder, "all of it")
    scan(home, folder / "sub", "part")
    new = write(folder / "sub" / "a.wav", 1, tag=1)
    scan(home, folder / "sub", "part")
    assert home.catalogue.track_ids("all of it") == home.catalogue.track_ids("part") == [new]
    assert scan(home, folder, "all of it").n_recordings == 1 and home.catalogue.track_ids("all of it") == [new]


def test_doubles_of_an_older_version_become_one(home: Workspace, folder: Path) -> None:
    """Two tracks at one path, the first with the hand edits: the next scan joins them."""
    path = folder / "a.wav"
    old = write(path, 1)
    scan(home, folder, "music")
    home.catalogue.edit(old, title="By hand")
    new = write(path, 1, tag=1)
    other = Workspace(home.paths.root.with_name("other"))
    scan(other, folder, "music")
    with home.database.transaction() as connection:  # as it was done before
        columns = "title, duration_s, sample_rate_hz, n_channels, codec, is_truncated, added_at"
        connection.execute(
            f"INSERT INTO tracks (track_id, sha256, {columns}) SELECT ?, ?, {columns} FROM tracks",
            (new, hashlib.sha256(path.read_bytes()).hexdigest()),
        )
        stat = path.stat()
        connection.execute(
            "INSERT INTO files SELECT ?, role, root_id, relative_path, ?, ? FROM files",
            (new, stat.st_size, stat.st_mtime_ns),
        )
        connection.execute("INSERT INTO library_tracks VALUES ('music', ?)", (new,))
    assert home.catalogue.n_tracks("music") == 2
    scan(home, folder, "music")
    assert home.catalogue.track_ids("music") == [new] and home.catalogue.track(new).title == "By hand"


@pytest.mark.slow
def test_every_statement_of_a_takeover_may_fail(home: Workspace, folder: Path) -> None:
    """All of it or nothing; what was written before the rows is swept."""
    path = folder / "a.wav"
    write(path, 1)
    scan(home, folder, "music")
    embed(home, path)
    new = write(path, 1, tag=1)
    before = list(home.database.connection.iterdump())
    for n in range(1, MOST_CALLS):
        with failing_statement(home, n) as connection:
            with contextlib.suppress(StorageError, sqlite3.OperationalError):
                scan(home, folder, "music")
            if not connection.failed:
                break
        is_done = home.catalogue.track_ids("music") == [new] and home.store.has(new, MEL)
        assert is_done or list(home.database.connection.iterdump()) == before, connection.failed
    assert n > 20 and home.catalogue.track_ids("music") == [new] and check(home) == []
    assert home.store.has(new, MEL)


@pytest.mark.skipif(not (SHARED / "field-cases").exists(), reason="the shared data is not here")
def test_the_retagged_field_case(home: Workspace, tmp_path: Path) -> None:
    """k02: one track at that path, with the hand edits, without a second embedding."""
    folder = tmp_path / "k02"
    shutil.copytree(SHARED / "field-cases" / "k02_retag" / "before", folder)
    submit(home, AddRequest(folder, "music", encoder_id=MEL.id))
    work(home)
    home.catalogue.edit(id_of(folder / "one.wav"), title="By hand")
    bystander = home.store.known(MEL)[id_of(folder / "two.wav")]
    shutil.copy(SHARED / "field-cases" / "k02_retag" / "after" / "one.wav", folder / "one.wav")
    submit(home, AddRequest(folder, "music", encoder_id=MEL.id))
    work(home)
    assert set(home.catalogue.track_ids("music")) == {id_of(folder / "one.wav"), id_of(folder / "two.wav")}
    assert home.catalogue.track(id_of(folder / "one.wav")).title == "By hand"
    assert home.jobs.latest("extract").message == "Nothing to do: every track is embedded."
    assert len(home.store.known(MEL)) == 2 and home.store.known(MEL)[id_of(folder / "two.wav")] == bystander
    assert len(list(home.paths.embeddings.rglob("*.safetensors"))) == 2


class Folder(RuleBasedStateMachine):
    """Files come, change, move and go between scans; the laws hold after every scan."""

    names = st.sampled_from([f"{stem}.wav" for stem in "abc"])

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.folder = self.place / "music"
        self.folder.mkdir()
        self.home = Workspace(self.place / "home")
        self.clock = 10**18
        self.n = 0
        self.samples_of: dict[str, str] = {}  # of every content there ever was
        self.titles: dict[str, str] = {}  # content -> what was written by hand
        self.is_scanned = True

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.home.database.close()
            shutil.rmtree(self.place)

    def paths(self) -> list[Path]:
        return [self.folder / f"{stem}.wav" for stem in "abc"]

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.write_bytes(data)
        self.clock += 1000
        os.utime(path, ns=(self.clock, self.clock))
        self.samples_of[id_of(path)] = samples_sha256(path)
        self.is_scanned = False

    @rule(name=names, samples=st.integers(0, 3), tag=st.integers(0, 2), is_seen=st.booleans())
    def make(self, name: str, samples: int, tag: int, is_seen: bool) -> None:
        """A new file, a retagged one, one made anew, or one that was there before."""
        self.put(name, sound(samples, tag))
        if is_seen:
            self.rescan()

    @rule(name=names, other=names)
    def move(self, name: str, other: str) -> None:
        if (self.folder / name).exists():
            (self.folder / name).replace(self.folder / other)
            self.is_scanned = False

    @rule(name=names, other=names)
    def copy(self, name: str, other: str) -> None:
        if (self.folder / name).exists():
            self.put(other, (self.folder / name).read_bytes())

    @rule(name=names, other=names, tag=st.integers(3, 5))
    def retag_and_move(self, name: str, other: str, tag: int) -> None:
        """In one step; where another lies there, they change places, both retagged."""
        files = {each: (self.folder / each).read_bytes() for each in (name, other) if (self.folder / each).exists()}
        if name not in files:
            return
        (self.folder / name).unlink()
        self.put(other, files[name][:-4] + struct.pack("<I", tag))
        if other in files and name != other:
            self.put(name, files[other][:-4] + struct.pack("<I", tag))

    @rule(name=names, other=names)
    def swap(self, name: str, other: str) -> None:
        paths = self.folder / name, self.folder / other
        if all(path.exists() for path in paths):
            paths[0].rename(self.folder / "x")
            paths[1].replace(paths[0]) if name != other else None
            (self.folder / "x").rename(paths[1])
            self.is_scanned = False

    @rule(name=names)
    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self.is_scanned = False

    @rule(name=names)
    def edit(self, name: str) -> None:
        (path,) = [self.folder / name]
        ids = self.home.catalogue.tracks_at(path)
        if ids:
            self.n += 1
            self.home.catalogue.edit(ids[0], title=f"title {self.n}")
            self.titles[ids[0]] = f"title {self.n}"

    @rule()
    def rescan(self) -> None:
        before = {path.name: self.home.catalogue.tracks_at(path) for path in self.paths()}
        there = {path.name: id_of(path) for path in self.folder.iterdir()}
        known = {row[0] for row in self.home.database.connection.execute("SELECT track_id FROM tracks")}
        rows = self.home.database.connection.execute("SELECT track_id, value FROM edits WHERE field = 'title'")
        edited = {row["track_id"]: row["value"] for row in rows.fetchall()}
        if there:
            scan(self.home, self.folder, "music")
            self.is_scanned = True
            self.one_lost_is_the_one_that_came(known, set(there.values()), edited)
        samples_there = {self.samples_of[each] for each in there.values()}
        for name, ids in before.items():  # a title goes with its content, else to what came in its place
            for old in ids:
                now = there.get(name)
                if now in (None, old) or old in there.values() or now in known:
                    continue
                if self.samples_of[old] != self.samples_of[now] and self.samples_of[old] in samples_there:
                    continue  # pushed aside, and met elsewhere by its samples
                if old in self.titles:
                    assert self.home.catalogue.track(now).title.startswith("title"), name
        for path in self.folder.iterdir():
            if id_of(path) not in self.home.store.known(MEL):
                embed(self.home, path)

    def one_lost_is_the_one_that_came(self, known: set[str], there: set[str], edited: dict[str, str]) -> None:
        """Where one recording is lost and one of its samples came, this is it, wherever it lies.

        Unless a third of these samples stayed: it may lie in place of the lost one, which then is that one.
        """
        for samples in set(self.samples_of.values()):
            lost = [each for each in known - there if self.samples_of[each] == samples]
            came = [each for each in there - known if self.samples_of[each] == samples]
            stayed = [each for each in there & known if self.samples_of[each] == samples]
            if len(lost) == len(came) == 1 and stayed:
                assert self.home.catalogue.track(lost[0]).track_id in {came[0], *stayed}
            elif len(lost) == len(came) == 1:
                assert self.home.catalogue.track(lost[0]).track_id == came[0]
                assert self.home.store.has(came[0], MEL)
                if lost[0] in edited and came[0] not in edited:
                    assert self.home.catalogue.track(came[0]).title == edited[lost[0]]

    @invariant()
    def one_track_at_a_path(self) -> None:
        if not getattr(self, "is_scanned", False):
            return
        for path in self.folder.iterdir():
            assert self.home.catalogue.tracks_at(path) == [id_of(path)]
            track = self.home.catalogue.track(id_of(path))
            assert self.home.catalogue.audio_path(track.track_id).read_bytes() == path.read_bytes()
            if track.track_id in self.titles:
                assert track.title == self.titles[track.track_id] or track.title.startswith("title")

    @invariant()
    def an_embedding_is_of_its_own_bytes(self) -> None:
        if not hasattr(self, "home"):
            return
        for row in self.home.database.connection.execute("SELECT track_id, path FROM embeddings"):
            expected = np.float32(told(self.samples_of[row["track_id"]]))
            assert self.home.store.read(row["track_id"], MEL).mean[0, 0] == expected
            assert track_in(self.home.paths.root / row["path"]) == row["track_id"]
        for row in self.home.database.connection.execute("SELECT track_id, value FROM targets"):
            assert row["value"] == told(self.samples_of[row["track_id"]])

    @invariant()
    def no_title_is_lost(self) -> None:
        """It may be written over by a later one of the same recording, and by nothing else."""
        if hasattr(self, "home") and self.titles:
            (n_kept,) = self.home.database.connection.execute("SELECT count(*) FROM edits").fetchone()
            assert n_kept >= 1


@contextlib.contextmanager
def begun() -> Iterator[Folder]:
    folder = Folder()
    try:
        folder.begin()
        yield folder
    finally:
        folder.teardown()


TestFolder = pytest.mark.slow(Folder.TestCase)
# The same folders at every run: what passes here passes elsewhere. More are drawn by raising max_examples.
TestFolder.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_content_that_comes_back_has_its_edits_again():
    """A renamed copy with other tags took over from it meanwhile; what a person wrote over fits both."""
    with begun() as folder:
        folder.make(is_seen=True, name="c.wav", samples=0, tag=0)
        folder.edit(name="c.wav")
        folder.delete(name="c.wav")
        folder.make(is_seen=True, name="a.wav", samples=0, tag=1)
        folder.one_track_at_a_path()
        folder.make(is_seen=True, name="b.wav", samples=0, tag=0)
        folder.one_track_at_a_path()


def test_one_that_was_never_seen_takes_the_place_of_one_that_moved_retagged() -> None:
    """The title moves with its samples; what lies where it was is another recording, and has no title yet."""
    with begun() as folder:
        folder.make(is_seen=True, name="a.wav", samples=0, tag=0)
        folder.edit(name="a.wav")
        folder.make(is_seen=False, name="c.wav", samples=1, tag=0)
        folder.retag_and_move(name="a.wav", other="c.wav", tag=3)
        folder.rescan()
        folder.one_track_at_a_path()
        titles = {each.stem: folder.home.catalogue.track(id_of(each)).title for each in folder.folder.iterdir()}
        assert titles == {"a": "a", "c": "title 1"}


def test_a_copy_put_over_one_of_equal_samples_is_what_that_one_was() -> None:
    """Three of the same samples, of which one is written over by another, and that other is retagged where it lay."""
    with begun() as folder:
        folder.make(is_seen=False, name="b.wav", samples=1, tag=2)
        folder.make(is_seen=True, name="a.wav", samples=1, tag=0)
        (a, b) = (id_of(folder.folder / name) for name in ("a.wav", "b.wav"))
        folder.edit(name="a.wav")
        folder.copy(name="a.wav", other="b.wav")
        folder.make(is_seen=False, name="a.wav", samples=1, tag=1)
        folder.rescan()
        folder.one_track_at_a_path()
        assert folder.home.catalogue.track(b).track_id == a and folder.home.catalogue.track(a).title == "title 1"
