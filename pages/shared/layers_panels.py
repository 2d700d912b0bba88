"""The panels of 2_Layers: what was probed and how, the heatmap, one cell in depth, the aspects, the exports."""

from __future__ import annotations

import json

import streamlit as st

from mess_core.discovery import GROUPS, MIN_GROUPS, MIN_TRACKS, Discovery
from mess_core.errors import InputError
from mess_core.exports import cells_as_csv
from mess_core.probing.result import ProbeSettings
from mess_core.targets.registry import TARGETS
from pages.shared import charts, frame, resources, state
from pages.shared.jobs_panel import show_jobs, show_outcome
from pages.shared.player import PlayerTrack, player

FEW_GROUPS = 10  # below it an interval says little


def choose() -> tuple[str, str]:
    """Grouping and level; both in the URL."""
    left, right = st.columns(2)
    state.restore("group", GROUPS)
    group = left.selectbox(
        "Never split", GROUPS, key="group", bind="query-params",
        help="What is never on both sides of a split: with `work`, a layer is always tested on works it has not seen.",
    )  # fmt: skip
    state.restore("level", ["track", "segment"])
    first = state.default("level", default="track")
    level = right.segmented_control("One row is a", ["track", "segment"], required=True, key="level", **first)
    return state.keep("group", group), state.keep("level", level)


def find(encoder_id: str, group: str, level: str) -> Discovery | None:
    """What was found, or the way to find it."""
    home, info, library = resources.home(), resources.info(encoder_id), frame.library()
    jobs = home.jobs.active()
    kept = [run for run in resources.discoveries(library).values() if run.fingerprint == info.fingerprint]
    kept = [run for run in kept if (run.group, run.level) == (group, level)]
    found = min(kept, key=lambda run: len(run.title), default=None)  # the default settings have no words in the title
    show_jobs(jobs)
    show_outcome(home.jobs.latest("probe", library=library, encoder=encoder_id))
    n_tracks, n_embedded = len(home.catalogue.track_ids(library)), home.n_embedded(library, info)
    if found is None:
        frame.notice(
            "Nothing probed yet",
            f"Discovery runs by itself after the embedding of at least {MIN_TRACKS} tracks in {MIN_GROUPS} works. "
            f"This library has {n_tracks} tracks, {n_embedded} of them embedded with {info.title}.",
            "" if n_embedded else "Embed it on the Library page first.",
        )
    elif found.content != home.index_content(library, info):
        st.caption(f"Measured on {found.n_tracks} of now {n_embedded} embedded tracks; run it again to include them.")
    with st.container(horizontal=True):
        label = "Run discovery" if found is None else "Run again"
        if st.button(label, type="primary" if found is None else "secondary", disabled=n_embedded < 2):
            home.request_probe(library, encoder_id, group, level)
            st.rerun()
        with st.popover("Other settings"):
            _other_settings(encoder_id, group, level)
    return found


def _other_settings(encoder_id: str, group: str, level: str) -> None:
    """A run that is kept beside the default one."""
    default = ProbeSettings()
    with st.form("settings", border=False):
        alpha = st.text_input(
            "One alpha instead of the grid", placeholder=f"{min(default.alphas):g} … {max(default.alphas):g}"
        )
        n_folds = st.number_input("Folds", 2, 50, default.n_folds)
        n_permutations = st.number_input("Permutations", 0, 10_000, default.n_permutations, 100)
        seed = st.number_input("Seed", 0, 10**6, default.seed)
        if st.form_submit_button("Run", type="primary"):
            with frame.explain_errors():
                settings = ProbeSettings(
                    alphas=default.alphas if not alpha.strip() else (parse_alpha(alpha),),
                    n_folds=int(n_folds),
                    n_permutations=int(n_permutations),
                    seed=int(seed),
                )
                resources.home().request_probe(frame.library(), encoder_id, group, level, settings)
            st.rerun()


def compare(found: Discovery) -> None:
    """Another kept run beside this one: another encoder, another alpha, another seed."""
    others = {title: run for title, run in resources.discoveries(found.library).items() if run.title != found.title}
    if not others:
        return
    beside = st.selectbox("Beside it", list(others), index=None, placeholder="another run: encoder, alpha, seed…")
    if beside is not None:
        st.markdown("**The other run**")
        show_scope(others[beside])
        show_heatmap(others[beside])


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
    facts = f"{found.n_tracks} tracks, {result.n_rows} rows, {result.n_groups} groups ({found.group})"
    st.text(f"{found.title} · {facts} · {result.settings.n_folds} folds · seed {result.settings.seed}")
    if found.group == "work" and found.n_without_work:
        st.caption(f"{found.n_without_work} tracks have no work in the catalogue; each counts as a work of its own.")
    if result.n_groups < FEW_GROUPS:
        st.caption(f":material/warning: Only {result.n_groups} groups: the intervals say little.")
    if not result.has_null:
        st.caption("The comparison with chance is not done yet: the word “encodes” waits for it.")


