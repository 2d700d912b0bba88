"""The panels of 2_Layers: what was found, what was probed and how, the heatmap, one cell in depth, aspects, exports."""

from __future__ import annotations

import html
import json
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.encoders.hearings import layer_hearing
from mess_core.encoders.vocabulary import WORDS
from mess_core.errors import InputError
from mess_core.glossary import define
from mess_core.handover.exports import cells_as_csv
from mess_core.numbers import clock, interval, number, settled
from mess_core.probing.aspects import ASPECTS
from mess_core.probing.ceiling import is_companion
from mess_core.probing.columns import names_kept
from mess_core.probing.data import UNTRAINED
from mess_core.probing.discovery import GROUPS, MIN_TRACKS, Discovery, in_words
from mess_core.probing.findings import NOT_YET, NOUNS, Findings, findings_of, is_unfinished
from mess_core.probing.replication import replicate
from mess_core.probing.result import ClassFacts, ProbeResult, ProbeSettings, TargetProbe
from mess_core.probing.rows import Row
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.search.tagged import tag_scope
from mess_core.storage.jobs import Job
from mess_core.targets.base import Target
from mess_core.targets.registry import COMPARABLE, OWN, name_of, target_of
from mess_core.words import counted, listed, spans
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit, under_way
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.app.table import show_table
from pages.shared.layers import figures
from pages.shared.widgets import charts
from pages.shared.widgets.accents import accent_of_target
from pages.shared.widgets.pickers import choose_encoder
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

OF_ASPECTS = "aspects"  # what the map calls the one that is of no layer
LEVELS = {"track": "whole recordings", "segment": "segments"}


def choose() -> tuple[Scope, str, str]:
    """Encoder, grouping and level; all in the URL."""
    with st.container(width=190):
        scope = choose_encoder()
    columns = resources.workspace().catalogue.detail_names(frame.library())
    groups = [*GROUPS, *(column for column in columns if not is_companion(column, columns))]
    group = state.sticky(
        st.selectbox, "Keep apart", options=groups, key="group", width=140,
        format_func=lambda each: f"{NOUNS[each]}s" if each in NOUNS else str(each),
        help="With works kept apart, a layer is always tested on works it has not seen: none of them is in both what "
        f"it learns from and what it is tested on.\n\n{define('work', 'probe')}",
    )  # fmt: skip
    level = state.sticky(
        st.segmented_control, "Look at", options=list(LEVELS), required=True, key="level", help=define("segment"),
        format_func=lambda each: LEVELS.get(each, str(each)),
    )  # fmt: skip
    return scope, group, level


def find(scope: Scope, group: str, level: str) -> Discovery | None:
    """What was found by these settings; of several runs that with the usual ones."""
    kept = [run for run in resources.discoveries(scope.library).values() if run.fingerprint == scope.info.fingerprint]
    by_words = {run_words(run.result.settings): run for run in kept if (run.group, run.level) == (group, level)}
    usual = min(by_words, key=len, default="")  # the usual settings have no words
    wanted = str(state.read("run"))
    if wanted and wanted not in by_words:
        return by_words.get(usual)  # it is being worked on, or not here: `say_which_run` says so
    if len(by_words) > 1:
        wanted = state.sticky(
            st.selectbox, "Run", options=sorted(by_words), key="run", default=usual, width=190,
            format_func=lambda each: each or "usual settings",
        )  # fmt: skip
    return by_words.get(wanted, by_words.get(usual))


def run_words(settings: ProbeSettings) -> str:
    """What sets a run of one's own apart, in one line; empty for the usual one."""
    return ", ".join(in_words(settings))


