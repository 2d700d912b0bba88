"""Fifty people at once, each with another question: everybody gets the answer a single one would get."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mess_core.encoders.mel import MEL
from mess_core.handover.exports import as_document
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.upkeep.check import check
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

N_SESSIONS = 50
REQUESTS = (
    Question(k=5),
    Question(aspects={"brightness": 1.0}, k=5),
    Question(aspects={"brightness": 0.3, "texture": 0.7}, k=3),
    Question(geometry="layer", k=11),
    Question(avoid=("brightness",), k=4),
)


def asked(home: Workspace, track_id: str, request: Question) -> dict:
    scope = Scope(home, "music", MEL)
    plan = make_plan(scope, request, scope.discovery_for_search())
    found = answer(build_index(plan), plan, query_of(scope, home.catalogue.track(track_id)))
    return as_document(found)


def test_fifty_sessions_get_the_answers_of_one(bright_library: Path, tmp_path: Path) -> None:
    """Over one open data folder, beginning with an empty cache, while others judge and libraries change."""
    root = Path(shutil.copytree(bright_library, tmp_path / "home"))
    alone = Workspace(root)
    ids = alone.catalogue.track_ids("music")
    questions = [(ids[number % len(ids)], REQUESTS[number % len(REQUESTS)]) for number in range(N_SESSIONS)]
    expected = [asked(alone, *question) for question in questions]
    assert len({str(document["results"]) for document in expected}) > 40
    shutil.rmtree(alone.paths.cache, ignore_errors=True)
    shared, start = Workspace(root), threading.Barrier(N_SESSIONS)

    def session(number: int) -> list[dict]:
        start.wait(60)
        mine = []
        for turn in range(3):
            question = (number + 7 * turn) % N_SESSIONS
            mine.append((question, asked(shared, *questions[question])))
            shared.opinions.judge(ids[turn], "like", listener=f"listener {number}")
            shared.catalogue.add_to_library(f"library of {number}", ids[: turn + 1])
        shared.database.close()
        return mine

    with ThreadPoolExecutor(N_SESSIONS) as pool:
        for answers in pool.map(session, range(N_SESSIONS)):
            for question, document in answers:
                assert document == expected[question]
    for number in range(N_SESSIONS):
        assert alone.catalogue.track_ids(f"library of {number}") == ids[:3]
        assert [row["track_id"] for row in alone.opinions.export(f"listener {number}")] == ids[:3]
    assert check(alone) == []
