"""Targets of one's own: values that a person brings, by track, beside those that are measured here.

A column of a table, a pandas Series, or a function of audio or MIDI that was called once for every recording. Each is
one sealed document, `targets/<name>.json`, with what it is and where it came from. A track that is forgotten and comes
back has its value again: its id is its content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mess_core.catalogue.catalogue import Catalogue
from mess_core.catalogue.takeover import current_id
from mess_core.errors import ArtefactMismatchError, InputError, of_item
from mess_core.storage.files import own_files, read_sealed, write_sealed
from mess_core.storage.kept import Kind, aside, verify_document
from mess_core.storage.paths import Paths, file_name
from mess_core.storage.provenance import digest
from mess_core.storage.untrusted import LARGEST, build, printable, understanding
from mess_core.targets.base import Target, TargetValue
from mess_core.targets.registry import OWN, TRACK
from mess_core.words import counted

FORMAT = "mess-own-target-1"
NUMBERS, CLASSES = "numbers", "classes"
MOST_LETTERS = 100  # of a name
ADD_AGAIN = "Add it again: python -m mess_core targets --csv FILE --column NAME."

Value = float | str


@dataclass(frozen=True)
class OwnTarget:
    """One target of one's own.

    name : as it is asked for; unit, title : as it is shown
    kind : "numbers" or "classes"
    source : where its values come from, in a few words
    values : track id -> number or class; a track without one has none
    """

    name: str
    kind: str
    source: str
    title: str = ""
    unit: str = ""
    summary: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """A hash of its values: another one where any is."""
        return digest(f"{self.kind} {track_id} {value}" for track_id, value in self.values.items())

    @property
    def described(self) -> Target:
        """As probes and pages describe it."""
        summary = self.summary or f"A target of your own: {self.source}."
        return Target(
            self.name, self.title or self.name, self.unit, OWN, "own", "high", "id", TRACK, summary,
            kind=self.kind, source=self.source,
        )  # fmt: skip


def own_target(
    name: str, values: Mapping[str, Any], source: str, *, kind: str = "", title: str = "", unit: str = "",
    summary: str = "",
) -> OwnTarget:  # fmt: skip
    """Values by track id, checked.

    Parameters
    ----------
    kind : "numbers", "classes" or ""
        By default numbers, if every value is one.

    Raises
    ------
    InputError
        If the name or the kind cannot be, or no track has a value.
    """
    name = name.strip()
    if not name or len(name) > MOST_LETTERS or not name.isprintable():
        raise InputError(f"{printable(name[:40])!r} cannot name a target, expected 1 to {MOST_LETTERS} letters.")
    if kind not in ("", NUMBERS, CLASSES):
        raise InputError(f"The kind {kind!r} was given; expected {NUMBERS} or {CLASSES}.")
    known = {track_id: value for track_id, value in values.items() if not _is_nothing(value)}
    numbers = {track_id: number_of(value) for track_id, value in known.items()}
    is_number = {track_id: math.isfinite(number) for track_id, number in numbers.items()}
    endless = next((each for each in known.values() if not isinstance(each, str) and _is_endless(each)), None)
    if endless is not None:
        raise InputError(f"{name!r} holds {endless!r}, expected finite numbers.", "Leave such recordings out.")
    kind = kind or (NUMBERS if all(is_number.values()) else CLASSES)
    if kind == NUMBERS:
        found: dict[str, Value] = {track_id: number for track_id, number in numbers.items() if is_number[track_id]}
    else:
        found = {track_id: _as_class(value) for track_id, value in known.items()}
    if not found:
        raise InputError(f"No recording has a value of {name!r}.", "Expected one for each, by track id, path or title.")
    return OwnTarget(name, kind, source, title, unit, summary, found)


def measure_own(
    name: str, tracks: Iterator[tuple[str, Any]], function: Callable[[Any], Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Call a function for each (track id, signal); returns the values, and (track id, why) where there is none.

    A signal that is an exception could not be read.
    """
    values: dict[str, Any] = {}
    failed: list[tuple[str, str]] = []
    for track_id, signal in tracks:
        try:
            if isinstance(signal, Exception):
                raise signal
            value = function(signal)
        except Exception as error:  # whatever one recording does to it, the others are measured
            failed.append((track_id, of_item(error).message))
            continue
        if isinstance(value, TargetValue):
            reason, value = value.reason, value.value
        else:
            reason = "the function gave no value"
        if _is_nothing(value):
            failed.append((track_id, reason))
        else:
            values[track_id] = value
    if not values and failed:
        raise InputError(f"{name!r} could not be measured on any recording: {failed[0][1]}")
    return values, failed


