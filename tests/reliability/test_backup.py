"""A copy that is made while others remove and write is whole, or says that it is not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.errors import InputError, StorageError
from mess_core.upkeep.backup import back_up
from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import Everything


def files(home: Workspace) -> set[str]:
    return {path.name for path in home.paths.embeddings.rglob("*.safetensors")}


def while_copying(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], every: int = 1) -> None:
    """Something happens before every so manieth file is copied."""
    real = shutil.copy2
    n_copied = 0

    def copy2(source: Path, target: Path) -> Path:
        nonlocal n_copied
        n_copied += 1
        if n_copied % every == 0:
            act()
        return real(source, target)

    monkeypatch.setattr(shutil, "copy2", copy2)


def test_what_is_removed_while_it_is_copied_is_in_neither(
    everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A track before every third file: the copy is as the folder is in the end."""
    home = everything.home
    other = Workspace(home.paths.root)

    def remove() -> None:
        ids = other.catalogue.track_ids("music")
        if len(ids) > 3:
            other.forget_tracks(ids[-1:])

    while_copying(monkeypatch, remove, every=3)
    back_up(home, tmp_path / "copy")
    copy = Workspace(tmp_path / "copy")
    assert check(copy) == [] and files(copy) == files(home)
    assert 3 <= copy.catalogue.n_tracks("music") < 12


def test_a_library_that_is_removed_in_the_middle(
    everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = everything.home
    done: list[int] = []

    def remove() -> None:
        done.append(1)
        if len(done) == 10:
            Workspace(home.paths.root).remove_library("music")

    while_copying(monkeypatch, remove)
    assert main(["--home", str(home.paths.root), "backup", str(tmp_path / "copy")]) == 0
    copy = Workspace(tmp_path / "copy")
    assert check(copy) == [] and files(copy) == set() and copy.catalogue.libraries() == []
    assert len(list(copy.paths.uploads.glob("*"))) == 1


def test_a_true_remover_and_a_true_copier(everything: Everything, tmp_path: Path) -> None:
    home = everything.home
    is_over = threading.Event()
    read = home.store.read(home.catalogue.track_ids("music")[0], MEL)

    def remove_and_write() -> None:
        other = Workspace(home.paths.root)
        ids = other.catalogue.track_ids("music")
        for track_id in [*ids[:6], *ids[6:] * 20]:
            if is_over.is_set():
                break
            if track_id in ids[:6]:
                other.forget_tracks([track_id])
            else:
                other.store.forget(track_id, MEL.fingerprint)
                other.store.write(track_id, MEL, read)
        other.database.close()

    thread = threading.Thread(target=remove_and_write)
    thread.start()
    try:
        back_up(home, tmp_path / "copy")
    except StorageError as error:  # removed faster than it could be copied: said so
        assert "not whole" in error.message
    else:
        assert check(Workspace(tmp_path / "copy")) == []
    finally:
        is_over.set()
        thread.join()


def test_a_copy_of_what_is_damaged_is_made_and_said_to_be_so(
    everything: Everything, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = everything.home
    path = everything.files("embedding")[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["--home", str(home.paths.root), "backup", str(tmp_path / "copy")]) == 2
    said = capsys.readouterr().err
    assert "is not whole, damaged or missing: 1 file;" in said and path.name in said and "mess_core check" in said
    assert Workspace(tmp_path / "copy").catalogue.n_tracks("music") == 12


def test_a_disk_that_takes_no_copy_is_said_once(
    everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    while_copying(monkeypatch, full)
    with pytest.raises(StorageError) as caught:
        back_up(everything.home, tmp_path / "copy")
    assert caught.value.message.endswith("was not finished: No space left on device.")
    assert caught.value.hint.count("Free some space") == 1


def test_a_copy_is_not_made_inside_of_what_is_copied(everything: Everything) -> None:
    with pytest.raises(InputError, match="lies in the data folder"):
        back_up(everything.home, everything.home.paths.root / "copy")
    with pytest.raises(InputError, match="not empty"):
        back_up(everything.home, everything.home.paths.root.parent)
