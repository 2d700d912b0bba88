"""How fast is one question, beside a baseline and beside what the memory allows?

    python -m benchmarks.search [--only hearings] [--home FOLDER]

A question reads every number once, so the limit is the rate at which one thread reads memory, measured here on an
array of the same size. The baselines are what is usually done: cosine by scikit-learn, a matrix product and a partial
sort in NumPy, and an index built anew for every question or every weighting. All vectors are made up.

All that is compared is measured in turns, the best of several: what the machine can do when nothing disturbs it.

    scan     the nearest rows, by inner product
    query    a whole search: exact similarities, percentiles, and whether the query is unlike everything
    new      the same with weights never asked before
    rebuilt  an index made for this question or weighting, and asked
    equal    the ten found are the ten of the definition, computed for every track

Hearings are asked of vectors made up with directions as unequal as nano's and MusiCNN's are; with `--home`, of the
segments of a data folder as tracks, mixed with one another up to that many. Without structure ("random") all is read.

    limit    one thread reads what the scan reads: the rows of the layers that have weight
    bounded  the same rows found by bounds of their products (`mess_core/search/short.py`)
    read     how many rows were read for it
    query    as above; scan, bounded and query are means of 40 queries
    equal    rows and products of bounded and scan are the same to the last bit, for all of the queries
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.hearings import HEARINGS, hearing_info
from mess_core.encoders.mert import MERT_95M
from mess_core.encoders.musicnn import MSD, MTT
from mess_core.encoders.nano import NANO
from mess_core.probing.aspects import ASPECTS, AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.either import geometry_for
from mess_core.search.geometry import DirectionGeometry, LayerGeometry
from mess_core.search.neighbours import FIRST_PORTION, NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.recall import measure_recall
from mess_core.search.rows import Kind, RowIndex, kind_for
from mess_core.search.segments import NEAREST_SEGMENTS, SegmentIndex
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

K = 10
LAYER_SIZES = (50, 200, 10_000)  # tracks
DIRECTION_SIZES = (10_000, 1_000_000)  # tracks
DIRECTION_SHAPE = (2, 64)  # layers x numbers of the embeddings behind the directions: a million take half a gigabyte
ASPECTS_ASKED = (1, 2, len(ASPECTS))
SEGMENTS_PER_TRACK = 100
PASSAGES = (1, 3, 8)  # segments
HOP_S, SEGMENT_S = 2.5, 5.0
CLUSTERED_SHAPE, N_CLUSTERS = (20_000, 13, 32), 200
HEARING_SIZE, N_QUERIES = 10_000, 40  # tracks; of them, asked about
N_LATENT, DECAY = 192, 1.4  # independent directions behind the layers of a hearing; variance of the i-th: i^-DECAY
NOISE = 0.1  # of a layer's own, beside the largest direction's 1
CACHE_BYTES = 64e6  # what is smaller may stay in the processor's cache, whose rate is another


def best_s(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each action's best run; they take turns, so that what disturbs one disturbs all."""
    best = dict.fromkeys(actions, np.inf)
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["hearings"], help="leave the other tables out")
    parser.add_argument("--home", type=Path, help="a data folder with recordings embedded with nano and MusiCNN")
    arguments = parser.parse_args()
    n_layers, dim = MERT_95M.n_layers, MERT_95M.embedding_dim
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; times in ms; limit: one thread reads the same")
    with threadpool_limits(1):
        print(f"\nhearings: {HEARING_SIZE} tracks, one query, {FIRST_PORTION} rows looked up")
        print("           hearing  vectors     MB    limit     scan  bounded  of scan   read    query  equal")
        for line in hearing_lines(arguments.home):
            print(line, flush=True)
        if arguments.only:
            return

        print(f"\nlayer: {n_layers} layers x {dim} = {n_layers * dim} numbers per track, one query, k = {K}")
        print("   tracks     MB    limit     scan   GB/s  of limit    query  sklearn  rebuilt  equal")
        for n_tracks in LAYER_SIZES:
            print(layer_line(n_tracks), flush=True)

        print(f"\ndirection: {len(ASPECTS)} aspects, one query, k = {K}; all 'flat'")
        print("   tracks aspects     MB    limit     scan   GB/s  of limit    query      new    NumPy  rebuilt  equal")
        for n_tracks in DIRECTION_SIZES:
            library = DirectionLibrary(n_tracks)
            for line in direction_lines(library):
                print(line, flush=True)

        print(f"\npassages: {SEGMENTS_PER_TRACK} segments per track in direction coordinates; all 'flat'")
        print(" segments passage    limit    query    NumPy  recall")
        for line in passage_lines(library):
            print(line, flush=True)

        n_tracks, n_layers, dim = CLUSTERED_SHAPE
        print(f"\napproximate: {n_tracks} clustered tracks x {n_layers} layers x {dim}, an aspect being one layer")
        print(" kind  build s     MB  weighting               recall@10  median ms")
        for kind in ("flat", "hnsw", "ivf"):
            for line in recall_lines(kind):
                print(line, flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


# --- hearings ---------------------------------------------------------------------------------------------------


def hearing_lines(home: Path | None) -> Iterator[str]:
    """One line of the table for each hearing, and for single encoders with all their layers."""
    known = {info.id: info for info in (NANO, MTT, MSD, CHROMA)}
    infos = [hearing_info(hearing, known.__getitem__) for hearing in HEARINGS]
    for info in (*infos, NANO, MERT_95M):
        yield hearing_line(info, "made up", made_up(info))
    yield hearing_line(infos[0], "random", random_vectors(infos[0]))
    if home is not None:
        workspace = Workspace(home)
        for info in (*(info for info in infos if CHROMA not in info.encoders), NANO):
            yield hearing_line(info, "segments", mixed_segments(Scope(workspace, "all", info)))


def hearing_line(info: EncoderInfo, what: str, vectors: np.ndarray) -> str:
    """One line of the table."""
    geometry = geometry_for("layer", info).fit(vectors, info=info)
    index = NeighbourIndex(EmbeddingSet(info, names(len(vectors)), vectors, "benchmark"), geometry)
    rows = index.rows
    queries = vectors[: N_QUERIES * 10 : 10]
    index.search(queries[0])  # makes what is made once per index
    asked = [[np.atleast_2d(v) for v, *_ in geometry.lookups(item, geometry.plain)] for item in geometry.items(queries)]
    is_equal, n_read = True, 0
    for vectors_of_one in (each for of_query in asked for each in of_query):
        pairs = zip(rows.search_any(vectors_of_one, FIRST_PORTION), scanned(rows, vectors_of_one), strict=True)
        is_equal &= all(np.array_equal(one, other) for one, other in pairs)
        possible = rows._possible(vectors_of_one, FIRST_PORTION) if len(vectors_of_one) == 1 else None
        n_read += rows.n_rows if possible is None else len(possible)
    places = list(zip(rows._blocks, rows._columns, strict=True))
    own = [block.reshape(-1) for vector in asked[0] for block, columns in places if vector[:, columns].any()]
    took_s = best_s(
        {
            "limit": lambda: [flat.dot(flat) for flat in own],
            "scan": lambda: [scanned(rows, vector) for each in asked for vector in each],
            "bounded": lambda: [rows.search_any(vector, FIRST_PORTION) for each in asked for vector in each],
            "query": lambda: [index.search(query) for query in queries],
        },
        12,
    )
    limit = took_s["limit"] * 1e3
    scan, bounded, query = (took_s[name] / len(queries) * 1e3 for name in ("scan", "bounded", "query"))
    n_bytes = sum(flat.nbytes for flat in own)
    return (
        f"{info.id.removeprefix('hearing:'):>18} {what:>8} {n_bytes / 1e6:6.1f} {limit:8.3f} {scan:8.3f} {bounded:8.3f}"
        f" {bounded / scan:8.2f} {n_read / N_QUERIES:6.0f} {query:8.3f}  {is_equal}"
    )


def scanned(rows: RowIndex, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is nearest, by reading all rows; for the turns of one query there is no other way."""
    if len(vectors) > 1:
        return rows.search_any(vectors, FIRST_PORTION)
    products, found = rows._scan(vectors, FIRST_PORTION)
    return products[0], found[0]


def made_up(info: EncoderInfo) -> np.ndarray:
    """Embeddings whose layers show the same directions, each turned its own way, the first of them by far the longest.

    A few dozen of them hold as much of a layer as of nano's and MusiCNN's. But nothing is clustered: the nearest are
    hardly nearer than the next, so more rows must be read than of music.
    """
    rng = np.random.default_rng(0)
    vectors = np.zeros((HEARING_SIZE, info.n_layers, info.dim), np.float32)
    lengths = np.arange(1, N_LATENT + 1, dtype=np.float32) ** (-DECAY / 2)
    of_part: dict[str, np.ndarray] = {}
    names_of = [part.of for part in info.parts for _ in part.layers] or [info.id] * info.n_layers
    for layer, (name, width) in enumerate(zip(names_of, info.widths or (info.dim,) * info.n_layers, strict=True)):
        if name not in of_part:
            of_part[name] = rng.standard_normal((HEARING_SIZE, N_LATENT), dtype=np.float32) * lengths
        turned = np.linalg.qr(rng.standard_normal((width, min(N_LATENT, width))))[0].astype(np.float32).T
        vectors[:, layer, :width] = of_part[name][:, : len(turned)] @ turned
        vectors[:, layer, :width] += NOISE / width**0.5 * rng.standard_normal((HEARING_SIZE, width), dtype=np.float32)
    vectors += np.float32(3) * (vectors != 0)  # a large common part, as real embeddings have
    return vectors


def random_vectors(info: EncoderInfo) -> np.ndarray:
    """All numbers independent."""
    return np.random.default_rng(0).standard_normal((HEARING_SIZE, info.n_layers, info.dim), dtype=np.float32)


def mixed_segments(scope: Scope) -> np.ndarray:
    """The segments of a library, and made of two of them each, with a little noise, as many as are wanted."""
    rng = np.random.default_rng(0)
    segments = np.concatenate([scope.embedding(track_id).segments for track_id in scope.embedded_ids])
    segments = segments.astype(np.float32)[:HEARING_SIZE]
    n_more = HEARING_SIZE - len(segments)
    one, other = rng.integers(0, len(segments), (2, n_more))
    share = rng.uniform(0, 0.5, (n_more, 1, 1)).astype(np.float32)
    mixed = (1 - share) * segments[one] + share * segments[other]
    mixed += NOISE * segments.std(axis=0) * rng.standard_normal(mixed.shape, dtype=np.float32)
    return np.concatenate([segments, mixed])


# --- layer ------------------------------------------------------------------------------------------------------


def layer_line(n_tracks: int) -> str:
    """One line of the table."""
    from sklearn.metrics.pairwise import cosine_similarity

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_tracks, MERT_95M.n_layers, MERT_95M.embedding_dim), dtype=np.float32)
    vectors += 3  # a large common part, as real embeddings have
    embeddings = EmbeddingSet(MERT_95M, names(n_tracks), vectors, "benchmark")
    index = NeighbourIndex(embeddings, LayerGeometry.fit(vectors))
    query, flat, rows = vectors[n_tracks // 2], vectors.reshape(-1), vectors.reshape(n_tracks, -1)
    vector = index.geometry.query(index.geometry.items(query[None])[0], index.geometry.plain)[0]
    found = [neighbour.track_id for neighbour in index.search(query).neighbours]  # makes what is made once per index
    took_s = best_s(
        {
            "limit": lambda: flat.dot(flat),
            "scan": lambda: index.rows.search(vector[None], K),
            "query": lambda: index.search(query),
        },
        300 if n_tracks < 1000 else 20,
    )
    usual_s = best_s(
        {
            "sklearn": lambda: cosine_similarity(rows, query.reshape(1, -1)),
            "rebuilt": lambda: NeighbourIndex(embeddings, LayerGeometry.fit(vectors)).rows.search(vector[None], K),
        },
        2,
    )
    is_equal = found == nearest_by_layers(vectors, query, embeddings.track_ids)
    return (
        f"{n_tracks:9d} {scan_columns(vectors.nbytes, took_s)} {took_s['query'] * 1e3:8.3f}"
        f" {usual_s['sklearn'] * 1e3:8.1f} {usual_s['rebuilt'] * 1e3:8.1f}  {is_equal}"
    )


def nearest_by_layers(vectors: np.ndarray, query: np.ndarray, track_ids: tuple[str, ...]) -> list[str]:
    """The definition in NumPy: the ten largest mean cosines of centred layers."""
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    wanted = query - centre
    wanted /= np.linalg.norm(wanted, axis=-1, keepdims=True)
    similarity = np.empty(len(vectors))
    for row, vector in enumerate(vectors):
        block = vector - centre
        similarity[row] = ((block * wanted).sum(-1) / np.linalg.norm(block, axis=-1)).mean()
    return [track_ids[row] for row in np.argsort(-similarity, kind="stable")[:K]]


# --- direction --------------------------------------------------------------------------------------------------


class DirectionLibrary:
    """Made-up embeddings, directions for every target, and every aspect well told."""

    def __init__(self, n_tracks: int) -> None:
        rng = np.random.default_rng(0)
        n_layers, dim = DIRECTION_SHAPE
        targets = tuple(dict.fromkeys(target for own in ASPECTS.values() for target in own))
        layers = tuple(range(n_layers))
        weights = rng.standard_normal((len(targets), n_layers, dim), dtype=np.float32) / np.float32(dim**0.5)
        offsets = np.zeros((len(targets), n_layers), np.float32)
        evidence = {aspect: AspectEvidence(layers, own, "high", own) for aspect, own in ASPECTS.items()}
        self.vectors = rng.standard_normal((n_tracks, n_layers, dim), dtype=np.float32)
        directions = Directions(targets, (layers,) * len(targets), weights, offsets)
        self.geometry = DirectionGeometry.fit(self.vectors, evidence, directions)
        info = dataclasses.replace(MERT_95M, n_layers=n_layers, dim=dim)
        embeddings = EmbeddingSet(info, names(n_tracks), self.vectors, "benchmark")
        self.index = NeighbourIndex(embeddings, self.geometry, kind="flat")
        self.items = self.index.rows.rows(np.arange(n_tracks))


def direction_lines(library: DirectionLibrary) -> Iterator[str]:
    """One line of the table for each number of aspects."""
    index, items, flat = library.index, library.items, library.items.reshape(-1)
    n_tracks = len(items)
    query, item = library.vectors[n_tracks // 2], items[n_tracks // 2]
    index.search(query)  # makes what is made once per index
    rows = index.rows
    for n_aspects in ASPECTS_ASKED:
        requests = random_requests(n_aspects, 12)
        request, weights = requests[0], index.weights(requests[0])
        vector = library.geometry.query(item, weights)[0]
        cold_s = min(best_s({"new": lambda request=r: index.search(query, request)}, 1)["new"] for r in requests)
        found = [neighbour.track_id for neighbour in index.search(query, request).neighbours]
        took_s = best_s(
            {
                "limit": lambda: flat.dot(flat),
                "scan": lambda vector=vector: rows.search(vector[None], K),
                "query": lambda request=request: index.search(query, request),
                "numpy": lambda vector=vector: nearest_by_product(items, vector, K),
            },
            300 if n_tracks < 100_000 else 20,
        )
        rebuilt_s = best_s({"": lambda weights=weights: rebuilt(library.geometry, items, item, weights)}, 3)[""]
        similarity = library.geometry.similarities(item, items) @ weights
        is_equal = found == [index.track_ids[row] for row in np.argsort(-similarity, kind="stable")[:K]]
        yield (
            f"{n_tracks:9d} {n_aspects:7d} {scan_columns(items.nbytes, took_s)} {took_s['query'] * 1e3:8.3f}"
            f" {cold_s * 1e3:8.3f} {took_s['numpy'] * 1e3:8.3f} {rebuilt_s * 1e3:8.1f}  {is_equal}"
        )
    unasked = kind_for(n_tracks, index.rows.n_columns)
    yield f"{n_tracks:9d} one index answered them all: {index.rows is rows}; unasked it would be {unasked!r}"


def random_requests(n_aspects: int, n: int) -> list[Question]:
    """Requests for so many aspects, each with other weights."""
    rng = np.random.default_rng(n_aspects)
    asked = [np.roll(list(ASPECTS), -first)[:n_aspects] for first in range(n)]
    return [
        Question(dict(zip(map(str, names), rng.uniform(0.1, 1, n_aspects).tolist(), strict=True)), k=K)
        for names in asked
    ]


def nearest_by_product(items: np.ndarray, vector: np.ndarray, k: int) -> np.ndarray:
    """What one would write: all similarities, of which the largest."""
    similarity = items @ vector
    nearest = np.argpartition(similarity, -k)[-k:]
    return nearest[np.argsort(-similarity[nearest], kind="stable")]


def rebuilt(geometry: DirectionGeometry, items: np.ndarray, item: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The usual way to weigh: scale the coordinates, build an index of them, ask it."""
    import faiss

    vector = geometry.query(item, weights)[0]
    is_square = np.zeros(len(vector), bool)
    is_square[np.cumsum([len(ASPECTS[part]) + 1 for part in geometry.parts]) - 1] = True
    scale = np.repeat(np.sqrt(weights), [len(ASPECTS[part]) for part in geometry.parts]).astype(np.float32)
    index = faiss.IndexFlatL2(len(scale))
    index.add(items[:, ~is_square] * scale)
    rows: np.ndarray = index.search((item[~is_square] * scale)[None], K)[1]
    return rows


# --- passages ---------------------------------------------------------------------------------------------------


def passage_lines(library: DirectionLibrary) -> Iterator[str]:
    """One line of the table for each length of passage; the tracks of the library stand for segments."""
    items, geometry = library.items, library.geometry
    n_tracks = len(items) // SEGMENTS_PER_TRACK
    starts_s = np.tile(np.arange(SEGMENTS_PER_TRACK) * HOP_S, n_tracks)
    n_segments = np.full(n_tracks, SEGMENTS_PER_TRACK)
    index = SegmentIndex(names(n_tracks), items, starts_s, n_segments, SEGMENT_S, geometry, kind="flat")
    weights, flat = geometry.plain, items.reshape(-1)
    for n_query in PASSAGES:
        passage = items[12_345 : 12_345 + n_query]
        index.search(passage, starts_s[:n_query], weights)  # sorts the percentiles of these weights
        took_s = best_s(
            {
                "limit": lambda: flat.dot(flat),
                "query": lambda passage=passage: index.search(passage, starts_s[: len(passage)], weights),
                "numpy": lambda passage=passage: nearest_segments(geometry, items, passage, weights),
            },
            7,
        )
        found, truth = index.nearest(passage, weights), nearest_segments(geometry, items, passage, weights)
        recall = np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)])
        yield (
            f"{len(items):9d} {n_query:7d} {took_s['limit'] * 1e3:8.2f} {took_s['query'] * 1e3:8.1f}"
            f" {took_s['numpy'] * 1e3:8.1f}  {recall:6.4f}"
        )


