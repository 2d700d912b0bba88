"""What stands on 6_Learn: what teaches, what came of it, and what search goes by since then."""

from __future__ import annotations

import json

import streamlit as st

from mess_core.handover.judgements import all_judgements
from mess_core.handover.metrics import card
from mess_core.learning.course import Source
from mess_core.learning.kept import LearnReport
from mess_core.learning.students import IN_WORDS, STUDENTS, TRIED_ONLY
from mess_core.search.learned import SOURCES, LearnedMetric, forget_metric, metric_bytes
from mess_core.words import counted
from mess_core.work.courses import questions_of
from mess_core.work.learn import LADDER, LearnRequest, report_on
from mess_core.work.request import latest, submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state

NEEDS: dict[Source, str] = {
    "ratings": "Needs recordings that listeners rated, three performances of a work at least: the collection "
    "PercePiano, or a table of your own with a column for each scale, its spread and its raters.",
    "expression": "Needs the same bars by three performers at least, with their MIDI: ASAP, Vienna 4x22, or excerpts "
    "under a minute.",
    "works": "Needs works that are played by several; each recording says which work it is of.",
    "performers": "Needs performers who play several works; each recording says who plays.",
    "judgements": "Needs thirty answers: from the page Judge, from thumbs on Listen, or from a table.",
}


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
                hearing=scope.info.id, query=state.query() or _something_to_ask(scope),
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


def _something_to_ask(scope: Scope) -> str:
    """A recording that can be the query of who has none: nothing is found by a similarity alone."""
    known = scope.workspace.store.known(scope.info)
    return next((track_id for track_id in scope.workspace.catalogue.track_ids(scope.library) if track_id in known), "")


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
