"""Requests: what a row holds comes back as it was asked, a row that cannot be meant is a sentence, and what follows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mess_core.encoders.mel import MEL
from mess_core.errors import InputError, MessError
from mess_core.maps.settings import MapSettings
from mess_core.probing.result import ProbeSettings
from mess_core.work.add import AddRequest
from mess_core.work.demo import DemoRequest
from mess_core.work.download import DownloadRequest
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.fetch import FetchRequest
from mess_core.work.kinds import KINDS, asked, what_follows
from mess_core.work.learn import LearnRequest
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import Done, latest, submit, under_way
from mess_core.work.study import StudyRequest
from mess_core.work.targets import MeasureRequest, TargetsRequest
from mess_core.workspace.scope import Scope

PROBE = ProbeSettings(alphas=(0.1, 10.0), n_permutations=200, columns=("level",))

# What the rows of a folder hold that MESS 0.1 wrote: they must mean the same for ever.
ROWS = [
    ("demo", {"then_extract": "nano"}, DemoRequest("nano")),
    ("demo", {"then_extract": None}, DemoRequest()),
    ("add", {"path": "/music", "library": "a", "then_extract": None, "collection": "auto", "renders": True},
     AddRequest(Path("/music"), "a", renders=True)),
    ("fetch", {"collection": "smd", "number": 0, "folder": "/data", "library": "a", "then_extract": "mel",
               "renders": False}, FetchRequest("smd", 0, Path("/data"), "a", "mel")),
    ("extract", {"library": "a", "encoder": "mel", "keep_raw": True, "then_discover": True},
     ExtractRequest("a", "mel", keep_raw=True, goes_on=True)),
    ("encode", {"track_id": "0123", "encoder": "mel"}, EncodeRequest("0123", "mel")),
    ("targets", {"library": "a", "then_probe": "mel"}, TargetsRequest("a", "mel")),
    ("targets", {"library": "a", "then_probe": None, "cluster": "local", "read_from": "/a=/b", "n_workers": 2},
     TargetsRequest("a", cluster="local", read_from="/a=/b", n_workers=2)),
    ("measure", {"track_id": "0123"}, MeasureRequest("0123")),
    ("probe", {"library": "a", "encoder": "mel", "group": "performer", "level": "segment",
               "settings": json.loads(json.dumps(vars(PROBE))), "then_evaluate": True},
     ProbeRequest("a", "mel", "performer", "segment", PROBE, goes_on=True)),
    ("evaluate", {"library": "a", "encoder": "mel", "what": "similarity"}, EvaluateRequest("a", "mel", "similarity")),
    ("map", {"library": "a", "encoder": "mel", "settings": vars(MapSettings(seed=3)), "layer": 2, "always": ["x", "y"],
             "with_stability": True}, MapRequest("a", "mel", MapSettings(seed=3), 2, ("y", "x"), with_stability=True)),
    ("download", {"encoder": "mert-95m"}, DownloadRequest("mert-95m")),
    ("study", {"file": "/plans/small.toml"}, StudyRequest(Path("/plans/small.toml"))),
    ("learn", {"library": "a", "encoder": "mel", "from": "ratings", "student": "linear", "n_seeds": 3,
               "activates": True, "has_curve": True, "single_ratings": "/data/ratings.csv", "hides_works": False,
               "question": ""},
     LearnRequest("a", "mel", "ratings", "linear", 3, activates=True, has_curve=True,
                  single_ratings=Path("/data/ratings.csv"))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "row", "request_"), ROWS, ids=[f"{kind}-{n}" for n, (kind, _, _) in enumerate(ROWS)])
def test_a_row_holds_what_was_asked(kind, row, request_):
    assert KINDS[kind].from_arguments(row) == request_
    assert (request_.kind, json.loads(json.dumps(request_.arguments))) == (kind, row)


@pytest.mark.parametrize("request_", [request_ for _, _, request_ in ROWS], ids=lambda each: each.kind)
def test_every_kind_says_in_a_few_words_what_it_is_about(home, request_):
    """In the line for all work; an encoder that is gone, or a track, does not matter."""
    assert 1 <= len(request_.brief(home).split()) <= 4


def test_every_kind_is_here():
    assert {kind for kind, _, _ in ROWS} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "row", [{"nosuch": 1}, {"library": [], "encoder": {}, "track_id": 3, "path": None, "then_extract": 4}],
    ids=["unknown", "other kinds"],
)  # fmt: skip
def test_a_row_that_cannot_be_meant_fails_with_a_sentence(home, kind, row):
    """A data folder may come from anybody: neither a page nor a worker stumbles over it."""
    job = home.jobs.submit(kind, row)
    with pytest.raises(MessError, match="What is asked of a job is damaged"):
        asked(job)


def test_a_kind_of_a_newer_version_is_named(home):
    with pytest.raises(InputError, match="no job of the kind 'compose'"):
        asked(home.jobs.submit("compose", {}))


@pytest.mark.parametrize(("kind", "row", "request_"), ROWS, ids=[f"{kind}-{n}" for n, (kind, _, _) in enumerate(ROWS)])
def test_each_says_what_it_works_on(home, kind, row, request_):
    """Also where library, track and encoder are gone."""
    words = request_.words(home)
    assert words.split()[0].endswith("ing") or words.startswith("Discovery")
    assert "\n" not in words and len(words) < 200
    if hasattr(request_, "library") and kind != "fetch":
        hostile = replace(request_, library="<b>\n" + "x" * 10_000)
        assert "\n" not in hostile.words(home) and len(hostile.words(home)) < 200


def test_two_probes_are_told_apart_by_their_settings(home):
    """One of them waits behind the other, and both are named on the page."""
    usual, other = (ProbeRequest("a", MEL.id, settings=ProbeSettings(seed=seed)) for seed in (0, 3))
    assert usual.words(home) != other.words(home) and "seed 3" in other.words(home)
    hostile = ProbeRequest("a", MEL.id, settings=ProbeSettings(columns=("x" * 5000, "\n<b>")))
    assert len(hostile.words(home)) < 300 and "\n" not in hostile.words(home)


def test_the_chain_is_walked_to_its_end(home, monkeypatch):
    """Demo -> extract -> targets -> probe -> evaluations and map; each asks for the next."""
    monkeypatch.setattr(Scope, "can_discover", True)
    done, request, kinds = Done("."), DemoRequest(MEL.id), []
    while following := what_follows(home, request, done):
        request = following[0]
        kinds.append([each.kind for each in following])
    assert kinds == [["extract"], ["targets"], ["probe"], ["evaluate", "evaluate", "map"]]
    (added,) = what_follows(home, FetchRequest("smd", 0, Path("/data"), "a", MEL.id), Done(".", path=Path("/data/smd")))
    assert added == AddRequest(Path("/data/smd"), "a", MEL.id)
    assert what_follows(home, added, done) == [ExtractRequest("a", MEL.id, goes_on=True)]


@pytest.mark.parametrize("request_", [
    DemoRequest(), AddRequest(Path("/music"), "a"), FetchRequest("smd", 0, Path("/data")), ExtractRequest("a", MEL.id),
    TargetsRequest("a"), ProbeRequest("a", MEL.id), ProbeRequest("a", MEL.id, level="segment", goes_on=True),
    EvaluateRequest("a", MEL.id), MapRequest("a", MEL.id), EncodeRequest("0", MEL.id), MeasureRequest("0"),
], ids=lambda request: request.kind)  # fmt: skip
def test_what_stands_alone_is_followed_by_nothing(home, monkeypatch, request_):
    monkeypatch.setattr(Scope, "can_discover", True)
    assert what_follows(home, request_, Done(".", path=Path("/data"))) == []


def test_nothing_found_leads_to_nothing(home):
    assert what_follows(home, AddRequest(Path("/music"), "a", MEL.id), Done(".", leads_on=False)) == []
    assert what_follows(home, ExtractRequest("a", MEL.id, goes_on=True), Done(".")) == []  # too small to discover in


def test_the_same_asked_twice_is_one_job_and_is_found_by_its_fields(home):
    first = submit(home, MapRequest("a", MEL.id, always=("x", "y")))
    assert submit(home, MapRequest("a", MEL.id, always=("y", "x", "y"))).job_id == first.job_id
    assert under_way(home, MapRequest, library="a", settings=MapSettings()).job_id == first.job_id
    assert under_way(home, MapRequest, library="a", settings=MapSettings(seed=1)) is None
    assert under_way(home, EvaluateRequest, library="a") is None
    home.jobs.cancel(first.job_id)
    assert under_way(home, MapRequest, library="a") is None
    assert latest(home, MapRequest, encoder_id=MEL.id).state == "cancelled"