def nearest_segments(
    geometry: DirectionGeometry, items: np.ndarray, passage: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The segments nearest to each of a passage, by looking at all: only what a search begins with."""
    vectors = [geometry.query(item, weights)[0] for item in passage]
    return np.stack([nearest_by_product(items, vector, NEAREST_SEGMENTS) for vector in vectors])


# --- approximate indexes ----------------------------------------------------------------------------------------


def recall_lines(kind: Kind) -> Iterator[str]:
    """One line of the table for each weighting."""
    rng = np.random.default_rng(0)
    n_tracks, n_layers, dim = CLUSTERED_SHAPE
    centres = rng.standard_normal((N_CLUSTERS, n_layers, dim), dtype=np.float32)
    vectors = centres[rng.integers(0, N_CLUSTERS, n_tracks)]
    vectors += rng.standard_normal(vectors.shape, dtype=np.float32)
    own = zip(list(ASPECTS)[:3], (2, 6, 10), strict=True)
    evidence = {aspect: AspectEvidence((layer,), (), "high") for aspect, layer in own}
    info = dataclasses.replace(MERT_95M, n_layers=n_layers, dim=dim)
    embeddings = EmbeddingSet(info, names(n_tracks), vectors, "benchmark")
    start = time.perf_counter()
    index = NeighbourIndex(embeddings, LayerGeometry.fit(vectors, evidence), kind=kind)
    build_s = time.perf_counter() - start
    head = f"{kind:>5} {build_s:8.1f} {index.rows.size_bytes / 1e6:6.0f}"
    for found in measure_recall(index):
        yield f"{head}  {found.weighting:22}  {found.share:9.3f} {found.median_s * 1e3:10.3f}"
        head = " " * len(head)


# --- the table --------------------------------------------------------------------------------------------------


def names(n_tracks: int) -> tuple[str, ...]:
    return tuple(f"{row:08d}" for row in range(n_tracks))


def scan_columns(n_bytes: int, took_s: Mapping[str, float]) -> str:
    """Size, the limit, and the scan beside it."""
    limit_s, scan_s = took_s["limit"], took_s["scan"]
    share = f"{limit_s / scan_s:8.0%}" if n_bytes > CACHE_BYTES else "       –"
    return f"{n_bytes / 1e6:6.1f} {limit_s * 1e3:8.3f} {scan_s * 1e3:8.3f} {n_bytes / scan_s / 1e9:6.1f}  {share}"


if __name__ == "__main__":
    main()
