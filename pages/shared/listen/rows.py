"""The list on 4_Listen: query and neighbours as rows that play, each with why it is here and how near it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.numbers import number, percent
from mess_core.search.answers import Answer, FoundTrack
from mess_core.search.either import in_which
from mess_core.search.neighbours import N_NEIGHBOURS, Neighbour
from mess_core.search.paths import Step, TrackPath
from mess_core.search.seeds import NEAR_FROM, how_alike
from mess_core.search.transposed import in_key
from mess_core.search.works import gather, notes_of, others_in_words
from mess_core.words import counted
from pages.shared.app import frame, jobs, resources, state
from pages.shared.listen.named import SIGNS
from pages.shared.widgets.accents import GREY, accent_of_aspect
from pages.shared.widgets.player.player import (
    OF_AN_ANSWER,
    PlayerReport,
    PlayerRow,
    PlayerTrack,
    RowScore,
    keep_heard,
    player,
)

MOST_SEEDS = 4  # recordings of a question that have a number of their own in a row
MOST_SCORES = 3  # aspects that have a number of their own in a row; all have it under the numbers
NEARNESS = (
    f"Nearer than {{}} in 100 of the pairs that recordings of this library form with their {N_NEIGHBOURS} nearest."
)
CLOSER = "Closer than {} in 100 of all pairs of passages here."
FURTHER = "Further than {} in 100 of all pairs here."
ALONG = "{} in 100 of the recordings here have less of it."
BESIDE = "{}: nearer than {} in 100 of the pairs that recordings here form with their nearest."
STEP = "Nearer to the one before than {} in 100 of the pairs that recordings here form with their nearest."
STEP_CLOSER = "Closer to the one before than {} in 100 of all pairs here."
MOST_PERCENT = 99  # than all of a library that it belongs to nothing is nearer
MANY = 100  # recordings that are many also while a library grows
OPENED = "opened rows"  # under which others are shown, of this visitor
TAKEN_ANEW = "a row was taken"  # so that the list is another one
FITS = "The mean of how well it fits each word, in 100."


@st.fragment
def show_rows(found: Answer, lines: Mapping[str, str]) -> None:
    """Query and neighbours on one clock. Drawing on the waveform asks for a passage, a thumb is kept."""
    query_id = None if found.query is None else found.query.track_id
    query = None if query_id is None else resources.workspace().catalogue.track(query_id)
    report = player(
        _tracks(found, query, lines),
        key="player",
        region=found.passage,
        has_query=query is not None,
        is_strange=bool(found.is_strange) and not found.plan.question.reverse,  # of the furthest nobody expects it
        on_judge=lambda track_id, verdict: _judge(found, track_id, verdict),
        on_follow=state.follow,
        on_take=_take,
        on_open=_open,
        on_clear=_clear_passage,
    )
    if any(item.moment for item in found.found):
        st.toggle(
            "Compared where they resemble each other most", key="aligned", value=True,
            help="With Compare, by shift-click or by key one hears a row where its best moment sounds with the "
            "query's; else where both are as far from their beginning.",
        )  # fmt: skip
    if state.query() != query_id or st.session_state.pop(TAKEN_ANEW, False):
        st.rerun()  # the listener went on from a row
    if report is not None:
        keep_heard(report, "player", query_id)
        _use_passage(report, query_id)


@st.fragment
def show_steps(path: TrackPath, lines: Sequence[str]) -> None:
    """A path as rows of the same player, each with how near it is to the one before, and a line that says in what."""
    query_id, last = path.steps[0].track.track_id, len(path.steps)
    verdicts = resources.workspace().opinions.verdicts(query_id)
    report = player(
        [
            replace(
                PlayerTrack.in_a_row(step.track), row=_step(step, last, line, verdicts.get(step.track.track_id, "none"))
            )
            for step, line in zip(path.steps, lines, strict=True)
        ],
        key="player",
        on_follow=state.follow,
        on_take=_take,
    )
    if state.query() != query_id or st.session_state.pop(TAKEN_ANEW, False):
        st.rerun()
    if report is not None:
        keep_heard(report, "player", query_id)
        _use_passage(report, query_id)


def _step(step: Step, last: int, line: str, verdict: str) -> PlayerRow:
    what = "the beginning" if step.number == 1 else "the end" if step.number == last else "by way of this one"
    near, meaning = step.nearness, STEP
    if near is None and step.percentile is not None:
        near, meaning = step.percentile, STEP_CLOSER
    return PlayerRow(
        number=str(step.number),
        verdict_words="; ".join(filter(None, (what if step.is_stop else "", line))),
        score=None if near is None else round(near),
        score_words="" if near is None else meaning.format(number(near, 1)),
        acts=OF_AN_ANSWER if step.number > 1 else {},
        verdict=verdict,
    )


def _tracks(found: Answer, query: Track | None, lines: Mapping[str, str]) -> list[PlayerTrack]:
    is_aligned, has_scale = st.session_state.get("aligned", True), not is_early(found)
    verdicts = resources.workspace().opinions.verdicts(query.track_id if query else None)
    tracks = [] if query is None else [replace(PlayerTrack.in_a_row(query), row=PlayerRow("A", "the query", acts={}))]
    for item, more, holds, alike in _listed(found):
        row = _row(found, item, lines, verdicts.get(item.track.track_id, "none"), has_scale=has_scale)
        if alike is not None:
            said = f"the same notes as above ({number(alike)})" if alike else ""
            row = replace(row, is_under=True, verdict_words="; ".join(filter(None, (said, row.verdict_words))))
        track = replace(PlayerTrack.in_a_row(item.track), row=replace(row, more=more, holds=holds))
        if item.moment:
            offset_s = item.moment.track_s - item.moment.query_s if is_aligned else 0.0
            length_s = min(item.moment.length_s, item.track.duration_s - item.moment.track_s)
            track = replace(track, offset_s=offset_s, moment=(item.moment.track_s, length_s))
        tracks.append(track)
    return tracks


def _listed(found: Answer) -> Iterator[tuple[FoundTrack, str, tuple[str, ...], float | None]]:
    """The rows that are shown, what the button below each says, the numbers of those that it shows, and, of those that
    stand under another, how alike their notes are: 0 where the name of the work says it. None of the others.

    An order along an aspect has nothing to be gathered under.
    """
    if not state.read("together") or found.dial is not None:
        yield from ((item, "", (), None) for item in found.found)
        return
    opened = st.session_state.get(OPENED, frozenset())
    key = tuple((item.track.track_id, item.track.composer, item.track.work) for item in found.found)
    by_id = {item.track.track_id: item for item in found.found}  # kept are ids: a rank is of this answer
    for first, others, alike in _gathered(key, list(found.found)):
        is_open = first in opened and bool(others)
        yield (
            by_id[first],
            f"hide {counted(len(others), 'other')}" if is_open else others_in_words(len(others), bool(alike)),
            () if is_open else tuple(str(by_id[other].neighbour.rank) for other in others),
            None,
        )
        for other in others if is_open else ():
            yield by_id[other], "", (), alike.get(other, 0.0)


# Without names it listens, and the list is drawn again with every report of the player.
@st.cache_resource(max_entries=256, show_spinner=False)
def _gathered(key: tuple, _found: list[FoundTrack]) -> list[tuple[str, tuple[str, ...], dict[str, float]]]:
    """Of each group the first, the others, and how alike the notes of those without a name are; by track id."""
    return [
        (
            group.first.track.track_id,
            tuple(other.track.track_id for other in group.others),
            dict(group.alike or {}),
        )
        for group in gather(_found, notes_of)
    ]


def _open(track_id: str) -> None:
    """Show what stands under a row, or hide it."""
    st.session_state[OPENED] = st.session_state.get(OPENED, frozenset()) ^ {track_id}


def _row(
    found: Answer, item: FoundTrack, lines: Mapping[str, str], verdict: str, *, has_scale: bool = True
) -> PlayerRow:
    """`has_scale` : whether it is known how near neighbours are in this library"""
    neighbour = item.neighbour
    is_near = neighbour.nearness is None or neighbour.nearness >= NEAR_FROM
    near_in = in_which(neighbour.hearings) if neighbour.hearings and is_near else ""
    key = "" if neighbour.semitones is None or not is_near else in_key(neighbour.semitones)
    beside = how_alike(neighbour.standings) if neighbour.standings else ""
    words = "; ".join(filter(None, (beside, near_in, key, lines[item.track.track_id])))
    score, unit, meaning = None, "of 100", ""
    if neighbour.words is not None:
        score, meaning = 100 * neighbour.similarity, FITS
    elif found.dial is not None and neighbour.percentile is not None:
        score, unit, meaning = neighbour.percentile, "% have less", ALONG
    elif found.plan.question.reverse and neighbour.percentile is not None:
        score, unit, meaning = 100.0 - neighbour.percentile, "% are nearer", FURTHER
    elif neighbour.nearness is not None and has_scale:
        score, meaning = neighbour.nearness, NEARNESS
    elif found.passage is not None and neighbour.percentile is not None:
        score, unit, meaning = neighbour.percentile, "% are further", CLOSER
    asked = [(name, each.percentile) for name, each in (neighbour.aspects or {}).items()]
    return PlayerRow(
        number=str(neighbour.rank),
        verdict_words=words,
        score=None if score is None else _whole(score, unit),
        unit=unit,
        score_words=meaning.format("" if score is None else number(score, 1)),
        scores=_beside(neighbour)
        or tuple(
            RowScore(
                frame.aspect_title(name),
                percent(near),
                accent_of_aspect(name).css,
                f"closer than {percent(near)} of all pairs here, in {frame.aspect_title(name)} alone",
            )
            for name, near in asked
            if near is not None and 1 < len(asked) <= MOST_SCORES
        ),
        verdict=verdict,
    )


def _whole(score: float, unit: str) -> int:
    """No recording of a library is nearer than all of it: a share is at most 99 %."""
    return min(round(score), MOST_PERCENT) if unit.startswith("%") else round(score)


def is_early(found: Answer) -> bool:
    """Whether less than half of the library can be compared, or little of what is still coming: how near neighbours are
    in it is not known then.
    """
    scope = found.plan.scope
    n_embedded = scope.n_embedded
    if 2 * n_embedded < scope.workspace.catalogue.n_tracks(scope.library):
        return True
    return n_embedded < MANY and jobs.is_filling(scope.workspace, scope.library)


def _beside(neighbour: Neighbour) -> tuple[RowScore, ...]:
    """How near it is to each recording that the question names, by the number on its chip."""
    standings, counts, scores = neighbour.standings or (), Counter[str](), []
    for each in standings if len(standings) <= MOST_SEEDS else ():
        key = "like" if each.is_wanted else "unlike"
        counts[key] += each.track_id is not None
        name = "query" if each.track_id is None else f"{SIGNS[key]}{counts[key]}"
        if each.nearness is not None:
            colour = "" if each.is_wanted else GREY.css  # of none, the page's own
            scores.append(
                RowScore(f"{name}:", number(each.nearness, 0), colour, BESIDE.format(name, number(each.nearness, 0)))
            )
    return tuple(scores)


def _take(track_id: str, how: str) -> None:
    """A row becomes part of the question."""
    if how == "to":
        state.keep("via", [])
        state.keep("to", track_id)
    else:
        state.keep("to", "")
        state.name(how, track_id)
    st.session_state[TAKEN_ANEW] = True


def _use_passage(report: PlayerReport, query_id: str | None) -> None:
    """A passage drawn on the waveform: of the query it narrows the question, of a neighbour it becomes the query."""
    if report.passage == st.session_state.get("drawn"):
        return
    st.session_state["drawn"] = report.passage
    if report.passage is None:
        state.set_passage(None)
    else:
        track_id, start_s, end_s = report.passage
        if track_id != query_id:
            state.follow(track_id)
        state.set_passage((round(start_s, 1), round(end_s, 1)))
    st.rerun()


def _clear_passage() -> None:
    """Escape, of a passage that came by a link."""
    state.set_passage(None)
    st.session_state[TAKEN_ANEW] = True


def _judge(found: Answer, track_id: str, verdict: str) -> None:
    """Keep a thumb, with everything that led to it."""
    plan = found.plan
    rank = next(item.neighbour.rank for item in found.found if item.track.track_id == track_id)
    context = {
        "library": plan.scope.library, "encoder": plan.scope.info.id, "fingerprint": plan.scope.info.fingerprint,
        "geometry": plan.geometry, "request": asdict(plan.question), "rank": rank,
    }  # fmt: skip
    query_id = None if found.query is None else found.query.track_id
    resources.workspace().opinions.judge(track_id, verdict, query_track_id=query_id, context=context)
