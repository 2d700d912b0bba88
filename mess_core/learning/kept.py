"""Kept reports: what learning brought, one readable JSON for a library, an encoder and a source, sealed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from mess_core.encoders.base import EncoderInfo
from mess_core.learning.course import Source
from mess_core.learning.students import IN_WORDS, PLAIN
from mess_core.learning.trial import Figure, HidingPoint, Point, Split, TrialResult
from mess_core.numbers import number
from mess_core.search.learned import LEARN_AGAIN
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.kept import Kind, verify_document
from mess_core.storage.paths import Paths, file_name
from mess_core.storage.untrusted import build, printable, understanding

FORMAT = "mess-learning-1"
SURE = 0.05  # Holm's p below which a gain is called one
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True, eq=False)
class LearnReport:
    """What came of learning, and what it rests on.

    source : what taught; in documents it is called `from`
    content : hash of the embeddings that were learned on
    activated : the student by which `similar` finds since then; None if none was
    notices : what the reader should know, in sentences
    """

    library: str
    encoder: str
    fingerprint: str
    content: str
    source: str
    result: TrialResult
    activated: str | None = None
    notices: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence."""
        result = self.result
        metric = result.metrics[0]
        plain = result.figure(result.figure(PLAIN).over)
        if result.chosen != PLAIN:
            found = result.figure(result.chosen)
            is_sure = found.p_holm is None or found.p_holm < SURE
            helps = "helps" if is_sure else "seems to help"
            corrected = (
                "" if is_sure else f"; corrected for all students tried it is not shown, p {number(found.p_holm)}"
            )
            return (
                f"Learning from {self.source} {helps}: {metric} {number(found.value)} by the student "
                f"{_called(found)}, where search without it has {number(plain.value)} (a gain of "
                f"{number(found.gain)}, 95 % from {number(found.gain_low)} to {number(found.gain_high)}{corrected})."
            )
        try:
            best = result.figure(result.best)
        except KeyError:
            return f"No student was taught; search without learning has {metric} {number(plain.value)}."
        if best.gain_low is None:
            return (
                f"Whether learning from {self.source} helps cannot be said on so few works: {metric} "
                f"{number(best.value)} by the student {_called(best)}, {number(plain.value)} without."
            )
        if best.gain_low > 0:  # the ladder ended before it
            is_sure = best.p_holm is None or best.p_holm < SURE
            corrected = "" if is_sure else f"; corrected for all students tried not shown, p {number(best.p_holm)}"
            return (
                f"The student {_called(best)} has {metric} {number(best.value)}, where search without it has "
                f"{number(plain.value)} (a gain of {number(best.gain)}, 95 % from {number(best.gain_low)} to "
                f"{number(best.gain_high)}{corrected}). It was not chosen: students take turns, and one before it is "
                "not surely better than search."
            )
        return (
            f"That learning from {self.source} helps is not shown: the best student, {_called(best)}, has {metric} "
            f"{number(best.value)}, search without it {number(plain.value)}, and the gain could be none "
            f"({number(best.gain_low)} to {number(best.gain_high)})."
        )

    def as_document(self) -> dict[str, Any]:
        """The shape of `learn --json`."""
        plain = asdict(self.result)
        main = plain["splits"][0]
        names = ("library", "encoder", "fingerprint", "content", "activated")
        return {
            **{name: getattr(self, name) for name in names},
            "from": self.source,
            "split": {**main, "train": main["n_train"], "test": main["n_test"]},
            "splits": plain["splits"],
            "students": plain["figures"],
            "chance": self.result.chance.get(self.result.metrics[0]),
            "chances": dict(self.result.chance),
            "metrics": list(self.result.metrics),
            "ceiling": self.result.ceiling,
            "n_queries": main["n_units"],
            "chosen": self.result.chosen,
            "best": self.result.best,
            "curve": plain["curve"],
            "hiding": plain["hiding"],
            "verdict": self.verdict,
            "notices": [*self.notices, *self.result.notices],
            "provenance": dict(self.provenance),
        }


def _called(student: Figure) -> str:
    """By its id, by which it can be asked for, and in the words that stand beside its figures."""
    return f"{student.name} ({IN_WORDS[student.name]})" if student.name in IN_WORDS else student.name


def report_path(paths: Paths, library: str, info: EncoderInfo, source: str) -> Path:
    """Where the report on a library, an encoder and a source lies."""
    return paths.learned / info.folder / f"{file_name(library)}-{source}.json"


def save_report(paths: Paths, info: EncoderInfo, report: LearnReport) -> Path:
    """Keep a report in place of an older one."""
    path = report_path(paths, report.library, info, report.source)
    names = ("library", "encoder", "fingerprint", "content", "source", "activated", "notices", "provenance")
    own = {name: getattr(report, name) for name in names}
    write_sealed(path, {"format": FORMAT, **own, "notices": list(report.notices), "result": asdict(report.result)})
    return path


def load_report(paths: Paths, library: str, info: EncoderInfo, source: str) -> LearnReport | None:
    """The kept report; None if there is none, or only one of another version."""
    path = report_path(paths, library, info, source)
    try:
        document = read_sealed(path, cure=LEARN_AGAIN)
        return report_of(document, printable(path.name)) if document.get("format") == FORMAT else None
    except FileNotFoundError:
        return None


def report_of(document: Mapping[str, Any], name: str) -> LearnReport:
    """The report that a kept document describes; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, LEARN_AGAIN):
        entries = {key: value for key, value in document.items() if key not in ("format", "result")}
        known = {"notices": tuple(entries["notices"]), "provenance": dict(entries["provenance"])}
        return build(LearnReport, entries, result=_result(document["result"]), **known)


def _result(plain: Mapping[str, Any]) -> TrialResult:
    return build(
        TrialResult,
        {key: plain[key] for key in ("chosen", "best", "ceiling")},
        metrics=tuple(map(str, plain["metrics"])),
        splits=tuple(
            build(Split, each, hashes=tuple((str(a), str(b)) for a, b in each["hashes"])) for each in plain["splits"]
        ),
        figures=tuple(
            build(Figure, each, seed_values=tuple(None if v is None else float(v) for v in each["seed_values"]))
            for each in plain["figures"]
        ),
        chance={str(key): None if value is None else float(value) for key, value in plain["chance"].items()},
        curve=tuple(build(Point, each) for each in plain["curve"]),
        notices=tuple(map(str, plain["notices"])),
        hiding=tuple(build(HidingPoint, each) for each in plain.get("hiding", ())),
    )


def _files(paths: Paths) -> Iterator[Path]:
    for source in SOURCES:
        yield from paths.learned.glob(f"*/*-{source}.json")


def _understand(path: Path, document: Mapping[str, Any]) -> None:
    if document.get("format") == FORMAT:
        report_of(document, printable(path.name))


KEPT = Kind("learning", _files, lambda path: verify_document(path, LEARN_AGAIN, (), _understand), LEARN_AGAIN)
