"""Maps: planted shapes are drawn, a layout that lies is exposed, what is named is there, and nothing is drawn twice."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from mess_core.cli.main import main
from mess_core.encoders.registry import encoder_info
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, UnknownTrackError
from mess_core.maps import drawing as maps
from mess_core.maps import names
from mess_core.maps.drawing import is_complete, load_view, make_map, name_view, sample_tracks, segment_path
from mess_core.maps.kept import read_view
from mess_core.maps.layout import align, movement, normalise, pca_layout, umap_layout
from mess_core.maps.names import find_directions, find_regions
from mess_core.maps.neighbours import NearestRows, check_space, find_nearest, place, space_of
from mess_core.maps.settings import MapSettings, check_settings
from mess_core.maps.trust import measure_trust, nearest_on_map, overlap
from mess_core.search.geometry import DirectionGeometry
from mess_core.storage.files import seal, unseal
from mess_core.storage.jobs import new_owner
from mess_core.work.doing import do
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.work.task import Task
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import FakeEncoder
from tests.planted import a_track, plant_embeddings, plant_targets, plant_tracks

N_CLUSTERS, N_EACH, DIM = 4, 15, 8
N = N_CLUSTERS * N_EACH
INFO = FakeEncoder(n_layers=3, dim=DIM).info
SETTINGS = MapSettings(n_neighbours=8)
INSTRUMENTS = ("piano", "strings", "flute", "organ")


def clusters(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (N, DIM) in well separated clusters, and their codes."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(N_CLUSTERS), N_EACH)
    return 6 * np.eye(DIM)[codes] + rng.standard_normal((N, DIM)), codes


def turn(seed: int) -> np.ndarray:
    """A random rotation (DIM, DIM)."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((DIM, DIM)))[0]


def plant(home: Workspace) -> tuple[list[str], np.ndarray]:
    """A library of clusters; layer 0 is layer 1 turned, layer 2 is noise. Ids in the map's order, and their codes."""
    vectors, codes = clusters()
    noise = np.random.default_rng(7).standard_normal((N, DIM))
    tracks = [
        a_track(row, work=f"work {row}", composer=f"composer {row % 3}", instrument=INSTRUMENTS[codes[row]])
        for row in range(N)
    ]
    plant_tracks(home, tracks)
    layers = np.stack([vectors @ turn(1), vectors, noise], axis=1)
    plant_embeddings(home, INFO, {track.track_id: layers[row] for row, track in enumerate(tracks)})
    code_of = {track.track_id: codes[row] for row, track in enumerate(tracks)}
    ids = sorted(code_of)
    return ids, np.array([code_of[track_id] for track_id in ids])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A planted library, drawn once; tests that change it work on a copy."""
    home = Workspace(tmp_path_factory.mktemp("maps") / "home")
    ids, codes = plant(home)
    views = make_map(Scope(home, "planted", INFO), SETTINGS)
    home.database.close()
    return home.paths.root, ids, codes, views


@pytest.fixture
def own(drawn, tmp_path) -> Workspace:
    """The planted library, to be changed."""
    shutil.copytree(drawn[0], tmp_path / "home")
    return Workspace(tmp_path / "home")


def view_of(home: Workspace, layer: int | None = 1) -> maps.MapView:
    view = load_view(Scope(home, "planted", INFO), layer, SETTINGS)
    assert view is not None
    return view


def add_track(home: Workspace, vector: np.ndarray, number: int = 1000) -> str:
    (track_id,) = plant_tracks(home, [a_track(number)])
    plant_embeddings(home, INFO, {track_id: np.stack([vector @ turn(1), vector, vector])})
    return track_id


# --- what is drawn ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_planted_clusters_are_drawn_apart(drawn):
    """Every point is nearest to its own cluster's centre, and the measures say that the map is right."""
    _, ids, codes, views = drawn
    view = views[1]
    assert view.track_ids == tuple(ids) and view.layer == 1 and view.n_placed == view.n_left_out == 0
    points = view.points()
    centres = np.stack([points[codes == code].mean(axis=0) for code in range(N_CLUSTERS)])
    assert (np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1) == codes).all()
    assert view.trust.trustworthiness > 0.93 and view.trust.continuity > 0.9
    assert view.trust.preservation > 3 * view.trust.chance and view.trust.n_judged == N
    assert np.isclose((points**2).sum(axis=1).mean(), 1) and np.allclose(points.mean(axis=0), 0, atol=1e-6)
    assert all(isinstance(value, float) for column in (view.x, view.pca_y, view.preservation) for value in column)
    assert np.isclose(np.mean(view.preservation), view.trust.preservation)


