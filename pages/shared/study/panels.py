"""What 8_Study asks and says: which study, what of it is run, what it found, and how to take it along."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from mess_core.encoders.registry import DEFAULT, encoder_ids
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.storage.jobs import Job
from mess_core.study.data import COLD, HOT, PLANTED
from mess_core.study.examples import planted_name, write_planted_plan
from mess_core.study.findings import findings
from mess_core.study.kept import StudyFacts, load_study, studies
from mess_core.study.models import MODELS, model_problems
from mess_core.study.printed import as_csv, as_document, as_latex, as_markdown
from mess_core.study.table import StudyTable
from mess_core.study.worlds import FEWEST_ITEMS
from mess_core.words import counted
from mess_core.work.request import latest, submit
from mess_core.work.study import StudyRequest, at_work_on, delete_study, study_of_job
from mess_core.workspace.workspace import check_path
from pages.shared.app import frame, jobs, resources, state

TESTS = {HOT: "what somebody had before (hot)", COLD: "what is new (cold)", "test": "what was held back"}
CONTROLS = ("mfcc", "chroma")  # one that knows nothing is enough here: log-mel
UNTRAINED = "random:"
PLAN_PATH = "path of a plan"
PROBLEM = "why a study was not deleted"
FORMS = {"CSV": ("csv", as_csv), "Markdown": ("md", as_markdown), "LaTeX": ("tex", as_latex)}  # suffix, writer


def choose_study() -> StudyFacts | None:
    """Which of those that were run, the latest first; None where none was."""
    paths = resources.workspace().paths
    names = studies(paths)
    if not names:
        st.text("No study was run yet.")
        return None
    name = str(
        state.sticky(
            st.selectbox, "Study", options=names, key="study", default=names[0], width=420,
            is_always_in_link=True,  # tomorrow another is the latest
        )
    )  # fmt: skip
    try:
        study = load_study(paths, name)
    except ArtefactMismatchError as error:
        frame.notice("This study cannot be read", error.message, error.hint)
        _offer_to_delete(name)
        return None
    if study is not None:
        st.caption(
            f"{counted(study.n_users, 'listener')} and {counted(study.n_items, 'item')}; learned from "
            f"{counted(study.n_train, 'interaction')}: a listener took to an item."
        )
        for sentence in study.notices:
            st.caption(f":material/info: {frame.plain(sentence)}")
    return study


def offer_to_run(study: StudyFacts | None) -> None:
    """Begin with planted listeners, go on with what is missing, or run a plan of one's own."""
    workspace, library = resources.workspace(), frame.library()
    shown = "" if study is None else study.plan.name
    own, any_job = at_work_on(workspace, shown), at_work_on(workspace)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _offer_planted(library, is_first=study is None)
        if study is not None:
            _offer_the_rest(study, own)
        own_plan = st.popover("A plan of your own", icon=":material/description:")
    with own_plan, st.form("own plan", border=False):
        st.markdown("A plan is a small TOML file: which interactions, which encoders, which recommenders.")
        text = st.text_input("Where it lies", key=PLAN_PATH, placeholder="/path/to/study.toml")
        is_asked = st.form_submit_button("Run it", type="primary")
    if is_asked:
        _submit(Path(text.strip()))
    if (why := st.session_state.pop(PROBLEM, None)) is not None:
        frame.notice("It was not deleted", *why)
    for problem in model_problems():
        frame.notice("A package cannot be used", problem, "Update it, or uninstall it.")
    last = latest(workspace, StudyRequest)
    if own is not None:
        jobs.wait_for(own, f"“{shown}”: row after row; each is kept as soon as it is run, and stands here then.")
    elif any_job is not None:
        where = "here" if study is None else "under Study above, as soon as there is anything of it"
        jobs.wait_for(any_job, f"“{study_of_job(any_job)}” is run, row after row; what is done of it stands {where}.")
    elif last is not None and last.state == "failed":
        frame.notice("The study could not be run", last.message, last.hint)


def _offer_planted(library: str, *, is_first: bool) -> None:
    """Listeners that are made up, in the library that is looked at."""
    workspace = resources.workspace()
    job = at_work_on(workspace, planted_name(library))
    heard = [each for each in encoder_ids(workspace.paths) if frame.scope(each).n_embedded >= FEWEST_ITEMS]
    heard = [each for each in heard if each not in CONTROLS and not each.startswith(UNTRAINED)]
    is_filling = jobs.is_filling(workspace, library)
    if is_filling and job is None:
        why = "Wait until the library is embedded: whoever has not heard it by then would be missing."
    elif not heard:
        why = f"Needs {FEWEST_ITEMS} recordings that are embedded."
    else:
        why = (
            f"Made-up listeners of “{library}” of whom it is known what they go by: two sounds they like, and a list "
            f"they share with a dozen others. Tried by {', '.join(heard)}; two minutes on the demo."
        )
    is_asked = jobs.work_button(
        "Try it with planted listeners",
        job,
        type="primary" if is_first else "secondary",
        disabled=is_filling or not heard,
        key="planted",
        help=why,
    )
    if is_first and (is_filling or not heard):
        st.caption(why, width="content")
    if is_asked:
        with frame.explain_errors():
            by = DEFAULT if DEFAULT in heard else heard[0]
            first = [by, *(each for each in heard if each != by)]
            _submit(write_planted_plan(workspace.paths, library, first, by))


