"""Figures of probing: the heatmap, and one cell in depth. Each has axis titles with units and works without WebGL."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import plotly.graph_objects as go

from mess_core.numbers import number, percent
from mess_core.probing.discovery import Discovery
from mess_core.probing.findings import NOT_YET, findings_of, is_unfinished, plainer
from mess_core.probing.result import ClassScores, ProbeCell, ProbeResult, TargetProbe
from mess_core.targets.base import Target
from mess_core.targets.registry import OWN, TARGETS
from mess_core.words import counted
from pages.shared.widgets.accents import GREY as UNTOLD_GREY
from pages.shared.widgets.accents import Accent, accent_of_dimension, accent_of_target
from pages.shared.widgets.charts import GREYS, SERIES, faded, plain

# What a cell shows: its title, and what that is.
QUANTITIES = {
    "r2": ("R²", "the share of the differences between recordings that the layer tells (R²)"),
    "gain": (
        "Gain",
        "how much more of the differences between recordings the layer tells than the best of what is plainer (gain in "
        "R²)",
    ),
    "r2_low": (
        "At least",
        "the share of the differences between recordings that the layer tells at least (lower end of the 95 % interval "
        "of R²)",
    ),
}
GREY = GREYS[0]
MAX_GROUPS = 15  # boxes in one figure
MAX_COLOURS = 6  # groups that have a colour of their own; the others are grey
FEW_POINTS = 300  # above it the points are small
MAX_POINTS = 2000  # in one scatter: each is an element of the page
CELL_PX = 23  # height of a row
GAP = 0.7  # between the columns of two dimensions, in columns
FAINTEST, UNPROVEN = 0.05, 0.6  # of a cell that tells nothing; and how strong a cell is that is not proven
UNTOLD = 0.08, 0.36  # the faintest and strongest grey of a cell that does not tell its property reliably
FULL = {"gain": 0.2}  # the value at which a cell is as strong as it gets, where that is not 1: gains are small
HEADINGS = {OWN: "your own"}  # of a dimension that is not called by its name
INK, OPENED = Accent("#101624", "#e8ebf4"), Accent("#3559c7", "#7d9bff")  # of outlines; of the one around what is open


def heatmap(discovery: Discovery, quantity: str, opened: tuple[int, str] | None = None) -> go.Figure:
    """Layers upward, targets side by side by musical dimension; what is proven is full and outlined.

    What is told, but not proven, has the colour of its dimension and a fine line; what is not told is grey.
    The cells are bars: these carry the hover and the click, which the cells of Plotly's heatmap do not.
    """
    place, begins = _columns(discovery)
    cells = [cell for cell in discovery.result.cells if cell.target in place]
    n_layers = discovery.result.n_layers
    untold = {cell.target for cell in cells} - told_of(discovery)
    states = [_state(cell, discovery.result, untold) for cell in cells]
    figure = go.Figure(
        go.Bar(
            x=[place[cell.target] for cell in cells],
            base=[cell.layer - 0.45 for cell in cells],
            y=[0.9] * len(cells),
            width=0.92,
            marker={
                "color": [_colour(cell, quantity, state) for cell, state in zip(cells, states, strict=True)],
                "line": {
                    "color": [
                        INK.now if state == PROVEN else accent_of_target(cell.target).now
                        for cell, state in zip(cells, states, strict=True)
                    ],
                    "width": [LINES_PX.get(state, 0) for state in states],
                },
            },
            customdata=[[cell.layer, cell.target] for cell in cells],
            text=[describe(cell, discovery.result) for cell in cells],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
            unselected={"marker": {"opacity": 1}},
            showlegend=False,
        )
    )
    for name, begin in begins.items():
        figure.add_annotation(
            x=begin - 0.45, y=n_layers - 0.4, text=f"<b>{plain(HEADINGS.get(name, name))}</b>",
            font={"color": accent_of_dimension(name).now}, showarrow=False, xanchor="left", yanchor="bottom",
            textangle=-40, xshift=-6,
        )  # fmt: skip
    if opened:
        layer, x = opened[0], place[opened[1]]
        figure.add_shape(
            type="rect", x0=x - 0.54, x1=x + 0.54, y0=layer - 0.54, y1=layer + 0.54,
            line={"color": OPENED.now, "width": 3},
        )  # fmt: skip
    figure.update_layout(
        height=CELL_PX * max(n_layers, 2) + 202,
        margin={"l": 44, "r": 24, "t": 84, "b": 118},
        bargap=0,
        barmode="overlay",
        xaxis={
            "title": None, "tickangle": -60, "tickvals": list(place.values()), "showgrid": False, "zeroline": False,
            "ticktext": [plain(discovery.result.about(target).title) for target in place],
            "range": [-0.6, max(place.values(), default=0) + 0.6],
        },
        yaxis={
            "title": "layer", "dtick": 1 if n_layers < 8 else 3, "showgrid": False, "zeroline": False,
            "range": [-0.6, n_layers - 0.4],
        },
        clickmode="event+select",
        uirevision="heatmap",
    )  # fmt: skip
    return figure


def _columns(discovery: Discovery) -> tuple[dict[str, float], dict[str, float]]:
    """Where the column of each target stands, and the first one of each dimension that is there."""
    place: dict[str, float] = {}
    begins: dict[str, float] = {}
    for target in in_order(discovery.result):
        of = discovery.result.about(target).dimension
        n_gaps = len({*begins, of}) - 1
        place[target] = len(place) + GAP * n_gaps
        begins.setdefault(of, place[target])
    return place, begins


PROVEN, TOLD, GUESSED = "proven", "told", "not known yet"  # of a cell; one that is none of these tells nothing reliably
LINES_PX = {PROVEN: 1.8, TOLD: 0.8}


def _state(cell: ProbeCell, result: ProbeResult, untold: Collection[str]) -> str:
    if is_unfinished(result) or not result.has_intervals:
        return GUESSED
    if is_gain(cell):
        return PROVEN
    return TOLD if cell.label != "none" and cell.target not in untold else ""


def told_of(discovery: Discovery) -> set[str]:
    """The targets that can be told from some layer, as the first sentences of the page say it."""
    found = findings_of(discovery.result, discovery.group)
    return {each.target for each in (*found.classes, *found.better, *found.readable)}


def _colour(cell: ProbeCell, quantity: str, state: str) -> str:
    """The accent of the target's dimension, as strong as the cell tells; grey where it does not do so reliably."""
    value = getattr(cell, quantity)
    if value is None:
        return "rgba(0, 0, 0, 0)"
    share = min(max(value / FULL.get(quantity, 1.0), 0.0), 1.0)
    if not state:
        return faded(UNTOLD_GREY.now, UNTOLD[0] + (UNTOLD[1] - UNTOLD[0]) * share)
    strength = FAINTEST + (1 - FAINTEST) * share
    return faded(accent_of_target(cell.target).now, strength if state == PROVEN else UNPROVEN * strength)


