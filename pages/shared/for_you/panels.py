"""What 7_For_You asks and says beside its list: who listens, which section, how well it works, why not."""

from __future__ import annotations

import time

import streamlit as st

from mess_core.catalogue.opinions import ME
from mess_core.evaluation.blending import weigh_sources, weights_of
from mess_core.evaluation.taste import Mean, SectionResult, TasteStudy
from mess_core.handover.exports import as_m3u8
from mess_core.numbers import interval, number, percent
from mess_core.recommend.beginning import ENOUGH_LIKED
from mess_core.recommend.explaining import why_not_of
from mess_core.recommend.for_you import ForYou, n_heard_in, recommend
from mess_core.recommend.gathering import people_to_look_at
from mess_core.recommend.profile import CONTEXTS, LATEST_SITTING
from mess_core.recommend.sections import SECTIONS, Section
from mess_core.recommend.simulated import is_simulated, planted_words
from mess_core.words import counted
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.request import submit, under_way
from mess_core.workspace.scope import Scope
from pages.shared.app import jobs, resources, state
from pages.shared.app.table import show_table
from pages.shared.for_you.radio import RADIO, is_on
from pages.shared.for_you.rows import N_ROWS, begin_list_anew, is_beginning, seen_before, show_others, staying
from pages.shared.widgets.pickers import offer_as_library

NEW_NAME, OTHERS = "name of another listener", "what others and names add"
LONGEST_NAME = 60
HEARD_AT = {"": "any time alike"} | {each: each for each in CONTEXTS} | {LATEST_SITTING: "latest sitting"}
MOST_ASKED, MOST_FOUND = 2000, 50  # titles in one list; of more, those that are searched for


def choose_listener(scope: Scope) -> str:
    """Who listens: somebody who has, a new name, or one of the simulated on a library that has their music."""
    known = resources.workspace().opinions.listeners()
    people = [ME, *(name for name in known if name != ME), *people_to_look_at(scope)]
    asked = str(state.read("listener") or ME)
    if len(asked) > LONGEST_NAME:
        state.cannot("listener", asked, f"a name of more than {LONGEST_NAME} letters", f"{ME} listens instead")
        asked = ME
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        listener = state.sticky(
            st.selectbox, "Who listens", options=people if asked in people else [*people, asked], key="listener",
            width=240,
            help="A name by which what was heard is told apart; there is no password. Nothing leaves this machine.",
        )  # fmt: skip
        with st.popover("Another name", icon=":material/person_add:"), st.form("another listener", border=False):
            st.text_input("Name", max_chars=LONGEST_NAME, key=NEW_NAME)
            st.form_submit_button("Listen as this one", type="primary", on_click=_listen_as)
        state.sticky(
            st.slider, "Familiar to surprising", 0.0, 1.0, key="surprise", step=0.25, width=220,
            help="Familiar: what is like something you have heard moves up. Surprising: it moves down.",
        )  # fmt: skip
        context = state.sticky(
            st.selectbox, "What counts more", options=list(HEARD_AT), key="context", width=160,
            format_func=HEARD_AT.get,
            help="What was heard at that part of the day, or in the latest sitting (half an hour of silence ends one), "
            "counts in full, anything else half.",
        )  # fmt: skip
    name = str(listener)
    if is_simulated(name):
        st.caption(f"Simulated, to look at: {planted_words(name)} What they would have heard is stored nowhere.")
    if context:
        n, n_all = n_heard_in(scope, name, str(context))
        others = "the others count half" if 0 < n < n_all else "so nothing changes"
        st.caption(f"Heard then: {n:,} of {counted(n_all, 'event')}; {others}.")
    return name


def _listen_as() -> None:
    """Before the page is drawn: what a widget shows is not changed afterwards."""
    name = " ".join(st.session_state[NEW_NAME].split())
    if name:
        st.session_state["listener"] = name
        state.keep("listener", name)
        begin_list_anew()


def find(scope: Scope, listener: str) -> ForYou:
    """One call into the core."""
    section = str(state.read("section"))
    if section not in SECTIONS:
        if section != RADIO:
            state.cannot("section", section, "which is no section", "quick picks are shown")
        section = next(iter(SECTIONS))
    context = str(state.read("context"))
    with st.spinner("Looking through the library…", show_time=False):
        studies = weigh_sources(scope, time.time())
        st.session_state[OTHERS] = " ".join(study.verdict for study in studies.values())
        return recommend(
            scope,
            listener,
            section,
            k=1 if is_on() else N_ROWS,  # the radio has rows of its own
            surprise=float(state.read("surprise")),
            context=context if context in CONTEXTS else None,
            weights=weights_of(studies),
            leave_out=seen_before(scope, listener, section),
            stays=staying(scope, listener, section),
            index_of=resources.index,
            discovery_of=resources.discovery,
        )