def test_a_turned_layer_hardly_moves(drawn):
    """Layer 0 is layer 1 turned: its points stay. Drawn by itself it lands anywhere."""
    views = drawn[3]
    assert movement(views[0].points(), views[1].points()) < 0.2
    space = space_of(clusters()[0], "cosine", is_centred=True)
    nearest = find_nearest(space, 8, "cosine")
    thrown = [np.random.default_rng(seed).standard_normal((N, 2)) for seed in (1, 2)]
    alone = [umap_layout(nearest, SETTINGS, "cosine", start) for start in thrown]
    assert movement(*alone) > 0.8


def test_a_layer_of_noise_does_not_wear_its_neighbours_clusters(drawn):
    """It starts from their layout, and has nothing in common with them: the places of clusters are mixed again."""
    _, _, codes, views = drawn
    for view, low, high in ((views[1], 0.9, 1.0), (views[2], 0.0, 0.5)):
        near = nearest_on_map(view.points(), 5)
        assert low <= (codes[near] == codes[:, None]).mean() <= high


def test_alignment_undoes_turning_and_mirroring_and_keeps_distances():
    """Procrustes, with reflection."""
    points = np.random.default_rng(0).standard_normal((30, 2)) * [2, 1]
    turned = points @ np.array([[0.6, 0.8], [0.8, -0.6]]) + 5  # a reflection, moved
    aligned = align(turned, points)
    assert np.allclose(aligned, points - points.mean(axis=0), atol=1e-5)
    lengths = [np.linalg.norm(some[:, None] - some, axis=2) for some in (align(turned, points[::-1]), turned)]
    assert np.allclose(*lengths, atol=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(drawn, tmp_path):
    """In another data folder, from the same embeddings."""
    other = Workspace(tmp_path / "home")
    plant(other)
    again = make_map(Scope(other, "planted", INFO), SETTINGS)
    digests = [[hashlib.sha256(v.path.with_suffix(".safetensors").read_bytes()).digest() for v in views]
               for views in (drawn[3], again)]  # fmt: skip
    assert digests[0] == digests[1]
    assert [v.path.name for v in again] == ["layer-00.json", "layer-01.json", "layer-02.json"]
    space = space_of(clusters()[0], "cosine", is_centred=True)
    nearest, start = find_nearest(space, 8, "cosine"), pca_layout(space)
    one, other = (umap_layout(nearest, dataclasses.replace(SETTINGS, seed=seed), "cosine", start) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_two_threads_take_turns():
    """Numba's threading layer would abort the process."""
    nearest = find_nearest(space_of(clusters()[0], "cosine", is_centred=True), 8, "cosine")
    start, found = np.random.default_rng(0).standard_normal((N, 2)), []

    def lay_out():
        found.append(umap_layout(nearest, SETTINGS, "cosine", start))

    threads = [threading.Thread(target=lay_out) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and np.array_equal(*found)


def test_the_smallest_library_is_drawn():
    """Five tracks, fewer than the neighbours asked for; coordinates on a line are no reason to fail."""
    space = np.arange(5, dtype=np.float32)[:, None]
    check_space(space)
    pca = pca_layout(space)
    points = umap_layout(find_nearest(space, 4, "euclidean"), MapSettings(), "euclidean", pca)
    trust, kept = measure_trust(space, find_nearest(space, 4, "euclidean"), pca, 2, 0)
    assert np.isfinite(points).all() and trust.trustworthiness == trust.continuity == 1 and (kept == 1).all()


# --- neighbours and trust -----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_exact(metric, monkeypatch):
    """By brute force, in blocks smaller than the library."""
    monkeypatch.setattr("mess_core.maps.neighbours.ROWS_PER_BLOCK", 7)
    vectors = np.random.default_rng(0).standard_normal((50, 6)) + 3
    found = find_nearest(space_of(vectors, metric, is_centred=True), 5, metric)
    centred = vectors - vectors.mean(axis=0)
    if metric == "cosine":
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        distances = 1 - unit @ unit.T
    else:
        distances = np.linalg.norm(centred[:, None] - centred, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (found.rows == distances.argsort(axis=1)[:, :5]).all()
    assert np.allclose(found.distances, np.sort(distances, axis=1)[:, :5], atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_trust_is_that_of_scikit_learn(seed, monkeypatch):
    """Trustworthiness as there, continuity as there with space and map exchanged, preservation by counting."""
    rng = np.random.default_rng(seed)
    space = rng.standard_normal((70, 5)).astype(np.float32)
    points, k = space[:, :2] + 0.3 * rng.standard_normal((70, 2)).astype(np.float32), 6
    monkeypatch.setattr("mess_core.maps.trust.ROWS_PER_BLOCK", 16)
    trust, kept = measure_trust(space, find_nearest(space, k, "euclidean"), points, k, 0)
    assert np.isclose(trust.trustworthiness, trustworthiness(space, points, n_neighbors=k))
    assert np.isclose(trust.continuity, trustworthiness(points, space, n_neighbors=k))

    def nearest(rows, row):
        return set(np.argsort(np.linalg.norm(rows - rows[row], axis=1))[1 : k + 1])

    assert np.allclose(kept, [len(nearest(space, row) & nearest(points, row)) / k for row in range(70)])
    monkeypatch.setattr("mess_core.maps.trust.JUDGED_AT_MOST", 40)
    sampled = measure_trust(space, find_nearest(space, k, "euclidean"), points, k, 0)[0]
    assert sampled.n_judged == 40 and abs(sampled.trustworthiness - trust.trustworthiness) < 0.03


def test_a_shuffled_layout_is_exposed(drawn):
    """Points in wrong places: every measure falls to chance."""
    view = drawn[3][1]
    space = space_of(clusters()[0], "euclidean", is_centred=True)
    shuffled = np.random.default_rng(0).permutation(view.points())
    trust, kept = measure_trust(space, find_nearest(space, 8, "euclidean"), shuffled, 8, 0)
    assert abs(trust.trustworthiness - 0.5) < 0.1 and abs(trust.continuity - 0.5) < 0.1
    assert kept.mean() < 2 * trust.chance < view.trust.preservation


def test_points_in_the_same_place_have_neighbours():
    """More of them than are asked for, so that a point may not find itself."""
    points = np.zeros((12, 2))
    found = nearest_on_map(points, 3)
    assert found.shape == (12, 3) and not (found == np.arange(12)[:, None]).any()
    assert overlap(points, points, 3) == 1


def test_true_neighbours_are_those_of_the_layer(drawn):
    """Whatever the map shows; and it is said which of them it shows."""
    root, ids, _, views = drawn
    home, view = Workspace(root), views[1]
    vectors = home.store.load(ids, INFO).vectors[:, 1].astype(float)
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    distances = 1 - unit[3] @ unit.T
    distances[3] = np.inf
    expected = [ids[row] for row in distances.argsort()[: view.trust.k]]
    found = view.nearest(ids[3])
    assert [near.track_id for near in found] == expected
    assert np.allclose([near.distance for near in found], np.sort(distances)[: view.trust.k], atol=1e-5)
    assert np.isclose(np.mean([near.is_near_on_map for near in found]), view.preservation[3])
    with pytest.raises(UnknownTrackError, match="not on this map"):
        view.nearest("nobody")


def test_stability_is_asked_for(own):
    """Clusters are found again from anywhere, noise less; what is kept is read."""
    assert view_of(own).stability is None
    make_map(Scope(own, "planted", INFO), SETTINGS, with_stability=True)
    stability = [view_of(own, layer).stability for layer in range(3)]
    assert stability[2] < stability[1] <= 1 and stability[1] > 3 * view_of(own).trust.chance


# --- who comes and goes -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_added_track_is_placed_beside_its_neighbours(own, drawn, monkeypatch):
    """Nothing is drawn anew, nobody moves; a copy lies on its original; drawn anew when asked."""
    _, ids, codes, views = drawn
    monkeypatch.setattr(maps, "umap_layout", None)
    original = own.store.load(ids, INFO).vectors[codes == 2][0, 1]
    new = add_track(own, original + 0.1)
    view = view_of(own)
    assert view.track_ids == (*ids, new) and view.n_placed == 1 and view.is_placed[-1] and not shows_all(own)
    assert (view.x[:-1], view.y[:-1]) == (views[1].x, views[1].y) and view.preservation[-1] is None
    points = view.points()
    centres = np.stack([points[:-1][codes == code].mean(axis=0) for code in range(N_CLUSTERS)])
    assert np.linalg.norm(points[-1] - centres, axis=1).argmin() == 2
    assert {codes[ids.index(near.track_id)] for near in view.nearest(new)} == {2}
    assert view_of(own).x == view.x
    copy = add_track(own, original, 1001)
    row = view_of(own).row(copy)
    assert np.allclose(view_of(own).points()[row], points[ids.index(ids[np.flatnonzero(codes == 2)[0]])], atol=1e-3)
    monkeypatch.undo()
    again = make_map(Scope(own, "planted", INFO), SETTINGS)
    assert again[1].n_placed == 0 and len(again[1].track_ids) == N + 2 and shows_all(own)
    assert len([path for path in again[1].path.parents[1].iterdir() if path.is_dir()]) == 1


def shows_all(home: Workspace) -> bool:
    return is_complete(Scope(home, "planted", INFO), SETTINGS)


def test_placing_is_a_weighted_mean():
    """By one over the distance; by brute force."""
    rng = np.random.default_rng(0)
    nearest = NearestRows(rng.integers(0, 9, (4, 3)), rng.uniform(0.1, 1, (4, 3)))
    positions = rng.standard_normal((9, 2))
    expected = [
        sum(positions[r] / d for r, d in zip(rows, distances, strict=True)) / sum(1 / d for d in distances)
        for rows, distances in zip(nearest.rows, nearest.distances, strict=True)
    ]
    assert np.allclose(place(nearest, positions), expected)


def test_a_removed_track_is_gone_from_the_map(own, drawn):
    """Nobody else moves, and nobody has it as a neighbour."""
    ids = drawn[1]
    gone = view_of(own).nearest(ids[0])[0].track_id
    own.forget_tracks([gone])
    view = view_of(own)
    assert gone not in view.track_ids and len(view.track_ids) == N - 1
    assert gone not in [near.track_id for near in view.nearest(ids[0])]
    assert view.x[0] == drawn[3][1].x[0] and not shows_all(own)


def test_a_tracks_segments_make_a_path(own, drawn):
    """Its segments are nearly the track itself: they lie beside it, in order of time."""
    ids, view = drawn[1], view_of(own)
    path = segment_path(Scope(own, "planted", INFO), view, ids[5])
    assert [point.start_s for point in path] == [0.0, 1.0]
    assert all(np.hypot(point.x - view.x[5], point.y - view.y[5]) < 0.2 for point in path)
    with pytest.raises(DataMissingError, match="no embedding"):
        segment_path(Scope(own, "planted", INFO), view, "nobody")


def test_a_sample_holds_those_wanted(own, drawn, monkeypatch):
    """Seeded, stated, and never without them."""
    ids = [f"{number:03d}" for number in range(100)]
    sample = sample_tracks(ids, ["007", "099", "elsewhere"], seed=1, most=10)
    assert len(sample) == 10 and {"007", "099"} <= set(sample) and sample == tuple(sorted(sample))
    assert sample == sample_tracks(ids[::-1], ["099", "007"], seed=1, most=10)
    assert sample != sample_tracks(ids, ["007", "099"], seed=2, most=10)
    assert sample_tracks(ids, [], seed=1) == tuple(ids)
    monkeypatch.setattr(maps, "MOST_TRACKS", 30)
    monkeypatch.setattr(maps.sample_tracks, "__defaults__", (30,))
    (view,) = make_map(Scope(own, "planted", INFO), SETTINGS, layer=1, always=[drawn[1][-1]])
    assert len(view.track_ids) == 30 and view.n_left_out == N - 30 and drawn[1][-1] in view.track_ids
    assert view_of(own).n_left_out == N - 30


# --- what is kept -------------------------------------------------------------------------------------------


def test_what_is_kept_is_not_drawn_again(own, monkeypatch):
    """And it can be read by anyone."""
    monkeypatch.setattr(maps, "umap_layout", None)
    views = make_map(Scope(own, "planted", INFO), SETTINGS)
    assert views[0].provenance["versions"].keys() >= {"mess", "numpy"} and len(views[0].provenance["audio"]) == 64
    facts = json.loads(views[0].path.read_text())
    assert (facts["encoder"], facts["library"], facts["layer"]) == (INFO.id, "planted", 0)
    assert facts["trust"]["trustworthiness"] == views[0].trust.trustworthiness
    assert facts["settings"] == dataclasses.asdict(SETTINGS) and len(facts["track_ids"]) == N
    assert shows_all(own)


def test_a_map_of_before_provenance_was_kept_opens(own):
    path = view_of(own).path
    facts = unseal(path.read_bytes(), path.name)
    assert facts.pop("provenance")["date"]
    path.write_bytes(seal(facts))
    assert view_of(own).provenance == {}


@pytest.mark.parametrize("harm", ["bit", "cut", "gone", "version", "json"])
def test_what_is_damaged_or_of_another_version_is_refused_and_drawn_again(own, drawn, harm):
    """One sentence; then the same bytes again."""
    path = view_of(own).path
    arrays = path.with_suffix(".safetensors")
    before = arrays.read_bytes()
    if harm == "bit":
        arrays.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    elif harm == "cut":
        arrays.write_bytes(before[:50])
    elif harm == "gone":
        arrays.unlink()
    elif harm == "version":
        facts = unseal(path.read_bytes(), path.name)
        path.write_bytes(seal({**facts, "made_by": {**facts["made_by"], "format": "mess-map-0"}}))
    else:
        path.write_text("[")
    sentence = "another version" if harm == "version" else "not drawn" if harm == "gone" else "damaged"
    with pytest.raises((ArtefactMismatchError, DataMissingError), match=sentence):
        read_view(path)
    assert load_view(Scope(own, "planted", INFO), 1, SETTINGS) is None
    make_map(Scope(own, "planted", INFO), SETTINGS)
    assert arrays.read_bytes() == before and view_of(own).x == drawn[3][1].x


@pytest.mark.slow
def test_a_killed_job_goes_on_where_it_was(tmp_path, drawn, monkeypatch):
    """Killed while it draws its second layer: the first is not drawn again, and the map is the same."""
    home = Workspace(tmp_path / "home")
    plant(home)
    real, n_drawn = maps.umap_layout, []

    class Killed(BaseException):
        """As if the process were gone: nothing handles it, so the job stays as it was."""

    def dying(*arguments, **options):
        n_drawn.append(1)
        if len(n_drawn) == 2:
            raise Killed
        return real(*arguments, **options)

    monkeypatch.setattr(maps, "umap_layout", dying)
    job = submit(home, MapRequest("planted", "nano", SETTINGS))
    assert job.arguments["layer"] is None and job.kind == "map"
    monkeypatch.setattr("mess_core.workspace.scope.encoder_info", lambda *_: INFO)
    owner = new_owner()
    with pytest.raises(Killed):
        do(Task(home, home.jobs.claim(owner), owner))
    assert load_view(Scope(home, "planted", INFO), 1, SETTINGS) is not None  # what is done can be looked at
    home.jobs.release(job.job_id, owner)  # as for a dead worker
    done = do(Task(home, home.jobs.claim(owner), owner))
    assert done.state == "done" and len(n_drawn) == 4, done.message
    assert "60 tracks drawn in 3 views" in done.message and (done.n_done, done.n_total) == (3, 3)
    views = [load_view(Scope(home, "planted", INFO), layer, SETTINGS) for layer in range(3)]
    assert [view.x for view in views] == [view.x for view in drawn[3]]


# --- bad input ----------------------------------------------------------------------------------------------


def test_bad_input_is_one_sentence(own):
    """Too few tracks, tracks without difference, NaN, a layer that is not there, settings that cannot be meant."""
    with pytest.raises(InputError, match="at least 5 embedded tracks, this library has 4"):
        check_space(np.eye(4, dtype=np.float32))
    with pytest.raises(InputError, match="Only 1 of 9 tracks differ"):
        check_space(np.ones((9, 3), np.float32))
    alike = np.full((9, 3), [0.1, 0.7, 1e5])
    alike[4:] *= 1 + 1e-9  # rounding
    for metric in ("cosine", "euclidean"):
        with pytest.raises(InputError, match="Only 1 of 9 tracks differ"):
            check_space(space_of(alike, metric, is_centred=True))
    with pytest.raises(InputError, match="1 of 6 tracks hold NaN"):
        space_of(np.vstack([np.eye(5), np.full(5, np.nan)]), "cosine", is_centred=True)
    with pytest.raises(InputError, match="no layer 3: fake has layers 0 to 2"):
        load_view(Scope(own, "planted", INFO), 3)
    with pytest.raises(InputError, match="no layer -1"):
        make_map(Scope(own, "planted", INFO), SETTINGS, layer=-1)
    for wrong in (
        {"n_neighbours": 1},
        {"n_neighbours": 2.5},
        {"min_dist": float("nan")},
        {"min_dist": -0.1},
        {"metric": "manhattan"},
        {"is_centred": "yes"},
        {"seed": -1},
    ):
        with pytest.raises(InputError, match="expected"):
            check_settings(MapSettings(**wrong))
        with pytest.raises(InputError, match="expected"):
            submit(own, MapRequest("planted", "nano", MapSettings(**wrong)))


def test_an_empty_library_says_what_it_needs(home):
    """Not a traceback."""
    plant_tracks(home, [a_track(1)])
    with pytest.raises(InputError, match="at least 5 embedded tracks, this library has 0"):
        make_map(Scope(home, "planted", INFO), SETTINGS)
    assert load_view(Scope(home, "planted", INFO), 0) is None and not is_complete(Scope(home, "planted", INFO))


# --- names --------------------------------------------------------------------------------------------------


def places(n: int, seed: int = 0) -> np.ndarray:
    return normalise(np.random.default_rng(seed).standard_normal((n, 2)))


def test_a_planted_gradient_is_named_with_its_direction():
    """Brightness grows to the left; what is missing for some is found as well."""
    points, rng = places(100), np.random.default_rng(1)
    bright = -points[:, 0] + 0.3 * rng.standard_normal(100)
    bright[::7] = np.nan
    noise = rng.standard_normal(100)
    found = find_directions(points, {"spectral_centroid": bright, "tempo": noise}, {}, [str(i) for i in range(100)])
    (direction,) = found
    assert direction.sentence == "to the left: brighter" and direction.opposite == "darker"
    assert abs(direction.angle_deg - 180) < 10 and direction.r2 > 0.8 and direction.p < 0.01
    is_known = np.isfinite(bright)
    design = np.column_stack([np.ones(is_known.sum()), points[is_known]])
    residual = bright[is_known] - design @ np.linalg.lstsq(design, bright[is_known], rcond=None)[0]
    assert np.isclose(direction.r2, 1 - residual.var() / bright[is_known].var()) and direction.n == is_known.sum()


@pytest.mark.slow
def test_noise_is_named_as_seldom_as_promised(monkeypatch):
    """Max-T: any false name in one of 20 maps; ten performances of a work do not count as ten."""
    monkeypatch.setattr(names, "PERMUTATIONS", 199)
    monkeypatch.setattr(names, "LEAST_R2", 0.0)
    targets = ("spectral_centroid", "tempo", "dynamic_range", "attack_slopes", "onset_density")
    n_named = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        works = np.repeat(np.arange(12), 5)
        points = normalise(rng.standard_normal((12, 2))[works] + 0.1 * rng.standard_normal((60, 2)))
        values = {name: rng.standard_normal(12)[works] + 0.1 * rng.standard_normal(60) for name in targets}
        n_named += bool(find_directions(points, values, {}, [str(work) for work in works], seed))
    assert n_named <= 13  # 6 expected; more than 13 in one of 300


def test_planted_regions_are_named():
    """Strings at the top right, brighter than elsewhere; performers who play everywhere are not named."""
    rng = np.random.default_rng(0)
    corners = np.array([[3, 3], [-3, 3], [-3, -3], [3, -3]])
    points = normalise(np.repeat(corners, 15, axis=0) + 0.4 * rng.standard_normal((60, 2)))
    instruments = np.array([["strings", "piano", "flute", "organ"][row // 15] for row in range(60)], object)
    instruments[13] = "harp"
    bright = rng.standard_normal(60) + 4 * (np.arange(60) < 15)
    found = find_regions(
        points,
        {"spectral_centroid": bright, "tempo": rng.standard_normal(60)},
        {"instrument": instruments, "performer": [f"player {row % 3}" for row in range(60)], "composer": [None] * 60},
        [str(row) for row in range(60)],
    )
    assert len(found) == 4 and sorted(len(region.rows) for region in found) == [15] * 4
    sentences = {region.place: region.sentence for region in found}
    assert sentences["top right"] == "top right: strings (14 of 15), brighter"
    assert sentences["bottom left"].startswith("bottom left: flute (15 of 15)")


def test_where_a_region_is_goes_by_what_is_seen():
    """Most lie at the right: what stands in the middle of the picture is called so, wherever the centre of mass is."""
    rng = np.random.default_rng(1)
    at = [(-3, 0)] * 10 + [(0, 0)] * 10 + [(3, 0)] * 40
    points = normalise(np.array(at) + 0.2 * rng.standard_normal((60, 2)))
    labels = {"instrument": [["piano", "flute", "organ"][row // 10 if row < 30 else 2] for row in range(60)]}
    found = find_regions(points, {}, labels, [str(row) for row in range(60)])
    assert {region.findings[0].name: region.place for region in found if region.findings}["flute"] == "in the middle"


def test_noise_has_no_regions_worth_a_name():
    """k-means cuts what has no clusters; nothing is said of the pieces."""
    points, rng = np.random.default_rng(3).uniform(-1, 1, (80, 2)), np.random.default_rng(4)
    found = find_regions(
        points,
        {"tempo": rng.standard_normal(80)},
        {"instrument": [INSTRUMENTS[rng.integers(4)] for _ in range(80)]},
        [str(row) for row in range(80)],
    )
    assert len(found) >= 2 and not any(region.findings for region in found)


def test_a_work_says_more_than_its_composer():
    """All of a region is one work: that its composer wrote it is no news."""
    points = np.concatenate([np.random.default_rng(i).normal(4 * i, 0.3, (15, 2)) for i in range(3)])
    labels = {"composer": [f"c{row // 15}" for row in range(45)], "work": [f"w{row // 15}" for row in range(45)]}
    found = find_regions(points, {}, labels, [str(row) for row in range(45)])
    assert {finding.kind for region in found for finding in region.findings} == {"work"}


@pytest.mark.slow
def test_a_library_map_is_named_by_what_the_catalogue_knows(own, drawn):
    """The planted clusters are instruments."""
    _, ids, codes, _ = drawn
    plant_targets(own, ids, {})
    view = view_of(own)
    found = name_view(Scope(own, "planted", INFO), view)
    by_name = {finding.name: region for region in found.regions for finding in region.findings}
    assert set(INSTRUMENTS) <= set(by_name)
    for code, instrument in enumerate(INSTRUMENTS):
        assert {codes[row] for row in by_name[instrument].rows} == {code}
    assert any("piano (15 of 15)" in sentence for sentence in found.sentences)
    noise = name_view(Scope(own, "planted", INFO), view_of(own, 2))
    assert not [region for region in noise.regions if region.findings] and noise.directions == ()


# --- aspects, and the command line --------------------------------------------------------------------------


@pytest.mark.slow
def test_aspects_and_the_verb(bright_library, tmp_path, capsys):
    """One layer and the aspects of a library that tells brightness; asked for twice, drawn once."""
    shutil.copytree(bright_library, tmp_path / "home")
    arguments = ["--home", str(tmp_path / "home"), "map", "--library", "music", "--encoder", "mel", "--json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["encoder"] == "mel" and [layer["layer"] for layer in document["layers"]] == [0]
    layer = document["layers"][0]
    assert {"layer", "trustworthiness", "continuity", "path"} <= layer.keys() and Path(layer["path"]).is_file()
    home = Workspace(tmp_path / "home")
    info = encoder_info("mel", home.paths)
    assert document["aspects"] is not None
    view = load_view(Scope(home, "music", info), None)
    assert view.name == "aspects" and view.trust.trustworthiness > 0.9 and len(view.track_ids) == 12
    assert len(segment_path(Scope(home, "music", info), view, view.track_ids[0])) > 0
    discovery = Scope(home, "music", info).discovery()
    vectors = home.store.load(view.track_ids, info).vectors
    geometry = DirectionGeometry.fit(vectors, discovery.aspects, Scope(home, "music", info).directions(discovery))
    items, weights = geometry.items(vectors), geometry.plain
    points = geometry.coordinates(items, weights)
    squares = ((points[:-1] - points[1:]) ** 2).sum(axis=1)
    assert np.allclose(squares, -geometry.similarities(items[:-1], items[1:]) @ weights, atol=1e-5)
    assert view.nearest(view.track_ids[0])[0].distance > 0
    assert main(arguments) == 0 and json.loads(capsys.readouterr().out) == document
    assert main([*arguments, "--layer", "7"]) == 2
    assert "no layer 7" in json.loads(capsys.readouterr().out)["error"]
    assert main([*arguments[:-1], "--layer", "0"]) == 0
    assert "trustworthiness" in capsys.readouterr().out


def test_what_was_compiled_is_kept(drawn):
    """The next process that draws reads it from numba's cache: none of UMAP's slow functions is compiled in each."""
    from umap import layouts, umap_

    epoch = layouts._nb_optimize_layout_euclidean_single_epoch
    for function in (umap_.smooth_knn_dist, umap_.compute_membership_strengths, epoch):
        kept = function.stats.cache_hits + function.stats.cache_misses
        assert set(kept) == set(function.signatures) != set()


@pytest.mark.slow
def test_importing_maps_costs_nothing():
    """Neither UMAP nor what it needs, until something is drawn."""
    code = "import sys, mess_core.maps.drawing; print(sorted({'umap', 'numba', 'sklearn', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_of_very_many_points_a_sample_is_named_and_the_others_join_its_regions(own, monkeypatch):
    """The regions are those of all points; the sentences count the sample."""
    view = view_of(own)
    whole = name_view(Scope(own, "planted", INFO), view)
    monkeypatch.setattr(maps, "MOST_TRACKS", N - 1)
    monkeypatch.setattr(maps, "NAMED_BY", N - 12)
    sampled = name_view(Scope(own, "planted", INFO), view)
    assert (whole.n_judged, sampled.n_judged) == (N, N - 12)
    assert {region.rows for region in sampled.regions} == {region.rows for region in whole.regions}
    assert len(sampled.regions) == N_CLUSTERS
    assert sum(found.n for region in sampled.regions for found in region.findings[:1]) <= N - 12
