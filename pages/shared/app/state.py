"""Every choice: its default, what it may be, where it is kept. Personal things live here, never in a module.

All choices are in the URL, on every page: a link, a reload, and the browser's Back and Forward bring all of them back,
and what is missing there has its default. The URL is read when a page is opened and when the visitor goes through the
history, and written at the end of every run; in between, the session holds what was chosen last, so that a slow run
takes nothing back. (Streamlit's own `bind="query-params"` forgets the choices of other pages.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mess_core.errors import InputError
from mess_core.probing.aspects import ASPECTS
from mess_core.search.matching import parse_passage

KEYS: dict[str, Any] = {
    "library": "",  # the sidebar; none is the one used last
    "hearing": "",  # Listen: a hearing, or an encoder
    "encoder": "",  # Layers, Map; and Listen where no hearing was chosen
    "extractor": "",  # Library
    "k": 10,  # Listen, as are all below but group and level
    "geometry": "auto",
    "not": [],  # aspects to leave out
    "unproven": False,  # whether aspects without evidence are offered
    "diversity": 0.0,
    "max_per_work": None,
    "max_per_performer": None,
    "max_per_album": None,
    "duplicates": "keep",
    "versions": "keep",
    "hubs": "auto",
    "composers": [],
    "performers": [],
    "instruments": [],
    "collections": [],
    "splits": [],
    "where": [],  # columns of the user's own table: "era: late"
    "heard_as": [],  # words of the vocabulary
    "between": [],  # measured values within limits: "tempo=90:110"
    "words": "",
    **dict.fromkeys(ASPECTS, 0.0),  # weights
    "group": "work",  # Layers
    "level": "track",  # Layers
    "run": "",  # Layers: what sets a run of one's own apart from the usual one, in words
    "target": "",  # Layers: the cell that is looked at, with its layer
    "at": "",
    "layer": "",  # Map
    "colour": "",  # Map
    "point": "",  # Map: the track that was clicked
    "map_neighbours": 15,
    "map_distance": 0.1,
    "map_metric": "cosine",
    "map_centred": True,
    "map_hover": True,
    "query": "",  # track id
    "passage": "",  # of the query, "from:to" in seconds
    "like": [],  # track ids beside the query
    "unlike": [],
    "order": "nearest",  # "furthest", "along"
    "along": "",  # the aspect of that order
    "together": True,  # recordings of one work under the nearest of them
    "falling": False,  # whether the most of it comes first
    "to": "",  # the track that a path from the query leads to
    "via": [],  # by way of these
    "steps": 8,  # recordings of a path
    "listener": "me",  # Judge, For You
    "asks": "alike",  # Judge: one of `judging.QUESTIONS`
    "questions": 60,  # Judge: how many
    "sitting": "",  # Judge: the one that goes on
    "source": "ratings",  # Learn: what teaches
    "student": "ladder",  # Learn
    "section": "quick-picks",  # For You: one of `sections.SECTIONS`, or radio
    "surprise": 0.5,
    "context": "",
    "study": "",  # Study
    "tested": "",
    "list_of": "",
}
NAMED = ("like", "unlike", "via")  # what else a question names
BOUNDS: dict[str, tuple[float, float]] = {
    "k": (1, 200),
    "diversity": (0.0, 1.0),
    "max_per_work": (1, 200),
    "max_per_performer": (1, 200),
    "max_per_album": (1, 200),
    **dict.fromkeys(ASPECTS, (0.0, 1.0)),
    "steps": (2, 50),
    "questions": (10, 300),
    "surprise": (0.0, 1.0),
    "map_neighbours": (5, 50),
    "map_distance": (0.0, 0.9),
}
PAGE = "page of the last run"
UNWRITTEN = "asked by a run that has not ended"  # as its link would have said it
TRAIL, MAX_TRAIL = "trail", 8
FOUND = "found on Listen"
USUAL = "what widgets show while nobody has chosen"  # where the link then says nothing
LINK, ODD, SETTLED = "keys of the link", "odd in the link", "asked since the link was opened"
LONGEST_ASKED = 40  # letters of what a link asks for, where it is said
LEFT_OUT = "it is left out"


def begin() -> None:
    """Before a page draws anything: take over what the URL says, where it is the URL that says it."""
    context = get_script_run_ctx()
    is_history = context is not None and context.is_history_navigation
    page = "" if context is None else context.page_script_hash
    is_first, is_another = PAGE not in st.session_state, st.session_state.get(PAGE) != page
    if not (is_another or is_history):
        if (unwritten := st.session_state.get(UNWRITTEN)) is not None:  # one click has overtaken another:
            _write(unwritten)  # each is a step of its own for Back
        usual = st.session_state.get(USUAL, {})
        for key in KEYS:  # what was just chosen is not asked for yet, and the links in the sidebar are drawn first
            if key in st.session_state:
                shown = st.session_state[key]
                keep(key, KEYS[key] if shown == usual.get(key) else shown)
        now, settled = choices(), st.session_state.get(SETTLED)
        st.session_state[UNWRITTEN] = now
        if settled is not None and now != settled:  # the visitor has gone on from what the link asked
            st.session_state[LINK], st.session_state[ODD] = [], {}
        return
    st.session_state[UNWRITTEN] = None
    is_asked_by_url = is_first or is_history or bool(st.query_params)  # a link to another page says all it carries
    st.session_state[PAGE] = page
    st.session_state[LINK] = list(st.query_params) if is_asked_by_url else []
    st.session_state[ODD], st.session_state[SETTLED] = {}, None
    for key in st.query_params:
        if key not in KEYS:
            cannot(key, st.query_params[key], "which means nothing here")
    before = query()
    for key in KEYS:
        if is_asked_by_url:
            st.session_state[_kept(key)] = _parse(key, st.query_params.get_all(key))
        if key in st.session_state:  # of the widget as it was: `sticky` gives it the value that was kept
            del st.session_state[key]
    if (now := query()) != before:
        st.session_state[TRAIL] = trail()[: trail().index(now)] if now in trail() else []


def write() -> None:
    """After a page is drawn: the URL that asks the same. Another one than before makes an entry in the history."""
    st.session_state[UNWRITTEN] = None
    if st.session_state.get(LINK):
        st.session_state[SETTLED] = choices()
    _write(choices())


def _write(asked: Mapping[str, str | list[str]]) -> None:
    wanted = {key: value if isinstance(value, list) else [value] for key, value in asked.items()}
    if wanted != {key: st.query_params.get_all(key) for key in st.query_params}:
        st.query_params.from_dict(wanted)


def _parse(key: str, texts: list[str]) -> Any:
    """A choice as the URL spells it; the default where that is missing, or nonsense, which is said."""
    default = KEYS[key]
    if not texts:
        return default
    if key == "not":
        for unknown in [each for each in texts if each not in ASPECTS]:
            cannot(key, unknown, "which is no aspect")
        return [each for each in texts if each in ASPECTS]
    if isinstance(default, list):
        return texts
    asked, taken = texts[-1], LEFT_OUT if default is None else f"{_spell(default)} is taken instead"
    if isinstance(default, bool):
        if asked.lower() not in ("true", "false"):
            cannot(key, asked, "but only true or false is possible", taken)
            return default
        return asked.lower() == "true"
    if key not in BOUNDS:
        return asked
    low, high = BOUNDS[key]
    try:
        value = float(asked) if isinstance(default, float) else int(asked)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and low <= value <= high:
        return value
    what = "" if isinstance(default, float) else "a whole number "
    cannot(key, asked, f"but only {what}from {low:g} to {high:g} is possible", taken)
    return default


def cannot(key: str, asked: str, why: str, instead: str = LEFT_OUT) -> bool:
    """Say of what the link asks for that it cannot be, and what is done instead; once for each key.

    Nothing is said, and that is returned, where no link asks for it: what was chosen on a page was offered there.

    Read as: "The link asks for `key`=`asked`, `why`: `instead`."
    """
    if key not in st.session_state.get(LINK, []):
        return False
    short = " ".join(asked.split())
    short = short if len(short) <= LONGEST_ASKED else f"{short[: LONGEST_ASKED - 1]}…"
    odd = st.session_state[ODD]
    odd.setdefault(key, f"The link asks for {key}={short}, {why}: {instead}.")
    return True


def odd() -> list[str]:
    """What the link of this page asks for and cannot have, in sentences, until the visitor goes on from it."""
    return list(st.session_state.get(ODD, {}).values())


def _spell(value: Any) -> str | list[str]:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return [str(each) for each in value] if isinstance(value, list | tuple) else str(value)


def choices(**others: str) -> dict[str, str | list[str]]:
    """What a link to another page carries: every choice that is not the default; `others` in place of what is."""
    made = {key: st.session_state.get(_kept(key), default) for key, default in KEYS.items()} | others
    return {key: _spell(value) for key, value in made.items() if value != KEYS[key] and value not in (None, "", [], ())}


def link_of(asked: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """What a link carries that asks this and nothing else, whatever was chosen before."""
    return {key: _spell(value) for key, value in asked.items() if value != KEYS[key]}


def ask(asked: Mapping[str, Any]) -> None:
    """Before the page runs, as in a callback: make these choices, and no others, as a link does that says them all."""
    for key, default in KEYS.items():
        keep(key, asked.get(key, default))
        if key in st.session_state:  # of the widget as it was: `sticky` gives it the value that was kept
            del st.session_state[key]
    st.session_state[TRAIL] = []


def read(key: str) -> Any:
    """The value of a key, or its default."""
    return st.session_state.get(key, st.session_state.get(_kept(key), KEYS[key]))


def sticky(
    widget: Callable[..., Any],
    label: str,
    *arguments: Any,
    key: str,
    options: Sequence[Any] | None = None,
    default: Any = None,
    is_always_in_link: bool = False,
    **settings: Any,
) -> Any:
    """Ask with a widget whose value outlives the page: every choice worth sharing is asked by this.

    Streamlit knows a widget's value by its key and forgets it with the first run that does not draw the widget: on
    another page, or behind a panel that has nothing to show. It forgets everything at a reload, and with it every
    link. So what is chosen is held beside the widget, under a key that no widget has; `write` puts it into the URL at
    the end of the run, and `begin` takes it from there when a page is opened or the visitor goes through the history.
    Here the widget is given that value before it is drawn, and its answer is held after.

    A widget that has its value is left alone: the visitor may have moved it on meanwhile. What is not offered (any
    more), in a link somebody kept or in another library, becomes the default.

    Parameters
    ----------
    widget : callable
        Streamlit's own, such as `st.slider` or `column.selectbox`.
    label, *arguments, **settings
        What it is called with, except `value`, `index` and `default` as Streamlit means them: these come from here.
    key : str
        One of `KEYS`, which has its default.
    options : sequence, optional
        What it offers. Of a list of choices those that are offered stay.
    default : optional
        Shown while nobody has chosen, where that is not the same everywhere: a link that says nothing means it, so
        it is not in the link.
    is_always_in_link : bool
        Whether the link names it all the same, because elsewhere or tomorrow the default would be another.

    Returns
    -------
    What the widget returns.
    """
    value = wanted = read(key)
    if isinstance(value, list | tuple) and options is not None:
        value = [each for each in value if each in options]
    elif options is not None and value not in options:
        value = KEYS[key] if default is None else default
    if key not in st.session_state or value != wanted:
        st.session_state[key] = value
    if wanted != KEYS[key] and value != wanted:
        _say_what_is_not_offered(key, wanted, value, settings.get("format_func", str))
    given = {} if options is None else {"options": options}
    chosen = widget(label, *arguments, key=key, **given, **settings)
    if options is not None:
        many = isinstance(value, list | tuple)
        chosen = [each for each in chosen if each in options] if many else offered(chosen, options, value)
    if default is not None and not is_always_in_link:
        st.session_state[USUAL] = {**st.session_state.get(USUAL, {}), key: default}
    is_default = default is not None and chosen == default and not is_always_in_link
    keep(key, KEYS[key] if is_default else chosen)
    return chosen


def _say_what_is_not_offered(key: str, wanted: Any, value: Any, name: Callable[[Any], str]) -> None:
    if isinstance(wanted, list | tuple):
        cannot(key, ", ".join(str(each) for each in wanted if each not in value), "which is not here")
    else:
        shown = LEFT_OUT if value in (None, "") else f"“{name(value)}” is shown instead"
        cannot(key, str(wanted), "which is not here", shown)


def offered(chosen: Any, options: Collection[Any], otherwise: Any) -> Any:
    """What a widget returned, if it is one of its options.

    While one click overtakes another the browser may name what was offered in the run before; Streamlit then returns
    the words that stood there.
    """
    return chosen if chosen in options else otherwise


def choose(key: str, value: Any) -> None:
    """Before the page runs, as in a callback: choose in the visitor's place; its widget shows it."""
    st.session_state[key] = value
    keep(key, value)


