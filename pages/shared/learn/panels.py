"""What stands on 6_Learn: what teaches, what came of it, and what search goes by since then."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import streamlit as st

from mess_core.handover.judgements import all_judgements
from mess_core.handover.metrics import card
from mess_core.learning.kept import LearnReport
from mess_core.learning.students import IN_WORDS, PLAIN, STUDENTS, TRIED_ONLY
from mess_core.learning.trial import DURATION, HIDER, MEASURED, TRIPLETS, Figure, Source
from mess_core.numbers import number
from mess_core.search.learned import SOURCES, LearnedMetric, forget_metric, metric_bytes
from mess_core.words import counted
from mess_core.work.learn import LADDER, LearnRequest, questions_of, report_on
from mess_core.work.request import latest, submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.widgets import charts

NEEDS: dict[Source, str] = {
    "ratings": "Needs recordings that listeners rated, three performances of a work at least: the collection "
    "PercePiano, or a table of your own with a column for each scale, its spread and its raters.",
    "expression": "Needs the same bars by three performers at least, with their MIDI: ASAP, Vienna 4x22, or excerpts "
    "under a minute.",
    "works": "Needs works that are played by several; each recording says which work it is of.",
    "performers": "Needs performers who play several works; each recording says who plays.",
    "judgements": "Needs thirty answers: from the page Judge, from thumbs on Listen, or from a table.",
}
METRICS = {
    TRIPLETS: "Of triplets, how many it tells: which of two is more like a third. A guess tells half.",
    "nDCG@10": "How good its ten nearest are, the first counting most: 1 is the best order there can be.",
    "recall@10": "How many of the right ones are among its ten nearest.",
    "recall@100": "How many of the right ones are among its hundred nearest.",
    "piece found": "How many recordings of the same piece are among its ten nearest.",
    "MRR@10": "One over the place of the first right one; 0 where none is among ten.",
}
REFERENCES = {MEASURED: "measured values", DURATION: "length alone", "log-mel": "a plain spectrum (log-mel)"}


def show_active(scope: Scope) -> None:
    """What search can go by here, with its figure; and a click that takes it away."""
    active = resources.metric(scope)
    if active is None:
        return
    with st.container(border=True):
        st.markdown(f":material/verified: **Active here: a similarity learned from {SOURCES[active.source]}**")
        st.text(active.figure)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            frame.link(
                "pages/4_Listen.py", "Find by it", ":material/headphones:", geometry="learned",
                hearing=scope.info.id,
            )  # fmt: skip
            st.download_button(
                "Numbers (safetensors)", lambda: metric_bytes(active), f"{_file_name(active)}.safetensors",
                "application/octet-stream", on_click="ignore", key="numbers of metric",
            )  # fmt: skip
            st.download_button(
                "Card", lambda: card(active, scope.info.licence), f"{_file_name(active)}.md", "text/markdown",
                on_click="ignore", key="card of metric",
            )  # fmt: skip
            st.button("Take it away", key="forget metric", icon=":material/delete:", on_click=forget_metric,
                      args=(scope,), help="Search then goes by what the encoder hears, as before.")  # fmt: skip


def _file_name(metric: LearnedMetric) -> str:
    return f"learned-from-{metric.source}"


def choose(scope: Scope) -> Source:
    """What teaches."""
    source: Source = state.sticky(
        st.selectbox, "Learn from", options=list(SOURCES), key="source", width=420,
        format_func=lambda each: f"{each}: {SOURCES[each]}",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(NEEDS[source], width="content")
        if not scope.n_embedded:
            st.caption("No recording is embedded here yet.", width="content")
        if source == "judgements":
            n = len(all_judgements(scope.workspace))
            st.caption(
                f"So far there {'is' if n == 1 else 'are'} {counted(n, 'answer') if n else 'none'}.", width="content"
            )
            frame.link("pages/5_Judge.py", "Give answers", ":material/balance:")
    return source


def offer_to_learn(scope: Scope, source: Source) -> None:
    """The button, how it is done, and how far it is."""
    job = under_way(scope.workspace, LearnRequest, library=scope.library, encoder_id=scope.info.id, source=source)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        is_asked = jobs.work_button("Learn", job, type="primary", disabled=not scope.n_embedded, key="learn")
        with st.popover("How"):
            names = {LADDER: "each in turn, until one is not surely better"}
            student = state.sticky(
                st.selectbox, "Who learns", options=[LADDER, *STUDENTS], key="student",
                format_func=lambda each: names.get(each) or f"{each}: {IN_WORDS[each]}",
            )  # fmt: skip
            n_seeds = st.number_input("Times, each with another chance, 1 to 50", 1, 50, LearnRequest.n_seeds)
            has_curve = st.toggle("Also after less training", help="How good the best is with a part of the works.")
            hides_works = st.toggle(
                "Recordings must not be told apart by their work",
                help="What is learned is to depend on the piece as little as can be (HSIC). The piece is then found "
                "less often, and what it costs is seen in the figures.",
            )
            question = ""
            if source == "judgements" and len(asked := questions_of(scope.workspace)) > 1:
                question = st.selectbox("Answers to", ["", *asked], format_func=lambda each: each or "all questions")
        activates = st.toggle(
            "Search by it, if it helps", value=True, key="activates", disabled=student in TRIED_ONLY,
            help="Nothing is activated unless it is surely better than search without learning; or it is the one "
            "that was chosen under “How”.",
        ) and student not in TRIED_ONLY  # fmt: skip
    if is_asked:
        request = LearnRequest(
            scope.library, scope.info.id, source, student, int(n_seeds), activates, has_curve,
            hides_works=hides_works, question=question,
        )  # fmt: skip
        with frame.explain_errors():
            submit(scope.workspace, request)
            st.rerun()
    if job is not None:
        jobs.wait_for(
            job, "Several ways to learn, called students, are taught by some works and tested on others, several times."
        )


def find(scope: Scope, source: Source) -> LearnReport | None:
    """What came of it, the last time; or why nothing did."""
    report = report_on(scope, source)
    last = latest(scope.workspace, LearnRequest, library=scope.library, encoder_id=scope.info.id, source=source)
    if last is not None and last.state == "failed":
        frame.notice("Nothing could be learned", last.message, last.hint)
        return report
    if report is None and not (last is not None and last.state in ("queued", "running")):
        st.text("Nothing was learned from this yet.")
    return report


def show_verdict(report: LearnReport) -> None:
    """In a sentence, whether it helps."""
    st.subheader("Does it help?", anchor=False)
    st.text(report.verdict)
    for notice in (*report.notices, *report.result.notices):
        st.caption(f":material/warning: {frame.plain(notice)}")


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
        st.dataframe(
            [_row(each, result.chosen) for each in result.figures], hide_index=True, width="stretch", key="figures",
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


def show_exports(scope: Scope, report: LearnReport) -> None:
    """The report as a file; it holds the hashes of every split."""
    st.download_button(
        "Report (JSON)", lambda: json.dumps(report.as_document(), indent=1, allow_nan=False),
        f"learned-from-{report.source}.json", "application/json", on_click="ignore", key="report",
    )  # fmt: skip


def explain() -> None:
    """What is learned, and what the figures mean."""
    with st.expander("What is learned, and how it is tested", icon=":material/help:"):
        st.markdown(
            "An encoder finds what sounds alike or has the same notes. What *you* mean by alike may be something else: "
            "the way something is played, say. Here a similarity is bent towards what ratings, performances or "
            "answers say, on top of what the encoder has heard; the encoder itself stays as it is.\n\n"
            "There are several ways to learn, called students. They come in order of what they may bend, from a "
            "weight for each layer to a small network; then one that hears those segments of a recording that "
            "matter, and one that also goes by what the catalogue says. These two are tried, not searched by. Each "
            "must be surely better than the best before it, on works it has not heard; else the one before it "
            "stays. Nothing is chosen because its number is larger. Beside them stand what needs no learning: "
            "search as it is, a plain spectrum, measured values, the length alone.\n\n"
            "How splits, intervals and tests are made, and what came of it on the collection PercePiano, is said in "
            "`docs/learn.md`; the same is done by `python -m mess_core learn`."
        )
