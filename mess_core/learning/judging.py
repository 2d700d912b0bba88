"""Judging: a sitting from its beginning to what its answers say, in one library.

    sitting  ─> the open question, or the next one: chosen, cut into clips, kept before it is heard
    answers  ─> how consistent, which way to compare tells them, when to stop

What somebody is asked is one of `QUESTIONS`. Listeners of one library and question begin with the same seed, so they
are asked the same questions by chance, and it can be told how far they agree.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.sittings import Asked, Clip, Sitting, check_listener, tidy_listener
from mess_core.errors import InputError, UnknownTrackError
from mess_core.learning.agreement import Alpha, Listening, alpha_of, listening_of
from mess_core.learning.clips import cut_clips
from mess_core.learning.questions import choose_question
from mess_core.learning.ways import Ways
from mess_core.probing.aspects import ASPECTS
from mess_core.probing.discovery import groups_of
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

PLAYED = "Which is played more like X?"
QUESTIONS: dict[str, str] = {
    "alike": "Which is more like X?",
    "sounds": "Which sounds more like X?",
    "played": PLAYED,
    **{aspect: f"Which is more like X in {aspect.replace('_', ' ')}?" for aspect in ASPECTS},
}  # by a short name, for links
SECONDS_PER_QUESTION = 30.0  # three clips of ten seconds; until the listener's own pace is known
FEWEST_FOR_PACE = 5
LONGEST_PAUSE_S = 180.0  # between two answers: a longer one is no listening


@dataclass(frozen=True)
class SittingState:
    """How far a sitting is.

    open : the question that waits for its answer; None where none is asked any more
    answered : those before it, in their order
    """

    sitting: Sitting
    open: Asked | None
    answered: tuple[Asked, ...]

    @property
    def n_left(self) -> int:
        return max(0, self.sitting.n_wanted - len(self.answered))

    @property
    def seconds_left(self) -> float:
        """By the listener's own pace, once it is known."""
        times = [each.answered_at for each in self.answered if each.answered_at is not None]
        steps = [step for step in np.diff(sorted(times)) if step < LONGEST_PAUSE_S]
        pace = float(np.median(steps)) if len(steps) >= FEWEST_FOR_PACE else SECONDS_PER_QUESTION
        return self.n_left * pace


def begin_sitting(scope: Scope, listener: str, question: str, n_wanted: int) -> Sitting:
    """Begin to judge, or go on where one stopped.

    Raises
    ------
    InputError
        If the question is none of `QUESTIONS`, or name or number are refused.
    """
    if question not in QUESTIONS.values():
        raise InputError(f"{question[:60]!r} is not asked here.", f"Choose one of: {', '.join(QUESTIONS.values())}")
    sittings, name = scope.workspace.sittings, check_listener(listener)
    n_before = sum(  # one that was ended before its first answer asked nothing
        each.listener == name
        and each.question == question
        and each.ended_at is not None
        and any(one.answer is not None for one in sittings.questions(each.sitting_id))
        for each in sittings.all(scope.library)
    )
    seed = zlib.crc32(f"{scope.library}\0{question}\0{n_before}".encode())
    return sittings.begin(name, scope.library, question, scope.info.id, n_wanted, seed)


def open_sitting(scope: Scope, listener: str, question: str) -> Sitting | None:
    """The sitting that `begin_sitting` would go on with; None where it would begin one."""
    name = tidy_listener(listener)
    return next(
        (
            each
            for each in scope.workspace.sittings.all(scope.library)
            if (each.listener, each.question, each.ended_at) == (name, question, None)
        ),
        None,
    )


