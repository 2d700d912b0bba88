"""The law of the service: what it answers is, key for key, what the command line prints."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.embeddings.embedder import Embedder
from mess_core.search.asking import find_track
from mess_core.search.explaining import explain_neighbours
from mess_core.search.inquiry import Inquiry, answer_plan, plan_inquiry
from mess_core.serve.endpoints import ENDPOINTS
from tests.conftest import write_recording

OF = {"library": "planted", "encoder": "mel"}
AS_OPTIONS = ("--library", "planted", "--encoder", "mel")
QUESTIONS = [
    ({}, ()),
    ({"k": 3, "geometry": "layer"}, ("-k", 3, "--geometry", "layer")),
    ({"aspects": {"brightness": 0.6, "tempo": 0.2}}, ("--aspects", "brightness=.6,tempo=.2")),
    ({"aspects": {"brightness": 1}, "not": ["tempo"]}, ("--aspects", "brightness", "--not", "tempo")),
    ({"geometry": "measured", "aspects": {"tempo": 1}}, ("--geometry", "measured", "--aspects", "tempo")),
    ({"passage": "2.5:10"}, ("--passage", "2.5:10")),
    ({"diversity": 0.5, "max_per_work": 1, "hubs": "on"}, ("--diversity", 0.5, "--max-per-work", 1, "--hubs", "on")),
    ({"versions": "exclude", "performer": ["performer 1"]}, ("--versions", "exclude", "--performer", "performer 1")),
    ({"where": ["work=work 3"], "between": ["tempo=50:200"]}, ("--where", "work=work 3", "--between", "tempo=50:200")),
    ({"furthest": True}, ("--furthest",)),
    ({"words": "violin, not slow"}, ("--words", "violin, not slow")),
]


@pytest.mark.parametrize(("fields", "options"), QUESTIONS, ids=[str(list(each)) for each, _ in QUESTIONS])
def test_similar_is_the_document_of_the_command_line(client, said, ids, fields, options):
    answer = client.post("/v1/similar", json={"query": ids[0], **OF, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.json() == said("similar", ids[0], *AS_OPTIONS, *options)


def test_the_query_string_asks_the_same_as_a_body(client, ids):
    body = {"query": ids[3], **OF, "aspects": {"brightness": 0.5, "tempo": 1}, "like": [ids[5], ids[6]], "k": 4}
    written = {**body, "aspects": "brightness=0.5,tempo=1"}
    assert client.get("/v1/similar", params=written).json() == client.post("/v1/similar", json=body).json()


def test_without_a_query_words_and_an_order_are_answered(client, said):
    by_words = client.get("/v1/similar", params={**OF, "words": "violin"}).json()
    assert by_words == said("similar", "--words", "violin", *AS_OPTIONS)
    along = client.get("/v1/similar", params={**OF, "along": "brightness", "furthest": "true"}).json()
    assert along == said("similar", "--along", "brightness", "--furthest", *AS_OPTIONS)


def test_named_tracks_are_answered_as_on_the_command_line(client, said, ids):
    answer = client.post("/v1/similar", json={"query": ids[0], **OF, "like": [ids[4]], "unlike": [ids[8]]})
    assert answer.json() == said("similar", ids[0], *AS_OPTIONS, "--like", ids[4], "--unlike", ids[8])


@pytest.mark.slow
def test_a_file_is_answered_as_its_path_is(client, said, tmp_path, served_home):
    """But for what it is called: here what its sender says."""
    path = write_recording(tmp_path / "query.wav", 4.0, seed=7)
    params = {**OF, "name": "Étude.wav", "k": 5}
    answer = client.post("/v1/similar", params=params, content=path.read_bytes(), headers={"Content-Type": "audio/wav"})
    expected = said("similar", path, *AS_OPTIONS, "-k", 5)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {**expected, "query": "Étude.wav"}
    assert list(served_home.paths.uploads.iterdir()) == []  # nothing is kept
    assert len(served_home.catalogue.tracks("all")) == 40


def test_explain_is_similar_with_reasons(client, said, ids, served_home):
    asked = {"query": ids[0], **OF, "aspects": {"brightness": 1}, "k": 3}
    document = client.post("/v1/explain", json=asked).json()
    assert document == said("similar", ids[0], *AS_OPTIONS, "--aspects", "brightness", "-k", 3, "--explain")
    plain = client.post("/v1/similar", json=asked).json()
    for result in document["results"]:
        assert {"brightness", "tempo"} <= {reason["aspect"] for reason in result.pop("reasons")}
        assert "brightness" in result.pop("in_words")
    assert document == plain


def test_reasons_are_those_of_the_core(client, ids, served_home):
    plan = plan_inquiry(served_home, Inquiry(library="planted", encoder="mel", k=2))
    found = answer_plan(plan, lambda plan: find_track(plan.scope, ids[1]))
    expected = explain_neighbours(found, lambda plan: client.service.shared.index(plan))
    document = client.get("/v1/explain", params={"query": ids[1], **OF, "k": 2}).json()
    said = {r["track_id"]: [(each["aspect"], each["word"]) for each in r["reasons"]] for r in document["results"]}
    assert said == {track_id: [(r.aspect, r.word) for r in reasons] for track_id, reasons in expected.items()}


def test_recommend_is_the_document_of_the_command_line(client, said, ids):
    params = {"listener": "Ann", **OF, "k": 6, "surprise": 0.2}
    expected = said("recommend", "--listener", "Ann", *AS_OPTIONS, "-k", 6, "--surprise", 0.2)
    assert client.get("/v1/recommend", params=params).json() == expected
    why_not = client.get("/v1/recommend", params={"listener": "Ann", **OF, "why_not": ids[20]})
    assert why_not.json() == said("recommend", "--listener", "Ann", *AS_OPTIONS, "--why-not", ids[20])


def test_tags_are_the_document_of_the_command_line(client, said, ids):
    assert client.get("/v1/tags", params={"library": "planted"}).json() == said("tags", "--library", "planted")
    some = client.post("/v1/tags", json={"track": ids[1:3]}).json()
    assert some == said("tags", *ids[1:3]) and len(some["tracks"]) == 2


@pytest.mark.slow
def test_embed_gives_what_an_embedder_gives(client, tmp_path):
    path = write_recording(tmp_path / "a.wav", 12.0, seed=3)
    answer = client.post("/v1/embed?encoder=mel&segments=true", content=path.read_bytes(),
                         headers={"Content-Type": "application/octet-stream"})  # fmt: skip
    document, expected = answer.json(), Embedder("mel").embed_file(path)
    assert answer.status_code == 200 and document["n_segments"] == len(expected.starts_s) == 4
    np.testing.assert_array_equal(np.float32(document["mean"]), expected.mean)
    np.testing.assert_array_equal(np.float16(document["segments"]), expected.segments)
    assert (document["n_layers"], document["dim"]) == expected.mean.shape


@pytest.mark.slow
def test_every_document_has_its_promised_keys(client, ids, tmp_path):
    path = write_recording(tmp_path / "a.wav", 3.0)
    params = {"similar": {"query": ids[0], **OF}, "explain": {"query": ids[0], **OF}, "recommend": OF,
              "tags": {"library": "planted"}}  # fmt: skip
    for endpoint in ENDPOINTS:
        if endpoint.name in ("metrics", "ready"):
            continue
        if endpoint.needs_file:
            answer = client.post(f"{endpoint.path}?encoder=mel", content=path.read_bytes(),
                                 headers={"Content-Type": "audio/x-wav"})  # fmt: skip
        else:
            answer = client.get(endpoint.path, params=params.get(endpoint.name, {}))
        assert answer.status_code == 200, answer.text
        assert set(endpoint.keys) <= answer.json().keys()


def test_many_at_once_get_each_their_own_answer_from_one_index(start, ids):
    client = start(rate_per_s=1e6, burst=10**6)
    alone = {track_id: client.get("/v1/similar", params={"query": track_id, **OF}).json() for track_id in ids[:8]}
    n_built = client.service.shared.indexes.n_built
    with ThreadPoolExecutor(8) as callers:
        ask = lambda track_id: client.get("/v1/similar", params={"query": track_id, **OF}).json()  # noqa: E731
        together = dict(zip(ids[:8] * 4, callers.map(ask, ids[:8] * 4), strict=True))
    assert together == alone
    assert client.service.shared.indexes.n_built == n_built


def test_a_track_that_is_embedded_meanwhile_is_found(client, ids, served_home):
    """Nothing stale: the index is made again when the library is another."""
    asked = {"query": ids[0], **OF, "k": 100}
    before = client.get("/v1/similar", params=asked).json()
    served_home.forget_tracks([ids[7]])
    after = client.get("/v1/similar", params=asked).json()
    assert {r["track_id"] for r in before["results"]} - {r["track_id"] for r in after["results"]} == {ids[7]}


def test_paths_can_be_kept_back(start, ids):
    document = start(shows_paths=False).get("/v1/similar", params={"query": ids[0], **OF}).json()
    assert document["results"] and {result["path"] for result in document["results"]} == {None}


def test_what_the_command_line_refuses_is_refused_in_the_same_words(client, served_home, ids, capsys):
    for fields, options in (
        ({"aspects": {"brightnes": 1}}, ("--aspects", "brightnes")),
        ({"along": "tempo", "words": "slow"}, ("--along", "tempo", "--words", "slow")),
        ({"where": ["work=nothing"]}, ("--where", "work=nothing")),
    ):
        answer = client.post("/v1/similar", json={"query": ids[0], **OF, **fields})
        capsys.readouterr()
        assert main(["--home", str(served_home.paths.root), "similar", ids[0], *AS_OPTIONS, *options, "--json"]) == 2
        printed = json.loads(capsys.readouterr().out)
        assert answer.status_code == 422
        assert (answer.json()["what"], answer.json()["cure"]) == (printed["error"], printed["hint"])
