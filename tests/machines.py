"""Machines of a cluster: without Ray, workers that run here and die when told to; with it, what it has begun."""

from __future__ import annotations

import importlib.util
import itertools
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from mess_core.cluster import crew
from mess_core.cluster.crew import Crew, Trade
from mess_core.cluster.nodes import NodeFacts
from mess_core.cluster.settings import ClusterSettings
from mess_core.work import cluster as work_of_clusters

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install -r requirements-cluster.txt"
)


class Dead(Exception):
    """As Ray's own: a worker died."""


class Full(Exception):
    """As Ray's own: a disk is full."""


@dataclass
class Node:
    name: str
    n_cpus: int = 1
    n_gpus: int = 0
    is_alive: bool = True

    @property
    def facts(self) -> dict[str, object]:
        resources = {"CPU": self.n_cpus, **({"GPU": self.n_gpus} if self.n_gpus else {})}
        return {"NodeID": self.name, "NodeManagerHostname": self.name, "Alive": self.is_alive, "Resources": resources}


@dataclass
class Call:
    """A method of an actor, called at once."""

    act: object

    def options(self, **how: object) -> Call:
        return self

    def remote(self, *arguments: object) -> Result:
        try:
            return Result(value=self.act(*arguments))
        except Exception as error:
            return Result(error=error)


@dataclass(eq=False)
class Result:
    value: object = None
    error: Exception | None = None

    def __next__(self) -> Result:
        """Of a generator: what is next; an error is raised when it is fetched."""
        try:
            return Result(value=next(self.value))
        except StopIteration:
            raise
        except Exception as error:
            return Result(error=error)


@dataclass
class FakeRay:
    """As much of Ray as is asked, in one process.

    faults : (worker, counted from 0; what it sends, from 0) -> what happens in its place
    at : track id -> what happens to whoever is given it
    """

    all_nodes: list[Node] = field(default_factory=lambda: [Node("a"), Node("b")])
    faults: dict[tuple[int, int], Exception] = field(default_factory=dict)
    at: dict[str, Exception] = field(default_factory=dict)
    at_begin: dict[str, Exception] = field(default_factory=dict)
    worker_class: type | None = None
    asked: list[list[str]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)  # on which nodes
    n_killed: int = 0

    exceptions = SimpleNamespace(
        RayError=Dead, RayActorError=Dead, ObjectLostError=Dead, WorkerCrashedError=Dead, OutOfMemoryError=Dead,
        OutOfDiskError=Full,
    )  # fmt: skip
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node_id, soft: node_id)
    )

    def nodes(self) -> list[dict[str, object]]:
        return [node.facts for node in self.all_nodes]

    def remote(self, kind: type) -> FakeRay:
        self.worker_class = kind
        return self

    def options(self, scheduling_strategy: str, **how: object) -> SimpleNamespace:
        def make(*arguments: object) -> SimpleNamespace:
            number, actor = len(self.begun), self.worker_class(*arguments)
            self.begun.append(scheduling_strategy)
            counted = itertools.count()

            def begin(told: object) -> NodeFacts:
                if scheduling_strategy in self.at_begin:
                    raise self.at_begin[scheduling_strategy]
                return actor.begin(told)

            def perform(items: list):
                self.asked.append([item.track_id for item in items])
                for item in items:
                    if item.track_id in self.at:
                        raise self.at[item.track_id]
                for events in actor.work(items):
                    for event in events:  # one at a time, so that there is more to lose
                        if error := self.faults.get((number, next(counted))):
                            raise error
                        yield [event]

            return SimpleNamespace(begin=Call(begin), work=Call(perform))

        return SimpleNamespace(remote=make)

    def wait(self, refs: list, num_returns: int, **how: object) -> tuple[list, list]:
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref: Result) -> object:
        if ref.error is not None:
            raise ref.error
        return ref.value

    def kill(self, actor: object) -> None:
        self.n_killed += 1


def through(ray: FakeRay, trade: Trade, items: list, **how: object) -> list:
    """What a crew of these machines says of items."""
    asked = Crew(ray, trade, ClusterSettings(**how))
    return [said for said in (*asked.start(), *asked.work_through(items)) if said is not None]


def connect(machines: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a cluster has these machines, whether or not Ray is here."""
    for module in (crew, work_of_clusters):
        monkeypatch.setattr(module, "check_settings", lambda settings: None)
    monkeypatch.setattr(crew, "connected", lambda settings: nullcontext(machines))


# --- Ray itself ---------------------------------------------------------------------------------------------------


def descendants(pid: int) -> list[tuple[int, str]]:
    """The processes that a process of ours has begun, with how each calls itself."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
            names[int(path.parent.name)] = (path.parent / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found, new = [], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += [(child, names[child]) for child in new]
    return found


def wait_until_gone(begun: list[tuple[int, str]]) -> None:
    until = time.monotonic() + 150
    while left := {pid for pid, _ in begun} & {int(path.name) for path in Path("/proc").glob("[0-9]*")}:
        assert time.monotonic() < until, left
        time.sleep(0.5)


SURROUNDINGS = {**os.environ, "OMP_NUM_THREADS": "1"}