def go_on(scope: Scope, ways: Ways, sitting: Sitting) -> SittingState:
    """Where a sitting is, with its next question asked; ended where all are answered.

    Raises
    ------
    DataMissingError
        If there is too little to ask about.
    UnknownTrackError
        If it was deleted meanwhile, or a recording that `ways` knows was removed.
    """
    workspace = scope.workspace
    current = workspace.sittings.find(sitting.sitting_id)
    if current is None:
        raise UnknownTrackError("This sitting was deleted meanwhile.", "Begin another one.")
    asked = workspace.sittings.questions(sitting.sitting_id)
    answered = tuple(each for each in asked if each.answer is not None)
    waiting = next((each for each in asked if each.answer is None), None)
    if waiting is not None and not all(workspace.catalogue.has(clip.track_id) for clip in waiting.clips):
        workspace.sittings.drop(waiting.asked_id)  # one of its recordings was removed: another is asked in its place
        waiting = None
    is_over = current.ended_at is not None
    if not is_over and waiting is None and len(answered) >= current.n_wanted:
        workspace.sittings.end(sitting.sitting_id)
        is_over = True
    if is_over:
        return SittingState(current, None, answered)
    if waiting is None:
        waiting = _ask(scope, ways, current, answered)
    return SittingState(current, waiting, answered)


def _ask(scope: Scope, ways: Ways, sitting: Sitting, answered: Sequence[Asked]) -> Asked:
    tracks = scope.workspace.catalogue.tracks_of(ways.track_ids)
    if len(tracks) < len(ways.track_ids):
        raise UnknownTrackError("A recording was removed meanwhile.", "Go on: others are asked about in its place.")
    in_order = [tracks[track_id] for track_id in ways.track_ids]
    works = groups_of(in_order, "work")
    place = max((each.number for each in answered), default=-1) + 1
    chosen = choose_question(ways, works, answered, place, sitting.seed, is_of_playing=sitting.question == PLAYED)
    before = next((each for each in answered if each.number == chosen.repeats), None)
    if before is not None:
        clips: tuple[Clip, ...] = (before.anchor, before.second, before.first)
    else:
        share = float(np.random.default_rng((sitting.seed, place, 2)).random())
        three = [in_order[row] for row in chosen.rows]
        clips = cut_clips(three, scope.workspace.catalogue.passages, scope.library, share)
    return scope.workspace.sittings.ask(sitting.sitting_id, place, clips, chosen.purpose, chosen.repeats)


@dataclass(frozen=True)
class Judged:
    """What one listener has answered to one question, in all sittings. asked : those, the oldest first"""

    listener: str
    question: str
    asked: tuple[Asked, ...]
    listening: Listening
    open: Sitting | None


def judged_in(workspace: Workspace, library: str) -> list[Judged]:
    """Everything that was judged in a library, by question and then by listener."""
    sittings: dict[tuple[str, str], list[Sitting]] = {}
    for sitting in workspace.sittings.all(library):
        sittings.setdefault((sitting.question, sitting.listener), []).append(sitting)
    found = []
    for (question, listener), each in sorted(sittings.items()):
        asked = [one for sitting in each for one in workspace.sittings.questions(sitting.sitting_id)]
        given = tuple(one for one in asked if one.answer is not None)
        is_open = next((sitting for sitting in each if sitting.ended_at is None), None)
        if given or is_open:
            found.append(Judged(listener, question, given, listening_of(given), is_open))
    return found


def agreement_on(workspace: Workspace, judged: Sequence[Judged], question: str) -> Alpha:
    """How far the listeners of one question agree; who is excluded by rule takes no part.

    Worked out once for the same answers: its interval takes a thousand draws.
    """
    by_listener: Mapping[str, Sequence[Asked]] = {
        each.listener: each.asked
        for each in judged
        if each.question == question and each.asked and not each.listening.is_excluded
    }
    made_of = tuple((listener, each.asked_id, each.answer) for listener, of in by_listener.items() for each in of)
    return workspace.database.remembered.made_of(("agreement", question), made_of, lambda: alpha_of(by_listener))


def listenings(workspace: Workspace) -> dict[str, Listening]:
    """How each listener answered, in all sittings."""
    asked: dict[str, list[Asked]] = {}
    for sitting in workspace.sittings.all():
        asked.setdefault(sitting.listener, []).extend(workspace.sittings.questions(sitting.sitting_id))
    return {listener: listening_of(each) for listener, each in asked.items()}


def inattentive(workspace: Workspace) -> set[str]:
    """Listeners who are excluded by rule: they told too few of the questions with a known answer."""
    return {listener for listener, each in listenings(workspace).items() if each.is_excluded}
