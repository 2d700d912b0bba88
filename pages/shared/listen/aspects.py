"""What should be alike: sliders for aspects, what to leave out, and how the list is made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.encoders.vocabulary import WORDS
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.probing.aspects import ASPECTS, MEASURED, PRESETS, AspectEvidence
from mess_core.probing.discovery import Discovery
from mess_core.probing.result import LABELS
from mess_core.search.geometry import GEOMETRIES, MeasuredGeometry
from mess_core.search.measured import measured_aspects
from mess_core.search.question import COPIES, Question
from mess_core.search.tagged import STRONG_FROM, tag_scope
from mess_core.targets.registry import target_of
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources, state
from pages.shared.app.frame import aspect_title

MOST_VALUES = 500  # of columns, offered
DOTS = {"high": "●●●", "medium": "●●○", "experimental": "●○○", "none": "○○○"}
EVIDENCE = {
    label: f"{DOTS[label]} {label}: at least {least:.0%} of it can be read off works that were not learned from"
    for label, least in LABELS
}
CAPS = ("work", "performer", "album")


def choose_question(scope: Scope) -> Question:
    """Everything that is asked beside the query; all of it in the URL."""
    discovery = resources.discovery(scope)
    st.markdown("**What should be alike?**")
    by_values = state.read("geometry") == MeasuredGeometry.name
    aspects = measured_aspects(scope) if by_values else discovery.aspects if discovery else {}
    if aspects:
        _offer_presets(aspects)
    weights = _choose_measured(aspects) if by_values else _choose_aspects(scope, discovery)
    avoid = _choose_avoided(aspects, [aspect for aspect, weight in weights.items() if weight])
    possible = [
        name for name, kind in GEOMETRIES.items() if discovery or kind.compares_values or not kind.has_directions
    ]
    geometry = _choice("geometry", "How near is measured", ["auto", *possible], GEOMETRY_HELP)
    with st.expander("Only some recordings", icon=":material/filter_alt:"):
        others = _choose_filters()
    with st.expander("How the list is made up", icon=":material/tune:"):
        others |= _choose_rules()
    return Question(aspects=weights, avoid=tuple(avoid), geometry=geometry, **others)


GEOMETRY_HELP = (
    "`direction` compares what each aspect's own directions say; `layer` compares whole layers, as the encoder hears "
    "them; `measured` compares what was measured in the sound and asks no encoder. `auto`: direction as soon as an "
    "aspect is asked for."
)


def _offer_presets(aspects: Mapping[str, AspectEvidence]) -> None:
    """What people often ask, by one click; aspects without evidence are left out of it."""
    asked = ({aspect: weight for aspect in ASPECTS if (weight := state.read(aspect))}, sorted(state.read("not")))
    with st.container(horizontal=True, gap="xsmall"):
        for name, (weights, avoid) in PRESETS.items():
            known = {aspect: weight for aspect, weight in weights.items() if aspects[aspect].has_evidence}
            gone = sorted(aspect for aspect in avoid if aspects[aspect].has_evidence)
            is_possible = bool(known or gone) or not (weights or avoid)
            is_on = is_possible and asked == (known, gone)
            st.button(
                name, key=f"preset {name}", type="primary" if is_on else "secondary",
                on_click=_use_preset, args=(known, gone), disabled=not is_possible,
                help=_describe(known, gone) if is_possible else "None of its aspects has evidence here.",
            )  # fmt: skip


def _use_preset(weights: dict[str, float], avoid: list[str]) -> None:
    for aspect in ASPECTS:
        state.choose(aspect, weights.get(aspect, 0.0))
    state.choose("not", list(avoid))


def _describe(weights: dict[str, float], avoid: list[str]) -> str:
    parts = [f"{aspect_title(aspect)} {weight:g}" for aspect, weight in weights.items()]
    parts += [f"without {aspect_title(aspect)}" for aspect in avoid]
    return ", ".join(parts) or "all layers alike, no aspect in particular"


def _choose_filters() -> dict:
    """Names in the library, and what the columns of the user's own table say; none chosen is all."""
    catalogue, filters = resources.workspace().catalogue, {}
    said = {f"{name}: {value}": (name, value) for name, value in catalogue.detail_values(frame.library())}
    offered = {f"{name}s": (name.capitalize(), values) for name, values in catalogue.names(frame.library()).items()}
    offered["where"] = ("Your own table", list(said)[:MOST_VALUES])
    for key, (label, options) in offered.items():
        if not options and key in ("collections", "splits", "where"):
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
    return filters


def _choose_aspects(scope: Scope, discovery: Discovery | None) -> dict[str, float]:
    """A slider for each aspect; those without evidence are grey until somebody wants them all the same."""
    if discovery is None:
        st.caption(
            f"Nothing was discovered yet for this library with {scope.info.title} and the usual settings, so aspects "
            "cannot be told apart: all layers weigh the same."
        )
        frame.link("pages/2_Layers.py", "Discover it: Layers", ":material/layers:", encoder=scope.info.id)
        return {}
    faithfulness = measured_faithfulness(scope, discovery)
    proven = [aspect for aspect in ASPECTS if discovery.aspects[aspect].has_evidence]
    unproven = [aspect for aspect in ASPECTS if aspect not in proven]
    place = st.container()
    offered = proven + (_offer_unproven(discovery, unproven) if unproven else [])
    weights = {}
    with place:
        for aspect in offered:
            weights[aspect] = _slider(aspect, discovery.aspects[aspect], caveat(faithfulness, aspect))
    if discovery.library != scope.library:
        ours = "all libraries together" if frame.library() == ALL else "this library"
        theirs = "all libraries together" if discovery.library == ALL else f"the library {discovery.library}"
        own = resources.own_discovery(scope)
        if own is None:
            why = "nothing is measured yet"
        elif own.result.has_null:
            why = "no aspect has evidence"
        else:
            why = "discovery has not ended"
        st.text(f"In {ours} {why}; these aspects were discovered in {theirs}.")
        frame.link("pages/2_Layers.py", "See that discovery", library=discovery.library)
    return {aspect: weight for aspect, weight in weights.items() if weight}


