"""Works: which rows of a list are recordings of one work, so that they can stand together.

By name: composer and work, as the catalogue has them. A recording without a name is compared by its notes with the
others that have none: the pitch classes of both beginnings, five times a second, laid along each other in their own key
(`matching.align`), and how alike they are on that way, on average.

Nothing is left out: rows are only gathered under the nearest of them, and each keeps its rank.

Figures (`python -m benchmarks.works`: all pairs of the demo, five performances each of 24 pieces, by several players
on several instruments; from these the least was chosen):

    at least            .55    .60    .65    .70    .75
    the same piece      239    236    233    221    197    of 240 pairs
    another piece       227    108     34      2      0    of 6,900 pairs

Of 595 pairs among 35 real recordings, no two of one piece, one is above .56: a dance and its double, .70, which is a
variation of it (Bach, BWV 1002). How many real performances of one piece are told is not known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.errors import MessError
from mess_core.search.answers import FoundTrack, pitch_classes_of
from mess_core.search.matching import align
from mess_core.search.track_facts import work_of
from mess_core.words import counted

HEARD_S, SHORTEST_S = 30.0, 10.0  # of each recording, from its beginning; less of it says too little
FRAMES_TOGETHER = 4  # 0.2 s: faster than that no two players are together
SAME_NOTES = 0.7  # from here on, as above: what is wrongly called one piece is worse than what is not
MOST_HEARD = 20  # recordings without a name that are listened to: each is compared with all before it

NotesOf = Callable[[FoundTrack], np.ndarray | None]  # (n_frames, 12); None where nothing can be heard


@dataclass(frozen=True)
class WorkGroup:
    """Rows that are recordings of one work, the nearest first.

    others : those that stand under it, in their order
    alike : how alike the notes of each of the others are to those of a recording of the group, by track id; empty
        where the name of the work says it
    """

    first: FoundTrack
    others: tuple[FoundTrack, ...] = ()
    alike: Mapping[str, float] | None = None


def others_in_words(n: int, is_by_notes: bool = False) -> str:
    """How many stand under a row, and by what; empty if none does.

    Examples
    --------
    >>> others_in_words(0), others_in_words(3), others_in_words(1, is_by_notes=True)
    ('', 'and 3 others of this work', 'and 1 other with much the same notes')
    """
    said = "with much the same notes" if is_by_notes else "of this work"
    return f"and {counted(n, 'other')} {said}" if n else ""


def gather(found: Sequence[FoundTrack], notes_of: NotesOf | None = None) -> list[WorkGroup]:
    """The rows of a list, those of one work under the nearest of them; every row is in one of them.

    Parameters
    ----------
    found : sequence of FoundTrack
        In the order of the list.
    notes_of : callable (FoundTrack) -> ndarray, shape (n_frames, 12), or None
        What is heard of recordings without a name; None: they stand by themselves.
    """
    groups: list[WorkGroup] = []
    of_work: dict[str, int] = {}
    heard: list[tuple[np.ndarray, int]] = []  # notes, and the group
    for item in found:
        work = work_of(item.track)
        if work is not None:
            if work in of_work:
                place = of_work[work]
                groups[place] = replace(groups[place], others=(*groups[place].others, item))
                continue
            of_work[work] = len(groups)
        elif notes_of is not None and len(heard) < MOST_HEARD and (notes := notes_of(item)) is not None:
            alike = [(same_notes(notes, other), place) for other, place in heard]
            most, place = max(alike, default=(0.0, -1))
            if most >= SAME_NOTES:
                group = groups[place]
                said = {**(group.alike or {}), item.track.track_id: most}
                groups[place] = replace(group, others=(*group.others, item), alike=said)
                heard.append((notes, place))
                continue
            heard.append((notes, len(groups)))
        groups.append(WorkGroup(item))
    return groups


def same_notes(one: np.ndarray, other: np.ndarray) -> float:
    """How alike the notes of two recordings are, laid along each other: 1 is the same, 0 is unrelated."""
    return align(one @ other.T).similarity


def notes_of(item: FoundTrack) -> np.ndarray | None:
    """Which notes a recording begins with, (n_frames, 12), each frame of length 1; None where it cannot be heard."""
    if item.track.duration_s < SHORTEST_S:
        return None
    try:
        return _notes(item.path, item.track.track_id)
    except (MessError, OSError):
        return None


@functools.lru_cache(maxsize=256)  # 7 kB each
def _notes(path: Path, content: str) -> np.ndarray:
    return frames_together(pitch_classes_of(path, content, 0.0, HEARD_S))


def frames_together(frames: np.ndarray) -> np.ndarray:
    """Pitch classes (n, 12) every 50 ms, as means of `FRAMES_TOGETHER`, less what all classes have: unit vectors."""
    n = max(1, len(frames) // FRAMES_TOGETHER)
    means = frames[: n * FRAMES_TOGETHER].reshape(n, -1, frames.shape[1]).mean(axis=1)
    means = means - means.mean(axis=1, keepdims=True)
    unit: np.ndarray = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return unit
