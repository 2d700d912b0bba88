"""Downloading a published collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mess_core.collections.download import download_collection
from mess_core.collections.published import COLLECTIONS
from mess_core.collections.published import collection as collection_of
from mess_core.errors import InputError
from mess_core.work.request import Done, Request, short
from mess_core.work.task import Stopping, Task
from mess_core.workspace.workspace import Workspace


@dataclass(frozen=True)
class FetchRequest(Request):
    """Download a collection, which then becomes a library where one is named; the consent was given before.

    number : which of the collection's downloads, from 0
    folder : where it shall lie; it stays the user's
    """

    collection: str
    number: int
    folder: Path
    library: str | None = None
    encoder_id: str | None = None
    renders: bool = False

    kind: ClassVar[str] = "fetch"
    may_go_well_again: ClassVar[bool] = True
    keys: ClassVar = {"encoder_id": "then_extract"}

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {"folder": Path(entries["folder"])}

    def begin(self, workspace: Workspace) -> None:
        """InputError if there is no such collection or download."""
        downloads = collection_of(self.collection).downloads
        if not 0 <= self.number < len(downloads):
            raise InputError(f"{self.collection} has {len(downloads)} downloads; number {self.number} was asked for.")

    def resource(self, workspace: Workspace) -> str:
        return f"fetch {self.folder}"

    def words(self, workspace: Workspace) -> str:
        known = COLLECTIONS.get(self.collection)
        return f"Downloading {known.title if known else short(self.collection)} to {short(self.folder)}"

    def brief(self, workspace: Workspace) -> str:
        return "downloading a collection"

    def run(self, task: Task) -> Done:
        self.begin(task.workspace)  # a row may come from anybody
        collection = collection_of(self.collection)

        def on_progress(n_done: int, n_total: int) -> None:
            task.progress(n_done, n_total, f"{n_done / 1e6:,.0f} of {n_total / 1e6:,.0f} MB")

        which, should_stop = collection.downloads[self.number], task.is_stopping.is_set
        path = download_collection(collection, which, self.folder, on_progress=on_progress, should_stop=should_stop)
        task.check()  # stopped half-way: it goes on from there next time
        if path is None:
            raise Stopping
        return Done(f"{collection.title} is in {path}.", path=path)
