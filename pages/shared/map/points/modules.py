"""The scripts of the map."""

from __future__ import annotations

from pathlib import Path

from pages.shared.widgets.modules import Modules

MODULES = Modules.of(Path(__file__).parent, "map.js")
