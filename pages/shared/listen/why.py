"""Why a neighbour is there: what each aspect contributes, what was measured, and which moments match."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from mess_core.numbers import brief, number
from mess_core.search.answers import Answer, FoundTrack
from mess_core.search.comparisons import MomentMap, TargetPair, compare_targets, key_of, map_moments
from mess_core.search.reasons import Reason
from mess_core.targets.registry import TARGETS
from mess_core.work.request import latest, submit
from mess_core.work.targets import MeasureRequest
from pages.shared.app import frame, jobs, resources, state
from pages.shared.app.frame import aspect_title
from pages.shared.app.table import show_table
from pages.shared.listen.aspects import NOT_YET
from pages.shared.widgets import charts
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

MOST_CELLS = 40  # on either side of the map of moments: each is an element of the page
HEARD_S = 10.0  # of a moment that is clicked
STRETCH = "#e0803a"
NOTHING = "Nothing was discovered for this library, so there are no directions to compare along."


@st.fragment
def show_why(found: Answer, reasons: dict[str, list[Reason]]) -> None:
    """One neighbour in depth; only the tab that is open is worked out."""
    st.subheader("Why?", anchor=False)
    by_id = {item.track.track_id: item for item in found.found}
    track_id = st.selectbox(
        "Recording", list(by_id), key="why",
        format_func=lambda each: f"#{by_id[each].neighbour.rank} {by_id[each].track.title}" if each in by_id else each,
    )  # fmt: skip
    track_id = state.offered(track_id, by_id, found.found[0].track.track_id)
    aspects, values, moments = st.tabs(["Aspects", "Measured values", "Moments"], key="why tab", on_change="rerun")
    if aspects.open:
        with aspects:
            _show_aspects(found, by_id[track_id], reasons[track_id])
    if values.open:
        with values:
            _show_values(found, by_id[track_id])
    if moments.open:
        with moments:
            _show_moments(found, by_id[track_id])


def _off_by(pair: TargetPair) -> str:
    return "" if pair.error is None else f"± {brief(pair.error)} {pair.unit}"


def _show_aspects(found: Answer, item: FoundTrack, reasons: list[Reason]) -> None:
    """What was asked for and how it adds up; then all aspects with evidence."""
    if item.neighbour.aspects:
        st.plotly_chart(contributions(found), key="contributions", config=charts.camera("svg", "contributions"),
                        alt="What each aspect contributes to each neighbour")  # fmt: skip
        st.caption(
            "Each bar adds up to one neighbour's similarity."
            + (" 0 is the same: what is long keeps it away." if found.plan.kind.has_directions else "")
        )
    if not reasons:
        is_coming = jobs.is_under_way(found.plan.scope.library, *jobs.TELLING)
        st.caption(NOT_YET if is_coming else NOTHING)
        return
    show_table(
        [
            {
                "aspect": aspect_title(reason.aspect),
                "closer than": reason.percentile,
                "beside the query": _beside(reason),
                "in this library": reason.in_library,
            }
            for reason in reasons
        ],
        column_config={"closer than": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)},
        alt="Aspects of this neighbour beside the query",
    )


def _beside(reason: Reason) -> str:
    by_sd = number(abs(reason.difference_sd), 1)
    return "the same" if by_sd == "0.0" else f"{reason.word} by {by_sd} SD"


def contributions(found: Answer) -> go.Figure:
    """Stacked bars, one per neighbour; their length is the similarity."""
    names = [charts.plain(f"{item.neighbour.rank}. {item.track.title[:30]}") for item in found.found]
    titles = [charts.plain(item.track.title) for item in found.found]
    bars = []
    for place, aspect in enumerate(found.plan.question.weights):
        scores = [(item.neighbour.aspects or {}).get(aspect) for item in found.found]
        bars.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": [score.contribution if score else 0.0 for score in scores],
                "y": names,
                "name": aspect_title(aspect),
                "marker": {"color": charts.SERIES[place % len(charts.SERIES)]},
                "text": titles,
                "textposition": "none",
                "hovertemplate": "%{text}<br>" + aspect_title(aspect) + ": %{x:.3f}<extra></extra>",
            }
        )
    layout = {
        "barmode": "relative",
        "height": 110 + 24 * len(names),
        "margin": {"l": 10, "r": 10, "t": 10, "b": 40},
        "xaxis": {"title": {"text": "contribution to similarity"}},
        "yaxis": {"autorange": "reversed", "type": "category", "dtick": 1, "automargin": True},
        "legend": {"orientation": "h", "y": 1.15},
    }
    # Made at once: this runs at every move of a slider, and adding bar by bar takes five times as long.
    return go.Figure(bars, layout)


def _show_values(found: Answer, item: FoundTrack) -> None:
    """Both recordings' targets, in their units."""
    workspace, query_id = resources.workspace(), found.query.track_id
    job = latest(workspace, MeasureRequest, track_id=query_id)
    if not workspace.measurements.of_track(query_id):
        if job is not None and job.is_active:
            st.caption("The query is being measured.")
        elif st.button(
            "Measure the query", key="measure", help="Takes a second or two; the library is measured already."
        ):
            submit(workspace, MeasureRequest(query_id))
            st.rerun()
    pairs = compare_targets(workspace, resources.discovery(found.plan.scope), query_id, item.track.track_id)
    if not pairs:
        st.caption("Nothing was measured of these recordings yet; discovery on the Layers page measures the library.")
        return
    is_told = any(pair.error is not None for pair in pairs)
    show_table(
        [
            {
                "property": TARGETS[pair.target].title,
                "measured as": TARGETS[pair.target].measured_as,
                "query": pair.query,
                "this one": pair.track,
                "unit": pair.unit,
                **({"the encoder is off by": _off_by(pair)} if is_told else {}),
                "how": "estimated" if pair.is_weak else "measured",
            }
            for pair in pairs
        ],
        column_config={name: st.column_config.NumberColumn(format="%.4g") for name in ("query", "this one")},
        alt="Measured properties of query and neighbour",
    )
    keys = [key_of(workspace, track_id) or "unknown" for track_id in (query_id, item.track.track_id)]
    st.caption(
        f"Key, as estimated: {keys[0]} (query), {keys[1]} (this one). Energy, valence, acousticness, instrumentalness "
        "and speechiness are heuristic indices: rules of thumb."
    )
    st.caption(
        "Measured in the audio, or in the MIDI where there is one."
        + (
            " *Off by*: how far the best layer typically is from the measured value on works it was not fitted on; "
            "differences below it cannot be told by searching."
            if is_told
            else ""
        )
    )


