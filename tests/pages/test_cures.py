"""Cures in the app name a button wherever there is one; the command line goes on naming the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages.shared.app.cures import BUTTONS, COMMAND, cure

CORE = Path(__file__).parents[2] / "mess_core"
NO_BUTTON = {
    "check",
    "doctor",
    "import",
    "judgements",
    "learn",
    "runs",
    "serve",
    "tags",
}  # what only the command line does


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("python -m mess_core probe --encoder nano", "Run discovery on the Layers page"),
        ("Probe again: python -m mess_core probe", "Probe again: run discovery on the Layers page"),
        ("Measure again: python -m mess_core evaluate faithfulness",
         "Measure again: press “Measure” on the Layers page"),
        ("python -m mess_core targets --library my own music",
         "Run discovery on the Layers page, which measures first"),
        ("python -m mess_core probe --encoder clap-2.0, after adding at least 30 recordings of 10 works.",
         "Run discovery on the Layers page, after adding at least 30 recordings of 10 works."),
        ("Embed the library (python -m mess_core extract --encoder mel), or probe whole tracks.",
         "Embed the library (embed it on the Library page), or probe whole tracks."),
        ("Render it: python -m mess_core add --render",
         "Render it: add its folder on the Library page, with “Play what has only MIDI” ticked"),
        ("Run: python -m mess_core check --repair, then extract again.",
         "Run: python -m mess_core check --repair, then extract again."),
        ("python -m mess_core extract --encoder hearing:same-sound",
         "Press “Listen for sound and style, too” on the Listen page"),
        ("Bring it: python -m mess_core events import FILE",
         "Bring it: bring it in under “What you have heard” on the For You page"),
        ("Mount the disk.", "Mount the disk."),
        ("", ""),
    ],
)  # fmt: skip
def test_a_command_becomes_its_button(hint, said):
    assert cure(hint) == said


def test_every_command_that_a_cure_names_has_a_button_or_none():
    """A new cure in the core is known here, or a test says so."""
    named = {
        found[1] for path in CORE.rglob("*.py") if "cli" not in path.parts
        for found in COMMAND.finditer(path.read_text("utf-8"))
    }  # fmt: skip
    assert {"probe", "extract", "check"} <= named
    assert named - NO_BUTTON <= {name.split()[0] for name in BUTTONS}
