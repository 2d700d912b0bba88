"""A discovery as a figure for paper: every cell with its interval, drawn by Matplotlib, which is an extra.

Targets downward, by musical dimension; layers to the right. In each cell its figure, below it the interval; what
encodes is framed, what is not shown to gain over every baseline is pale. The same run gives the same file.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

from mess_core.errors import DependencyMissingError, InputError
from mess_core.installation import how_to_add
from mess_core.numbers import interval, number
from mess_core.probing.discovery import Discovery
from mess_core.probing.result import ProbeCell
from mess_core.storage.files import write_atomically
from mess_core.words import counted, listed

ENDINGS = (".pdf", ".svg", ".png")
QUANTITIES = {
    "r2": "R² out of fold, with its 95 % interval; of classes, errors of guessing avoided",
    "gain": "gain in R² over every baseline; intervals hold for all cells at once",
}
CELL_INCHES = (0.78, 0.4)
MARGIN_INCHES = (2.4, 1.1)
DPI = 200  # of PNG
PALE = 0.35  # opacity of what is not shown to gain
DARK = 0.6  # from here on the figure stands in white


def draw_heatmap(discovery: Discovery, path: Path, quantity: str = "r2") -> Path:
    """Write the figure; the ending of the path says as what.

    Parameters
    ----------
    quantity : "r2" or "gain"

    Raises
    ------
    DependencyMissingError
        If Matplotlib is not installed.
    InputError
        If the ending or the quantity is another one, or nothing could be probed.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path.name} ends in {ending!r}, expected {listed(ENDINGS, joint='or')}.", "Name it so.")
    if quantity not in QUANTITIES:
        raise InputError(f"A cell cannot show {quantity!r}, expected {listed(list(QUANTITIES), joint='or')}.")
    if all(summary.best_layer is None for summary in discovery.result.targets):
        raise InputError("Nothing could be probed, so there is nothing to draw.", "Probe again.")
    try:
        import matplotlib
    except ImportError as error:
        raise DependencyMissingError(
            f"A figure needs Matplotlib, which is not installed here ({error}).", how_to_add("publication")
        ) from None
    stream = io.BytesIO()
    plain: dict[Any, Any] = {"svg.hashsalt": "mess", "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 7}
    with matplotlib.rc_context(plain), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a title in a script that its fonts have not
        figure = _figure(discovery, quantity)
        dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(ending, {})
        figure.savefig(stream, format=ending[1:], dpi=DPI, metadata=dates)
    write_atomically(path, stream.getvalue())
    return path


def _figure(discovery: Discovery, quantity: str) -> Any:
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    result = discovery.result
    targets = sorted(result.targets, key=lambda each: _places(discovery).index(result.about(each.target).dimension))
    row_of = {each.target: row for row, each in enumerate(targets)}
    size = (
        MARGIN_INCHES[0] + CELL_INCHES[0] * max(result.n_layers, 3),
        MARGIN_INCHES[1] + CELL_INCHES[1] * len(targets),
    )
    figure = Figure(figsize=size)
    axes = figure.add_axes(
        (
            (MARGIN_INCHES[0] - 0.1) / size[0],
            0.55 / size[1],
            CELL_INCHES[0] * result.n_layers / size[0],
            CELL_INCHES[1] * len(targets) / size[1],
        )
    )
    colours = colormaps["Blues"]
    for cell in result.cells:
        row, value = row_of[cell.target], getattr(cell, quantity)
        if value is None:
            continue
        strength = min(max(value, 0.0), 1.0)
        is_sure = cell.gain_low is not None and cell.gain_low > 0
        place = (cell.layer - 0.5, row - 0.5)
        axes.add_patch(Rectangle(place, 1, 1, facecolor=colours(strength), alpha=1.0 if is_sure else PALE, linewidth=0))
        if cell.encodes:
            axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor="black", linewidth=1.2, zorder=3))
        ink = "white" if is_sure and strength > DARK else "black"
        axes.text(cell.layer, row - 0.12, number(value), ha="center", va="center", color=ink, fontsize=7)
        axes.text(cell.layer, row + 0.26, _within(cell, quantity), ha="center", va="center", color=ink, fontsize=4.5)
    axes.set_xlim(-0.5, result.n_layers - 0.5)
    axes.set_ylim(len(targets) - 0.5, -0.5)
    axes.set_xticks(range(result.n_layers))
    axes.set_xlabel("layer")
    titles = [result.about(each.target).title[:40] for each in targets]
    axes.set_yticks(range(len(targets)), titles, parse_math=False)  # a title is untrusted text
    axes.tick_params(length=0)
    apart = f"{counted(result.n_groups, 'group')} ({discovery.group})"
    heading = f"{discovery.encoder} on {discovery.library}, {apart}, run {discovery.run_id}"
    axes.set_title(f"{heading}\n{QUANTITIES[quantity]}", loc="left", fontsize=7, parse_math=False)
    note = f"Nothing may be said to encode: {result.why_no_word}." if result.why_no_word else "Framed: encodes."
    figure.text(0.02, 0.1 / size[1], f"{note} Pale: not shown to be better than every baseline.", fontsize=6)
    return figure


def _within(cell: ProbeCell, quantity: str) -> str:
    return interval(getattr(cell, f"{quantity}_low"), getattr(cell, f"{quantity}_high"))


def _places(discovery: Discovery) -> list[str]:
    """The dimensions of its targets, in the order in which they come."""
    return list(dict.fromkeys(discovery.result.about(each.target).dimension for each in discovery.result.targets))
