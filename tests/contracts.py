"""Contracts: the laws that every encoder, every geometry and every collection keeps, written once.

A test module parametrises over the laws and hands each what it has of the kind:

    @pytest.mark.parametrize("law", ENCODER_LAWS, ids=name_of)
    def test_laws(encoder, law):
        law(encoder)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mess_core.collections.collection import Collection, Recording
from mess_core.encoders.base import Encoder
from mess_core.errors import InputError
from mess_core.search.geometry import Geometry


def name_of(law: Callable[..., None]) -> str:
    return law.__name__


def noise(n: int, seconds: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (n, round(seconds * rate_hz))).astype(np.float32)


# --- encoders: `law(encoder)` -------------------------------------------------------------------------------


def gives_the_shape_of_its_info(encoder: Encoder) -> None:
    """(n, n_layers, n_frames, dim) float32, as many frames as its rate says."""
    info = encoder.info
    hidden_states = encoder.encode(noise(2, 5.0, info.sample_rate_hz))
    n, n_layers, n_frames, dim = hidden_states.shape
    assert (n, n_layers, dim, hidden_states.dtype) == (2, info.n_layers, info.dim, np.float32)
    assert abs(n_frames - 5.0 * info.frame_rate_hz) <= 1


def answers_a_batch_as_its_members_alone(encoder: Encoder) -> None:
    waveforms = noise(3, 1.3, encoder.info.sample_rate_hz)
    alone = np.concatenate([encoder.encode(one[None]) for one in waveforms])
    np.testing.assert_allclose(encoder.encode(waveforms), alone, rtol=0, atol=1e-4)


def answers_the_same_with_the_same_bytes(encoder: Encoder) -> None:
    waveforms = noise(2, 1.0, encoder.info.sample_rate_hz)
    assert encoder.encode(waveforms).tobytes() == encoder.encode(waveforms.copy()).tobytes()


def leaves_waveforms_as_they_were(encoder: Encoder) -> None:
    waveforms = noise(2, 1.0, encoder.info.sample_rate_hz)
    waveforms.setflags(write=False)
    before = waveforms.copy()
    encoder.encode(waveforms)
    np.testing.assert_array_equal(waveforms, before)


def hears_silence_as_numbers(encoder: Encoder) -> None:
    silence = np.zeros((2, encoder.info.sample_rate_hz), np.float32)
    assert np.isfinite(encoder.encode(silence)).all()


def refuses_what_is_no_waveform(encoder: Encoder) -> None:
    """Another shape, less than a second, what is no number: each in words of its own."""
    second = noise(1, 1.0, encoder.info.sample_rate_hz)
    for waveforms, says in (
        (second[0], "shape"),
        (second[:0], "shape"),
        (second[:, :-1], "at least 1 s"),
        (second * np.nan, "NaN"),
        (second + np.inf, "NaN or infinite"),
    ):
        with pytest.raises(InputError, match=says):
            encoder.encode(waveforms)


ENCODER_LAWS = (
    gives_the_shape_of_its_info,
    answers_a_batch_as_its_members_alone,
    answers_the_same_with_the_same_bytes,
    leaves_waveforms_as_they_were,
    hears_silence_as_numbers,
    refuses_what_is_no_waveform,
)


# --- geometries: `law(geometry, library, query)`, embeddings (n, n_layers, dim) and (1, n_layers, dim) ----------


def makes_items_of_single_precision(geometry: Geometry, library: np.ndarray, query: np.ndarray) -> None:
    items = geometry.items(library)
    assert items.shape == (len(library), geometry.n_columns) and items.dtype == np.float32
    assert geometry.plain.shape == (len(geometry.parts),)


def makes_an_item_the_same_in_any_company(geometry: Geometry, library: np.ndarray, query: np.ndarray) -> None:
    alone = np.concatenate([geometry.items(row[None]) for row in library])
    np.testing.assert_allclose(geometry.items(library), alone, atol=1e-5)


def says_by_a_product_what_its_parts_say(geometry: Geometry, library: np.ndarray, query: np.ndarray) -> None:
    """Query and item multiplied, plus the constant: the weighted similarities of the parts, whatever the weights."""
    items, item = geometry.items(library), geometry.items(query)[0]
    parts = geometry.similarities(item, items)
    assert parts.shape == (len(library), len(geometry.parts))
    for weights in (geometry.plain, *np.random.default_rng(0).dirichlet(np.ones(len(geometry.parts)), 3)):
        vector, constant = geometry.query(item, weights)
        assert vector.shape == (geometry.n_columns,) and vector.dtype == np.float32
        np.testing.assert_allclose(items @ vector + constant, parts @ weights, atol=1e-4)


def does_not_care_who_asks(geometry: Geometry, library: np.ndarray, query: np.ndarray) -> None:
    """Similarities and distances are symmetric; to itself a recording is nearest, at no distance."""
    items = geometry.items(library)
    for of_two in (geometry.similarities, geometry.distances):
        np.testing.assert_allclose(of_two(items[0], items[1:]), of_two(items[1:], items[:1]), atol=1e-5)
    to_itself = geometry.similarities(items, items)
    assert (to_itself >= geometry.similarities(items, np.roll(items, 1, axis=0)) - 1e-5).all()
    assert np.abs(geometry.distances(items, items)).max() < 1e-5


def leaves_arrays_as_they_were(geometry: Geometry, library: np.ndarray, query: np.ndarray) -> None:
    items, item = geometry.items(library), geometry.items(query)[0]
    given = (library, query, items, item, geometry.plain)
    before = [array.copy() for array in given]
    for array in given:
        array.setflags(write=False)
    geometry.items(library)
    geometry.query(item, geometry.plain)
    geometry.similarities(item, items)
    geometry.distances(item, items)
    for array, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, kept)


GEOMETRY_LAWS = (
    makes_items_of_single_precision,
    makes_an_item_the_same_in_any_company,
    says_by_a_product_what_its_parts_say,
    does_not_care_who_asks,
    leaves_arrays_as_they_were,
)


# --- collections: `law(collection, folder)`, a folder of its kind with one recording at least -------------------


def files_of(recording: Recording) -> list[Path]:
    return [path for path in (recording.audio, recording.midi, recording.score) if path is not None]


def facts_of(collection: Collection, folder: Path) -> list[tuple]:
    """All that it says of a folder, but for how it would say more: files, names, details, score times."""
    description = collection.read(folder)
    recordings = [
        (files_of(each), each.names, each.details, [repr(times) for times in each.score_times()])
        for each in description.recordings
    ]
    return [recordings, list(description.refused), description.root, dict(description.unread), description.n_unlisted]


def knows_its_folder(collection: Collection, folder: Path) -> None:
    assert collection.is_at(folder) and collection.read(folder).recordings


def reads_twice_the_same(collection: Collection, folder: Path) -> None:
    assert facts_of(collection, folder) == facts_of(collection, folder)


def leads_nowhere_else(collection: Collection, folder: Path) -> None:
    """Every file lies in the folder, or below the root that the description names."""
    description = collection.read(folder)
    files = [path for recording in description.recordings for path in files_of(recording)]
    assert files and all(path.is_relative_to(description.root or folder) for path in files)


def stays_as_it_was_when_it_is_read(collection: Collection, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    collection.read(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def says_the_same_of_a_copy(collection: Collection, folder: Path) -> None:
    """Nothing of what it says hangs on where the folder lies."""
    there = Path(shutil.copytree(folder, folder.with_name("elsewhere"))) / "."
    for one, other in zip(collection.read(folder).recordings, collection.read(there).recordings, strict=True):
        assert one.names == other.names and one.details == other.details
        assert [path.relative_to(folder) for path in files_of(one)] == [
            path.relative_to(there) for path in files_of(other)
        ]


def names_a_bad_row_and_goes_on(collection: Collection, folder: Path) -> None:
    """The folder holds one that leads out of it or names what is not there: refused by its name, with a sentence."""
    description = collection.read(folder)
    ((name, sentence),) = description.refused
    assert description.recordings and name and sentence.endswith(".")


COLLECTION_LAWS = (
    knows_its_folder,
    reads_twice_the_same,
    leads_nowhere_else,
    stays_as_it_was_when_it_is_read,
    says_the_same_of_a_copy,
)
