"""Learning a similarity: gather what teaches (`courses`), test every student, keep the report, activate what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from mess_core.encoders.registry import encoder_info
from mess_core.errors import DataMissingError, InputError
from mess_core.learning.course import PIECE, Course, Source
from mess_core.learning.kept import SOURCES, LearnReport, load_report, save_report
from mess_core.learning.students import PLAIN, STUDENTS, TRIED_ONLY
from mess_core.learning.trial import TrialResult, hiding_curve, learning_curve, require_searchable, run_trial, teach
from mess_core.numbers import number
from mess_core.search.learned import LearnedMetric, save_metric
from mess_core.spelling import did_you_mean
from mess_core.storage.provenance import digest, provenance
from mess_core.work.courses import gather, segments_of
from mess_core.work.request import Done, Request, encoder_words, library_words
from mess_core.work.task import Task
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

LADDER, EVERYONE = "ladder", "all"  # in place of a student: until one does not help; or all of them
MOST_SEEDS = 50


@dataclass(frozen=True)
class LearnRequest(Request):
    """Teach every student by one source, and say what it brought.

    student : one of the students, "ladder", or "all"
    activates : the chosen one, or the one that is named, becomes the geometry `learned`
    has_curve : also how good the best is after less training
    hides_works : recordings are not to be told apart by which work they are of (HSIC); of what is measured in playing,
        also what that costs and brings, step by step
    single_ratings : a table of what every rater said, in PercePiano's columns, by which people themselves are tested
    question : of judgements: only what was answered to this one; empty for all
    """

    library: str
    encoder_id: str
    source: Source
    student: str = LADDER
    n_seeds: int = 5
    activates: bool = False
    has_curve: bool = False
    single_ratings: Path | None = None
    hides_works: bool = False
    question: str = ""

    kind: ClassVar[str] = "learn"
    keys: ClassVar = {"encoder_id": "encoder", "source": "from"}

    @classmethod
    def _read(cls, entries: Mapping[str, Any]) -> dict[str, Any]:
        single = entries.get("single_ratings")
        return {"single_ratings": None if single is None else Path(single)}

    def begin(self, workspace: Workspace) -> None:
        if self.source not in SOURCES:
            raise InputError(f"Nothing is learned from {self.source!r}.", did_you_mean(self.source, SOURCES))
        if self.student not in (LADDER, EVERYONE, *STUDENTS):
            raise InputError(
                f"There is no student {self.student!r}.", did_you_mean(self.student, [EVERYONE, *STUDENTS])
            )
        if self.activates:
            require_searchable(self.student)
        if not 1 <= self.n_seeds <= MOST_SEEDS:
            raise InputError(f"Seeds asked for: {self.n_seeds}, expected 1 to {MOST_SEEDS}.")

    def resource(self, workspace: Workspace) -> str:
        return f"learn {self.library} {encoder_info(self.encoder_id, workspace.paths).fingerprint}"

    def words(self, workspace: Workspace) -> str:
        by = encoder_words(workspace, self.encoder_id)
        return f"Learning from {self.source} in {library_words(self.library)} with {by}"

    def brief(self, workspace: Workspace) -> str:
        return f"learning from {self.source}"

    def run(self, task: Task) -> Done:
        scope = scope_of(task.workspace, self.library, self.encoder_id)

        def on_progress(n_done: int, n_total: int, what: str) -> None:
            task.on_pause()
            task.progress(n_done, n_total, what)

        content = scope.content
        gathered = gather(scope, self.source, self.single_ratings, self.question)
        course = replace(gathered.course, hiding=1.0 if self.hides_works else 0.0)
        wanted = STUDENTS if self.student in (LADDER, EVERYONE) else (self.student,)
        if "attention" in wanted:
            course = replace(course, segments=segments_of(scope, gathered.spans))
        students, notices = _who_learns(wanted, course)
        result = run_trial(course, students, n_seeds=self.n_seeds, ceiling=gathered.ceiling, on_progress=on_progress)
        if self.has_curve:
            result = replace(result, curve=learning_curve(course, result.best))
        if self.hides_works and PIECE in course.metrics:
            result = replace(result, hiding=hiding_curve(course))
        report = LearnReport(
            library=scope.library,
            encoder=scope.info.id,
            fingerprint=scope.info.fingerprint,
            content=content,
            source=self.source,
            result=result,
            notices=(*gathered.notices, *notices),
            provenance=provenance(moments=digest(course.moments.ids), seeds=self.n_seeds),
        )
        if self.activates:
            report = self._activate(task, scope, course, report)
        save_report(task.workspace.paths, scope.info, report)
        return Done(" ".join((report.verdict, *([f"{report.activated} is active."] if report.activated else []))))

    def _activate(self, task: Task, scope: Scope, course: Course, report: LearnReport) -> LearnReport:
        """Keep the chosen student as the library's metric; none where none is better, unless it is named."""
        result = report.result
        student = self.student if self.student in STUDENTS else result.chosen
        notices = report.notices
        if student in TRIED_ONLY:  # the last before it on the ladder, which is surely better, too
            notices = (*notices, f"The best student, {student}, is tried and not searched by.")
            student = searchable(result)
        if student == PLAIN:
            why = (
                ""
                if notices != report.notices
                else " Students take turns, and the first is not surely better than search."
            )
            return replace(report, notices=(*notices, f"Nothing was activated.{why}"))
        task.progress(0, 1, f"teaching {student} with everything")
        transform = teach(course, student)
        metric = LearnedMetric(
            library=scope.library,
            encoder=scope.info.id,
            fingerprint=scope.info.fingerprint,
            source=self.source,
            student=student,
            content=report.content,
            trained_on=trained_on(course),
            figure=in_figures(result, student),
            transform=transform,
            provenance=report.provenance,
        )
        save_metric(task.workspace.paths, scope.info, metric)
        return replace(report, activated=student, notices=notices)


