"""Radio on 7_For_You: one recording after the other without end, by what was heard out and skipped until then."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from mess_core.errors import UnknownTrackError
from mess_core.recommend.for_you import ForYou, Recommended, next_of_radio
from mess_core.recommend.simulated import is_simulated
from mess_core.words import counted
from mess_core.workspace.scope import Scope
from pages.shared.app import resources, state
from pages.shared.for_you.rows import player_of
from pages.shared.widgets.player.player import PlayerReport, PlayerRow, PlayerTrack, Shown, keep_heard, player

RADIO = "radio"
PLAYED, NOW = "played on the radio", "on the radio now"
GOES_ON = "the radio has gone on"
CAME = "how the radio came to play recordings"
ENDED = "report of the radio by which a recording was over"  # it stays until the next comes
AT_THE_END_S = 1.0  # before the end it counts as heard out
ACTS = {"like": "I like this", "dislike": "Not for me"}


def is_on() -> bool:
    """Whether the radio is what the visitor looks at."""
    return str(state.read("section")) == RADIO


def show_radio(scope: Scope, known: ForYou) -> None:
    """What plays now, and what was played before it."""
    listener = known.listener
    now = _now(scope, listener)
    if now is None:
        st.info("There is nothing here that you do not dislike.", icon=":material/info:")
        return
    key = player_of(RADIO, listener)
    if key not in st.session_state:  # who comes to it, or comes back, is not played at: it waits for a click
        st.session_state.pop(GOES_ON, None)
    verdicts = resources.workspace().opinions.verdicts(None, listener)
    n_played, came = len(st.session_state.get(PLAYED, ())), _came(now)
    acts = {} if is_simulated(listener) else ACTS
    row = PlayerRow("1", verdict_words=now.why.text, acts=acts, verdict=verdicts.get(now.track.track_id, "none"))
    report = player(
        [replace(PlayerTrack.in_a_row(now.track), row=row)],
        key=key,
        has_query=False,
        starts=st.session_state.get(GOES_ON),
        on_judge=lambda track_id, verdict: _judge(listener, now, track_id, verdict),
    )
    with st.container(horizontal=True, gap="small"):
        st.button("Skip", key="skip", icon=":material/skip_next:", on_click=_skip, args=(scope, listener, now))
        if n_played:
            st.caption(f"{counted(n_played, 'recording')} so far")
    if report is not None and not is_simulated(listener):
        keep_heard(report, player_of(RADIO, listener), shown=came, listener=listener)
    if report is not None and report != st.session_state.get(ENDED) and _is_over(report, now):
        st.session_state[ENDED] = report
        _go_on(now)
        st.rerun()


def _now(scope: Scope, listener: str) -> Recommended | None:
    """What plays: the same until it is over."""
    asked = (scope.library, scope.info.id, listener)
    kept_for, track_id, now = st.session_state.get(NOW, (None, None, None))
    if kept_for != asked:
        st.session_state[PLAYED], st.session_state[CAME] = [], {}
    elif now is not None and resources.workspace().catalogue.has(track_id):
        return now
    played = st.session_state.get(PLAYED, [])
    found = next_of_radio(
        scope, listener, played, surprise=float(state.read("surprise")), seed=len(played),
        index_of=resources.index, discovery_of=resources.discovery,
    )  # fmt: skip
    st.session_state[NOW] = (asked, None if found is None else found.track.track_id, found)
    return found


def _shown(now: Recommended) -> Shown:
    return Shown(RADIO, 1, now.chosen.propensity)


def _came(now: Recommended) -> dict[str, Shown]:
    """Of what was played before, too: how long a recording was heard is reported after it was skipped."""
    came: dict[str, Shown] = st.session_state.setdefault(CAME, {})
    came[now.track.track_id] = _shown(now)
    return came


def _is_over(report: PlayerReport, now: Recommended) -> bool:
    return report.track_id == now.track.track_id and report.position_s >= now.track.duration_s - AT_THE_END_S


def _go_on(now: Recommended) -> None:
    st.session_state[PLAYED] = [*st.session_state.get(PLAYED, []), now.track.track_id]
    st.session_state[GOES_ON] = f"{len(st.session_state[PLAYED])} after {now.track.track_id}"
    asked, _, _ = st.session_state[NOW]
    st.session_state[NOW] = (asked, None, None)


def _skip(scope: Scope, listener: str, now: Recommended) -> None:
    if not is_simulated(listener):
        try:
            scope.workspace.catalogue.track(now.track.track_id)
            shown = _shown(now)
            scope.workspace.opinions.add_play(
                now.track.track_id, 0.0, is_skip=True, section=shown.section, rank=shown.rank,
                propensity=shown.propensity, listener=listener,
            )  # fmt: skip
        except UnknownTrackError:  # it was removed meanwhile
            pass
    _go_on(now)


def _judge(listener: str, now: Recommended, track_id: str, verdict: str) -> None:
    if is_simulated(listener):
        return
    context = {"section": RADIO, "rank": 1, "propensity": now.chosen.propensity}
    resources.workspace().opinions.judge(track_id, verdict, listener=listener, context=context)
    if verdict == "dislike":
        _go_on(now)
