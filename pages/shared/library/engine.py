"""Which engine is asked for the nearest recordings of a library, what that costs, and what came of trying it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mess_core.search.answers import make_plan
from mess_core.search.engines.chosen import ENGINES, FAISS, engine_of, keep_engine
from mess_core.search.engines.lance import LanceEngine
from mess_core.search.engines.postgres import PostgresEngine
from mess_core.search.engines.reachable import reachable
from mess_core.search.engines.trial import Trial, try_engine
from mess_core.search.question import Question
from mess_core.workspace.scope import Scope, scope_to_listen
from pages.shared.app import frame, resources

FILLED = "the rows are put there once, and again whenever the library changes; a question takes several times as long"
COSTS = {
    FAISS: "In the memory of this server: nothing else is needed.",
    LanceEngine.name: f"In files of the cache: {FILLED}.",
    PostgresEngine.name: f"In a PostgreSQL server: {FILLED}.",
}
TRIED = "what came of trying an engine"  # library and Trial


def choose_engine() -> None:
    """Shown where there is a choice, or was one: answers are the same whoever is asked."""
    workspace, library = resources.workspace(), frame.library()
    offered, kept = reachable(workspace.paths), engine_of(workspace, library)
    if [*offered, kept] == [FAISS, FAISS]:
        return
    scope = scope_to_listen(workspace, library)
    if not scope.n_embedded:
        return
    of, trial = st.session_state.get(TRIED, (None, None))
    with st.expander(f"Nearest by {ENGINES[kept].title}", icon=":material/database:"):
        _offer(scope, list(dict.fromkeys([*offered, kept])), kept)
    if (of, trial and trial.engine) == (library, kept):
        st.caption(frame.plain(trial.words))


def _offer(scope: Scope, names: Sequence[str], kept: str) -> None:
    st.write("Who is asked which recordings are the nearest. The answers are the same.")
    name = st.radio(
        "Engine", names, index=names.index(kept), key=f"engine of {scope.library}", label_visibility="collapsed",
        format_func=lambda each: ENGINES[each].title, captions=[COSTS[each] for each in names],
    )  # fmt: skip
    if st.button("Ask it about twenty recordings" if name == kept else "Choose it, once it has answered"):
        with frame.explain_errors(), st.spinner("Asking…"):
            st.session_state[TRIED] = scope.library, _choose(scope, name)
            st.rerun()  # what stands below says what was found


def _choose(scope: Scope, name: str) -> Trial:
    """Keep an engine for a library once it has answered; FAISS at once, as a way back from what does not answer."""
    if name == FAISS:
        keep_engine(scope.workspace, scope.library, FAISS)
    trial = try_engine(make_plan(scope, Question(), resources.discovery(scope)), name)
    keep_engine(scope.workspace, scope.library, name)
    return trial
