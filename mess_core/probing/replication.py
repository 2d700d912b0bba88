"""Replication: what a layer encodes in one library, does it encode it in another of other works?

"Encodes" says that a layer exceeds every baseline on this library. What holds on one sample of works may be luck or a
habit of that sample; what holds on a second one, of other works, is *established*. Both tests are as strict as each
alone, so a claim that is false in either is made at most once in four hundred pairs of libraries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mess_core.errors import InputError
from mess_core.probing.discovery import Discovery
from mess_core.words import counted


@dataclass(frozen=True)
class Replication:
    """Cells as (target, layer), in the order of the first library's heatmap.

    library : the second library
    established : encoded in both
    not_replicated : encoded in the first only, or not probed in the second
    """

    library: str
    established: tuple[tuple[str, int], ...]
    not_replicated: tuple[tuple[str, int], ...]

    def sentences(self) -> list[str]:
        """What came out."""
        n = len(self.established) + len(self.not_replicated)
        if not n:
            return [f"Nothing encodes in the first library, so there is nothing to establish on {self.library}."]
        said = f"{len(self.established)} of {counted(n, 'cell')} that encode do so on {self.library}"
        named = ", ".join(f"{target} in layer {layer}" for target, layer in self.established)
        return [f"{said}, too, and are established{': ' + named if named else ''}."]


def replicate(
    found: Discovery, other: Discovery, works: Mapping[str, str], other_works: Mapping[str, str]
) -> Replication:
    """Compare two discoveries by one encoder.

    Parameters
    ----------
    found, other : Discovery
        With the same level; grouped by work or finer.
    works, other_works : mapping of track id to work
        Of the tracks whose work is known.

    Raises
    ------
    InputError
        If they are by different encoders or levels, one is not finished, or they share recordings or works.
    """
    if (found.fingerprint, found.level) != (other.fingerprint, other.level):
        raise InputError(
            f"{found.title} and {other.title} are not of one encoder and level.", "Probe both in the same way."
        )
    for each in (found, other):
        if each.result.why_no_word or not each.result.has_null:
            why = each.result.why_no_word or "it is not finished"
            raise InputError(f"The discovery in {each.library!r} says of nothing that it encodes: {why}.")
    shared = sorted(_tracks(found.row_ids) & _tracks(other.row_ids))
    same_works = sorted(set(works.values()) & set(other_works.values()))
    if shared or same_works:
        what = counted(len(shared), "recording") if shared else counted(len(same_works), "work")
        raise InputError(
            f"{found.library!r} and {other.library!r} share {what}, expected other works.",
            "A second library establishes something only if it is other music.",
        )
    there = {(cell.target, cell.layer): cell.encodes for cell in other.result.cells}
    encoded = [(cell.target, cell.layer) for cell in found.result.cells if cell.encodes]
    return Replication(
        other.library,
        tuple(each for each in encoded if there.get(each, False)),
        tuple(each for each in encoded if not there.get(each, False)),
    )


def _tracks(row_ids: Sequence[str]) -> set[str]:
    return {row_id.partition(":")[0] for row_id in row_ids}
