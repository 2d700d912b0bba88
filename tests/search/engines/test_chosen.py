"""Which engine answers for a library: what was chosen, once it has answered; FAISS where it does not."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from mess_core.cli.doctor import examine
from mess_core.cli.main import main
from mess_core.encoders.nano import NANO
from mess_core.errors import ArtefactMismatchError, DataMissingError, EngineError, InputError
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.engines.chosen import (
    ENGINES,
    FAISS,
    SETTING,
    collection_key,
    dsn_of,
    engine_of,
    keep_engine,
    open_engine,
)
from mess_core.search.engines.postgres import DSN_VARIABLE
from mess_core.search.engines.trial import try_engine
from mess_core.search.question import Question
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, embed, plant_heard_library


@pytest.fixture
def planted(home, monkeypatch):
    monkeypatch.delenv(DSN_VARIABLE, raising=False)
    return home, plant_heard_library(home, TWO_LAYERS)


@pytest.fixture
def without_packages(monkeypatch) -> None:
    for name in ("lancedb", "psycopg", "pgvector", "pgvector.psycopg"):
        monkeypatch.setitem(sys.modules, name, None)


def plan_of(home, engine: str = "", **question):
    return make_plan(Scope(home, "planted", TWO_LAYERS), Question(**question), None, engine=engine)


def test_a_choice_is_kept_for_a_library(planted) -> None:
    """Each has its own; without one it is FAISS; a name that is none, as of a foreign folder, is FAISS, too."""
    home, _ = planted
    assert engine_of(home, "planted") == FAISS == plan_of(home).asks
    keep_engine(home, "planted", "lancedb")
    assert engine_of(home, "planted") == "lancedb" == plan_of(home).asks and engine_of(home, "all") == FAISS
    assert plan_of(home, FAISS).asks == FAISS
    home.database.set_setting(f"{SETTING}planted", "host=evil.example")
    assert engine_of(home, "planted") == FAISS
    for choose in (lambda: keep_engine(home, "planted", "nosuch"), lambda: plan_of(home, "nosuch")):
        with pytest.raises(InputError, match="no engine 'nosuch'"):
            choose()


def test_an_index_is_made_anew_where_another_engine_is_asked_or_names_change(planted) -> None:
    """Of the cache of the pages: FAISS needs no names, a database filters by them."""
    home, ids = planted
    keys = [plan_of(home).index_key, plan_of(home, "lancedb").index_key, plan_of(home, "pgvector").index_key]
    assert len(set(keys)) == 3 and keys[0] == plan_of(home).key
    home.catalogue.edit(ids[0], composer="Somebody")
    again = [plan_of(home).index_key, plan_of(home, "lancedb").index_key]
    assert again[0] == keys[0] and again[1] != keys[1]
    assert collection_key(plan_of(home).key) == collection_key(plan_of(home, "lancedb").key)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != FAISS])
def test_without_its_package_faiss_answers(planted, without_packages, engine) -> None:
    """With a sentence that says how to install it."""
    home, ids = planted
    plan, query = plan_of(home, engine), query_of(plan_of(home).scope, home.catalogue.track(ids[3]))
    found, plain = (answer(build_index(each), each, query) for each in (plan, plan_of(home)))
    assert [item.neighbour for item in found.found] == [item.neighbour for item in plain.found]
    problem = found.answered_by.problem
    assert "FAISS answers in its place" in problem
    assert "requirements-engines.txt" in problem or "serve-db" in problem
    assert found.answered_by.engine == plain.answered_by.engine == "FAISS" and not plain.answered_by.problem


def test_where_no_server_is_named_it_is_said(planted, monkeypatch) -> None:
    home, _ = planted
    with pytest.raises(EngineError, match="MESS_DSN is not set"):
        dsn_of(home.paths)
    monkeypatch.setenv(DSN_VARIABLE, " host=db.example ")
    assert dsn_of(home.paths) == "host=db.example"


def test_a_link_in_the_data_folder_is_not_followed(planted, tmp_path, monkeypatch) -> None:
    """It may come from somebody else: nothing is written, deleted or asked where it leads."""
    home, _ = planted
    (tmp_path / "elsewhere" / "rows_0.lance").mkdir(parents=True)
    home.paths.lancedb.parent.mkdir(parents=True)
    for folder in (home.paths.lancedb, home.paths.postgres):
        folder.symlink_to(tmp_path / "elsewhere")
    for name in ("lancedb", "pgvector"):
        with pytest.raises(ArtefactMismatchError, match="leads out"):
            open_engine(home.paths, name, "abcd" * 4, [2])
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["rows_0.lance"]


def test_a_passage_is_looked_for_here(planted) -> None:
    home, _ = planted
    scope = Scope(home, "planted", TWO_LAYERS)
    plan = make_plan(scope, Question(), None, is_of_passage=True, engine="lancedb")
    assert plan.notices[-1].startswith("Passages are looked for in this process")


def test_faiss_can_be_tried(planted) -> None:
    """It finds all there is, and needs nothing to be put."""
    home, ids = planted
    trial = try_engine(plan_of(home), FAISS)
    assert (trial.n_rows, trial.n_put, trial.share) == (len(ids), 0, 1.0) and trial.median_s == trial.beside_s > 0
    assert trial.words.startswith("FAISS ") and "ms a lookup" in trial.words
    with pytest.raises(DataMissingError):
        try_engine(make_plan(Scope(home, "planted", replace(TWO_LAYERS, revision="other")), Question(), None), FAISS)


@pytest.mark.slow
def test_the_verb_keeps_what_has_answered_and_doctor_says_how_it_is(planted, without_packages, capsys) -> None:
    """What does not answer is not chosen; what fell silent since is a finding; FAISS is the way back."""
    home, ids = planted
    embed(home, NANO, ids)
    here = ["--home", str(home.paths.root), "--json", "engine"]

    def findings() -> list:
        return [finding for finding in examine(home) if finding.subject == "engine planted"]

    assert main([*here, "lancedb", "--library", "planted"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "LanceDB is not installed."
    assert engine_of(home, "planted") == FAISS and findings() == []
    keep_engine(home, "planted", "lancedb")
    (finding,) = findings()
    assert not finding.is_ok and "requirements-engines.txt" in finding.cure
    assert finding.state == "lancedb does not answer: LanceDB is not installed. FAISS answers in its place."
    assert main([*here, "faiss", "--library", "planted"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["library"], said["engine"], said["share"]) == ("planted", "faiss", 1.0)
    assert engine_of(home, "planted") == FAISS and findings() == []
    assert main([*here, "--library", "nosuch"]) == 2


@pytest.mark.slow
def test_a_library_in_lancedb(planted) -> None:
    """Chosen, tried, asked; filters by names that are edited later; a track that goes."""
    pytest.importorskip("lancedb", reason="lancedb is not installed (requirements-engines.txt)")
    home, ids = planted
    trial = try_engine(plan_of(home), "lancedb")
    assert (trial.n_rows, trial.n_put, trial.share) == (len(ids), len(ids), 1.0) and "LanceDB" in trial.words
    assert try_engine(plan_of(home), "lancedb").n_put == 0
    keep_engine(home, "planted", "lancedb")
    home.catalogue.edit(ids[7], composer="x' OR '1'='1")

    def asked(engine: str, **question) -> list:
        plan = plan_of(home, engine, **question)
        found = answer(build_index(plan), plan, query_of(plan.scope, home.catalogue.track(ids[3])))
        assert found.answered_by.problem == "" and engine in ("", FAISS)
        assert found.answered_by.engine == ("FAISS" if engine else "LanceDB")
        return [item.neighbour for item in found.found]

    for question in ({}, {"composers": ("x' OR '1'='1",)}, {"k": 15, "hubs": "on"}):
        assert asked("", **question) == asked(FAISS, **question)
    assert [each.track_id for each in asked("", composers=("x' OR '1'='1",))] == [ids[7]]
    home.forget_tracks([ids[7]])
    assert asked("") == asked(FAISS)
