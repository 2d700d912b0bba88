"""The verbs on kept runs of discovery: list them, make many, compare two, print one, cite."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mess_core.catalogue.catalogue import ALL
from mess_core.cli import tracking
from mess_core.cli.saying import DONE, SOME_FAILED, say, work_on
from mess_core.embeddings.extraction import use_all_cores
from mess_core.encoders.registry import DEFAULT
from mess_core.errors import InputError
from mess_core.handover.citing import as_bibtex, as_document, references
from mess_core.numbers import interval, number
from mess_core.probing.data import UNTRAINED
from mess_core.probing.paired import RunComparison, compare_runs
from mess_core.probing.result import ALPHAS, ProbeSettings
from mess_core.probing.runs import find_run, kept_runs, runs_table
from mess_core.storage.cells import defused
from mess_core.storage.files import write_atomically
from mess_core.words import counted
from mess_core.work.sweep import FAILED, SweepPlan, Swept, sweep
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import Workspace

GRID = "grid"  # among the penalties: the usual grid


def add_verbs(
    verb: Callable[[str, Any, str], argparse.ArgumentParser],
    mlflow_option: Callable[[argparse.ArgumentParser], None],
    path: Callable[[str], Path],
) -> None:
    """Declare them."""
    sub = verb("runs", _runs, "Every kept run of discovery, by its id; or one of them, printed.")
    sub.add_argument("run_id", nargs="?", metavar="ID", help="print this one")
    sub.add_argument("--library", help="only of this one")
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="of one run: as a table in LaTeX")
    form.add_argument("--csv", action="store_true", help="of one run: a row for each target and layer")
    sub.add_argument("--heatmap", type=path, metavar="FILE", help="of one run: draw it, as .pdf, .svg or .png")
    sub.add_argument("--quantity", choices=["r2", "gain"], default="r2", help="with --heatmap: what a cell shows")

    sub = verb("cite", _cite, "What to cite, as BibTeX: encoder, data sets, methods and MESS itself.")
    sub.add_argument("--run", metavar="ID", dest="by_run", help="for this run of discovery, with its methods")
    sub.add_argument("--library", default=ALL)
    sub.add_argument("--encoder", default=DEFAULT, metavar="ID", help=f"by default {DEFAULT}")

    sub = verb("sweep", _sweep, "Probe a library in several ways; what is there is not done again.")
    sub.add_argument("--library", default=ALL)
    for name, usual, what in (
        ("encoders", DEFAULT, "ids"), ("groups", "work", "what is kept apart"), ("levels", "track", "track,segment"),
        ("alphas", GRID, f"ridge penalties, each alone; {GRID} is the usual grid"),
        ("folds", str(ProbeSettings.n_folds), "how many"), ("seeds", str(ProbeSettings.seed), "numbers"),
    ):  # fmt: skip
        sub.add_argument(f"--{name}", default=usual, metavar="A,B,…", help=f"{what} (default: {usual})")
    sub.add_argument("--target", dest="columns", action="append", default=[], metavar="NAME", help="as of probe")
    sub.add_argument("--permutations", type=int, default=ProbeSettings.n_permutations)
    sub.add_argument("--without", action="append", default=[], choices=[UNTRAINED], help="as of probe")
    sub.add_argument("--out", type=path, metavar="FILE.csv", help="also write the table, anew after each run")
    mlflow_option(sub)

    sub = verb("compare", _compare, "Two runs beside each other: what one tells better, over the same recordings.")
    sub.add_argument("first", metavar="A", help="the id of a run (see runs)")
    sub.add_argument("second", metavar="B")
    mlflow_option(sub)


def _runs(workspace: Workspace, options: argparse.Namespace) -> int:
    wants_one = options.latex or options.csv or options.heatmap is not None
    if options.run_id is None:
        if wants_one:
            raise InputError("One run is printed or drawn.", "Name its ID; runs without one lists them.")
        runs, problems = kept_runs(workspace.paths, options.library)
        rows = [run.as_row() for run in runs]
        lines = [*runs_table(rows), *problems] if runs else ["Nothing was probed yet.", *problems]
        say(options, {"runs": rows, "problems": problems}, lines)
        return SOME_FAILED if problems else DONE
    run = find_run(workspace.paths, options.run_id)
    document = run.discovery.as_document()
    lines = runs_table([run.as_row()])
    if options.latex:
        lines = run.to_latex().splitlines()
    elif options.csv:
        lines = run.to_frame().map(defused).to_csv(index=False).splitlines()
    if options.heatmap is not None:
        document["heatmap"] = str(run.heatmap(options.heatmap, options.quantity))
        lines = [*(lines if options.latex or options.csv else []), f"Drawn: {options.heatmap}"]
    say(options, document, lines)
    return DONE


def _sweep(workspace: Workspace, options: argparse.Namespace) -> int:
    use_all_cores()
    workspace.catalogue.require_library(options.library)
    if options.mlflow:
        tracking.open_store(workspace.paths)
    levels = _listed(options.levels)
    if unknown := [level for level in levels if level not in ("track", "segment")]:
        raise InputError(f"There is no level {unknown[0]!r}; expected track or segment.")
    plan = SweepPlan(
        library=options.library,
        encoders=_listed(options.encoders),
        groups=_listed(options.groups),
        levels=levels,  # type: ignore[arg-type]
        penalties=tuple(ALPHAS if each == GRID else (_number(each, float),) for each in _listed(options.alphas)),
        folds=tuple(_number(each, int) for each in _listed(options.folds)),
        seeds=tuple(_number(each, int) for each in _listed(options.seeds)),
        settings=ProbeSettings(
            n_permutations=options.permutations, columns=tuple(options.columns), without=tuple(options.without)
        ),
    )
    done: list[Swept] = []
    for swept in sweep(workspace, plan, work_on):
        done.append(swept)
        if options.mlflow and swept.run is not None and swept.seconds:
            tracking.log_probe(workspace.paths, swept.run.discovery, swept.seconds)
        if options.out:
            write_atomically(options.out, _csv([each.as_row() for each in done]))
    rows = [each.as_row() for each in done]
    failed = [each for each in done if each.state == FAILED]
    lines = runs_table([row for row in rows if row["run"]])
    lines += [f"failed: {each.request.encoder_id}, {row['settings'] or 'usual'}: {each.why}"
              for each, row in zip(done, rows, strict=True) if each.state == FAILED]  # fmt: skip
    n_there = sum(each.state not in (FAILED,) and not each.seconds for each in done)
    lines.append(f"{counted(len(done), 'run')}: {n_there} were there, {len(failed)} failed.")
    say(options, {"runs": rows}, lines)
    return SOME_FAILED if failed else DONE


def _compare(workspace: Workspace, options: argparse.Namespace) -> int:
    first, second = (find_run(workspace.paths, each) for each in (options.first, options.second))
    if options.mlflow:
        tracking.open_store(workspace.paths)
    found = compare_runs(first.whole, second.whole)
    if options.mlflow:
        tracking.log_comparison(workspace.paths, found, first.run_id, second.run_id)
    document = {
        "runs": [first.run_id, second.run_id],
        "titles": [found.first, found.second],
        "by_layer": found.by_layer,
        "cells": [{**asdict(cell), "differs": cell.differs} for cell in found.cells],
        "left_out": [{"target": target, "reason": why} for target, why in found.left_out],
        "sentences": found.sentences(),
    }
    say(options, document, comparison_table(found))
    return DONE


def _cite(workspace: Workspace, options: argparse.Namespace) -> int:
    discovery = None if options.by_run is None else find_run(workspace.paths, options.by_run).discovery
    library, encoder = (
        (options.library, options.encoder) if discovery is None else (discovery.library, discovery.encoder)
    )
    found = references(scope_of(workspace, library, encoder), discovery)
    say(options, {"references": as_document(found)}, as_bibtex(found).rstrip().split("\n"))
    return DONE


def comparison_table(found: RunComparison) -> list[str]:
    """Of each target the layer at which the difference is the surest, then what came out."""
    lines = [f"first: {found.first}", f"second: {found.second}"]
    lines += ["target                  layers     R²   other   delta  interval         p (Holm)"]
    for cell in found.clearest:
        layers = str(cell.layer) if found.by_layer else f"{cell.layer}, {cell.other_layer}"
        within = interval(cell.delta_low, cell.delta_high, signed=True)
        lines.append(
            f"{cell.target:<22}  {layers:>6}  {number(cell.r2):>5}  {number(cell.other_r2):>6}  "
            f"{number(cell.delta, signed=True):>6}  {within:<15}  {number(cell.p_holm, 3):>7}{' *' * cell.differs}"
        )
    lines += [f"{target:<22}  {why}" for target, why in found.left_out]
    return [*lines, *found.sentences(), "* differs: p below .05, all cells considered (Holm)."]


def _listed(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise InputError(f"{text!r} lists nothing.", "Expected values with commas between them.")
    return names


def _number(text: str, kind: type[Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise InputError(f"{text[:40]!r} is no {what}.", "Expected numbers with commas between them.") from None


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(names)
    writer.writerows([defused(row.get(name, "")) for name in names] for row in rows)
    return stream.getvalue().encode()
