"""The OpenAPI document says what the routes do, and the counters count what they did."""

from __future__ import annotations

import re

import pytest
from starlette.routing import Route

from mess_core.search.inquiry import Inquiry
from mess_core.serve.endpoints import BY_PATH, ENDPOINTS
from mess_core.serve.fields import QUESTION, SAID
from mess_core.serve.metrics import BUCKETS_S, Metrics
from mess_core.serve.openapi import openapi
from mess_core.serve.refusals import STATUSES

OF = {"library": "planted", "encoder": "mel"}
SENT = 'mess_response_bytes_total{endpoint="similar"}'
LINE = re.compile(r'^[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [0-9.e+-]+$')


def references(value) -> set[str]:
    """Every `$ref` of a document."""
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_document_has_the_routes_and_no_others(client):
    routes = {route.path: route.methods - {"HEAD"} for route in client.app.routes if isinstance(route, Route)}
    said = {path: {method.upper() for method in operations} for path, operations in openapi()["paths"].items()}
    assert said == routes == {path: set(each.methods) for path, each in BY_PATH.items()}
    assert client.get("/openapi.json").json() == openapi()


def test_the_document_is_whole():
    """What is referred to is there, ids are told apart, statuses are ours, fields those of the table."""
    document = openapi()
    assert document["openapi"].startswith("3.1.")
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    operations = [(path, method, each) for path, of in document["paths"].items() for method, each in of.items()]
    ids = [each["operationId"] for _, _, each in operations]
    assert len(ids) == len(set(ids))
    for path, method, each in operations:
        assert each["summary"].endswith(".") and set(map(int, each["responses"])) <= {200, *STATUSES}
        assert [field.name for field in BY_PATH[path].fields] == [one["name"] for one in each.get("parameters", [])]
        assert ("requestBody" in each) == (method == "post")
        assert (each.get("security") == []) == BY_PATH[path].is_open


def test_every_field_of_an_inquiry_can_be_asked_for():
    names = {field.to or field.name for field in QUESTION} - {"query", "file_name"}
    assert names == set(Inquiry.__dataclass_fields__) - {"engine"}  # whoever serves a library chooses that
    defaults = Inquiry()
    for field in QUESTION:
        assert field.kind in SAID and field.words
        if field.default is not None and hasattr(defaults, field.to or field.name):
            assert getattr(defaults, field.to or field.name) == field.default


def test_every_field_of_the_command_line_is_one_here():
    """But for what only a person there needs: a playlist, how the answer is printed, what is asked for it, which run.

    And for what is of the whole program: its data folder, its plug-ins.
    """
    from mess_core.cli.main import _parser

    options = vars(_parser().parse_args(["similar", "x"]))
    here = {field.to or field.name for field in QUESTION}
    assert set(options) - here == {
        "home", "plugins", "json", "run", "parser", "playlist", "explain", "engine", "by_run",
    }  # fmt: skip


def test_the_example_of_every_field_is_read(client, ids):
    """Each default of the document is taken as it stands."""
    defaults = {field.name: field.default for field in QUESTION if field.default is not None}
    plain = client.post("/v1/similar", json={"query": ids[0], "encoder": "mel"}).json()
    assert client.post("/v1/similar", json={"query": ids[0], "encoder": "mel", **defaults}).json() == plain


def test_metrics_count_requests_latencies_sizes_and_errors(client, ids):
    client.get("/v1/similar", params={"query": ids[0], **OF})
    answer = client.get("/v1/similar", params={"query": ids[1], **OF})
    client.get("/v1/similar", params={"query": "nobody"})
    client.get("/made/up/address")
    client.get("/another")
    text = client.get("/metrics").text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.match(line) for line in samples) and text.endswith("\n")
    assert 'mess_requests_total{endpoint="similar",status="200"} 2' in samples
    assert 'mess_requests_total{endpoint="similar",status="404"} 1' in samples
    assert 'mess_requests_total{endpoint="other",status="404"} 2' in samples  # no series for what somebody types
    assert 'mess_request_seconds_count{endpoint="similar"} 3' in samples
    (sent,) = (
        float(line.split()[1]) for line in samples if line.startswith('mess_response_bytes_total{endpoint="similar"')
    )
    assert sent > 2 * 0.9 * len(answer.content)
    assert "mess_indexes 2" in samples or "mess_indexes 1" in samples
    names = re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE)
    assert len(names) == len(set(names))
    described = {line.partition("{")[0].split()[0] for line in samples}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in described} <= set(names)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.0011, 60.0, 1e3])
def test_a_histogram_is_cumulative_and_its_limits_are_in_it(seconds):
    counted = Metrics()
    counted.count("similar", 200, seconds, 0, 0)
    found = dict(re.findall(r'mess_request_seconds_bucket\{endpoint="similar",le="([^"]+)"\} (\d+)', counted.text()))
    assert {limit: int(n) for limit, n in found.items()} == {
        **{str(limit): int(seconds <= limit) for limit in BUCKETS_S}, "+Inf": 1
    }  # fmt: skip


def test_faults_are_counted_as_errors():
    counted = Metrics({"mess_x": lambda: 2.0})
    counted.count("tags", 500, 0.1, 5, 7)
    text = counted.text()
    assert 'mess_errors_total{endpoint="tags"} 1' in text and "mess_x 2" in text


def test_endpoints_have_names_that_a_label_can_hold():
    assert all(re.fullmatch("[a-z]+", each.name) and each.path.startswith("/") for each in ENDPOINTS)
