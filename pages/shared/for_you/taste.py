"""A taste on 7_For_You: its interests in words, with their tracks, and what the listener may change of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from mess_core.catalogue.opinions import ME
from mess_core.numbers import percent
from mess_core.recommend.for_you import ForYou
from mess_core.recommend.interests import NamedInterest
from mess_core.recommend.simulated import is_simulated
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope
from pages.shared.app import resources, state
from pages.shared.app.frame import plain
from pages.shared.for_you.rows import renew, take_back

SMALL = 0.05  # of all liking: smaller interests are shown on demand
MOST_TITLES, MOST_ASKED = 3, 50
SAID = {"less": "Less music like {}", "ignore": "{} is no reason for anything", "dislike": "Not for you: {}"}
TO_MAP = "an interest was marked for the map"


def say(scope: Scope, known: ForYou) -> None:
    """What somebody likes, or as long as nothing was liked, hears, in a sentence; names in it are untrusted."""
    large = [each for each in known.interests if each.share >= SMALL] or list(known.interests[:1])
    named = listed([f"{each.name} ({percent(100 * each.share)})" if len(large) > 1 else each.name for each in large])
    if is_simulated(known.listener):
        st.text(f"What {known.listener} likes most, from {counted(known.profile.n_events, 'event')}: {named}.")
        return
    events = scope.workspace.opinions.events(known.listener)
    n_plays, n_likes = events.count("play") + events.count("skip"), events.count("like")
    heard = [counted(n_plays, "play")] if n_plays else []
    if n_likes:
        rests_on = listed([counted(n_likes, "like"), *heard])
        st.text(f"What {_who(known.listener, 'like')} most, from {rests_on}: {named}.")
    else:
        rests_on = listed([*heard, "no recording liked for itself yet"], joint="with")
        st.text(f"What {_who(known.listener, 'hear')} most, from {rests_on}: {named}.")


def _who(listener: str, does: str) -> str:
    return f"you {does}" if listener == ME else f"{listener} {does}s"


def show(scope: Scope, known: ForYou) -> None:
    """The interests one by one, what is liked in each, and what is wanted less of."""
    wishes: dict[str, Sequence[str]] = {}
    if not is_simulated(known.listener):
        wishes |= resources.workspace().opinions.wishes(known.listener)
    how_many = counted(len(known.interests), "interest")
    with st.expander(f"The taste that this goes by ({how_many})", icon=":material/interests:"):
        for number, interest in enumerate(known.interests):
            if interest.share >= SMALL or st.session_state.get("all interests"):
                _show_interest(scope, known, interest, number, interest.medoid.track_id in wishes.get("less", ()))
        n_small = sum(each.share < SMALL for each in known.interests)
        if n_small:
            st.toggle(f"Also the {counted(n_small, 'small one')}", key="all interests")
        _show_wishes(scope, known, wishes)


def _show_interest(scope: Scope, known: ForYou, interest: NamedInterest, number: int, is_less: bool) -> None:
    tracks = scope.workspace.catalogue.tracks_of(list(interest.track_ids[:MOST_TITLES]))
    titles = [tracks[each].title for each in interest.track_ids[:MOST_TITLES] if each in tracks]
    n_more = len(interest.track_ids) - len(titles)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None):
            st.progress(min(1.0, interest.share), text=_plain_line(interest))
            st.caption(_listed_titles(titles, n_more))
        st.button(
            "On the map", key=f"map {number}", icon=":material/scatter_plot:", type="tertiary",
            on_click=_mark, args=(interest,), help="Marks these recordings there.",
        )  # fmt: skip
        if not is_simulated(known.listener) and not is_less:
            st.button(
                "Less of this", key=f"less {number}", icon=":material/trending_down:", type="tertiary",
                on_click=_wish_less, args=(interest.medoid.track_id, known.listener),
                help="Turns recommendations away from music like it; nothing is hidden.",
            )  # fmt: skip
    if st.session_state.pop(TO_MAP, False):
        st.switch_page("pages/3_Map.py", query_params=state.choices())


def _plain_line(interest: NamedInterest) -> str:
    heard = max(interest.hears, key=lambda name: interest.hears[name], default="")
    is_clear = heard and interest.hears[heard] >= 0.75
    return plain(f"{interest.name}, {percent(100 * interest.share)}{f': {heard}' if is_clear else ''}")


def _listed_titles(titles: list[str], n_more: int) -> str:
    more = f" and {n_more} more" if n_more > 0 else ""
    return plain(", ".join(titles)) + more


def _mark(interest: NamedInterest) -> None:
    state.keep_found(interest.track_ids, "of one interest on For You")
    st.session_state[TO_MAP] = True


def _wish_less(track_id: str, listener: str) -> None:
    resources.workspace().opinions.wish("less", track_id, listener)
    renew()


def _unwish(kind: str, track_id: str, listener: str) -> None:
    if kind == "dislike":
        take_back(track_id, listener)
        return
    resources.workspace().opinions.unwish("less" if kind == "less" else "ignore", track_id, listener)
    renew()


def _show_wishes(scope: Scope, known: ForYou, wishes: Mapping[str, Sequence[str]]) -> None:
    """What was asked for and what is disliked, and the way back."""
    if is_simulated(known.listener):
        return
    verdicts = resources.workspace().opinions.verdicts(None, known.listener)
    asked = [(kind, track_id) for kind in ("less", "ignore") for track_id in wishes.get(kind, ())]
    asked += [("dislike", track_id) for track_id, verdict in verdicts.items() if verdict == "dislike"]
    if not asked:
        return
    tracks = scope.workspace.catalogue.tracks_of([track_id for _, track_id in asked[:MOST_ASKED]])
    st.markdown("**What you asked for**")
    for kind, track_id in asked[:MOST_ASKED]:
        title = tracks[track_id].title if track_id in tracks else track_id
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(SAID[kind].format(title))
            st.button(
                "Take back", key=f"take back {kind} {track_id}", type="tertiary", icon=":material/undo:",
                on_click=_unwish, args=(kind, track_id, known.listener),
            )  # fmt: skip
    if len(asked) > MOST_ASKED:
        st.caption(f"{len(asked) - MOST_ASKED:,} more are not listed here.")
