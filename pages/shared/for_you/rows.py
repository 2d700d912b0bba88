"""The list on 7_For_You: recommendations as rows that play, each with its reason; a thumb changes the list.

What plays must not vanish, and a list must not shuffle while one listens through it: rows stay where they are until
something is said. Then what was heard or liked still stays; the others are chosen anew, and a disliked one makes room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.numbers import number
from mess_core.recommend.beginning import ENOUGH_LIKED
from mess_core.recommend.for_you import ForYou, Recommended, Stay, begin_with
from mess_core.recommend.simulated import is_simulated
from mess_core.words import listed
from mess_core.workspace.scope import Scope
from pages.shared.app import jobs, resources, state
from pages.shared.widgets.player.player import (
    OF_A_RECOMMENDATION,
    PlayerReport,
    PlayerRow,
    PlayerTrack,
    Shown,
    keep_heard,
    player,
)

N_ROWS = 10
FITS = "Fits your taste better than {} in 100 of the recordings that may come here."
NEAR_TO_IT = "Nearer to it than {} in 100 of the recordings that may come here."
LOOKED = "list that is looked at on For You"
SEEN = "shown before on For You"
BEGUN, STARTERS = "begun on For You", "recordings to begin with on For You"
DISLIKED = "disliked last on For You"
FEWEST_FOR_A_SCALE = 20  # recordings, of which a place among a hundred says something
TO_BEGIN = {"like": "I like this", "dislike": "Not for me"}
FOLLOWED = "a recommendation was followed to Listen"
NOTHING = {
    "weekly": "Nothing had been heard before Monday; the first rotation comes on the next.",
    "new": "Nothing here is new: most of this library came at the same time, or more than a month ago.",
    "rising": "Nothing is rising here: that takes three others who have begun to play the same within two weeks.",
    "rediscover": "Nothing that is liked has lain unheard for two months.",
    "deep-cuts": "Nothing unheard is here by those who are liked, as far as names are known.",
    "same-hands": "Nobody who is liked plays anything else here, as far as names are known.",
}
BEGINNING = "beginning"  # the section that is no section: recordings to say something about


def list_of(scope: Scope, listener: str, section: str) -> str:
    """What tells one list from another while it is looked at."""
    return f"{scope.library} {scope.info.id} {listener} {section} {state.read('surprise')} {state.read('context')}"


@dataclass(frozen=True)
class Looked:
    """The list that is looked at. name : `list_of`; rows : by rank; held : what was heard or liked in it"""

    name: str
    rows: Mapping[int, Stay]
    held: frozenset[str]


def player_of(what: str, listener: str) -> str:
    """The key of a player: one of each listener's own, so that nobody is told to have heard what another one did.

    It becomes part of the page, so it is no name that somebody chose.
    """
    return f"{what} {hashlib.sha256(listener.encode('utf-8', 'replace')).hexdigest()[:16]}"


def staying(scope: Scope, listener: str, section: str) -> Mapping[int, Stay]:
    """What stays at which rank of the list that is looked at."""
    looked = st.session_state.get(LOOKED)
    return looked.rows if looked is not None and looked.name == list_of(scope, listener, section) else {}


def begin_list_anew() -> None:
    """Nothing stays."""
    st.session_state.pop(LOOKED, None)


def show_others(known: ForYou) -> None:
    """Others than those that are shown; once all were, from the beginning."""
    name, seen = st.session_state.get(SEEN, ("", frozenset()))
    looked = st.session_state.get(LOOKED)
    if looked is None:
        return
    shown = frozenset(row.track.track_id for row in known.found)
    st.session_state[SEEN] = (looked.name, (seen if name == looked.name else frozenset()) | shown)
    begin_list_anew()


def seen_before(scope: Scope, listener: str, section: str) -> Collection[str]:
    """What of the list that is looked at was shown before and was asked to make room."""
    name, seen = st.session_state.get(SEEN, ("", frozenset()))
    return seen if name == list_of(scope, listener, section) else frozenset()


def renew() -> None:
    """Something was said: only what was heard or liked stays."""
    looked = st.session_state.get(LOOKED)
    if looked is not None:
        rows = {rank: each for rank, each in looked.rows.items() if each.track_id in looked.held}
        st.session_state[LOOKED] = replace(looked, rows=rows)


def _look(scope: Scope, known: ForYou) -> None:
    """The list as it is shown now."""
    name = list_of(scope, known.listener, known.section.id)
    before = st.session_state.get(LOOKED)
    held = before.held if before is not None and before.name == name else frozenset()
    rows = {row.rank: Stay(row.track.track_id, row.chosen.source, row.chosen.propensity) for row in known.found}
    st.session_state[LOOKED] = Looked(name, rows, held)


def _hold(track_ids: Collection[str]) -> None:
    looked = st.session_state[LOOKED]
    st.session_state[LOOKED] = replace(looked, held=looked.held | set(track_ids))


def show_rows(scope: Scope, known: ForYou) -> None:
    """The rows; what is heard and said of them is kept."""
    if not known.found and seen_before(scope, known.listener, known.section.id):
        st.session_state.pop(SEEN)
        st.info("That was all there is. Once more, and it begins with the best again.", icon=":material/info:")
        st.button("From the beginning", key="from the beginning", icon=":material/refresh:")
        return
    _offer_to_take_back(known)
    if not known.found:
        st.info(NOTHING.get(known.section.id, "Nothing here fits that now."), icon=":material/info:")
        return
    _look(scope, known)
    verdicts = resources.workspace().opinions.verdicts(None, known.listener)
    report = player(
        [_of_row(row, known, verdicts) for row in known.found],
        key=player_of("for you", known.listener),
        has_query=False,
        on_judge=lambda track_id, verdict: _judge(scope, known, track_id, verdict),
        on_follow=_listen_like,
        on_take=lambda track_id, how: _ignore_reason(known, track_id),
    )
    if st.session_state.pop(FOLLOWED, False):
        st.switch_page("pages/4_Listen.py", query_params=state.choices())
    _keep(known, report)


def _of_row(row: Recommended, known: ForYou, verdicts: Mapping[str, str]) -> PlayerTrack:
    has_scale = row.chosen.interest >= 0 and len(known.profile.shelf) >= FEWEST_FOR_A_SCALE
    score = round(100 * row.chosen.place) if has_scale else None
    acts = {} if is_simulated(known.listener) else dict(OF_A_RECOMMENDATION)
    if row.why.track_id is None:
        acts.pop("ignore", None)
    return replace(
        PlayerTrack.in_a_row(row.track),
        row=PlayerRow(
            str(row.rank),
            verdict_words=row.why.text,
            score=score,
            score_words=""
            if score is None
            else (NEAR_TO_IT if known.section.is_around_one else FITS).format(number(100 * row.chosen.place, 0)),
            acts=acts,
            verdict=verdicts.get(row.track.track_id, "none"),
        ),
    )


def _judge(scope: Scope, known: ForYou, track_id: str, verdict: str) -> None:
    """Keep a thumb on a track by itself, with how it came to be shown; what is liked stays in its place."""
    if is_simulated(known.listener):
        return
    shown = _came(known)[track_id]
    context = {
        "library": scope.library, "encoder": scope.info.id, "section": shown.section, "rank": shown.rank,
        "propensity": shown.propensity,
    }  # fmt: skip
    resources.workspace().opinions.judge(track_id, verdict, listener=known.listener, context=context)
    st.session_state[DISLIKED] = (known.listener, track_id) if verdict == "dislike" else None
    looked = st.session_state[LOOKED]
    held = looked.held - {track_id} if verdict == "dislike" else looked.held | {track_id}
    st.session_state[LOOKED] = replace(looked, held=held)
    renew()


def _offer_to_take_back(known: ForYou) -> None:
    """What was disliked just now is gone from the list; here is the way back."""
    listener, track_id = st.session_state.get(DISLIKED) or ("", "")
    tracks = resources.workspace().catalogue.tracks_of([track_id]) if listener == known.listener else {}
    for track in tracks.values():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"Not for you: {track.title}.")
            st.button(
                "Take that back", key="take back the last", icon=":material/undo:", type="tertiary",
                on_click=take_back, args=(track_id, listener),
            )  # fmt: skip


def take_back(track_id: str, listener: str) -> None:
    """A verdict is none any more."""
    resources.workspace().opinions.judge(track_id, "none", listener=listener)
    st.session_state.pop(DISLIKED, None)
    renew()


def _keep(known: ForYou, report: PlayerReport | None) -> None:
    if report is None or is_simulated(known.listener):
        return
    keep_heard(report, player_of("for you", known.listener), shown=_came(known), listener=known.listener)
    _hold([*report.heard, report.track_id])


def _came(known: ForYou) -> dict[str, Shown]:
    """How each track came to be shown."""
    return {row.track.track_id: Shown(known.section.id, row.rank, row.chosen.propensity) for row in known.found}


def _listen_like(track_id: str) -> None:
    state.follow(track_id)
    st.session_state[FOLLOWED] = True


def _ignore_reason(known: ForYou, track_id: str) -> None:
    """The track that a recommendation names is to be no reason for anything any more."""
    reason = next((row.why.track_id for row in known.found if row.track.track_id == track_id), None)
    if reason is not None and not is_simulated(known.listener):
        resources.workspace().opinions.wish("ignore", reason, known.listener)
        renew()


def _heard_as(words: Sequence[str]) -> str:
    return f"heard as {listed(words)}" if words else ""


# --- nothing known yet --------------------------------------------------------------------------------------


def is_beginning(known: ForYou) -> bool:
    """Whether a listener is still at the beginning: the page does not turn over while they say what they like."""
    return st.session_state.get(BEGUN) == (known.library, known.listener)


def _see_what_fits() -> None:
    st.session_state.pop(BEGUN, None)
    begin_list_anew()


def show_beginning(scope: Scope, known: ForYou) -> None:
    """A dozen recordings, as different as the library is: three that one likes are a taste to begin with."""
    st.session_state[BEGUN] = (known.library, known.listener)
    n_liked, listener = known.profile.taste.n_liked, known.listener
    st.markdown(
        "**A taste in two minutes.** Click to hear, and like three of these. Whatever you hear to the end, here or on "
        "Listen, counts as well; and what you heard elsewhere can be brought in below."
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.progress(min(1.0, n_liked / ENOUGH_LIKED), text=f"{n_liked} liked, {ENOUGH_LIKED} are enough")
        st.button(
            "See what fits", key="see what fits", type="primary", disabled=n_liked < ENOUGH_LIKED,
            on_click=_see_what_fits, icon=":material/recommend:",
        )  # fmt: skip
    verdicts = resources.workspace().opinions.verdicts(None, listener)
    tracks, tagged = _starters(scope, verdicts), resources.tagged(scope.library)
    shown = {track.track_id: Shown(BEGINNING, rank) for rank, track in enumerate(tracks, 1)}
    report = player(
        [
            replace(
                PlayerTrack.in_a_row(track),
                row=PlayerRow(
                    str(rank),
                    verdict_words=_heard_as(tagged.words(track.track_id)),
                    acts={} if is_simulated(listener) else TO_BEGIN,
                    verdict=verdicts.get(track.track_id, "none"),
                ),
            )
            for rank, track in enumerate(tracks, 1)
        ],
        key=player_of("beginning", listener),
        has_query=False,
        on_judge=lambda track_id, verdict: resources.workspace().opinions.judge(
            track_id, verdict, listener=listener, context={"section": BEGINNING}
        ),
    )
    if not is_simulated(listener):
        keep_heard(report, player_of("beginning", listener), shown=shown, listener=listener)


def _starters(scope: Scope, verdicts: Mapping[str, str]) -> list[Track]:
    """The same while they are looked at; others once twice as much was heard, unless something was said of these."""
    kept_for, n_heard, ids = st.session_state.get(STARTERS, ("", 0, ()))
    name = f"{scope.library} {scope.info.id}"
    tracks = scope.workspace.catalogue.tracks_of(list(ids))
    is_whole = kept_for == name and len(ids) >= ENOUGH_LIKED and len(tracks) == len(ids)
    is_said = not verdicts.keys().isdisjoint(ids)
    if is_whole and (is_said or scope.n_embedded < 2 * n_heard):
        return [tracks[each] for each in ids]
    found = begin_with(scope)
    if scope.n_embedded >= FEWEST_FOR_A_SCALE or not jobs.is_filling(scope.workspace, scope.library):
        st.session_state[STARTERS] = (name, scope.n_embedded, tuple(track.track_id for track in found))
    return found
