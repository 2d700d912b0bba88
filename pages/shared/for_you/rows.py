"""The list on 7_For_You: recommendations as rows that play, each with its reason; thumbs change the list at once.

A row that was heard or liked stays where it is while its list is looked at: what plays must not vanish. The others
are chosen anew after every thumb; a disliked one makes room for the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.numbers import number
from mess_core.recommend.beginning import ENOUGH_LIKED
from mess_core.recommend.for_you import ForYou, Recommended, begin_with
from mess_core.recommend.simulated import is_simulated
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope
from pages.shared.app import resources, state
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
STAYING, CAME = "rows that stay", "how rows came to be shown"
TO_BEGIN = {"like": "I like this", "dislike": "Not for me"}
FOLLOWED = "a recommendation was followed to Listen"
NOTHING = {
    "new": "Nothing has come into this library within 30 days, after most of it was there.",
    "rediscover": "Nothing that you like has lain for two months.",
    "deep-cuts": "You have heard all that is here by those whom you like.",
    "same-hands": "Nobody whom you like plays anything else here that is named.",
}
BEGINNING = "beginning"  # the section that is no section: recordings to say something about


def list_of(scope: Scope, listener: str, section: str) -> str:
    """What tells one list from another while it is looked at."""
    return f"{scope.library} {scope.info.id} {listener} {section} {state.read('surprise')} {state.read('part_of_day')}"


def player_of(what: str, listener: str) -> str:
    """The key of a player: one of each listener's own, so that nobody is told to have heard what another one did."""
    return f"{what} {listener}"


def staying(scope: Scope, listener: str, section: str) -> Mapping[int, str]:
    """Which tracks stay at which rank of the list that is looked at."""
    name, ranks = st.session_state.get(STAYING, ("", {}))
    return ranks if name == list_of(scope, listener, section) else {}


def begin_list_anew() -> None:
    """Nothing stays."""
    st.session_state.pop(STAYING, None)


def show_rows(scope: Scope, known: ForYou) -> None:
    """The rows; what is heard and said of them is kept."""
    if not known.found:
        st.info(NOTHING.get(known.section.id, "Nothing here fits that now."), icon=":material/info:")
        return
    came = _came(scope, known)
    verdicts = resources.workspace().opinions.verdicts(None, known.listener)
    report = player(
        [_of_row(row, known, verdicts) for row in known.found],
        key=player_of("for you", known.listener),
        has_query=False,
        on_judge=lambda track_id, verdict: _judge(scope, known, came, track_id, verdict),
        on_follow=_listen_like,
        on_take=lambda track_id, how: _ignore_reason(known, track_id),
    )
    if st.session_state.pop(FOLLOWED, False):
        st.switch_page("pages/4_Listen.py")
    _keep(scope, known, report, came)


def named(track: Track) -> PlayerTrack:
    """What is played; who plays it on what stands apart, where the title does not say it."""
    facts = [fact for fact in (track.performer, track.instrument) if fact]
    parts = [part for part in track.title.split(" · ") if part not in facts]
    return replace(PlayerTrack.of(track), label=" · ".join(parts) or track.title, performer=" · ".join(facts))


def _of_row(row: Recommended, known: ForYou, verdicts: Mapping[str, str]) -> PlayerTrack:
    score = None if row.chosen.interest < 0 else round(100 * row.chosen.place)
    acts = {} if is_simulated(known.listener) else dict(OF_A_RECOMMENDATION)
    if row.why.track_id is None:
        acts.pop("ignore", None)
    return replace(
        named(row.track),
        row=PlayerRow(
            str(row.rank),
            verdict_words=row.why.text,
            score=score,
            score_words="" if score is None else FITS.format(number(100 * row.chosen.place, 1)),
            acts=acts,
            verdict=verdicts.get(row.track.track_id, "none"),
        ),
    )


def _came(scope: Scope, known: ForYou) -> dict[str, Shown]:
    """How each track came to be shown, first; what stays keeps that."""
    name = list_of(scope, known.listener, known.section.id)
    kept_for, came = st.session_state.get(CAME, ("", {}))
    came = dict(came) if kept_for == name else {}
    for row in known.found:
        if row.chosen.source != "stays" or row.track.track_id not in came:
            came[row.track.track_id] = Shown(known.section.id, row.rank, row.chosen.propensity)
    st.session_state[CAME] = (name, came)
    return came


