"""A learned metric is a geometry like others: its laws, its file, and who is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.handover.metrics import export_metric
from mess_core.search.answers import answer, answer_passage, build_index, build_segment_index, make_plan, query_of
from mess_core.search.learned import (
    LearnedGeometry,
    LearnedMetric,
    Line,
    Transform,
    load_metric,
    metric_path,
    save_metric,
    unit,
)
from mess_core.search.question import Question
from mess_core.upkeep.check import check
from mess_core.workspace.scope import Scope
from tests.contracts import GEOMETRY_LAWS, name_of
from tests.planted import MANY, TWO_LAYERS, plant_heard_library

N_LAYERS, DIM = 3, 5


def transform_of(kind: str, n_layers: int = N_LAYERS, dim: int = DIM, seed: int = 0) -> Transform:
    rng = np.random.default_rng(seed)
    n = n_layers * dim

    def step(n_in: int, n_out: int) -> Line:
        return Line(
            rng.standard_normal((n_in, n_out)).astype(np.float32), rng.standard_normal(n_out).astype(np.float32)
        )

    steps = {
        "scale": (),
        "line": (step(n, 4),),
        "distance": (step(n, 4),),
        "bend": (step(n, 4), step(n, 7), step(7, 4)),
    }
    centre = rng.standard_normal((n_layers, dim)).astype(np.float32)
    scale = rng.random(n).astype(np.float32)
    return Transform(centre, scale, steps[kind], kind == "distance", (dim,) * n_layers)


KINDS = ("scale", "line", "distance", "bend")


@pytest.mark.parametrize("law", GEOMETRY_LAWS, ids=name_of)
@pytest.mark.parametrize("kind", KINDS)
def test_laws(kind, law):
    rng = np.random.default_rng(1)
    library, query = (rng.standard_normal((n, N_LAYERS, DIM)).astype(np.float32) for n in (40, 1))
    law(LearnedGeometry.of(transform_of(kind), library), library, query)


@pytest.mark.parametrize("kind", KINDS)
def test_its_similarity_is_that_of_points_by_hand(kind):
    """The way written out once more: unit layers, scale, line, hidden layer; cosine, or distance over its median."""
    from scipy.special import erf

    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((12, N_LAYERS, DIM)).astype(np.float32)
    transform = transform_of(kind)
    numbers = vectors - transform.centre
    numbers = (numbers / np.linalg.norm(numbers, axis=2, keepdims=True)).reshape(12, -1) * transform.scale
    points = numbers
    if transform.steps:
        points = numbers @ transform.steps[0].weight + transform.steps[0].bias
    if kind == "bend":
        hidden = numbers @ transform.steps[1].weight + transform.steps[1].bias
        hidden = (hidden - hidden.mean(axis=1, keepdims=True)) / hidden.std(axis=1, keepdims=True)
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        points = points + hidden @ transform.steps[2].weight + transform.steps[2].bias
    geometry = LearnedGeometry.of(transform, vectors)
    items = geometry.items(vectors)
    found = geometry.similarities(items[0], items)[:, 0]
    apart = ((points[:, None] - points) ** 2).sum(axis=2)
    if kind == "distance":
        np.testing.assert_allclose(found, -apart[0] / np.median(apart[np.triu_indices(12, 1)]), rtol=1e-3, atol=1e-4)
    else:
        np.testing.assert_allclose(found, (unit(points) @ unit(points).T)[0], atol=1e-4)


def test_parts_that_do_not_fit_are_refused():
    whole = transform_of("bend")
    for changed in (
        {"scale": whole.scale[1:]}, {"widths": (DIM,) * 2}, {"steps": whole.steps[:2]}, {"steps": whole.steps[::-1]}
    ):  # fmt: skip
        with pytest.raises(ArtefactMismatchError, match="do not fit together"):
            replace(whole, **changed)
    with pytest.raises(ArtefactMismatchError, match="learned on"):
        whole.points(np.zeros((2, N_LAYERS, DIM + 1), np.float32))


# --- in a library -----------------------------------------------------------------------------------------------


def metric_of(scope: Scope, kind: str = "line", **facts: object) -> LearnedMetric:
    own = {
        "library": scope.library, "encoder": scope.info.id, "fingerprint": scope.info.fingerprint, "source": "ratings",
        "student": "linear", "content": scope.content, "trained_on": {"n_recordings": 40, "n_works": 1},
        "figure": "triplet accuracy 0.70",
        "transform": transform_of(kind, scope.info.n_layers, scope.info.embedding_dim),
    }  # fmt: skip
    return LearnedMetric(**{**own, **facts})


@pytest.fixture
def planted(home):
    ids = plant_heard_library(home, TWO_LAYERS)
    return Scope(home, "planted", TWO_LAYERS), ids


@pytest.mark.parametrize("kind", KINDS)
def test_similar_finds_by_it(planted, kind):
    """Ranks of a search are those of its points, and it says by what it ranks."""
    scope, ids = planted
    metric = metric_of(scope, kind)
    save_metric(scope.workspace.paths, scope.info, metric)
    plan = make_plan(scope, Question(geometry="learned", k=MANY), None)
    found = answer(build_index(plan), plan, query_of(scope, scope.workspace.catalogue.track(ids[0])))
    vectors = scope.embeddings().vectors
    points = metric.transform.points(vectors)
    alike = metric.transform.similarities(points[:1], points)[0]
    expected = [row for row in np.argsort(-alike, kind="stable") if row]
    assert [each.track.track_id for each in found.found] == [ids[row] for row in expected]
    assert plan.basis == "Ranked by a similarity that was learned from how listeners rated passages."
    percentiles = [each.neighbour.percentile for each in found.found]
    assert percentiles == sorted(percentiles, reverse=True) and found.found[0].moment is not None


def test_a_passage_is_compared_as_the_encoder_hears_it(planted):
    scope, ids = planted
    save_metric(scope.workspace.paths, scope.info, metric_of(scope))
    plan = make_plan(scope, Question(geometry="learned"), None, is_of_passage=True)
    assert plan.geometry == "layer" and "a passage is compared as the encoder hears it" in plan.notices[0]
    query = query_of(scope, scope.workspace.catalogue.track(ids[0]))
    assert answer_passage(build_segment_index(plan), plan, query, (0.0, 5.0)).found


def test_what_was_not_learned_cannot_be_asked_for(planted):
    scope, _ = planted
    assert load_metric(scope) is None
    with pytest.raises(DataMissingError, match="No similarity was learned for 'planted'"):
        make_plan(scope, Question(geometry="learned"), None)
    with pytest.raises(InputError, match="not in single aspects"):
        make_plan(scope, Question(geometry="learned", aspects={"tempo": 1.0}), None)
    with pytest.raises(DataMissingError, match="before somebody taught it"):
        LearnedGeometry.fit(np.zeros((1, 1, 1)))


def test_another_version_of_the_encoder_is_refused(planted):
    """In one sentence: be it in another folder, or written into this one."""
    scope, _ = planted
    newer = replace(scope, info=replace(scope.info, revision="2"))
    save_metric(scope.workspace.paths, scope.info, metric_of(scope))
    with pytest.raises(ArtefactMismatchError, match="another version of fake") as refused:
        load_metric(newer)
    assert refused.value.message.count(".") == 1
    save_metric(scope.workspace.paths, newer.info, metric_of(scope))
    with pytest.raises(ArtefactMismatchError, match="another version of fake"):
        load_metric(newer)


def test_what_was_kept_comes_back_and_a_newer_one_takes_its_place(planted):
    scope, _ = planted
    for kind in KINDS:
        metric = metric_of(scope, kind)
        save_metric(scope.workspace.paths, scope.info, metric)
        loaded = load_metric(scope)
        assert loaded.key == metric.key and {**vars(loaded), "transform": 0} == {**vars(metric), "transform": 0}
    assert len(list(metric_path(scope.workspace.paths, "planted", scope.info).parent.iterdir())) == 2


@pytest.mark.parametrize("which", [".json", ".safetensors"])
def test_check_names_a_flipped_byte_and_repairs(planted, which):
    scope, _ = planted
    path = save_metric(scope.workspace.paths, scope.info, metric_of(scope))
    assert [problem for problem in check(scope.workspace) if problem.kind == "metric"] == []
    (victim,) = (each for each in path.parent.iterdir() if each.suffix == which)
    data = bytearray(victim.read_bytes())
    data[-40] ^= 1
    victim.write_bytes(bytes(data))
    (problem,) = (problem for problem in check(scope.workspace, repair=True) if problem.kind == "metric")
    assert "damaged" in problem.what and "learn" in problem.cure
    assert load_metric(scope) is None


def test_it_is_handed_over_with_a_card(planted, tmp_path):
    """The lines of the card give the points; what it was trained on is said."""
    scope, _ = planted
    metric = metric_of(scope)
    save_metric(scope.workspace.paths, scope.info, metric)
    export_metric(scope, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "how listeners rated passages" in card and "40 recordings, 1 work" in card and scope.info.fingerprint in card
    code = card.split("```python")[1].split("```")[0].replace('"metric.', '"FOLDER/metric.')
    code = code.replace("FOLDER", str(tmp_path / "out"))
    names: dict = {}
    exec(code, names)
    vectors = scope.embeddings().vectors
    np.testing.assert_allclose(names["points"](vectors.copy()), metric.transform.points(vectors), atol=1e-4)
    assert set(load_file(tmp_path / "out" / "metric.safetensors")) == {"centre", "scale", "weight_0", "bias_0"}
    with pytest.raises(InputError, match="not empty"):
        export_metric(scope, tmp_path / "out")
