"""Replication: established is what holds in both of two libraries of other works, and in nothing less."""

from dataclasses import replace

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import InputError
from mess_core.probing.discovery import Discovery, save
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.replication import replicate
from mess_core.probing.result import ProbeSettings
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, plant_library, plant_targets

pytestmark = pytest.mark.slow

QUICK = ProbeSettings(alphas=(1.0, 10.0), n_repeats=2, n_bootstraps=200, n_permutations=199)


@pytest.fixture
def two(home) -> tuple[Discovery, Discovery]:
    """Two libraries of forty tracks of other works; in both, layer 1 tells the spectral centroid."""
    ids = plant_library(home, TWO_LAYERS, n=80)
    works = {track.track_id: track.work for track in home.catalogue.tracks("planted")}
    first = [track_id for track_id in ids if int(works[track_id].split()[-1]) % 2]
    home.catalogue.add_to_library("one", first)
    home.catalogue.add_to_library("two", [track_id for track_id in ids if track_id not in first])
    return tuple(probed(home, name) for name in ("one", "two"))


def probed(home, name: str) -> Discovery:
    gathered = Scope(home, name, TWO_LAYERS).gather("work", "track")
    data = replace(gathered.data, missing=())  # a planted encoder has no controls
    result = add_null(fit_cells(data, QUICK), data)
    return save(home.paths, TWO_LAYERS, gathered, result, name, "work")


def test_what_holds_in_both_is_established(two):
    found = replicate(*two, {}, {})
    assert ("spectral_centroid", 1) in found.established and found.library == "two"
    assert "spectral_centroid in layer 1" in found.sentences()[0] and "on two, too" in found.sentences()[0]


def test_what_holds_in_one_only_is_not(home, two):
    """The second library's values exchanged: nothing is told there any more."""
    ids = home.catalogue.track_ids("two")
    values = home.measurements.values(ids, "spectral_centroid")
    plant_targets(home, ids, {"spectral_centroid": np.random.default_rng(0).permutation(values)})
    found = replicate(two[0], probed(home, "two"), {}, {})
    assert ("spectral_centroid", 1) in found.not_replicated and ("spectral_centroid", 1) not in found.established


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda other: replace(other, fingerprint="0" * 64), "not of one encoder"),
        (lambda other: replace(other, level="segment"), "not of one encoder and level"),
        (lambda other: replace(other, result=replace(other.result, has_null=False)), "not finished"),
        (lambda other: replace(other, result=replace(other.result, missing_baselines=("MFCC",))), "MFCC"),
    ],
)
def test_what_cannot_be_compared_is_refused(two, change, message):
    with pytest.raises(InputError, match=message):
        replicate(two[0], change(two[1]), {}, {})


def test_the_same_music_establishes_nothing(two):
    with pytest.raises(InputError, match="share 40 recordings"):
        replicate(two[0], replace(two[0], library="again"), {}, {})
    with pytest.raises(InputError, match="share 1 work, expected other works"):
        replicate(*two, {"a": "Chopin: Nocturne"}, {"b": "Chopin: Nocturne"})


def test_on_the_command_line(home, capsys):
    """The second library is probed where it was not yet; what it says stands below the table."""
    ids = plant_library(home, MEL, MFCC, CHROMA, n=80)
    works = {track.track_id: track.work for track in home.catalogue.tracks("planted")}
    first = [track_id for track_id in ids if int(works[track_id].split()[-1]) % 2]
    home.catalogue.add_to_library("one", first)
    home.catalogue.add_to_library("two", [track_id for track_id in ids if track_id not in first])
    arguments = ["probe", "--library", "one", "--encoder", "mel", "--alpha", "10", "--permutations", "199"]
    assert main(["--home", str(home.paths.root), *arguments, "--replicate-on", "two"]) == 0
    assert "two" in capsys.readouterr().out.splitlines()[-1]
