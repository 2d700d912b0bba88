"""What other packages add to MESS, by entry points in their pyproject.toml.

    [project.entry-points."mess.encoders"]
    my-encoder = "my_package.encoder:ENTRY"      an `EncoderEntry` of `mess_core.encoders.base`

    [project.entry-points."mess.targets"]
    my-target = "my_package.target:ENTRY"        a `TargetEntry` of `mess_core.targets.base`

    [project.entry-points."mess.recommenders"]
    my-model = "my_package.model:ENTRY"          a `Model` of `mess_core.study.models`

Once such a package is installed, what it adds is everywhere: in the lists, the heatmap, the sliders, the plans of
studies and on the command line. One that cannot be used is left out, and said in one sentence.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mess_core.errors import InputError, MessError

T = TypeVar("T")


@dataclass(frozen=True)
class Added(Generic[T]):
    """entries : what can be used, in order of name; problems : a sentence for each that cannot"""

    entries: tuple[T, ...]
    problems: tuple[str, ...]


def added(group: str, kind: type[T], check: Callable[[T, tuple[T, ...]], None]) -> Added[T]:
    """What installed packages add to a group.

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
            if not isinstance(entry, kind):
                raise InputError(f"it is a {type(entry).__name__}, expected {kind.__name__}")
            check(entry, tuple(entries))
        except Exception as error:  # whatever another package does must not keep MESS from starting
            package = point.dist.name if point.dist is not None else point.value
            what = group.rpartition(".")[2].removesuffix("s")
            problems.append(f"The {what} {point.name!r} of the package {package} cannot be used: {_reason(error)}.")
        else:
            entries.append(entry)
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
