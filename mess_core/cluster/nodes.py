"""What the machines of a cluster say of themselves; those that would not compute the same are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mess_core
from mess_core.errors import ArtefactMismatchError, MessError


@dataclass(frozen=True)
class NodeFacts:
    """What a worker says of the machine that it is on.

    packages : with which it computes, and their versions; on all machines the same
    makes : what it computes, and the fingerprint or version of each; as on the machine that asks
    """

    node: str
    mess: str
    packages: Mapping[str, str]
    makes: Mapping[str, str]


def check_nodes(found: Sequence[NodeFacts], makes: Mapping[str, str]) -> None:
    """Refuse a cluster whose machines would not compute the same.

    Parameters
    ----------
    makes : mapping
        As `NodeFacts`, of the machine that asks.

    Raises
    ------
    ArtefactMismatchError
        If one runs another version of MESS, of a package, or of what is asked for; it is named.
    """
    cure = "Install the same version on every machine, then start again: nothing was computed."
    for each in found:
        if each.mess != mess_core.__version__:
            raise ArtefactMismatchError(
                f"The node {each.node} runs MESS {each.mess}, this machine {mess_core.__version__}.", cure
            )
        for what, version in makes.items():
            if each.makes.get(what) != version:
                raise ArtefactMismatchError(f"The node {each.node} has another version of {what} than this one.", cure)
        for package, version in each.packages.items():
            if _plain(version) != _plain(found[0].packages[package]):
                raise ArtefactMismatchError(
                    f"The node {each.node} computes with {package} {version},"
                    f" {found[0].node} with {found[0].packages[package]}.",
                    cure,
                )


def _plain(version: str) -> str:
    """Without the kind of device that it was built for."""
    return version.partition("+")[0]


def of_node(name: str, error: MessError) -> MessError:
    """What a worker has raised, without what Ray has wrapped it in; it says on which machine."""
    cause = getattr(error, "cause", error)
    return type(cause)(f"On the node {name}: {cause.message}", cause.hint)
