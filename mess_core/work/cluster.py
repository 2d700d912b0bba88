"""A request that workers of a cluster can do, in place of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mess_core.cluster.settings import ClusterSettings, check_settings, require_allowed
from mess_core.errors import InputError
from mess_core.work.request import Request
from mess_core.workspace.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ClusterRequest(Request):
    """Work that may be done on a cluster.

    cluster, read_from, n_workers : as `ClusterSettings`; "" is this machine, without workers
    """

    cluster: str = ""
    read_from: str = ""
    n_workers: int = 0

    rare: ClassVar[tuple[str, ...]] = ("cluster", "read_from", "n_workers")  # fields that most requests leave empty

    @property
    def arguments(self) -> dict[str, Any]:
        """Without what is not asked: a row is as it was before that could be asked."""
        return {name: value for name, value in super().arguments.items() if value or name not in self.rare}

    def begin(self, workspace: Workspace) -> None:
        if not self.cluster and (self.read_from or self.n_workers):
            raise InputError("Without a cluster, music is read where it is.", "Add --cluster local, or an address.")
        if self.cluster:
            require_allowed(self.cluster)
            check_settings(ClusterSettings(self.cluster, self.read_from, self.n_workers))