def keep(key: str, value: Any) -> None:
    """Hold a choice for the other pages and the URL; by itself where no widget shows it."""
    st.session_state[_kept(key)] = value


def _kept(key: str) -> str:
    return f"kept {key}"


def query() -> str | None:
    """The track asked about."""
    return read("query") or None


def set_query(track_id: str | None) -> None:
    """Ask about another track, all of it and it alone; it came from nowhere."""
    keep("query", track_id or "")
    set_passage(None)
    for key in ("to", *NAMED):  # what else was named goes with its query
        keep(key, KEYS[key])
    st.session_state[TRAIL] = []


def named(key: str) -> list[str]:
    """The tracks that a question names beside its query: `key` is one of `NAMED`."""
    return list(read(key))


def name(key: str, track_id: str) -> None:
    """Name a track beside the query; once, and as one thing."""
    for each in NAMED:
        keep(each, [other for other in named(each) if other != track_id])
    keep(key, [*named(key), track_id])


def name_no_more(key: str, track_id: str) -> None:
    """Take a track away that was named beside the query."""
    keep(key, [other for other in named(key) if other != track_id])


def follow(track_id: str) -> None:
    """Ask about a neighbour; the query it was found for stays on the trail."""
    before, led_here = query(), trail()
    set_query(track_id)
    if before is not None and before != track_id:
        led_here = [*led_here, before]
    if track_id in led_here:  # back where one came from
        led_here = led_here[: led_here.index(track_id)]
    st.session_state[TRAIL] = led_here[-MAX_TRAIL:]


