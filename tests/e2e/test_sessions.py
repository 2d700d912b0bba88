"""Many people at once, over Streamlit's own protocol: everybody gets the tables that a single person would get."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.sessions import Session, opened
from mess_core.workspace.workspace import Workspace
from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.e2e

N_SESSIONS = 12
WEIGHTS = (0.2, 0.9)


@pytest.fixture(scope="module")
def server(serve, bright_library: Path, tmp_path_factory):
    home = Path(shutil.copytree(bright_library, tmp_path_factory.mktemp("many") / "home"))
    return serve(ROOT / "app.py", home=home)


async def ask_together_and_alone(url: str, track_ids: list[str]) -> None:
    sessions: list[Session] = []
    for track_id in track_ids:
        session = await opened(url, "Listen", f"library=music&encoder=mel&query={track_id}")
        await session.ask()
        sessions.append(session)
    together = {}
    for weight in WEIGHTS:
        await asyncio.gather(*(session.ask(weight) for session in sessions))
        together[weight] = [session.tables for session in sessions]
    for number, session in enumerate(sessions):
        for weight in WEIGHTS:
            await session.ask(weight)
            assert session.tables == together[weight][number], f"session {number} at {weight}"
        await session.socket.close()
    first_tables = [tables[0] for tables in together[WEIGHTS[0]]]
    assert len(set(first_tables)) == N_SESSIONS  # each asked for another recording and has another list


def test_everybody_gets_the_answer_of_one(server) -> None:
    track_ids = Workspace(server.home).catalogue.track_ids("music")[:N_SESSIONS]
    assert len(track_ids) == N_SESSIONS
    with ThreadPoolExecutor(1) as pool:  # the browser of other tests has a loop in this thread
        pool.submit(asyncio.run, ask_together_and_alone(server.url, track_ids)).result()
