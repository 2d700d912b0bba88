"""Figures of maps: one large scatter, and all layers side by side. SVG, so that points move and always show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mess_core.maps.drawing import MapView, PathPoint
from mess_core.maps.names import Region
from pages.shared.map.marked import Marked
from pages.shared.widgets.accents import Accent
from pages.shared.widgets.charts import GREYS, PALETTE, plain

MOST_NAMES = 12  # values of a name that have a colour of their own; the rest is grey
MOST_SMALL = 300  # points of a small map
MOST_SVG = 3000  # points; above it the browser draws with WebGL, and points jump instead of moving
OTHER = "#b6bac6"
QUERY_COLOUR = "#d6336c"
MOVE_MS = 600
FAINT = 0.2  # of what filters leave out
RING = Accent("#101624", "#e8ebf4")
NOTHING = Marked()
MARGIN = 0.06  # around the points, as a share of their extent


@dataclass(frozen=True)
class Colour:
    """What the points are coloured by: names, or numbers with a title; one entry per track of the view."""

    title: str
    names: Sequence[str | None] | None = None
    numbers: Sequence[float | None] | None = None


def markers(colour: Colour, rows: Sequence[int]) -> dict:
    """Plotly's marker for these rows."""
    if colour.numbers is not None:
        values = [math.nan if (value := colour.numbers[row]) is None else value for row in rows]  # Plotly takes no None
        return {"color": values, "colorscale": "Viridis", "colorbar": {"title": colour.title}, "size": 9}
    if colour.names is None:
        return {"color": PALETTE[0], "size": 9}
    shade = shades(colour)
    return {"color": [shade.get(colour.names[row] or "", OTHER) for row in rows], "size": 9}


def shades(colour: Colour) -> dict[str, str]:
    """The most frequent names and their colours."""
    counts: dict[str, int] = {}
    for name in colour.names or ():
        if name:
            counts[name] = counts.get(name, 0) + 1
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_NAMES]
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(sorted(frequent))}


def scatter(
    view: MapView,
    titles: Mapping[str, str],
    colour: Colour,
    *,
    is_pca: bool,
    query: str | None,
    near: Sequence[tuple[str, bool]],
    path: Sequence[PathPoint],
    regions: Sequence[Region] = (),
    marks: Marked = NOTHING,
    has_webgl: bool = True,
) -> go.Figure:
    """The map.

    Parameters
    ----------
    near : true neighbours of the query, and whether the map shows them
    path : where the query's segments lie
    marks : what Listen found is ringed, what it leaves out is faint, what was chosen in a table has a ring of its own
    regions : named on the map, over the density of its points; none, no density
    has_webgl : whether the browser can draw many points quickly; without it they are SVG, and slow
    """
    xs, ys = (view.pca_x, view.pca_y) if is_pca else (view.x, view.y)
    rows = list(range(len(view.track_ids)))
    row_of = {track_id: row for row, track_id in enumerate(view.track_ids)}
    figure = go.Figure()
    # The points come first: a selection names them by their trace's number, which must not change with what is marked.
    points = go.Scattergl if has_webgl and len(rows) > MOST_SVG else go.Scatter
    figure.add_trace(
        points(
            x=xs, y=ys, ids=list(view.track_ids), mode="markers", showlegend=False,
            marker={**markers(colour, rows), "symbol": ["diamond" if each else "circle" for each in view.is_placed],
                    "line": {"width": 0.5, "color": "rgba(255,255,255,0.6)"},
                    "opacity": [1.0 if marks.let_in is None or each in marks.let_in else FAINT
                                for each in view.track_ids]},
            customdata=list(view.track_ids),
            text=[_label(view, row, titles, colour) for row in rows],
            hovertemplate="%{text}<extra></extra>",
            unselected={"marker": {"opacity": 0.35}},
        )
    )  # fmt: skip
    if regions and not is_pca:
        figure.add_trace(
            go.Histogram2dContour(
                x=xs, y=ys, colorscale=[[0, "rgba(53,89,199,0)"], [1, "rgba(53,89,199,0.35)"]], showscale=False,
                hoverinfo="skip", ncontours=8, line={"width": 0},
            )
        )  # fmt: skip
        for region in regions:
            if region.sentence:
                figure.add_annotation(
                    x=region.x, y=region.y, text=plain(region.sentence.partition(": ")[2]), showarrow=False,
                    bgcolor="rgba(252,252,253,0.75)", font={"color": "#101624", "size": 12},
                )  # fmt: skip
    if query in row_of and not is_pca:
        start = row_of[query]
        for other, is_shown in near:
            end = row_of[other]
            figure.add_scatter(
                x=[xs[start], xs[end]], y=[ys[start], ys[end]], mode="lines", hoverinfo="skip", showlegend=False,
                line={"color": GREYS[0], "width": 1.2, "dash": "solid" if is_shown else "dot"},
            )  # fmt: skip
    for name, shade in shades(colour).items():
        figure.add_scatter(
            x=[None], y=[None], mode="markers", marker={"color": shade, "size": 9}, name=plain(name)[:40]
        )
    if path and not is_pca:
        figure.add_scatter(
            x=[point.x for point in path], y=[point.y for point in path], mode="lines+markers", showlegend=False,
            line={"color": QUERY_COLOUR, "width": 1.5}, marker={"size": 4, "color": QUERY_COLOUR},
            text=[f"{point.start_s:.1f} s" for point in path], hovertemplate="segment at %{text}<extra></extra>",
        )  # fmt: skip
    for ringed, size, width in ((marks.found, 16, 1.5), ([marks.chosen], 24, 3)):
        if of_ring := [row_of[each] for each in ringed if each in row_of]:
            figure.add_scatter(
                x=[xs[row] for row in of_ring], y=[ys[row] for row in of_ring], mode="markers", hoverinfo="skip",
                showlegend=False, marker={"symbol": "circle-open", "size": size, "color": RING.now,
                                          "line": {"width": width}},
            )  # fmt: skip
    if query in row_of:
        row = row_of[query]
        figure.add_scatter(
            x=[xs[row]], y=[ys[row]], mode="markers", hoverinfo="skip", showlegend=False,
            marker={"symbol": "star", "size": 18, "color": QUERY_COLOUR, "line": {"width": 1, "color": "#fff"}},
        )  # fmt: skip
    figure.update_layout(
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"visible": False, "range": _range(xs)},
        yaxis={"visible": False, "range": _range(ys), "scaleanchor": "x"},
        clickmode="event+select",
        dragmode="pan",
        uirevision="map",
        transition={"duration": MOVE_MS, "easing": "cubic-in-out"},
        legend={"orientation": "h", "y": -0.02},
    )
    return figure


