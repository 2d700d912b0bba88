"""What a study keeps: one folder for a plan, in it a document of the whole and three files for each row.

    studies/NAME/study.json             the plan, what the data are, the names of its rows; sealed
    studies/NAME/rows/ROW.json          figures, curve, how long it took, or why there are none; sealed
                      ROW.SHA.users.parquet    of each tested user: what is measured, for each test and k
                      ROW.SHA.lists.parquet    of each tested user: the 100 best, for each test

Parquet is for whoever goes on with the figures in another program: a row for a user, by their ids. Documents name the
files beside them with their hashes, and are written last; so a row is there whole or not at all, and an interrupted
study goes on with the rows that it has not got.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.recommendation import RecommendationFigure
from mess_core.recommend.base import NOBODY
from mess_core.recommend.fitting import Epoch
from mess_core.storage.files import own_files, read_sealed, write_atomically, write_sealed
from mess_core.storage.kept import Kind, verify_document
from mess_core.storage.paths import Paths, file_name
from mess_core.storage.untrusted import (
    MOST_TENSORS_BYTES,
    build,
    open_parquet,
    printable,
    sha256_of,
    understanding,
)
from mess_core.study.plan import EncoderPlan, RowPlan, StudyPlan, as_plain, from_plain, model_from_plain

FORMAT = "mess-study-1"
RUN_AGAIN = "Run the study again: what is missing is made, the rest stays."
USERS, LISTS = "users", "lists"

Figures = Mapping[str, Mapping[int, tuple[RecommendationFigure, ...]]]  # test -> k -> one per metric
PerUser = Mapping[str, Mapping[int, Mapping[str, np.ndarray]]]  # test -> k -> metric -> (n_tested,) float64


@dataclass(frozen=True)
class Test:
    """One test of a study. chance : k -> metric -> what any order gives"""

    how: str
    n_users: int
    n_ranked: int
    chance: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class StudyFacts:
    """A study as a whole.

    content : of the data
    rows : name of the files -> what it is
    notices : what the reader should know of the data, in sentences
    """

    plan: StudyPlan
    n_users: int
    n_items: int
    n_train: int
    content: str
    tests: Mapping[str, Test]
    rows: Mapping[str, RowPlan]
    notices: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StudyRow:
    """What one row came to.

    blind : tests of whose items it knows nothing: it gives them all one score
    points : sha256 of the points of its items; empty without
    n_heard : items that have audio; None without an encoder
    refused : why there are no figures; empty where there are
    """

    plan: RowPlan
    figures: Figures
    took_s: float
    curve: tuple[Epoch, ...] = ()
    blind: tuple[str, ...] = ()
    points: str = ""
    n_heard: int | None = None
    refused: str = ""


# --- the whole ----------------------------------------------------------------------------------------------


def study_folder(paths: Paths, name: str) -> Path:
    """Where a study lies."""
    return paths.studies / file_name(name)


def save_study(paths: Paths, study: StudyFacts) -> None:
    """Keep what a study is, in place of what it was before."""
    plain = {**asdict(study), "plan": as_plain(study.plan), "format": FORMAT}
    write_sealed(study_folder(paths, study.plan.name) / "study.json", plain)


def load_study(paths: Paths, name: str) -> StudyFacts | None:
    """The study of a name; None if there is none, or only one of another version.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged.
    """
    path = study_folder(paths, name) / "study.json"
    try:
        document = read_sealed(path, cure=RUN_AGAIN)
    except FileNotFoundError:
        return None
    return study_of(document, printable(name)) if document.get("format") == FORMAT else None


def study_of(document: Mapping[str, Any], name: str) -> StudyFacts:
    """The study that a document tells; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, RUN_AGAIN):
        tests = {
            str(test): build(Test, each, chance={int(k): dict(chance) for k, chance in each["chance"].items()})
            for test, each in document["tests"].items()
        }
        return build(
            StudyFacts,
            {key: value for key, value in document.items() if key != "format"},
            plan=from_plain(document["plan"], name),
            tests=tests,
            rows={file_name(str(row)): _row_plan(each) for row, each in document["rows"].items()},
            notices=tuple(map(str, document["notices"])),
            provenance=dict(document["provenance"]),
        )


def missing_rows(paths: Paths, study: StudyFacts) -> list[str]:
    """Names of the rows that were not run yet, or could not be."""
    rows = {name: kept_row(paths, study, name) for name in study.rows}
    return [name for name, row in rows.items() if row is None or row.refused]