def _choose_measured(aspects: Mapping[str, AspectEvidence]) -> dict[str, float]:
    """A slider for each aspect that was measured here: no evidence is needed where nothing is told."""
    weights = {aspect: _slider(aspect, found, "") for aspect, found in aspects.items() if found.searched}
    missing = [aspect_title(aspect) for aspect, found in aspects.items() if not found.searched]
    if not weights:
        st.caption("Nothing of this library was measured yet. Discovery on the Layers page measures it.")
    elif missing:
        st.caption(f"Measured in no recording here: {', '.join(missing)}.")
    return {aspect: weight for aspect, weight in weights.items() if weight}


def _offer_unproven(discovery: Discovery, aspects: list[str]) -> list[str]:
    """Aspects without evidence, in grey and with the reason; those that somebody wants all the same."""
    by_reason: dict[str, list[str]] = {}
    for aspect in aspects:
        by_reason.setdefault(discovery.aspects[aspect].reason, []).append(aspect_title(aspect))
    for reason, names in by_reason.items():
        st.caption(f"{DOTS['none']} {', '.join(names)}: {reason}.")
    is_wanted = state.sticky(st.toggle, "Search by them all the same", key="unproven")
    return [aspect for aspect in aspects if is_wanted and discovery.aspects[aspect].searched]


def _slider(aspect: str, evidence: AspectEvidence, caveat: str) -> float:
    label, said = f"{aspect_title(aspect)} {DOTS.get(evidence.label, '')}".strip(), EVIDENCE.get(evidence.label, "")
    meaning = " ".join(target_of(target).summary for target in evidence.searched or evidence.targets)
    if evidence.label == MEASURED:
        said = f"Measured: {', '.join(target_of(target).title.lower() for target in evidence.searched)}"
    help_text = f"{meaning} {evidence.reason.capitalize() or said}. {caveat}"
    weight = state.sticky(st.slider, label, 0.0, 1.0, step=0.1, key=aspect, help=help_text)
    if ":material/warning:" in caveat:
        st.caption(caveat)
    return float(weight)


def _choose_avoided(aspects: Mapping[str, AspectEvidence], asked: list[str]) -> list[str]:
    options = [a for a in ASPECTS if a in aspects and aspects[a].searched and a not in asked]
    avoided = state.sticky(
        st.multiselect, "Leave out", options=options, key="not", format_func=str, disabled=not options,
        placeholder="what must not count",
        help="What can be said of it in a straight line is taken out of query and library before they are compared: "
        "without brightness, texture and warmth the same music is found on another instrument.",
    )  # fmt: skip
    return list(avoided)


def _choose_rules() -> dict:
    """How many, diversity, caps, copies and hubs."""
    rules: dict = {"k": state.sticky(st.number_input, "Neighbours, 1 to 200", 1, 200, key="k")}
    rules["diversity"] = state.sticky(
        st.slider, "Diversity", 0.0, 1.0, step=0.1, key="diversity",
        help="Above 0, what resembles a better result ranks lower.",
    )  # fmt: skip
    for name in CAPS:
        key = f"max_per_{name}"
        rules[key] = state.sticky(
            st.number_input, f"At most per {name}", 1, 200, key=key, placeholder="any number from 1 to 200",
            help="An album is the folder a file lies in." if name == "album" else None,
        )  # fmt: skip
    rules["duplicates"] = _choice("duplicates", "Near-duplicates", list(COPIES), "Collapse shows one of them.")
    rules["versions"] = _choice(
        "versions",
        "Other recordings of a work",
        list(COPIES),
        "Collapse shows each work once; exclude leaves out the query's own.",
    )
    rules["hubs"] = _choice(
        "hubs", "Correct for hubs", ["auto", "on", "off"],
        "Some recordings are near to everything; the correction (CSLS) ranks them lower. Auto: where it helped.",
    )  # fmt: skip
    return rules


def _choice(key: str, label: str, options: list[str], help_text: str) -> str:
    return str(state.sticky(st.segmented_control, label, options=options, required=True, key=key, help=help_text))


def measured_faithfulness(scope: Scope, discovery: Discovery) -> Faithfulness | None:
    """The leak matrix of the library that aspects were discovered on, if it was measured."""
    kept = resources.evaluation(replace(scope, library=discovery.library), "faithfulness")
    return kept.result if kept and isinstance(kept.result, Faithfulness) else None


def caveat(faithfulness: Faithfulness | None, aspect: str) -> str:
    """What a slider does besides: what it cannot be told apart from, what it finds better than itself."""
    if faithfulness is None or aspect not in faithfulness.judged:
        return ""
    parts = []
    family, leaks = faithfulness.family(aspect), faithfulness.leaks(aspect)
    if family:
        parts.append(f"goes with {', '.join(map(aspect_title, family))}")
    if leaks:
        parts.append(f":material/warning: leaks into {', '.join(map(aspect_title, leaks))}")
    elif not faithfulness.passes(aspect):
        parts.append(":material/warning: hardly finds what it says")
    return " · ".join(parts)