def _is_endless(value: Any) -> bool:
    try:
        return math.isinf(value)
    except TypeError:
        return False


def number_of(value: Any) -> float:
    """A number, or what a table says as one; NaN for anything else. A comma is taken for a point.

    Examples
    --------
    >>> number_of("3,5"), number_of(2), number_of("cello")
    (3.5, 2.0, nan)
    """
    if isinstance(value, str) and value.count(",") == 1:
        value = value.replace(",", ".")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if abs(number) <= LARGEST else math.nan


def save_own(paths: Paths, target: OwnTarget) -> None:
    """Keep it, in place of an older one of that name."""
    write_sealed(own_path(paths, target.name), {"format": FORMAT, **asdict(target)})


def load_own(paths: Paths, name: str) -> OwnTarget | None:
    """The target of that name, or None.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged.
    """
    path = own_path(paths, name)
    return _read(path) if path.is_file() else None


def own_targets(paths: Paths) -> dict[str, OwnTarget]:
    """All that can be read, by name."""
    found = {}
    for path in sorted(_files(paths)):
        try:
            target = _read(path)
        except ArtefactMismatchError:  # `check` names it
            continue
        found[target.name] = target
    return found


def own_stamp(paths: Paths) -> tuple[tuple[str, int], ...]:
    """Another one where a target was brought, replaced or forgotten."""
    return tuple((path.name, path.stat().st_mtime_ns) for path in sorted(_files(paths)))


def forget_own(paths: Paths, name: str) -> None:
    """Forget one; what was found about it stays.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    path = own_path(paths, name)
    if not path.is_file():
        there = ", ".join(own_targets(paths)) or "none"
        raise InputError(f"There is no target of your own called {name!r}.", f"Those that there are: {there}.")
    path.unlink()


def values_now(target: OwnTarget, catalogue: Catalogue, track_ids: Collection[str]) -> dict[str, Value]:
    """Of some tracks, by their ids of today: where a file's bytes changed, the new track has what the old one had."""
    asked = set(track_ids)
    found = {track_id: value for track_id, value in target.values.items() if track_id in asked}
    for track_id, value in target.values.items():
        if track_id not in asked and (now := current_id(catalogue.database.connection, track_id)) in asked:
            found.setdefault(now, value)
    return found


def summary_of(target: OwnTarget) -> str:
    """One line of what it holds."""
    n = counted(len(target.values), "recording")
    if target.kind == NUMBERS:
        return f"{target.name}: numbers{f' in {target.unit}' if target.unit else ''} of {n} ({target.source})"
    return f"{target.name}: {counted(len(set(target.values.values())), 'class', 'classes')} of {n} ({target.source})"


def own_path(paths: Paths, name: str) -> Path:
    return paths.own_targets / f"{file_name(name)}.json"


def _files(paths: Paths) -> list[Path]:
    return list(own_files(paths.root, paths.own_targets.glob("*.json")))


def _read(path: Path) -> OwnTarget:
    return _understood(path, read_sealed(path, cure=ADD_AGAIN))


def _understood(path: Path, plain: Mapping[str, Any]) -> OwnTarget:
    with understanding(printable(path.name), ADD_AGAIN):
        if plain["format"] != FORMAT:
            raise ArtefactMismatchError(f"{printable(path.name)} was made by another version.", ADD_AGAIN)
        target = build(OwnTarget, {name: value for name, value in plain.items() if name != "format"})
        kinds = {NUMBERS: (int, float), CLASSES: (str,)}[target.kind]
        if not isinstance(target.values, Mapping) or not all(isinstance(v, kinds) for v in target.values.values()):
            raise ValueError("it holds a value of another kind")
        return target


def _understand(path: Path, document: Mapping[str, Any]) -> None:
    _understood(path, document)


def _as_class(value: Any) -> str:
    """A class by its name; a whole number that a table made a fraction is one again."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value).strip()


def _is_nothing(value: Any) -> bool:
    is_number = isinstance(value, float) or hasattr(value, "dtype")
    return value is None or (isinstance(value, str) and not value.strip()) or (is_number and value != value)


KEPT = Kind("own target", _files, lambda path: verify_document(path, ADD_AGAIN, (), _understand), remove=aside)