def stamp_of(paths: Paths, name: str) -> tuple[int, ...]:
    """Another whenever anything of a study was written or deleted."""
    folder = study_folder(paths, name)
    return tuple(path.stat().st_mtime_ns for path in (folder / "study.json", folder / "rows") if path.exists())


def forget_study(paths: Paths, name: str) -> None:
    """Delete a study with all its rows; a plan of one's own stays where it lies."""
    folder = study_folder(paths, name)
    (folder / "study.json").unlink(missing_ok=True)  # first: what has no document is no study
    shutil.rmtree(folder, ignore_errors=True)


def studies(paths: Paths) -> list[str]:
    """The names of all that are kept, the latest first."""
    found: list[tuple[float, str]] = []
    for path in own_files(paths.root, paths.studies.glob("*/study.json")):
        try:
            document = read_sealed(path, cure=RUN_AGAIN)
            found.append((-path.stat().st_mtime, str(document["plan"]["name"])))
        except (ArtefactMismatchError, FileNotFoundError, KeyError, TypeError):  # gone; or `check` says it is damaged
            continue
    return [name for _, name in sorted(found)]


# --- one row ------------------------------------------------------------------------------------------------


def row_path(paths: Paths, study: str, row: str) -> Path:
    """Where the document of a row lies."""
    return study_folder(paths, study) / "rows" / f"{row}.json"


def save_row(
    paths: Paths,
    study: str,
    name: str,
    row: StudyRow,
    per_user: PerUser,
    lists: Mapping[str, np.ndarray],
    users: Mapping[str, np.ndarray],
    user_ids: tuple[str, ...],
    item_ids: tuple[str, ...],
) -> None:
    """Keep a row, its figures of each user and its lists, in place of an older one.

    Parameters
    ----------
    per_user : test -> k -> metric -> (n_tested,), and how many items each had
    lists : test -> (n_tested, 100) items, or `NOBODY`
    users : test -> (n_tested,) places among the users
    """
    path = row_path(paths, study, name)
    beside = {}
    if row.figures:
        ids, items = np.array(user_ids, object), np.array(item_ids, object)
        tables = {
            USERS: _users_table(per_user, {test: ids[places] for test, places in users.items()}),
            LISTS: _lists_table(lists, {test: ids[places] for test, places in users.items()}, items),
        }
        for kind, data in tables.items():
            sha256 = hashlib.sha256(data).hexdigest()
            write_atomically(_beside(path, kind, sha256), data)
            beside[kind] = sha256
    write_sealed(path, {**asdict(row), "format": FORMAT, "beside": beside})
    for older in path.parent.glob(f"{path.stem}.*.parquet"):
        if older not in [_beside(path, kind, sha256) for kind, sha256 in beside.items()]:
            older.unlink(missing_ok=True)


def load_row(paths: Paths, study: str, name: str) -> StudyRow | None:
    """A row; None if it was not run yet, or by another version. ArtefactMismatchError if it is damaged."""
    document = _document(row_path(paths, study, name))
    return None if document is None else row_of(document, name)


def kept_row(paths: Paths, study: StudyFacts, name: str) -> StudyRow | None:
    """A row of a study; None where it was not run yet, is damaged, or was run before the study had all its tests and k.

    A run makes these again, and `check` says which are damaged.
    """
    try:
        row = load_row(paths, study.plan.name, name)
    except ArtefactMismatchError:
        return None
    if row is None or row.refused:
        return row
    is_whole = all(set(study.plan.k) <= set(row.figures.get(test, ())) for test in study.tests)
    return row if is_whole else None


