"""The map of moments: what is marked on it lies where it is, however many segments a cell stands for."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.search.comparisons import MomentMap
from mess_core.search.matching import Moment
from pages.shared.listen.why import MOST_CELLS, moment_map

HOP_S, SEGMENT_S = 2.5, 5.0


def moments_of(n_query: int, n_track: int, at: tuple[int, int], first_s: float = 0.0) -> MomentMap:
    """Noise, and from one pair of segments on three in a row that are alike."""
    similarities = np.random.default_rng(0).uniform(0, 0.5, (n_query, n_track))
    for step in range(3):
        similarities[at[0] + step, at[1] + step] = 0.8 + 0.05 * step
    query_s, track_s = (first_s + HOP_S * np.arange(n_query), HOP_S * np.arange(n_track))
    return MomentMap(
        query_starts_s=tuple(query_s.tolist()), track_starts_s=tuple(track_s.tolist()),
        similarities=tuple(map(tuple, similarities.tolist())), path=(),
        moments=(Moment(float(query_s[at[0]]), float(track_s[at[1]]), 2 * HOP_S + SEGMENT_S, 0.85),),
        segment_s=SEGMENT_S,
    )  # fmt: skip


def cell_at(middles: list[float], second: float) -> int:
    return int(np.argmin(np.abs(np.array(middles) - second)))


@pytest.mark.parametrize(("n_query", "n_track"), [(20, 30), (90, 130), (MOST_CELLS + 1, 3 * MOST_CELLS + 2)])
@pytest.mark.parametrize("offset", [0, 1, 2])
def test_the_best_stretch_lies_on_the_darkest_cells(n_query, n_track, offset):
    """From its ring to its end; also where a cell is the best of several segments on either side."""
    at = (7 + offset, 11 + offset)
    figure = moment_map(moments_of(n_query, n_track, at))
    cells = figure.data[0]
    (stretch,) = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines+markers"]
    ends = [(cell_at(cells.y, y), cell_at(cells.x, x)) for x, y in zip(stretch.x, stretch.y, strict=True)]
    assert all(np.array(cells.z)[end] >= 0.8 for end in ends)
    assert (stretch.x[0], stretch.y[0]) == (HOP_S * at[1], HOP_S * at[0])
    assert stretch.x[1] - stretch.x[0] == pytest.approx(2 * HOP_S)


def test_a_click_on_a_cell_of_several_segments_leads_to_the_best_of_them():
    figure = moment_map(moments_of(90, 130, (8, 13)))
    marks = next(trace for trace in figure.data if trace.customdata is not None)
    values = [float(text.rpartition(": ")[2]) for text in marks.text]
    query_s, track_s = marks.customdata[int(np.argmax(values))]
    assert (query_s, track_s) == (10 * HOP_S, 15 * HOP_S)  # the third of the stretch, the most alike of all


def test_of_a_passage_only_its_segments_are_there():
    figure = moment_map(moments_of(5, 30, (1, 4), first_s=20.0))
    assert min(figure.data[0].y) == 20.0 and len(figure.data[0].y) == 5
