"""What every page has: its title, the sidebar, and one place where an error becomes a sentence.

Names, tags and paths are untrusted: they are shown with `st.text`, `st.dataframe` or our own components, which show
text as text; Markdown in a title could make every visitor's browser call out.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import streamlit as st

from mess_core.catalogue import ALL
from mess_core.errors import MessError
from pages.shared import resources, state

PAGES = {
    "home.py": ("Home", ":material/home:"),
    "pages/1_Library.py": ("Library", ":material/library_music:"),
    "pages/2_Layers.py": ("Layers", ":material/layers:"),
    "pages/3_Map.py": ("Map", ":material/scatter_plot:"),
    "pages/4_Listen.py": ("Listen", ":material/headphones:"),
}
NO_WORKER_AFTER_S = 8.0
# Streamlit writes white on the primary colour in either theme; on the dark theme's that is hard to read.
READABLE_ON_PRIMARY = """<style>
[data-testid^="stBaseButton-primary"]:not(:disabled), [data-testid="stMultiSelect"] [data-tag] {
  color: light-dark(#fff, #12151d);
}
</style>"""


def open_page(title: str) -> None:
    """First call of every page: its title, the links to the others, the choice of library."""
    st.set_page_config(page_title=f"{title} · MESS", page_icon="🎧", layout="wide")
    st.html(READABLE_ON_PRIMARY)
    with st.sidebar:
        st.markdown("### MESS")
        st.caption("Music Embedding Similarity Search")
        links = st.container(gap="xsmall")
        st.divider()
        with explain_errors():
            _choose_library()
        with links:  # drawn last, because they carry the choice
            for path, (label, icon) in PAGES.items():
                link(path, label, icon)
    for root in resources.home().catalogue.missing_roots():
        notice("A music folder is not there", f"{root}", "Mount the disk or move it back: nothing was forgotten.")
    st.title(title, anchor=False)


def link(path: str, label: str, icon: str = ":material/arrow_forward:") -> None:
    """A link to another page that carries the choices made so far."""
    st.page_link(path, label=label, icon=icon, query_params=state.choices())


def _choose_library() -> None:
    """The library all pages look at; in the URL, so that a link carries it."""
    names = [ALL, *(library.name for library in resources.home().catalogue.libraries())]
    state.restore("library", names)  # it may have been removed meanwhile
    # Shown as they are: a link holds what is shown.
    state.keep("library", st.selectbox("Library", names, key="library", bind="query-params"))


@contextlib.contextmanager
def explain_errors() -> Iterator[None]:
    """A MessError becomes its sentence and its cure, and the page stops there; anything else is a bug and is seen."""
    try:
        yield
    except MessError as error:
        notice("That did not work", error.message, error.hint)
        st.stop()


def notice(headline: str, message: str, hint: str = "") -> None:
    """Something the reader should know: our headline, then text that may hold untrusted names."""
    with st.container(border=True):
        st.markdown(f":material/info: **{headline}**")
        if message:
            st.text(message)
        if hint:
            st.text(hint)


def seconds(duration_s: float) -> str:
    """A duration for people: 42 s, 3 min 05 s, 2 h 10 min."""
    total = round(duration_s)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def plain(text: str) -> str:
    """Untrusted text where Streamlit would read Markdown, as it does in the label of a button."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!:$~<>|])", r"\\\1", " ".join(text.split()))


def clock(time_s: float) -> str:
    """A place in a recording: 0:07, 12:30."""
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"


def size(n_bytes: float) -> str:
    """A size for people: 340 kB, 12.5 MB, 1.4 GB."""
    for unit, bound in (("kB", 1e6), ("MB", 1e9)):
        if n_bytes < bound:
            return f"{n_bytes / bound * 1000:.3g} {unit}"
    return f"{n_bytes / 1e9:.3g} GB"


def library() -> str:
    """The chosen library."""
    return str(state.read("library"))
