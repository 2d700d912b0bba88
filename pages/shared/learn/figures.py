"""What came of learning on 6_Learn, in figures: every student, the learning curve, and what hiding the piece costs."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from mess_core.learning.course import DURATION, MEASURED, TRIPLETS
from mess_core.learning.kept import LearnReport
from mess_core.learning.students import IN_WORDS, PLAIN
from mess_core.learning.trial import HIDER, Figure
from mess_core.numbers import number
from mess_core.words import counted
from pages.shared.app.table import show_table
from pages.shared.widgets import charts

METRICS = {
    TRIPLETS: "Of triplets, how many it tells: which of two is more like a third. A guess tells half.",
    "nDCG@10": "How good its ten nearest are, the first counting most: 1 is the best order there can be.",
    "recall@10": "How many of the right ones are among its ten nearest.",
    "recall@100": "How many of the right ones are among its hundred nearest.",
    "piece found": "How many recordings of the same piece are among its ten nearest.",
    "MRR@10": "One over the place of the first right one; 0 where none is among ten.",
}
REFERENCES = {MEASURED: "measured values", DURATION: "length alone", "log-mel": "a plain spectrum (log-mel)"}


def show_figures(report: LearnReport) -> None:
    """Every way to compare in the main metric; then everything, for who wants the last digit."""
    result = report.result
    metric, split = result.metrics[0], result.splits[0]
    st.caption(
        f"{METRICS.get(metric, metric)} Tested on {counted(split.n_groups, split.by)} that were not learned from, in "
        f"{counted(split.n_folds, 'part')}; {counted(split.n_units, 'question')}."
    )
    figures = [each for each in result.figures if (each.metric, each.split) == (metric, split.by)]
    chance = result.chance.get(metric)
    st.plotly_chart(
        _picture(report, figures), key="picture of students", config=charts.camera("svg", "learned"),
        alt="Every way to compare, with its interval, beside chance and how far people agree",
    )  # fmt: skip
    limits = [f"Chance: {number(chance)}."]
    if result.ceiling is not None:
        limits.append(f"So far as people agree with each other: {number(result.ceiling)}.")
    st.caption(" ".join(limits))
    with st.expander("Every figure", icon=":material/table:"):
        show_table(
            [_row(each, result.chosen) for each in result.figures], key="figures",
            alt="Every student, metric and split",
            column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("value", "from", "to", "gain", "gain from", "gain to", "p (Holm)")
            },
        )  # fmt: skip
        st.caption(
            "A gain is over the better of plain cosine and search as it is, on the same questions. Intervals are 95 % "
            "over works; p is corrected for all students (Holm). Apart: what was never in both training and test."
        )


def _picture(report: LearnReport, figures: list[Figure]) -> go.Figure:
    """One line for each way to compare: a dot and its interval; students in colour."""
    shown = [each for each in figures if each.value is not None]
    shown.sort(key=lambda each: each.value or 0.0)
    figure = go.Figure()
    for is_student, colour, label in ((True, charts.SERIES[0], "taught"), (False, charts.SERIES[6], "not taught")):
        of_kind = [each for each in shown if each.is_student == is_student]
        figure.add_trace(
            go.Scatter(
                x=[each.value for each in of_kind],
                y=[_named(each) for each in of_kind],
                error_x={
                    "type": "data",
                    "array": [(each.high or each.value or 0) - (each.value or 0) for each in of_kind],
                    "arrayminus": [(each.value or 0) - (each.low or each.value or 0) for each in of_kind],
                    "thickness": 1.5,
                },
                mode="markers", marker={"size": 9, "color": colour}, name=label,
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            )
        )  # fmt: skip
    chance, ceiling = report.result.chance.get(report.result.metrics[0]), report.result.ceiling
    for value, dash in ((chance, "dot"), (ceiling, "dash")):
        if value is not None:
            figure.add_vline(x=value, line={"dash": dash, "width": 1, "color": charts.GREYS[0]})
    figure.update_yaxes(categoryorder="array", categoryarray=[_named(each) for each in shown], automargin=True)
    figure.update_layout(
        height=90 + 30 * len(shown), margin={"l": 10, "r": 10, "t": 10, "b": 40}, xaxis_title=report.result.metrics[0],
        legend={"orientation": "h", "y": 1.08}, dragmode=False,
    )  # fmt: skip
    return figure


def _named(figure: Figure) -> str:
    return IN_WORDS.get(figure.name) or REFERENCES.get(figure.name) or figure.name


def _row(each: Figure, chosen: str) -> dict[str, object]:
    return {
        "what compares": _named(each),
        "taught": each.is_student,
        "chosen": each.name == chosen and each.name != PLAIN,
        "metric": each.metric,
        "apart": f"{each.split}s",
        "value": each.value,
        "from": each.low,
        "to": each.high,
        "gain": each.gain,
        "gain from": each.gain_low,
        "gain to": each.gain_high,
        "p (Holm)": each.p_holm,
    }


def show_curve(report: LearnReport) -> None:
    """How good the best student is after less training."""
    curve = [point for point in report.result.curve if point.value is not None]
    if not curve:
        return
    best = report.result.figure(report.result.best)
    split = report.result.splits[0]
    n_all = round(split.n_groups * (split.n_folds - 1) / split.n_folds)
    points = [(point.n_groups, point.value) for point in curve] + [(n_all, best.value)]
    st.markdown(f"**More works, better?** {_named(best)}, after training on a part of them")
    figure = go.Figure(
        go.Scatter(x=[n for n, _ in points], y=[value for _, value in points], mode="lines+markers",
                   line={"color": charts.SERIES[0]}, hovertemplate="%{x} works: %{y:.3f}<extra></extra>")
    )  # fmt: skip
    figure.update_layout(
        height=260, margin={"l": 10, "r": 10, "t": 10, "b": 40}, dragmode=False, xaxis_title="works trained on",
        yaxis_title=report.result.metrics[0],
    )  # fmt: skip
    st.plotly_chart(figure, key="curve", config=charts.camera("svg", "learning-curve"), alt="Learning curve")


def show_hiding(report: LearnReport) -> None:
    """What is found of what is taught, and of the piece, the more it counts that the piece is not told."""
    steps = [step for step in report.result.hiding if step.value is not None and step.piece is not None]
    if not steps:
        return
    first, last = steps[0], max(steps, key=lambda step: step.value or 0.0)
    st.markdown(f"**Does it help not to know the piece?** {IN_WORDS[HIDER]}, asked to tell nothing of it")
    st.text(
        f"Without hiding it, {number(first.piece)} of its recordings are among the nearest ten, and "
        f"{number(first.value)} of what is taught is found; at its best, {number(last.piece)} and {number(last.value)}."
    )
    figure = go.Figure()
    for name, colour, values in (
        ("what is taught", charts.SERIES[0], [step.value for step in steps]),
        ("the piece", charts.SERIES[1], [step.piece for step in steps]),
    ):
        figure.add_trace(
            go.Scatter(
                x=[f"{step.weight:g}" for step in steps], y=values, mode="lines+markers", name=name,
                line={"color": colour}, hovertemplate="%{y:.3f}<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    figure.update_layout(
        height=280, margin={"l": 10, "r": 10, "t": 10, "b": 40}, dragmode=False, xaxis_title="how much hiding counts",
        yaxis_title="found", xaxis_type="category", legend={"orientation": "h", "y": 1.1},
    )  # fmt: skip
    st.plotly_chart(figure, key="hiding", config=charts.camera("svg", "hiding"), alt="Piece and playing found")
