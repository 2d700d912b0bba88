"""What a browser draws a map from, packed: safetensors, which take a few lines to read there, and titles as JSON.

    places    "places" (n, 2) float32, in radii of the map; "kept" (n,) uint8, per cent of a point's true neighbours
              that are near it, `PLACED` where it was put beside its nearest since
    names     "codes" (n,) uint16, of the names in the header under "names", `NO_NAME` where there is none
    numbers   "values" (n,) float32, NaN where nothing is known
    marks     "marks" (n,) uint8, the sum of `LEFT_OUT`, `FOUND` and `CHOSEN`
    titles    JSON {"ids": [...], "titles": [...]}

Every row is a track, in the order of the view. Of a hundred thousand that is 900 kB of places, 200 kB of names, 100 kB
of marks, and some 4 MB of titles, which are read once the map is there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mess_core.maps.drawing import MapView

PLACED = 255
NO_NAME = 65_535
LEFT_OUT, FOUND, CHOSEN = 1, 2, 4
CELLS = 32  # along each side of a map, when the densest place of some points is looked for


def pack_places(view: MapView, *, is_pca: bool = False) -> bytes:
    """Where the points lie, by UMAP or by PCA, and how much of their neighbourhood is seen there."""
    xs, ys, kept = (view.pca_x, view.pca_y, view.pca_preservation) if is_pca else (view.x, view.y, view.preservation)
    per_cent = [PLACED if share is None else round(100 * share) for share in kept]
    return _pack({"places": np.stack([xs, ys], axis=1).astype(np.float32), "kept": np.array(per_cent, np.uint8)})


def pack_names(names: Sequence[str | None]) -> bytes:
    """A name for each track. Of more names than there are codes the rest is as good as none."""
    codes: dict[str, int] = {}
    row_codes = [NO_NAME if not name else codes.setdefault(name, len(codes)) for name in names]
    packed = np.minimum(np.array(row_codes, np.int64), NO_NAME).astype(np.uint16)
    return _pack({"codes": packed}, {"names": json.dumps(list(codes)[:NO_NAME])})


def pack_numbers(numbers: Sequence[float | None]) -> bytes:
    """A number for each track."""
    return _pack({"values": np.array([np.nan if each is None else each for each in numbers], np.float32)})


def pack_marks(
    track_ids: Sequence[str], let_in: Collection[str] | None, found: Collection[str], chosen: Collection[str]
) -> bytes:
    """What is left out, found and chosen. let_in : None lets in all"""
    found, chosen = frozenset(found), frozenset(chosen)
    marks = [
        (LEFT_OUT if let_in is not None and each not in let_in else 0)
        | (FOUND if each in found else 0)
        | (CHOSEN if each in chosen else 0)
        for each in track_ids
    ]
    return _pack({"marks": np.array(marks, np.uint8)})


def pack_titles(track_ids: Sequence[str], titles: Mapping[str, str]) -> bytes:
    """A track without a title is called by its id."""
    told = {"ids": list(track_ids), "titles": [titles.get(each, each) for each in track_ids]}
    return json.dumps(told, separators=(",", ":")).encode()


def densest(view: MapView, rows: Sequence[int], *, is_pca: bool = False) -> tuple[float, float]:
    """Where most of these points lie together: among them, and not between two groups as their mean may be.

    Returns
    -------
    (x, y)
        The mean of the points in the cell of the map that holds, with its neighbours, the most of them.
    """
    xs, ys = (view.pca_x, view.pca_y) if is_pca else (view.x, view.y)
    points = np.array([(xs[row], ys[row]) for row in rows])
    low, high = points.min(axis=0), points.max(axis=0)
    cells = ((points - low) / np.maximum(high - low, 1e-9) * (CELLS - 1)).round().astype(int)
    counts = np.zeros((CELLS + 2, CELLS + 2))
    np.add.at(counts, (cells[:, 0] + 1, cells[:, 1] + 1), 1)
    around = sum(counts[i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3))
    best = np.array(np.unravel_index(np.argmax(around), (CELLS, CELLS)))
    is_near = (np.abs(cells - best) <= 1).all(axis=1)
    x, y = points[is_near].mean(axis=0)
    return float(x), float(y)


def _pack(arrays: Mapping[str, np.ndarray], header: Mapping[str, str] | None = None) -> bytes:
    from safetensors.numpy import save

    return bytes(save(dict(arrays), dict(header) if header else None))
