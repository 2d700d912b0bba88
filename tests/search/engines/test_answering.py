"""An index that asks an engine gives the answers of one that asks FAISS, also where the engine falls silent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mess_core.embeddings.store import EmbeddingSet
from mess_core.errors import EngineError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.engines import answering
from mess_core.search.engines.flat import FaissEngine
from mess_core.search.geometry import DirectionGeometry, LayerGeometry
from mess_core.search.neighbours import FIRST_PORTION, NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.selection import Facts
from tests.conftest import FakeEncoder
from tests.search.engines.conftest import ENGINES, KEY

N, L, D = 400, 3, 8
INFO = FakeEncoder(n_layers=L, dim=D).info
IDS = tuple(f"t{row:04d}" for row in range(N))
COMPOSERS = ("Chopin", "x' OR '1'='1", "Dvořák", None)
QUESTIONS = [
    Question(), Question(k=N), Question(aspects={"brightness": 1}), Question(aspects={"brightness": 0.3, "tempo": 0.7}),
    Question(composers=("Chopin",)), Question(composers=(COMPOSERS[1], "Dvořák"), k=150, aspects={"tempo": 1}),
    Question(composers=("nobody",)), Question(composers=("Chopin",), hubs="on", k=30), Question(hubs="on"),
    Question(like=(IDS[3],), unlike=(IDS[9],)), Question(reverse=True, k=40), Question(diversity=0.4),
    Question(where=(("era", "late"),)), Question(max_per_work=1, k=20),
]  # fmt: skip


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    vectors = (10 + np.random.default_rng(0).standard_normal((N, L, D))).astype(np.float32)
    vectors[10] = vectors[4]
    return vectors


def index_of(vectors, kind, **facts) -> NeighbourIndex:
    evidence = {
        aspect: AspectEvidence((0, n), (target,), "high", (target,))
        for n, (aspect, target) in enumerate({"brightness": "a", "tempo": "b"}.items())
    }
    weights = np.zeros((2, L, D), np.float32)
    weights[range(2), 0, range(2)] = 1
    directions = Directions(("a", "b"), ((0,), (0,)), weights, np.zeros((2, L), np.float32))
    return NeighbourIndex(EmbeddingSet(INFO, IDS, vectors, "x"), kind.fit(vectors, evidence, directions), **facts)


def facts_of(track_ids) -> dict[str, Facts]:
    rows = {track_id: int(track_id[1:]) for track_id in track_ids}
    return {
        track_id: Facts(
            composer=COMPOSERS[row % 4], work=f"w{row % 50}", details={"era": "late" if row % 3 else "early"}
        )
        for track_id, row in rows.items()
    }


METADATA = [{"composer": name} if (name := COMPOSERS[row % 4]) else {} for row in range(N)]


@pytest.mark.parametrize("opened", ENGINES, indirect=True)
@pytest.mark.parametrize("kind", [LayerGeometry, DirectionGeometry])
def test_every_question_has_the_same_answer(opened, vectors, kind) -> None:
    """Rank by rank, figure by figure; asked of the engine, not of what lies beside it."""
    plain = index_of(vectors, kind)
    index = index_of(vectors, kind, open_engine=lambda widths: opened(widths, ["composer"]), metadata=METADATA)
    for question in QUESTIONS:
        for row in (4, 77):
            asked = [
                each.search(vectors[row], question, exclude=[IDS[row]], facts_of=facts_of) for each in (plain, index)
            ]
            assert asked[0] == asked[1], question
    assert index.answered_by.problem == "" and index.rows.n_put == N
    assert index.answered_by.engine == index.rows._opened().title
    index.rows.close()


@pytest.mark.parametrize("opened", ENGINES, indirect=True)
def test_sessions_that_ask_at_once_get_their_own_answers(opened, vectors) -> None:
    """They share one index, as pages do, and so one engine; it is opened once."""
    plain = index_of(vectors, LayerGeometry)
    index = index_of(vectors, LayerGeometry, open_engine=lambda widths: opened(widths, ["composer"]), metadata=METADATA)
    asked = [(row, question) for row in range(0, 40, 4) for question in QUESTIONS[:6]]

    def ask(each):
        return index.search(vectors[each[0]], each[1], facts_of=facts_of)

    with ThreadPoolExecutor(8) as sessions:
        found = list(sessions.map(ask, asked))
    assert found == [plain.search(vectors[row], question, facts_of=facts_of) for row, question in asked]
    assert index.answered_by.problem == ""
    index.rows.close()


def test_a_filter_reaches_the_engine(vectors, monkeypatch) -> None:
    """So that a rare one needs one portion, not all rows; what it cannot filter by is filtered here."""
    asked = []
    nearest = FaissEngine.nearest

    def listening(self, vector, k, wanted):
        asked.append((k, dict(wanted)))
        return nearest(self, vector, k, wanted)

    monkeypatch.setattr(FaissEngine, "nearest", listening)
    index = index_of(
        vectors, LayerGeometry, open_engine=lambda widths: FaissEngine(KEY, widths, ["composer"]), metadata=METADATA
    )
    index.search(vectors[4], Question(composers=("Dvořák",), where=(("era", "late"),)), facts_of=facts_of)
    assert asked[0] == (FIRST_PORTION + 8, {"composer": ["Dvořák"]})


class Unreliable(FaissEngine):
    """Falls silent when it is told to."""

    is_silent = False

    def nearest(self, vector, k, wanted):
        if self.is_silent:
            raise EngineError("The database does not answer.", "Start it.")
        return super().nearest(vector, k, wanted)


def test_where_the_engine_falls_silent_faiss_answers_and_says_so(vectors, monkeypatch) -> None:
    """Amid the questions; it is asked again after a while, and not before."""
    opened: list[Unreliable] = []

    def open_engine(widths) -> Unreliable:
        opened.append(Unreliable(KEY, widths, ["composer"]))
        return opened[-1]

    index, plain = (
        index_of(vectors, LayerGeometry, open_engine=open_engine, metadata=METADATA),
        index_of(vectors, LayerGeometry),
    )
    for n, question in enumerate(QUESTIONS):
        if n == 2:
            opened[0].is_silent = True
        assert index.search(vectors[4], question, facts_of=facts_of) == plain.search(
            vectors[4], question, facts_of=facts_of
        )
    said = index.answered_by
    assert said.problem == "The database does not answer. FAISS answers in its place. Start it."
    assert said.engine == "FAISS" and said.median_s > 0 and said.words.startswith(said.problem)
    assert len(opened) == 1
    monkeypatch.setattr(answering.time, "monotonic", lambda: 1e12)
    index.search(vectors[4])
    assert len(opened) == 2 and index.answered_by.problem == ""


def test_an_engine_that_cannot_be_opened_is_a_sentence(vectors) -> None:
    """And no question waits for it twice."""
    n_tries = []

    def refuse(widths):
        n_tries.append(1)
        raise EngineError("No server is named.", "Name one.")

    index = index_of(vectors, LayerGeometry, open_engine=refuse)
    assert index.search(vectors[4]) == index_of(vectors, LayerGeometry).search(vectors[4])
    index.search(vectors[5])
    assert index.answered_by.problem.startswith("No server is named. FAISS") and len(n_tries) == 1


def test_rows_of_others_are_taken_out_and_what_is_gone_is_put_again(vectors) -> None:
    """As where somebody else wrote into the collection: FAISS answers, then it is put right."""
    engine = FaissEngine(KEY, [L * D + L])
    index, plain = index_of(vectors, LayerGeometry, open_engine=lambda widths: engine), index_of(vectors, LayerGeometry)
    index.rows.ask()
    engine.put(["stranger"], [index.rows.rows(np.array([4]))])
    assert index.search(vectors[4]) == plain.search(vectors[4])
    assert "Rows of another library" in index.answered_by.problem
    index.rows._not_before = 0.0
    assert index.search(vectors[4]) == plain.search(vectors[4])
    assert index.answered_by.problem == "" and len(engine) == N
    engine.delete(IDS[:390])
    assert index.search(vectors[4]) == plain.search(vectors[4])
    assert "are gone from it" in index.answered_by.problem
    index.rows._not_before = 0.0
    assert index.search(vectors[4]) == plain.search(vectors[4])
    assert index.answered_by.problem == "" and len(engine) == N
