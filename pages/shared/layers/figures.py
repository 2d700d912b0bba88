"""Figures of probing: the heatmap, and one cell in depth. Each has axis titles with units and works without WebGL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from mess_core.probing.discovery import Discovery
from mess_core.probing.result import ProbeCell, TargetProbe
from mess_core.targets.registry import OWN, TARGETS, target_of
from mess_core.words import counted
from pages.shared.widgets.charts import BLUES, GREYS, number, plain

QUANTITIES = {
    "r2": ("R²", "Share of the target's variance that the layer tells, on works it was not fitted on"),
    "gain": ("Gain", "R² above the best baseline: nuisances, log-mel, MFCC, chroma, the untrained twin"),
    "r2_low": ("Lower end", "The lower end of R²'s 95 % interval, each cell by itself: what can be relied on"),
}
POINT = "#3559c7"
MAX_GROUPS = 15  # boxes in one figure
FEW_POINTS = 300  # above it the points are small
MAX_POINTS = 2000  # in one scatter: each is an element of the page
BAND = "rgba(53, 89, 199, 0.18)"


def heatmap(discovery: Discovery, quantity: str) -> go.Figure:
    """Layers upward, targets side by side by musical dimension; a stroke where the gain's interval includes 0."""
    targets = sorted((t.target for t in discovery.result.targets), key=lambda t: list(DIMENSIONS).index(dimension(t)))
    layers = list(range(discovery.result.n_layers))
    cell_of = {(cell.layer, cell.target): cell for cell in discovery.result.cells}
    cells = [[cell_of[layer, target] for target in targets] for layer in layers]
    figure = go.Figure(
        go.Heatmap(
            x=[target_of(target).title for target in targets],
            y=layers,
            z=[[getattr(cell, quantity) for cell in row] for row in cells],
            zmin=0,
            zmax=1,
            colorscale=BLUES,
            colorbar={
                "title": {"text": QUANTITIES[quantity][0], "side": "right"}
            },  # above, it would lie under the buttons
            hoverinfo="skip",
            xgap=1,
            ygap=1,
        )
    )
    flat = [cell for row in cells for cell in row]
    # The marks carry the hover and the click: a heatmap's own cells cannot be selected.
    figure.add_scatter(
        x=[target_of(cell.target).title for cell in flat],
        y=[cell.layer for cell in flat],
        mode="markers",
        marker={
            "symbol": ["line-ne" if not is_gain(cell) else "circle" for cell in flat],
            "size": [9 if not is_gain(cell) else 4 for cell in flat],
            "color": "#e0803a",
            "line": {"width": [1.5 if not is_gain(cell) else 0 for cell in flat], "color": "rgba(120,125,140,0.75)"},
        },
        customdata=[[cell.layer, cell.target] for cell in flat],
        text=[describe(cell) for cell in flat],
        hovertemplate="%{text}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
        showlegend=False,
    )
    figure.update_layout(
        height=120 + 32 * max(len(layers), 4) + 110,
        margin={"l": 50, "r": 10, "t": 10, "b": 120},
        xaxis={"tickangle": -50, "title": None, "range": [-0.5, len(targets) - 0.5]},
        yaxis={"title": "layer", "dtick": 1, "range": [-0.5, len(layers) - 0.5]},
        clickmode="event+select",
        uirevision="heatmap",
    )
    return figure


DIMENSIONS = dict.fromkeys([*(target.dimension for target in TARGETS.values()), OWN])


def dimension(target: str) -> str:
    """The musical dimension of a target, by which the heatmap is ordered."""
    return target_of(target).dimension


def is_gain(cell: ProbeCell) -> bool:
    """Whether the layer is better than every baseline, its interval considered."""
    return cell.gain_low is not None and cell.gain_low > 0


def describe(cell: ProbeCell) -> str:
    """Everything that is known of one cell, for its hover."""
    target = target_of(cell.target)
    head = f"<b>{target.title}</b> ({target.unit}), layer {cell.layer}"
    if cell.r2 is None:
        return f"{head}<br>no value: {plain(cell.reason)}"
    lines = [
        head,
        f"R² {number(cell.r2)}, interval {number(cell.r2_low)} to {number(cell.r2_high)}: {cell.label}",
        f"best baseline {cell.baseline_name}: {number(cell.baseline)}",
        f"gain {number(cell.gain)}, interval {number(cell.gain_low)} to {number(cell.gain_high)}",
        f"p (best of all cells) {'not yet' if cell.p_adj is None else number(cell.p_adj)}",
        f"rank correlation {number(cell.spearman)}, ridge penalty (alpha) {cell.alpha:.3g}",
        _worth(cell),
    ]
    if cell.level == "segment":
        lines.insert(2, f"between tracks {number(cell.r2_between)}, inside them {number(cell.r2_within)}")
    return "<br>".join([*lines, *(["<b>encodes</b>: exceeds every baseline on this library"] if cell.encodes else [])])