def _show_moments(found: Answer, item: FoundTrack) -> None:
    """The map of moments; a click on a cell is heard in both."""
    plan, workspace = found.plan, resources.workspace()
    moments = map_moments(resources.index(plan), plan, found.query, item.track.track_id, found.passage)
    name = f"moments {found.query.track_id} {item.track.track_id} {plan.key} {plan.question.weights} {found.passage}"
    event = st.plotly_chart(
        moment_map(moments), key=name, on_select="rerun", selection_mode="points",
        config=charts.camera("svg", "moments"), alt="Every moment of the query against every moment of the track",
    )  # fmt: skip
    what = "query" if found.passage is None else "passage"
    st.caption(
        f"Darker is more alike. The thin line lays the {what} along the track, moment by moment. The thick ones, each "
        "from its ring on, are the best stretches: alike all along, so a single cell elsewhere may be darker. Click a "
        "cell to hear that moment in both."
    )
    points = [point["customdata"] for point in event.selection.points if point.get("customdata")]
    if points:
        at = float(points[0][0]), float(points[0][1])
    elif moments.moments:
        at = moments.moments[0].query_s, moments.moments[0].track_s
    else:
        return
    st.text(f"Query at {frame.clock(at[0])}, #{item.neighbour.rank} at {frame.clock(at[1])}")
    query = workspace.catalogue.track(found.query.track_id)
    track = PlayerTrack.of(item.track, f"#{item.neighbour.rank} ")
    track = PlayerTrack(**{**vars(track), "offset_s": at[1] - at[0], "moment": (at[1], HEARD_S)})
    end_s = min(at[0] + HEARD_S, query.duration_s)
    asked = PlayerTrack(**{**vars(PlayerTrack.of(query)), "moment": (at[0], HEARD_S)})
    key = f"player {name}"
    report = player([asked, track], key=key, region=(at[0], end_s) if end_s > at[0] else None)
    keep_heard(report, key, query.track_id)


