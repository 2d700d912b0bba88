"""What every page says in the same way: links, notices, errors, numbers with their units.

Names, tags and paths are untrusted: they are shown with `st.text`, `st.dataframe` or our own components, which show
text as text; Markdown in a title could make every visitor's browser call out.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.errors import MessError
from mess_core.numbers import about as about
from mess_core.numbers import clock as clock
from mess_core.numbers import seconds as seconds
from mess_core.numbers import size as size
from mess_core.workspace.scope import Scope, scope_of
from pages.shared.app import resources, state
from pages.shared.app.cures import cure

MOST_OF_A_NAME = 50  # letters of a file's name: at most 200 of the 255 bytes that a disk allows


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


def plain(text: str) -> str:
    """Untrusted text where Streamlit would read Markdown, as it does in the label of a button.

    Addresses become links whether or not their signs are escaped, so a sign that nobody sees is put into them.
    """
    apart = re.sub(r"(?i)https?:(?=//)|www(?=\.)|@", lambda found: f"{found[0]}\u2060", " ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()#+\-.!:$~<>|])", r"\\\1", apart)


def file_name(name: str) -> str:
    """A given name of a file without folders, and not too long for a disk; its ending stays."""
    stem, ending = Path(name).stem, Path(name).suffix.lower()
    return f"{''.join(c for c in stem if c.isprintable())[:MOST_OF_A_NAME] or 'table'}{ending}"


def aspect_title(aspect: str) -> str:
    """An aspect as people say it: rhythmic energy."""
    return aspect.replace("_", " ")


def library() -> str:
    """The chosen library."""
    return str(state.read("library") or ALL)


def scope(encoder_id: str) -> Scope:
    """The chosen library, seen through an encoder."""
    return scope_of(resources.workspace(), library(), encoder_id)
