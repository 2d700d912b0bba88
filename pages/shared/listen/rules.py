"""Which recordings may be in the list, and how it is made up."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from mess_core.encoders.vocabulary import WORDS
from mess_core.glossary import define
from mess_core.search.geometry import GEOMETRIES
from mess_core.search.question import COPIES, Question
from mess_core.search.tagged import STRONG_FROM, tag_scope
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources, state
from pages.shared.widgets.between import choose_between

MOST_VALUES = 500  # of columns, offered
CAPS = ("work", "performer", "album")


def choose_rules(scope: Scope) -> Question:
    """What is asked beside the query and what must be alike; all of it in the URL."""
    with st.expander("Only some recordings", icon=":material/filter_alt:"):
        chosen = _choose_filters()
    with st.expander("How the list is made up", icon=":material/tune:"):
        chosen |= _choose_rules(scope)
    return Question(**chosen)


HOW_NEAR = {
    "auto": "by itself",
    "layer": "whole layers",
    "direction": "directions",
    "measured": "measured values",
    "learned": "what was learned",
}
HOW_NEAR_HELP = (
    "*Directions* compare what each aspect's own directions say; *whole layers*, all that the encoder hears; *measured "
    "values*, what was measured in the sound, without an encoder; *what was learned*, by what was taught on the page "
    f"Learn. *By itself*: directions as soon as something must be alike.\n\n{define('direction', 'layer', 'target')}"
)


def _choose_filters() -> dict:
    """Names in the library, and what the columns of the user's own table say; none chosen is all."""
    catalogue, filters = resources.workspace().catalogue, {}
    said = {f"{name}: {value}": (name, value) for name, value in catalogue.detail_values(frame.library())}
    offered = {f"{name}s": (name.capitalize(), values) for name, values in catalogue.names(frame.library()).items()}
    offered["where"] = ("Your own table", list(said)[:MOST_VALUES])
    for key, (label, options) in offered.items():
        if not options and key in ("collections", "splits", "where"):
            _wants_in_vain(key)
            continue  # a plain folder has none
        filters[key] = tuple(state.sticky(st.multiselect, label, options=options, key=key, disabled=not options))
    if "where" in filters:
        filters["where"] = tuple(said[chosen] for chosen in filters["where"])
    if tag_scope(resources.workspace(), frame.library()).n_embedded:
        filters["heard_as"] = tuple(
            state.sticky(
                st.multiselect, "Heard as", options=WORDS, key="heard_as", placeholder="all of these",
                help="What MusiCNN hears in a recording: it is shown if it stands among the tenth of this library that "
                f"is heard most as that, and with a strength of at least {STRONG_FROM:g}.",
            )
        )  # fmt: skip
    else:
        _wants_in_vain("heard_as")
    filters["between"] = choose_between()
    return filters


def _wants_in_vain(key: str) -> None:
    """A filter that a link asks for where there is nothing to be chosen by it."""
    if wanted := state.read(key):
        state.cannot(key, ", ".join(wanted), "which is not here")
        state.keep(key, [])


def _choose_rules(scope: Scope) -> dict:
    """How many, by what, diversity, caps, copies and hubs."""
    rules: dict = {"k": state.sticky(st.number_input, "Neighbours, 1 to 200", 1, 200, key="k")}
    is_discovered = resources.has_discovery(scope)
    possible = [
        name for name, kind in GEOMETRIES.items() if is_discovered or kind.compares_values or not kind.has_directions
    ]
    if resources.metric(scope) or resources.metric(scope.for_aspects):
        possible.append("learned")
    rules["geometry"] = _choice("geometry", "Compared by", ["auto", *possible], HOW_NEAR_HELP, HOW_NEAR)
    rules["diversity"] = state.sticky(
        st.slider, "Diversity", 0.0, 1.0, step=0.1, key="diversity",
        help="Above 0, what resembles a better result ranks lower.",
    )  # fmt: skip
    for name in CAPS:
        key = f"max_per_{name}"
        rules[key] = state.sticky(
            st.number_input, f"At most per {name}, 1 to 200", 1, 200, key=key, placeholder="any number",
            help="An album is the folder a file lies in." if name == "album" else None,
        )  # fmt: skip
    rules["duplicates"] = _choice("duplicates", "Near-duplicates", list(COPIES), "Collapse shows one of them.")
    rules["versions"] = _choice(
        "versions",
        "Other recordings of a work",
        list(COPIES),
        "Collapse shows each work once; exclude leaves out the query's own.",
    )
    state.sticky(
        st.toggle, "Recordings of one work together", key="together",
        help="In the list they stand under the nearest of them, until a click opens them. All keep their rank, and "
        "files hold all of them. Without a name a work is told by its notes.",
    )  # fmt: skip
    rules["hubs"] = _choice(
        "hubs", "Correct for hubs", ["auto", "on", "off"],
        f"{define('hub')} Auto: where it helped. The method is called CSLS.",
    )  # fmt: skip
    return rules


def _choice(key: str, label: str, options: list[str], help_text: str, named: Mapping[str, str] | None = None) -> str:
    names = named or {}
    return str(
        state.sticky(
            st.segmented_control, label, options=options, required=True, key=key, help=help_text,
            format_func=lambda each: names.get(each, str(each)),
        )
    )  # fmt: skip
