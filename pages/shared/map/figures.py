"""All layers side by side, and what colours stand for on these small maps and on the large one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mess_core.maps.drawing import MapView
from pages.shared.widgets.accents import Accent
from pages.shared.widgets.charts import MOST_APART, PALETTE

MOST_NAMES = 12  # values of a name that have a colour of their own; the rest is grey
MOST_SMALL = 300  # points of a small map
OTHER = Accent("#b6bac6", "#4d5568")  # of names without a colour: it stands back on either page
QUERY_COLOUR = "#d6336c"
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
    return {"color": [shade.get(colour.names[row] or "", OTHER.now) for row in rows], "size": 9}


def shades(colour: Colour) -> dict[str, str]:
    """The most frequent names and their colours, by alphabet; the most frequent have those that are told apart best."""
    counts: dict[str, int] = {}
    for name in colour.names or ():
        if name:
            counts[name] = counts.get(name, 0) + 1
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_NAMES]
    by_colour = [*sorted(frequent[:MOST_APART]), *sorted(frequent[MOST_APART:])]
    return dict(sorted(zip(by_colour, PALETTE, strict=False)))


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
