"""The panels of 2_Layers: what was probed and how, the heatmap, one cell in depth, the aspects, the exports."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.errors import InputError
from mess_core.handover.exports import cells_as_csv
from mess_core.probing.ceiling import is_companion
from mess_core.probing.data import UNTRAINED
from mess_core.probing.discovery import GROUPS, MIN_TRACKS, Discovery
from mess_core.probing.replication import replicate
from mess_core.probing.result import ProbeResult, ProbeSettings
from mess_core.probing.rows import Row
from mess_core.probing.uncertainty import FEW_GROUPS, MIN_GROUPS, groups_for_half
from mess_core.storage.jobs import Job
from mess_core.targets.registry import target_of
from mess_core.words import counted
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit, under_way
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, jobs, resources, state
from pages.shared.layers import figures
from pages.shared.widgets import charts
from pages.shared.widgets.player.player import PlayerTrack, player


def choose() -> tuple[str, str]:
    """Grouping and level; both in the URL."""
    left, right = st.columns(2)
    columns = resources.workspace().catalogue.detail_names(frame.library())
    groups = [*GROUPS, *(column for column in columns if not is_companion(column, columns))]
    group = state.sticky(
        left.selectbox, "Never split", options=groups, key="group",
        help="What is never on both sides of a split: with `work`, a layer is always tested on works it has not seen.",
    )  # fmt: skip
    levels = ["track", "segment"]
    level = state.sticky(right.segmented_control, "One row is a", options=levels, required=True, key="level")
    return group, level


def find(scope: Scope, group: str, level: str) -> Discovery | None:
    """What was found, or the way to find it."""
    kept = [run for run in resources.discoveries(scope.library).values() if run.fingerprint == scope.info.fingerprint]
    kept = [run for run in kept if (run.group, run.level) == (group, level)]
    found = min(kept, key=lambda run: len(run.title), default=None)  # the default settings have no words in the title
    n_tracks, n_embedded = scope.workspace.catalogue.n_tracks(scope.library), scope.n_embedded
    if found is None:
        frame.notice(
            "Nothing probed yet",
            f"Discovery runs by itself after the embedding of at least {MIN_TRACKS} tracks in {MIN_GROUPS} works. "
            f"This library has {counted(n_tracks, 'track')}, {n_embedded} of them embedded with {scope.info.title}.",
            "" if n_embedded else "Embed it on the Library page first.",
        )
    elif why := found.why_again(scope.content, n_embedded):
        st.caption(why)
    with st.container(horizontal=True):
        label = "Run discovery" if found is None else "Run again"
        job = _asked(scope, group, level)
        kind = "primary" if found is None else "secondary"
        if jobs.work_button(label, job, type=kind, disabled=n_embedded < 2):
            request = ProbeRequest(scope.library, scope.info.id, group, level, goes_on=group == "work")
            submit(scope.workspace, request)
            st.rerun()
        with st.popover("Other settings"):
            _other_settings(scope, group, level)
    return found


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
            "One alpha instead of the grid", placeholder=f"{min(default.alphas):g} … {max(default.alphas):g}"
        )
        n_folds = st.number_input("Folds", 2, 50, default.n_folds)
        n_permutations = st.number_input("Permutations", 0, 10_000, default.n_permutations, 100)
        seed = st.number_input("Seed", 0, 10**6, default.seed)
        has_twin = st.checkbox(
            "Compare with the untrained network",
            value=True,
            help="It takes as long to embed with as the encoder itself. Without it nothing is said to encode.",
        )
        if st.form_submit_button("Run", type="primary"):
            with frame.explain_errors():
                settings = ProbeSettings(
                    alphas=default.alphas if not alpha.strip() else (parse_alpha(alpha),),
                    n_folds=int(n_folds),
                    n_permutations=int(n_permutations),
                    seed=int(seed),
                    without=() if has_twin else (UNTRAINED,),
                )
                submit(scope.workspace, ProbeRequest(scope.library, scope.info.id, group, level, settings))
                st.rerun()


def compare(found: Discovery) -> None:
    """Another kept run beside this one: another encoder, another alpha, another seed."""
    others = {title: run for title, run in resources.discoveries(found.library).items() if run.title != found.title}
    if not others:
        return
    beside = st.selectbox("Beside it", list(others), index=None, placeholder="another run: encoder, alpha, seed…")
    if beside in others:
        with st.container(border=True):
            st.markdown("**The other run**")
            show_scope(others[beside])
            show_heatmap(others[beside], is_beside=True)
            st.caption("All that follows below is of the first run.")


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
    """What the figures rest on, before any figure."""
    result = found.result
    n_tracks, n_rows = counted(found.n_tracks, "track"), counted(result.n_rows, "row")
    facts = f"{n_tracks}, {n_rows}, {counted(result.n_groups, 'group')} ({found.group})"
    st.text(f"{found.title} · {facts} · {result.settings.n_folds} folds · seed {result.settings.seed}")
    if found.group == "work" and found.n_without_work:
        n_without = counted(found.n_without_work, "track")
        st.caption(f"Without a work in the catalogue: {n_without}; each counts as a work of its own.")
    job = under_way(
        resources.workspace(), ProbeRequest,
        library=found.library, encoder_id=found.encoder, group=found.group, level=found.level, settings=result.settings,
    )  # fmt: skip
    for sentence in how_sure(result, is_under_way=job is not None):
        st.caption(sentence)


def how_sure(result: ProbeResult, *, is_under_way: bool = True) -> list[str]:
    """What the reader must know of the intervals and of the word "encodes"."""
    n_groups, said = counted(result.n_groups, "group"), []
    if result.n_groups < MIN_GROUPS:
        said.append(f":material/warning: Only {n_groups}: no interval can be given below {MIN_GROUPS}.")
    elif not result.has_null and not is_under_way and result.settings.n_permutations:
        said.append(
            ":material/warning: Provisional: this discovery was ended before it was done. Run it again to finish it."
        )
    elif not result.has_null:
        said.append(
            "The comparison with chance is not done yet: the word “encodes” waits for it."
            if result.has_intervals
            else "Provisional: R² alone so far; intervals and baselines are being worked out."
        )
    elif not result.has_intervals:
        said.append(
            ":material/warning: An earlier version made this, whose intervals were too narrow: they are not shown. "
            "R² is right. Run it again to see how sure it is."
        )
    elif result.n_groups < FEW_GROUPS:
        more = counted(groups_for_half(result.n_groups), "more group")
        said.append(f":material/warning: Only {n_groups}: the intervals are wide. {more} would halve them.")
    if result.has_null and result.has_intervals and result.why_no_word:
        said.append(f"Nothing here may be said to “encode”: {result.why_no_word}.")
    return said


@st.fragment
def show_heatmap(found: Discovery, *, is_beside: bool = False) -> None:
    """The map; a click on a cell opens it below. Of the run that the page is about, the cell is in the URL."""
    names = {quantity: title for quantity, (title, _) in figures.QUANTITIES.items()}
    quantity = st.segmented_control(
        "Show", list(names), default="r2", required=True, key=f"quantity {found.title}", format_func=names.__getitem__
    )
    chart, cell = f"heatmap {found.title}", f"cell {found.library} {found.title}"
    st.plotly_chart(
        figures.heatmap(found, quantity),
        key=chart,
        on_select=lambda: _open_cell(chart, cell if is_beside else None),
        selection_mode="points",
        config=_camera(found, quantity),
        alt="R² of every layer for every target",
    )
    st.caption(
        f"{figures.QUANTITIES[quantity][1]}. A stroke marks a cell whose gain over some baseline may be nothing, "
        "a dot one that exceeds every baseline, all cells considered at once. Click a mark to look closer."
    )
    opened = st.session_state.get(cell) if is_beside else _cell_of_link(found)
    if opened:
        _show_cell(found, *opened)


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
        return f"{self.track.title} · {charts.clock(self.row.start_s)}" if self.row.is_segment else self.track.title

    def group_name(self, group: str) -> str:
        """What a person calls the group that the recording belongs to."""
        names = {"work": self.track.work, "performer": self.track.performer, "session": self.track.session}
        return names.get(group) or self.track.title


def _named_rows(found: Discovery) -> dict[int, NamedRow]:
    """Place -> its row, where the catalogue still knows the recording."""
    known = {track.track_id: track for track in resources.workspace().catalogue.tracks(found.library)}
    rows = resources.rows(found)
    return {place: NamedRow(row, known[row.track_id]) for place, row in rows.items() if row.track_id in known}


def _show_cell(found: Discovery, layer: int, target: str) -> None:
    """One cell: its scatter, its target over depth, its residuals by group; a point can be heard."""
    summary, groups = found.result.target(target), found.result.groups
    st.subheader(f"{target_of(target).title}, layer {layer}", anchor=False)
    st.caption(target_of(target).summary)
    if summary.best_layer is None:
        st.caption(f"No value: {summary.reason}.")
        return
    named = _named_rows(found)
    titles = {place: row.title for place, row in named.items()}
    left, right = st.columns(2, gap="medium")
    with left:
        event = st.plotly_chart(
            figures.predicted_against_true(summary, layer, titles, groups),
            key=f"scatter {found.title} {target} {layer}", on_select="rerun", selection_mode="points",
            config=_camera(found, f"{target}-{layer}-scatter"), alt="Predicted against measured values",
        )  # fmt: skip
    right.plotly_chart(
        figures.layer_profile(found, summary),
        key=f"profile {found.title} {target}",
        config=_camera(found, f"{target}-profile"),
        alt="R² over the layers",
    )
    st.caption(
        f"If the layer, too, is chosen in training: R² {charts.number(summary.nested_r2)} "
        f"[{charts.number(summary.nested_r2_low)}, {charts.number(summary.nested_r2_high)}]. "
        f"Layers within one standard error of the best: {', '.join(map(str, summary.best_set))}. "
        + (
            f"Its raters agree up to R² {charts.number(summary.ceiling)}: nobody can do better. "
            if summary.ceiling
            else ""
        )
        + "".join(f"Leak detector {name}: {charts.number(r2)}. " for name, r2 in summary.identities.items())
    )
    st.plotly_chart(
        figures.residuals_by_group(
            summary, layer, groups, titles,
            {groups[place]: row.group_name(found.group) for place, row in named.items()},
        ),
        key=f"residuals {found.title} {target} {layer}",
        config=_camera(found, f"{target}-{layer}-residuals"),
        alt="Residuals of each group",
    )  # fmt: skip
    rows = [int(point["customdata"]) for point in event.selection.points if "customdata" in point]
    if rows:
        _play(named[rows[0]], key=f"player {found.title}")


def _play(named: NamedRow, key: str) -> None:
    """The recording from where the row begins: that is the clock's zero."""
    row = named.row
    track = replace(PlayerTrack.of(named.track), id=row.row_id, label=named.title, offset_s=row.start_s)
    player([track], key=f"{key} {row.row_id}")


def show_aspects(found: Discovery) -> None:
    """What a listener may ask for, and what supports it."""
    st.subheader("Aspects", anchor=False)
    st.dataframe(
        [
            {
                "aspect": frame.aspect_title(name),
                "evidence": evidence.label,
                "layers": ", ".join(map(str, evidence.layers)),
                "measured by": ", ".join(target_of(target).title for target in evidence.targets),
            }
            for name, evidence in found.aspects.items()
        ],
        hide_index=True,
        width="stretch",
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
