"""Who is turned away, and in which words: limits, tokens, hostile names and bodies; never a trace, never a path."""

from __future__ import annotations

import hmac
import inspect
import io
import json
import logging
import os
import threading
import time
import tracemalloc
import zipfile

import anyio
import numpy as np
import pytest
import soundfile

from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, StorageError
from mess_core.serve import answering, service, settings
from mess_core.serve.rates import MOST_CLIENTS, Rates, TokenBucket
from mess_core.serve.refusals import MEDIA_TYPE, STATUSES, refusal_of
from mess_core.serve.service import HEADERS, Service
from mess_core.serve.settings import ServiceSettings, Token, find_token
from tests.conftest import write_recording

OF = {"library": "planted", "encoder": "mel"}
SECRET = "a-token-of-many-characters"
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
HOSTILE = [
    "../../etc/passwd", "/etc/passwd", "..\\..\\windows", "file:///etc/passwd", "~root/.ssh/id_rsa", "a\x00b",
    "$(touch x)", "'; DROP TABLE tracks; --", "\x1b[31mred", "%2e%2e%2f", "x" * 5000, "\ud800", "", ".", "/", "-",
    "--help", "imported:../../x", "hearing:layer:../x:1", "random:random:mel", "{{7*7}}", "<script>alert(1)</script>",
]  # fmt: skip


