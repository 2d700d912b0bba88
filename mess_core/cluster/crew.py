"""A crew: workers on many machines who share out items among them, and who are replaced where they die.

    items, a few at a time -> worker, on whichever machine -> events, some at a time -> whoever asked

What the items are, and what is done with them, is a `Trade`: its workers embed tracks (`embeddings.cluster`), or
measure them (`targets.cluster`). The crew knows which item is where, how much of it is missing, and what has died.

Nothing is kept on the cluster: whoever asks enters each item here as it comes. So whatever dies, a worker, a machine,
or this process, costs the items that were under way, and the same work goes on with the rest.
"""

from __future__ import annotations

import contextlib
import math
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from mess_core.cluster.connection import connected
from mess_core.cluster.nodes import NodeFacts, of_node
from mess_core.cluster.settings import ClusterSettings, check_settings
from mess_core.errors import DataMissingError, InputError, MessError, StorageError
from mess_core.storage.untrusted import printable
from mess_core.words import counted

START_S = 300.0  # that all workers may take to begin
POLL_S = 1.0
MOST_AT_A_TIME = 64  # items that a worker is given
SHARES = 4  # of what is left for each worker, so that all end at nearly the same time
MOST_DEATHS = 3  # of workers, at the same item: it is to blame
SEND_EVERY_S = 0.5  # in which a worker sends together what it has done

Item = TypeVar("Item")
Said = TypeVar("Said")


class CrewWorker(Protocol):
    """One place on a cluster, an actor of Ray's; made of its node's name, the settings, and whether it has a GPU.

    n_decoders : tasks that it may begin beside itself
    """

    def __init__(self, node: str, settings: ClusterSettings, is_on_gpu: bool, n_decoders: int) -> None: ...

    def begin(self, told: Any) -> NodeFacts:
        """Make ready; says with what it computes. What it raises ends the whole: nothing was computed."""

    def work(self, items: Sequence[Any]) -> Iterator[list[Any]]:
        """Go through items, and send what was done now and then.

        StorageError is of its machine, which is asked for nothing more; any other MessError ends the whole.
        """


class Trade(ABC, Generic[Item, Said]):
    """What the workers of a crew do, and how their events are understood.

    n_ends : how many events end an item
    """

    uses_gpus: ClassVar[bool] = False
    n_ends: int = 1

    @property
    @abstractmethod
    def worker(self) -> type[CrewWorker]:
        """Of which class they are."""

    @property
    @abstractmethod
    def told(self) -> Any:
        """What every worker is told when it begins."""

    @abstractmethod
    def check(self, found: Sequence[NodeFacts]) -> None:
        """ArtefactMismatchError if machines would not compute the same (`check_nodes`)."""

    @abstractmethod
    def name(self, item: Item) -> str:
        """Of an item, another one of each."""

    @abstractmethod
    def ends(self, said: Said) -> str | None:
        """The name of the item that an event ends, or one part of; None if it ends none."""

    @abstractmethod
    def given_up(self, item: Item, n_deaths: int) -> Iterable[Said]:
        """What is said of an item at which so many workers have died."""


def work_on_cluster(
    trade: Trade[Item, Said], items: Sequence[Item], settings: ClusterSettings
) -> Generator[Said | None, None, None]:
    """Have items worked on by a crew, which lives as long as it is asked.

    Yields
    ------
    What its workers say, of items in any order. Now and then None comes: the moment to see whether to end.

    Raises
    ------
    MessError
        As `check_settings`, and what `begin` and `work` of its workers raise, with the name of the machine;
        StorageError if no worker is left.
    """
    check_settings(settings)
    if not items:
        return
    with connected(settings) as ray:
        crew = Crew(ray, trade, settings)
        try:
            yield from crew.start()
            yield from crew.work_through(items)
        finally:
            crew.dismiss()


class _Place(Generic[Item]):
    """Where a worker is, or can be: a share of one machine. What it has to do changes.

    worker, answer, results : of Ray; the actor, what it says of itself, and what it sends now
    at_work : the items of which not all has come; n_missing : of each of these, how many events
    """

    def __init__(self, node_id: str, name: str, n_gpus: int, n_decoders: int) -> None:
        self.node_id, self.name, self.n_gpus, self.n_decoders = node_id, name, n_gpus, n_decoders
        self.worker: Any = None
        self.answer: Any = None
        self.results: Any = None
        self.at_work: dict[str, Item] = {}
        self.n_missing: Counter[str] = Counter()


