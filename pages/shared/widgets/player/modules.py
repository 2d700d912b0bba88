"""The scripts of the player."""

from __future__ import annotations

from pathlib import Path

from pages.shared.widgets.modules import Modules

# The sound is a plain script, which runs by itself as well; as a module it exports what the others take of it.
EXPORTS = {"player_audio.js": "\nexport { Engine, toFrames, toSeconds };\n"}
MODULES = Modules.of(Path(__file__).parent, "player.js", EXPORTS)
