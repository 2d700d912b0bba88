"""Only recordings with a measured value within two limits: which values, and a slider for each, beside the filters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from mess_core.errors import InputError
from mess_core.search.between import Extent, commonly_known, extent_of
from mess_core.search.question import PITCH_CLASSES, Between, parse_between
from mess_core.targets.base import CIRCLE
from mess_core.targets.registry import TARGETS
from pages.shared.app import frame, resources, state

STEPS = 100  # of a slider, about
CHOSEN = "measured values to go by"


def choose_between() -> tuple[Between, ...]:
    """Ask; in the link as `between`, one for each value."""
    workspace, library = resources.workspace(), frame.library()
    extents = {one.target: (one, extent_of(workspace, library, one.target)) for one in read_between()}
    offered = list(dict.fromkeys([*commonly_known(workspace, library), *extents]))
    if not offered:
        return ()
    st.session_state[CHOSEN] = list(extents)  # what the link or the last click says
    st.multiselect(
        "Measured", options=offered, key=CHOSEN, format_func=lambda target: TARGETS[target].title,
        placeholder="tempo, loudness, key …", on_change=_take,
        help="Only recordings of which that was measured, between the limits that then can be set.",
    )  # fmt: skip
    for one, extent in extents.values():
        if extent is not None:
            _ask_limits(extent, one)
    return tuple(one for one, _ in extents.values() if one.is_limited)


def limits() -> tuple[Between, ...]:
    """Of what is asked for, what leaves anything out."""
    return tuple(one for one in read_between() if one.is_limited)


def read_between() -> tuple[Between, ...]:
    """What the link or the last click says, also without limits yet; nonsense is left out and said."""
    found: dict[str, Between] = {}
    for text in state.read("between"):
        try:
            (one,) = parse_between([text])
        except InputError as error:
            state.cannot("between", text, f"which cannot be meant ({error.message.rstrip('.')})")
            continue
        found[one.target] = one
    return tuple(found.values())


def clear() -> None:
    """All recordings, whatever was measured."""
    _keep([])


def _keep(wanted: Sequence[Between]) -> None:
    state.keep("between", [str(each) for each in wanted])


def _take() -> None:
    """Other values were chosen: those that stay keep their limits."""
    before = {each.target: each for each in read_between()}
    _keep([before.get(target, Between(target)) for target in st.session_state[CHOSEN]])


def _ask_limits(extent: Extent, wanted: Between) -> None:
    target = TARGETS[extent.target]
    key = f"limits of {extent.target}"
    if target.transform == CIRCLE:
        names = list(PITCH_CLASSES)
        st.session_state[key] = names[round(wanted.low) % len(names)] if math.isfinite(wanted.low) else None
        st.selectbox(
            target.title, names, key=key, placeholder="any", help=target.summary, on_change=_limit_place, args=(extent,)
        )
        return
    step = 10.0 ** math.floor(math.log10((extent.high - extent.low) / STEPS)) if extent.high > extent.low else 1.0
    low, high = math.floor(extent.low / step) * step, math.ceil(extent.high / step) * step
    low, high = (low, high) if high > low else (low, low + step)
    st.session_state[key] = (min(max(wanted.low, low), high), max(min(wanted.high, high), low))
    digits = max(0, -round(math.log10(step)))
    st.slider(
        f"{target.title} [{target.unit}]", low, high, step=step, key=key, format=f"%.{digits}f",
        help=f"{target.summary} Known of {extent.n_known:,} here.", on_change=_limit, args=(extent.target, low, high),
    )  # fmt: skip


def _limit(target: str, least: float, most: float) -> None:
    """A slider was moved; at an end of it there is no limit."""
    low, high = st.session_state[f"limits of {target}"]
    _replace(Between(target, -math.inf if low <= least else low, math.inf if high >= most else high))


def _limit_place(extent: Extent) -> None:
    name = st.session_state[f"limits of {extent.target}"]
    place = None if name is None else float(PITCH_CLASSES.index(name))
    _replace(Between(extent.target) if place is None else Between(extent.target, place, place))


def _replace(one: Between) -> None:
    _keep([one if each.target == one.target else each for each in read_between()])
