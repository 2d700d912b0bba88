"""Maps: one library seen through an encoder's layers, layer by layer and, where aspects have evidence, by these.

    tracks -> sample         all of them up to 20 000; above, a seeded sample that holds those asked for
    sample -> layout         UMAP, PCA beside it, each laid onto its neighbour's (`layout`)
    layout -> trust          what of it is true (`trust`), for the whole and point by point
    layout -> names          what its directions and regions stand for (`names`)

The main layer (of most encoders the middle one) is drawn first, the others outwards from there, each beginning where
its neighbour ended.

What is kept
------------
    cache/maps/<encoder>-<fp8>/<library>-<settings>/current.json        which of the maps was drawn last
    cache/maps/<encoder>-<fp8>/<library>-<settings>/<content>/layer-07.json, layer-07.safetensors

The JSON can be read by anyone and holds the sha256 of the arrays beside it. A layer is kept when it is done, so a job
that was killed goes on after it. `content` names the tracks and embeddings that were drawn: once a track is added, the
old map stays, with the newcomer *placed* on it: at the mean of the positions of its n_neighbours nearest drawn tracks
in that layer, weighted by one over their distance. Only when somebody asks is everything drawn anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, UnknownTrackError
from mess_core.maps.kept import CURE, STABILITY, read_view, write_view
from mess_core.maps.layout import align, normalise, pca_layout, rate_between, umap_layout
from mess_core.maps.names import Direction, Region, find_directions, find_regions
from mess_core.maps.neighbours import NearestRows, check_space, find_nearest, place, space_of
from mess_core.maps.settings import MapSettings, Metric, check_settings
from mess_core.maps.trust import Trust, measure_trust, nearest_on_map, neighbours_judged, overlap, shares_kept
from mess_core.probing.discovery import Discovery, groups_of
from mess_core.search.geometry import DirectionGeometry
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.paths import file_name
from mess_core.storage.provenance import digest, provenance
from mess_core.storage.untrusted import are_possible, build, understanding
from mess_core.targets.measurements import probe_scale, probed_targets
from mess_core.words import counted
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

MOST_TRACKS = 20_000  # drawn; the exact neighbours of so many take seconds
NAMED_BY = 10_000  # of more than MOST_TRACKS points: finding regions takes time by their square, two minutes of 100 000
ASPECTS = "aspects"  # the view that is no layer
STABILITY_SEED = 1  # added to the map's own

Progress = Callable[[int, int, str], None]
Step = tuple[int | None, int | None]  # a layer, or the aspects, and where it starts
Kept = tuple[dict[str, Any], dict[str, np.ndarray]]  # facts and arrays of a view


@dataclass(frozen=True)
class Near:
    """A true neighbour. distance : in the space; is_near_on_map : whether the map shows it, too"""

    track_id: str
    distance: float
    is_near_on_map: bool


@dataclass(frozen=True)
class PathPoint:
    """Where a segment of a track would lie."""

    start_s: float
    x: float
    y: float


@dataclass(frozen=True, eq=False)
class MapView:
    """A library as one layer (or the aspects, if `layer` is None) sees it; plain numbers, one entry per track.

    x, y, pca_x, pca_y : in radii of the map, from its centre
    preservation, pca_preservation : share of a track's nearest that the map shows as its nearest; None if placed
    is_placed : not drawn with the others, but put beside its nearest since
    trust, pca_trust : of the drawn points; PCA is the baseline
    stability : neighbours in common with a map of another seed and start, None unless asked for
    n_left_out : embedded tracks of the library that are shown nowhere
    provenance : what it was drawn with; empty if an earlier version drew it
    path : the readable file it comes from
    """

    layer: int | None
    settings: MapSettings
    track_ids: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    pca_x: tuple[float, ...]
    pca_y: tuple[float, ...]
    preservation: tuple[float | None, ...]
    pca_preservation: tuple[float | None, ...]
    is_placed: tuple[bool, ...]
    trust: Trust
    pca_trust: Trust
    stability: float | None
    n_left_out: int
    path: Path
    _nearest: NearestRows  # of shown tracks among the drawn ones
    _drawn_ids: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return view_name(self.layer)

    @property
    def n_placed(self) -> int:
        return sum(self.is_placed)

    def row(self, track_id: str) -> int:
        """Where a track is in the columns; UnknownTrackError if it is not shown."""
        try:
            return self.track_ids.index(track_id)
        except ValueError as error:
            raise UnknownTrackError(f"Track {track_id} is not on this map.", CURE) from error

    def nearest(self, track_id: str) -> tuple[Near, ...]:
        """The true neighbours of a track, nearest first: those of the layer, whatever the map shows."""
        row, k = self.row(track_id), self.trust.k
        row_of = {track_id: row for row, track_id in enumerate(self.track_ids)}
        points = self.points()
        drawn = [row for row, placed in enumerate(self.is_placed) if not placed and self.track_ids[row] != track_id]
        shown = nearest_on_map(points[drawn], min(k, len(drawn)), points[[row]])[0]
        on_map = {self.track_ids[drawn[number]] for number in shown}
        ids = [self._drawn_ids[number] for number in self._nearest.rows[row, :k]]
        return tuple(
            Near(other, float(distance), other in on_map)
            for other, distance in zip(ids, self._nearest.distances[row, :k], strict=True)
            if other in row_of  # removed since
        )

    def points(self) -> np.ndarray:
        """(n, 2) float64"""
        return np.stack([self.x, self.y], axis=1)


@dataclass(frozen=True)
class MapNames:
    """What a map's directions and regions stand for; rows of regions are those of its view.

    n_judged : points that this rests on, and that counts in sentences are of
    """

    directions: tuple[Direction, ...]
    regions: tuple[Region, ...]
    n_judged: int

    @property
    def sentences(self) -> tuple[str, ...]:
        """In words, the clearest first: "to the left: brighter", "top right: strings (12 of 14)"."""
        said = [*(direction.sentence for direction in self.directions), *(region.sentence for region in self.regions)]
        return tuple(sentence for sentence in said if sentence)


def view_name(layer: int | None) -> str:
    return ASPECTS if layer is None else f"layer {layer}"


def check_layer(layer: int | None, info: EncoderInfo) -> None:
    """InputError if the encoder has no such layer."""
    if layer is not None and not 0 <= layer < info.n_layers:
        raise InputError(f"There is no layer {layer}: {info.id} has layers 0 to {info.n_layers - 1}.")


def sample_tracks(
    track_ids: Sequence[str], always: Sequence[str], seed: int, most: int = MOST_TRACKS
) -> tuple[str, ...]:
    """At most so many tracks, in order: all of `always`, and of the rest a seeded sample.

    Examples
    --------
    >>> sample_tracks(["a", "b", "c", "d"], ["d"], seed=0, most=2)[-1]
    'd'
    """
    known = sorted(set(track_ids))
    if len(known) <= most:
        return tuple(known)
    wanted = sorted(set(always) & set(known))[:most]
    others = sorted(set(known) - set(wanted))
    drawn = np.random.default_rng(seed).choice(len(others), most - len(wanted), replace=False)
    return tuple(sorted([*wanted, *(others[number] for number in drawn)]))


# --- making -------------------------------------------------------------------------------------------------


def make_map(
    scope: Scope,
    settings: MapSettings | None = None,
    layer: int | None = None,
    always: Sequence[str] = (),
    *,
    with_stability: bool = False,
    on_progress: Progress = lambda n_done, n_total, what: None,
) -> tuple[MapView, ...]:
    """Draw what is not drawn yet; the work of the job "map".

    Parameters
    ----------
    layer : int or None
        Only this one, and those between it and the main one, which it starts from; None: all, and the aspects.
    always : sequence of track ids
        Never left out of the sample of a large library.

    Returns
    -------
    tuple of MapView
        Of the layers in order, then of the aspects, if there are any.

    Raises
    ------
    InputError
        If there are too few tracks, or too few that differ, or a vector holds NaN, or no such layer exists.
    """
    settings = settings or MapSettings()
    check_settings(settings)
    check_layer(layer, scope.info)
    scope.require_library()
    embeddings = scope.workspace.store.load(sample_tracks(scope.embedded_ids, always, settings.seed), scope.info)
    folder = _folder(scope, settings) / embeddings.content[:16]
    discovery = _discovery(scope)
    steps = _steps(scope.info, layer, discovery)
    arrays = _draw_steps(scope, embeddings, discovery, settings, steps, folder, on_progress)
    for own, _ in steps:
        if with_stability and (layer is None or own == layer):
            path = folder / f"{_file_name(own, discovery)}.json"
            _draw_again(path, _space(scope, embeddings, own, settings, discovery), settings, arrays[own])
    write_sealed(folder.parent / "current.json", {"content": folder.name})
    if layer is None:
        for older in _drawn_folders(folder.parent)[1:]:
            shutil.rmtree(older, ignore_errors=True)
    on_progress(len(steps), len(steps), "")
    wanted = sorted(own for own, _ in steps if own is not None) if layer is None else [layer]
    wanted_views = [*wanted, *([None] if layer is None and discovery is not None else [])]
    return tuple(_view(scope, settings, own, folder, discovery) for own in wanted_views)


def redraw(
    workspace: Workspace, path: Path, on_progress: Progress = lambda n_done, n_total, what: None
) -> tuple[Kept, Kept]:
    """A view that was kept, and the same recordings drawn again, out of sight: facts and arrays of either.

    Raises
    ------
    InputError
        If a recording of it has no embedding any more.
    DataMissingError, ArtefactMismatchError
        If the file is damaged, or was drawn by another version.
    """
    then = _read(path)
    facts, _ = then
    with understanding(f"The map {path.name}", CURE):
        settings, layer, ids = build(MapSettings, facts["settings"]), facts["layer"], tuple(facts["track_ids"])
        check_settings(settings)
        scope = scope_of(workspace, str(facts["library"]), str(facts["encoder"]))
        check_layer(layer, scope.info)
    n_gone = len(ids) - len(workspace.store.known(scope.info).keys() & set(ids))
    if n_gone:
        raise InputError(
            f"{counted(n_gone, 'recording')} of this map {'has' if n_gone == 1 else 'have'} no embedding any more.",
            "Draw the map again.",
        )
    discovery = _discovery(scope) if layer is None else None
    steps = _steps(scope.info, scope.info.main_layer if layer is None else layer, None)
    steps += [(None, scope.info.main_layer)] if layer is None else []
    with TemporaryDirectory() as folder:
        embeddings = workspace.store.load(ids, scope.info)
        _draw_steps(scope, embeddings, discovery, settings, steps, Path(folder), on_progress)
        return then, _read(Path(folder) / f"{_file_name(layer, discovery)}.json")


def _steps(info: EncoderInfo, layer: int | None, discovery: Discovery | None) -> list[Step]:
    """What is drawn, and what each starts from: the main layer first, then outwards, as far as is wanted."""
    main = info.main_layer
    steps: list[Step] = [(main, None)]
    steps += [(higher, higher - 1) for higher in range(main + 1, info.n_layers)]
    steps += [(lower, lower + 1) for lower in reversed(range(main))]
    if layer is not None:
        low, high = sorted([layer, main])
        steps = [(own, start) for own, start in steps if own is not None and low <= own <= high]
    elif discovery is not None:
        steps.append((None, main))
    return steps


def _draw_steps(
    scope: Scope,
    embeddings: EmbeddingSet,
    discovery: Discovery | None,
    settings: MapSettings,
    steps: Sequence[Step],
    folder: Path,
    on_progress: Progress,
) -> dict[int | None, dict[str, np.ndarray]]:
    """The arrays of each step; what the folder holds is not drawn again."""
    arrays: dict[int | None, dict[str, np.ndarray]] = {}
    drawn = scope.workspace.catalogue.tracks_of(embeddings.track_ids).values()
    made = provenance(audio=digest(track.samples_sha256 or track.sha256 for track in drawn))
    for number, (own, start) in enumerate(steps):
        on_progress(number, len(steps), f"drawing {view_name(own)}")
        path = folder / f"{_file_name(own, discovery)}.json"
        try:
            _, arrays[own] = _read(path)
        except (DataMissingError, ArtefactMismatchError):
            space, metric = _space(scope, embeddings, own, settings, discovery)
            facts: dict[str, Any] = {
                "library": scope.library,
                "encoder": scope.info.id,
                "fingerprint": scope.info.fingerprint,
                "layer": own,
            }
            facts |= {"content": embeddings.content, "settings": asdict(settings), "track_ids": embeddings.track_ids}
            facts["provenance"] = made
            arrays[own] = _draw(path, facts, space, metric, settings, arrays.get(start))
    return arrays


def _draw(
    path: Path,
    facts: dict[str, Any],
    space: np.ndarray,
    metric: Metric,
    settings: MapSettings,
    start: dict[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """One view: its layouts, what of them is true, and its files."""
    check_space(space)
    n = len(space)
    k = neighbours_judged(n, settings.n_neighbours)
    nearest = find_nearest(space, min(max(k, settings.n_neighbours), n - 1), metric)
    pca = pca_layout(space)
    if start is not None:
        pca = align(pca, start["pca"])
    if start is None:
        umap = umap_layout(nearest, settings, metric, pca)
    else:
        shared = float(shares_kept(nearest.rows[:, :k], start["nearest"][:, :k]).mean())
        rate = rate_between(shared, k / (n - 1))
        umap = align(umap_layout(nearest, settings, metric, start["umap"], rate=rate), start["umap"])
    trust, preservation = measure_trust(space, nearest, umap, k, settings.seed)
    pca_trust, pca_preservation = measure_trust(space, nearest, pca, k, settings.seed)
    arrays = {
        "umap": umap,
        "pca": pca,
        "preservation": preservation.astype(np.float32),
        "pca_preservation": pca_preservation.astype(np.float32),
        "nearest": nearest.rows,
        "distances": nearest.distances,
    }
    facts |= {"metric": metric, "trust": asdict(trust), "pca_trust": asdict(pca_trust)}
    write_view(path, facts, arrays)
    return arrays


def _draw_again(
    path: Path, space_and_metric: tuple[np.ndarray, Metric], settings: MapSettings, arrays: dict[str, np.ndarray]
) -> None:
    """Stability: another seed, from points thrown at random, so that no common start can make the two agree."""
    kept = path.with_suffix(STABILITY)
    if kept.is_file():
        return
    space, metric = space_and_metric
    seed = settings.seed + STABILITY_SEED
    thrown = np.random.default_rng(seed).standard_normal((len(space), 2))
    nearest = NearestRows(arrays["nearest"], arrays["distances"])
    other = umap_layout(nearest, settings, metric, thrown, seed=seed)
    k = neighbours_judged(len(space), settings.n_neighbours)
    write_sealed(kept, {"overlap": overlap(arrays["umap"], other, k)})


# --- looking ------------------------------------------------------------------------------------------------


def load_view(scope: Scope, layer: int | None, settings: MapSettings | None = None) -> MapView | None:
    """A layer of the map that was drawn last, or the aspects; None if it was not drawn, or by another version.

    Tracks that were embedded since are placed, those removed since are not shown.

    Raises
    ------
    InputError
        If the encoder has no such layer.
    """
    settings = settings or MapSettings()
    check_settings(settings)
    check_layer(layer, scope.info)
    discovery = _discovery(scope) if layer is None else None
    if layer is None and discovery is None:
        return None
    for folder in _drawn_folders(_folder(scope, settings)):
        try:
            return _view(scope, settings, layer, folder, discovery)
        except (DataMissingError, ArtefactMismatchError):
            continue
    return None


def is_complete(scope: Scope, settings: MapSettings | None = None) -> bool:
    """Whether the map that is looked at shows the library as it is: nobody was added or removed, no view is missing."""
    settings = settings or MapSettings()
    folder = _current(_folder(scope, settings))
    if folder is None:
        return False
    names = [_file_name(layer, None) for layer in range(scope.info.n_layers)]
    discovery = _discovery(scope)
    names += [_file_name(None, discovery)] if discovery is not None else []
    if not all((folder / f"{name}.json").is_file() for name in names):
        return False
    ids = scope.embedded_ids
    if len(ids) > MOST_TRACKS:  # which were drawn is written there
        try:
            drawn = _read(folder / f"{names[0]}.json")[0]["track_ids"]
        except (DataMissingError, ArtefactMismatchError):
            return False
        ids = drawn if set(drawn) <= set(ids) else []
    return scope.workspace.store.content(ids, scope.info)[:16] == folder.name


def name_view(scope: Scope, view: MapView) -> MapNames:
    """What the directions and regions of a view stand for, as the library's targets and names say.

    Of very many points a sample is judged; the others belong to the region of the judged point that lies nearest.
    """
    every, seed = view.points(), view.settings.seed
    judged = np.arange(len(every))
    if len(every) > MOST_TRACKS:
        judged = np.sort(np.random.default_rng(seed).choice(len(every), NAMED_BY, replace=False))
    ids = [view.track_ids[row] for row in judged]
    tracks = scope.workspace.catalogue.tracks_of(ids)
    shown, points = [tracks[track_id] for track_id in ids], every[judged]
    targets = {
        target: probe_scale(scope.workspace.measurements.values(ids, target), target)
        for target in probed_targets("track")
    }
    labels: dict[str, list[str | None]] = {
        kind: [getattr(track, kind) for track in shown] for kind in ("composer", "performer", "instrument")
    }
    works = groups_of(shown, "work")
    directions = find_directions(points, targets, labels, works, seed)
    labels["work"] = [track.work for track in shown]
    regions = find_regions(points, targets, labels, works, seed)
    if len(judged) < len(every):
        regions = _spread(regions, points, every)
    return MapNames(directions, regions, len(judged))


def _spread(regions: Sequence[Region], judged: np.ndarray, every: np.ndarray) -> tuple[Region, ...]:
    """The regions of some points with all that lie there."""
    codes = np.full(len(judged), -1)
    for number, region in enumerate(regions):
        codes[list(region.rows)] = number
    of_every = codes[nearest_on_map(judged, 1, every)[:, 0]]
    return tuple(
        replace(region, rows=tuple(np.flatnonzero(of_every == number).tolist()))
        for number, region in enumerate(regions)
    )


def segment_path(scope: Scope, view: MapView, track_id: str) -> tuple[PathPoint, ...]:
    """A track's segments on the map, in order of time, each placed beside its nearest tracks, its own among them.

    Raises
    ------
    DataMissingError
        If the track is not embedded.
    """
    embedding = scope.embedding(track_id)
    rows = [row for row, is_placed in enumerate(view.is_placed) if not is_placed]
    drawn = [view.track_ids[row] for row in rows]
    discovery = _discovery(scope) if view.layer is None else None
    segments = embedding.segments.astype(np.float32)
    present = scope.workspace.store.load(drawn, scope.info)
    space, others, metric = _spaces(scope, present, segments, view.layer, view.settings, discovery)
    nearest = find_nearest(space, min(view.settings.n_neighbours, len(drawn)), metric, others)
    points = place(nearest, view.points()[rows])
    return tuple(
        PathPoint(float(start_s), float(x), float(y))
        for start_s, (x, y) in zip(embedding.starts_s, points, strict=True)
    )


def _view(
    scope: Scope,
    settings: MapSettings,
    layer: int | None,
    folder: Path,
    discovery: Discovery | None,
) -> MapView:
    """What is kept, and whoever came or went since."""
    path = folder / f"{_file_name(layer, discovery)}.json"
    facts, arrays = _read(path)
    arrays |= {name: normalise(arrays[name]) for name in ("umap", "pca")}
    if facts["fingerprint"] != scope.info.fingerprint or facts["settings"] != asdict(settings):
        raise ArtefactMismatchError(f"The map {path.name} was drawn by another encoder or with other settings.", CURE)
    ids = tuple(facts["track_ids"])
    embedded = scope.embedded_ids
    present = set(embedded)
    rows = [row for row, track_id in enumerate(ids) if track_id in present]
    drawn = [ids[row] for row in rows]
    is_sample = len(embedded) > MOST_TRACKS
    newcomers = [] if is_sample else sorted(present - set(ids))
    parts = [{name: array[rows] for name, array in arrays.items()}]
    if newcomers and len(rows) >= 1:
        parts.append(_place_newcomers(scope, settings, layer, discovery, ids, rows, newcomers, arrays))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in arrays}
    preservation = [
        tuple(None if np.isnan(value) else value for value in columns[name].astype(float).tolist())
        for name in ("preservation", "pca_preservation")
    ]
    (x, y), (pca_x, pca_y) = (
        tuple(tuple(column) for column in columns[name].T.astype(float).tolist()) for name in ("umap", "pca")
    )
    return MapView(
        layer=layer,
        settings=settings,
        track_ids=(*drawn, *newcomers),
        x=x,
        y=y,
        pca_x=pca_x,
        pca_y=pca_y,
        preservation=preservation[0],
        pca_preservation=preservation[1],
        is_placed=(*[False] * len(drawn), *[True] * len(newcomers)),
        trust=Trust(**facts["trust"]),
        pca_trust=Trust(**facts["pca_trust"]),
        stability=_stability(path),
        n_left_out=len(embedded) - len(drawn) - len(newcomers),
        path=path,
        _nearest=NearestRows(columns["nearest"], columns["distances"]),
        _drawn_ids=ids,
        provenance=dict(facts.get("provenance", {})),
    )


def _place_newcomers(
    scope: Scope,
    settings: MapSettings,
    layer: int | None,
    discovery: Discovery | None,
    ids: Sequence[str],
    rows: Sequence[int],
    newcomers: Sequence[str],
    arrays: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The columns of tracks that were embedded since; neighbours are rows of the map as it was drawn."""
    store, info = scope.workspace.store, scope.info
    present = store.load([ids[row] for row in rows], info)
    vectors = store.load(newcomers, info).vectors
    space, others, metric = _spaces(scope, present, vectors, layer, settings, discovery)
    width = arrays["nearest"].shape[1]
    found = find_nearest(space, min(width, len(rows)), metric, others)
    beside = NearestRows(np.asarray(rows)[found.rows], found.distances)
    n_wide = min(settings.n_neighbours, len(rows))
    few = NearestRows(beside.rows[:, :n_wide], beside.distances[:, :n_wide])
    missing = np.full(len(newcomers), np.nan, np.float32)
    pad = ((0, 0), (0, width - beside.rows.shape[1]))  # of a map that has lost most of its tracks
    return {
        "umap": place(few, arrays["umap"]),
        "pca": place(few, arrays["pca"]),
        "preservation": missing,
        "pca_preservation": missing,
        "nearest": np.pad(beside.rows, pad, mode="edge"),
        "distances": np.pad(beside.distances, pad, mode="edge"),
    }


