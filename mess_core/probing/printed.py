"""What was found, as others print it: a data frame, and a table in LaTeX.

Columns of the frame, a row for each target and layer:

    target, title, unit, dimension, kind, source    what was told (`targets.base.Target`)
    layer, level                                    by which layer, of whole tracks or of segments
    r2, r2_low, r2_high                             out of fold, with its 95 % interval; of classes, errors avoided
    r2_within, r2_between, r2_sd                    its parts, and its spread over fold assignments
    baseline, baseline_name                         R² of the best baseline
    gain, gain_low, gain_high                       over every baseline; these intervals hold for all cells at once
    p, p_adj                                        chance of such an R²; adjusted for all cells (max-T)
    encodes, label                                  what may be said
    accuracy, balanced, auc (…_low, …_high)         of classes
    commonest                                       of classes: right by guessing the commonest
    nested_r2, nested_r2_low, nested_r2_high        of the target, the layer chosen in training, too
    in_best_set, alpha, is_on_grid_edge, spearman, mae, n, n_groups, n_eff, reason    as in `ProbeCell`
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from mess_core.numbers import NONE, interval, number
from mess_core.probing.discovery import Discovery
from mess_core.probing.result import ClassScores, ProbeResult
from mess_core.words import counted

if TYPE_CHECKING:
    import pandas as pd

ABOUT = ("title", "unit", "dimension", "kind", "source")
SHARES = tuple(field.name for field in fields(ClassScores))
NESTED = ("nested_r2", "nested_r2_low", "nested_r2_high")
# What LaTeX would take for an order: names are untrusted text.
ESCAPED = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "²": r"\textsuperscript{2}",
}  # fmt: skip


def cells_frame(discovery: Discovery) -> pd.DataFrame:
    """One row for each target and layer, the columns as above; what is not known is NaN, or None among texts."""
    import pandas as pd

    result = discovery.result
    rows = []
    for cell in result.cells:
        about, summary = result.about(cell.target), result.target(cell.target)
        facts = asdict(cell)
        shares = facts.pop("classes") or dict.fromkeys(SHARES)
        rows.append(
            {
                "target": facts.pop("target"),
                **{name: getattr(about, name) for name in ABOUT},
                **facts,
                **shares,
                "commonest": None if summary.classes is None else summary.classes.commonest,
                **{name: getattr(summary, name) for name in NESTED},
            }
        )
    return pd.DataFrame(rows)


def latex_table(discovery: Discovery, run: str = "") -> str:
    """Each target at its best layer, as a `table` with booktabs; what encodes has a star.

    R² and its interval are those of the nested choice of layer, so that the best of many does not flatter itself.
    """
    result = discovery.result
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escaped(_caption(discovery, run))}}}",
        "\\begin{tabular}{lrlrlrr}",
        "\\toprule",
        "Property & $R^2$ & 95\\,\\% & Layer & Gain (simultaneous 95\\,\\%) & $p$ & $n$ \\\\",
        "\\midrule",
    ]
    for summary in result.targets:
        title = escaped(result.about(summary.target).title)
        if summary.best_layer is None:
            lines.append(f"{title} & \\multicolumn{{6}}{{l}}{{{escaped(summary.reason)}}} \\\\")
            continue
        cell = result.cell(summary.best_layer, summary.target)
        gain = f"{_plain(number(cell.gain))} {_plain(interval(cell.gain_low, cell.gain_high))}".strip()
        lines.append(
            f"{title}{'*' * cell.encodes} & {_plain(number(summary.nested_r2))} & "
            f"{_plain(interval(summary.nested_r2_low, summary.nested_r2_high))} & {cell.layer} & {gain} & "
            f"{_plain(number(cell.p_adj, 3))} & {cell.n} \\\\"
        )
        lines += _class_rows(result, summary.target)
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def escaped(text: str) -> str:
    r"""Untrusted text, so that LaTeX prints it as it is.

    Examples
    --------
    >>> print(escaped("50 % of a_b & c"))
    50 \% of a\_b \& c
    """
    return "".join(ESCAPED.get(letter, letter) for letter in " ".join(text.split()))


def _class_rows(result: ProbeResult, target: str) -> list[str]:
    """Of classes one more row: the share that is right, beside that of guessing."""
    facts = result.target(target).classes
    if facts is None:
        return []
    told = facts.nested
    right = f"{number(told.accuracy)} {interval(told.accuracy_low, told.accuracy_high)}".rstrip()
    said = f"right {right}, guessing {number(facts.commonest)}; AUC {number(told.auc)}"
    return [f" & \\multicolumn{{6}}{{l}}{{{escaped(said)}}} \\\\"]


def _caption(discovery: Discovery, run: str) -> str:
    result = discovery.result
    said = (
        f"What {discovery.encoder} tells of {discovery.library}: {counted(discovery.n_tracks, 'recording')}, "
        f"{counted(result.n_groups, 'group')} ({discovery.group}) kept apart, {result.settings.n_folds} folds. R² out "
        "of fold, the layer chosen in training; layer and gain over every baseline are those of the best layer. "
    )
    star = "* exceeds every baseline, all cells considered, and chance (max-T)."
    said += f"Nothing may be said to encode: {result.why_no_word}." if result.why_no_word else star
    return f"{said} Run {run}." if run else said


def _plain(figure: str) -> str:
    """A figure in LaTeX: a minus is one, a dash is a dash."""
    return "--" if figure == NONE else figure.replace("-", "$-$")