def _judge(scope: Scope, known: ForYou, came: Mapping[str, Shown], track_id: str, verdict: str) -> None:
    """Keep a thumb on a track by itself, with how it came to be shown; what is liked stays in its place."""
    if is_simulated(known.listener):
        return
    shown = came[track_id]
    context = {
        "library": scope.library, "encoder": scope.info.id, "section": shown.section, "rank": shown.rank,
        "propensity": shown.propensity,
    }  # fmt: skip
    resources.workspace().opinions.judge(track_id, verdict, listener=known.listener, context=context)
    if verdict == "dislike":
        _stay(scope, known, without=[track_id])
    else:
        _stay(scope, known, also=[track_id])


def _stay(scope: Scope, known: ForYou, also: Sequence[str] = (), without: Sequence[str] = ()) -> None:
    ranks = {row.track.track_id: row.rank for row in known.found}  # as they stand now: a list that grows short moves up
    stay = {*staying(scope, known.listener, known.section.id).values(), *also}.difference(without)
    st.session_state[STAYING] = (
        list_of(scope, known.listener, known.section.id),
        {ranks[each]: each for each in stay if each in ranks},
    )


def _keep(scope: Scope, known: ForYou, report: PlayerReport | None, came: Mapping[str, Shown]) -> None:
    if report is None or is_simulated(known.listener):
        return
    keep_heard(report, player_of("for you", known.listener), shown=came, listener=known.listener)
    _stay(scope, known, also=[*report.heard, report.track_id])


def _listen_like(track_id: str) -> None:
    state.follow(track_id)
    st.session_state[FOLLOWED] = True


def _ignore_reason(known: ForYou, track_id: str) -> None:
    """The track that a recommendation names is to be no reason for anything any more."""
    reason = next((row.why.track_id for row in known.found if row.track.track_id == track_id), None)
    if reason is not None and not is_simulated(known.listener):
        resources.workspace().opinions.wish("ignore", reason, known.listener)


def _heard_as(words: Sequence[str]) -> str:
    return f"heard as {listed(words)}" if words else ""


# --- nothing known yet --------------------------------------------------------------------------------------


def show_beginning(scope: Scope, known: ForYou) -> None:
    """A dozen recordings, as different as the library is: three that one likes are a taste to begin with."""
    n_left = ENOUGH_LIKED - known.profile.taste.n_liked
    st.markdown(
        f"**Two minutes to a taste.** Click to hear, and say of {'three' if n_left == ENOUGH_LIKED else n_left} "
        f"{'' if n_left == ENOUGH_LIKED else 'more '}whether you like {'it' if n_left == 1 else 'them'}. Whatever you "
        "hear to the end, here or on Listen, counts as well; and what you heard elsewhere can be brought in below."
    )
    verdicts = resources.workspace().opinions.verdicts(None, known.listener)
    tracks = begin_with(scope)
    tagged = resources.tagged(scope.library)
    shown = {track.track_id: Shown(BEGINNING, rank) for rank, track in enumerate(tracks, 1)}
    report = player(
        [
            replace(
                named(track),
                row=PlayerRow(
                    str(rank),
                    verdict_words=_heard_as(tagged.words(track.track_id)),
                    acts={} if is_simulated(known.listener) else TO_BEGIN,
                    verdict=verdicts.get(track.track_id, "none"),
                ),
            )
            for rank, track in enumerate(tracks, 1)
        ],
        key=player_of(BEGINNING, known.listener),
        has_query=False,
        on_judge=lambda track_id, verdict: _judge_to_begin(known.listener, shown[track_id], track_id, verdict),
    )
    if not is_simulated(known.listener):
        keep_heard(report, player_of(BEGINNING, known.listener), shown=shown, listener=known.listener)
    if known.profile.taste.n_liked:
        st.caption(
            f"{counted(known.profile.taste.n_liked, 'recording')} liked so far, of {ENOUGH_LIKED} to begin with."
        )


def _judge_to_begin(listener: str, shown: Shown, track_id: str, verdict: str) -> None:
    if not is_simulated(listener):
        context = {"section": shown.section, "rank": shown.rank}
        resources.workspace().opinions.judge(track_id, verdict, listener=listener, context=context)