def is_at_the_beginning(known: ForYou) -> bool:
    """Whether too little is liked to go by."""
    return known.profile.taste.n_liked < ENOUGH_LIKED or is_beginning(known)


def choose_section() -> str:
    """Which kind of list."""
    titles = {each.id: each.title.replace(" {title}", " …") for each in SECTIONS.values()} | {RADIO: "Radio"}
    chosen = state.sticky(
        st.pills, "Section", options=list(titles), key="section", format_func=titles.get, label_visibility="collapsed",
        required=True,
    )  # fmt: skip
    return str(chosen)


def say_what_it_is(scope: Scope, known: ForYou, section: str) -> None:
    """What a section promises, and what was seen of it."""
    if section == RADIO:
        st.caption("One after the other without end; it learns from what you hear out and what you skip.")
        return
    if known.section.is_around_one:
        st.text(known.title)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{known.section.definition} {_seen_of(scope, known.section)}", width="stretch")
        if not known.section.is_of_the_week and known.found:
            st.button(
                "Another list", key="another", icon=":material/refresh:", type="tertiary",
                on_click=show_others, args=(known,), help="Others than these; the best have been shown.",
            )  # fmt: skip


def _seen_of(scope: Scope, section: Section) -> str:
    study = _study(scope)
    if study is None:
        return ""
    seen = next((each for each in study.sections if each.section == section.id), None)
    return "" if seen is None else in_a_sentence(seen, study)


def in_a_sentence(seen: SectionResult, study: TasteStudy) -> str:
    """What a replay saw of a section."""
    who = counted(study.n_listeners, f"{study.listeners} listener")
    if seen.lift is None:
        return f"Replayed on {who}: it had nothing to show."
    times = f"{number(seen.lift.value, 1)} times{_within(seen.lift)}"
    return f"Replayed on {who}: taken well {times} as often as by chance."


def _within(mean: Mean, decimals: int = 1) -> str:
    within = interval(mean.low, mean.high, decimals)
    return f" {within}" if within else ""


def _study(scope: Scope) -> TasteStudy | None:
    kept = resources.evaluation(scope, "taste")
    return kept.result if kept is not None and isinstance(kept.result, TasteStudy) else None


def show_numbers(known: ForYou) -> None:
    """Every number behind the list."""
    if not known.found:
        return
    with st.expander("Numbers", icon=":material/table:"):
        show_table(
            [
                {
                    "#": row.rank,
                    "track": row.track.title,
                    "score": round(row.chosen.score, 3),
                    "fits better than": 100.0 * row.chosen.place,
                    "interest": _interest(known, row.chosen.interest),
                    "from": row.chosen.source,
                    "chance": row.chosen.propensity,
                    "because of": None if row.why.carrier is None else _title_of(known, row.why.carrier.row),
                    "without it": None if row.why.carrier is None else -round(row.why.carrier.drop, 3),
                    "its share": None if row.why.carrier is None else 100.0 * row.why.carrier.share,
                    "why": row.why.text,
                }
                for row in known.found
            ],
            key="numbers for you",
            height="content",
            column_config={
                "#": st.column_config.NumberColumn(width=40),
                "track": st.column_config.TextColumn(width=260),
                "score": st.column_config.NumberColumn(
                    format="%.3f", width=70, help="cosine with the interest that fits best, less what dislikes take off"
                ),
                "fits better than": st.column_config.ProgressColumn(
                    format="%.0f %%", min_value=0, max_value=100, width=110, help="of what may be recommended here"
                ),
                "from": st.column_config.TextColumn(
                    width=80,
                    help="what brought it up: an interest, a liked artist, that it is new; tried: by chance",
                ),
                "chance": st.column_config.NumberColumn(
                    format="%.3f", width=70, help="how likely it was to be shown; 1 where no chance was in it"
                ),
                "without it": st.column_config.NumberColumn(
                    format="%.3f", width=80, help="what the score loses without the track that carries it most"
                ),
                "its share": st.column_config.NumberColumn(
                    format="%.0f %%", width=80, help="of what all tracks of the interest say for it"
                ),
                "why": st.column_config.TextColumn(width=400),
            },
            alt="The list with its numbers, the best first",
        )


