"""The scripts of our components: each comes from here, by the address that the others import it by."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pages.shared.map.points.modules import MODULES as MAP
from pages.shared.widgets.modules import module_routes
from pages.shared.widgets.player.modules import MODULES as PLAYER

BESIDE = re.compile(r'^import .* from "\./([\w.]+)";$', re.MULTILINE)
SCRIPTS = {
    "player.js": {"player.js", "player_audio.js", "rows.js", "selection.js", "time.js", "view.js", "waveform.js"},
    "map.js": {"map.js", "camera.js", "density.js", "grid.js", "listening.js", "looks.js", "pack.js", "painter.js",
               "picture.js", "shapes.js"},
}  # fmt: skip


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=module_routes(PLAYER, MAP)))


@pytest.mark.parametrize("modules", [PLAYER, MAP], ids=lambda each: each.first)
def test_every_script_that_is_imported_is_served(client, modules):
    """From the one that the component asks for to all it stands on; none of them knows of a test, or writes code."""
    assert f"/modules/{modules.digest}/{modules.first}" in modules.script
    left, seen = [modules.first], set()
    while left:
        name = left.pop()
        answer = client.get(f"/modules/{modules.digest}/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"] and "__mess" not in answer.text
        assert not re.search(r"\b(eval|Function)\(|https?://(?!www\.w3\.org/2000/svg)", answer.text)
        seen.add(name)
        left += set(BESIDE.findall(answer.text)) - seen
    assert seen == SCRIPTS[modules.first] == set(modules.texts)


@pytest.mark.parametrize(
    "path", ["0123456789abcdef/player.js", f"{PLAYER.digest}/player.py", f"{PLAYER.digest}/..%2Fplayer.py",
             f"{PLAYER.digest}/map.js"]
)  # fmt: skip
def test_nothing_else_is(client, path):
    assert client.get(f"/modules/{path}").status_code == 404
