"""What every page has: its title, the sidebar with what is being worked on, and where an error becomes a sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import MessError, StorageError
from pages.shared.app import frame, jobs, resources, state, status

PAGES = {
    "home.py": ("Home", ":material/home:"),
    "pages/1_Library.py": ("Library", ":material/library_music:"),
    "pages/2_Layers.py": ("Layers", ":material/layers:"),
    "pages/3_Map.py": ("Map", ":material/scatter_plot:"),
    "pages/4_Listen.py": ("Listen", ":material/headphones:"),
    "pages/5_Judge.py": ("Judge", ":material/balance:"),
    "pages/6_Learn.py": ("Learn", ":material/school:"),
    "pages/7_For_You.py": ("For You", ":material/recommend:"),
    "pages/8_Study.py": ("Study", ":material/experiment:"),
}
LOGO = Path(__file__).with_name("logo")  # five bars of a waveform that stand as an M, each in the colour of a dimension
LAST_LIBRARY = "last library"  # the setting that remembers which one was looked at
MOST_ODD = 5  # sentences on what a link asks for and cannot have
# Streamlit writes white on the primary colour in either theme; on the dark theme's that is hard to read.
# What a page has found stands at its top: Streamlit would leave an eighth of the window empty.
STYLE = """<style>
[data-testid^="stBaseButton-primary"]:not(:disabled), [data-testid="stMultiSelect"] [data-tag] {
  color: light-dark(#fff, #12151d);
}
[data-testid="stMainBlockContainer"] { padding-top: 3.75rem; }
@media (min-width: 48rem) { /* beside the button that opens the sidebar */
  [data-testid="stMainBlockContainer"] { padding-top: 1.5rem; }
  [data-testid="stHeader"] { background: none; pointer-events: none; }
  [data-testid="stHeader"] * { pointer-events: none; } /* but for its buttons, what is below it is clicked */
  [data-testid="stHeader"] :is(button, button *) { pointer-events: auto; }
}
[data-testid="stMainBlockContainer"] h1 { padding: 0.25rem 0 0.5rem; font-size: 1.75rem; }
[data-testid="stMainBlockContainer"] h3 { padding: 0.5rem 0 0.25rem; font-size: 1.25rem; }
/* The status stands at the sidebar's bottom, and in sight however far what is above it is scrolled. */
[data-testid="stSidebarUserContent"] { min-height: calc(100dvh - 4.75rem); padding-bottom: 0; }
[data-testid="stSidebarUserContent"], [data-testid="stSidebarUserContent"] > div {
  display: flex; flex-direction: column; flex-grow: 1;
}
[data-testid="stSidebarUserContent"] > div > [data-testid="stVerticalBlock"] > :has(.st-key-status) {
  position: sticky; bottom: 0; z-index: 2; margin-top: auto; background: light-dark(#f0f2f7, #1d2230);
}
.st-key-status { border-top: 1px solid light-dark(#d5d9e3, #343b4d); padding: 0.5rem 0 0.75rem; }
.st-key-status [data-testid="stCaptionContainer"] p { line-height: 1.35; }
/* While the sidebar is closed, a dot on its button says that something is being worked on. */
[data-testid="stExpandSidebarButton"] { position: relative; }
body:has(.st-key-status [role="progressbar"]) [data-testid="stExpandSidebarButton"]::after {
  content: ""; position: absolute; top: 0; right: 0; width: 0.5rem; height: 0.5rem; border-radius: 50%;
  background: light-dark(#3559c7, #7d9bff);
}
.st-key-status [data-testid="stProgressBarTrack"] { height: 0.25rem; }
.st-key-status [data-testid="stPopover"] button { color: inherit; }
</style>"""


@contextlib.contextmanager
def page(title: str) -> Iterator[None]:
    """Hold all of a page: what is inside the `with` is its own.

    Nothing else draws jobs: what is being worked on stands at the bottom of the sidebar, once, whatever panels ask for.
    """
    theme = "dark" if st.context.theme.type == "dark" else "light"
    mark = str(LOGO / f"mark-{theme}.svg")
    st.set_page_config(page_title=f"{title} · MESS", page_icon=mark, layout="wide")
    st.logo(str(LOGO / f"logo-{theme}.svg"), size="large", icon_image=mark)
    st.html(STYLE)
    try:
        resources.workspace().catalogue.libraries()
        missing = resources.workspace().catalogue.missing_roots()
    except MessError as error:  # damaged, or not the catalogue of this folder: nothing else can be shown
        st.title(title, anchor=False)
        frame.notice("The catalogue cannot be used", error.message, error.hint)
        st.stop()
    state.begin()
    with st.sidebar:
        st.caption("Music Embedding Similarity Search")
        links = st.container(gap="xsmall")
        st.divider()
        with frame.explain_errors():
            _choose_library()
        with links:  # drawn last, because they carry the choice
            for path, (label, icon) in PAGES.items():
                frame.link(path, label, icon)
    st.title(title, anchor=False)
    notices = st.container()  # they come and go; what a page holds below stays in its place
    with notices:
        for root in missing:
            if root == resources.workspace().paths.demo:  # which was removed, and another library has some of it
                text = "Some recordings here belong to the demo, which was removed: they cannot be heard."
                frame.notice("The demo is not there", text, "Make it again on Home, and they are the same.")
                continue
            cure = "Mount the disk or move it back: nothing was forgotten."
            frame.notice("A music folder is not there", f"{root}", cure)
    with frame.explain_errors(), contextlib.suppress(frame.PageIsOver):
        jobs.begin()
        status.look(title)
        yield
    if odd := state.odd():  # once everything has been asked for
        with notices, st.container(gap="xxsmall"):
            for sentence in odd[:MOST_ODD]:
                st.caption(f":material/info: {frame.plain(sentence)}")
    state.write()
    with st.sidebar, frame.explain_errors():  # below what the page has put there
        status.show()


def _choose_library() -> None:
    """The library all pages look at: the one chosen, else the one used last on this machine, else the largest."""
    workspace = resources.workspace()
    libraries = workspace.catalogue.libraries()
    if not libraries:  # nothing to choose: `all` is never chosen but by the visitor
        st.selectbox("Library", [ALL], disabled=True)
        return
    names = [ALL, *(library.name for library in libraries)]
    largest = max(libraries, key=lambda library: library.n_tracks).name
    used = workspace.database.setting(LAST_LIBRARY)
    chosen = state.sticky(
        st.selectbox, "Library", options=names, key="library",
        default=used if used in names else largest,  # it may have been removed meanwhile
        is_always_in_link=True,
    )  # fmt: skip
    if chosen != used:
        with contextlib.suppress(StorageError):  # a full disk is said where it matters
            workspace.database.set_setting(LAST_LIBRARY, chosen)
