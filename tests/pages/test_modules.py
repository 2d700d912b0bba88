"""The scripts of the player: each comes from here, by the address that the others import it by."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pages.shared.widgets.player.modules import DIGEST, MODULE_ROUTES, SCRIPT

BESIDE = re.compile(r'^import .* from "\./([\w.]+)";$', re.MULTILINE)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=MODULE_ROUTES))


def test_every_script_that_is_imported_is_served(client):
    """From the one that the component asks for to all it stands on; none of them knows of a test."""
    assert f"/modules/{DIGEST}/player.js" in SCRIPT
    left, seen = ["player.js"], set()
    while left:
        name = left.pop()
        answer = client.get(f"/modules/{DIGEST}/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"] and "__mess" not in answer.text
        seen.add(name)
        left += set(BESIDE.findall(answer.text)) - seen
    assert seen == {"player.js", "player_audio.js", "rows.js", "selection.js", "time.js", "view.js", "waveform.js"}


@pytest.mark.parametrize("path", ["0123456789abcdef/player.js", f"{DIGEST}/player.py", f"{DIGEST}/..%2Fplayer.py"])
def test_nothing_else_is(client, path):
    assert client.get(f"/modules/{path}").status_code == 404
