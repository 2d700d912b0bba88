"""What a browser draws a map from: it holds what the view says, row by row, and nothing that is not known."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from mess_core.maps.drawing import MapView
from mess_core.maps.neighbours import NearestRows
from mess_core.maps.packed import (
    CHOSEN,
    FOUND,
    LEFT_OUT,
    NO_NAME,
    PLACED,
    densest,
    pack_marks,
    pack_names,
    pack_numbers,
    pack_places,
    pack_titles,
)
from mess_core.maps.settings import MapSettings
from mess_core.maps.trust import Trust


def a_view(points: np.ndarray, kept: list[float | None] | None = None) -> MapView:
    """A map with these points; by PCA they lie upside down."""
    n, trust = len(points), Trust(1.0, 1.0, 1.0, 0.0, 1, len(points))
    x, y = (tuple(column) for column in points.T.astype(float).tolist())
    preservation = tuple(kept or [0.5] * n)
    return MapView(
        layer=0, settings=MapSettings(), track_ids=tuple(f"t{row}" for row in range(n)), x=x, y=y,
        pca_x=x, pca_y=tuple(-each for each in y), preservation=preservation, pca_preservation=tuple([0.25] * n),
        is_placed=tuple(each is None for each in preservation), trust=trust, pca_trust=trust, stability=None,
        n_left_out=0, path=Path("layer-00.json"), _nearest=NearestRows(np.zeros((n, 1), int), np.zeros((n, 1))),
        _drawn_ids=(),
    )  # fmt: skip


def names_in(packed: bytes) -> list[str]:
    header = json.loads(packed[8 : 8 + int.from_bytes(packed[:8], "little")])
    return json.loads(header["__metadata__"]["names"])


def test_places_are_packed_with_what_the_map_keeps_of_their_neighbourhood():
    view = a_view(np.array([[0.1, 0.2], [0.3, 0.4], [-1.0, 1.0]]), [0.333, 1.0, None])
    packed = load(pack_places(view))
    assert packed["places"].dtype == np.float32 and packed["places"] == pytest.approx(view.points())
    assert packed["kept"].tolist() == [33, 100, PLACED]
    by_pca = load(pack_places(view, is_pca=True))
    assert by_pca["places"] == pytest.approx(view.points() * [1, -1]) and by_pca["kept"].tolist() == [25, 25, 25]


def test_names_are_packed_as_codes():
    packed = pack_names(["piano", None, "harp", "", "piano"])
    assert load(packed)["codes"].tolist() == [0, NO_NAME, 1, NO_NAME, 0] and names_in(packed) == ["piano", "harp"]


def test_of_more_names_than_codes_the_rest_has_none():
    packed = pack_names([f"work {number}" for number in range(NO_NAME + 10)])
    codes = load(packed)["codes"]
    assert len(names_in(packed)) == NO_NAME and codes[NO_NAME - 1] == NO_NAME - 1 and set(codes[NO_NAME:]) == {NO_NAME}


def test_numbers_are_packed_and_what_is_not_known_is_none():
    values = load(pack_numbers([1.5, None, -2.0]))["values"]
    assert values[[0, 2]].tolist() == [1.5, -2.0] and np.isnan(values[1])


def test_marks_add_up():
    ids = ["a", "b", "c", "d"]
    marks = load(pack_marks(ids, {"a", "b"}, ["b", "c"], ["c", "elsewhere"]))["marks"]
    assert marks.tolist() == [0, FOUND, LEFT_OUT | FOUND | CHOSEN, LEFT_OUT]
    assert load(pack_marks(ids, None, [], []))["marks"].tolist() == [0, 0, 0, 0]


def test_titles_are_in_the_order_of_the_rows():
    told = json.loads(pack_titles(["b", "a"], {"a": "Étude", "b": "<b>"}))
    assert told == {"ids": ["b", "a"], "titles": ["<b>", "Étude"]}
    assert json.loads(pack_titles(["a"], {})) == {"ids": ["a"], "titles": ["a"]}


def test_a_name_is_put_where_most_of_its_points_are():
    """Not at their mean, which lies between the two groups, nor where points of others are."""
    rng = np.random.default_rng(0)
    large, small, others = (rng.normal(centre, 0.02, (n, 2)) for centre, n in ((0.8, 60), (-0.8, 40), (0.0, 300)))
    view = a_view(np.concatenate([large, small, others]))
    assert densest(view, range(100)) == pytest.approx((0.8, 0.8), abs=0.1)
    assert densest(view, range(60, 100)) == pytest.approx((-0.8, -0.8), abs=0.1)
    assert densest(view, range(100), is_pca=True) == pytest.approx((0.8, -0.8), abs=0.1)


@pytest.mark.parametrize("n", [1, 3])
def test_a_name_of_points_in_one_place_is_put_there(n):
    view = a_view(np.tile([[0.25, -0.5]], (n, 1)))
    assert densest(view, range(n)) == pytest.approx((0.25, -0.5))


def test_packing_many_points_takes_no_more_than_it_must():
    """Nine bytes a point for places, two for names, one for marks; the rest is the header."""
    n = 20_000
    view = a_view(np.random.default_rng(0).random((n, 2)))
    assert len(pack_places(view)) < 9 * n + 500
    assert len(pack_names(["piano"] * n)) < 2 * n + 500
    assert len(pack_marks(view.track_ids, None, [], [])) < n + 500
