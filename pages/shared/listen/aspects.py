"""What should be alike: wishes in words, and a dial for each aspect from "must not count" to "must be alike"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import streamlit as st

from mess_core.catalogue.catalogue import ALL
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.glossary import define
from mess_core.numbers import percent
from mess_core.probing.aspects import ASPECTS, MEASURED, PRESETS, AspectEvidence
from mess_core.probing.discovery import Discovery
from mess_core.probing.result import LABELS
from mess_core.search.geometry import GEOMETRIES
from mess_core.search.measured import measured_aspects
from mess_core.search.question import Question
from mess_core.targets.registry import target_of
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.app.frame import aspect_title
from pages.shared.widgets.accents import GREY, accent_of_aspect
from pages.shared.widgets.pickers import heard_hearings

NOT, ANY, ALIKE = -1.0, 0.0, 1.0  # the ends of a dial, and where it says nothing
POSITIONS = (NOT, *(tenths / 10 for tenths in range(11)))
SAID = {NOT: "must not count", ANY: "does not matter", ALIKE: "must be alike"}
DOTS = {"high": "●●●", "medium": "●●○", "experimental": "●○○", "none": "○○○"}
EVIDENCE = {
    label: f"{DOTS[label]} {label} evidence: at least {percent(100 * least)} of it can be read off works that were not "
    "learned from."
    for label, least in LABELS
}
# Compact, in the accent of what the aspect measures; the bar leads from where a dial says nothing to where it stands.
STYLE = """<style>
.st-key-dials { gap: 0.5rem; }
.st-key-dials [data-testid="stSlider"] {
  border: 1px solid light-dark(#d5d9e3, #343b4d); border-top: 3px solid var(--dial); border-radius: 0.5rem;
  padding: 0.25rem 0.625rem 0;
}
.st-key-dials label { margin: 0; }
.st-key-dials label p { font-size: 0.8125rem; font-weight: 600; white-space: nowrap; }
.st-key-dials label [data-testid="stMarkdownContainer"] {
  color: color-mix(in srgb, var(--dial) 55%, light-dark(#101624, #e8ebf4));
}
.st-key-dials [role="group"] { padding: 0 0.375rem; }
.st-key-dials [role="group"] > div { padding: 0.875rem 0 1.375rem; }
.st-key-dials [role="group"] > div > div { top: 0.75rem; }
.st-key-dials [role="group"] > div > div:first-child {
  background:
    linear-gradient(to right, transparent var(--from), var(--dial) var(--from) var(--to), transparent var(--to)),
    linear-gradient(to right, transparent calc(100% / 11 - 1px), light-dark(#6b7280, #9aa3b2) 0 calc(100% / 11 + 1px),
    transparent 0), light-dark(#d5d9e3, #343b4d);
}
.st-key-dials [role="group"] > div > div:has(input) { background: var(--thumb); }
.st-key-dials [data-testid="stSliderTickBar"] { display: none; }
.st-key-dials [data-testid="stSliderThumbValue"] { display: none; }
.st-key-dials [role="group"]::after {
  content: var(--said); position: absolute; inset: auto 0.375rem 0.125rem; font-size: 0.75rem; line-height: 1.2;
  color: color-mix(in srgb, light-dark(#101624, #e8ebf4) 72%, light-dark(#fcfcfd, #12151d));
}
.st-key-wishes { gap: 0.375rem; flex-wrap: nowrap; }
.st-key-wishes button { min-height: 2rem; padding: 0.125rem 0.625rem; border-radius: 1rem; }
.st-key-wishes p { white-space: nowrap; }
[data-testid="stLayoutWrapper"]:has(> .st-key-wish-buttons) { flex: 1; min-width: 0; }
/* What is found stays in sight: rows are pushed sideways, and fade. Of many dials those that count stand first. */
.st-key-dials, .st-key-wish-buttons {
  gap: 0.375rem; flex-wrap: nowrap; overflow-x: auto; scrollbar-width: thin; padding: 0 2.5rem 0.25rem 0;
  mask-image: linear-gradient(to right, #000 calc(100% - 2.5rem), transparent);
}
.st-key-dials > *, .st-key-wish-buttons > * { flex-shrink: 0; }
.st-key-basis { gap: 0 0.75rem; }
.st-key-basis button { min-height: 1.75rem; }
.st-key-basis [data-testid="stText"] { font-size: 0.875rem; }
.st-key-dials:has(> :nth-child(9)) > .st-key-about-dials { order: -2; }
@media (max-width: 48rem) {
  .st-key-wishes { flex-wrap: wrap; }
  [data-testid="stLayoutWrapper"]:has(> .st-key-wish-buttons) { flex: 1 0 100%; }
}
</style>"""
NOT_YET = "Not known yet: the layers of this library have not been compared with chance so far."
OF_ONE = (
    ".st-key-{key} {{ --dial: {colour}; --thumb: {thumb}; --from: {start:.2f}%; --to: {end:.2f}%; --said: '{said}'; }}"
)
COUNTS = ".st-key-dials:has(> :nth-child(9)) > .st-key-{key} {{ order: -1; }}"


@dataclass(frozen=True)
class Alike:
    """What people often ask, by one click.

    hearing : chosen by it; empty leaves who listens as it is
    weights, avoid : how it sets the dials
    is_possible : whether anything of it has evidence here
    """

    title: str
    says: str
    hearing: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()
    is_possible: bool = True


def choose_alike(scope: Scope, question: Question) -> Question:
    """The question with what must be alike and what must not count; all of it in the URL.

    An order along an aspect compares nothing, so nothing is asked there.

    Parameters
    ----------
    scope : Scope
        Who listens: a hearing or an encoder. Aspects are told by `scope.for_aspects`.
    question : Question
        Its geometry says whether measured values are compared.
    """
    st.html(STYLE)
    if question.along:
        return question
    kind = GEOMETRIES.get(question.geometry)
    by_values = kind is not None and kind.compares_values
    discovery = resources.discovery(scope)
    aspects = measured_aspects(scope.for_aspects) if by_values else discovery.aspects if discovery else {}
    is_known = by_values or discovery is None or discovery.result.has_null
    _offer_wishes(scope, aspects, is_known=is_known)
    if by_values:
        weights, avoid = _choose_measured(aspects)
    else:
        weights, avoid = _choose_told(scope.for_aspects, discovery)
    _say_what_waits(weights, avoid, "measured" if by_values else "told")
    return replace(question, aspects=weights, avoid=avoid)


def _say_what_waits(weights: Mapping[str, float], avoid: Sequence[str], how: str) -> None:
    """What the link asks of an aspect that has no dial here, or what was asked where it had one."""
    asked = [aspect for aspect in ASPECTS if state.read(aspect) or aspect in state.read("not")]
    waiting = [aspect_title(aspect) for aspect in asked if aspect not in weights and aspect not in avoid]
    if waiting:
        names = listed(waiting)
        does = "does" if len(waiting) == 1 else "do"
        st.caption(f"{names[:1].upper()}{names[1:]} cannot be {how} here, and {does} not count.")


# --- wishes ---------------------------------------------------------------------------------------------------


def _offer_wishes(scope: Scope, aspects: Mapping[str, AspectEvidence], *, is_known: bool) -> None:
    """One row: who listens, and how the dials stand, as one thought."""
    asked = ({aspect: weight for aspect in ASPECTS if (weight := state.read(aspect))}, sorted(state.read("not")))
    with st.container(horizontal=True, vertical_alignment="center", key="wishes"):
        st.markdown("**What should be alike?**", width="content", help=define("aspect", "evidence", "leak"))
        with st.container(horizontal=True, key="wish-buttons"):
            for wish in _wishes(aspects, "None of its aspects has evidence here." if is_known else NOT_YET):
                is_heard = wish.hearing in ("", scope.info.id)
                is_on = wish.is_possible and is_heard and asked == (dict(wish.weights), sorted(wish.avoid))
                st.button(
                    wish.title, key=f"wish {wish.title}", type="primary" if is_on else "secondary",
                    on_click=_make_wish, args=(wish,), disabled=not wish.is_possible, help=wish.says,
                )  # fmt: skip


def _wishes(aspects: Mapping[str, AspectEvidence], why_not: str) -> list[Alike]:
    """Those of hearings that have heard this library, then those that set dials, or say why they cannot."""
    infos = [resources.info(hearing) for hearing in heard_hearings()]
    wishes = [Alike(info.title, info.summary, info.id) for info in infos]
    if not any(info.any_key is None for info in infos):
        wishes = [Alike("Like this", "As the encoder hears it, no aspect in particular."), *wishes]
    for title, (weights, avoid) in PRESETS.items() if aspects else ():
        known = {aspect: weight for aspect, weight in weights.items() if aspects[aspect].has_evidence}
        gone = tuple(aspect for aspect in avoid if aspects[aspect].has_evidence)
        is_possible = bool(known or gone)
        says = _in_words(known, gone) if is_possible else why_not
        wishes.append(Alike(title, says, "", known, gone, is_possible))
    return wishes


def _make_wish(wish: Alike) -> None:
    if wish.hearing:
        state.choose("hearing", wish.hearing)
    for aspect in ASPECTS:
        state.keep(aspect, wish.weights.get(aspect, ANY))
    state.keep("not", list(wish.avoid))


def _in_words(weights: Mapping[str, float], avoid: tuple[str, ...]) -> str:
    """How a wish sets the dials."""
    parts = []
    if weights:
        parts.append(f"alike in {listed([_weighed(aspect, weight) for aspect, weight in weights.items()])}")
    if avoid:
        parts.append(f"{listed(list(map(aspect_title, avoid)))} must not count")
    said = "; ".join(parts)
    return f"{said[:1].upper()}{said[1:]}."


def _weighed(aspect: str, weight: float) -> str:
    return aspect_title(aspect) if weight == ALIKE else f"{aspect_title(aspect)} ({weight:g})"


# --- dials ----------------------------------------------------------------------------------------------------


def _choose_told(scope: Scope, discovery: Discovery | None) -> tuple[dict[str, float], tuple[str, ...]]:
    """A dial for each aspect that the encoder tells; those without evidence only if somebody wants them."""
    if discovery is None and jobs.is_under_way(scope.library, *jobs.TELLING):
        st.caption(
            "Which aspects can be asked for by themselves, such as brightness or tempo, is not known yet: discovery "
            "comes when the work before it is done. Until then all layers count."
        )
        return {}, ()
    if discovery is None:
        st.caption(
            f"Nothing was discovered yet for this library with {scope.info.title} and the usual settings, so aspects "
            "cannot be told apart: all layers weigh the same."
        )
        frame.link("pages/2_Layers.py", "Discover it: Layers", ":material/layers:", encoder=scope.info.id)
        return {}, ()
    faithfulness = measured_faithfulness(scope, discovery)
    is_wanted, left_out = bool(state.read("unproven")), state.read("not")
    unproven = [aspect for aspect in ASPECTS if not discovery.aspects[aspect].has_evidence]
    shown = [aspect for aspect in ASPECTS if aspect not in unproven]
    # What a link leaves out is left out, and its dial shows that.
    shown += [each for each in unproven if discovery.aspects[each].searched and (is_wanted or each in left_out)]
    with st.container(horizontal=True, key="dials"):
        positions = _dials({aspect: discovery.aspects[aspect] for aspect in shown}, faithfulness)
        hidden = [aspect for aspect in unproven if aspect not in shown]
        if unproven or discovery.library != scope.library:
            how = "told here" if discovery.result.has_null else "known yet"
            few = [f"{DOTS['none']} {counted(len(hidden), 'aspect')} not {how}"] if hidden else []
            if discovery.library != scope.library:
                few = [f"evidence is that of {_library_of(discovery)}", *few]
            with st.popover(frame.plain(" · ".join(few)) or "About the dials", type="tertiary", key="about-dials"):
                _say_what_is_not_told(discovery, unproven)
                _say_where_from(scope, discovery)
    return _asked(positions)


def _choose_measured(aspects: Mapping[str, AspectEvidence]) -> tuple[dict[str, float], tuple[str, ...]]:
    """A dial for each aspect that was measured here: no evidence is needed where nothing is told."""
    with st.container(horizontal=True, key="dials"):
        positions = _dials({aspect: found for aspect, found in aspects.items() if found.searched}, None)
    missing = [aspect_title(aspect) for aspect, found in aspects.items() if not found.searched]
    if not positions:
        st.caption("Nothing of this library was measured yet. Discovery on the Layers page measures it.")
    elif missing:
        st.caption(f"Measured in no recording here: {listed(missing)}.")
    return _asked(positions)


def _asked(positions: Mapping[str, float]) -> tuple[dict[str, float], tuple[str, ...]]:
    """The weights, and what must not count."""
    weights = {aspect: position for aspect, position in positions.items() if position > ANY}
    return weights, tuple(aspect for aspect, position in positions.items() if position == NOT)


def _dials(evidence: Mapping[str, AspectEvidence], faithfulness: Faithfulness | None) -> dict[str, float]:
    """A dial for each aspect, and where it stands.

    They are styled by one element: with each the browser cleans what it is sent and lays the whole page out anew.
    """
    positions = {aspect: _position(aspect) for aspect in evidence}
    st.html(f"<style>{''.join(_style(f'dial-{aspect}', aspect, at) for aspect, at in positions.items())}</style>")
    for aspect, position in positions.items():
        _dial(aspect, evidence[aspect], caveat(faithfulness, aspect), position)
    return positions


def _position(aspect: str) -> float:
    weight = float(state.read(aspect))
    return weight if weight or aspect not in state.read("not") else NOT


def _dial(aspect: str, evidence: AspectEvidence, caveat: str, position: float) -> None:
    """One control for both ends of an aspect; what it means, how sure that is, and what it does besides, on hover."""
    key = f"dial-{aspect}"
    if st.session_state.get(key) != position:  # a dial that stands there is left alone: it may be on its way
        st.session_state[key] = position
    label = f"{aspect_title(aspect)} {DOTS.get(evidence.label, '')}".strip()
    st.select_slider(
        label, sorted({*POSITIONS, position}), key=key, width=172, format_func=_said, help=_meaning(evidence, caveat),
        on_change=_turn, args=(aspect,),
    )  # fmt: skip


def _turn(aspect: str) -> None:
    """After a dial was turned: what it says, as the link says it."""
    position = float(st.session_state[f"dial-{aspect}"])
    state.keep(aspect, max(position, ANY))
    others = [other for other in state.read("not") if other != aspect]
    state.keep("not", [*others, aspect] if position == NOT else others)


def _said(position: float) -> str:
    return SAID.get(position, f"counts {position:g}")


def _style(key: str, aspect: str, position: float) -> str:
    """Where the bar of a dial begins and ends; the positions stand side by side, so what has no tenth is between."""
    neutral, place = 100 / 11, 0.0 if position == NOT else 100 * (1 + 10 * position) / 11
    colour, name = accent_of_aspect(aspect).css, re.sub(r"[^a-zA-Z0-9_-]", "-", key)
    style = OF_ONE.format(
        key=name, colour=colour, thumb=GREY.css if position == ANY else colour, start=min(neutral, place),
        end=max(neutral, place), said=_said(position),
    )  # fmt: skip
    return style if position == ANY else style + COUNTS.format(key=name)


def _meaning(evidence: AspectEvidence, caveat: str) -> str:
    """What is measured, how sure it is that it is heard, and what a search by it finds besides."""
    summaries = " ".join(target_of(target).summary for target in evidence.searched or evidence.targets)
    if evidence.label == MEASURED:
        said = f"Measured: {listed([target_of(target).measured_as for target in evidence.searched])}."
    else:
        said = f"No evidence: {evidence.reason_in_depth}." if evidence.reason else EVIDENCE[evidence.label]
    return "\n\n".join(filter(None, (summaries, said, caveat)))


def _say_what_is_not_told(discovery: Discovery, aspects: list[str]) -> None:
    """Aspects without evidence, with the reason, and whether they are wanted all the same."""
    if not discovery.result.has_null:
        st.caption(NOT_YET)
        return
    by_reason: dict[str, list[str]] = {}
    for aspect in aspects:
        by_reason.setdefault(discovery.aspects[aspect].reason_in_depth, []).append(aspect_title(aspect))
    for reason, names in by_reason.items():
        st.caption(f"{DOTS['none']} {listed(names)}: {reason}.")
    if aspects:
        state.sticky(st.toggle, "Search by them all the same", key="unproven")


def _say_where_from(scope: Scope, discovery: Discovery) -> None:
    """That directions are those of another library, and why."""
    if discovery.library == scope.library:
        return
    ours = "all libraries together" if frame.library() == ALL else "this library"
    own = resources.own_discovery(scope)
    if own is None:
        why = "nothing is measured yet"
    elif own.result.has_null:
        why = "no aspect has evidence"
    else:
        why = "discovery has not ended"
    st.text(f"In {ours} {why}; these aspects were discovered in {_library_of(discovery)}.")
    frame.link("pages/2_Layers.py", "See that discovery", library=discovery.library)


def _library_of(discovery: Discovery) -> str:
    return "all libraries together" if discovery.library == ALL else f"the library {discovery.library}"


def measured_faithfulness(scope: Scope, discovery: Discovery) -> Faithfulness | None:
    """The leak matrix of the library that aspects were discovered on, if it was measured."""
    kept = resources.evaluation(replace(scope, library=discovery.library), "faithfulness")
    return kept.result if kept and isinstance(kept.result, Faithfulness) else None


def caveat(faithfulness: Faithfulness | None, aspect: str) -> str:
    """What a dial does besides: what it cannot be told apart from, what it finds better than itself."""
    if faithfulness is None or aspect not in faithfulness.judged:
        return ""
    parts = []
    family, leaks = faithfulness.family(aspect), faithfulness.leaks(aspect)
    if family:
        parts.append(f"Goes with {listed(list(map(aspect_title, family)))}.")
    if leaks:
        parts.append(f":material/warning: Leaks into {listed(list(map(aspect_title, leaks)))}.")
    elif not faithfulness.passes(aspect):
        parts.append(":material/warning: Hardly finds what it says.")
    return " ".join(parts)