def say_which_run(scope: Scope, found: Discovery | None, group: str, level: str) -> None:
    """That a run of one's own is still worked on, or that the one in the link is not here."""
    wanted = str(state.read("run"))
    if not wanted or (found is not None and run_words(found.result.settings) == wanted):
        return
    asked = [jobs.request_of(job) for job in scope.workspace.jobs.active() if job.kind == ProbeRequest.kind]
    mine = (scope.library, scope.info.id, group, level, wanted)
    if any((each.library, each.encoder_id, each.group, each.level, run_words(each.settings)) == mine for each in asked
           if isinstance(each, ProbeRequest)):  # fmt: skip
        st.text(f"Your run ({wanted}) is shown here as soon as it has ended.")
    else:
        st.text(f"There is no run with {wanted} here (any more): this is the usual one.")
        state.keep("run", "")


def say_what_was_found(scope: Scope, found: Discovery | None, group: str, level: str) -> None:
    """The first words of the page: what this discovery says, and whatever changes how far to believe it."""
    if found is None:
        if (job := _asked(scope, group, level)) is not None:
            jobs.wait_for(job, "What each layer tells is shown here as soon as it is worked out.")
            return
        n_tracks, n_embedded = scope.workspace.catalogue.n_tracks(scope.library), scope.n_embedded
        if resources.own_discovery(scope) is not None:
            frame.notice(
                "Not looked at so yet",
                "Discovery of whole recordings, works kept apart, runs by itself; this view when somebody asks for it.",
            )
            return
        frame.notice(
            "Nothing probed yet",
            f"Discovery runs by itself after the embedding of at least {MIN_TRACKS} tracks in {MIN_GROUPS} works. "
            f"This library has {counted(n_tracks, 'track')}, {n_embedded} of them embedded with {scope.info.title}.",
            "" if n_embedded else "Embed it on the Library page first.",
        )
        return
    _say(_findings(found), found.result)
    if why := scope.why_again(found):
        st.caption(f":material/info: {why}")


def _in_depth(known: Target) -> str:
    """What a target measures, and what the literature calls it."""
    return known.summary if known.dimension == OWN else f"{known.summary} Measured as {known.measured_as}."


def _findings(found: Discovery) -> Findings:
    job = under_way(
        resources.workspace(), ProbeRequest, library=found.library, encoder_id=found.encoder,
        group=found.group, level=found.level, settings=found.result.settings,
    )  # fmt: skip
    return findings_of(found.result, found.group, is_under_way=job is not None)


def _say(findings: Findings, result: ProbeResult) -> None:
    """The sentences, what is told in the colour of its dimension; then what to doubt."""

    def name(target: str) -> str:
        """As HTML, what it measures on hover; the name of a column is untrusted."""
        about = result.about(target)
        named = about.title if about.dimension == OWN else name_of(target)
        summary, told = html.escape(_in_depth(about)), html.escape(named)
        if target in findings.untold:
            return f'<span title="{summary}">{told}</span>'
        return f'<b title="{summary}" style="color: {accent_of_target(target).css}">{told}</b>'

    if sentences := findings.sentences(name):
        st.html(f'<p style="{LARGE}">{" ".join(sentences)}</p>')
    for doubt in findings.doubts:
        st.caption(f":material/info: {doubt}")


# Large enough for a colour that has a contrast of 3 only (WCAG 1.4.3), and not wider than one reads with ease.
LARGE = "font-size: 1.25rem; line-height: 1.5; max-width: 60rem; margin: 0"


def offer_to_run(scope: Scope, found: Discovery | None, group: str, level: str) -> None:
    """The button that runs discovery, or runs it again, and what it can be run by."""
    label = "Run discovery" if found is None else "Run again"
    job = _asked(scope, group, level)
    kind = "primary" if found is None else "secondary"
    if jobs.work_button(label, job, type=kind, disabled=scope.n_embedded < 2, help=define("discovery")):
        settings = found.result.settings if found is not None and state.read("run") else ProbeSettings()
        request = ProbeRequest(scope.library, scope.info.id, group, level, settings, goes_on=group == "work")
        submit(scope.workspace, request)
        st.rerun()
    with st.popover("Other settings"):
        _other_settings(scope, group, level)