def go_back(step: int) -> None:
    """Return to a query of the trail."""
    left = trail()
    set_query(left[step])
    st.session_state[TRAIL] = left[:step]


def keep_found(track_ids: Sequence[str], where: str = "found on Listen") -> None:
    """What Listen has found last, for the map of the same library; of this visit, not of the link.

    `where` says of the recordings how they came to be marked, where it was not Listen.
    """
    st.session_state[FOUND] = (read("library"), list(track_ids), where)


def found() -> list[str]:
    """What Listen has found last in the chosen library."""
    library, track_ids, _ = st.session_state.get(FOUND, ("", [], ""))
    return list(track_ids) if library == read("library") else []


def found_where() -> str:
    """How what is found came to be found, in words that follow "5 recordings"."""
    return str(st.session_state.get(FOUND, ("", [], ""))[2])


def trail() -> list[str]:
    """The queries that led to this one, the first of them first."""
    return list(st.session_state.get(TRAIL, []))


def passage() -> tuple[float, float] | None:
    """The part of the query that is asked about, in seconds; None for all of it."""
    text = read("passage")
    try:
        return parse_passage(text) if text else None
    except InputError:
        return None  # a link that somebody made up


def set_passage(part: tuple[float, float] | None) -> None:
    keep("passage", "" if part is None else f"{part[0]:g}:{part[1]:g}")