def refused(answer, status: int) -> dict:
    """A problem with all that it must say, and nothing of how the service is made."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = answer.json()
    assert document.keys() == {"type", "title", "status", "detail", "what", "value", "expected", "cure"}
    assert document["status"] == status and status in STATUSES and document["what"].endswith(".")
    assert "Traceback" not in answer.text and ".py" not in answer.text and "site-packages" not in answer.text
    return document


def sound(seconds: float = 3.0) -> bytes:
    text = io.BytesIO()
    soundfile.write(text, 0.2 * np.sin(np.arange(round(8000 * seconds)) * 0.3), 8000, format="WAV")
    return text.getvalue()


# --- who may ask ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_without_a_token_only_this_machine_is_listened_to(host):
    with pytest.raises(InputError, match=r"Without a token .* alone, not on") as caught:
        ServiceSettings(host=host)
    assert "MESS_TOKEN" in caught.value.hint
    assert ServiceSettings(host=host, token=Token.of(SECRET)).host == host


@pytest.mark.parametrize("header", [None, "", SECRET, "Bearer", "Bearer x", f"Basic {SECRET}", f"Bearer {SECRET}x",
                                    f"Bearer {SECRET[:-1]}", "Bearer é"])  # fmt: skip
def test_whoever_does_not_know_the_token_is_told_nothing_else(start, ids, header):
    client = start(token=Token.of(SECRET))
    headers = {} if header is None else {"Authorization": header.encode()}
    for path in ("/v1/similar", "/metrics", "/openapi.json", "/nothing"):
        answer = client.get(path, headers=headers)
        assert refused(answer, 401)["expected"] == "Authorization: Bearer TOKEN"
        assert answer.headers["www-authenticate"].startswith("Bearer") and SECRET not in answer.text


def test_whoever_knows_the_token_is_answered_from_anywhere(start, ids):
    client = start("http://mess.example.org", token=Token.of(SECRET))
    known = {"Authorization": f"Bearer {SECRET}", "Origin": "https://elsewhere.example"}
    assert client.get("/v1/similar", params={"query": ids[0], **OF}, headers=known).status_code == 200
    assert client.get("/health/live").status_code == 200  # of a probe nothing is asked


def test_a_token_is_compared_in_constant_time_and_never_kept_or_shown(monkeypatch):
    """By its hash, with `hmac.compare_digest`, whatever the scheme says; no representation holds it."""
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(settings.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    token = Token.of(f"{SECRET}\n")
    assert token.is_known_to(f"bearer {SECRET}") and not token.is_known_to("Basic x") and not token.is_known_to(None)
    assert len(compared) == 3 and all(len(a) == len(b) == 32 for a, b in compared)
    assert SECRET not in repr(ServiceSettings(token=token)) + repr(vars(token))
    assert "==" not in inspect.getsource(Token.is_known_to).replace('.casefold() == "bearer"', "")


def test_a_token_comes_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    assert find_token(file, {}) == find_token(None, {"MESS_TOKEN": SECRET}) == Token.of(SECRET)
    assert find_token(None, {}) is None
    for environment, wanted in (({"MESS_TOKEN": "short"}, "at least 16"), ({"MESS_TOKEN": ""}, "0 characters")):
        with pytest.raises(InputError, match=wanted):
            find_token(None, environment)
    with pytest.raises(InputError, match="one in a file"):
        find_token(file, {"MESS_TOKEN": SECRET})
    with pytest.raises(InputError, match="file of the token"):
        find_token(tmp_path / "nowhere", {})


def test_nothing_that_is_logged_holds_a_token_or_a_question(start, ids, caplog, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(service, "plan_inquiry", fail)
    client = start(token=Token.of(SECRET))
    with caplog.at_level(logging.DEBUG):
        client.get("/v1/similar", params={"query": ids[0]}, headers={"Authorization": f"Bearer {SECRET}"})
        client.get("/v1/similar", headers={"Authorization": "Bearer a-wrong-but-long-token"})
    ours = "".join(str(vars(record)) for record in caplog.records if record.name.startswith(("mess", "uvicorn")))
    assert SECRET not in ours and "a-wrong-but-long-token" not in ours


@pytest.mark.parametrize("headers", [
    {"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Host": "rebound.example"}, {"Host": "127.0.0.1.example"}, {"Host": "[::"},
])  # fmt: skip
def test_a_page_of_a_browser_may_not_ask_where_there_is_no_token(client, ids, headers):
    refused(client.get("/v1/similar", params={"query": ids[0]}, headers=headers), 403)
    assert client.get("/health/live", headers={"Host": "localhost:8600"}).status_code == 200


# --- how often, how much, how long ---------------------------------------------------------------------------------


def test_a_bucket_gives_its_rate_and_no_more():
    """Over any stretch, at most `burst` and what came in meanwhile."""
    rng = np.random.default_rng(0)
    bucket, now_s, taken = TokenBucket(5.0, 3, 0.0), 0.0, []
    for wait_s in rng.exponential(0.05, 2000):
        now_s += wait_s
        if not bucket.take(now_s):
            taken.append(now_s)
    taken = np.array(taken)
    for n in (4, 10, 50):
        assert ((taken[n:] - taken[:-n]) * 5.0 + 3 >= n - 1e-6).all()
    assert len(taken) == pytest.approx(5 * now_s, rel=0.05)


def test_what_is_said_to_wait_is_enough():
    bucket = TokenBucket(0.5, 1, 0.0)
    bucket.take(0.0)
    wait_s = bucket.take(0.3)
    assert bucket.take(0.3 + wait_s) == 0


def test_clients_do_not_take_from_each_other_and_are_not_remembered_without_end():
    rates = Rates(1.0, 2, clock=lambda: 0.0)
    assert [rates.take("a") == 0 for _ in range(3)] == [True, True, False]
    assert rates.take("b") == 0
    for number in range(MOST_CLIENTS + 5):
        rates.take(str(number))
    assert len(rates._buckets) == MOST_CLIENTS


def test_too_many_requests_are_refused_with_when_to_come_again(start, ids):
    client = start(rate_per_s=0.01, burst=2)
    codes = [client.get("/openapi.json").status_code for _ in range(2)]
    answer = client.get("/openapi.json")
    assert codes == [200, 200] and refused(answer, 429)["what"] == "You ask too often."
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert client.get("/health/live").status_code == 200  # or a flood would be taken for death


def test_guesses_at_the_token_cost_their_client_and_nobody_else(start):
    """They are counted before the token is looked at, and take nothing of what all share."""
    client = start(token=Token.of(SECRET), rate_per_s=0.01, burst=5, rate_of_all_per_s=0.01, burst_of_all=1)
    assert [client.get("/metrics").status_code for _ in range(6)] == [401] * 5 + [429]


def test_all_together_are_limited_too(start):
    client = start(rate_of_all_per_s=0.01, burst_of_all=1)
    assert client.get("/openapi.json").status_code == 200
    assert refused(client.get("/openapi.json"), 429)["what"] == "All ask too often."
    assert client.get("/health/live").status_code == 200  # probes go on


def test_a_file_that_is_too_large_is_refused_announced_or_not(start, served_home):
    client = start(most_bytes=1000)
    data = sound()
    answer = client.post("/v1/embed?encoder=mel", content=data, headers=BYTES)
    assert refused(answer, 413)["value"] == len(data)
    answer = client.post("/v1/embed?encoder=mel", content=iter([data[:900], data[900:1200]]), headers=BYTES)
    assert refused(answer, 413)["expected"] == "at most 1000 bytes"
    assert not served_home.paths.uploads.exists() or list(served_home.paths.uploads.iterdir()) == []


def test_a_recording_that_is_too_long_is_refused(start):
    answer = start(most_s=2.0).post("/v1/similar", params=OF, content=sound(), headers=BYTES)
    assert refused(answer, 413)["value"] == 3.0


def test_a_question_that_is_too_large_is_refused(client):
    body = json.dumps({"words": "x" * 70_000}).encode()
    refused(client.post("/v1/similar", content=body, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"1", b'"a"', b"{\"k\": NaN}", b'{"k": 1, "k": 2}', b"[" * 5000,
    b'{"a":' * 100 + b"1" + b"}" * 100,
    b"\xff\xfe{}", b'{"query": "\\ud800"}', b"{'query': 1}", b'{"k": 1e999}', b'{"k": ' + b"9" * 100 + b"}",
])  # fmt: skip
def test_a_body_that_is_no_object_is_refused(client, body):
    answer = client.post("/v1/similar", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 400 if body else 422)  # without a body nothing is asked for


@pytest.mark.parametrize(("fields", "status", "what"), [
    ({"qery": "a"}, 400, "no such field"), ({"k": "ten"}, 400, "k is not a whole number"), ({"k": True}, 400, "k is"),
    ({"k": 0}, 422, "out of its range"), ({"k": 10**9}, 422, "out of its range"), ({"query": 5}, 400, "query is not"),
    ({"aspects": [1]}, 400, "aspects is not"), ({"aspects": {"tempo": "x"}}, 400, "aspects is not"),
    ({"like": "a"}, 400, "like is not"), ({"like": ["a"] * 101}, 400, "like is not"),
    ({"geometry": "round"}, 422, "none"), ({"passage": "a:b"}, 422, ""), ({"library": "nosuch"}, 404, "nosuch"),
    ({"encoder": "nosuch"}, 422, "nosuch"),
    ({"aspects": {"tempo": -1}}, 422, "weight"), ({"furthest": "perhaps"}, 400, "true or false"),
])  # fmt: skip
def test_a_field_that_cannot_be_meant_is_refused_by_name(client, ids, fields, status, what):
    document = refused(client.post("/v1/similar", json={"query": ids[0], **OF, **fields}), status)
    assert what in f"{document['what']} {document['expected']}"


@pytest.mark.parametrize("type_", ["text/html", "multipart/form-data", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused(client, type_):
    document = refused(client.post("/v1/similar", content=b"x", headers={"Content-Type": type_}), 415)
    assert "Content-Type" in document["cure"]
    refused(client.post("/v1/tags", content=sound(), headers=BYTES), 415)
    packed = {**BYTES, "Content-Encoding": "gzip"}
    refused(client.post("/v1/embed", content=b"x", headers=packed), 415)


@pytest.mark.parametrize("data", [
    b"RIFF", b"\0" * 5000, b"<html>" * 100, b"fLaC" + b"\xff" * 200, b"OggS" + b"\0" * 99,
    b"#!/bin/sh\ntouch x\n", b"\x7fELF" + b"\0" * 100, b"PK\x03\x04" + b"\0" * 50,
])  # fmt: skip
def test_what_is_no_audio_is_refused_and_gone(client, served_home, data):
    """By what it is, whatever it is said to be; its name under which it lay is not told."""
    answer = client.post(
        "/v1/similar", params={**OF, "name": "a.wav"}, content=data, headers={"Content-Type": "audio/wav"}
    )
    assert "a.wav is no audio" in refused(answer, 415)["what"] and ".tmp" not in answer.text
    assert list(served_home.paths.uploads.iterdir()) == []


@pytest.mark.slow
def test_silence_and_nothing_are_refused(client, tmp_path):
    silent = write_recording(tmp_path / "s.wav", level=0.0).read_bytes()
    assert "silent" in refused(client.post("/v1/embed?encoder=mel", content=silent, headers=BYTES), 422)["what"]
    assert "nothing to embed" in refused(client.post("/v1/embed"), 422)["what"]
    refused(client.post("/v1/similar", params={**OF, "query": "x"}, content=sound(), headers=BYTES), 422)


def test_a_bomb_of_zeros_takes_no_memory(client):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 10**7)
    refused(client.post("/v1/embed?encoder=mel", content=packed.getvalue(), headers=BYTES), 415)


def test_addresses_and_methods_that_there_are_not(client):
    assert "/v1/similar" in refused(client.get("/v1/nothing"), 404)["expected"]
    answer = client.delete("/v1/similar")
    assert refused(answer, 405)["value"] == "DELETE" and "POST" in answer.headers["allow"]
    refused(client.get("/v1/embed"), 405)
    refused(client.get("/v1/../../etc/passwd"), 404)


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(each)[:20] for each in HOSTILE])
def test_no_text_of_a_client_becomes_a_path(client, served_home, monkeypatch, ids, text):
    """Each is refused, or looked for in the catalogue; no file of such a name is ever looked at, or made."""
    folder = served_home.paths.root
    looked_at: list[str] = []
    for module, name in ((os, "stat"), (os, "lstat"), (os, "open"), (io, "open")):
        real = getattr(module, name)

        def watched(path, *how, real=real, **named):
            looked_at.append(os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else "")
            return real(path, *how, **named)

        monkeypatch.setattr(module, name, watched)
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    for field in ("query", "library", "encoder", "along", "words", "passage"):
        asked = {"query": ids[0], **OF, field: text}
        answer = client.post(
            "/v1/similar", content=json.dumps(asked).encode(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (200, 400, 404, 422)
        if answer.status_code != 200:
            refused(answer, answer.status_code)
    for field in ("like", "unlike", "where", "heard_as", "between", "not", "composer"):
        asked = {"query": ids[0], **OF, field: [text]}
        answer = client.post(
            "/v1/similar", content=json.dumps(asked).encode(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (200, 400, 404, 422)
    writable = text.encode("utf-8", "replace").decode()
    of_others = {"recommend": ("listener", "why_not", "library"), "tags": ("track", "library")}
    for path, field in [(f"/v1/{name}", field) for name, fields in of_others.items() for field in fields]:
        params = {**(OF if path == "/v1/recommend" else {}), field: writable}
        assert client.get(path, params=params).status_code in (200, 400, 404, 422)
    answer = client.post("/v1/similar", params={**OF, "name": writable, "k": 1}, content=sound(), headers=BYTES)
    assert answer.status_code in (200, 400)
    assert looked_at and not [path for path in looked_at if len(text) > 2 and text in path]
    written = {path for path in folder.rglob("*") if path.is_file()} - set(before)
    assert all(path.is_relative_to(served_home.paths.cache) or path.name.startswith("mess.sqlite") for path in written)


def test_a_file_of_this_machine_cannot_be_asked_for(client, tmp_path):
    """The command line would open it; a client must not even learn that it is there."""
    path = write_recording(tmp_path / "private.wav", 4.0)
    there = refused(client.get("/v1/similar", params={"query": str(path), **OF}), 404)
    nowhere = refused(client.get("/v1/similar", params={"query": f"{path}x", **OF}), 404)
    assert there["what"].replace(str(path), "P") == nowhere["what"].replace(f"{path}x", "P")
    refused(client.get("/v1/similar", params={"query": "x", "like": str(path), **OF}), 404)


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "status"), [
    (ZeroDivisionError("secret"), 500), (StorageError("/secret/place is full."), 503), (OSError("/secret"), 503),
    (ArtefactMismatchError("/secret is damaged."), 503), (MemoryError("secret"), 500),
])  # fmt: skip
def test_a_fault_is_said_without_what_it_was(start, ids, monkeypatch, error, status):
    def fail(*_):
        raise error

    monkeypatch.setattr(answering, "plan_inquiry", fail)
    client = start()
    answer = client.get("/v1/similar", params={"query": ids[0]})
    refused(answer, status)
    assert "secret" not in answer.text and answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/health/live").status_code == 200


def test_a_sentence_that_names_a_place_is_kept_back_where_paths_are(start, ids, monkeypatch):
    """The audio of a track that is gone, say; with paths shown it is said as on the command line."""

    def fail(*_):
        raise DataMissingError("There is no file at /home/anna/Music/a.wav.", "Is the disk mounted?")

    monkeypatch.setattr(answering, "plan_inquiry", fail)
    hidden = start(shows_paths=False).get("/v1/similar", params={"query": ids[0]})
    refused(hidden, 404)
    assert "anna" not in hidden.text
    assert "/home/anna" in refused(start().get("/v1/similar", params={"query": ids[0]}), 404)["what"]


def test_what_the_core_refuses_has_its_status():
    assert [refusal_of(kind("x")).status for kind in (InputError, DataMissingError, StorageError)] == [422, 404, 503]


def test_an_empty_data_folder_is_live_and_not_ready(home, tmp_path):
    from starlette.testclient import TestClient

    with TestClient(Service(home.paths.root, ServiceSettings()).app, base_url="http://127.0.0.1") as client:
        assert client.get("/health/live").json() == {"status": "live"}
        deadline = time.monotonic() + 10
        while "made" in (document := refused(client.get("/health/ready"), 503))["what"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert document["what"] and "index is being made" not in document["what"]


def test_health_answers_while_all_threads_work_and_what_waits_is_bounded(start):
    """A question that takes for ever is refused in time, keeps its thread, and the next ones are turned away."""
    is_over, n_begun = threading.Event(), threading.Semaphore(0)

    def wait():
        n_begun.release()
        is_over.wait(20)

    client = start(n_threads=1, most_waiting=1, answer_s=0.2)
    pool = client.service.answering

    async def ask_thrice():
        outcomes = []

        async def ask():
            try:
                outcomes.append(await pool.run(wait, 0.2))
            except Exception as error:
                outcomes.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        return outcomes

    outcomes = client.portal.call(ask_thrice)
    assert [each.status for each in outcomes] == [503] * 3 and n_begun.acquire(timeout=5)
    assert sorted(each.what.split(".")[0] for each in outcomes)[0].startswith("2 requests are in hand")
    assert client.get("/health/live").status_code == 200
    refused_now = client.get("/v1/tags", params={"library": "planted"})
    is_over.set()
    assert refused_now.status_code == 503
    deadline = time.monotonic() + 5
    while pool.n_held and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pool.n_held == 0


def test_every_answer_forbids_a_browser_to_make_anything_of_it(client, ids):
    for answer in (
        client.get("/v1/similar", params={"query": ids[0], **OF}),
        client.get("/x"),
        client.post("/v1/embed"),
    ):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_a_large_file_streams_through_little_memory(start, tmp_path):
    """Forty megabytes are sent and refused for their length; Python holds a few of them at most."""
    client = start(most_s=1.0)
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(20_000_000, np.int16), 48_000)
    assert path.stat().st_size > 40_000_000

    def pieces():
        with path.open("rb") as stream:
            while piece := stream.read(65_536):
                yield piece

    async def stream_into():
        from mess_core.serve.receiving import receive_file

        class Piecewise:
            def __init__(self):
                self.headers = {}

            async def stream(self):
                for piece in pieces():
                    yield piece

        tracemalloc.start()
        try:
            await receive_file(Piecewise(), client.service.shared.workspace, client.service.settings, "long")
        except Exception as error:
            return error, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    error, peak = client.portal.call(stream_into)
    assert error.status == 413 and error.value == pytest.approx(416.7, abs=0.1)
    assert peak < 8 * 2**20