def _asked(scope: Scope, group: str, level: str) -> Job | None:
    """The job that will find this, or that measures what it needs and then asks for it."""
    workspace, chosen = scope.workspace, {"library": scope.library, "encoder_id": scope.info.id}
    job = under_way(workspace, ProbeRequest, **chosen, group=group, level=level, settings=ProbeSettings())
    if job is None and (group, level) == ("work", "track"):
        job = under_way(workspace, TargetsRequest, **chosen)
    return job


def _other_settings(scope: Scope, group: str, level: str) -> None:
    """A run that is kept beside the default one."""
    default = ProbeSettings()
    with st.form("settings", border=False):
        alpha = st.text_input(
            "One penalty in place of several", placeholder=f"{min(default.alphas):g} … {max(default.alphas):g}",
            help="The ridge penalty, alpha: the larger it is, the simpler the rule that is learned. Left empty, the "
            "best of several is chosen, inside each training set.",
        )  # fmt: skip
        n_folds = st.number_input("Folds, 2 to 50", 2, 50, default.n_folds)
        n_permutations = st.number_input("Permutations, 0 to 10,000", 0, 10_000, default.n_permutations, 100)
        seed = st.number_input("Seed, 0 to 1,000,000", 0, 10**6, default.seed)
        has_twin = st.checkbox(
            "Compare with the untrained network",
            value=True,
            help=f"{define('untrained network')} It takes as long to embed with as the encoder itself. Without it "
            "nothing is said to encode.",
        )
        columns = st.multiselect(
            "Instead of the 22 properties", _columns_and_words(scope), placeholder="own targets, columns, words",
            help="A target of your own, a column of your own table, a name such as the instrument, a track feature "
            "such as energy, or how strongly recordings are heard as a word. Numbers are told as numbers, text as "
            "classes.",
            disabled=level != "track",
        )  # fmt: skip
        if st.form_submit_button("Run", type="primary"):
            with frame.explain_errors():
                settings = ProbeSettings(
                    alphas=default.alphas if not alpha.strip() else (parse_alpha(alpha),),
                    n_folds=int(n_folds),
                    n_permutations=int(n_permutations),
                    seed=int(seed),
                    columns=tuple(columns),
                    without=() if has_twin else (UNTRAINED,),
                )
                submit(scope.workspace, ProbeRequest(scope.library, scope.info.id, group, level, settings))
                state.keep("run", run_words(settings))  # it is shown when it has ended
                st.rerun()


def _columns_and_words(scope: Scope) -> list[str]:
    """What can be probed in place of the measured targets."""
    columns = scope.workspace.catalogue.detail_names(scope.library)
    offered = [column for column in columns if not is_companion(column, columns)]
    own = resources.own_target_names()
    offered = [*own, *(column for column in offered if column not in own)]
    kept = [*names_kept(scope.workspace.catalogue, scope.library), *COMPARABLE]
    offered += [name for name in kept if name not in offered]
    tags = tag_scope(scope.workspace, scope.library)
    if tags.n_embedded and scope.info not in tags.info.encoders:
        offered += [word for word in WORDS if word not in offered]
    return offered


def compare(found: Discovery) -> None:
    """Another kept run beside this one: another encoder, another alpha, another seed."""
    others = {title: run for title, run in resources.discoveries(found.library).items() if run.title != found.title}
    if not others:
        return
    beside = st.selectbox(
        "Beside it", list(others), index=None, placeholder="another run: another encoder, or other settings…"
    )
    if beside in others:
        with st.container(border=True):
            st.markdown(f"**The other run**: {frame.plain(beside)}")
            _say(_findings(others[beside]), others[beside].result)
            _say_what_differs(found, others[beside])
            show_heatmap(others[beside], is_beside=True)
            show_scope(others[beside])
            st.caption("All that follows below is of the first run.")