class Crew(Generic[Item, Said]):
    """The workers of a cluster, and what each has to do.

    ray : module
        As it is connected.
    """

    def __init__(self, ray: Any, trade: Trade[Item, Said], settings: ClusterSettings) -> None:
        self._ray, self._trade, self._settings = ray, trade, settings
        self._actor = ray.remote(trade.worker)
        said = ray.exceptions
        self._lost = (said.RayActorError, said.ObjectLostError, said.WorkerCrashedError, said.OutOfMemoryError)
        self._full = said.OutOfDiskError
        self.places = self._find_places()

    def _find_places(self) -> list[_Place[Item]]:
        """One for each GPU, if they are used; where there is none, one for so many cores."""
        n_cores = self._settings.n_cores
        places: list[_Place[Item]] = []
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        has_gpus = self._trade.uses_gpus and any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        for node in nodes:
            n_gpus, n_cpus = (int(node["Resources"].get(kind, 0)) for kind in ("GPU", "CPU"))
            n = n_gpus if has_gpus else n_cpus // (n_cores + (self._settings.n_decoders or 0))
            n_decoders = max(1, n_cpus // max(n, 1) - 1) if has_gpus else 0
            if self._settings.n_decoders is not None:
                n_decoders = self._settings.n_decoders
            name = printable(node["NodeManagerHostname"] or node["NodeManagerAddress"])
            places += [_Place(node["NodeID"], name, int(has_gpus), n_decoders) for _ in range(n)]
        if not places:
            raise InputError(
                f"No machine of the cluster has {counted(n_cores, 'core')} for a worker.",
                "A worker takes as many as a batch takes here: set OMP_NUM_THREADS to fewer.",
            )
        return places[: self._settings.n_workers or None]

    def _begin(self, place: _Place[Item]) -> None:
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        place.worker = self._actor.options(
            num_cpus=0 if place.n_gpus else self._settings.n_cores,
            num_gpus=place.n_gpus,
            scheduling_strategy=strategy(place.node_id, soft=False),
        ).remote(place.name, self._settings, bool(place.n_gpus), place.n_decoders)
        place.answer = place.worker.begin.remote(self._trade.told)

    def start(self) -> Generator[None, None, None]:
        """Begin all workers, and see that they would compute the same."""
        for place in self.places:
            self._begin(place)
        waiting, until = [place.answer for place in self.places], time.monotonic() + START_S
        while waiting:
            if time.monotonic() > until:
                raise InputError(
                    f"The cluster has no room for {counted(len(waiting), 'worker')} of {len(self.places)}:"
                    f" none began within {START_S:.0f} s.",
                    "Wait for what else runs there, or ask for fewer workers.",
                )
            _, waiting = self._ray.wait(waiting, num_returns=len(waiting), timeout=POLL_S)
            yield
        self._trade.check([self._facts(place) for place in self.places])

    def _facts(self, place: _Place[Item]) -> NodeFacts:
        try:
            facts: NodeFacts = self._ray.get(place.answer)
        except MessError as error:
            raise of_node(place.name, error) from error
        except self._ray.exceptions.RayError as error:
            if "No module named 'mess_core" in str(error):
                raise DataMissingError(
                    f"The node {place.name} has no MESS.", "Install the same version on every machine of the cluster."
                ) from error
            why = next((line for line in reversed(str(error).strip().splitlines()) if line.strip()), "")
            raise StorageError(f"The node {place.name} could not begin: {printable(why.strip())[:300]}") from error
        return facts

    def dismiss(self) -> None:
        """End all workers, whatever they are at."""
        for place in self.places:
            with contextlib.suppress(Exception):
                self._ray.kill(place.worker)

    def work_through(self, items: Sequence[Item]) -> Generator[Said | None, None, None]:
        """Hand out items until all have come back, whatever dies meanwhile."""
        left, suspects = deque(items), deque[Item]()  # at a suspect a worker has died: each goes alone
        n_deaths: Counter[str] = Counter()
        last_words: MessError | None = None
        while left or suspects or any(place.at_work for place in self.places):
            for place in self.places:
                if place.results is None and (left or suspects):
                    self._hand_out(place, left, suspects)
            if not self.places:
                raise last_words or StorageError(
                    "No worker of the cluster is left.", "What was done is kept; the same command goes on."
                )
            busy = {place.results: place for place in self.places if place.results is not None}
            ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=POLL_S, fetch_local=False)
            if not ready:
                yield None
            for results in ready:
                place = busy[results]
                if place not in self.places:  # its machine was given up a moment ago
                    continue
                try:
                    yield from self._received(place, self._ray.get(next(results)))
                except StopIteration:
                    suspects.extend(place.at_work.values())  # of which it has said nothing: none, if all is well
                    place.results, place.at_work = None, {}
                except (self._full, StorageError) as error:  # nothing more is asked of this machine
                    last_words = of_node(place.name, _full(error))
                    for item in self._retire(place.node_id):
                        left.appendleft(item)
                except self._lost:
                    for name, item in place.at_work.items():
                        n_deaths[name] += 1
                        if n_deaths[name] < MOST_DEATHS:
                            suspects.append(item)
                        else:
                            yield from self._trade.given_up(item, MOST_DEATHS)
                    self._replace(place)
                except MessError as error:
                    raise of_node(place.name, error) from error

    def _hand_out(self, place: _Place[Item], left: deque[Item], suspects: deque[Item]) -> None:
        if suspects:
            chunk = [suspects.popleft()]
        else:
            n = math.ceil(len(left) / (SHARES * len(self.places)))
            chunk = [left.popleft() for _ in range(min(n, MOST_AT_A_TIME))]
        place.at_work = {self._trade.name(item): item for item in chunk}
        place.n_missing = Counter(dict.fromkeys(place.at_work, self._trade.n_ends))
        place.results = place.worker.work.options(num_returns="streaming").remote(chunk)

    def _received(self, place: _Place[Item], events: Sequence[Said]) -> Iterator[Said]:
        for event in events:
            yield event
            name = self._trade.ends(event)
            if name is not None:
                place.n_missing[name] -= 1
                if not place.n_missing[name]:
                    place.at_work.pop(name, None)

    def _replace(self, place: _Place[Item]) -> None:
        """Another worker in the place of one that died, if its machine still lives."""
        place.at_work, place.results = {}, None
        if any(node["Alive"] and node["NodeID"] == place.node_id for node in self._ray.nodes()):
            self._begin(place)
        else:
            self.places.remove(place)

    def _retire(self, node_id: str) -> list[Item]:
        """Ask nothing more of a machine; returns what its workers had to do."""
        retired = [place for place in self.places if place.node_id == node_id]
        self.places = [place for place in self.places if place.node_id != node_id]
        for place in retired:
            with contextlib.suppress(Exception):
                self._ray.kill(place.worker)
        return [item for place in retired for item in place.at_work.values()]


def _full(error: Exception) -> MessError:
    hint = "Free some space there, then start again: what was done is kept."
    return error if isinstance(error, MessError) else StorageError("The disk is full.", hint)