def _space(
    scope: Scope,
    embeddings: EmbeddingSet,
    layer: int | None,
    settings: MapSettings,
    discovery: Discovery | None,
) -> tuple[np.ndarray, Metric]:
    """What is drawn, and by which metric."""
    if not embeddings.track_ids:
        check_space(np.empty((0, 1)))
    space, _, metric = _spaces(scope, embeddings, embeddings.vectors[:1], layer, settings, discovery)
    return space, metric


def _spaces(
    scope: Scope,
    embeddings: EmbeddingSet,
    others: np.ndarray,
    layer: int | None,
    settings: MapSettings,
    discovery: Discovery | None,
) -> tuple[np.ndarray, np.ndarray, Metric]:
    """The library's tracks and other vectors (n_others, n_layers, dim) in the space of a layer, or of the aspects."""
    if layer is not None:
        vectors, others = (some[:, layer, : scope.info.width_of(layer)] for some in (embeddings.vectors, others))
        centre = vectors.mean(axis=0, dtype=np.float64)
        own, new = (space_of(some, settings.metric, settings.is_centred, centre) for some in (vectors, others))
        return own, new, settings.metric
    if discovery is None:
        raise DataMissingError("No aspect has evidence here, so there is no map of aspects.", "Probe first.")
    geometry = DirectionGeometry.fit(embeddings.vectors, discovery.aspects, scope.directions(discovery))
    own, new = (
        space_of(geometry.coordinates(geometry.items(some), geometry.plain), "euclidean", is_centred=False)
        for some in (embeddings.vectors, others)
    )
    return own, new, "euclidean"