def moment_map(moments: MomentMap) -> go.Figure:
    """Query upward, track rightward; long recordings in steps of several segments, each the best inside it."""
    down = max(1, math.ceil(len(moments.query_starts_s) / MOST_CELLS))
    right = max(1, math.ceil(len(moments.track_starts_s) / MOST_CELLS))
    rows, columns = _steps(moments.query_starts_s, down), _steps(moments.track_starts_s, right)
    best = [
        [max((moments.similarities[i][j], -i, -j) for i in row for j in column) for column in columns] for row in rows
    ]
    query_s, track_s = _middles(moments.query_starts_s, rows), _middles(moments.track_starts_s, columns)
    figure = go.Figure(
        go.Heatmap(
            x=track_s, y=query_s, z=[[value for value, _, _ in line] for line in best], colorscale=charts.BLUES,
            hoverinfo="skip", colorbar={"title": "similarity"},
        )
    )  # fmt: skip
    places = [
        (x, y, moments.query_starts_s[-i], moments.track_starts_s[-j], value)
        for y, line in zip(query_s, best, strict=True)
        for x, (value, i, j) in zip(track_s, line, strict=True)
    ]
    figure.add_scatter(
        x=[x for x, *_ in places], y=[y for _, y, *_ in places], mode="markers", showlegend=False,
        marker={"size": 12, "color": "rgba(0,0,0,0)"}, customdata=[[q, t] for _, _, q, t, _ in places],
        text=[f"query {frame.clock(q)}, track {frame.clock(t)}: {number(value)}" for _, _, q, t, value in places],
        hovertemplate="%{text}<extra></extra>", unselected={"marker": {"opacity": 1}},
    )  # fmt: skip
    figure.add_scatter(
        x=[moments.track_starts_s[t] for _, t in moments.path], y=[moments.query_starts_s[q] for q, _ in moments.path],
        mode="lines", line={"color": STRETCH, "width": 1.5}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    for moment in moments.moments:
        length_s = max(0.0, moment.length_s - moments.segment_s)  # from its first segment's start to its last one's
        figure.add_scatter(
            x=[moment.track_s, moment.track_s + length_s], y=[moment.query_s, moment.query_s + length_s],
            mode="lines+markers", line={"color": STRETCH, "width": 5}, hoverinfo="skip", showlegend=False,
            marker={"symbol": "circle-open", "size": [14, 0], "color": STRETCH, "line": {"width": 2}},
        )  # fmt: skip
    figure.update_layout(
        height=380,
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        xaxis={"title": "seconds of the track"},
        yaxis={"title": "seconds of the query"},
        clickmode="event+select",
    )
    return figure


def _steps(starts_s: Sequence[float], step: int) -> list[range]:
    """So many segments at a time."""
    return [range(at, min(at + step, len(starts_s))) for at in range(0, len(starts_s), step)]


def _middles(starts_s: Sequence[float], steps: Sequence[range]) -> list[float]:
    """Where a cell is drawn: around the starts of all its segments, so that a ring at one is in its cell."""
    return [(starts_s[step[0]] + starts_s[step[-1]]) / 2 for step in steps]