@st.fragment
def show_heatmap(found: Discovery) -> None:
    """The map; a click on a cell opens it below."""
    names = {quantity: title for quantity, (title, _) in charts.QUANTITIES.items()}
    quantity = st.segmented_control(
        "Show", list(names), default="r2", required=True, key=f"quantity {found.title}", format_func=names.__getitem__
    )
    event = st.plotly_chart(
        charts.heatmap(found, quantity),
        key=f"heatmap {found.title}",
        on_select="rerun",
        selection_mode="points",
        alt="R² of every layer for every target",
    )
    st.caption(
        f"{charts.QUANTITIES[quantity][1]}. A stroke marks a cell whose gain over the best baseline may be nothing, "
        "a dot one whose gain is real. Click a mark to look closer."
    )
    points = [point["customdata"] for point in event.selection.points if point.get("customdata")]
    if points:
        _show_cell(found, int(points[0][0]), str(points[0][1]))


def _show_cell(found: Discovery, layer: int, target: str) -> None:
    """One cell: its scatter, its target over depth, its residuals by group; a point can be heard."""
    home, summary = resources.home(), found.result.target(target)
    st.subheader(f"{TARGETS[target].title}, layer {layer}", anchor=False)
    st.caption(TARGETS[target].summary)
    if summary.best_layer is None:
        st.caption(f"No value: {summary.reason}.")
        return
    known = {track.track_id: track for track in home.catalogue.tracks(found.library)}
    titles = {
        row: known[row_id.split(":")[0]].title
        for row, row_id in enumerate(found.row_ids)
        if row_id.split(":")[0] in known
    }
    left, right = st.columns(2, gap="medium")
    with left:
        event = st.plotly_chart(
            charts.predicted_against_true(summary, layer, titles, found.result.groups),
            key=f"scatter {found.title} {target} {layer}", on_select="rerun", selection_mode="points",
            alt="Predicted against measured values",
        )  # fmt: skip
    right.plotly_chart(
        charts.layer_profile(found, summary), key=f"profile {found.title} {target}", alt="R² over the layers"
    )
    st.caption(
        f"If the layer, too, is chosen in training: R² {charts.number(summary.nested_r2)} "
        f"[{charts.number(summary.nested_r2_low)}, {charts.number(summary.nested_r2_high)}]. "
        f"Layers within one standard error of the best: {', '.join(map(str, summary.best_set))}. "
        + "".join(f"Leak detector {name}: {charts.number(r2)}. " for name, r2 in summary.identities.items())
    )
    st.plotly_chart(
        charts.residuals_by_group(summary, layer, found.result.groups, titles),
        key=f"residuals {found.title} {target} {layer}",
        alt="Residuals of each group",
    )
    rows = [int(point["customdata"]) for point in event.selection.points if "customdata" in point]
    if rows:
        track = known[found.row_ids[rows[0]].split(":")[0]]
        player([PlayerTrack.of(track)], key=f"player {found.title}")


def show_aspects(found: Discovery) -> None:
    """What a listener may ask for, and what supports it."""
    st.subheader("Aspects", anchor=False)
    st.dataframe(
        [
            {
                "aspect": name.replace("_", " "),
                "evidence": evidence.label,
                "layers": ", ".join(map(str, evidence.layers)),
                "measured by": ", ".join(TARGETS[target].title for target in evidence.targets),
            }
            for name, evidence in found.aspects.items()
        ],
        hide_index=True,
        width="stretch",
    )


def show_exports(found: Discovery) -> None:
    """The table as files; the figures have their own menu for PNG."""
    with st.container(horizontal=True):
        name = f"layers-{found.encoder.replace(':', '-')}-{found.group}-{found.level}"
        st.download_button("CSV", cells_as_csv(found), f"{name}.csv", "text/csv", on_click="ignore", key="cells-csv")
        document = json.dumps(found.as_document(), indent=2, allow_nan=False)
        st.download_button("JSON", document, f"{name}.json", "application/json", on_click="ignore", key="cells-json")


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
            "with duration, loudness, density and pitch, with the log-mel spectrum, with MFCC and with the same "
            "network untrained. Only a cell that beats all of them, its interval considered, and that chance does not "
            "reach, *encodes* the property."
        )
