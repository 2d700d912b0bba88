"""Questions: which three recordings somebody is asked about next.

Of twenty questions three have a known answer (one of the two *is* the anchor), two are earlier ones turned around, and
of the others every second one is chosen by chance, every second one by what its answer is expected to tell:

    catch    does the listener listen?                     science of listening tests: at least 15 %
    repeat   does the listener agree with himself?         10 %
    random   fair: on these everything is measured
    active   telling: on these the ways to hear disagree, so on these nothing is measured

Who is asked how something is *played* hears the same work three times in two questions of three, so that not the piece
is recognised.

Everything follows from the seed of the sitting and the answers so far, so a question that was not kept is chosen again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.sittings import Asked, Purpose
from mess_core.errors import DataMissingError
from mess_core.learning.ways import Ways
from mess_core.learning.weighing import Weighing, weigh

ROUND: tuple[Purpose, ...] = ("catch",) * 3 + ("repeat",) * 2 + ("random", "active") * 7 + ("random",)
FIRST_ROUND_CALM = 8  # questions before the first repeat: there must be something to repeat, and it must be forgotten
REPEAT_APART = 6  # a repeat is the sixth question after the one it repeats, or a later one
N_CANDIDATES = 2000  # triplets from which the most telling one is taken
SAME_WORK_SHARE = 2 / 3
FEWEST_RECORDINGS = 4


@dataclass(frozen=True)
class NextQuestion:
    """What is asked next. rows : anchor, first, second; repeats : the number of the question it turns around"""

    rows: tuple[int, int, int]
    purpose: Purpose
    repeats: int | None = None


def purposes(n: int, seed: int) -> list[Purpose]:
    """Why each of `n` questions is asked: rounds in an order of chance, the first without an early repeat or catch."""
    found: list[Purpose] = []
    number = 0
    while len(found) < n:
        rng = np.random.default_rng((seed, number))
        order = [ROUND[place] for place in rng.permutation(len(ROUND))]
        if number == 0:
            late = [purpose for purpose in order if purpose == "repeat"]
            order = [purpose for purpose in order if purpose != "repeat"]
            while order[0] == "catch":  # the first question is a real one
                order.append(order.pop(0))
            for purpose in late:
                order.insert(int(rng.integers(FIRST_ROUND_CALM, len(order) + 1)), purpose)
        found += order
        number += 1
    return found[:n]


def choose_question(
    ways: Ways,
    works: Sequence[str],
    asked: Sequence[Asked],
    number: int,
    seed: int,
    *,
    is_of_playing: bool = False,
) -> NextQuestion:
    """The next question of a sitting.

    Parameters
    ----------
    ways : Ways
    works : of each row; of an unknown work the recording is its own
    asked : what was asked before in this sitting
    number : of the next question, from 0
    seed : of the sitting
    is_of_playing : prefer recordings of one work

    Raises
    ------
    DataMissingError
        If there are too few recordings to ask about.
    """
    if len(ways.track_ids) < FEWEST_RECORDINGS:
        raise DataMissingError(
            f"{len(ways.track_ids)} recordings of this library are embedded, and {FEWEST_RECORDINGS} are needed to ask "
            "which of two is more like a third.",
            "Add recordings, or wait until they are embedded.",
        )
    rng = np.random.default_rng((seed, number, 1))
    purpose = purposes(number + 1, seed)[number]
    row_of = {track_id: row for row, track_id in enumerate(ways.track_ids)}
    if purpose == "repeat":
        repeated = {each.repeats for each in asked}
        may_be = [
            each
            for each in asked
            if each.purpose in ("random", "active") and each.answer in ("first", "second")
            and each.number <= number - REPEAT_APART and each.number not in repeated
            and all(clip.track_id in row_of for clip in each.clips)
        ]  # fmt: skip
        if may_be:
            one = may_be[int(rng.integers(len(may_be)))]
            rows = (row_of[one.anchor.track_id], row_of[one.second.track_id], row_of[one.first.track_id])
            return NextQuestion(rows, "repeat", one.number)
        purpose = "random"  # nothing could be told so far
    drawn = _draw(rng, works, N_CANDIDATES if purpose == "active" else 1, is_of_playing)
    if purpose == "active":
        known = {frozenset(clip.track_id for clip in each.clips) for each in asked}
        is_new = [frozenset(ways.track_ids[row] for row in rows) not in known for rows in drawn]
        drawn = drawn[is_new] if any(is_new) else drawn
        told = weighing_of(ways, asked).information(ways.differences(drawn), seed=seed + number)
        drawn = drawn[[int(told.argmax())]]
    anchor, first, second = (int(row) for row in drawn[0])
    if purpose == "catch":
        first, second = (anchor, second) if rng.random() < 0.5 else (first, anchor)
    return NextQuestion((anchor, first, second), purpose)


def weighing_of(ways: Ways, asked: Sequence[Asked]) -> Weighing:
    """What the answers so far tell of how the ways are weighed; catches and what could not be told say nothing."""
    rows, is_first = answered_rows(ways, asked)
    return weigh(ways.differences(rows), is_first)


def answered_rows(
    ways: Ways, asked: Sequence[Asked], kinds: Sequence[Purpose] = ("random", "active", "repeat")
) -> tuple[np.ndarray, np.ndarray]:
    """The triplets that were told, (n, 3) rows, and whether it was the first, (n,) bool; of what is still here."""
    row_of = {track_id: row for row, track_id in enumerate(ways.track_ids)}
    told = [
        each
        for each in asked
        if each.purpose in kinds and each.answer in ("first", "second")
        and all(clip.track_id in row_of for clip in each.clips)
    ]  # fmt: skip
    rows = [[row_of[clip.track_id] for clip in each.clips] for each in told]
    return np.array(rows, int).reshape(-1, 3), np.array([each.answer == "first" for each in told], bool)


def _draw(rng: np.random.Generator, works: Sequence[str], n: int, is_of_playing: bool) -> np.ndarray:
    """Triplets by chance, (n, 3), no recording twice in one; of playing mostly each of one work, where three play it.

    All of them or none: of a mixture the most telling one would nearly always be of several works.
    """
    by_work: dict[str, list[int]] = {}
    for row, work in enumerate(works):
        by_work.setdefault(work, []).append(row)
    played = [np.array(rows) for rows in by_work.values() if len(rows) >= 3]
    if is_of_playing and played and rng.random() < SAME_WORK_SHARE:
        sizes = np.array([len(rows) for rows in played], float)
        chosen = rng.choice(len(played), n, p=sizes / sizes.sum())
        return np.stack([rng.permutation(played[each])[:3] for each in chosen])
    return np.stack([rng.permutation(len(works))[:3] for _ in range(n)])
