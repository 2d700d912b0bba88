"""The answer on 4_Listen: what it rests on, its numbers, the exports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import streamlit as st

from mess_core.catalogue.catalogue import ALL, FILTERS, Track
from mess_core.glossary import define
from mess_core.handover.exports import as_csv, as_json, as_m3u8
from mess_core.numbers import percent, settled
from mess_core.search import answers, explaining
from mess_core.search.answers import Answer, FoundTrack, make_plan, query_of
from mess_core.search.either import in_which
from mess_core.search.explaining import names_in_common
from mess_core.search.geometry import of_segments
from mess_core.search.measured import measured_aspects, measured_library
from mess_core.search.question import Question
from mess_core.search.reasons import Reason, in_one_line
from mess_core.search.seeds import how_alike
from mess_core.search.tagged import TaggedLibrary, tags_in_common
from mess_core.search.transposed import in_key
from mess_core.search.words import in_shares, parse_words
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources, state
from pages.shared.app.frame import aspect_title
from pages.shared.app.table import show_table
from pages.shared.listen.aspects import measured_faithfulness
from pages.shared.listen.rows import is_early
from pages.shared.listen.rules import CAPS, HOW_NEAR
from pages.shared.widgets import between

INDEXES = {
    "flat": "every recording compared",
    "hnsw": "searched by a graph (HNSW), which may miss a neighbour",
    "ivf": "searched by lists (IVF), which may miss a neighbour",
}
WHY = {
    False: "along the directions of all aspects with evidence",
    True: "in the measured values that were asked for",
}  # by whether measured values are compared
LEFT_OUT = {
    "duplicates": {"collapse": "near-duplicates shown once", "exclude": "without near-duplicates of the query"},
    "versions": {"collapse": "each work once", "exclude": "without other recordings of this work"},
}
MOST_OF = {f"max_per_{name}": f"one {name}" for name in CAPS}
FAR = 10.0  # of 100: a tenth of the library has its nearest further away than that
HOW_WORDS = (
    "*Score*: a recording has points in each word: how many in 100 of this library are heard less as that; in a word "
    "that is not wanted, how many are heard more as it. The score is their mean. Beside a query, half of it is "
    "likeness: how many in 100 are less like the query."
)
FITS_LESS = "share of this library that fits less"
BY_ALL = "in all that was asked for"


def answer(query: Track | None, scope: Scope, question: Question, passage: tuple[float, float] | None) -> Answer:
    """One call into the core."""
    plan = make_plan(scope, question, resources.discovery(scope), is_of_passage=passage is not None)
    if query is None:
        return answers.answer_in_words(plan)  # what else is asked without a query is asked by the command line
    asked = query_of(plan.scope, query)
    if passage is not None:
        return answers.answer_passage(resources.segment_index(plan), plan, asked, passage)
    return answers.answer(resources.index(plan), plan, asked)


def explain_neighbours(found: Answer) -> dict[str, list[Reason]]:
    """In what each neighbour is like the query and in what not, along the directions that were discovered."""
    return explaining.explain_neighbours(found, resources.index, resources.discovery)


def in_lines(found: Answer, reasons: dict[str, list[Reason]]) -> dict[str, str]:
    """One line for each neighbour, by track id: what the catalogue knows, then what can be heard."""
    scope, discovery = found.plan.scope.for_aspects, resources.discovery(found.plan.scope)
    measured = measured_faithfulness(scope, discovery) if discovery else None
    tagged, track_ids = resources.tagged(scope.library), [item.track.track_id for item in found.found]
    if found.query is None:
        return {item.track.track_id: _of_words(found, item, tagged) for item in found.found}
    tags = tags_in_common(scope.workspace, tagged, found.query.track_id, track_ids)
    lines, question = {}, found.plan.question
    for item in found.found:
        said = [_of_words(found, item, tagged)] if item.neighbour.words else []
        said += [f"same {name}" for name in names_in_common(found.query.facts, item.track)]
        family = measured.family if measured else lambda aspect: ()
        said.append(in_one_line(reasons[item.track.track_id], family, question.aspects, question.avoid))
        if both := tags[item.track.track_id]:
            said.append(f"both heard as {listed(both)}")
        lines[item.track.track_id] = "; ".join(filter(None, said))
    return lines


def _of_words(found: Answer, item: FoundTrack, tagged: TaggedLibrary) -> str:
    """What each word adds, and what it is heard as though that was not wanted: likeness and other words outweigh it."""
    unwanted = [wish.word for wish in parse_words(", ".join(found.plan.question.words)) if not wish.is_wanted]
    still = tagged.still_heard(item.track.track_id, unwanted)
    though = f"though heard as {listed(still)}" if still else ""
    return "; ".join(filter(None, (in_shares(item.neighbour.words or {}), though)))


@st.fragment
def show_numbers(found: Answer, lines: Mapping[str, str]) -> None:
    """Every number behind the list, for who wants the last digit; made and drawn only where somebody looks."""
    place = st.expander("Numbers", icon=":material/table:", key="show numbers", on_change="rerun")
    if place.open:
        with place:
            _show_table_of_numbers(found, lines)


def _show_table_of_numbers(found: Answer, lines: Mapping[str, str]) -> None:
    asked = [aspect for aspect in found.plan.question.weights if any(item.neighbour.aspects for item in found.found)]
    rows = [
        {
            "rank": item.neighbour.rank,
            "title": item.track.title,
            "similarity": settled(item.neighbour.similarity, 3),
            "nearness": item.neighbour.nearness,
            "closer than": item.neighbour.percentile,
            "measured": item.neighbour.value,
            "near to": how_alike(item.neighbour.standings) if item.neighbour.standings else None,
            **{aspect: score.percentile for aspect, score in (item.neighbour.aspects or {}).items()},
            "near in": (in_which(item.neighbour.hearings) or None) if item.neighbour.hearings else None,
            "key": None if item.neighbour.semitones is None else in_key(item.neighbour.semitones),
            "why": lines[item.track.track_id],
            "moment": _moment(item),
            "performer": item.track.performer,
            "work": item.track.work,
            "instrument": item.track.instrument,
            "length": frame.seconds(item.track.duration_s),
        }
        for item in found.found
    ]
    optional = ("closer than", "nearness", "measured", "near to", "near in", "key", "why", "performer", "work",
                "instrument")  # fmt: skip
    known = [name for name in optional if any(row[name] is not None and row[name] != "" for row in rows)]
    closer, others = known[: "closer than" in known], [name for name in known if name != "closer than"]
    first, last = ([], ["moment"]) if found.passage is None else (["moment"], [])  # of a passage: where it is found
    show_table(
        rows,
        key="numbers",
        height="content",
        column_order=["rank", "title", *first, "similarity", *closer, *asked, *others, *last, "length"],
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40),
            "title": st.column_config.TextColumn("track", width=280),
            "similarity": st.column_config.NumberColumn(
                _name_of_score(found), format="%.3f", width=80, help=found.score_words
            ),
            "measured": st.column_config.NumberColumn(format="%.4g", width=90, help=_measured_as(found)),
            "near to": st.column_config.TextColumn(width=250, help="which of the recordings that are asked about"),
            "nearness": st.column_config.NumberColumn(
                format="%.1f", width=80, help="where the pair stands among neighbours of this library, 0 to 100"
            ),
            "closer than": _percentiles_of(found),
            **{aspect: _percentile(aspect_title(aspect), f"in {aspect_title(aspect)} alone") for aspect in asked},
            "near in": st.column_config.TextColumn(width=250, help="in which of the two hearings it is exceptional"),
            "key": st.column_config.TextColumn(width=150, help="how much higher or lower it sounds than the query"),
            "why": st.column_config.TextColumn(width=300, help=WHY[found.plan.measured is not None]),
            "moment": st.column_config.TextColumn("best moment", help="where query and track resemble each other most"),
        },
        alt="Neighbours of the query, the nearest first",
    )
    if found.answered_by is not None:
        st.caption(frame.plain(found.answered_by.words_of_speed))


def _name_of_score(found: Answer) -> str:
    if found.dial is not None:
        return "SD"
    return "score" if found.plan.question.words or len(_seeds(found)) > 1 else "similarity"


def _measured_as(found: Answer) -> str:
    return "" if found.dial is None or found.dial.unit is None else f"in {found.dial.unit}"


def _seeds(found: Answer) -> tuple[str, ...]:
    """What is asked about: the query, and what the question names beside it."""
    return ("query", *found.plan.question.like, *found.plan.question.unlike)


def _percentiles_of(found: Answer) -> Any:
    if found.plan.question.words:
        return _percentile("fits more than", "")
    if found.dial is not None:
        return st.column_config.ProgressColumn(
            "more than", format="%.1f %%", min_value=0, max_value=100, width=110, help="share that has less of it"
        )
    return _percentile("closer than", BY_ALL)


def _percentile(label: str, what: str) -> Any:
    return st.column_config.ProgressColumn(
        label, format="%.1f %%", min_value=0, max_value=100, width=110,
        help=f"share of this library's pairs that are less alike, {what}" if what else FITS_LESS,
    )  # fmt: skip


def _moment(item: FoundTrack) -> str:
    """When in the query, and when in the track."""
    if item.moment is None:
        return ""
    return f"{frame.clock(item.moment.query_s)} ~ {frame.clock(item.moment.track_s)}"


def _query_id(found: Answer) -> str | None:
    return None if found.query is None else found.query.track_id


def show_exports(found: Answer) -> None:
    """The list as files, each made when somebody wants it."""
    with st.container(horizontal=True):
        name = f"similar-to-{_query_id(found)}" if found.query else "found-in-words"
        st.download_button("CSV", partial(as_csv, found), f"{name}.csv", "text/csv", on_click="ignore", key="csv")
        st.download_button(
            "JSON", partial(as_json, found), f"{name}.json", "application/json", on_click="ignore", key="json"
        )
        st.download_button(
            "Playlist (M3U8)", partial(as_m3u8, found), f"{name}.m3u8", "audio/x-mpegurl", on_click="ignore", key="m3u8"
        )


def offer_to_keep(query: Track) -> None:
    """An upload is forgotten after a week, unless it joins a library."""
    workspace = resources.workspace()
    if workspace.catalogue.is_in_library(query.track_id):
        return
    with st.popover("Keep it in a library"), st.form("keep", border=False):
        name = st.text_input("Library", value="my music", max_chars=60)
        if st.form_submit_button("Add") and name.strip():
            with frame.explain_errors():
                workspace.keep_upload(query.track_id, name.strip())
                st.rerun()


def explain_nothing(found: Answer) -> None:
    """Why nothing was found: what was filtered away, what is not embedded yet, or that there is nothing else."""
    question, scope = found.plan.question, found.plan.scope
    wanted = _filters_in_words(question)
    n_tracks, n_embedded = scope.workspace.catalogue.n_tracks(scope.library), scope.n_embedded
    if wanted:
        message = f"No other recording here has {listed(wanted)}."
        frame.notice("No neighbours", message, "Clear a filter under “Only some recordings” in the sidebar.")
        _offer_all()
    elif n_embedded < n_tracks:
        message = f"{n_embedded} of {counted(n_tracks, 'recording')} of this library can be compared so far."
        frame.notice("No neighbours yet", message, "The others appear as they are embedded.")
    elif question.max_per_work or question.duplicates != "keep" or question.versions != "keep":
        message = "All other recordings are left out as copies or as other recordings of a work."
        frame.notice("No neighbours", message, "Change that under “How the list is made up” in the sidebar.")
    else:
        frame.notice("No neighbours", "There is no other recording in this library.", "Add music on the Library page.")


def _filters_in_words(question: Question) -> list[str]:
    """What every recording in the list has."""
    wanted = [f"{name} {' or '.join(values)}" for name in FILTERS if (values := getattr(question, f"{name}s"))]
    wanted += [f"{name} {value}" for name, value in question.where]
    wanted += [f"the tag {word}" for word in question.heard_as]
    return wanted + [each.words for each in question.between]


def _left_out_in_words(question: Question) -> list[str]:
    """What is in no list though it is near."""
    said = [words[how] for key, words in LEFT_OUT.items() if (how := getattr(question, key)) in words]
    return said + [
        f"at most {counted(most, 'recording')} of {of}"
        for key, of in MOST_OF.items()
        if (most := getattr(question, key)) is not None
    ]


def show_heading(found: Answer) -> None:
    """How many there are, of what kind."""
    n, question = len(found.found), found.plan.question
    if found.dial is not None:
        ends = (found.dial.more, found.dial.less) if question.reverse else (found.dial.less, found.dial.more)
        of_aspect = aspect_title(found.dial.aspect)
        st.subheader(f"{counted(n, 'recording')} along {of_aspect}, from {ends[0]} to {ends[1]}", anchor=False)
        st.text(found.dial.of_query)
    elif found.query is not None and (question.reverse or question.like or question.unlike):
        if len(_seeds(found)) == 1:
            st.subheader(counted(n, "furthest recording"), anchor=False)
        else:
            like = f"the query and {counted(len(question.like), 'other')}" if question.like else "the query"
            most, least = ("least", "most") if question.reverse else ("most", "least")
            unlike = f", and {least} like {counted(len(question.unlike), 'other')}" if question.unlike else ""
            fitting = f", and fitting “{', '.join(question.words)}”" if question.words else ""
            st.subheader(f"{counted(n, 'recording')} {most} like {like}{unlike}{fitting}", anchor=False)
    elif question.words:
        fits, like = "fits" if n == 1 else "fit", "" if found.query is None else " like the query"
        st.subheader(f"{counted(n, 'recording')}{like} that {fits} “{', '.join(question.words)}” best", anchor=False)
    else:
        by = "" if found.passage is None else ", each by its nearest passage"
        st.subheader(
            f"{counted(n, 'nearest recording')}{by}", anchor=False, help=define("nearness", "similarity", "percentile")
        )


def show_filters(question: Question) -> None:
    """That the list is of some recordings only, and a click that makes it one of all."""
    wanted, left_out = _filters_in_words(question), _left_out_in_words(question)
    if not wanted and not left_out:
        return
    parts = [f"only with {listed(wanted)}"] if wanted else []
    said = ", ".join([*parts, *left_out])
    st.text(f"{said[:1].upper()}{said[1:]}.", width="content")
    _offer_all(type="tertiary")


def _offer_all(type: Literal["secondary", "tertiary"] = "secondary") -> None:
    st.button("All recordings", key="no filters", icon=":material/filter_alt_off:", on_click=_clear_filters, type=type)


def _clear_filters() -> None:
    for key in (*(f"{name}s" for name in FILTERS), "where", "heard_as"):
        state.choose(key, [])
    for key in (*LEFT_OUT, *MOST_OF):
        state.choose(key, state.KEYS[key])
    between.clear()


def say(notices: Sequence[str]) -> None:
    """Sentences of the core, small; names in them are untrusted."""
    for sentence in notices:
        st.caption(f":material/warning: {frame.plain(sentence)}", width="content")


def show_notices(found: Answer) -> None:
    """What the asker should know before trusting the list."""
    say(found.plan.notices)
    if found.answered_by is not None and found.answered_by.problem:
        say([found.answered_by.problem])
    if found.is_strange and not is_early(found):
        further = "its nearest recording is further away than nearly all recordings of this library are from theirs."
        if found.plan.question.weights:
            text = f"Taken in all aspects together, even {further} In what was asked for alone it may still be close."
        elif found.plan.question.reverse:
            text = f"Even {further}"
        else:
            text = f"Even {further} What follows is the least unlike it, which does not make it alike."
        frame.notice("This query is unlike everything here", text)
    elif (share := _further_than_usual(found)) is not None and not is_early(found):
        say([f"Even the nearest is further away than {share} of the recordings here are from theirs."])


def _further_than_usual(found: Answer) -> str | None:
    """Of which share of the library the nearest is nearer than here, where that is nearly all of it; else None.

    Of the nearest of all alone: what was left out might have been near.
    """
    question = found.plan.question
    is_of_all = not (_filters_in_words(question) or _left_out_in_words(question) or question.reverse or question.words)
    nearness = [item.neighbour.nearness for item in found.found if item.neighbour.nearness is not None]
    if not is_of_all or found.dial is not None or len(_seeds(found)) != 1 or found.passage is not None:
        return None
    return percent(100 - max(nearness)) if nearness and max(nearness) < FAR else None


def show_basis(found: Answer) -> None:
    """What it is ranked by, where that is not the encoder; or that it could be, where aspects are asked for."""
    plan = found.plan
    if plan.basis:
        basis = plan.basis if plan.learned is None else f"{plan.basis} {plan.learned.figure}"
        st.text(basis, width="content")
        st.button(
            "Rank by what the encoder hears", key="by encoder", on_click=state.choose, args=("geometry", "auto"),
            type="tertiary",
        )  # fmt: skip
        return
    is_by_directions = plan.kind.has_directions and bool(plan.question.aspects)
    if found.query is None or not is_by_directions or found.passage is not None:
        return
    aspects = measured_aspects(plan.scope)
    needed = {target for aspect in plan.question.weights for target in aspects[aspect].searched}
    if not needed or not all(aspects[aspect].searched for aspect in plan.question.weights):
        return
    values = found.query.values
    if values and any(target not in values or math.isnan(values[target].value) for target in needed):
        return
    measured = measured_library(plan.scope, sorted(needed))
    n_all = measured.n_left_out + len(measured.track_ids)
    asked = listed([aspect_title(aspect) for aspect in plan.question.weights])
    st.caption(
        f"{asked[:1].upper()}{asked[1:]} {'was' if len(plan.question.weights) == 1 else 'were'} measured in "
        f"{len(measured.track_ids):,} of {counted(n_all, 'recording')} here: what was measured need not be guessed.",
        width="content",
    )
    st.button(
        "Rank by the measured values", key="by values", on_click=state.choose, args=("geometry", "measured"),
        type="tertiary", help="By what was measured in the sound, not by what the encoder hears.",
    )  # fmt: skip


def usual_in_words(usual: Mapping[int, float]) -> str:
    """Where neighbours usually stand: being the nearest is no merit by itself. Empty in a library too small to say."""
    names = {1: "the nearest recording", 10: "its tenth"}
    stands = [
        f"{names[rank]} is closer than {percent(percentile, 1)}" for rank, percentile in usual.items() if rank in names
    ]
    return f"For a usual query of this library {', '.join(stands)} of pairs." if stands else ""


def explain(found: Answer) -> None:
    """How to read it, and how far to trust it."""
    plan = found.plan
    library = "all libraries" if plan.scope.library == ALL else plan.scope.library
    if plan.question.words:
        st.caption(HOW_WORDS)
        return
    is_of_passage = state.passage() is not None
    kind = of_segments(plan.kind) if is_of_passage else plan.kind
    is_plain = found.dial is None and len(_seeds(found)) == 1
    if is_plain:
        st.caption(f"*Similarity*: {kind.words}. *Closer than* places it among the pairs of the library itself.")
    elif found.dial is None:
        st.caption(f"*Score*: {found.score_words}. It is no pair's: each row says how near it is to each of them.")
    else:
        st.caption(f"*SD*: {found.score_words}. *More than*: which share of this library has less of it.")
    if is_of_passage and not kind.has_directions:
        where = plan.scope.info.layer_in_words(plan.scope.info.main_layer)
        st.text(f"A passage is looked for in one layer: {where}.")
    if not is_of_passage and is_plain and not plan.question.reverse:
        usual = usual_in_words(resources.index(plan).usual_percentiles(plan.question))
        if usual:
            st.caption(usual)
    heard = f"{'Hearing' if plan.scope.info.parts else 'Encoder'}: {plan.scope.info.title}"
    how = ", ".join(
        f"{aspect_title(aspect)} {percent(100 * weight)}" for aspect, weight in plan.question.weights.items()
    )
    without = f" · without {', '.join(map(aspect_title, plan.question.avoid))}" if plan.question.avoid else ""
    by = "" if plan.kind.compares_values else f"{heard} · "
    n_all, n_embedded = plan.scope.workspace.catalogue.n_tracks(plan.scope.library), plan.scope.n_embedded
    n_compared = counted(n_all, "track") if n_embedded == n_all else f"{n_embedded:,} of {counted(n_all, 'track')}"
    st.text(
        f"Library: {library}, {n_compared} · {by}{how or 'all layers alike'}{without} · "
        f"by {HOW_NEAR[plan.geometry]}, {INDEXES[found.kind]}"
    )
    if plan.measured is not None:
        st.caption("*Best moment*: as the encoder hears it; values were measured of whole recordings.")