def report_on(scope: Scope, source: str) -> LearnReport | None:
    """The kept report of a library, by a source; None if there is none."""
    return load_report(scope.workspace.paths, scope.library, scope.info, source)


def _who_learns(wanted: Sequence[str], course: Course) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who can be taught, and a sentence for each who is left out; DataMissingError if nobody else is wanted."""
    missing = {}
    if course.segments is None:
        missing["attention"] = "every moment has one segment only, so there is nothing to choose among"
    if course.fields is None:
        missing["fused"] = "beside what is taught, no field of the catalogue is shared by some recordings only"
    left_out = {name: why for name, why in missing.items() if name in wanted}
    if set(wanted) == set(left_out):
        ((name, why),) = left_out.items()
        raise DataMissingError(f"The student {name} cannot be taught here: {why}.", "Choose another student.")
    said = tuple(f"The student {name} was left out: {why}." for name, why in left_out.items())
    return tuple(name for name in wanted if name not in left_out), said


def searchable(result: TrialResult) -> str:
    """How far the ladder goes with students that search can go by; `centred` if none is surely better."""
    best = PLAIN
    for name in STUDENTS:
        try:
            low = result.figure(name).step_low
        except KeyError:
            continue
        if name in TRIED_ONLY or low is None or low <= 0:
            break
        best = name
    return best


def trained_on(course: Course) -> dict[str, Any]:
    """How many of what, for a card."""
    moments = course.moments
    return {
        "n_moments": len(moments),
        "n_recordings": len(set(moments.recordings)),
        "n_works": len(set(moments.works)),
        "n_performers": len(set(moments.performers) - {None}),
        "n_triplets": 0 if course.triplets is None else len(course.triplets),
        "moments_sha256": digest(moments.ids),
    }


def in_figures(result: TrialResult, student: str) -> str:
    """How good a student is where it was not trained, in a sentence."""
    own, plain = result.figure(student), result.figure(result.figure(PLAIN).over)
    within = "" if own.low is None else f" [{number(own.low)}, {number(own.high)}]"
    return (
        f"{result.metrics[0]} on works it was not trained on: {number(own.value)}{within}; search without learning "
        f"{number(plain.value)}; chance {number(result.chance.get(result.metrics[0]))}."
    )
