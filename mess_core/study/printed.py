"""The table of a study as others read it: JSON, CSV, Markdown, LaTeX.

Columns are called as in the studies that are compared with: HitRate, Recall, NDCG, Precision, MRR.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from mess_core.evaluation.exposure import BY_POPULARITY
from mess_core.evaluation.recommendation import (
    COVERAGE,
    DIVERSITY,
    GINI,
    HIT_RATE,
    LIFT,
    MRR,
    NDCG,
    NOVELTY,
    PRECISION,
    RECALL,
)
from mess_core.numbers import interval, number
from mess_core.storage.cells import defused
from mess_core.storage.paths import Paths
from mess_core.study.kept import kept_row
from mess_core.study.table import BLIND, NOT_RUN, POPULAR, StudyTable, TableRow
from mess_core.words import counted

COLUMNS = {"HitRate": HIT_RATE, "MRR": MRR, "Precision": PRECISION, "Recall": RECALL, "NDCG": NDCG}
MINUS = "\N{MINUS SIGN}"
ACTIVITIES = ("NDCG_few_items", "NDCG_some_items", "NDCG_many_items")
MORE = {"Coverage": COVERAGE, "Gini": GINI, "Novelty": NOVELTY, "PopularityLift": LIFT, "Diversity": DIVERSITY}


def as_document(paths: Paths, table: StudyTable) -> dict[str, Any]:
    """The shape of `study table --json`: a row for each seed, controls among them."""
    study = table.study
    rows = []
    for name, plan in study.rows.items():
        row = kept_row(paths, study, name)
        is_told = row is not None and not row.refused and table.test not in row.blind
        figures = {} if row is None or not is_told else {f.metric: f for f in row.figures[table.test][table.k]}
        ndcg = figures.get(NDCG)
        rows.append(
            {
                "encoder": None if plan.encoder is None else plan.encoder.id,
                "layer": None if plan.encoder is None else plan.encoder.layer,
                "model": plan.model.title,
                "seed": plan.seed,
                "test": table.test,
                "n_users": study.tests[table.test].n_users,
                **{column: _value(figures, metric) for column, metric in (COLUMNS | MORE).items()},
                "low": None if ndcg is None else ndcg.low,
                "high": None if ndcg is None else ndcg.high,
                "n_heard": None if row is None else row.n_heard,
                "is_control": plan.is_control,
                "is_exchanged": plan.is_shuffled,
                "took_s": None if row is None else row.took_s,
                "refused": NOT_RUN if row is None else row.refused or (BLIND if table.test in row.blind else ""),
            }
        )
    chance = study.tests[table.test].chance.get(table.k, {})
    return {
        "study": study.plan.name,
        "data": {"how": study.tests[table.test].how, "n_users": study.n_users, "n_items": study.n_items,
                 "n_train": study.n_train},
        "test": table.test,
        "k": table.k,
        "chance": {column: chance.get(metric) for column, metric in COLUMNS.items()},
        "rows": rows,
        "gains": [
            {
                "model": row.model,
                "encoder": row.heard_by or None,
                "over": over,
                **{key: getattr(better, key) for key in ("value", "low", "high", "p_holm")},
            }
            for row in table.rows
            for over, better in (("exchanged", row.over_control), (POPULAR, row.over_popular))
            if better is not None
        ],
        "n_missing": table.n_missing,
    }  # fmt: skip


def _value(figures: Mapping[str, Any], metric: str) -> float | None:
    return None if metric not in figures else figures[metric].value


def as_csv(table: StudyTable) -> str:
    """A line for each row of the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    gains = ["over_exchanged", "over_exchanged_low", "over_exchanged_high", "p_holm"]
    parts = [name.replace(" ", "_") for name in BY_POPULARITY]
    writer.writerow(["model", "encoder", "test", "k", "n_users", *COLUMNS, "low", "high", *gains, *MORE, *parts,
                     *ACTIVITIES, "n_heard", "refused"])  # fmt: skip
    for row in table.rows:
        over = row.over_control
        writer.writerow(
            [defused(row.model), defused(row.heard_by), table.test, table.k, row.n_users]
            + [row.values.get(metric) for metric in COLUMNS.values()]
            + [row.low, row.high]
            + ([None] * len(gains) if over is None else [over.value, over.low, over.high, over.p_holm])
            + [row.values.get(metric) for metric in (*MORE.values(), *BY_POPULARITY)]
            + list(row.by_activity or [None] * len(ACTIVITIES))
            + [row.n_heard, defused(row.refused)]
        )
    return text.getvalue()