def _say_what_differs(found: Discovery, other: Discovery) -> None:
    """What this run tells better than the other, over the same recordings and folds; or why that cannot be said."""
    try:
        compared = resources.comparison(found, other)
    except InputError as error:
        st.caption(frame.plain(f"Not compared cell by cell: {error}"))
        return
    for sentence in compared.sentences():
        st.text(sentence)
    if compared.cells:
        with st.expander("Where the difference is the surest, in numbers"):
            show_table(
                [
                    {
                        "property": found.result.about(cell.target).title,
                        "layer": str(cell.layer) if compared.by_layer else f"{cell.layer}, {cell.other_layer}",
                        "this run": settled(cell.r2, 2),
                        "the other": settled(cell.other_r2, 2),
                        "difference": settled(cell.delta, 2),
                        "interval": interval(cell.delta_low, cell.delta_high, signed=True),
                        "p (Holm)": settled(cell.p_holm, 3),
                    }
                    for cell in compared.clearest
                ],
                alt="Where the difference is the surest",
            )
            st.caption("Intervals of differences are so wide that all of them hold at once; p is for all cells, too.")


def ask_elsewhere(scope: Scope, found: Discovery) -> None:
    """What of this holds in another library of other works: that, and only that, is established."""
    encoded = any(cell.encodes for cell in found.result.cells)
    others = {}
    for library in resources.workspace().catalogue.libraries():
        kept = resources.discoveries(library.name).values() if library.name != found.library else ()
        alike = [run for run in kept if (run.fingerprint, run.level) == (found.fingerprint, found.level)]
        others |= {run.library: run for run in alike[:1]}
    if not encoded or not others:
        return
    library = st.selectbox("Does it hold elsewhere?", list(others), index=None, placeholder="a library of other works…")
    if library in others:
        with frame.explain_errors():
            works = Scope(scope.workspace, library, scope.info).works
            for sentence in replicate(found, others[library], scope.works, works).sentences():
                st.text(sentence)


def parse_alpha(text: str) -> float:
    """A positive number, or one sentence."""
    try:
        alpha = float(text)
    except ValueError:
        alpha = 0.0
    if not 0 < alpha < 1e12:
        raise InputError(f"Alpha is {text!r}, expected a positive number.")
    return alpha


def show_scope(found: Discovery) -> None:
    """What the figures rest on."""
    result = found.result
    n_tracks, n_rows = counted(found.n_tracks, "track"), counted(result.n_rows, "row")
    facts = f"{n_tracks}, {n_rows}, {counted(result.n_groups, 'group')} ({found.group})"
    with st.expander("Details: what this rests on"):
        st.text(f"{found.title} · {facts} · {counted(result.settings.n_folds, 'fold')} · seed {result.settings.seed}")
        if found.group == "work" and found.n_without_work:
            n_without = counted(found.n_without_work, "track")
            st.caption(f"Without a work in the catalogue: {n_without}; each counts as a work of its own.")
        st.caption(
            "R² has an interval of 95 % for each cell by itself; the intervals of gains are so wide that all of them "
            "hold at once. A cell *encodes* a property if it exceeds every baseline even then (duration, loudness, "
            "density and pitch; log-mel; MFCC; chroma; the same network untrained), and chance does not reach it."
        )


PICTURE, TABLE = "Picture", "Table"
# On a phone the picture keeps the width that its labels need, and is pushed sideways.
PUSHED = """<style>
[class*="st-key-picture-"] { overflow-x: auto; }
@media (max-width: 48rem) { [class*="st-key-picture-"] > * { min-width: 46rem; } }
</style>"""
REVEALED = "click that opened a cell"  # which is brought into sight
_reveal = st.components.v2.component(
    "mess_reveal",
    html="<span></span>",
    js="""
const WAIT_MS = 400; // its figures are drawn a moment later
let shown = null; // the click that was answered: what is drawn again moves nobody
export default ({ data }) => {
  if (data.click === shown) return;
  shown = data.click;
  setTimeout(() => {
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.querySelector(".st-key-cell")?.scrollIntoView({ block: "end", behavior: isStill ? "auto" : "smooth" });
  }, WAIT_MS);
};
""",
)