def _interest(known: ForYou, number_: int) -> str | None:
    return known.interests[number_].name if 0 <= number_ < len(known.interests) else None


def _title_of(known: ForYou, row: int) -> str | None:
    track_id = known.profile.shelf.track_ids[row]
    track = resources.workspace().catalogue.tracks_of([track_id]).get(track_id)
    return None if track is None else track.title


def show_exports(known: ForYou) -> None:
    """The list as a playlist, or as a library of its own."""
    if not known.found:
        return
    with st.container(horizontal=True):
        st.download_button(
            "M3U8", lambda: as_m3u8(known), f"{known.section.id}.m3u8",
            on_click="ignore", key="playlist", icon=":material/queue_music:",
            help="A playlist. On the command line, `recommend --playlist FILE` writes it anew as often as you like.",
        )  # fmt: skip
        offer_as_library([row.track.track_id for row in known.found])


def ask_why_not(scope: Scope, known: ForYou) -> None:
    """What keeps a track from being recommended."""
    with st.expander("Why not …?", icon=":material/help_center:"):
        labels, offered = scope.workspace.catalogue.labels(scope.library), list(known.profile.shelf.track_ids)
        if len(offered) > MOST_ASKED:
            words = st.text_input("Find", key="words of why not", placeholder="title, performer, instrument")
            found = scope.workspace.catalogue.find(scope.library, words, MOST_FOUND)[0] if words.strip() else []
            offered = [track.track_id for track in found if track.track_id in known.profile.shelf.rows]
        chosen = st.selectbox(
            "Which recording", offered, index=None, format_func=lambda each: labels.get(each, each), key="why not",
            placeholder="Any recording of this library",
        )  # fmt: skip
        if chosen is not None:
            rank = next((row.rank for row in known.found if row.track.track_id == chosen), None)
            _, text = why_not_of(scope, known.listener, chosen)
            st.text(text if rank is None else f"It is in this list, at place {rank}. {text}")


def _how_well(study: TasteStudy) -> str:
    """What a replay says in a sentence, beside what embarrasses."""
    at = "20"
    figures = {each.name: each.ndcg.get(at) for each in study.ways}
    usual = figures.get("several interests")
    beside = ", ".join(
        f"{name} {number(mean.value)}"
        for name in ("one mean of all", "shuffled embeddings", "chance")
        if (mean := figures.get(name)) is not None
    )
    who = counted(study.n_listeners, f"{study.listeners} listener")
    said = f"Replayed on {who}: "
    if usual is None:
        said += "nothing new was liked later."
    else:
        said += (
            f"how well what was liked later was put first, 1 at best (nDCG@{at}): {number(usual.value)}"
            f"{_within(usual, 2)}; {beside}."
        )
    if study.borne_out is not None:
        said += f" Reasons that hold when their track is removed: {percent(100 * study.borne_out.value)}."
    return said


def offer_to_measure(scope: Scope) -> None:
    """How well recommendations work here, replayed on simulated listeners."""
    study = _study(scope)
    if study is not None:
        st.text(_how_well(study))
    request = EvaluateRequest(scope.library, scope.info.id, "taste")
    job = under_way(scope.workspace, EvaluateRequest, library=scope.library, encoder_id=scope.info.id, what="taste")
    if jobs.work_button("Measure again" if study else "Measure it here", job, key="measure taste"):
        submit(scope.workspace, request)
        st.rerun()


def explain(scope: Scope) -> None:
    """What recommendations rest on, and what becomes of what was heard."""
    with st.expander("How this works, and how well", icon=":material/help:"):
        st.markdown(
            "What you hear to the end, like, skip and dislike tells **interests**: groups of tracks that are alike. A "
            "track is recommended for the interest that fits it best, and the reason names the one track without which "
            "its score would fall most. Half of what you heard counts no more after a month, or half a year. What you "
            "dislike is not recommended, and what is near to it is pushed down. Thumbs on *Listen* say how good an "
            "answer is, not what you like, so they do not count here; what you hear there does.\n\n"
            "All of it stays on this machine, and can be deleted under *What you have heard*."
        )
        if verdict := st.session_state[OTHERS]:
            st.text(verdict)
        offer_to_measure(scope)