def _worth(cell: ProbeCell) -> str:
    """How much the figures rest on: rows of one group resemble each other, so they count for fewer."""
    rows = f"{counted(cell.n, 'row')} in {counted(cell.n_groups, 'group')}"
    if cell.n_eff is None:
        return rows
    return f"{rows}; rows of a group are alike, so they count as {counted(round(cell.n_eff), 'separate one')}"


def layer_profile(discovery: Discovery, summary: TargetProbe) -> go.Figure:
    """R² over depth with its interval, beside every baseline."""
    cells = [cell for cell in discovery.result.cells if cell.target == summary.target]
    layers = [cell.layer for cell in cells]
    figure = go.Figure()
    figure.add_scatter(
        x=[*layers, *layers[::-1]],
        y=[*(cell.r2_high for cell in cells), *(cell.r2_low for cell in cells[::-1])],
        fill="toself",
        fillcolor=BAND,
        line={"width": 0},
        hoverinfo="skip",
        name="95 % interval",
    )
    figure.add_scatter(x=layers, y=[cell.r2 for cell in cells], mode="lines+markers", line_color=POINT, name="layer")
    for (name, values), colour in zip(summary.baselines.items(), GREYS, strict=False):
        line = values if len(values) == len(layers) else values[:1] * len(layers)
        figure.add_scatter(x=layers, y=list(line), mode="lines", line={"dash": "dot", "color": colour}, name=name)
    figure.update_layout(
        xaxis={"title": "layer", "dtick": 1},
        yaxis={"title": "R² (out of fold)", "range": [min(-0.1, _least(cells)), 1]},
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        height=340,
        legend={"orientation": "h", "y": -0.25},
    )
    return figure


def predicted_against_true(
    summary: TargetProbe, layer: int, titles: Mapping[int, str], groups: Sequence[str]
) -> go.Figure:
    """One point per row, out of fold; on the scale on which it was probed."""
    target = target_of(summary.target)
    defined = [row for row in titles if summary.values[row] == summary.values[row]]  # NaN is not itself
    step = max(1, math.ceil(len(defined) / MAX_POINTS))
    rows = defined[::step]
    colour_of = {group: number for number, group in enumerate(sorted(set(groups)))}
    figure = go.Figure()
    figure.add_scatter(
        x=[float(summary.values[row]) for row in rows],
        y=[float(summary.predicted[layer, row]) for row in rows],
        mode="markers",
        marker={
            "color": [colour_of[groups[row]] for row in rows],
            "colorscale": "Turbo",
            "size": 8 if len(rows) <= FEW_POINTS else 4,
        },
        customdata=rows,
        text=[plain(titles[row]) for row in rows],
        hovertemplate="%{text}<br>true %{x:.3g}, predicted %{y:.3g}<extra></extra>",
        showlegend=False,
    )
    values = [float(summary.values[row]) for row in rows]
    figure.add_scatter(
        x=[min(values), max(values)], y=[min(values), max(values)], mode="lines", line={"color": GREYS[0], "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    scale = "" if target.transform == "id" else f", {target.transform}"
    left_out = "" if step == 1 else f"; {len(rows)} of {counted(len(defined), 'row')}"
    figure.update_layout(
        xaxis={"title": f"measured ({target.unit}{scale}){left_out}"},
        yaxis={"title": f"predicted from layer {layer}"},
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        height=340,
        clickmode="event+select",
    )
    return figure


def residuals_by_group(
    summary: TargetProbe, layer: int, groups: Sequence[str], titles: Mapping[int, str], names: Mapping[str, str]
) -> go.Figure:
    """Predicted minus measured, one box per group, the worst first: where the layer errs, and whether always there."""
    rows_of: dict[str, list[int]] = {}
    for row in titles:
        if summary.values[row] == summary.values[row]:
            rows_of.setdefault(groups[row], []).append(row)
    residuals = {
        group: [float(summary.predicted[layer, row] - summary.values[row]) for row in rows]
        for group, rows in rows_of.items()
    }
    worst = sorted(residuals, key=lambda group: -abs(sum(residuals[group]) / len(residuals[group])))[:MAX_GROUPS]
    figure = go.Figure()
    for place, group in enumerate(worst):
        figure.add_box(
            x=residuals[group],
            y0=place,  # not the name: two groups may share one
            text=[plain(titles[row]) for row in rows_of[group]],
            hovertemplate="%{text}<br>%{x:.3g}<extra></extra>",
            hoveron="points",
            boxpoints="all" if sum(map(len, rows_of.values())) <= MAX_POINTS else "outliers",
            marker_size=4,
            orientation="h",
            line_color=POINT,
            showlegend=False,
        )
    figure.add_vline(0, line={"color": GREYS[0], "width": 1})
    labels = [plain(names[group][:40]) for group in worst]
    figure.update_layout(
        xaxis={"title": f"predicted minus measured, {len(worst)} of {counted(len(residuals), 'group')}"},
        yaxis={"autorange": "reversed", "tickvals": list(range(len(worst))), "ticktext": labels},
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        height=120 + 22 * len(worst),
    )
    return figure


def _least(cells: Sequence[ProbeCell]) -> float:
    return min((cell.r2_low for cell in cells if cell.r2_low is not None), default=0.0)
