"""Layers that are not equally wide: the same answers as from each layer by itself, and no zero is kept on a disk."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mess_core.embeddings import store
from mess_core.embeddings.embedder import Embedder
from mess_core.embeddings.hidden_states import RawWriter, read_raw, verify_raw
from mess_core.embeddings.store import TrackEmbedding, TrackPooler
from mess_core.encoders import registry
from mess_core.encoders.base import EncoderEntry, EncoderInfo, random_twin
from mess_core.encoders.imported import info_of
from mess_core.encoders.registry import OWN
from mess_core.encoders.widths import with_padding, without_padding
from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.similarity import evaluate_similarity
from mess_core.handover import incoming, outgoing, served
from mess_core.handover.folders import MANIFEST
from mess_core.maps.drawing import load_view, make_map, segment_path
from mess_core.maps.settings import MapSettings
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.data import ProbeData
from mess_core.probing.directions import fit_directions
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.search.answers import answer, answer_passage, build_index, build_segment_index, make_plan, query_of
from mess_core.search.geometry import DirectionGeometry, LayerGeometry, MainLayerGeometry
from mess_core.search.question import Question
from mess_core.upkeep.check import check
from mess_core.upkeep.rebuild import rebuild
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import FakeEncoder, move_in
from tests.contracts import GEOMETRY_LAWS, name_of
from tests.handover.conftest import forge
from tests.planted import a_track, plant_tracks

WIDTHS = (4, 2, 6)
UNEVEN = replace(FakeEncoder().info, id="uneven", n_layers=3, dim=6, widths=WIDTHS, main=2)
EVEN = replace(UNEVEN, id="even", widths=(), main=None)  # what it would be if all layers had six numbers
N = 24
QUICK = ProbeSettings(n_repeats=2, n_bootstraps=100, n_permutations=49)

# Computed before encoders had widths: embeddings that were made then are found, and kept apart from others, by these.
FINGERPRINTS = {
    "mert-95m": "dda42e8158026bd7913ecbdfc9440c0a157dae30f893b13f965808822d49f2c9",
    "mert-330m": "7e339a9d45fe51b4a93fe0e3c3d903bd850d3011b20768f45f52e32001c1dcc1",
    "nano": "77f93cee69c6d2af9456faef0a0f1885a8bc97133e3329109d497524517e3514",
    "mel": "ddcad84bef876b2cb4bcb31f71bf4e1bbc369754daf80089b2ad1f81c5e54ce2",
    "mfcc": "f6096559615a362ec5554810efe661ec19582605d06f3ef76c81ea5fb75bb4ce",
    "chroma": "45e8b2df8ce8919390f8e8d4bf042abfb4f36c4055f43dba5698a617a9678114",
}


def alone(layer: int) -> EncoderInfo:
    """An encoder that has but one of the layers."""
    return replace(UNEVEN, id=f"layer {layer}", n_layers=1, dim=WIDTHS[layer], widths=(), main=None)


def vectors_of(n: int = N, seed: int = 0) -> np.ndarray:
    """(n, 3, 6), a large common part as real embeddings have; 0 where a layer has no number."""
    rng = np.random.default_rng(seed)
    numbers = 4 + rng.standard_normal((n, sum(WIDTHS))) * rng.uniform(0.5, 2, sum(WIDTHS))
    return with_padding(numbers.astype(np.float32), WIDTHS)


def layer_of(vectors: np.ndarray, layer: int) -> np.ndarray:
    """(…, 1, width): one layer as the encoder that has no other makes it."""
    return vectors[..., [layer], : WIDTHS[layer]]


def embedding_of(segments: np.ndarray) -> TrackEmbedding:
    """Of hidden states (n_segments, n_layers, n_frames, dim), pooled as any."""
    n_layers, dim = segments.shape[1], segments.shape[3]
    info = replace(UNEVEN, n_layers=n_layers, dim=dim, widths=())
    pooler = TrackPooler(info)
    for number, hidden_states in enumerate(segments):
        pooler.add(2.5 * number, hidden_states)
    return pooler.pool()


def plant(home: Workspace, library: str = "planted") -> list[str]:
    """A library embedded by the encoder with uneven layers, by each of its layers alone, and by an even one."""
    ids = plant_tracks(home, [a_track(row, work=f"work {row // 2}") for row in range(N)], library)
    for seed, track_id in enumerate(ids):
        numbers = vectors_of(8, seed=seed + 1) + vectors_of(N)[seed]
        states = numbers.reshape(4, 2, 3, 6).swapaxes(1, 2)  # four segments of two frames
        home.store.write(track_id, UNEVEN, embedding_of(states))
        home.store.write(track_id, EVEN, embedding_of(states))
        for layer in range(3):
            own = layer_of(states.swapaxes(1, 2), layer).swapaxes(1, 2)
            home.store.write(track_id, alone(layer), embedding_of(own))
    return ids


@pytest.fixture
def planted(home, made_once) -> tuple[Workspace, list[str]]:
    move_in(made_once("uneven", lambda folder: plant(Workspace(folder / "home"))) / "home", home)
    return home, home.catalogue.track_ids("planted")


# --- what it is ---------------------------------------------------------------------------------------------


def test_encoders_of_equal_layers_keep_their_fingerprints_and_documents():
    """What was embedded before is still theirs, and what they write is read by an earlier MESS."""
    assert {entry.info.id: entry.info.fingerprint for entry in OWN}.items() >= FINGERPRINTS.items()
    for entry in OWN:
        if entry.info.id in FINGERPRINTS:
            assert not {"widths", "main"} & entry.info.facts.keys()
            assert info_of(entry.info.facts, "it") == entry.info


def test_widths_are_part_of_an_encoder_and_its_main_layer_is_not():
    """Other widths make other embeddings; which layer stands for all changes none."""
    assert len({info.fingerprint for info in (UNEVEN, EVEN, replace(UNEVEN, widths=(4, 3, 6)))}) == 3
    assert replace(UNEVEN, main=0).fingerprint == UNEVEN.fingerprint
    assert (UNEVEN.main_layer, EVEN.main_layer, random_twin(UNEVEN, 0).widths) == (2, 1, WIDTHS)
    assert (UNEVEN.n_numbers, EVEN.n_numbers, replace(EVEN, pooling="mean+std").n_numbers) == (12, 18, 36)
    assert UNEVEN.size_in_words == "3 layers of 4, 2 and 6" and EVEN.size_in_words == "3 × 6"


def test_facts_come_back_and_impossible_ones_are_refused():
    written = json.loads(json.dumps(UNEVEN.facts))
    assert info_of(written, "it") == UNEVEN
    for name, value in {
        "widths": [(4, 6), (4, 0, 6), (4, 2, 5), (4, 2.0, 6), (4, True, 6), "426", (9, 2, 6), 6, None],
        "main": [3, -1, 1.5, "2"],
        "pooling": ["mean+std"],
        "tags": [[]],
    }.items():
        for wrong in value:
            with pytest.raises(ArtefactMismatchError, match="describes no encoder"):
                info_of(written | {name: wrong}, "it")
    del written["hop_s"]
    with pytest.raises(ArtefactMismatchError, match="describes no encoder"):
        info_of(written, "it")


def test_padding_and_no_padding_are_each_others_inverse():
    numbers = np.arange(24.0).reshape(2, 12)
    rows = with_padding(numbers, WIDTHS)
    np.testing.assert_array_equal(without_padding(rows, WIDTHS), numbers)
    assert rows.shape == (2, 3, 6) and rows[0].tolist() == [[0, 1, 2, 3, 0, 0], [4, 5, 0, 0, 0, 0], [*range(6, 12)]]
    even = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(without_padding(even, (3, 3)), even.reshape(2, 6))


# --- store --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_file_holds_no_padding_and_comes_back_with_it(planted):
    """In the store and in its packed arrays; sizes are those of the numbers there are."""
    home, ids = planted
    even, uneven = home.store.read(ids[0], EVEN), home.store.read(ids[0], UNEVEN)
    for part in ("segments", "mean", "frame_std", "starts_s"):
        np.testing.assert_array_equal(getattr(uneven, part), getattr(even, part))
    (path,) = (path for path in home.store.file_paths(ids[0]) if UNEVEN.folder in str(path))
    shapes = {name: array.shape for name, array in load_file(path).items()}
    assert shapes == {"segments": (4, 12), "mean": (12,), "frame_std": (12,), "starts_s": (4,)}
    first = home.store.load(ids, UNEVEN)
    np.testing.assert_array_equal(first.vectors, home.store.load(ids, EVEN).vectors)
    assert np.load(home.paths.packed / f"{first.content}.npy").shape == (N, 12)
    np.testing.assert_array_equal(home.store.load(ids, UNEVEN).vectors, first.vectors)  # now from the packed array
    assert check(home) == []


def test_the_same_embedding_gives_the_same_bytes(planted):
    home, ids = planted
    path = next(path for path in home.store.file_paths(ids[0]) if UNEVEN.folder in str(path))
    before = path.read_bytes()
    home.store.write(ids[0], UNEVEN, home.store.read(ids[0], UNEVEN))
    assert path.read_bytes() == before


@pytest.mark.parametrize("widths", [(4, 2, 7), (4, 2), (5, 1, 7), (0, 6, 6), (4, "2", 6), "426", 12, {"a": 12}, 0])
def test_a_file_that_says_other_widths_than_it_has_is_refused(planted, widths):
    """By whoever reads it; nothing is allocated by what it says."""
    home, ids = planted
    path = next(path for path in home.store.file_paths(ids[0]) if UNEVEN.folder in str(path))
    with safe_open(path, "np") as file:
        facts = json.loads(file.metadata()["mess"])
    save_file(load_file(path), path, {"mess": json.dumps(facts | {"widths": widths})})
    with pytest.raises(ArtefactMismatchError):
        home.store.facts_of_file(path)
    assert [problem.kind for problem in check(home)] == ["embedding"]


def test_narrow_layers_cannot_be_made_wide_without_end(tmp_path, monkeypatch):
    """A small file that claims one wide layer and many narrow ones would take as much as the product of both."""
    monkeypatch.setattr(store, "MOST_TENSORS_BYTES", 100_000)
    path = tmp_path / "a.safetensors"
    widths = [1] * 999 + [1000]
    arrays = {name: np.zeros(1999, np.float32) for name in ("mean", "frame_std")}
    arrays |= {"segments": np.zeros((1, 1999), np.float16), "starts_s": np.zeros(1, np.float32)}
    save_file(arrays, path)
    with pytest.raises(ArtefactMismatchError, match=r"would take 2,000,000 bytes"):
        store.embedding_of(path.read_bytes(), widths, "a.safetensors")


@pytest.mark.slow
def test_a_catalogue_is_rebuilt_from_them(planted, monkeypatch):
    """Of a file whose widths are not those of its encoder nothing is entered."""
    home, ids = planted
    entries = {info.id: EncoderEntry(info, load=lambda *_: FakeEncoder()) for info in (UNEVEN, EVEN)}
    monkeypatch.setattr(registry, "_table", lambda: entries)
    known = home.store.known(UNEVEN)
    wrong = next(path for path in home.store.file_paths(ids[0]) if UNEVEN.folder in str(path))
    home.database.close()
    for path in home.paths.root.glob("mess.sqlite*"):
        path.unlink()
    data = wrong.read_bytes()
    wrong.write_bytes(data.replace(b"[4, 2, 6]", b"[2, 4, 6]"))
    after = Workspace(home.paths.root)
    told = rebuild(after)
    assert told.n_embeddings == 2 * N - 1 and len(told.unusable) == 1 and ids[0] in told.unusable[0]
    assert after.store.known(UNEVEN) == {track_id: sha256 for track_id, sha256 in known.items() if track_id != ids[0]}
    np.testing.assert_array_equal(after.store.read(ids[1], UNEVEN).mean, after.store.read(ids[1], EVEN).mean)


def test_an_estimate_counts_the_numbers_there_are(planted):
    home, ids = planted
    for info in (UNEVEN, EVEN):
        home.store.forget(ids[0], info.fingerprint)
    uneven, even = (Scope(home, "planted", info).estimate() for info in (UNEVEN, EVEN))
    assert even.n_bytes - uneven.n_bytes == 6 * (2 * even.n_segments + 2 * 4)  # of 18 numbers 12 are there


# --- hidden states ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [3, 300])
def test_raw_hidden_states_come_back_with_their_padding(tmp_path, n_layers):
    """Without it on the disk, however many layers there are."""
    widths = (*(1 + layer % 6 for layer in range(n_layers - 1)), 6)
    rng = np.random.default_rng(0)
    states = with_padding(rng.standard_normal((4, 5, sum(widths))).astype(np.float16), widths).swapaxes(1, 2)
    writer = RawWriter(tmp_path / "a.safetensors", widths)
    for segment in states:
        writer.add(segment)
    writer.close()
    np.testing.assert_array_equal(read_raw(tmp_path / "a.safetensors"), states)
    assert load_file(tmp_path / "a.safetensors")["hidden_states"].shape == (4, 5, sum(widths))
    data = (tmp_path / "a.safetensors").read_bytes()
    for bad in (data[:-1], data[:300], data[:4], b"", data.replace(b"6]", b"5]"), b"\xff" * 8 + data[8:]):
        (tmp_path / "b.safetensors").write_bytes(bad)
        with pytest.raises(ArtefactMismatchError):
            verify_raw(tmp_path / "b.safetensors")


def test_an_embedder_gives_the_same_raw_or_pooled(tmp_path, write_wav, monkeypatch):
    encoder = FakeEncoder(n_layers=2, dim=3, widths=(3, 2))

    def encode(waveforms: np.ndarray) -> np.ndarray:
        states = FakeEncoder().encode(waveforms)
        states[:, 1, :, 2] = 0
        return states

    monkeypatch.setattr(encoder, "encode", encode)
    monkeypatch.setattr("mess_core.embeddings.embedder.load_encoder", lambda *_: encoder)
    embedder = Embedder("fake", home=tmp_path)
    path = write_wav("a", 12.0)
    raw, embedding = embedder.embed_file(path, raw=True), embedder.embed_file(path)
    assert raw.shape == (4, 2, 50, 3)
    np.testing.assert_allclose(raw.astype(np.float32).mean(axis=2), embedding.segments.astype(np.float32), atol=1e-3)


# --- search -------------------------------------------------------------------------------------------------


def test_similarities_are_those_of_the_layers_by_themselves():
    """The mean of their cosines; items have as many columns as there are numbers, and a size for each layer."""
    library, query = vectors_of(), vectors_of(1, seed=9)
    geometry = LayerGeometry.fit(library, info=UNEVEN)
    items, item = geometry.items(library), geometry.items(query)[0]
    assert items.shape == (N, 12 + 3)
    single = [LayerGeometry.fit(layer_of(library, layer)) for layer in range(3)]
    expected = [
        one.similarities(one.items(layer_of(query, layer))[0], one.items(layer_of(library, layer)))[:, 0]
        for layer, one in enumerate(single)
    ]
    np.testing.assert_allclose(geometry.similarities(item, items)[:, 0], np.mean(expected, axis=0), atol=1e-6)
    padded = LayerGeometry.fit(library)
    theirs = padded.items(library)
    np.testing.assert_allclose(
        geometry.distances(item, items), padded.distances(padded.items(query)[0], theirs), atol=1e-6
    )
    main = MainLayerGeometry.fit(library, info=UNEVEN)
    assert main.n_columns == 6 + 1
    np.testing.assert_allclose(
        main.similarities(main.items(query)[0], main.items(library))[:, 0], expected[2], atol=1e-6
    )
    narrow = MainLayerGeometry.fit(library, info=replace(UNEVEN, main=1))
    assert narrow.n_columns == 2 + 1
    np.testing.assert_allclose(
        narrow.similarities(narrow.items(query)[0], narrow.items(library))[:, 0], expected[1], atol=1e-6
    )
    with pytest.raises(ArtefactMismatchError, match="has shape"):
        narrow.items(np.pad(query, ((0, 0), (0, 0), (0, 1))))


@pytest.mark.parametrize("law", GEOMETRY_LAWS, ids=name_of)
@pytest.mark.parametrize("kind", [LayerGeometry, MainLayerGeometry])
def test_laws_of_geometries(kind, law):
    law(kind.fit(vectors_of(), info=UNEVEN), vectors_of(), vectors_of(1, seed=9))


def test_search_finds_what_a_padded_encoder_finds(planted):
    """Tracks and passages, with similarities and percentiles; the exported index, too."""
    home, ids = planted
    question, found, passages = Question(k=5), [], []
    for info in (UNEVEN, replace(EVEN, main=2)):
        scope = Scope(home, "planted", info)
        plan = make_plan(scope, question, None)
        query = query_of(scope, home.catalogue.track(ids[3]))
        found.append([each.neighbour for each in answer(build_index(plan), plan, query).found])
        segments = build_segment_index(plan)
        assert segments.rows.n_columns == 6 + 1
        passages.append([each.neighbour for each in answer_passage(segments, plan, query, (0.0, 5.0)).found])
    for one, other in (found, passages):
        assert [each.track_id for each in one] == [each.track_id for each in other] and len(one) == 5
        np.testing.assert_allclose([e.similarity for e in one], [e.similarity for e in other], atol=1e-6)
        np.testing.assert_allclose([e.percentile for e in one], [e.percentile for e in other], atol=0.5)


def test_an_exported_index_holds_no_padding_and_says_how_to_ask_it(planted, tmp_path):
    """By what its manifest says in words, done by hand."""
    home, ids = planted
    scope = Scope(home, "planted", UNEVEN)
    served.export_index(scope, tmp_path / "index")
    index = served.load_index(tmp_path / "index")
    assert index.rows.d == 12
    mean, plan = home.store.read(ids[3], UNEVEN).mean, make_plan(scope, Question(k=5), None)
    neighbours = answer(build_index(plan), plan, query_of(scope, home.catalogue.track(ids[3]))).found
    expected = [each.track.track_id for each in neighbours]
    assert [each.track_id for each in index.nearest(mean, 5, [ids[3]])] == expected
    centred = mean - load_file(tmp_path / "index" / "query.safetensors")["centre"]
    centred /= np.linalg.norm(centred, axis=-1, keepdims=True)
    vector = np.concatenate([row[:width] for row, width in zip(centred, WIDTHS, strict=True)]) / 3
    (rows,) = index.rows.search(vector[None].astype(np.float32), 6)[1]
    assert [index.track_ids[row] for row in rows if index.track_ids[row] != ids[3]] == expected
    assert "[4, 2, 6]" in (tmp_path / "index" / "manifest.json").read_text()


def test_a_library_is_handed_over_and_taken_in(planted, tmp_path, monkeypatch):
    """Byte for byte; a file of other widths than its encoder's is refused."""
    home, ids = planted
    entries = {UNEVEN.id: EncoderEntry(UNEVEN, load=lambda *_: FakeEncoder())}
    monkeypatch.setattr(registry, "_table", lambda: entries)
    outgoing.export_library(home, "planted", tmp_path / "export", [UNEVEN.id])
    there = Workspace(tmp_path / "there")
    assert incoming.import_library(there, tmp_path / "export").n_embeddings == N
    assert there.store.known(UNEVEN) == home.store.known(UNEVEN)
    np.testing.assert_array_equal(there.store.read(ids[0], UNEVEN).segments, home.store.read(ids[0], UNEVEN).segments)
    path = tmp_path / "export" / outgoing.embedding_path(UNEVEN, ids[0])
    files = json.loads((tmp_path / "export" / MANIFEST).read_text())["files"]
    narrow = with_padding(np.ones(11, np.float32), (4, 1, 6))
    other = embedding_of(np.repeat(narrow[None, :, None], 2, axis=0))
    path.write_bytes(store._pack(ids[0], replace(UNEVEN, widths=(4, 1, 6)), other))
    for file in files:
        if file["path"] == path.relative_to(tmp_path / "export").as_posix():
            file |= {"size_bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    forge(tmp_path / "export", files=files)
    with pytest.raises(ArtefactMismatchError, match="of another width than it says"):
        incoming.import_library(Workspace(tmp_path / "elsewhere"), tmp_path / "export")


# --- probing, evaluation, maps ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("is_of_segments", [False, True])
def test_cells_are_those_of_each_layer_by_itself(is_of_segments):
    """R², gain over an untrained twin of the same widths (missing at times), chance, and directions."""
    vectors, rng = vectors_of(60), np.random.default_rng(5)
    twin = with_padding(without_padding(vectors, WIDTHS) + 0.3 * rng.standard_normal((60, 12)), WIDTHS)
    if is_of_segments:
        twin[::7] = np.nan
    groups = [f"work {row // 2}" for row in range(60)]
    tracks = groups if is_of_segments else None
    told = vectors[:, 2, 0] + vectors[:, 0, 1] + 0.3 * rng.standard_normal(60)

    def probed(own: np.ndarray, other: np.ndarray):
        data = ProbeData(own, {"told": told}, groups, {"untrained": other}, tracks=tracks)
        return data, add_null(fit_cells(data, QUICK), data)

    data, result = probed(vectors, twin)
    directions = fit_directions(data, result)
    for layer in range(3):
        own_data, own = probed(layer_of(vectors, layer), layer_of(twin, layer))
        cell, expected = result.cell(layer, "told"), own.cell(0, "told")
        for name in ("r2", "r2_low", "r2_high", "r2_within", "baseline", "alpha", "mae", "spearman"):
            assert getattr(cell, name) == pytest.approx(getattr(expected, name), abs=1e-9, nan_ok=True)
        assert cell.baseline_name == "untrained" or layer == 1
        alone_directions = fit_directions(own_data, own)
        weights = directions.weights[0, layer]
        np.testing.assert_allclose(weights[: WIDTHS[layer]], alone_directions.weights[0, 0], atol=1e-6)
        assert not weights[WIDTHS[layer] :].any()


def test_directions_search_as_padded_ones(planted):
    """Nothing along them looks at what is not there: a query that holds something there is told the same."""
    vectors, rng = vectors_of(60), np.random.default_rng(5)
    told = vectors[:, 2, 0] + 0.1 * rng.standard_normal(60)
    data = ProbeData(vectors, {"spectral_centroid": told}, [f"w{row}" for row in range(60)])
    directions = fit_directions(data, fit_cells(data, QUICK))
    searched = ("spectral_centroid",)
    evidence = {"brightness": AspectEvidence((0, 1, 2), searched, "high", searched)}
    geometry = DirectionGeometry.fit(vectors, evidence, directions, (), UNEVEN)
    other = vectors + np.where(with_padding(np.ones(12, np.float32), WIDTHS) == 0, 7, 0)
    np.testing.assert_array_equal(geometry.items(vectors), geometry.items(other.astype(np.float32)))


def test_figures_of_the_similarity_study_are_those_of_each_layer_by_itself():
    """Whitening, too, which goes by how many numbers there are."""
    vectors = vectors_of()
    works, performers = [f"work {row // 3}" for row in range(N)], [f"performer {row % 3}" for row in range(N)]
    study = evaluate_similarity(vectors, works, performers, {}, n_bootstraps=50)
    for layer in range(3):
        own = evaluate_similarity(layer_of(vectors, layer), works, performers, {}, n_bootstraps=50)
        for figure in own.figures:
            if figure.layer is not None:
                score = study.score(figure.task, figure.measure, layer)
                assert score.value == pytest.approx(figure.score.value, abs=1e-9)


def test_a_map_is_that_of_the_layer_by_itself(planted):
    """Drawn first, from no other layer's map; segments are placed alike."""
    home, ids = planted
    settings = MapSettings(n_neighbours=6)
    uneven, single = Scope(home, "planted", UNEVEN), Scope(home, "planted", alone(2))
    make_map(uneven, settings, 2)
    make_map(single, settings, 0)
    one, other = load_view(uneven, 2, settings), load_view(single, 0, settings)
    np.testing.assert_array_equal(one.points(), other.points())
    assert one.trust == other.trust
    assert segment_path(uneven, one, ids[0]) == segment_path(single, other, ids[0])
