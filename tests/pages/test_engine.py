"""The engine that is asked, chosen on the page Library: offered where there is one, kept once it has answered."""

import importlib

import pytest

from mess_core.errors import EngineError
from mess_core.search import answers
from mess_core.search.engines.chosen import FAISS, engine_of, keep_engine
from mess_core.search.engines.flat import FaissEngine
from mess_core.search.engines.postgres import DSN_VARIABLE
from mess_core.search.engines.reachable import reachable
from tests.pages.conftest import words

PAGE = "pages/1_Library.py"


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Installs packages of a name, with nothing in them."""
    monkeypatch.delenv(DSN_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")

    def install(*names: str) -> None:
        for name in names:
            (tmp_path / "site" / name).mkdir(parents=True)
            (tmp_path / "site" / name / "__init__.py").touch()
        importlib.invalidate_caches()

    return install


class Beside(FaissEngine):
    """An engine that keeps its rows elsewhere, as a database does. Where it does not answer, `failure` is raised."""

    failure: EngineError | None = None

    def nearest(self, *asked):
        if self.failure is not None:
            raise self.failure
        return super().nearest(*asked)

    def about(self) -> str:
        return "LanceDB of a test"


@pytest.fixture
def lance(packages, monkeypatch):
    """LanceDB is installed, and what it keeps is kept in memory; the class says whether it answers."""
    packages("lancedb")
    monkeypatch.setattr(Beside, "failure", None)
    monkeypatch.setattr(answers, "open_engine", lambda paths, name, key, widths, names=(): Beside(key, widths, names))
    return Beside


@pytest.mark.parametrize(
    ("installed", "dsn", "found"),
    [
        ((), "", []),
        (("lancedb",), "", ["lancedb"]),
        (("psycopg", "pgvector"), "", []),  # nobody says where the server is
        (("psycopg", "pgvector"), "host=127.0.0.1", ["pgvector"]),
        (("pgvector",), "host=127.0.0.1", []),
        (("lancedb", "psycopg", "pgvector"), "host=127.0.0.1", ["lancedb", "pgvector"]),
    ],
)
def test_what_is_reachable_is_installed_and_somewhere(packages, home, monkeypatch, installed, dsn, found):
    if any(name not in installed and _is_really_there(name) for name in ("lancedb", "psycopg", "pgvector")):
        pytest.skip("the engines are installed")
    packages(*installed)
    monkeypatch.setenv(DSN_VARIABLE, dsn)
    assert reachable(home.paths) == [FAISS, *found]


def _is_really_there(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def radio_of(at):
    return [each for each in at.radio if each.key.startswith("engine of")]


def button_of(at, label):
    return next(each for each in at.button if each.label.startswith(label))


def test_without_an_engine_nothing_is_offered(launch, library, home, monkeypatch):
    from pages.shared.library import engine

    monkeypatch.setattr(engine, "reachable", lambda paths: [FAISS])
    assert not radio_of(launch(PAGE))
    keep_engine(home, "music", "lancedb")  # but there is a way back from what is not here any more
    at = launch(PAGE)
    assert radio_of(at)[0].options == ["FAISS", "LanceDB"] and radio_of(at)[0].value == "lancedb"


def test_an_engine_is_chosen_once_it_has_answered(launch, library, home, lance):
    at = launch(PAGE)
    radio = radio_of(at)[0]
    assert radio.value == FAISS and "LanceDB" in radio.options
    assert any("several times as long" in caption for caption in radio.proto.captions)
    radio.set_value("lancedb").run()
    assert engine_of(home, "music") == FAISS  # looking at it chooses nothing
    button_of(at, "Choose it").click().run()
    assert not at.exception and engine_of(home, "music") == "lancedb"
    said = words(at).replace("\\", "")
    assert "LanceDB of a test: 4 rows" in said and "100.0% of the ten nearest found" in said and "ms a lookup" in said
    radio_of(at)[0].set_value(FAISS).run()
    button_of(at, "Choose it").click().run()
    assert engine_of(home, "music") == FAISS and "in this process" in words(at)


def test_what_does_not_answer_is_said_and_not_chosen(launch, library, home, lance, monkeypatch):
    at = launch(PAGE)
    monkeypatch.setattr(lance, "failure", EngineError("The server is on holiday.", "Wait for it."))
    radio_of(at)[0].set_value("lancedb").run()
    button_of(at, "Choose it").click().run()
    assert not at.exception and engine_of(home, "music") == FAISS
    assert "The server is on holiday." in words(at) and "Wait for it." in words(at)
