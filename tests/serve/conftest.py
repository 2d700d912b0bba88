"""A data folder with a known answer, and services of it in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.serve.service import Service
from mess_core.serve.settings import ServiceSettings
from mess_core.workspace.workspace import Workspace
from tests.planted import discover, plant_heard_library, plant_tags
from tests.recommend.worlds import liked, plant_events

HERE = "http://127.0.0.1"


def _plant(folder: Path) -> None:
    home = Workspace(folder / "home")
    ids = plant_heard_library(home, MEL)
    discover(home, MEL)
    plant_tags(home, {ids[0]: {"mtt:violin": 0.8}, ids[1]: {"mtt:slow": 0.7}, ids[2]: {"msd:jazz": 0.9}})
    plant_events(home, *liked(ids[:5], 70), *liked(ids[9:12], 70.5), listener="Ann", now_s=1.75e9)
    home.close()


@pytest.fixture
def served_home(made_once, tmp_path) -> Workspace:
    """Forty tracks heard by `mel`, brightness and tempo discovered; three have tags; Ann likes eight of them."""
    shutil.copytree(made_once("served", _plant) / "home", tmp_path / "home", dirs_exist_ok=True)
    return Workspace(tmp_path / "home")


@pytest.fixture
def ids(served_home) -> list[str]:
    return served_home.catalogue.track_ids("planted")


@pytest.fixture
def start(served_home) -> Iterator[Callable[..., TestClient]]:
    """`start(most_bytes=10)` is a client of a service with these settings."""
    clients: list[TestClient] = []

    def start(address: str = HERE, **settings: Any) -> TestClient:
        service = Service(served_home.paths.root, ServiceSettings(**settings))
        client = TestClient(service.app, base_url=address, raise_server_exceptions=False)
        client.service = service
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start) -> TestClient:
    return start()


@pytest.fixture
def said(served_home, capsys) -> Callable[..., dict[str, Any]]:
    """What the command line prints with `--json`."""

    def said(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["--home", str(served_home.paths.root), *map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return said