def _discovery(scope: Scope) -> Discovery | None:
    """What the aspects are drawn by; None if none has evidence."""
    discovery = scope.discovery_for_search()
    is_of_use = discovery is not None and any(aspect.has_evidence for aspect in discovery.aspects.values())
    return discovery if is_of_use else None


# --- keeping ------------------------------------------------------------------------------------------------


def _folder(scope: Scope, settings: MapSettings) -> Path:
    return scope.workspace.paths.maps / scope.info.folder / f"{file_name(scope.library)}-{settings.key}"


def kept_at(scope: Scope, settings: MapSettings, content: str, layer: int) -> Path:
    """Where the view of a layer is kept, drawn of what `content` names."""
    return _folder(scope, settings) / content[:16] / f"{_file_name(layer, None)}.json"


def _current(folder: Path) -> Path | None:
    """The map that was drawn last."""
    try:
        name = str(read_sealed(folder / "current.json")["content"])
        return folder / name if re.fullmatch("[0-9a-f]{16}", name) and (folder / name).is_dir() else None
    except (OSError, KeyError, ArtefactMismatchError):
        return None


def _drawn_folders(folder: Path) -> list[Path]:
    """The map that was drawn last, then what there is of others: one that is being drawn, or an older one."""
    current = _current(folder)
    others = [path for path in folder.glob("*") if path.is_dir() and path != current]
    return [*([current] if current else []), *sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)]


