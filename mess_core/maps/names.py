"""Names: what a direction on a map stands for, and what its regions have in common; nothing where nothing does.

The axes of a map mean nothing by themselves. But a property may grow across it, in any direction:

    z ≈ b + s · (x, y)      slope s: the direction of growth; R²: how much of z the place on the map tells

and a region may hold more of something than its share.

What chance would do is tried out: whole works are exchanged, so that ten performances of one work do not count as ten
independent observations, and a finding counts if it exceeds the best of all findings in 95 % of arrangements (max-T).
Over-representation of a name in a region is judged by the hypergeometric distribution, times the number of all such
comparisons (Bonferroni); there tracks, not works, are counted.

Source
------
Westfall & Young (1993) for max-T. Campello, Moulavi & Sander (2013) for HDBSCAN, which finds the regions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.probing.resampling import adjusted_p, permute_blocks
from mess_core.targets.registry import TARGETS

ALPHA = 0.05
LEAST_R2 = 0.1  # of a direction worth naming
LEAST_RANK_DIFFERENCE = 0.2  # of a region: a track of it exceeds one from elsewhere in 70 % of cases instead of 50
LEAST_SHARE = 0.5  # of a region that a name must hold
MOST_WORDS = 2  # of names, and of targets, in one sentence
LEAST_COUNT = 5  # tracks that must have a name, or a target, for it to be looked at
PERMUTATIONS, PERMUTATIONS_MANY, MANY = 999, 199, 3000
PERMUTED_VALUES = 2_000_000  # held at once
TARGET = "target"
IN_THE_MIDDLE = 0.35  # of the way from the centre of the picture to its edge
SECTORS = ("right", "top right", "top", "top left", "left", "bottom left", "bottom", "bottom right")
TOWARDS = (
    "to the right", "to the top right", "to the top", "to the top left",
    "to the left", "to the bottom left", "to the bottom", "to the bottom right",
)  # fmt: skip


@dataclass(frozen=True)
class Direction:
    """What grows across a map, and where to.

    kind, name : "target" and its id, or "composer", "performer", "instrument" and one of these
    angle_deg : of growth; 0 is to the right, 90 to the top
    r2 : share of the differences that the place tells; p : adjusted for all that was looked at
    word, opposite : "brighter", "darker"; of a name, itself and ""
    """

    kind: str
    name: str
    angle_deg: float
    r2: float
    p: float
    n: int
    word: str
    opposite: str

    @property
    def sentence(self) -> str:
        """Where to, and what is there.

        Examples
        --------
        >>> Direction("target", "spectral_centroid", 172.0, 0.5, 0.001, 120, "brighter", "darker").sentence
        'to the left: brighter'
        """
        return f"{TOWARDS[_sector(self.angle_deg)]}: {self.word}"


@dataclass(frozen=True)
class Trait:
    """What a region has more of than the rest.

    count, n : tracks of the region with this name, and all its tracks; of a target, those measured, and all
    effect : share of the region's tracks with this name; of a target, how much likelier than one half a track of the
        region exceeds one from elsewhere
    """

    kind: str
    name: str
    word: str
    count: int
    n: int
    effect: float
    p: float

    @property
    def is_counted(self) -> bool:
        """Whether the words say of how many it is true."""
        return self.kind != TARGET

    @property
    def words(self) -> str:
        return f"{self.word} ({self.count} of {self.n})" if self.is_counted else self.word


@dataclass(frozen=True)
class Region:
    """Tracks that lie together. rows : of the map; x, y : their mean; place : in words"""

    rows: tuple[int, ...]
    x: float
    y: float
    place: str
    findings: tuple[Trait, ...]

    @property
    def sentence(self) -> str:
        """Where, and what is there; empty if nothing sets it apart.

        Examples
        --------
        >>> found = Trait("instrument", "strings", "strings", 12, 14, 0.86, 0.001)
        >>> Region(tuple(range(14)), 1.0, 1.0, "top right", (found,)).sentence
        'top right: strings (12 of 14)'
        """
        of_kind = {True: 0, False: 0}
        words = []
        for found in self.findings:
            of_kind[found.kind == TARGET] += 1
            if of_kind[found.kind == TARGET] <= MOST_WORDS:
                words.append(found.words)
        return f"{self.place}: {', '.join(words)}" if words else ""


def find_directions(
    points: np.ndarray,
    targets: Mapping[str, np.ndarray],
    labels: Mapping[str, Sequence[str | None]],
    groups: Sequence[str],
    seed: int = 0,
) -> tuple[Direction, ...]:
    """What grows across a map, the clearest first.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
    targets : mapping of target id to ndarray, shape (n,)
        NaN where unknown.
    labels : mapping of kind ("instrument", …) to n names
    groups : sequence of str, length n
        What is exchanged as a whole: works.
    """
    columns: dict[tuple[str, str], np.ndarray] = {
        (TARGET, target): values
        for target, values in targets.items()
        if np.isfinite(values).sum() >= LEAST_COUNT and np.nanstd(values) > 0
    }
    for kind, names in labels.items():
        for name, count in sorted(Counter(name for name in names if name).items()):
            if LEAST_COUNT <= count <= len(names) - LEAST_COUNT:
                columns[kind, name] = np.array([float(other == name) for other in names])
    if not columns:
        return ()
    values = np.stack(list(columns.values()), axis=1)  # (n, n_columns)
    is_known = np.isfinite(values)
    n_known = is_known.sum(axis=0)
    centred = np.where(is_known, values - np.nanmean(values, axis=0), 0.0)
    centred /= np.sqrt((centred**2).sum(axis=0))
    weights = is_known.astype(float)
    ratios = [
        _f_ratio(_regress(points[rows].transpose(0, 2, 1), weights, centred)[0], n_known)
        for rows in _arrangements(groups, seed)
    ]
    _, p = adjusted_p(np.concatenate(ratios))
    r2, slopes = _regress(points.T[None], weights, centred)
    found = []
    for number, (kind, name) in enumerate(columns):
        if p[number] >= ALPHA or r2[0, number] < LEAST_R2:
            continue
        angle = math.degrees(math.atan2(slopes[0, 1, number], slopes[0, 0, number])) % 360.0
        word, opposite = TARGETS[name].words if kind == TARGET else (name, "")
        found.append(
            Direction(kind, name, angle, float(r2[0, number]), float(p[number]), int(n_known[number]), word, opposite)
        )
    return tuple(sorted(found, key=lambda direction: -direction.r2))


def find_regions(
    points: np.ndarray,
    targets: Mapping[str, np.ndarray],
    labels: Mapping[str, Sequence[str | None]],
    groups: Sequence[str],
    seed: int = 0,
) -> tuple[Region, ...]:
    """The regions of a map, the largest first, and what sets each apart; parameters as `find_directions`."""
    codes = _clusters(points, seed)
    regions = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    regions.sort(key=lambda rows: (-len(rows), rows[0]))
    named = _over_represented(regions, labels, len(points))
    grown = _of_higher_rank(regions, targets, groups, len(points), seed)
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    result = []
    for number, rows in enumerate(regions):
        centre = points[rows].mean(axis=0, dtype=np.float64)
        # As one sees it: the picture ends where the outermost points lie, wherever most of them are.
        seen = (2 * centre - low - high) / np.maximum(high - low, 1e-12)
        findings = (*named[number], *grown[number])
        x, y = map(float, centre)
        result.append(Region(tuple(rows.tolist()), x, y, _place(*map(float, seen)), findings))
    return tuple(result)


def _clusters(points: np.ndarray, seed: int) -> np.ndarray:
    """Codes 0, 1, …, and -1 for what lies between; k-means if nothing stands out from the noise."""
    from sklearn.cluster import HDBSCAN, KMeans

    n = len(points)
    least = max(LEAST_COUNT, n // 40)
    if n > 2 * least:
        codes: np.ndarray = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points.astype(np.float64))
        if codes.max() >= 1:
            return codes
    n_clusters = min(8, max(2, n // 15))
    return KMeans(n_clusters, n_init=4, random_state=seed).fit_predict(points.astype(np.float64))


def _over_represented(
    regions: Sequence[np.ndarray], labels: Mapping[str, Sequence[str | None]], n_tracks: int
) -> list[list[Trait]]:
    from scipy.stats import hypergeom

    tests = []  # (region, kind, name, count, p)
    for kind, names in labels.items():
        totals = Counter(name for name in names if name)
        for number, rows in enumerate(regions):
            for name, count in sorted(Counter(name for row in rows if (name := names[row])).items()):
                p = float(hypergeom.sf(count - 1, n_tracks, totals[name], len(rows)))
                tests.append((number, kind, name, count, p))
    found: list[list[Trait]] = [[] for _ in regions]
    for number, kind, name, count, p in tests:
        n, p_adj = len(regions[number]), min(1.0, p * len(tests))
        if p_adj < ALPHA and count >= LEAST_SHARE * n:
            found[number].append(Trait(kind, name, name, count, n, count / n, p_adj))
    for number, rows in enumerate(regions):
        # Of a work's own tracks its composer says nothing new.
        of_works = [
            {row for row in rows if labels[finding.kind][row] == finding.name}
            for finding in found[number]
            if finding.kind == "work"
        ]
        found[number] = [
            finding
            for finding in found[number]
            if finding.kind != "composer"
            or {row for row in rows if labels["composer"][row] == finding.name} not in of_works
        ]
        found[number].sort(key=lambda finding: (-finding.effect, finding.p, finding.kind))
    return found


def _of_higher_rank(
    regions: Sequence[np.ndarray],
    targets: Mapping[str, np.ndarray],
    groups: Sequence[str],
    n_tracks: int,
    seed: int,
) -> list[list[Trait]]:
    """Targets whose ranks in a region differ from those elsewhere (Mann & Whitney), beyond what chance would do."""
    from scipy.stats import rankdata

    found: list[list[Trait]] = [[] for _ in regions]
    names = [
        target
        for target, values in targets.items()
        if np.isfinite(values).sum() >= LEAST_COUNT and np.nanstd(values) > 0
    ]
    if not names:
        return found
    values = np.stack([targets[name] for name in names], axis=1)
    is_known = np.isfinite(values)
    n_known = is_known.sum(axis=0)
    ranks = np.stack([rankdata(column, nan_policy="omit") for column in values.T], axis=1)
    ranks = np.where(is_known, ranks - (n_known + 1) / 2, 0.0)
    spread = np.sqrt((ranks**2).sum(axis=0) / n_known)
    belongs = np.zeros((n_tracks, len(regions)))
    for number, rows in enumerate(regions):
        belongs[rows, number] = 1.0

    def differences(belongs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(…, n, n_regions) -> mean rank in less out over n, its size in standard errors, and tracks: (…, r, t)."""
        within = np.swapaxes(belongs, -1, -2)
        n_in = within @ is_known
        n_out = n_known - n_in
        sums = within @ ranks
        is_told = (n_in > 0) & (n_out > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            effect = np.where(is_told, (sums / n_in + sums / n_out) / n_known, 0.0)
            size = np.where(is_told, np.abs(effect) * n_known / (spread * np.sqrt(1 / n_in + 1 / n_out)), 0.0)
        return effect, size, n_in

    sizes = [differences(belongs[rows])[1].reshape(len(rows), -1) for rows in _arrangements(groups, seed, len(regions))]
    _, p = adjusted_p(np.concatenate(sizes))
    p = p.reshape(len(regions), len(names))
    effect, _, n_in = differences(belongs)
    for number in range(len(regions)):
        for column in np.argsort(-np.abs(effect[number]), kind="stable"):
            if p[number, column] < ALPHA and abs(effect[number, column]) >= LEAST_RANK_DIFFERENCE:
                name, size = names[column], float(effect[number, column])
                word = TARGETS[name].words[0 if size > 0 else 1]
                count = int(n_in[number, column])
                found[number].append(
                    Trait(TARGET, name, word, count, len(regions[number]), size, float(p[number, column]))
                )
    return found


def _arrangements(groups: Sequence[str], seed: int, width: int = 2) -> Iterator[np.ndarray]:
    """Rows (n_permutations, n) in batches; the first row of the first batch leaves everything in place."""
    codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    n_permutations = PERMUTATIONS if len(codes) <= MANY else PERMUTATIONS_MANY
    keys = np.random.default_rng(seed).random((n_permutations + 1, n_groups))
    keys[0] = np.sort(keys[0])
    step = max(1, PERMUTED_VALUES // (len(codes) * width))
    for start in range(0, len(keys), step):
        yield permute_blocks(codes, keys[start : start + step])


def _regress(points: np.ndarray, weights: np.ndarray, centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets on places: R² (m, t) and slopes (m, 2, t).

    Parameters
    ----------
    points : ndarray, shape (m, 2, n)
    weights : ndarray, shape (n, t)
        1 where a target is known.
    centred : ndarray, shape (n, t)
        Of mean 0 and unit length over what is known, 0 elsewhere.
    """
    n_known = weights.sum(axis=0)
    x, y = points[:, 0], points[:, 1]
    mean_x, mean_y = x @ weights / n_known, y @ weights / n_known
    xx = (x * x) @ weights - n_known * mean_x**2
    yy = (y * y) @ weights - n_known * mean_y**2
    xy = (x * y) @ weights - n_known * mean_x * mean_y
    xz, yz = x @ centred, y @ centred
    area = xx * yy - xy**2
    is_flat = area <= 1e-9 * (xx + yy) ** 2 + 1e-300
    area = np.where(is_flat, 1.0, area)
    slope_x, slope_y = (yy * xz - xy * yz) / area, (xx * yz - xy * xz) / area
    r2 = np.where(is_flat, 0.0, slope_x * xz + slope_y * yz)
    return r2.clip(0.0, 1.0), np.stack([slope_x, slope_y], axis=1)


def _f_ratio(r2: np.ndarray, n_known: np.ndarray) -> np.ndarray:
    """R² as an F ratio, which compares between targets that are known for different numbers of tracks."""
    ratio: np.ndarray = r2 * (n_known - 3).clip(1) / (1 - r2).clip(1e-12)
    return ratio


def _sector(angle_deg: float) -> int:
    return round(angle_deg / 45.0) % 8


def _place(x: float, y: float) -> str:
    return "in the middle" if math.hypot(x, y) < IN_THE_MIDDLE else SECTORS[_sector(math.degrees(math.atan2(y, x)))]
