"""A catalogue with damaged pages, a folder that may only be read, a disk that is full: what is there can be used."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mess_core.cli.doctor import examine
from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.errors import MessError, StorageError
from mess_core.upkeep.check import check, last_check
from mess_core.upkeep.sweep import sweep
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.reliability.conftest import Everything

PAGE = 4096


def zeroed_header(data: bytearray) -> bytes:
    data[:100] = bytes(100)
    return bytes(data)


def zeroed_pages(data: bytearray) -> bytes:
    for start in range(PAGE, len(data), 3 * PAGE):
        data[start : start + PAGE] = bytes(PAGE)
    return bytes(data)


def noise(data: bytearray) -> bytes:
    rng = np.random.default_rng(0)
    for start in range(PAGE, len(data), 2 * PAGE):
        data[start : start + 200] = rng.bytes(200)
    return bytes(data)


def flipped(data: bytearray) -> bytes:
    rng = np.random.default_rng(1)
    for position in rng.integers(100, len(data), len(data) // 50):
        data[position] ^= 0xFF
    return bytes(data)


DAMAGES: dict[str, Callable[[bytearray], bytes]] = {
    "zeroed header": zeroed_header,
    "zeroed pages": zeroed_pages,
    "noise": noise,
    "flipped bytes": flipped,
    "cut to a half": lambda data: bytes(data[: len(data) // 2]),
    "cut to a page": lambda data: bytes(data[:PAGE]),
    "no database": lambda data: b"not a database " * 1000,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_catalogue_is_a_sentence_with_its_cure(
    everything: Everything, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is read: never a stack trace. Doctor looks at the rest; rebuilding leaves a folder that is whole."""
    home = everything.home
    sweep(home)  # keeps the copy of today
    track_id = home.catalogue.track_ids("music")[0]
    home.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home.database.close()
    path = home.paths.database
    path.write_bytes(DAMAGES[damage](bytearray(path.read_bytes())))
    arguments = ["--home", str(home.paths.root)]
    for verb in (["doctor"], ["check"], ["similar", track_id, "--encoder", "mel"], ["remove", track_id], ["targets"]):
        code = main([*arguments, *verb])
        said = capsys.readouterr()
        assert "Traceback" not in said.err and "defect" not in said.out + said.err
        if verb == ["doctor"]:
            assert code == 0 and "check --rebuild" in said.out and "compute device" in said.out
        elif verb == ["check"]:
            assert code != 0 and "check --rebuild" in said.out + said.err
        elif code:
            assert said.err.startswith("mess: ") or "failed" in said.out or "mess: " in said.err
    assert main([*arguments, "check", "--rebuild"]) == 0, capsys.readouterr()
    after = Workspace(home.paths.root)
    assert check(after) == [] and after.catalogue.n_tracks("music") == 12 and after.store.has(track_id, MEL)


def test_a_page_that_is_damaged_shows_when_its_rows_are_read(everything: Everything) -> None:
    """The first rows may be whole: the failure comes from the cursor, and from no other place."""
    home = everything.home
    home.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home.database.close()
    data = bytearray(home.paths.database.read_bytes())
    for page in range(2, len(data) // PAGE):
        data[page * PAGE : page * PAGE + 8] = b"\xff" * 8
    home.paths.database.write_bytes(data)
    n_sentences = 0
    for read in (
        home.catalogue.libraries,
        lambda: home.catalogue.tracks("music"),
        lambda: home.catalogue.find("music", "cutoff"),
        lambda: home.catalogue.names("music"),
        home.jobs.active,
        lambda: home.jobs.latest("extract"),
        home.opinions.export,
        lambda: home.store.known(MEL),
        home.catalogue.missing_roots,
        lambda: last_check(home),
    ):
        try:
            read()
        except MessError as error:
            assert isinstance(error, StorageError) and "check --rebuild" in error.hint
            n_sentences += 1
    assert n_sentences >= 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "mess", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    for piece in (65536, 4096, 1):
        with filler.open("ab", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(piece))
    try:
        yield
    finally:
        filler.unlink()


def verbs(home: Workspace, copy: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str]]:
    """What can be done without changing anything; exit code and what was said."""
    track_id = home.catalogue.track_ids("music")[0]
    found = {}
    for verb in (["doctor"], ["check"], ["similar", track_id, "--encoder", "mel"], ["backup", str(copy)]):
        code = main(["--home", str(home.paths.root), *verb])
        said = capsys.readouterr()
        found[verb[0]] = (code, said.out + said.err)
        assert "Traceback" not in said.err
    return found