def row_of(document: Mapping[str, Any], name: str) -> StudyRow:
    """The row that a document tells; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, RUN_AGAIN):
        figures = {
            str(test): {int(k): tuple(build(RecommendationFigure, each) for each in own) for k, own in by_k.items()}
            for test, by_k in document["figures"].items()
        }
        return build(
            StudyRow,
            {key: value for key, value in document.items() if key not in ("format", "beside")},
            plan=_row_plan(document["plan"]),
            figures=figures,
            curve=tuple(build(Epoch, each) for each in document["curve"]),
            blind=tuple(map(str, document["blind"])),
        )


def per_user_of(
    paths: Paths, study: str, name: str, test: str, k: int, metrics: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """What was measured of each tested user, by metric, in the order of the test; NaN where there is no number.

    metrics : those that are read, as far as they are there; by default all
    """
    import pyarrow.compute as pc

    path = row_path(paths, study, name)
    document = _document(path)
    if document is None:
        raise ArtefactMismatchError(f"{name} was not run.", RUN_AGAIN)
    with open_parquet(_verified(path, USERS, document), cure=RUN_AGAIN) as table:
        there = [column.name for column in table.stored if column.name not in ("test", "user", "k")]
        columns = [column for column in there if metrics is None or column in metrics]
        with understanding(name, RUN_AGAIN):
            pieces = [
                batch.filter(pc.and_(pc.equal(batch.column("test"), test), pc.equal(batch.column("k"), k)))
                for batch in table.record_batches(["test", "k", *columns])
            ]
            return {
                column: np.concatenate(
                    [np.asarray(each.column(column).to_numpy(zero_copy_only=False), np.float64) for each in pieces]
                )
                for column in columns
            }


# --- files --------------------------------------------------------------------------------------------------


def _row_plan(plain: Mapping[str, Any]) -> RowPlan:
    encoder = plain["encoder"]
    return build(
        RowPlan,
        plain,
        model=model_from_plain(plain["model"]),
        encoder=None if encoder is None else build(EncoderPlan, encoder),
    )


def _document(path: Path) -> dict[str, Any] | None:
    try:
        document = read_sealed(path, cure=RUN_AGAIN)
    except FileNotFoundError:
        return None
    return document if document.get("format") == FORMAT else None


def _beside(path: Path, kind: str, sha256: str) -> Path:
    return path.with_name(f"{path.stem}.{sha256[:16]}.{kind}.parquet")


def _verified(path: Path, kind: str, document: Mapping[str, Any]) -> Path:
    with understanding(printable(path.name), RUN_AGAIN):
        sha256 = str(document["beside"][kind])
    beside = _beside(path, kind, sha256)
    try:
        found = sha256_of(beside, MOST_TENSORS_BYTES, cure=RUN_AGAIN)
    except FileNotFoundError as error:
        raise ArtefactMismatchError(f"{printable(beside.name)} is gone.", RUN_AGAIN) from error
    if found != sha256:
        raise ArtefactMismatchError(f"{printable(beside.name)} is damaged: its sha256 changed.", RUN_AGAIN)
    return beside


def _users_table(per_user: PerUser, ids: Mapping[str, np.ndarray]) -> bytes:
    import pyarrow as pa

    pieces = []
    for test, by_k in per_user.items():
        for k, metrics in by_k.items():
            n = len(ids[test])
            columns = {
                "test": pa.array([test] * n, pa.string()),
                "user": pa.array(ids[test].tolist(), pa.string()),
                "k": pa.array([k] * n),
            }
            columns |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in metrics.items()}
            pieces.append(pa.table(columns))
    return _written(pa.concat_tables(pieces, promote_options="default"))


def _lists_table(lists: Mapping[str, np.ndarray], ids: Mapping[str, np.ndarray], items: np.ndarray) -> bytes:
    import pyarrow as pa

    pieces = []
    for test, own in lists.items():
        row, place = np.nonzero(own != NOBODY)
        pieces.append(
            pa.table(
                {
                    "test": pa.array([test] * len(row), pa.string()),
                    "user": pa.array(ids[test][row].tolist(), pa.string()),
                    "rank": pa.array(place + 1),
                    "item": pa.array(items[own[row, place]].tolist(), pa.string()),
                }
            )
        )
    return _written(pa.concat_tables(pieces))


def _written(table: Any) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _files(paths: Paths) -> Iterator[Path]:
    yield from paths.studies.glob("*/study.json")
    yield from paths.studies.glob("*/rows/*.json")


def _understand(path: Path, document: Mapping[str, Any]) -> None:
    if document.get("format") != FORMAT:
        return
    if path.name == "study.json":
        study_of(document, printable(path.parent.name))
        return
    row_of(document, printable(path.stem))
    for kind in document["beside"]:
        _verified(path, str(kind), document)


def _unnamed(paths: Paths) -> list[Path]:
    """Tables that no document names."""
    named: set[Path] = set()
    for path in paths.studies.glob("*/rows/*.json"):
        try:
            document = read_sealed(path, cure=RUN_AGAIN)
            named |= {_beside(path, str(kind), str(sha256)) for kind, sha256 in document.get("beside", {}).items()}
        except ArtefactMismatchError:  # said by `check`
            named |= set(path.parent.glob(f"{path.stem}.*"))
    return [path for path in paths.studies.glob("*/rows/*.parquet") if path not in named]


KEPT = Kind(
    "study", _files, lambda path: verify_document(path, RUN_AGAIN, (), _understand), RUN_AGAIN, orphans=_unnamed
)
