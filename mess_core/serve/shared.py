"""Shared: the data folder, opened once for all requests, and what was built of it.

An index is made when it is first asked for, by one thread while others wait for it, and given to every question of the
same plan until the library changes; so is what was discovered, and an encoder that was loaded. What comes out must not
be changed. Nothing here writes to the catalogue.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from mess_core.embeddings.embedder import Embedder
from mess_core.embeddings.store import RememberingStore
from mess_core.probing.discovery import Discovery
from mess_core.search.answers import Plan, build_index, build_segment_index
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.segments import SegmentIndex
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

T = TypeVar("T")
MOST_INDEXES = 4  # 400 MB each at ten thousand MERT tracks
MOST_SEGMENT_INDEXES = 2  # 150 MB each at a million segments
MOST_DISCOVERIES = 8
MOST_EMBEDDERS = 2
MOST_EMBEDDING_BYTES = 512 * 2**20  # that were read: ten thousand of 8 segments by nano, a thousand of 4 minutes


class Built:
    """Values by key, each built once whoever asks meanwhile; what was asked for longest ago is forgotten first."""

    def __init__(self, most: int) -> None:
        self.most, self.n_built = most, 0
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}
        self._known: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """What `build` gives, or gave."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            building = self._building.setdefault(key, threading.Lock())
        with building:
            with self._lock:
                if key in self._known:  # by whom we waited for
                    return self._known[key]
            try:
                value = build()
            finally:
                with self._lock:
                    self._building.pop(key, None)
            with self._lock:
                self._known[key] = value
                self.n_built += 1
                while len(self._known) > self.most:
                    self._known.popitem(last=False)
            return value

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


class Shared:
    """What all requests use; safe for threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._workspace = _open(root)
        self.indexes, self.segment_indexes = Built(MOST_INDEXES), Built(MOST_SEGMENT_INDEXES)
        self._discoveries, self._embedders = Built(MOST_DISCOVERIES), Built(MOST_EMBEDDERS)
        self.hearing = threading.Lock()  # an encoder takes all cores, and keeps what it is at within itself

    @property
    def workspace(self) -> Workspace:
        """The data folder; opened anew where another one lies in its place."""
        with self._lock:
            if self._workspace.database.is_replaced:
                self._workspace = _open(self.root)  # the old one is not closed: another thread may be reading it
                for built in (self.indexes, self.segment_indexes, self._discoveries):
                    built.clear()
            return self._workspace

    def discovery(self, scope: Scope) -> Discovery | None:
        """What searches of a scope go by."""
        scope = scope.for_aspects
        key = (scope.library, scope.info.fingerprint, scope.stamp_of_discovery())
        return self._discoveries.get(key, scope.discovery_for_search)

    def index(self, plan: Plan) -> NeighbourIndex:
        """As `build_index`."""
        return self.indexes.get(plan.index_key, lambda: build_index(plan))

    def segment_index(self, plan: Plan) -> SegmentIndex:
        """As `build_segment_index`."""
        return self.segment_indexes.get(plan.key, lambda: build_segment_index(plan))

    def embedder(self, encoder_id: str) -> Embedder:
        """A loaded encoder; whoever uses it holds `hearing`."""
        return self._embedders.get(encoder_id, lambda: Embedder(encoder_id, home=self.root))

    def close(self) -> None:
        """Close the data folder, which no thread may be using any more."""
        self._workspace.close()


def _open(root: Path) -> Workspace:
    """A data folder whose embeddings are read once: each answer looks at the moments of all its neighbours."""
    workspace = Workspace(root)
    workspace.store = RememberingStore(workspace.paths, workspace.database, workspace.custody, MOST_EMBEDDING_BYTES)
    return workspace