@pytest.mark.parametrize("state", ["full", "read-only"])
@pytest.mark.parametrize("log", ["with a log", "without"])
def test_a_disk_that_takes_nothing_can_still_be_used(
    everything: Everything, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str, log: str
) -> None:
    """Doctor, check, search, copying to another disk."""
    root = small_disk / "home"
    shutil.copytree(everything.home.paths.root, root)
    home = Workspace(root)
    expected = len(home.catalogue.track_ids("music"))
    if log == "with a log":  # as a server that was killed leaves it
        home.catalogue.edit(home.catalogue.track_ids("music")[0], title="In the log")
        for suffix in ("", "-wal"):
            shutil.copy(f"{home.paths.database}{suffix}", f"{small_disk}/kept{suffix}")
        home.database.close()
        for suffix in ("", "-wal"):
            shutil.move(f"{small_disk}/kept{suffix}", f"{home.paths.database}{suffix}")
    titles = {"In the log"} if log == "with a log" else set()
    home.database.close()
    shutil.rmtree(home.paths.cache)

    @contextlib.contextmanager
    def read_only() -> Iterator[None]:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)

    with filled(small_disk) if state == "full" else read_only():
        found = verbs(Workspace(root), tmp_path / "copy", capsys)
        assert found["doctor"][0] == 0
        assert found["check"] == (0, "Every stored array and row is as it was written.\n")
        assert found["similar"][0] == 0 and "cutoff" in found["similar"][1]
        assert found["backup"][0] == 0, found["backup"]
        with pytest.raises(StorageError) as caught:
            Workspace(root).catalogue.edit(Workspace(root).catalogue.track_ids("music")[0], title="x" * 300_000)
        assert caught.value.hint
    copy = Workspace(tmp_path / "copy")
    assert check(copy) == [] and copy.catalogue.n_tracks("music") == expected
    assert titles <= {track.title for track in copy.catalogue.tracks("music")}
    assert check(Workspace(root)) == []


@pytest.mark.parametrize("is_open", [False, True])
def test_removing_makes_room_on_a_full_disk(everything: Everything, small_disk: Path, is_open: bool) -> None:
    """Also where SQLite's log is not there yet, for which there is no room."""
    root = small_disk / "home"
    shutil.copytree(everything.home.paths.root, root)
    home = Workspace(root)
    assert not is_open or home.catalogue.n_tracks("music")
    packed = home.paths.cache / "packed"
    packed.mkdir(parents=True, exist_ok=True)
    (packed / "large.npy").write_bytes(bytes(300_000))
    with filled(small_disk):
        assert main(["--home", str(root), "remove", "music"]) == 0
    assert home.catalogue.libraries() == [] and check(home) == []


def test_a_file_in_place_of_the_cache_only_makes_it_slower(
    everything: Everything, capsys: pytest.CaptureFixture[str]
) -> None:
    home = everything.home
    shutil.rmtree(home.paths.cache)
    home.paths.cache.write_bytes(b"")
    track_id = home.catalogue.track_ids("music")[0]
    assert main(["--home", str(home.paths.root), "similar", track_id, "--encoder", "mel"]) == 0
    assert check(home) == [] and sweep(home) is None
    (finding,) = [finding for finding in examine(home) if finding.subject == "cache"]
    assert not finding.is_ok and "Delete it" in finding.cure
    assert main(["--home", str(home.paths.root), "map", "--encoder", "mel"]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_job_that_nobody_knows_is_a_sentence(home: Workspace) -> None:
    """Of a newer MESS on the same folder, or damaged: it is shown, fails, and stops nothing."""
    with home.database.transaction() as connection:
        for number, (kind, arguments) in enumerate([("nosuch", "{}"), ("extract", "no JSON"), ("probe", "[1]")]):
            connection.execute(
                "INSERT INTO jobs (kind, arguments, key, state, priority, created_at) VALUES (?, ?, ?, 'queued', 0, 0)",
                (kind, arguments, str(number)),
            )
    assert [job.kind for job in home.jobs.active()] == ["nosuch", "extract", "probe"]
    work(home)
    assert home.jobs.active() == []
    job = home.jobs.latest("nosuch")
    assert (job.state, job.message) == ("failed", "This MESS does no job of the kind 'nosuch'.")
    assert all(home.jobs.latest(kind).state == "failed" for kind in ("extract", "probe"))
    assert any(finding.subject == "failed jobs" for finding in examine(home))


def test_doctor_survives_whatever_it_looks_at(everything: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(message: str) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise sqlite3.DatabaseError(message)

        return fail

    home = everything.home
    monkeypatch.setattr(home.catalogue, "libraries", broken("nonsense"))
    monkeypatch.setattr(os, "access", broken("more of it"))
    states = {finding.subject: finding for finding in examine(home)}
    assert "nonsense" in states["libraries"].state and "more of it" in states["data folder"].state
    assert states["compute device"].is_ok and "last check" in states
