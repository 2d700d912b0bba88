"""The verb `study`: run what of a plan is missing, and print its table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mess_core.cli import tracking
from mess_core.cli.saying import DONE, report, say, work_on
from mess_core.errors import DataMissingError, InputError
from mess_core.storage.files import write_atomically
from mess_core.study.kept import StudyFacts, load_study
from mess_core.study.plan import read_plan
from mess_core.study.printed import as_csv, as_document, as_latex, as_markdown
from mess_core.study.table import tabulate
from mess_core.words import counted
from mess_core.work.study import StudyRequest
from mess_core.workspace.workspace import Workspace

FORMS = {"markdown": as_markdown, "latex": as_latex, "csv": as_csv}


def add_verb(
    verb: Callable[[str, Any, str], argparse.ArgumentParser], mlflow_option: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Declare it."""
    sub = verb("study", _study, "Which encoder serves which recommender, on interactions, beside controls.")
    sub.add_argument("what", choices=["run", "table"])
    sub.add_argument("file", type=Path, metavar="FILE.toml", help="the plan; docs/study.md says what it holds")
    sub.add_argument("--test", help="with table: which, of several; by default the first")
    sub.add_argument("-k", type=int, help="with table: at how many, one of the plan's; by default the fewest")
    form = sub.add_mutually_exclusive_group()
    for name in FORMS:
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=f"with table: as {name}")
    sub.add_argument("--out", type=Path, metavar="FILE", help="with table: write it there")
    mlflow_option(sub)
    sub.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="with run: write curves there")


def _study(workspace: Workspace, options: argparse.Namespace) -> int:
    of_table = {"--test": options.test, "-k": options.k, "--out": options.out, f"--{options.form}": options.form}
    of_run = {"--mlflow": options.mlflow, "--tensorboard": options.tensorboard}
    for name, value in (of_table if options.what == "run" else of_run).items():
        if value:
            raise InputError(f"{name} goes with {'table' if options.what == 'run' else 'run'}.", "Leave it out.")
    return (_run if options.what == "run" else _table)(workspace, options)


def _run(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.mlflow:
        tracking.open_store(workspace.paths)
    if options.tensorboard:
        tracking.require_tensorboard()
    plan = read_plan(options.file)
    job = work_on(workspace, StudyRequest(options.file.resolve()))
    study = load_study(workspace.paths, plan.name)
    if study is not None and options.mlflow:
        tracking.log_study(workspace.paths, study)
    if study is not None and options.tensorboard:
        tracking.write_curves(workspace.paths, study, options.tensorboard)
    return report(workspace, [job], options, study=plan.name, n_rows=len(plan.rows))


def _table(workspace: Workspace, options: argparse.Namespace) -> int:
    table = tabulate(workspace.paths, _kept(workspace, options.file), options.test, options.k)
    text = FORMS[options.form or "markdown"](table)
    if options.out:
        write_atomically(options.out, text.encode())
    go_on = f"python -m mess_core study run {options.file}"
    missing = f"Not run yet: {counted(table.n_missing, 'row')}. {go_on}" if table.n_missing else ""
    say(options, as_document(workspace.paths, table), [*text.rstrip("\n").split("\n"), *([missing] if missing else [])])
    return DONE


def _kept(workspace: Workspace, file: Path) -> StudyFacts:
    """The study of a plan's file, or of a name."""
    name = read_plan(file).name if file.exists() else str(file)
    study = load_study(workspace.paths, name)
    if study is None:
        raise DataMissingError(f"The study {name!r} was not run yet.", f"python -m mess_core study run {file}")
    return study
