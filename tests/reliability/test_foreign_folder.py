"""A data folder that somebody else made: whatever it names, nothing outside of it is served, copied or deleted."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mess_core.catalogue.catalogue import track_id_of
from mess_core.cli.doctor import examine
from mess_core.encoders.mel import MEL
from mess_core.errors import ArtefactMismatchError, DataMissingError, MessError
from mess_core.storage.files import inside, own_files, read_sealed, seal, write_atomically
from mess_core.upkeep.backup import back_up
from mess_core.upkeep.check import check
from mess_core.upkeep.sweep import sweep
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import Everything

SECRET = b"RIFF nobody may touch or see this"


@pytest.fixture
def decoy(everything: Everything) -> Iterator[Path]:
    """Folders beside the data folder that look like ours; they are as they were at the end."""
    outside = everything.home.paths.root.parent / "decoy"
    names = ["embeddings/x/ab/a.safetensors", "upload.wav", "probing/bad.json", "cache/bad.npy", "cache/bad.json"]
    for name in names:
        path = outside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SECRET)
        os.utime(path, (0, 0))
    yield outside
    left = {path.relative_to(outside).as_posix(): path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    assert left == dict.fromkeys(names, SECRET)


def everything_that_deletes(home: Workspace, copy: Path) -> None:
    """Each may refuse, none may go astray."""
    old = time.time() + 10 * 365 * 86400
    for act in (
        lambda: examine(home),
        lambda: check(home, repair=True),
        lambda: sweep(home),
        lambda: home.store.sweep(old),
        lambda: back_up(home, copy),
        lambda: home.remove_library("music"),
        lambda: home.forget_tracks([row[0] for row in home.database.connection.execute("SELECT track_id FROM tracks")]),
        lambda: sweep(home),
        lambda: home.store.sweep(old),
    ):
        try:
            act()
        except MessError:
            continue
    copied = [path for path in copy.rglob("*") if path.is_file() and path.read_bytes() == SECRET]
    assert copied == []


NAMES = [
    "../decoy/embeddings/x/ab/a.safetensors",
    "embeddings/../../decoy/embeddings/x/ab/a.safetensors",
    "uploads/../../decoy/upload.wav",
    "ABSOLUTE/embeddings/x/ab/a.safetensors",
    "mess.sqlite",
    "embeddings/a\0b",
    "embeddings",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_an_embedding_that_leads_out_is_named_and_forgotten(
    everything: Everything, decoy: Path, name: str, tmp_path: Path
) -> None:
    home = everything.home
    name = name.replace("ABSOLUTE", str(decoy))
    (track_id, *_) = home.catalogue.track_ids("music")
    kept = home.store.file_paths(track_id)[0]
    with home.database.transaction() as connection:
        sha256 = hashlib.sha256(SECRET).hexdigest()
        connection.execute(
            "UPDATE embeddings SET path = ?, sha256 = ? WHERE track_id = ? AND fingerprint = ?",
            (name, sha256, track_id, MEL.fingerprint),
        )
    with pytest.raises(ArtefactMismatchError, match="leads out"):
        home.store.read(track_id, MEL)
    assert any("leads out" in problem.what and problem.cure for problem in check(home))
    assert home.paths.database.exists()
    check(home, repair=True)
    assert check(home) == [] and not home.store.has(track_id, MEL) and kept.exists()
    everything_that_deletes(home, tmp_path / "copy")


ROOTS = ["uploads", "../decoy", "demo/../../decoy", "demo"]
FILES = ["../../decoy/upload.wav", "../decoy/upload.wav", "upload.wav", "a\0b", "ABSOLUTE"]


def test_rows_of_files_that_lead_out_are_named_and_never_served(
    everything: Everything, decoy: Path, tmp_path: Path
) -> None:
    home = everything.home
    made = {}
    for number, (root, name) in enumerate((root, name) for root in ROOTS for name in FILES):
        sha256 = hashlib.sha256(SECRET + bytes([number])).hexdigest()
        made[track_id_of(sha256)] = (root, name)
        with home.database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", (root,))
            (root_id,) = connection.execute("SELECT root_id FROM roots WHERE path = ?", (root,)).fetchone()
            connection.execute(
                "INSERT INTO tracks (track_id, sha256, title, duration_s, sample_rate_hz, n_channels, codec,"
                " is_truncated, added_at) VALUES (?, ?, 'x', 3.0, 24000, 1, 'WAV', 0, 0)",
                (track_id_of(sha256), sha256),
            )
            name = name.replace("ABSOLUTE", str(decoy / "upload.wav"))
            connection.execute(
                "INSERT INTO files VALUES (?, 'audio', ?, ?, ?, 0)",
                (track_id_of(sha256), root_id, name, len(SECRET)),
            )
    for track_id in made:
        with pytest.raises(DataMissingError):
            home.catalogue.audio_path(track_id)
    n_out = sum(name != "upload.wav" or ".." in root for root, name in made.values())
    assert sum("leads out" in problem.what for problem in check(home)) == n_out
    everything_that_deletes(home, tmp_path / "copy")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("embeddings", "embeddings"),
        ("embeddings/x", "embeddings/x"),
        ("embeddings/x/ab", "embeddings/x/ab"),
        ("uploads", "."),
        ("uploads/upload.wav", "upload.wav"),
        ("probing", "."),
        ("probing/x", "probing"),
        ("cache", "."),
        ("cache/packed", "cache"),
        ("cache/peaks", "cache"),
        ("cache/maps", "."),
        ("demo", "."),
        ("trash", "."),
        ("copies", "."),
    ],
)
def test_a_link_that_leads_out_is_not_followed(
    everything: Everything, decoy: Path, link: str, target: str, tmp_path: Path
) -> None:
    home = everything.home
    path = home.paths.root / link
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(decoy / target)
    everything_that_deletes(home, tmp_path / "copy")


@pytest.mark.parametrize("name", ["../../decoy/x", "a/b", "\0", "", "é", "0" * 63])
def test_a_discovery_that_names_other_directions_is_named(everything: Everything, decoy: Path, name: str) -> None:
    home = everything.home
    (discovery,) = everything.files("discovery")
    document = read_sealed(discovery) | {"directions_sha256": name}
    write_atomically(discovery, seal(document))
    sweep(home)
    assert [problem.kind for problem in check(home, repair=True)] == ["discovery"] and check(home) == []


def test_what_is_inside_and_what_is_not(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", outside):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root / "a")
    (root / "a" / "link").symlink_to(outside / "file")
    for name in ("a/file", "a/./file", "a/none", "in/file", "a/b/c/../d".replace("../", "")):
        assert inside(root, name) == root / name
    for name in ("", ".", "..", "../root/a", "a/../../x", "/etc/passwd", "out/file", "a/link", "a\0", "out"):
        with pytest.raises(ArtefactMismatchError, match="leads out"):
            inside(root, name)
    with pytest.raises(ArtefactMismatchError):
        inside(root, "in/file", "b")
    found = own_files(
        root, [*sorted(root.rglob("*")), root / "out" / "file", root / "a" / ".." / ".." / "outside" / "file"]
    )
    assert [path.name for path in found] == ["file"]