def _offer_the_rest(study: StudyFacts, own: Job | None) -> None:
    """What of it is missing; and a way to be rid of it."""
    file, n_missing = _file_of(study), resources.n_missing(study)
    go_on = f"Run what is missing: {counted(n_missing, 'row')}"
    if file is not None and n_missing and jobs.work_button(go_on, own, key="go on"):
        _submit(file)
    if own is None:
        _offer_to_delete(study.plan.name)


def _offer_to_delete(name: str) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.text("Its figures and lists are deleted; a plan of your own stays where it lies.")
        st.button("Delete this study", key="delete study", on_click=_delete, args=(name,))


def _delete(name: str) -> None:
    try:
        delete_study(resources.workspace(), name)
    except InputError as error:  # it was begun meanwhile, in another tab or on the command line
        st.session_state[PROBLEM] = (error.message, error.hint)
        return
    state.keep("study", "")  # the link names one that is gone
    st.session_state.pop("study", None)


def _submit(file: Path) -> None:
    with frame.explain_errors():
        check_path(file)
        submit(resources.workspace(), StudyRequest(file.resolve()))
        for key in ("study", "tested", "list_of"):  # the latest is shown: this one, as soon as there is anything of it
            state.keep(key, "")
            st.session_state.pop(key, None)
        st.rerun()


def _file_of(study: StudyFacts) -> Path | None:
    """Where its plan lies, if it is still there."""
    path = Path(study.plan.folder) / f"{study.plan.name}.toml"
    return path if study.plan.folder and path.is_file() else None


def choose_table(study: StudyFacts) -> StudyTable:
    """Which test, and at how many."""
    tests, sizes = list(study.tests), list(study.plan.k)
    test, k = tests[0], sizes[0]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if len(tests) > 1:
            test = str(
                state.sticky(
                    st.segmented_control, "Tested on", options=tests, key="tested", default=tests[0], required=True,
                    format_func=lambda each: TESTS.get(each, each),
                )
            )  # fmt: skip
        if len(sizes) > 1:
            chosen = state.sticky(
                st.segmented_control, "In a list of", options=[str(each) for each in sizes], key="list_of",
                default=str(sizes[0]), required=True,
            )  # fmt: skip
            k = int(chosen)
    facts = study.tests[test]
    st.caption(
        f"{facts.how[:1].upper()}{facts.how[1:]}. Tested: {counted(facts.n_users, 'listener')}; ranked are all of "
        f"{counted(facts.n_ranked, 'item')} that a listener does not have."
    )
    return resources.study_table(study, test, k)


def say(table: StudyTable) -> None:
    """What it found."""
    st.subheader("What it found", anchor=False)
    for sentence in findings(table):
        st.text(sentence)
    if table.study.plan.data.format == PLANTED:
        by = table.study.plan.data.options.get("encoder", DEFAULT)
        st.caption(
            f":material/info: These listeners are made up, and like what {frame.plain(str(by))} hears as alike: "
            "where it comes out first, that tries the study and not the encoder."
        )
    if table.n_missing:
        st.caption(f":material/warning: {counted(table.n_missing, 'row')} of the plan not run yet.")


def show_exports(table: StudyTable) -> None:
    """For a paper, a spreadsheet, or another program."""
    name, paths = f"{table.study.plan.name}-{table.test}-{table.k}", resources.workspace().paths
    with st.container(horizontal=True):
        for label, (suffix, write) in FORMS.items():
            st.download_button(
                label, lambda write=write: write(table), f"{name}.{suffix}", on_click="ignore", key=f"study as {suffix}"
            )  # fmt: skip
        st.download_button(
            "JSON", lambda: json.dumps(as_document(paths, table), indent=1, allow_nan=False), f"{name}.json",
            "application/json", on_click="ignore", key="study as json",
        )  # fmt: skip


def explain(table: StudyTable | None = None) -> None:
    """What is tried, and what makes it fair."""
    with st.expander("How it is tried, and what makes it fair", icon=":material/help:"):
        st.markdown(
            "What a listener took to later is held back; each recommender ranks **all** items that the listener does "
            "not have, and it is counted how far up the right ones stand (nDCG: 1 is the best order there can be). "
            "A listener counts once. Intervals are 95 % over listeners.\n\n"
            "What an encoder hears is **frozen**: it is not changed while a recommender learns. The same recommender "
            "is run again with the recordings **exchanged** for one another. What it still reaches then, it does not "
            "owe to the sound. A row without that control is not counted. *Hot* are items that somebody had before, "
            "*cold* those that nobody had: other listeners say nothing of these, so only sound can.\n\n"
            f"{_in_words(table)}\n\n"
            "Interactions come from a file of your own, from published data, from the listeners of this machine, or "
            "are planted. `docs/study.md` says what a plan holds; `python -m mess_core study run FILE.toml` runs it."
        )


def _in_words(table: StudyTable | None) -> str:
    """What each recommender of a study goes by."""
    models = dict.fromkeys(MODELS if table is None else (model.name for model in table.study.plan.models))
    return "\n".join(f"- *{name}*: {MODELS[name].summary}" for name in models)
