"""Answers: how a question is planned, and that the planted neighbours, moments and passages are found."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, UnknownTrackError
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.evaluation.similarity import LAYER, LAYER_CSLS, WORK, evaluate_similarity
from mess_core.handover.exports import as_csv, as_document, as_json, write_playlist
from mess_core.probing.aspects import ASPECTS, Transfer
from mess_core.probing.discovery import Discovery, path_of
from mess_core.search import rows as rows_module
from mess_core.search.answers import (
    Answer,
    Plan,
    answer,
    answer_passage,
    build_index,
    build_segment_index,
    make_plan,
    query_of,
)
from mess_core.search.hubness import Hubness
from mess_core.search.question import Question, parse_where
from mess_core.search.recall import read_recall, recall_path
from mess_core.search.track_facts import facts_of
from mess_core.storage.files import seal, unseal
from mess_core.storage.packed import verify_packed
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import (
    DURATION_S,
    MANY,
    QUERY,
    TWIN,
    TWO_LAYERS,
    a_track,
    discover,
    embed,
    pace,
    plant_heard_library,
    plant_tracks,
    told,
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[Workspace, list[str], Discovery]:
    """Only read by the tests that take it."""
    home = Workspace(tmp_path_factory.mktemp("planted") / "home")
    ids = plant_heard_library(home, TWO_LAYERS)
    return home, ids, discover(home, TWO_LAYERS)


@pytest.fixture
def own(home) -> tuple[Workspace, list[str], Discovery]:
    """The same, to be changed."""
    ids = plant_heard_library(home, TWO_LAYERS)
    return home, ids, discover(home, TWO_LAYERS)


def plan_of(home: Workspace, discovery: Discovery | None, library: str = "planted", **request: object) -> Plan:
    return make_plan(Scope(home, library, TWO_LAYERS), Question(**request), discovery)


def ask(home: Workspace, plan: Plan, track_id: str) -> Answer:
    return answer(build_index(plan), plan, query_of(plan.scope, home.catalogue.track(track_id)))


def asked(planted, row: int = QUERY, *, is_discovered: bool = True, **request: object) -> Answer:
    home, ids, discovery = planted
    return ask(home, plan_of(home, discovery if is_discovered else None, **request), ids[row])


def found_ids(found: Answer) -> list[str]:
    return [item.track.track_id for item in found.found]


# --- planning -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "is_discovered", "geometry"),
    [
        ({}, False, "layer"),
        ({}, True, "layer"),
        ({"aspects": {"tempo": 1}}, True, "direction"),
        ({"aspects": {"tempo": 1}}, False, "layer"),
        ({"aspects": {"tempo": 1}, "geometry": "layer"}, True, "layer"),
        ({"geometry": "direction"}, True, "direction"),
        ({"avoid": ("tempo",)}, True, "layer"),
        ({"avoid": ("tempo",), "aspects": {"brightness": 1}}, True, "direction"),
    ],
)
def test_the_geometry_follows_from_what_is_asked_and_known(planted, request_, is_discovered, geometry):
    """Aspects: directions where they were discovered; nothing in particular: layers."""
    home, _, discovery = planted
    plan = plan_of(home, discovery if is_discovered else None, **request_)
    assert plan.geometry == geometry == build_index(plan).geometry.name
    assert plan.avoid == (("tempo",) if "avoid" in request_ else ())


def test_notices_say_what_the_asker_should_know(planted):
    """No discovery, no evidence, a borrowed one; otherwise nothing."""
    home, ids, discovery = planted
    assert plan_of(home, discovery, aspects={"tempo": 1, "brightness": 2}).notices == ()
    assert plan_of(home, None).notices == ()
    (notice,) = plan_of(home, None, aspects={"tempo": 1}).notices
    assert notice.startswith("No discovery yet")
    (notice,) = plan_of(home, discovery, aspects={"legato": 1, "brightness": 0}).notices
    assert "no evidence for legato" in notice and discovery.aspects["legato"].reason in notice
    home.catalogue.add_to_library("borrower", ids[:5])
    assert plan_of(home, discovery, "borrower").notices == ()
    (notice,) = plan_of(home, discovery, "borrower", avoid=("tempo",)).notices
    assert notice == "Aspects as discovered on the library planted; not compared with anything here."
    held = {
        **discovery.aspects,
        "tempo": replace(discovery.aspects["tempo"], transfer=Transfer(0.71, 0.4, 0.87, 20, 12)),
    }
    (notice,) = plan_of(home, replace(discovery, aspects=held), "borrower", avoid=("tempo",)).notices
    assert notice == (
        "Aspects as discovered on the library planted; how well they hold here (rank correlation): "
        "tempo 0.71 [0.40, 0.87] over 20 recordings of 12 works."
    )


def test_without_discovery_no_aspect_counts(planted):
    """The answer is that of all layers alike, and says so by having no aspects."""
    by_aspect = asked(planted, is_discovered=False, aspects={"tempo": 1})
    plain = asked(planted, is_discovered=False)
    assert [item.neighbour for item in by_aspect.found] == [item.neighbour for item in plain.found]
    assert all(item.neighbour.aspects is None for item in by_aspect.found)


@pytest.mark.parametrize(
    ("request_", "is_discovered", "error", "text"),
    [
        ({"aspects": {"brightnes": 1}}, True, InputError, "Did you mean brightness"),
        ({"avoid": ("nosuch",)}, True, InputError, "no aspect 'nosuch'"),
        ({"aspects": {"tempo": -1}}, True, InputError, "-1, expected 0 or more"),
        ({"aspects": {"tempo": 0}}, True, InputError, "all aspects are 0"),
        ({"geometry": "direction"}, False, DataMissingError, "Nothing was discovered.*probe --encoder fake"),
        ({"avoid": ("tempo",)}, False, DataMissingError, "tempo cannot be left out.*probe --encoder fake"),
        ({"aspects": {"rubato": 1}}, True, InputError, "Nothing can be said of rubato"),
        ({"avoid": ("rubato",)}, True, InputError, "Nothing can be said of rubato"),
    ],
)
def test_what_cannot_be_asked_is_said_so(planted, request_, is_discovered, error, text):
    home, _, discovery = planted
    with pytest.raises(error, match=text):
        plan_of(home, discovery if is_discovered else None, **request_)


def test_an_unknown_library_is_named(planted):
    with pytest.raises(UnknownTrackError, match="no library called 'nosuch'"):
        plan_of(planted[0], None, "nosuch")


def test_directions_without_aspects_are_those_with_evidence(planted):
    """Told are brightness, warmth by the same target, and tempo; what is left out is not asked for."""
    home, _, discovery = planted
    assert set(plan_of(home, discovery, geometry="direction").question.weights) == {"brightness", "warmth", "tempo"}
    plan = plan_of(home, discovery, geometry="direction", avoid=("tempo",))
    assert set(plan.question.weights) == {"brightness", "warmth"}
    plan = plan_of(home, discovery, geometry="direction", avoid=("brightness",))  # of warmth nothing is left either
    assert set(plan.question.weights) == {"tempo"} and asked(planted, geometry="direction", avoid=("brightness",)).found
    none = replace(discovery, aspects={name: replace(found, label="none") for name, found in discovery.aspects.items()})
    with pytest.raises(DataMissingError, match="No aspect has evidence"):
        plan_of(home, none, geometry="direction")


def test_an_aspect_newer_than_the_discovery_has_no_target_yet(planted, monkeypatch):
    """A line added to the registry is no crash: probing again makes it searchable."""
    home, _, discovery = planted
    monkeypatch.setitem(ASPECTS, "shine", ("spectral_centroid",))
    for request in ({"aspects": {"shine": 1}}, {"avoid": ("shine",)}):
        with pytest.raises(InputError, match="Nothing can be said of shine"):
            plan_of(home, discovery, **request)


@pytest.mark.slow
def test_the_key_changes_with_what_is_built_and_with_nothing_else(own):
    """Embeddings, geometry, discovery, what is left out: yes. Weights, caps and k: no, they live in the query."""
    home, ids, discovery = own
    plain, tempo = plan_of(home, discovery), plan_of(home, discovery, aspects={"tempo": 1})
    same = {"aspects": {"tempo": 0.2, "legato": 1}, "k": 3, "diversity": 0.5, "max_per_work": 1, "hubs": "on"}
    assert plan_of(home, discovery, **same).key == tempo.key
    others = [
        plan_of(home, None),
        plain,
        tempo,
        plan_of(home, discovery, avoid=("tempo",)),
        plan_of(home, discovery, avoid=("brightness",)),
        plan_of(home, discovery, aspects={"tempo": 1}, avoid=("brightness",)),
        plan_of(home, replace(discovery, directions_sha256="other"), aspects={"tempo": 1}),
        plan_of(home, replace(discovery, aspects={**discovery.aspects, "tempo": discovery.aspects["brightness"]})),
    ]
    embed(home, TWO_LAYERS, ids[5:6], seed=99)
    others += [plan_of(home, discovery), plan_of(home, discovery, aspects={"tempo": 1})]
    home.catalogue.remove_tracks(ids[-1:])
    others.append(plan_of(home, discovery))
    keys = [plan.key for plan in others]
    assert len(set(keys)) == len(keys)


@pytest.mark.slow
def test_a_discovery_of_another_format_is_passed_over(own):
    """Searching goes on without aspects until it is made again."""
    home = own[0]
    path = path_of(home.paths, "planted", TWO_LAYERS, "work", "track")
    plain = unseal(path.read_bytes(), path.name)
    path.write_bytes(seal({**plain, "format": "mess-discovery-1"}))
    assert Scope(home, "planted", TWO_LAYERS).discovery_for_search() is None


@pytest.mark.slow
def test_lost_directions_stop_only_what_needs_them(own):
    """Asking for nothing in particular, or by layers, goes on; directions say what is missing."""
    home, ids, discovery = own
    for path in (home.paths.root / "probing").rglob("*.safetensors"):
        path.unlink()
    assert ask(home, plan_of(home, discovery), ids[0]).found
    assert ask(home, plan_of(home, discovery, aspects={"tempo": 1}, geometry="layer"), ids[0]).found
    for request in ({"aspects": {"tempo": 1}}, {"avoid": ("tempo",)}):
        with pytest.raises(ArtefactMismatchError, match="is gone"):
            build_index(plan_of(home, discovery, **request))


# --- answering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aspect", ["brightness", "tempo"])
def test_the_nearest_by_an_aspect_are_the_planted_ones(planted, aspect):
    """Ten of forty, in the order of the planted number but for a little noise; the other number is of no matter."""
    _, ids, _ = planted
    truth, other = (told(ids), pace(ids)) if aspect == "brightness" else (pace(ids), told(ids))

    def apart(numbers: np.ndarray, found: Answer) -> float:
        rows = [ids.index(track_id) for track_id in found_ids(found)]
        return float(np.abs(numbers[rows] - numbers[QUERY]).mean())

    found = asked(planted, aspects={aspect: 1})
    least = np.sort(np.abs(truth - truth[QUERY]))[1:11].mean()
    assert apart(truth, found) < 1.3 * least
    assert apart(other, found) > 2 * np.sort(np.abs(other - other[QUERY]))[1:11].mean()


@pytest.mark.parametrize("request_", [{}, {"aspects": {"tempo": 1}}, {"avoid": ("tempo",)}, {"hubs": "on"}])
def test_the_query_never_comes_back_and_everything_else_may(planted, request_):
    home, ids, _ = planted
    found = asked(planted, k=99, **request_)
    assert sorted(found_ids(found)) == ids[1:]
    assert [item.neighbour.rank for item in found.found] == list(range(1, MANY))
    assert all(item.path == home.catalogue.file_paths(item.track.track_id)[0] for item in found.found)


def test_leaving_out_brightness_takes_it_away(planted):
    """Among neighbours in everything but brightness, brightness is chance."""
    home, ids, discovery = planted
    plain, without = (build_index(plan_of(home, discovery, avoid=a)) for a in ((), ("brightness",)))
    truth = told(ids)

    def apart(index) -> float:
        items = index.rows.rows(np.arange(MANY))
        vectors = np.stack([index.geometry.query(item, index.geometry.plain)[0] for item in items])
        similarities = vectors @ items.T
        np.fill_diagonal(similarities, -np.inf)
        nearest = np.argsort(-similarities, axis=1)[:, :8]
        return float(np.abs(truth[nearest] - truth[:, None]).mean() / np.abs(truth[:, None] - truth).mean())

    assert apart(plain) < 0.75 and apart(without) > 0.9


def test_contributions_add_up_to_the_similarity(planted):
    """Weights are shares; each aspect contributes its weight times its similarity; together they are the whole."""
    for geometry in ("direction", "layer"):
        for item in asked(planted, aspects={"tempo": 3, "brightness": 1, "legato": 0}, geometry=geometry).found:
            scores = item.neighbour.aspects
            assert {aspect: score.weight for aspect, score in scores.items()} == {"tempo": 0.75, "brightness": 0.25}
            for score in scores.values():
                assert score.contribution == pytest.approx(score.weight * score.similarity)
                assert 0 <= score.percentile <= 100
            assert sum(score.contribution for score in scores.values()) == pytest.approx(item.neighbour.similarity)
    assert all(item.neighbour.aspects is None for item in asked(planted).found)


def test_a_query_that_was_never_decoded_is_answered(planted):
    """Imported vectors come without loudness: that is not silence."""
    home, ids, discovery = planted
    unheard = replace(home.catalogue.track(ids[0]), loudness_lufs=None, sounding_s=None)
    query, plan = query_of(Scope(home, "planted", TWO_LAYERS), unheard), plan_of(home, discovery)
    assert answer(build_index(plan), plan, query).found
    assert answer_passage(build_segment_index(plan), plan, query, (0.0, 5.0)).found


@pytest.mark.parametrize("request_", [{}, {"aspects": {"tempo": 1, "brightness": 1}}])
def test_the_planted_moment_is_found_and_all_lie_in_their_tracks(planted, request_):
    """The query's end is the twin's beginning; what a moment says is inside both recordings."""
    _, ids, _ = planted
    found = asked(planted, k=99, **request_)
    for item in found.found:
        for start_s in (item.moment.query_s, item.moment.track_s):
            assert start_s >= 0 and start_s + item.moment.length_s <= DURATION_S + 0.01
    (twin,) = [item for item in found.found if item.track.track_id == ids[TWIN]]
    assert (twin.moment.query_s, twin.moment.track_s, twin.moment.length_s) == (2.5, 0.0, 10.0)
    best = 1.0 if not request_ else 0.0
    assert twin.moment.similarity == pytest.approx(best, abs=1e-3)
    assert all(item.moment.similarity < twin.moment.similarity for item in found.found if item is not twin)


@pytest.mark.slow
def test_facts_come_from_the_catalogue(planted):
    """Work with its composer, performer, and the folder as album; caps and versions go by them."""
    home, ids, _ = planted
    facts = facts_of(home, ids[0])
    track = home.catalogue.track(ids[0])
    folder = str(home.catalogue.file_paths(ids[0])[0].parent)
    assert (facts.work, facts.performer, facts.album) == (f"C: {track.work}", track.performer, folder)
    assert facts_of(home, ids[0]) == query_of(Scope(home, "planted", TWO_LAYERS), track).facts

    def works(**request: object) -> list[str]:
        return [item.track.work for item in asked(planted, k=99, **request).found]

    assert track.work in works() and len(works()) == MANY - 1
    assert len(works(max_per_work=1)) == MANY // 2 == len(set(works(max_per_work=1)))
    assert len(works(versions="collapse")) == MANY // 2
    assert track.work not in works(versions="exclude") and len(works(versions="exclude")) == MANY - 2
    assert len(works(max_per_performer=3)) == 6
    assert len(works(max_per_album=2)) == 2


def test_the_catalogue_is_asked_as_often_for_many_as_for_few(planted):
    """Facts of candidates come in portions that double, names and paths of what was found at once."""
    home, ids, discovery = planted

    def questions(**request: object) -> list[str]:
        plan = plan_of(home, discovery, **request)
        index, query = build_index(plan), query_of(plan.scope, home.catalogue.track(ids[0]))
        said: list[str] = []
        home.database.connection.set_trace_callback(said.append)
        try:
            assert len(answer(index, plan, query).found) == request["k"]
        finally:
            home.database.connection.set_trace_callback(None)
        return [statement for statement in said if "FROM embeddings" not in statement]

    for request in ({}, {"versions": "exclude"}, {"composers": ("C",)}, {"aspects": {"tempo": 1}}):
        few, many = questions(k=2, **request), questions(k=MANY // 2, **request)
        n_portions = 2 if "versions" in request else 1 if "composers" in request else 0  # one work is left out of k
        assert len(few) <= len(many) == 2 + 3 * n_portions, request


@pytest.mark.slow
def test_near_duplicates_are_kept_collapsed_or_left_out(own):
    """A track with the query's embedding, and two that have each other's."""
    home, ids, discovery = own
    for copy, original in ((1, 0), (3, 2)):
        home.store.write(ids[copy], TWO_LAYERS, home.store.read(ids[original], TWO_LAYERS))

    def found(**request: object) -> set[str]:
        return set(found_ids(ask(home, plan_of(home, discovery, k=99, **request), ids[0])))

    assert found() == set(ids[1:]) and found_ids(ask(home, plan_of(home, discovery), ids[0]))[0] == ids[1]
    assert len(found(duplicates="collapse")) == MANY - 2 and len({ids[2], ids[3]} & found(duplicates="collapse")) == 1
    assert found(duplicates="exclude") == set(ids[2:])


@pytest.mark.slow
def test_a_neighbour_whose_embedding_is_damaged_is_still_found(own):
    """It was indexed; only its moment cannot be told."""
    home, ids, discovery = own
    plan = plan_of(home, discovery, k=99)
    index = build_index(plan)
    path = home.store.file_paths(ids[TWIN])[0]
    path.write_bytes(path.read_bytes()[:-1])
    found = answer(index, plan, query_of(Scope(home, "planted", TWO_LAYERS), home.catalogue.track(ids[0])))
    assert sorted(found_ids(found)) == ids[1:]
    assert {item.track.track_id for item in found.found if item.moment is None} == {ids[TWIN]}
    assert json.loads(as_json(found))


def test_a_library_of_one_track_has_no_neighbours_for_it(planted):
    """An empty list, not an error, by layers, by borrowed aspects and by passage; another query finds the track."""
    home, ids, discovery = planted
    home.catalogue.add_to_library("single", [ids[0]])
    for request in ({}, {"aspects": {"tempo": 1}}):
        plan = plan_of(home, discovery, "single", **request)
        assert ask(home, plan, ids[0]).found == ()
        (only,) = ask(home, plan, ids[1]).found
        assert only.track.track_id == ids[0] and only.neighbour.percentile is None
        query = query_of(Scope(home, "planted", TWO_LAYERS), home.catalogue.track(ids[0]))
        assert answer_passage(build_segment_index(plan), plan, query, (0.0, 5.0)).found == ()


def test_a_library_without_embeddings_says_what_to_do(home):
    plant_tracks(home, [a_track(0)])
    plan = plan_of(home, None)
    for build in (build_index, build_segment_index):
        with pytest.raises(DataMissingError, match="extract --encoder fake"):
            build(plan)


@pytest.mark.slow
def test_hubs_are_corrected_where_that_was_seen_to_help(own):
    """By itself only with an evaluation that says so; on and off are taken as said."""
    home, ids, discovery = own
    rng = np.random.default_rng(0)
    embed(home, TWO_LAYERS, ids, seed=5)
    found = {
        hubs: [found_ids(ask(home, plan_of(home, discovery, hubs=hubs, k=99), i)) for i in ids[:5]]
        for hubs in ("on", "off")
    }
    assert found["on"] != found["off"]

    def by_itself() -> list[list[str]]:
        return [found_ids(ask(home, plan_of(home, discovery, k=99), track_id)) for track_id in ids[:5]]

    assert by_itself() == found["off"]  # nobody has looked
    vectors = rng.standard_normal((8, 2, 4)).astype(np.float32)
    study = evaluate_similarity(vectors, [f"w{i // 2}" for i in range(8)], ["p", "q"] * 4, {}, n_bootstraps=20)
    skewed = {LAYER: Hubness(10, 3.0, 20, 0.1, 0.1), LAYER_CSLS: Hubness(10, 1.0, 20, 0.1, 0.1)}
    score = study.score(WORK, LAYER)
    figures = tuple(replace(figure, score=score) for figure in study.figures)
    for hubness, expected in ((skewed, "on"), ({LAYER: skewed[LAYER_CSLS], LAYER_CSLS: skewed[LAYER]}, "off")):
        result = replace(study, hubness=hubness, figures=figures)
        assert result.csls_helps == (expected == "on")
        evaluation = Evaluation("planted", TWO_LAYERS.id, TWO_LAYERS.fingerprint, "x", result)
        save_evaluation(Scope(home, "planted", TWO_LAYERS), evaluation, "similarity")
        assert by_itself() == found[expected]


@pytest.mark.slow
def test_the_recall_of_an_approximate_index_is_kept(own, monkeypatch):
    """Exact: nothing to say. Approximate: its figures, one per weighting; damaged figures are none."""
    home, _, discovery = own
    build_index(plan_of(home, discovery))
    assert read_recall(Scope(home, "planted", TWO_LAYERS), "layer") == []
    monkeypatch.setattr(rows_module, "FLAT_UP_TO", 0)
    monkeypatch.setattr(rows_module, "NARROW", 0)
    for request, geometry in (({}, "layer"), ({"aspects": {"tempo": 1}}, "direction")):
        assert build_index(plan_of(home, discovery, **request)).rows.kind == "hnsw"
        figures = read_recall(Scope(home, "planted", TWO_LAYERS), geometry)
        assert figures[0].weighting == "nothing in particular" and len(figures) > 1
        assert all(0.5 < figure.share <= 1 and figure.median_s > 0 for figure in figures)
        path = recall_path(Scope(home, "planted", TWO_LAYERS), geometry)
        for damaged in (b"", b"[]", b'{"recall": [1]}', b'{"recall": [{"x": 1}]}', b"\xff"):
            path.write_bytes(damaged)
            assert read_recall(Scope(home, "planted", TWO_LAYERS), geometry) == []


# --- passages -----------------------------------------------------------------------------------------------


def ask_passage(planted, passage: tuple[float, float], **request: object) -> Answer:
    home, ids, discovery = planted
    plan = plan_of(home, discovery, **request)
    query = query_of(Scope(home, "planted", TWO_LAYERS), home.catalogue.track(ids[QUERY]))
    return answer_passage(build_segment_index(plan), plan, query, passage)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"aspects": {"tempo": 1, "brightness": 1}},
        {"geometry": "direction"},
        {"aspects": {"tempo": 1}, "avoid": ("brightness",)},
    ],
)
def test_a_passage_is_found_where_it_was_planted(planted, request_):
    """The query's last three segments are the twin's first; the query itself does not come back."""
    _, ids, _ = planted
    found = ask_passage(planted, (3.0, 12.5), **request_)
    first = found.found[0]
    assert first.track.track_id == ids[TWIN] and ids[QUERY] not in found_ids(found)
    assert (first.moment.query_s, first.moment.track_s, first.moment.length_s) == (2.5, 0.0, 10.0)
    best = 1.0 if found.plan.geometry == "layer" else 0.0
    assert first.neighbour.similarity == pytest.approx(best, abs=2e-3)
    assert len(found.found) == 10 and found.is_strange is None
    document = json.loads(as_json(found))
    assert document["results"][0]["moment"]["track_s"] == 0.0 and document["passage_s"] == [3.0, 12.5]


@pytest.mark.parametrize("passage", [(12.5, 13.0), (20.0, 25.0), (0.0, 30.0)])
def test_a_passage_outside_the_query_is_one_sentence(planted, passage):
    with pytest.raises(InputError, match=r"outside the recording, which lasts 12\.5 s"):
        ask_passage(planted, passage)


def test_a_passage_without_something_is_searched_by_the_rest(planted):
    """In one layer nothing can be left out; where it was not asked for, directions are searched, and it is said."""
    home, ids, discovery = planted
    request = Question(avoid=("tempo",))
    plan = make_plan(Scope(home, "planted", TWO_LAYERS), request, discovery, is_of_passage=True)
    assert (
        plan.geometry == "direction" and "brightness" in plan.question.weights and "tempo" not in plan.question.weights
    )
    assert any("left out" in notice for notice in plan.notices)
    query = query_of(Scope(home, "planted", TWO_LAYERS), home.catalogue.track(ids[QUERY]))
    found = answer_passage(build_segment_index(plan), plan, query, (3.0, 12.5))
    assert found.found[0].track.track_id == ids[TWIN]
    of_all = make_plan(Scope(home, "planted", TWO_LAYERS), request, discovery)
    assert of_all.geometry == "layer"


def test_what_a_passage_cannot_leave_out_is_said_so(planted):
    """Never silently searched for something else."""
    with pytest.raises(InputError, match="from which tempo cannot be left out"):
        ask_passage(planted, (0.0, 5.0), avoid=("tempo",), geometry="layer")
    with pytest.raises(InputError, match="Nothing is left of warmth"):
        ask_passage(planted, (0.0, 5.0), aspects={"warmth": 1}, avoid=("brightness",))


@pytest.mark.slow
def test_segments_are_gathered_once_and_again_after_damage(own, monkeypatch):
    """One pass over the embeddings; a flipped bit or a lost half is noticed and mended; other plans have their own."""
    home, ids, discovery = own
    plan = plan_of(home, discovery)
    first = build_segment_index(plan)
    every = np.arange(len(first))
    assert len(first) == 4 * MANY
    reads: list[str] = []
    real = home.store.read
    monkeypatch.setattr(home.store, "read", lambda track_id, info: reads.append(track_id) or real(track_id, info))
    build_segment_index(plan)
    assert reads == []
    folder: Path = home.paths.cache / "packed"
    for name in ("segments.npy", "starts.npy", "segments.sha256"):
        path = folder / f"{plan.key}-{name}"
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        again = build_segment_index(plan)
        np.testing.assert_array_equal(again.rows.rows(every), first.rows.rows(every))
        np.testing.assert_array_equal(again.starts_s, first.starts_s)
        assert sorted(reads) == ids and path.read_bytes() == data
        verify_packed(path.with_suffix(".npy"))
        reads.clear()
    build_segment_index(plan_of(home, discovery, aspects={"tempo": 1}))
    assert sorted(reads) == ids


# --- as files -----------------------------------------------------------------------------------------------


def test_the_document_and_the_table_hold_the_aspects(planted):
    """Strict JSON with everything that was asked; CSV with four columns per aspect, empty cells where none was."""
    found = asked(planted, aspects={"tempo": 1, "brightness": 1}, k=3, max_per_work=1)
    document = json.loads(json.dumps(as_document(found), allow_nan=False))
    assert (document["geometry"], document["discovered_on"], document["index"]) == ("direction", "planted", "flat")
    assert document["request"]["aspects"] == {"tempo": 1, "brightness": 1} and document["request"]["max_per_work"] == 1
    assert document["notices"] == [] and document["is_strange"] in (True, False) and document["passage_s"] is None
    for result, item in zip(document["results"], found.found, strict=True):
        assert result["aspects"].keys() == {"tempo", "brightness"}
        assert result["aspects"]["tempo"] == dataclasses.asdict(item.neighbour.aspects["tempo"])
        assert result["moment"] == dataclasses.asdict(item.moment)
    lines = as_csv(found).split("\r\n")
    columns = lines[0].split(",")
    assert columns[-9:-1] == [f"{a}_{c}" for a in ("tempo", "brightness")
                              for c in ("similarity", "percentile", "weight", "contribution")]  # fmt: skip
    assert columns[-1] == "nearness" and result["nearness"] == item.neighbour.nearness
    row = dict(zip(columns, lines[1].split(","), strict=True))
    assert float(row["tempo_weight"]) == 0.5
    total = float(row["tempo_contribution"]) + float(row["brightness_contribution"])
    assert total == pytest.approx(float(row["similarity"]))
    by_layers = as_csv(asked(planted, k=3)).split("\r\n")
    assert not any("tempo" in line for line in by_layers) and len(by_layers) == 5


@pytest.mark.slow
def test_columns_of_the_own_table_narrow_a_search(own):
    """Whatever the case; of one column any of its values, of two both; a name of the track is a column as well."""
    home, ids, _ = own
    with home.database.transaction() as connection:
        for row, track_id in enumerate(ids):
            values = [("Era", ("late", "early", "middle")[row % 3]), ("level", str(row % 2))]
            connection.executemany("INSERT INTO details VALUES (?, ?, ?)", [(track_id, *value) for value in values])
    known = ["Era", "level", "performer"]
    tracks = [home.catalogue.track(track_id) for track_id in ids]

    def rows(*conditions):
        plan = plan_of(home, None, where=parse_where(conditions, known), k=len(ids))
        return {ids.index(found.track.track_id) for found in ask(home, plan, ids[0]).found}

    assert rows("era=LATE") == {row for row in range(1, 40) if row % 3 == 0}
    assert rows("era=late", "Era=early") == {row for row in range(1, 40) if row % 3 < 2}
    assert rows("era=late", "level=1") == {3, 9, 15, 21, 27, 33, 39}
    assert rows("performer=PERFORMER 1") == {r for r in range(1, 40) if tracks[r].performer == "performer 1"}
    assert rows("era=never") == set()
    with pytest.raises(InputError, match="no column 'eras'"):
        parse_where(["eras=late"], known)


@pytest.mark.slow
def test_a_playlist_of_an_answer_lies_beside_the_music(own, tmp_path):
    home, ids, _ = own
    found = ask(home, plan_of(home, None, k=3), ids[0])
    write_playlist(found, tmp_path / "near.m3u8")
    entries = [line for line in (tmp_path / "near.m3u8").read_text("utf-8").splitlines() if line[:1] != "#"]
    assert [(tmp_path / entry).resolve() for entry in entries] == [each.path.resolve() for each in found.found]
    assert not any(entry.startswith("/") for entry in entries)