def in_order(result: ProbeResult) -> list[str]:
    """The targets, by musical dimension; those of one that is not known here any more come last."""
    place = {name: number for number, name in enumerate(DIMENSIONS)}
    return sorted(
        (each.target for each in result.targets), key=lambda id: place.get(result.about(id).dimension, len(place))
    )


DIMENSIONS = dict.fromkeys([*(target.dimension for target in TARGETS.values()), OWN])


def is_gain(cell: ProbeCell) -> bool:
    """Whether the layer is better than every baseline, its interval considered."""
    return cell.gain_low is not None and cell.gain_low > 0


def describe(cell: ProbeCell, result: ProbeResult) -> str:
    """Everything that is known of one cell, for its hover."""
    target = result.about(cell.target)
    head = f"<b>{plain(target.title)}</b>, layer {cell.layer}"
    if cell.r2 is None:
        return f"{head}<br>no value: {plain(cell.reason)}"
    if cell.r2_low is None and is_unfinished(result):
        told = "R²" if cell.classes is None else "errors of guessing that it avoids:"
        return f"{head}<br>{told} {number(cell.r2)}; how sure that is, and better than what, is {NOT_YET}"
    if cell.classes is not None:
        return "<br>".join([head, *_describe_classes(cell, cell.classes, result), *_encodes(cell)])
    evidence = NOT_YET if is_unfinished(result) else cell.label
    lines = [
        head,
        f"measured as {plain(target.measured_as)}{f' ({plain(target.unit)})' if target.unit else ''}",
        f"R² {number(cell.r2)}, interval {number(cell.r2_low)} to {number(cell.r2_high)}; evidence: {evidence}",
        f"best of what is plainer, {plainer(cell.baseline_name or '')}: {number(cell.baseline)}",
        f"gain {number(cell.gain)}, interval {number(cell.gain_low)} to {number(cell.gain_high)}",
        f"p (best of all cells) {'not yet' if cell.p_adj is None else number(cell.p_adj)}",
        f"rank correlation {number(cell.spearman)}, ridge penalty (alpha) {cell.alpha:.3g}",
        _worth(cell),
    ]
    if cell.level == "segment":
        lines.insert(3, f"between tracks {number(cell.r2_between)}, inside them {number(cell.r2_within)}")
    return "<br>".join([*lines, *_encodes(cell)])


