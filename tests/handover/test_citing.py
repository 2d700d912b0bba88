"""Citing: entries come from the registries, each once, and untrusted names are text."""

from __future__ import annotations

import re
from dataclasses import replace

from mess_core.cli.main import main
from mess_core.collections.published import COLLECTIONS
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import OWN, encoder_info
from mess_core.handover.citing import OF_COLLECTIONS, as_bibtex, of_encoder, references
from mess_core.workspace.scope import Scope
from tests.planted import a_track, plant_tracks


def keys(text: str) -> list[str]:
    return re.findall(r"^@\w+\{([^,]+),$", text, flags=re.MULTILINE)


def test_every_encoder_and_data_set_can_be_cited(home):
    """What is of others has a paper or an address; what is MESS's own is cited with it."""
    for info in (entry.info for entry in OWN):
        found = of_encoder(info)
        is_ours = info.source.startswith("mess_core/") and not info.id.startswith("musicnn")
        assert bool(found) != is_ours, info.id
        assert is_ours or len(found) > 1, f"{info.id} has no paper"
    assert set(OF_COLLECTIONS) == {each.id for each in COLLECTIONS.values() if each.homepage}


def test_a_library_cites_its_data_sets_once(home):
    plant_tracks(home, [a_track(n, collection="maestro" if n else None) for n in range(3)])
    scope = Scope(home, "planted", encoder_info("mert-95m", home.paths))
    found = as_bibtex(references(scope))
    assert keys(found) == ["mess", "li2024mert", "encoder-mert-95m", "hawthorne2019maestro"]
    assert found.count("{") == found.count("}") and scope.info.revision in found
    assert keys(as_bibtex(references(Scope(home, "planted", NANO)))) == ["mess", "hawthorne2019maestro"]
    assert of_encoder(MEL) == []


def test_names_are_text(home):
    strange = replace(NANO, id="imported:a_b", title="50 % \\input{x}", source="imported")
    text = as_bibtex(of_encoder(strange))
    assert r"50 \% \textbackslash{}input\{x\}" in text and keys(text) == ["encoder-imported-a-b"]


def test_the_verb(home, capsys):
    plant_tracks(home, [a_track(0)])
    assert main(["--home", str(home.paths.root), "cite", "--library", "planted"]) == 0
    assert keys(capsys.readouterr().out) == ["mess"]
