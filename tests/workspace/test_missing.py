"""Files that are gone are forgotten in bulk, seen before they are; a disk that is not mounted loses nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mess_core.catalogue.catalogue import ALL
from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.errors import UnknownTrackError
from mess_core.upkeep.check import check
from mess_core.work.add import AddRequest
from mess_core.work.request import submit
from mess_core.workspace.scan import scan
from mess_core.workspace.workspace import Workspace
from tests.conftest import work


@pytest.fixture
def music(home: Workspace, write_wav: Callable[..., Path]) -> Path:
    folder = write_wav("a", 3.0, 1).parent
    write_wav("b", 3.0, 2), write_wav("c", 3.0, 3)
    shutil.copy(folder / "c.wav", folder / "copy of c.wav")
    submit(home, AddRequest(folder, "music", encoder_id=MEL.id))
    work(home)
    return folder


def test_only_what_has_no_file_left_is_listed_and_only_yes_forgets_it(
    home: Workspace, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (music / "a.wav").unlink()
    (music / "c.wav").unlink()  # a copy is left
    (gone,) = home.missing_files("music")
    assert gone.path == music / "a.wav"
    home.opinions.judge(gone.track_id, "like")
    arguments = ["--home", str(home.paths.root), "--json", "remove", "--missing"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in told["missing"]] == [str(music / "a.wav")] and not told["is_forgotten"]
    assert home.catalogue.n_tracks("music") == 3
    assert main([*arguments, "--yes", "--library", "music"]) == 0
    with pytest.raises(UnknownTrackError):
        home.catalogue.track(gone.track_id)
    assert home.catalogue.n_tracks("music") == len(home.store.known(MEL)) == 2 and check(home) == []
    assert len(home.opinions.export()) == 1 and home.missing_files(ALL) == []


@pytest.mark.parametrize("state", ["gone", "empty"])
def test_a_folder_that_is_not_there_counts_only_when_it_is_named(
    home: Workspace, music: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = music.rename(music.with_name("elsewhere"))
    if state == "empty":  # a mount point
        music.mkdir()
    arguments = ["--home", str(home.paths.root), "remove", "--missing", "--yes"]
    assert main(arguments) == 0 and home.catalogue.n_tracks("music") == 3
    assert "0 tracks forgotten" in capsys.readouterr().out
    assert main([*arguments, "--root", str(music)]) == 0 and home.catalogue.libraries() == []
    assert len(list(elsewhere.glob("*.wav"))) == 4


def test_a_folder_of_a_library_that_is_not_mounted_keeps_its_tracks(home: Workspace, music: Path) -> None:
    """A disk below the folder: its place is empty, the rest is there."""
    disk = music / "disk" / "album"
    disk.mkdir(parents=True)
    shutil.move(music / "a.wav", disk / "a.wav")
    shutil.move(music / "b.wav", music / "disk" / "b.wav")
    scan(home, music, "music")
    shutil.rmtree(music / "disk")
    (music / "disk").mkdir()
    assert home.missing_files("music") == []
    (music / "disk").rmdir()  # the folder itself was deleted, among others that are there
    assert {each.path.name for each in home.missing_files("music")} == {"a.wav", "b.wav"}


def test_what_comes_back_meanwhile_is_not_forgotten(home: Workspace, music: Path) -> None:
    kept = (music / "a.wav").read_bytes()
    (music / "a.wav").unlink()
    seen = [each.track_id for each in home.missing_files("music")]
    (music / "a.wav").write_bytes(kept)
    assert len(seen) == 1 and home.forget_missing("music", seen) == [] and home.catalogue.n_tracks("music") == 3


def test_wrong_use_is_said(home: Workspace, music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["remove"], ["remove", "music", "--missing"], ["remove", "--missing", "--library", "nosuch"]):
        assert main(["--home", str(home.paths.root), *verb]) == 2
        assert capsys.readouterr().err.startswith("mess: ")
    assert home.catalogue.n_tracks("music") == 3