def _encodes(cell: ProbeCell) -> list[str]:
    return ["<b>encodes</b>: exceeds every baseline on this library"] if cell.encodes else []


def _describe_classes(cell: ProbeCell, told: ClassScores, result: ProbeResult) -> list[str]:
    """The shares that are right, beside guessing, and what the cell's strength is."""
    facts = result.target(cell.target).classes
    guessed = None if facts is None or facts.commonest is None else 100 * facts.commonest
    evidence = NOT_YET if is_unfinished(result) else cell.label
    return [
        f"{share(told.accuracy)} right, interval {share(told.accuracy_low)} to {share(told.accuracy_high)}; "
        f"guessing the commonest {percent(guessed)}",
        f"as a mean over classes {share(told.balanced)}, interval {share(told.balanced_low)} to "
        f"{share(told.balanced_high)}",
        f"AUC {number(told.auc)}, interval {number(told.auc_low)} to {number(told.auc_high)}",
        f"errors of guessing that it avoids: {number(cell.r2)}; evidence: {evidence}",
        f"best of what is plainer, {plainer(cell.baseline_name or '')}: {number(cell.baseline)}",
        f"gain {number(cell.gain)}, interval {number(cell.gain_low)} to {number(cell.gain_high)}",
        f"p (best of all cells) {'not yet' if cell.p_adj is None else number(cell.p_adj)}",
        _worth(cell),
    ]


def share(value: float | None) -> str:
    """A share in percent."""
    return percent(None if value is None else 100 * value)


def confusion(summary: TargetProbe, layer: int) -> go.Figure:
    """Which class is taken for which, in percent of the true one; out of fold."""
    names = () if summary.classes is None else summary.classes.names
    counts = [[0] * len(names) for _ in names]
    for true, told in zip(summary.values, summary.predicted[layer], strict=True):
        if true == true and told == told:  # NaN is not itself
            counts[int(true)][int(told)] += 1
    shares = [[100 * n / max(sum(row), 1) for n in row] for row in counts]
    figure = go.Figure(
        go.Heatmap(
            z=shares, zmin=0, zmax=100, colorscale="Blues", showscale=False, xgap=1, ygap=1,
            text=[[f"{n:,}" for n in row] for row in counts], texttemplate="%{text}",
            hovertemplate="%{z:.0f} % of them, %{text}<extra></extra>",
        )
    )  # fmt: skip
    labels = [plain(name[:40]) for name in names]
    places = list(range(len(names)))
    figure.update_layout(
        xaxis={"title": f"told by layer {layer}", "tickvals": places, "ticktext": labels},
        yaxis={"title": "what it is", "tickvals": places, "ticktext": labels, "autorange": "reversed"},
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        height=340,
    )
    return figure


def _worth(cell: ProbeCell) -> str:
    """How much the figures rest on: rows of one group resemble each other, so they count for fewer."""
    rows = f"{counted(cell.n, 'row')} in {counted(cell.n_groups, 'group')}"
    if cell.n_eff is None:
        return rows
    return f"{rows}; rows of a group are alike, so they count as {counted(round(cell.n_eff), 'separate one')}"


def layer_profile(discovery: Discovery, summary: TargetProbe) -> go.Figure:
    """R² over depth with its interval, beside every baseline."""
    what = "R² (out of fold)" if summary.classes is None else "errors of guessing avoided"
    cells = [cell for cell in discovery.result.cells if cell.target == summary.target]
    layers = [cell.layer for cell in cells]
    colour = accent_of_target(summary.target).now
    figure = go.Figure()
    figure.add_scatter(
        x=[*layers, *layers[::-1]],
        y=[*(cell.r2_high for cell in cells), *(cell.r2_low for cell in cells[::-1])],
        fill="toself",
        fillcolor=faded(colour, 0.2),
        line={"width": 0},
        hoverinfo="skip",
        name="95 % interval",
    )
    figure.add_scatter(x=layers, y=[cell.r2 for cell in cells], mode="lines+markers", line_color=colour, name="layer")
    for (name, values), grey in zip(summary.baselines.items(), GREYS, strict=False):
        line = values if len(values) == len(layers) else values[:1] * len(layers)
        figure.add_scatter(
            x=layers, y=list(line), mode="lines", line={"dash": "dot", "color": grey}, name=plainer(name)
        )
    figure.update_layout(
        xaxis={"title": "layer", "dtick": 1},
        yaxis={
            "title": what,
            "range": [min(-0.1, _least(cells)), 1],
        },
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        height=340,
        legend={"orientation": "h", "y": -0.25},
    )
    return figure