def small_maps(views: Sequence[MapView], colour: Colour, query: str | None, current: int | None) -> go.Figure:
    """All layers side by side, in the same colours, the current one in bold; a sample of the points."""
    n_columns = 5
    n_rows = -(-len(views) // n_columns)
    titles = [f"<b>{view.name}</b>" if view.layer == current else view.name for view in views]
    figure = make_subplots(n_rows, n_columns, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.08)
    for number, view in enumerate(views):
        rows = range(0, len(view.track_ids), max(1, len(view.track_ids) // MOST_SMALL))
        marker = markers(colour, list(rows)) | {"size": 4}
        marker.pop("colorbar", None)
        place = {"row": number // n_columns + 1, "col": number % n_columns + 1}
        figure.add_scatter(
            x=[view.x[row] for row in rows], y=[view.y[row] for row in rows], mode="markers", marker=marker,
            hoverinfo="skip", showlegend=False, **place,
        )  # fmt: skip
        if query in view.track_ids:
            row = view.row(query)
            figure.add_scatter(
                x=[view.x[row]], y=[view.y[row]], mode="markers", hoverinfo="skip", showlegend=False,
                marker={"symbol": "star", "size": 11, "color": QUERY_COLOUR}, **place,
            )  # fmt: skip
    figure.update_xaxes(visible=False, range=_range([x for view in views for x in view.x]))
    figure.update_yaxes(visible=False, range=_range([y for view in views for y in view.y]))
    figure.update_layout(height=60 + 190 * n_rows, margin={"l": 5, "r": 5, "t": 25, "b": 5})
    return figure


def _range(values: Sequence[float]) -> list[float]:
    """A little more than they need."""
    low, high = min(values), max(values)
    return [low - MARGIN * (high - low), high + MARGIN * (high - low)]


def _label(view: MapView, row: int, titles: Mapping[str, str], colour: Colour) -> str:
    """What a point says when it is pointed at."""
    track_id = view.track_ids[row]
    kept = view.preservation[row]
    lines = [plain(titles.get(track_id, track_id))]
    if colour.numbers is not None and colour.numbers[row] is not None:
        lines.append(f"{plain(colour.title)}: {colour.numbers[row]:.3g}")
    elif colour.names is not None and colour.names[row]:
        lines.append(f"{plain(colour.title)}: {plain(colour.names[row] or '')}")
    is_new = kept is None
    lines.append("placed beside its nearest" if is_new else f"{kept:.0%} of its true neighbours are near it here")
    return "<br>".join(lines)