def as_markdown(table: StudyTable) -> str:
    """Models without an encoder, then encoders against models."""
    alone, heard, models = _parts(table)
    at = f"@{table.k}"
    lines = [f"| | HitRate{at} | Recall{at} | NDCG{at} |", "|---|---|---|---|"]
    lines += [
        f"| {row.title} | {number(row.values.get(HIT_RATE), 3)} | {number(row.values.get(RECALL), 3)} | {_cell(row)} |"
        for row in alone
    ]
    if heard:
        lines += ["", f"| NDCG{at} | {' | '.join(models)} |", f"|---|{'---|' * len(models)}"]
        for encoder, rows in heard.items():
            cells = " | ".join(_with_gain(rows[model]) if model in rows else "" for model in models)
            lines.append(f"| {encoder} | {cells} |")
        lines += ["", "In brackets 95 % over users; after it, the gain over the same with items exchanged, with stars"
                  " where that is shown (Holm)."]  # fmt: skip
    return "\n".join(lines) + "\n"


def as_latex(table: StudyTable) -> str:
    """The same, for a paper: needs the package booktabs."""
    alone, heard, models = _parts(table)
    listeners = counted(table.study.tests[table.test].n_users, "listener")
    lines = [
        f"% needs booktabs; {listeners}, in brackets 95 % over them, then the gain over the same with items",
        "% exchanged, * where it is shown (corrected for all, Holm)",
    ]
    lines += [r"\begin{tabular}{l" + "r" * 3 + "}", r"\toprule",
             rf" & HitRate@{table.k} & Recall@{table.k} & NDCG@{table.k} \\", r"\midrule"]  # fmt: skip
    for row in alone:
        cells = [number(row.values.get(HIT_RATE), 3), number(row.values.get(RECALL), 3), _cell(row)]
        lines.append(f"{_tex(row.title)} & {' & '.join(map(_tex, cells))} \\\\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if heard:
        lines += ["", r"\begin{tabular}{l" + "r" * len(models) + "}", r"\toprule",
                  f"NDCG@{table.k} & {' & '.join(map(_tex, models))} \\\\", r"\midrule"]  # fmt: skip
        for encoder, rows in heard.items():
            cells = [_with_gain(rows[model]) if model in rows else "" for model in models]
            lines.append(f"{_tex(encoder)} & {' & '.join(map(_tex, cells))} \\\\")
        lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _parts(table: StudyTable) -> tuple[list[TableRow], dict[str, dict[str, TableRow]], list[str]]:
    alone = [row for row in table.rows if row.encoder is None]
    heard: dict[str, dict[str, TableRow]] = {}
    for row in table.rows:
        if row.encoder is not None:
            heard.setdefault(row.heard_by, {})[row.model] = row
    return alone, heard, list(dict.fromkeys(row.model for row in table.rows if row.encoder is not None))


def _cell(row: TableRow) -> str:
    if row.refused:
        return "not run" if row.refused == NOT_RUN else "refused"
    return f"{number(row.values.get(NDCG), 3)} {interval(row.low, row.high, 3)}".rstrip()


def _with_gain(row: TableRow) -> str:
    if row.over_control is None:
        return _cell(row)
    star = "*" if row.over_control.is_shown else ""
    return f"{_cell(row)} {number(row.over_control.value, 3, signed=True)}{star}"


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", MINUS: "$-$"}
    text = re.sub(r"(^|[\s\[])-(?=[\d.])", rf"\g<1>{MINUS}", text)
    return "".join(special.get(each, f"\\{each}" if each in "&%$#_{}" else each) for each in text)