def predicted_against_true(
    summary: TargetProbe,
    target: Target,
    layer: int,
    titles: Mapping[int, str],
    groups: Sequence[str],
    names: Mapping[str, str],
) -> go.Figure:
    """One point per row, out of fold; on the scale on which it was probed. Where the layer errs most has a colour."""
    defined = [row for row in titles if summary.values[row] == summary.values[row]]  # NaN is not itself
    step = max(1, math.ceil(len(defined) / MAX_POINTS))
    rows = defined[::step]
    colour_of = _colours(_worst_first(summary, layer, groups, titles))
    figure = go.Figure()
    figure.add_scatter(
        x=[float(summary.values[row]) for row in rows],
        y=[float(summary.predicted[layer, row]) for row in rows],
        mode="markers",
        marker={
            "color": [colour_of.get(groups[row], GREY) for row in rows],
            "opacity": [1 if groups[row] in colour_of else 0.5 for row in rows],
            "size": 8 if len(rows) <= FEW_POINTS else 4,
        },
        customdata=rows,
        text=[f"{plain(titles[row])}<br>{plain(names[groups[row]])}" for row in rows],
        hovertemplate="%{text}<br>true %{x:.3g}, predicted %{y:.3g}<extra></extra>",
        showlegend=False,
    )
    values = [float(summary.values[row]) for row in rows]
    figure.add_scatter(
        x=[min(values), max(values)], y=[min(values), max(values)], mode="lines", line={"color": GREY, "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    scale = "" if target.transform == "id" else f", {target.transform}"
    left_out = "" if step == 1 else f"; {len(rows)} of {counted(len(defined), 'row')}"
    figure.update_layout(
        xaxis={"title": f"measured ({plain(target.unit)}{scale}){left_out}"},
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
    residuals = _worst_first(summary, layer, groups, titles)
    worst, colour_of = list(residuals)[:MAX_GROUPS], _colours(residuals)
    figure = go.Figure()
    for place, group in enumerate(worst):
        figure.add_box(
            x=list(residuals[group].values()),
            y0=place,  # not the name: two groups may share one
            text=[plain(titles[row]) for row in residuals[group]],
            hovertemplate="%{text}<br>%{x:.3g}<extra></extra>",
            hoveron="points",
            boxpoints="all" if sum(map(len, residuals.values())) <= MAX_POINTS else "outliers",
            marker_size=4,
            orientation="h",
            line_color=colour_of.get(group, GREY),
            showlegend=False,
        )
    figure.add_vline(0, line={"color": GREY, "width": 1})
    labels = [plain(names[group][:40]) for group in worst]
    figure.update_layout(
        xaxis={"title": f"predicted minus measured, {len(worst)} of {counted(len(residuals), 'group')}"},
        yaxis={"autorange": "reversed", "tickvals": list(range(len(worst))), "ticktext": labels},
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        height=120 + 22 * len(worst),
    )
    return figure


def _worst_first(
    summary: TargetProbe, layer: int, groups: Sequence[str], titles: Mapping[int, str]
) -> dict[str, dict[int, float]]:
    """Group -> row -> predicted minus measured; first the group that the layer places furthest off as a whole."""
    residuals: dict[str, dict[int, float]] = {}
    for row in titles:
        if summary.values[row] == summary.values[row]:  # NaN is not itself
            of_group = residuals.setdefault(groups[row], {})
            of_group[row] = float(summary.predicted[layer, row] - summary.values[row])
    return dict(sorted(residuals.items(), key=lambda each: -abs(sum(each[1].values()) / len(each[1]))))


def _colours(worst_first: Mapping[str, object]) -> dict[str, str]:
    """A colour for each of the worst groups."""
    return dict(zip(list(worst_first)[:MAX_COLOURS], SERIES, strict=False))


def _least(cells: Sequence[ProbeCell]) -> float:
    return min((cell.r2_low for cell in cells if cell.r2_low is not None), default=0.0)