@st.fragment
def show_heatmap(found: Discovery, *, is_beside: bool = False) -> None:
    """The map; a click on a cell opens it below. Of the run that the page is about, the cell is in the URL."""
    names = {quantity: title for quantity, (title, _) in figures.QUANTITIES.items()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        quantity = st.segmented_control(
            "Show", list(names), default="r2", required=True, key=f"quantity {found.title}",
            format_func=lambda each: names.get(each, str(each)),
            help=define("R²", "gain", "interval", "baseline"),
        )  # fmt: skip
        view = st.segmented_control("As", [PICTURE, TABLE], default=PICTURE, required=True, key=f"view {found.title}")
    quantity = state.offered(quantity, names, "r2")
    chart, cell = f"heatmap {found.title}", f"cell {found.library} {found.title}"
    opened = st.session_state.get(cell) if is_beside else _cell_of_link(found)
    if view == TABLE:
        _show_table(found, quantity)
    else:
        st.html(PUSHED)
        with st.container(key=f"picture {'beside' if is_beside else 'first'}"):
            st.plotly_chart(
                figures.heatmap(found, quantity, opened),
                key=chart,
                on_select=lambda: _open_cell(chart, cell if is_beside else None),
                selection_mode="points",
                config=_camera(found, quantity),
                alt="How well every layer tells every property",
            )
        st.caption(f"{_what_cells_say(found)} {_what_strength_says(found, quantity)} Click a cell to look closer.")
    if opened:
        _show_cell(found, *opened, is_beside=is_beside)
        if not is_beside and REVEALED in st.session_state:
            _reveal(key="reveal", data={"click": st.session_state[REVEALED]})


def _what_cells_say(found: Discovery) -> str:
    """How what is shown, what is told and what is not told look apart; only of what there is."""
    result, told = found.result, figures.told_of(found)
    if is_unfinished(result):
        return f"What of this is told, and better than something plainer, is {NOT_YET}: colours are R² alone."
    if not result.has_intervals:
        return "Of what of this is told nothing can be said: colours are R² alone."
    untold = {each.target for each in result.targets if each.best_layer is not None} - told
    said = []
    if any(figures.is_gain(each) for each in result.cells):
        said.append("Full and outlined: better than everything plainer that it was compared with.")
    elif told:
        said.append("No cell is shown to be better than everything plainer that it was compared with.")
    if told:
        said.append("With a fine line: told, but not shown to be better.")
    if untold or any(each.label == "none" for each in result.cells):
        said.append("Grey: not told reliably.")
    return " ".join(said)


def _what_strength_says(found: Discovery, quantity: str) -> str:
    """What the colour of a cell is, and how strong it is."""
    gains = [cell.gain for cell in found.result.cells if cell.gain is not None]
    scale = f"; full from {number(figures.FULL[quantity])} on" if quantity in figures.FULL else ""
    if quantity == "gain" and gains:
        scale += f", the largest here is {number(max(gains))}" if max(gains) > 0 else ", and here none is above 0"
    return f"Colour: the musical dimension; its strength: {figures.QUANTITIES[quantity][1]}{scale}."


def _show_table(found: Discovery, quantity: str) -> None:
    """The numbers of the picture, and of each target what the first sentences say of it."""
    findings, result = _findings(found), found.result
    cells = {(cell.target, cell.layer): getattr(cell, quantity) for cell in result.cells}
    layers = range(result.n_layers)
    show_table(
        [
            {
                "property": result.about(target).title,
                "measured as": result.about(target).measured_as,
                "dimension": result.about(target).dimension,
                "found": findings.verdict(target),
                **{str(layer): settled(cells[target, layer], 2) for layer in layers},
            }
            for target in figures.in_order(result)
        ],
        column_config={str(layer): st.column_config.NumberColumn(format="%.2f") for layer in layers},
        alt="How well every layer tells every property, in numbers",
    )
    st.caption(f"One column per layer; in each cell {figures.QUANTITIES[quantity][1]}.")


def say_which_layers(scope: Scope) -> None:
    """That a link names a layer of the map that this encoder has not: who made it by hand may mean one of this page."""
    layer, layers = state.read("layer"), [str(layer) for layer in range(scope.info.n_layers)]
    if layer and layer not in (*layers, OF_ASPECTS):
        state.cannot("layer", layer, f"but {scope.info.title} has only {spans('layer', range(scope.info.n_layers))}")
        state.keep("layer", "")


def say_which_cell(found: Discovery) -> None:
    """That the cell in the link is none of this run, once."""
    target, layer = state.read("target"), state.read("at")
    if (target or layer) and _cell_of_link(found) is None:
        named = [f"property {target}"] if target else []
        named += [f"layer {layer}"] if layer else []
        st.text(f"This link asks for {listed(named)}; of that there is no cell here. Click one to look closer.")
        state.keep("target", "")
        state.keep("at", "")


def _cell_of_link(found: Discovery) -> tuple[int, str] | None:
    """The cell in the URL; none where this run has no such cell."""
    target, layer = state.read("target"), state.read("at")
    there = {(str(cell.layer), cell.target) for cell in found.result.cells}
    return (int(layer), target) if (layer, target) in there else None


def _open_cell(chart: str, cell: str | None) -> None:
    """After a click on the map. Kept apart from the map, which forgets the click when it is drawn differently."""
    points = [point["customdata"] for point in st.session_state[chart].selection.points if point.get("customdata")]
    opened = (int(points[0][0]), str(points[0][1])) if points else None
    if cell is not None:
        st.session_state[cell] = opened
        return
    st.session_state[REVEALED] = str(time.monotonic_ns())
    state.keep("at", str(opened[0]) if opened else "")
    state.keep("target", opened[1] if opened else "")
    state.write()  # the rest of the page does not run again for this


@dataclass(frozen=True)
class NamedRow:
    """What one row stands for, as people call it."""

    row: Row
    track: Track

    @property
    def title(self) -> str:
        return f"{self.track.title} · {clock(self.row.start_s, 1)}" if self.row.is_segment else self.track.title

    def group_name(self, group: str) -> str:
        """What a person calls the group that the recording belongs to."""
        names = {"work": self.track.work, "performer": self.track.performer, "session": self.track.session}
        return names.get(group) or self.track.title


def _named_rows(found: Discovery) -> dict[int, NamedRow]:
    """Place -> its row, where the catalogue still knows the recording."""
    known = {track.track_id: track for track in resources.workspace().catalogue.tracks(found.library)}
    rows = resources.rows(found)
    return {place: NamedRow(row, known[row.track_id]) for place, row in rows.items() if row.track_id in known}


def _show_cell(found: Discovery, layer: int, target: str, *, is_beside: bool) -> None:
    """One cell: its scatter, its target over depth, its residuals by group; a point can be heard."""
    result = resources.predictions(found)
    summary, groups, about = result.target(target), result.groups, result.about(target)
    named = _named_rows(found)
    titles = {place: row.title for place, row in named.items()}
    names = {groups[place]: row.group_name(found.group) for place, row in named.items()}
    with st.container(key="cell beside" if is_beside else "cell"):  # all that is brought into sight by a click
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(f"{_shown(about, about.title)}, layer {layer}", anchor=False, width="content")
            _offer_to_listen(found, layer)
        st.caption(_shown(about, _in_depth(about)))
        if summary.best_layer is None:
            st.caption(frame.plain(f"No value: {summary.reason}."))
            return
        if summary.classes is not None:
            _show_classes(found, summary, summary.classes, layer)
            return
        left, right = st.columns(2, gap="medium")
        with left:
            event = st.plotly_chart(
                figures.predicted_against_true(summary, about, layer, titles, groups, names),
                key=f"scatter {found.title} {target} {layer}", on_select="rerun", selection_mode="points",
                config=_camera(found, f"{target}-{layer}-scatter"), alt="Predicted against measured values",
            )  # fmt: skip
        right.plotly_chart(
            figures.layer_profile(found, summary),
            key=f"profile {found.title} {target}",
            config=_camera(found, f"{target}-profile"),
            alt="R² over the layers",
        )
    worst = counted(min(figures.MAX_COLOURS, len(set(groups))), NOUNS.get(found.group, "group"))
    st.caption(
        f"In colour: the {worst} that this layer misses most, as in the boxes below; all others are grey. On the line, "
        "what is predicted is what was measured. A point says its name, and is heard with a click."
    )
    st.plotly_chart(
        figures.residuals_by_group(summary, layer, groups, titles, names),
        key=f"residuals {found.title} {target} {layer}",
        config=_camera(found, f"{target}-{layer}-residuals"),
        alt="Residuals of each group",
    )
    which = "; which of them is best cannot be told" if len(summary.best_set) > 1 else ""
    if is_unfinished(result):
        st.caption(f"Whether it is told, and where best, is {NOT_YET}.")
    else:
        best = "Told best" if target in figures.told_of(found) else "Not told reliably; highest"
        st.caption(f"{best} in {spans('layer', summary.best_set)}{which}.")
    with st.expander("Details: how sure that is"):
        st.caption(_how_sure(summary, is_open=is_unfinished(result)))
    rows = [int(point["customdata"]) for point in event.selection.points if "customdata" in point]
    if rows:
        _play(named[rows[0]], key=f"player {found.title}")


def _shown(about: Target, text: str) -> str:
    """What is said of a target: of one's own it is untrusted text."""
    return frame.plain(text) if about.dimension == OWN else text


def _show_classes(found: Discovery, summary: TargetProbe, facts: ClassFacts, layer: int) -> None:
    """One cell of a target of classes: which class is taken for which, and how that goes over depth."""
    left, right = st.columns(2, gap="medium")
    target = summary.target
    left.plotly_chart(
        figures.confusion(summary, layer), key=f"confusion {found.title} {target} {layer}",
        config=_camera(found, f"{target}-{layer}-confusion"), alt="Which class is taken for which",
    )  # fmt: skip
    right.plotly_chart(
        figures.layer_profile(found, summary), key=f"profile {found.title} {target}",
        config=_camera(found, f"{target}-profile"), alt="Errors of guessing avoided, over the layers",
    )  # fmt: skip
    told = found.result.cell(layer, target).classes
    if told is not None:
        st.caption(
            f"{figures.share(told.accuracy)} right; guessing the commonest gives {figures.share(facts.commonest)}. "
            f"As a mean over the {len(facts.names)} classes {figures.share(told.balanced)}. AUC {number(told.auc)} "
            f"{interval(told.auc_low, told.auc_high)}".rstrip()
            + "."
        )
    for left_out in facts.left_out:
        st.caption(frame.plain(f"{left_out}."))


def _how_sure(summary: TargetProbe, *, is_open: bool) -> str:
    """What the figures of one target rest on, for who knows how probing is done."""
    said = []
    if summary.nested_r2_low is None and is_open:
        return f"How sure it is, is {NOT_YET}."
    if len(summary.best_set) > 1:
        said.append("The best layers are within one standard error of each other.")
    said.append(
        f"With the layer, too, chosen in training: R² {number(summary.nested_r2)} "
        f"{interval(summary.nested_r2_low, summary.nested_r2_high)}".rstrip()
        + "."
    )
    if summary.ceiling:
        said.append(f"Its raters agree up to R² {number(summary.ceiling)}: nobody can do better.")
    said += [
        f"Who knows nothing but the {name} tells it with R² {number(r2)} (a leak detector)."
        for name, r2 in summary.identities.items()
    ]
    return " ".join(said)


def _offer_to_listen(found: Discovery, layer: int) -> None:
    """On to Listen, where this layer alone listens and no aspect is asked for; the way back leads to this cell."""
    nothing = dict.fromkeys([*ASPECTS, "not", "geometry"], "")
    frame.link(
        "pages/4_Listen.py", "Listen with this layer", ":material/headphones:", **nothing,
        hearing=layer_hearing(found.encoder, layer), library=found.library,
    )  # fmt: skip


def _play(named: NamedRow, key: str) -> None:
    """The recording from where the row begins: that is the clock's zero."""
    row, key = named.row, f"{key} {named.row.row_id}"
    track = replace(PlayerTrack.of(named.track), label=named.title, offset_s=row.start_s)
    keep_heard(player([track], key=key), key)


def show_aspects(found: Discovery) -> None:
    """What a listener may ask for, and what supports it."""
    st.subheader("What one can ask for", anchor=False, help=define("aspect", "evidence", "target"))
    is_open = is_unfinished(found.result)
    show_table(
        [
            {
                "aspect": frame.aspect_title(name),
                "evidence": NOT_YET if is_open else evidence.label,
                "best in": spans("layer", evidence.layers) if evidence.has_evidence and not is_open else "",
                "measured by": listed([target_of(target).measured_as for target in evidence.targets]),
            }
            for name, evidence in found.aspects.items()
        ],
        height="content",  # all of them: what is below the edge of a table nobody finds
        alt="What one can ask for, with its evidence",
    )
    if not is_open:
        st.caption(
            "Evidence says how surely this encoder tells it at all. That it does so better than something plainer, "
            "such as a spectrum, is another question: that is the gain."
        )


def show_exports(found: Discovery) -> None:
    """The table as files, and what kind of file the camera above each figure saves."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = _file_name(found)
        st.download_button(
            "CSV", partial(cells_as_csv, found), f"{name}.csv", "text/csv", on_click="ignore", key="cells-csv"
        )
        document = partial(json.dumps, found.as_document(), indent=2, allow_nan=False)
        st.download_button("JSON", document, f"{name}.json", "application/json", on_click="ignore", key="cells-json")
        st.segmented_control(
            "Figures as", charts.IMAGE_FORMATS, default="png", required=True, key="figures", format_func=str.upper,
            help="The camera above a figure saves it.",
        )  # fmt: skip


def _file_name(found: Discovery) -> str:
    return f"layers-{found.encoder.replace(':', '-')}-{found.group}-{found.level}"


def _camera(found: Discovery, figure: str) -> dict[str, Any]:
    """The camera button of one figure; the format is chosen beside the other exports, further down."""
    return charts.camera(st.session_state.get("figures", "png"), f"{_file_name(found)}-{figure}")


def explain() -> None:
    """For a musicologist."""
    with st.expander("How to read this"):
        st.write(
            "Each cell asks: can this property be read off this layer, by a simple linear rule, for music the rule has "
            "not seen? R² is the share of the differences between recordings that it explains: 1 is all, 0 is none, "
            "below 0 is worse than guessing the average. Works are kept apart, so that recognising a piece does not "
            "count as hearing its brightness."
        )
        st.write(
            "A high R² alone proves little: much of brightness can be read off any spectrum. So every cell is compared "
            "with duration, loudness, density and pitch, with the log-mel spectrum, with MFCC, with chroma (which "
            "notes sound) and with the same network untrained. The heatmap is hundreds of chances to be fooled, so the "
            "intervals of gains are drawn so wide that all of them hold at once. Only a cell that beats every baseline "
            "even then, and that chance does not reach, *encodes* the property: it exceeds every baseline on this "
            "library. That it holds elsewhere, another library has to show."
        )
        st.write(
            "With a segment as the row, a layer may score by telling recordings apart. So the R² inside recordings is "
            "given too: the differences between the segments of one recording, and how much of them it explains."
        )
