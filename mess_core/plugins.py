"""What other people's code adds to MESS: installed packages, files that the user names, and the running program.

A package adds by entry points in its pyproject.toml:

    [project.entry-points."mess.encoders"]
    my-encoder = "my_package.encoder:ENTRY"      an `EncoderEntry` of `mess_core.encoders.base`, or a function under
                                                 `register_encoder`

    [project.entry-points."mess.targets"]
    my-target = "my_package.target:ENTRY"        a `TargetEntry` of `mess_core.targets.base`

    [project.entry-points."mess.recommenders"]
    my-model = "my_package.model:ENTRY"          a `Model` of `mess_core.study.models`

Once such a package is installed, what it adds is everywhere: in the lists, the heatmap, the sliders, the plans of
studies and on the command line. One that cannot be used is left out, and said in one sentence.

A file of Python adds by running: `--plugin my.py` on the command line, or its path in the environment variable
MESS_PLUGINS (several are parted as in PATH). The command line writes what it was given there, too, so that processes
which it starts have it; the app and its worker have it if they are started with it. Which files are run is written
down nowhere else, and in no data folder: a file runs because whoever started the process has named it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mess_core.errors import InputError, MessError

T = TypeVar("T")

FILES = "MESS_PLUGINS"
ENTRY = "mess_entry"  # attribute under which a function carries what it adds
_registered: dict[str, dict[str, Any]] = {}  # group -> name -> entry, of this process
_run: dict[Path, str] = {}  # file -> why it could not be run; "" of one that ran


def register(group: str, name: str, entry: Any) -> None:
    """Add an entry for as long as this process lives; it takes the place of one of this name."""
    _registered.setdefault(group, {})[name] = entry


def registered(group: str) -> tuple[Any, ...]:
    """What the running program and the named files have added to a group, in order."""
    for path in named_files():
        if path not in _run:
            _try(path)
    return tuple(_registered.get(group, {}).values())


def named_files() -> tuple[Path, ...]:
    """The files that the environment names."""
    names = os.environ.get(FILES, "").split(os.pathsep)
    return tuple(Path(name).expanduser().resolve() for name in names if name)


def run_file(path: Path) -> None:
    """Run a file that the user has named, once, and name it to the processes that this one starts.

    Raises
    ------
    InputError
        If it is not there, is no Python, or fails.
    """
    path = path.expanduser().resolve()
    if path not in _run:
        _try(path)
    if _run[path]:
        raise InputError(_run[path], "Correct it, or leave out --plugin.")
    if path not in named_files():
        os.environ[FILES] = os.pathsep.join(filter(None, (os.environ.get(FILES, ""), str(path))))


def _try(path: Path) -> None:
    _run[path] = ""  # before it runs: what it asks about encoders must not run it again
    name = f"mess_plugin_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        _run[path] = f"The plugin {path} is no file of Python."
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its classes and functions look for themselves
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever it does, who named it is told in one sentence
        del sys.modules[name]
        _run[path] = f"The plugin {path} cannot be used: {_reason(error)}."


@dataclass(frozen=True)
class Added(Generic[T]):
    """entries : what can be used, in order of name; problems : a sentence for each that cannot"""

    entries: tuple[T, ...]
    problems: tuple[str, ...]


def added(group: str, kind: type[T], check: Callable[[T, tuple[T, ...]], None]) -> Added[T]:
    """What installed packages, named files and the running program add to a group.

    Parameters
    ----------
    kind : type
        Of an entry.
    check : callable (entry, entries before it)
        Raises, with the reason, if it cannot be taken in.
    """
    entries: list[T] = []
    problems: list[str] = []
    for point in sorted(_installed().select(group=group), key=lambda point: point.name):
        try:
            entry = point.load()
            entry = getattr(entry, ENTRY, entry)
            if not isinstance(entry, kind):
                raise InputError(f"it is a {type(entry).__name__}, expected {kind.__name__}")
            check(entry, tuple(entries))
        except Exception as error:  # whatever another package does must not keep MESS from starting
            package = point.dist.name if point.dist is not None else point.value
            what = group.rpartition(".")[2].removesuffix("s")
            problems.append(f"The {what} {point.name!r} of the package {package} cannot be used: {_reason(error)}.")
        else:
            entries.append(entry)
    for entry in registered(group):
        if entry in entries:  # of a package that was imported a moment ago
            continue
        try:
            check(entry, tuple(entries))
        except Exception as error:
            problems.append(f"What was registered cannot be used: {_reason(error)}.")
        else:
            entries.append(entry)
    problems += [_run[path] for path in named_files() if _run[path]]
    return Added(tuple(entries), tuple(problems))


def _reason(error: Exception) -> str:
    """In one line."""
    if isinstance(error, MessError):
        return error.message.rstrip(".")
    return ", ".join(filter(None, (type(error).__name__, " ".join(str(error).split())[:300].rstrip("."))))


@functools.cache
def _installed() -> Any:  # what it is called changes with Python 3.12
    """Every entry point of this environment: looking for them takes a hundredth of a second."""
    return importlib.metadata.entry_points()
