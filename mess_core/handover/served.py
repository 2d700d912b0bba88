"""The search index of a library as a folder that a service loads: default search as one inner product.

    index.faiss        IndexFlatIP; row i belongs to line i of ids.txt
    ids.txt            track ids
    query.safetensors  centre (n_layers, dim): what is taken off an embedding before its layers are made unit vectors
    manifest.json      encoder with all its facts, the same in words, sha256 of every file

A row is all layers of a track, centred and of length 1, one after the other: `search.geometry.LayerGeometry`. A layer
that is narrower than others has as many columns as it has numbers, though `centre` has a row of equal length for it,
filled up with zeros. Where the
app corrects for hubs, one more column holds minus half of what a track is used to (`search.hubness`), and a query
one more 1. So the ten nearest are those of the app's default search, as any inner-product engine finds them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import mess_core
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.imported import info_of
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, StorageError
from mess_core.handover.folders import (
    COPY_AGAIN,
    MANIFEST,
    OnProgress,
    no_progress,
    read_manifest,
    verify_files,
    whole_folder,
    write_manifest,
)
from mess_core.search.either import geometry_for
from mess_core.search.evaluated import correction_helps
from mess_core.search.geometry import LayerGeometry
from mess_core.search.hubness import local_means
from mess_core.search.neighbours import HUB_NEIGHBOURS, HUB_REFERENCES, SEED
from mess_core.storage.untrusted import (
    MOST_ARRAY_BYTES,
    MOST_TENSORS_BYTES,
    open_untrusted,
    parse_safetensors,
    read_text,
    read_untrusted,
    understanding,
)
from mess_core.workspace.scope import Scope

if TYPE_CHECKING:
    import faiss

FORMAT = "mess-index-1"
FLAT = struct.Struct("<4siqqq?iQ")  # kind, columns, rows, two of no use, whether trained, metric, numbers that follow
INDEX, IDS, QUERY = "index.faiss", "ids.txt", "query.safetensors"
ROWS_PER_BLOCK = 1024
QUERIES_PER_BLOCK = 64
MARGIN = 32  # rows looked at beyond those asked for: single precision may change the order of near equals
METRIC = "Inner product, larger is closer: the mean over layers of the cosine of centred layers, in [-1, 1]."
CORRECTED = " Minus half of what the row is used to: its mean similarity to its ten nearest."


@dataclass(frozen=True)
class ServedNeighbour:
    """One row that was found; `similarity` is the cosine, whether or not hubs are corrected for."""

    track_id: str
    similarity: float


class ServedIndex:
    """The default search of one library by one encoder.

    Parameters
    ----------
    centre : ndarray, shape (n_layers, dim), float32
    rows : faiss.IndexFlatIP
        One row per track; one column more than the layers have if hubs are corrected for.
    """

    def __init__(self, info: EncoderInfo, track_ids: tuple[str, ...], centre: np.ndarray, rows: faiss.Index) -> None:
        self.info, self.track_ids, self.centre, self.rows = info, track_ids, centre, rows
        self.corrects_hubs = rows.d == info.n_numbers + 1
        self._geometry = LayerGeometry.fit(centre[None], info=info)  # of a library of one track that is the centre

    def query_vector(self, embedding: np.ndarray) -> np.ndarray:
        """A track embedding (n_layers, dim) -> what the rows are multiplied with, (n_columns,) float32."""
        return self._query(self._geometry.items(np.asarray(embedding, np.float32)[None])[0])

    def nearest(self, embedding: np.ndarray, k: int = 10, exclude: Collection[str] = ()) -> list[ServedNeighbour]:
        """The nearest tracks to a track embedding (n_layers, dim); `exclude` holds the query itself, if it is here."""
        item = self._geometry.items(np.asarray(embedding, np.float32)[None])
        (found,) = self._ranked(item, k, [frozenset(exclude)])
        return found

    def nearest_of_each(self, k: int = 10) -> Iterator[list[ServedNeighbour]]:
        """Of every row, its nearest others."""
        for start in range(0, len(self.track_ids), QUERIES_PER_BLOCK):
            own = self.track_ids[start : start + QUERIES_PER_BLOCK]
            items = self.rows.reconstruct_n(start, len(own))[:, : self.info.n_numbers]
            yield from self._ranked(items, k, [frozenset([track_id]) for track_id in own])

    def _query(self, item: np.ndarray) -> np.ndarray:
        """All layers weigh the same, so the sum of products is the mean of cosines."""
        vector = (item[: self.info.n_numbers] / len(self.centre)).astype(np.float32)
        return np.append(vector, np.float32(1)) if self.corrects_hubs else vector

    def _ranked(self, items: np.ndarray, k: int, exclude: list[frozenset[str]]) -> list[list[ServedNeighbour]]:
        """Candidates by the index, in the order of exact products; equal ones in order of track id."""
        n_wanted = min(len(self.track_ids), k + max(map(len, exclude)) + MARGIN)
        queries = np.stack([self._query(item) for item in items])
        answers = []
        for item, rows, left_out in zip(items, self.rows.search(queries, n_wanted)[1], exclude, strict=True):
            rows = np.sort(rows)
            vectors = self.rows.reconstruct_batch(rows)
            similarities = self._geometry.similarities(item, vectors)[:, 0]
            scores = similarities + (vectors[:, -1] if self.corrects_hubs else 0.0)
            order = np.argsort(-scores, kind="stable")
            found = [ServedNeighbour(self.track_ids[rows[place]], float(similarities[place])) for place in order]
            answers.append([nearest for nearest in found if nearest.track_id not in left_out][:k])
        return answers


def build_served(scope: Scope) -> tuple[ServedIndex, str]:
    """The index of a library's default search, and the content it was made of (`EmbeddingSet.content`).

    Raises
    ------
    DataMissingError
        If no track has an embedding by this encoder.
    """
    import faiss

    embeddings, info = scope.embeddings(), scope.info
    if not geometry_for(LayerGeometry.name, info).is_linear:
        raise InputError(
            f"{info.title} is no inner product: no other search engine can answer it.",
            "Export what is one, such as hearing:same-music.",
        )
    if not embeddings.track_ids:
        raise DataMissingError(
            f"No track of this library has an embedding by {info.id} yet.",
            f"python -m mess_core extract --encoder {info.id}",
        )
    vectors = embeddings.vectors
    geometry = LayerGeometry.fit(vectors, info=info)
    items = np.concatenate(
        [
            geometry.items(vectors[start : start + ROWS_PER_BLOCK])[:, : geometry.n_numbers]
            for start in range(0, len(vectors), ROWS_PER_BLOCK)
        ]
    )
    if correction_helps(scope, geometry.name):
        items = np.column_stack([items, -_used_to(items, len(geometry.centre)) / 2])
    rows = faiss.IndexFlatIP(items.shape[1])
    rows.add(np.ascontiguousarray(items, np.float32))
    return ServedIndex(info, embeddings.track_ids, geometry.centre, rows), embeddings.content


def export_index(scope: Scope, folder: Path, on_progress: OnProgress = no_progress) -> ServedIndex:
    """Write the search index of a library; an older one in the same folder gives way.

    Raises
    ------
    DataMissingError
        If no track has an embedding by this encoder.
    InputError
        If the folder holds something else.
    """
    import faiss
    from safetensors.numpy import save

    scope.require_library()
    info = scope.info
    with whole_folder(folder, "mess-index-") as new:
        on_progress(0, 1)
        served, content = build_served(scope)
        try:
            faiss.write_index(served.rows, str(new / INDEX))
        except RuntimeError as error:  # faiss knows no other
            raise StorageError(
                f"{INDEX} could not be written: {error}.", "Free some disk space, then again."
            ) from error
        (new / IDS).write_text("".join(f"{track_id}\n" for track_id in served.track_ids), "utf-8", newline="\n")
        (new / QUERY).write_bytes(save({"centre": np.ascontiguousarray(served.centre)}))
        write_manifest(
            new,
            {
                "format": FORMAT,
                "mess": mess_core.__version__,
                "library": scope.library,
                "encoder": info.facts,
                "fingerprint": info.fingerprint,
                "content": content,
                "n_tracks": len(served.track_ids),
                "n_columns": served.rows.d,
                "corrects_hubs": served.corrects_hubs,
                "metric": METRIC + (CORRECTED if served.corrects_hubs else ""),
                "query": [
                    f"Take a track embedding ({info.n_layers}, {info.embedding_dim}) by this encoder, float32.",
                    f"Subtract `centre` of {QUERY}.",
                    "Divide each layer by its length; one not longer than 1e-6 of the centre's length becomes 0.",
                    *([f"Of each layer keep its own numbers, in order: {list(info.widths)}."] if info.widths else []),
                    f"Flatten, layer after layer, and divide by {info.n_layers}.",
                    *(["Append 1."] if served.corrects_hubs else []),
                ],
            },
        )
        on_progress(1, 1)
    return served


def load_index(folder: Path) -> ServedIndex:
    """An exported index, verified.

    Raises
    ------
    ArtefactMismatchError
        If a file is gone, damaged or does not fit the others, or the format is another.
    InputError
        If the manifest names a path outside of the folder.
    """
    import faiss

    document = read_manifest(folder, FORMAT)
    files = verify_files(folder, document.get("files"))
    if not {INDEX, IDS, QUERY} <= files.keys():
        raise ArtefactMismatchError(f"{MANIFEST} lists no index with ids and query.", COPY_AGAIN)
    info = info_of(document.get("encoder"), MANIFEST)
    track_ids = tuple(read_text(folder / IDS, cure=COPY_AGAIN).splitlines())
    arrays = parse_safetensors(read_untrusted(folder / QUERY, MOST_TENSORS_BYTES, cure=COPY_AGAIN), QUERY, COPY_AGAIN)
    with understanding(f"The index in {folder}", COPY_AGAIN):
        centre = arrays["centre"]
        _check_flat(folder / INDEX)
        rows = faiss.read_index(str(folder / INDEX))
    is_whole = (
        document.get("fingerprint") == info.fingerprint
        and centre.shape == (info.n_layers, info.embedding_dim)
        and rows.d in (info.n_numbers, info.n_numbers + 1)
        and rows.ntotal == len(track_ids)
    )
    if not is_whole:
        raise ArtefactMismatchError(f"The files in {folder} do not belong together.", COPY_AGAIN)
    return ServedIndex(info, track_ids, centre, rows)


def _check_flat(path: Path) -> None:
    """Refuse what is no flat index of as many numbers as it has bytes for: faiss allocates what the file asks for."""
    with open_untrusted(path, MOST_ARRAY_BYTES, cure=COPY_AGAIN) as stream:
        head, size = stream.read(FLAT.size), os.fstat(stream.fileno()).st_size
    if len(head) == FLAT.size:
        kind, n_columns, n_rows, _, _, _, metric, n_numbers = FLAT.unpack(head)
        is_flat = (kind, metric) == (b"IxFI", 0) and n_columns > 0 and n_rows >= 0
        if is_flat and n_numbers == n_columns * n_rows and size == FLAT.size + 4 * n_numbers:
            return
    raise ArtefactMismatchError(f"{INDEX} is no flat index, or breaks off.", COPY_AGAIN)


def _used_to(items: np.ndarray, n_layers: int) -> np.ndarray:
    """Mean similarity of each row to its nearest among the rows that stand for the library, (n_tracks,)."""
    n = len(items)
    sample = np.arange(n)
    if n > HUB_REFERENCES:
        sample = np.sort(np.random.default_rng(SEED).choice(n, HUB_REFERENCES, replace=False))
    references = items[sample].T / n_layers
    found = np.empty(n)
    for start in range(0, n, ROWS_PER_BLOCK):
        here = np.arange(start, min(start + ROWS_PER_BLOCK, n))
        similarities = items[here] @ references
        similarities[here[:, None] == sample] = -np.inf
        found[here] = local_means(similarities, min(HUB_NEIGHBOURS, max(1, len(sample) - 1)))
    return found
