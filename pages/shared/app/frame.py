"""What every page says in the same way: links, notices, errors, numbers with their units.

Names, tags and paths are untrusted: they are shown with `st.text`, `st.dataframe` or our own components, which show
text as text; Markdown in a title could make every visitor's browser call out.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import MessError
from mess_core.workspace.scope import Scope, scope_of
from pages.shared.app import resources, state
from pages.shared.app.cures import cure


def link(path: str, label: str, icon: str = ":material/arrow_forward:", **others: str) -> None:
    """A link to another page that carries the choices made so far; `others` in place of what was chosen."""
    st.page_link(path, label=label, icon=icon, query_params=state.choices(**others))


class PageIsOver(Exception):
    """Nothing more can be said on this page; what stands around it is drawn all the same (`st.stop` draws nothing)."""


@contextlib.contextmanager
def explain_errors() -> Iterator[None]:
    """A MessError becomes its sentence and its cure, and the page goes on; anything else is a bug and is seen."""
    try:
        yield
    except MessError as error:
        notice("That did not work", error.message, error.hint)


def notice(headline: str, message: str, hint: str = "") -> None:
    """Something the reader should know: our headline, then text that may hold untrusted names."""
    with st.container(border=True):
        st.markdown(f":material/info: **{headline}**")
        if message:
            st.text(message)
        if hint:
            st.text(cure(hint))


def seconds(duration_s: float) -> str:
    """A duration for people: 0.3 s, 42 s, 3 min 05 s, 2 h 10 min."""
    if 0 < duration_s < 1:
        return f"{duration_s:.1f} s"
    total = round(duration_s)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def about(duration_s: float) -> str:
    """A duration that nobody knows to the second: a few seconds, about 40 s, about 3 min, about 2 h 10 min."""
    if duration_s <= 5:
        return "a few seconds"
    if duration_s <= 50:
        return f"about {math.ceil(duration_s / 10) * 10} s"
    minutes = math.ceil(duration_s / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {minutes // 60} h {minutes % 60 // 10 * 10:02d} min"


def plain(text: str) -> str:
    """Untrusted text where Streamlit would read Markdown, as it does in the label of a button.

    Addresses become links whether or not their signs are escaped, so a sign that nobody sees is put into them.
    """
    apart = re.sub(r"(?i)https?:(?=//)|www(?=\.)|@", lambda found: f"{found[0]}\u2060", " ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()#+\-.!:$~<>|])", r"\\\1", apart)


def clock(time_s: float) -> str:
    """A place in a recording: 0:07, 12:30."""
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"


def size(n_bytes: float) -> str:
    """A size for people: 340 kB, 12.5 MB, 1.4 GB."""
    for unit, bound in (("kB", 1e6), ("MB", 1e9)):
        if n_bytes < bound:
            return f"{n_bytes / bound * 1000:.3g} {unit}"
    return f"{n_bytes / 1e9:.3g} GB"


def aspect_title(aspect: str) -> str:
    """An aspect as people say it: rhythmic energy."""
    return aspect.replace("_", " ")


def library() -> str:
    """The chosen library."""
    return str(state.read("library") or ALL)


def scope(encoder_id: str) -> Scope:
    """The chosen library, seen through an encoder."""
    return scope_of(resources.workspace(), library(), encoder_id)
