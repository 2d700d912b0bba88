"""Kept evaluations: they come back as they were, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mess_core.evaluation.faithfulness import DIRECTION, Faithfulness, Ratio
from mess_core.evaluation.kept import KINDS, Evaluation, load_evaluation, save_evaluation
from mess_core.evaluation.similarity import evaluate_similarity
from mess_core.evaluation.taste import Mean, SectionResult, TasteStudy, WayResult
from mess_core.storage.files import seal, unseal
from mess_core.targets.registry import VERSIONS
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import FakeEncoder

INFO = FakeEncoder().info
LIBRARY = "Chopin, ∆ ../x"  # untrusted text
LATER = ("provenance", "target_versions")  # which earlier versions did not keep


def faithfulness() -> Faithfulness:
    row = {"tempo": Ratio(0.25, 0.2, 0.3), "legato": Ratio(None, None, None)}
    return Faithfulness(
        k=10,
        n_queries=50,
        n_groups=20,
        rows={DIRECTION: {"tempo": row}, "layer": {}},
        references={"all layers": row},
        correlations={"tempo": {"tempo": 1.0, "legato": 0.6}},
        labels={"tempo": "high", "legato": "none"},
    )


def similarity():
    vectors = np.random.default_rng(0).standard_normal((12, 2, 4)).astype(np.float32)
    works = [f"w{row % 6}" for row in range(12)]
    return evaluate_similarity(vectors, works, [None] * 12, {"planted": np.full(12, np.nan)}, n_bootstraps=50)


def taste() -> TasteStudy:
    mean = Mean(0.5, 0.4, 0.6)
    return TasteStudy(
        listeners="simulated", n_listeners=6, n_tracks=9, ways=(WayResult("chance", {"20": mean}, {"20": mean}, None),),
        sections=(SectionResult("new", 0, None, mean, None, None, None),),
        planted_found={"chance": Mean(1.0, None, None)},
        borne_out=None, n_reasons=0, coverage=0.25, calibration=mean,
    )  # fmt: skip


RESULTS = {"faithfulness": faithfulness(), "similarity": similarity(), "taste": taste()}


@pytest.fixture(params=list(KINDS))
def kept(request, tmp_path):
    """Scope, kind, and the evaluation that was kept."""
    scope = Scope(Workspace(tmp_path), LIBRARY, INFO)
    evaluation = Evaluation(
        LIBRARY, INFO.id, INFO.fingerprint, "content", RESULTS[request.param], target_versions=dict(VERSIONS)
    )
    save_evaluation(scope, evaluation, request.param)
    return scope, request.param, evaluation


def file_of(scope: Scope):
    (path,) = (scope.workspace.paths.root / "probing" / INFO.folder).iterdir()
    return path


def test_there_is_a_kind_for_every_result():
    assert {what: type(result) for what, result in RESULTS.items()} == KINDS


def test_what_was_kept_comes_back(kept):
    """The result, what it rests on, and the document, which is strict JSON with all of it."""
    scope, what, evaluation = kept
    loaded = load_evaluation(scope, what)
    assert vars(loaded) == vars(evaluation)
    document = json.loads(json.dumps(loaded.as_document(), allow_nan=False))
    assert document.items() >= {
        "library": LIBRARY, "encoder": INFO.id, "fingerprint": INFO.fingerprint, "content": "content"
    }.items()  # fmt: skip
    plain = json.loads(json.dumps(evaluation.result.to_dict()))
    assert {name: document[name] for name in plain} == plain


def test_a_newer_one_takes_its_place(kept):
    scope, what, evaluation = kept
    save_evaluation(scope, replace(evaluation, content="newer"), what)
    assert load_evaluation(scope, what).content == "newer"
    assert file_of(scope)


def test_each_kind_library_and_encoder_has_its_own(kept):
    """What was not measured is None."""
    scope, what, _ = kept
    for other in KINDS.keys() - {what}:
        assert load_evaluation(scope, other) is None
    assert load_evaluation(replace(scope, library="another"), what) is None
    assert load_evaluation(replace(scope, info=FakeEncoder(revision="2").info), what) is None


def test_another_version_or_encoder_is_none(kept):
    """It is made again when asked for."""
    scope, what, _ = kept
    path = file_of(scope)
    plain = unseal(path.read_bytes(), path.name)
    for change in ({"format": "mess-evaluation-0"}, {"fingerprint": "0" * 64}):
        path.write_bytes(seal({**plain, **change}))
        assert load_evaluation(scope, what) is None
    path.write_text(json.dumps({**plain, "format": "mess-evaluation-1"}))  # of the time before there were seals
    assert load_evaluation(scope, what) is not None
    path.write_text(json.dumps(plain))
    assert load_evaluation(scope, what) is None


def test_it_asks_to_be_measured_again_for_a_reason(kept, monkeypatch):
    """The library changed; the formulas did; nobody knows. What rests on no target does not mind."""
    scope, what, evaluation = kept
    loaded = load_evaluation(scope, what)
    assert loaded.why_again("content") == ""
    assert "before the library changed" in loaded.why_again("other")
    monkeypatch.setitem(VERSIONS, "audio", VERSIONS["audio"] + 1)
    assert "How properties are measured has changed since" in loaded.why_again("content")
    assert replace(evaluation, target_versions={}).why_again("content") == ""


def test_one_of_before_versions_were_kept_is_read_and_says_so(kept):
    scope, what, evaluation = kept
    path = file_of(scope)
    plain = unseal(path.read_bytes(), path.name)
    path.write_bytes(seal({name: value for name, value in plain.items() if name not in LATER}))
    loaded = load_evaluation(scope, what)
    assert loaded.result == evaluation.result and loaded.target_versions is None
    assert "An earlier version made this" in loaded.why_again("content")
    assert loaded.as_document()["target_versions"] is None


def test_damage_is_none(kept):
    """Every way to be wrong; each key is needed but the one that earlier versions had not."""
    scope, what, _ = kept
    path = file_of(scope)
    data = path.read_bytes()
    plain = unseal(data, path.name)
    wrong = [b"", b"null", b"[]", b"3", b"\xff\xfe", data[: len(data) // 2]]
    wrong += [seal({k: v for k, v in plain.items() if k != name}) for name in plain if name not in LATER]
    results = [None, [], 3, {}, {**plain["result"], "unknown": 1} if what == "faithfulness" else {"format": "x"}]
    for name, value in plain["result"].items():
        if isinstance(value, (dict, list)):
            results.append({**plain["result"], name: 3})
    wrong += [seal({**plain, "result": result}) for result in results]
    for damaged in wrong:
        path.write_bytes(damaged)
        assert load_evaluation(scope, what) is None, damaged[:80]
    path.write_bytes(data)
    assert load_evaluation(scope, what) is not None