def _file_name(layer: int | None, discovery: Discovery | None) -> str:
    if layer is not None:
        return f"layer-{layer:02d}"
    rests_on = None
    if discovery is not None:
        evidence = {name: asdict(aspect) for name, aspect in discovery.aspects.items()}
        rests_on = [discovery.directions_sha256, evidence]
    return f"{ASPECTS}-{hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:8]}"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and arrays of a view that was kept, which fit each other; errors as `read_view`."""
    facts, arrays = read_view(path)
    with understanding(f"The map {path.name}", CURE):
        ids = facts["track_ids"]
        if not all(isinstance(track_id, str) for track_id in ids):
            raise TypeError("it places something that is no track")
        for name in ("umap", "pca"):
            if arrays[name].shape != (len(ids), 2) or not are_possible(arrays[name]):
                raise ValueError("it places a recording nowhere")
        for name in ("preservation", "pca_preservation", "nearest", "distances"):
            if len(arrays[name]) != len(ids):
                raise ValueError(f"its {name} is of another number of recordings")
        nearest = arrays["nearest"]
        if nearest.shape != arrays["distances"].shape or not ((nearest >= 0) & (nearest < len(ids))).all():
            raise ValueError("it names neighbours that are not there")
        for name in ("trust", "pca_trust"):
            build(Trust, facts[name])
        dict(facts.get("provenance", {}))
    return facts, arrays


def _stability(path: Path) -> float | None:
    try:
        kept = path.with_suffix(STABILITY)
        return float(read_sealed(kept)["overlap"])
    except (OSError, ValueError, KeyError, TypeError, ArtefactMismatchError):
        return None
