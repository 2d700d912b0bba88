"""Measuring on a cluster of Ray: the same files in, the same targets out, measured by workers on many machines.

    files of tracks, a few at a time -> worker: decode, measure -> targets of tracks, here into the catalogue

A worker takes one core, as a process does that measures here, and runs `measure_track` itself on one thread; so its
numbers are those of a run here, to the last digit, on machines of one kind. Paths pass through Ray, and numbers.

Which of several files of a track is measured is decided here, and a value is kept with what it was measured on. So a
worker that finds another MIDI file or score than is here measures nothing of that track, and says so.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import mess_core
from mess_core.audio.source import safe_name
from mess_core.cluster.crew import SEND_EVERY_S, CrewWorker, Trade, work_on_cluster
from mess_core.cluster.nodes import NodeFacts, check_nodes
from mess_core.cluster.settings import ClusterSettings
from mess_core.errors import AudioError, InputError, MessError, of_item
from mess_core.parallel import on_one_thread
from mess_core.storage.remote import Elsewhere, parse_elsewhere
from mess_core.targets.measurements import Files, Measured, formulas, measure_track, version_of

PACKAGES = ("numpy", "scipy", "soxr", "soundfile", "av")  # by which a value is what it is
WHAT = "the targets"

Outcome = tuple[Files, Measured | MessError]


def measure_on_cluster(wanted: Sequence[Files], settings: ClusterSettings) -> Generator[Outcome | None, None, None]:
    """Measure tracks, as `measure_track` does.

    Yields
    ------
    files, measured
        What was measured, or why it cannot be, of tracks in any order; the version of `files` is of what was measured.
        Now and then None comes: the moment to see whether to end.

    Raises
    ------
    MessError
        As `work_on_cluster`; DataMissingError if the place of the music is gone.
    """
    return work_on_cluster(Measuring(), wanted, settings)


class Measuring(Trade[Files, Outcome]):
    """What a crew does that measures tracks."""

    @property
    def worker(self) -> type[CrewWorker]:
        return Measurer

    @property
    def told(self) -> None:
        return None

    def check(self, found: Sequence[NodeFacts]) -> None:
        """By what measures here, too: a library that was measured in part goes on elsewhere."""
        here = _facts("this machine")
        check_nodes([here, *found], here.makes)

    def name(self, item: Files) -> str:
        return item.track_id

    def ends(self, said: Outcome) -> str:
        return said[0].track_id

    def given_up(self, item: Files, n_deaths: int) -> Iterable[Outcome]:
        error = AudioError(f"{n_deaths} workers died while they measured it.", "Try it without a cluster.")
        return [(item, error)]


def _facts(node: str) -> NodeFacts:
    packages = {package: _version(package) for package in PACKAGES}
    return NodeFacts(node, mess_core.__version__, packages, {WHAT: formulas()})


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # built in a way that leaves no word of it
        return "unknown"


class Measurer(CrewWorker):
    """One core of a cluster, on which tracks are measured. An actor of Ray's."""

    def __init__(self, node: str, settings: ClusterSettings, is_on_gpu: bool, n_decoders: int) -> None:
        self._node, self._elsewhere = node, parse_elsewhere(settings.read_from)

    def begin(self, told: None) -> NodeFacts:
        on_one_thread()
        return _facts(self._node)

    def work(self, items: Sequence[Files]) -> Iterator[list[Outcome]]:
        """Measure tracks; whatever is in one file, the others are measured."""
        ready: list[Outcome] = []
        sent_s = time.monotonic()
        for files in items:
            ready.append(_measured(files, self._elsewhere))
            if time.monotonic() - sent_s >= SEND_EVERY_S:
                yield ready
                ready, sent_s = [], time.monotonic()
        yield ready


def _measured(files: Files, elsewhere: Elsewhere | None) -> Outcome:
    """Measure a track where its files lie for this machine.

    Raises
    ------
    DataMissingError, StorageError
        As `Elsewhere.local`: of a place or a disk, and of no one track.
    """
    with contextlib.ExitStack() as stack:

        def local(path: Path) -> Path:
            return stack.enter_context(elsewhere.local(path)) if elsewhere else path

        try:
            audio = local(files.audio)
            midi, score = (None if path is None else local(path) for path in (files.midi, files.score))
        except AudioError as error:  # this one file is not there
            return files, error
        try:
            there = replace(files, audio=audio, midi=midi, score=score, version=version_of(midi, score))
            if files.version and there.version != files.version:
                raise _other_file(there)
            return replace(files, version=there.version), measure_track(there)
        except Exception as error:
            return files, of_item(error)


def _other_file(there: Files) -> InputError:
    names = " or ".join(safe_name(path) for path in (there.midi, there.score) if path is not None)
    return InputError(
        f"{names} is not there for a worker, or is another file than on this machine.",
        "Let both see the same music (--read-from), or measure it without a cluster.",
    )
