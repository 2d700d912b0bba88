"""Discovery: what was planted is found, what rests on too little says so, and a result comes back as it was kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.catalogue.catalogue import Track
from mess_core.cli.main import main
from mess_core.collections.opening import read_track
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.mel import MEL, MFCC
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import RANDOM, encoder_info
from mess_core.errors import ArtefactMismatchError, DataMissingError
from mess_core.probing.aspects import ASPECTS
from mess_core.probing.directions import fit_directions
from mess_core.probing.discovery import (
    DENSITY,
    GROUPS,
    KEPT,
    NEED_A_SCORE,
    NUISANCES,
    Discovery,
    Gathered,
    gather,
    groups_of,
    kept_paths,
    load,
    load_directions,
    load_predictions,
    path_of,
    place_of,
    save,
)
from mess_core.probing.predictions import without_predictions
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.storage.beside import beside
from mess_core.storage.files import read_sealed, seal, unseal, write_sealed
from mess_core.storage.jobs import new_owner
from mess_core.targets.base import Target, TargetValue
from mess_core.targets.measurements import Measured, probed_targets
from mess_core.targets.registry import TARGETS
from mess_core.work import targets as work_of_targets
from mess_core.work.doing import do
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.work.task import Task
from mess_core.workspace import scope as scope_module
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import (
    MANY,
    TWO_LAYERS,
    a_track,
    layered,
    plant_embeddings,
    plant_library,
    plant_targets,
    plant_tracks,
    strict,
    told,
    work_here,
)

pytestmark = pytest.mark.slow

QUICK = ProbeSettings(n_repeats=2, n_bootstraps=200, n_permutations=199)
# What `design.md` §7 promises to other programs, and what was added since.
DOCUMENT = {"encoder", "library", "group", "n_tracks", "n_groups", "cells", "aspects"}
DOCUMENT |= {"fingerprint", "level", "has_null", "missing_baselines", "targets", "provenance", "run"}
CELL = {"layer", "target", "level", "r2", "r2_low", "r2_high", "r2_within", "p_adj", "baseline", "baseline_name"}
CELL |= {"gain", "gain_low", "gain_high", "alpha", "n", "label", "encodes"}


def gathered_of(
    home: Workspace, info: EncoderInfo = TWO_LAYERS, controls=None, group="work", level="track"
) -> Gathered:
    return gather(home.catalogue, home.store, home.measurements, "planted", info, controls or {}, group, level)


@pytest.fixture
def found(home) -> tuple[Workspace, Gathered, Discovery]:
    """A planted library, probed and kept."""
    plant_library(home, TWO_LAYERS)
    gathered = gathered_of(home)
    result = add_null(fit_cells(gathered.data, QUICK), gathered.data)
    return home, gathered, save(home.paths, TWO_LAYERS, gathered, result, "planted", "work")


# --- groups -------------------------------------------------------------------------------------------------


def together(tracks: list[Track], group: str) -> set[frozenset[str]]:
    """Which titles are in one group."""
    groups = groups_of(tracks, group)
    return {frozenset(t.title for t, g in zip(tracks, groups, strict=True) if g == name) for name in groups}


def test_groups_by_hand():
    """Each grouping joins what it names and nothing else; what is not known is shared with nobody."""
    tracks = [
        a_track(0, work="Sonata", composer="A", performer="P", session="1"),
        a_track(1, work="Sonata", composer="A", performer="Q"),
        a_track(2, work="Sonata", composer="B", performer="P", session="2"),
        a_track(3, performer="Q"),
        a_track(4),
        a_track(5),
    ]
    alone = [{"t4"}, {"t5"}]
    expected = {
        "recording": [{"t0"}, {"t1"}, {"t2"}, {"t3"}, *alone],
        "work": [{"t0", "t1"}, {"t2"}, {"t3"}, *alone],  # "Sonata" of another composer is another work
        "performer": [{"t0", "t2"}, {"t1", "t3"}, *alone],
        "session": [{"t0"}, {"t2"}, {"t1", "t3"}, *alone],  # no session is known of Q: all of Q is one
    }
    assert set(expected) == set(GROUPS)
    for group, sets in expected.items():
        assert together(tracks, group) == set(map(frozenset, sets))


def test_one_work_is_never_on_both_sides(found):
    """Two performances of a work are always held out together, in every fold of every target."""
    home, gathered, discovery = found
    work_of = {track.track_id: track.work for track in home.catalogue.tracks("planted")}
    for summary in discovery.result.targets:
        sides: dict[str, set[int]] = {}
        for track_id, fold in zip(gathered.row_ids, summary.folds, strict=True):
            sides.setdefault(work_of[track_id], set()).add(int(fold))
        assert len(sides) == MANY // 2 and all(len(folds) == 1 for folds in sides.values())


def test_groups_do_not_depend_on_the_order():
    """The same tracks in another order are in the same groups, named alike."""
    tracks = [a_track(i, work=f"w{i % 3}" if i % 4 else None, performer=f"p{i % 5}") for i in range(20)]
    for group in GROUPS:
        there = dict(zip([t.track_id for t in tracks], groups_of(tracks, group), strict=True))
        back = dict(zip([t.track_id for t in tracks[::-1]], groups_of(tracks[::-1], group), strict=True))
        assert there == back


# --- gathering ----------------------------------------------------------------------------------------------


def test_rows_of_everything_are_the_same_track(home):
    """Vectors, targets, groups and nuisances of row i belong to track i, though written in another order."""
    ids = plant_library(home, TWO_LAYERS)
    data = gathered_of(home).data
    np.testing.assert_allclose(data.vectors[:, 1, 0], told(ids), rtol=1e-6)
    np.testing.assert_allclose(data.targets["spectral_centroid"], np.log2(1000) + told(ids))
    assert data.groups == list(groups_of(home.catalogue.tracks("planted"), "work"))
    nuisances = [home.measurements.values(ids, target) for target in (*NUISANCES["track"], DENSITY)]
    np.testing.assert_array_equal(data.baselines["nuisances"], np.stack(nuisances, axis=1))
    composers = [track.composer for track in home.catalogue.tracks("planted")]
    assert [composers[row] for row in np.flatnonzero(data.identities["composer"][:, 2])] == ["composer 2"] * 10


def test_segments_are_rows_of_their_track(home):
    """At segment level a row is a segment, with its track's group and its own number."""
    ids = plant_library(home, TWO_LAYERS, n=10)
    gathered = gathered_of(home, level="segment")
    assert gathered.row_ids == tuple(f"{track_id}:{number}" for track_id in ids for number in (0, 1))
    assert gathered.data.level == "segment" and gathered.n_tracks == 10
    np.testing.assert_allclose(gathered.data.vectors[:, 1, 0], np.repeat(told(ids), 2), atol=0.1)
    np.testing.assert_allclose(gathered.data.targets["spectral_centroid"], np.log2(1000) + np.repeat(told(ids), 2))
    assert list(gathered.data.targets) == probed_targets("segment") and "tempo" not in gathered.data.targets


GRID_S = 2.5 * np.arange(7)  # where segments of 5 s, one every 2.5 s, begin in 20 s


def plant_moments(home: Workspace, info: EncoderInfo, *, n_measured: int = len(GRID_S)) -> list[str]:
    """Tracks of 20 s; the brightness of each measured segment is its own, and log-mel says its number."""
    ids = plant_tracks(home, [replace(a_track(i, work=f"work {i}"), duration_s=20.0) for i in range(10)])
    rng = np.random.default_rng(0)
    starts_s = np.arange(0.0, 20.0 - info.segment_s + 1e-6, info.hop_s)
    for track_id in ids:
        values = [
            {"spectral_centroid": TargetValue.good(2.0**octave, 50), "onset_density": TargetValue.good(1.0, 50)}
            for octave in rng.uniform(8, 12, n_measured)
        ]
        measured = Measured(track_id, {}, values)
        home.measurements.write(home.measurements.files(track_id), measured, lambda connection: None)
        for each, begins_s in ((info, starts_s), (MEL, GRID_S)):
            segments = np.ones((len(begins_s), each.n_layers, each.embedding_dim), np.float16)
            segments *= np.arange(len(begins_s))[:, None, None]
            mean, std = segments.mean(axis=0, dtype=np.float32), np.zeros((each.n_layers, each.dim), np.float32)
            home.store.write(track_id, each, TrackEmbedding(segments, begins_s.astype(np.float32), mean, std))
    return ids


@pytest.mark.parametrize(("segment_s", "hop_s"), [(5.0, 1.0), (3.0, 3.0), (3.0, 1.5), (10.0, 5.0), (5.0, 2.5)])
def test_segments_are_joined_by_time(home, segment_s, hop_s):
    """An encoder that cuts otherwise is given what was measured, and heard by a control, around the same middle."""
    info = replace(TWO_LAYERS, segment_s=segment_s, hop_s=hop_s)
    ids = plant_moments(home, info)
    data = gathered_of(home, info, {"log-mel": MEL}, level="segment").data
    starts_s = hop_s * data.vectors[:, 0, 0]  # the number of each row's segment is what its vector says
    far = np.abs((starts_s + segment_s / 2)[:, None] - (GRID_S + 2.5))
    nearest = far.argmin(axis=1)
    assert far.min(axis=1).max() <= 1.25 and (hop_s == 2.5) == (nearest == data.vectors[:, 0, 0]).all()
    np.testing.assert_array_equal(data.baselines["log-mel"][:, 0], nearest)
    expected = home.measurements.segment_values(
        list(zip(data.tracks, nearest.tolist(), strict=True)), "spectral_centroid"
    )
    np.testing.assert_allclose(data.targets["spectral_centroid"], np.log2(expected))
    assert np.isfinite(expected).all() and set(data.tracks) == set(ids)


def test_segments_whose_time_nobody_knows_are_not_joined(home):
    """Without an encoder that cuts as targets are measured it is said; where the numbers differ, nothing is taken."""
    info = replace(TWO_LAYERS, hop_s=1.0)
    plant_moments(home, info)
    with pytest.raises(
        DataMissingError, match=r"one every 1 s; targets were measured on segments of 5 s, one every 2\.5"
    ):
        gathered_of(home, info, level="segment")
    plant_moments(home, info, n_measured=6)
    data = gathered_of(home, info, {"log-mel": MEL}, level="segment").data
    assert np.isnan(data.targets["spectral_centroid"]).all() and np.isfinite(data.baselines["log-mel"]).all()


def test_tracks_without_an_embedding_are_left_out(home):
    """Only what is embedded is probed; none at all is an error that says what to do."""
    ids = plant_library(home)
    with pytest.raises(DataMissingError, match="No track of library 'planted' has an embedding") as caught:
        gathered_of(home)
    assert "extract --encoder fake" in caught.value.hint
    plant_embeddings(home, TWO_LAYERS, layered(ids[3:9], TWO_LAYERS))
    gathered = gathered_of(home)
    assert gathered.row_ids == tuple(ids[3:9]) and len(gathered.data.vectors) == 6 == gathered.n_tracks


def test_a_control_must_have_embedded_every_track(home):
    """A baseline on fewer tracks is no baseline: it is left out, and comes back when it is complete."""
    info = encoder_info(NANO.id, home.paths)
    ids = plant_library(home, MEL, n=8)
    plant_embeddings(home, info, layered(ids[:-1], info))
    plant_embeddings(home, MFCC, layered(ids[:-2], MFCC))
    plain = {"nuisances", "nuisances but density"}
    assert Scope(home, "planted", info).gather("work", "track").data.baselines.keys() == plain | {"log-mel"}
    plant_embeddings(home, MFCC, layered(ids[-2:], MFCC))  # more than are embedded: no harm
    twin = encoder_info(f"{RANDOM}{NANO.id}", home.paths)
    plant_embeddings(home, twin, layered(ids, twin))
    baselines = Scope(home, "planted", info).gather("work", "track").data.baselines
    assert baselines.keys() == plain | {"log-mel", "MFCC", "untrained"}
    assert baselines["log-mel"].shape == (7, MEL.embedding_dim)  # one layer: the same for all
    assert baselines["untrained"].shape == (7, info.n_layers, info.dim)  # layer by layer
    np.testing.assert_allclose(baselines["MFCC"], np.stack([layered(ids[:-2], MFCC)[i][0] for i in ids[:6]] + [
        layered(ids[-2:], MFCC)[ids[6]][0]]), rtol=1e-6)  # fmt: skip


def test_density_is_no_rival_for_itself(home):
    """Onset density is a nuisance for all other targets; its own baseline leaves it out."""
    plant_library(home, TWO_LAYERS)
    gathered = gathered_of(home)
    result = fit_cells(gathered.data, replace(QUICK, n_bootstraps=0))
    assert gathered.data.not_for == {DENSITY: ["nuisances"]}
    assert result.target(DENSITY).baselines["nuisances"][0] > 0.9  # it holds the answer
    for layer in range(2):
        cell = result.cell(layer, DENSITY)
        assert cell.baseline_name != "nuisances" and cell.baseline < 0.5


def test_only_trusted_values_of_what_needs_a_score(home):
    """Without a score rubato is an estimate that is not probed; where a score was, it is; other targets keep all."""
    ids = plant_library(home, TWO_LAYERS)
    with home.database.transaction() as connection:
        for track_id in ids[:15]:
            connection.execute("UPDATE targets SET quality = 'weak' WHERE track_id = ?", (track_id,))
    data = gathered_of(home).data
    for target in NEED_A_SCORE:
        np.testing.assert_array_equal(np.isfinite(data.targets[target]), np.arange(MANY) >= 15)
    assert np.isfinite(data.targets["spectral_centroid"]).all()


def test_tracks_without_a_work_are_counted(home):
    """The page says how many tracks stand for themselves."""
    tracks = [a_track(i, work="w" if i < 3 else None) for i in range(7)]
    ids = plant_tracks(home, tracks)
    plant_targets(home, ids, {})
    plant_embeddings(home, TWO_LAYERS, layered(ids, TWO_LAYERS))
    gathered = gathered_of(home)
    assert gathered.n_without_work == 4 and len(set(gathered.data.groups)) == 5
    assert gathered.data.identities == {}  # nobody knows a composer


# --- finding ------------------------------------------------------------------------------------------------


def test_the_planted_layer_is_found(found):
    """Layer 1 tells the planted target and encodes it; layer 0 does not; targets by chance are not encoded."""
    discovery = found[2]
    summary = discovery.result.target("spectral_centroid")
    assert summary.best_layer == 1 and summary.best_set == (1,)
    assert discovery.result.cell(1, "spectral_centroid").r2 > 0.95
    assert discovery.result.cell(1, "spectral_centroid").encodes
    assert discovery.result.cell(0, "spectral_centroid").r2 < 0.3
    assert {cell.target for cell in discovery.result.cells if cell.encodes} == {"spectral_centroid"}
    assert discovery.aspects["brightness"].layers == (1,) and discovery.aspects["brightness"].label == "high"
    assert discovery.aspects["brightness"].searched == ("spectral_centroid",)
    assert discovery.aspects["warmth"].searched == ("spectral_centroid",)  # bandwidth is chance
    assert discovery.aspects["tempo"].label == "none" and discovery.aspects["tempo"].searched == ("tempo",)


def test_the_document_is_strict_json_with_the_promised_keys(found):
    """`probe --json`: every promised key, undefined is null, no NaN."""
    document = json.loads(json.dumps(found[2].as_document(), allow_nan=False))
    assert document.keys() == DOCUMENT
    assert len(document["cells"]) == 2 * len(probed_targets("track"))
    assert all(cell.keys() >= CELL for cell in document["cells"])
    assert document["aspects"].keys() == ASPECTS.keys()
    for aspect in document["aspects"].values():
        assert aspect.keys() == {"layers", "targets", "label", "searched", "transfer"}
    assert (document["n_tracks"], document["n_groups"], document["level"]) == (MANY, MANY // 2, "track")


@pytest.mark.parametrize(("n", "reason"), [(1, "1 group"), (2, "1 group"), (8, "4 groups")])
def test_too_small_a_library_has_reasons_and_no_number(home, n, reason):
    """One track, one work, fewer works than folds: a statement for every target, and not a single figure."""
    plant_library(home, TWO_LAYERS, n=n)
    gathered = gathered_of(home)
    result = add_null(fit_cells(gathered.data, QUICK), gathered.data)
    discovery = save(home.paths, TWO_LAYERS, gathered, result, "planted", "work")
    for cell in discovery.as_document()["cells"]:
        assert reason in cell["reason"] and not cell["encodes"] and cell["label"] == "none"
        for figure in ("r2", "r2_low", "r2_high", "gain", "gain_low", "p", "p_adj", "baseline", "alpha", "mae"):
            assert cell[figure] is None
    assert {evidence.label for evidence in discovery.aspects.values()} == {"none"}
    assert load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK).as_document() == discovery.as_document()


def test_what_was_never_measured_says_so(home):
    """Embedded but not measured: undefined everywhere, no number."""
    ids = plant_tracks(home, [a_track(i) for i in range(12)])
    plant_embeddings(home, TWO_LAYERS, layered(ids, TWO_LAYERS))
    result = fit_cells(gathered_of(home).data, QUICK)
    condition = "undefined for every row: only what was measured with a score counts"
    for cell in result.cells:
        assert cell.reason == (condition if cell.target in NEED_A_SCORE else "undefined for every row")


# --- keeping ------------------------------------------------------------------------------------------------


def test_what_is_loaded_is_what_was_saved(found):
    """Nothing changes on the way through the files; what was said of single rows is read where it is wanted."""
    home, gathered, saved = found
    loaded = load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK)
    assert loaded.as_document() == saved.as_document()
    assert loaded.result.to_dict() == without_predictions(saved.result).to_dict() != saved.result.to_dict()
    whole = load_predictions(place_of(home.paths, TWO_LAYERS, loaded), loaded)
    assert whole.to_dict() == saved.result.to_dict()
    for name in Discovery.__dataclass_fields__:
        if name != "result":
            assert getattr(loaded, name) == getattr(saved, name), name
    assert loaded.row_ids == gathered.row_ids and loaded.content == gathered.content
    for kept, back in zip(saved.result.targets, whole.targets, strict=True):
        for name in ("values", "predicted", "folds"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(back, name))
            assert getattr(kept, name).dtype == getattr(back, name).dtype


def test_the_document_of_an_earlier_version_holds_its_predictions(found):
    """And is read as it was; nothing lies beside it but the directions."""
    home, _, saved = found
    path = place_of(home.paths, TWO_LAYERS, saved)
    document = read_sealed(path) | {"format": "mess-discovery-4", "result": saved.result.to_dict()}
    del document["predictions_sha256"]
    write_sealed(path, document)
    loaded = load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK)
    assert loaded.result.to_dict() == saved.result.to_dict()
    assert load_predictions(path, loaded) is loaded.result
    assert not list(KEPT.check(home.paths))


def test_each_question_has_its_own_place(home):
    """Library, encoder, grouping, level and settings are kept apart; what was not probed is None."""
    places = {
        path_of(home.paths, library, info, group, level, settings)
        for library in ("a", "A", "a-work", "a b", "a%20b", "ä")
        for info in (TWO_LAYERS, MEL)
        for group in GROUPS
        for level in ("track", "segment")
        for settings in (None, QUICK, replace(QUICK, seed=1))
    }
    assert len(places) == 6 * 2 * 4 * 2 * 3
    default = path_of(home.paths, "a", MEL, "work", "track", ProbeSettings())
    assert default == path_of(home.paths, "a", MEL, "work", "track")  # what the pages look for
    assert load(home.paths, "a", MEL, "work", "track") is None


@pytest.mark.parametrize(
    "library",
    ["../../x", "a/b", "/etc/passwd", "..", ".", "x" * 300, "ы" * 300, "C:\\x", "a\x00b", "line\nbreak", "∆ Chopin 🎹"],
    ids=lambda name: ascii(name)[1:13],
)
def test_a_hostile_name_stays_inside_the_data_folder(found, library):
    """A library's name is untrusted text: whatever it is, the file lies where it should, and comes back."""
    home, gathered, discovery = found
    path = path_of(home.paths, library, TWO_LAYERS, "work", "track", QUICK)
    folder = home.paths.root / "probing" / TWO_LAYERS.folder
    assert path.resolve().parent == folder.resolve() and len(path.name.encode()) <= 200
    save(home.paths, TWO_LAYERS, gathered, discovery.result, library, "work")
    assert load(home.paths, library, TWO_LAYERS, "work", "track", QUICK).library == library
    assert load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK).library == "planted"


def test_the_kept_runs_of_a_library_are_its_own(home):
    """A library whose name begins like another's does not show the other's runs; sweeps are all there."""
    libraries = ("a", "a-b", "a-work", "a-work-track", "A", "[a]", "*", "a" * 300, "a" * 300 + "b")
    places = {
        library: {
            path_of(home.paths, library, info, group, level, settings)
            for info in (TWO_LAYERS, MEL)
            for group, level in (("work", "track"), ("session", "segment"))
            for settings in (None, QUICK)
        }
        for library in libraries
    }
    for path in set().union(*places.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    for library in libraries:
        assert set(kept_paths(home.paths, library)) == places[library], library
    assert kept_paths(home.paths, "nosuch") == []


def test_long_names_that_begin_alike_are_kept_apart(home):
    """What is cut off still counts."""
    one, other = (path_of(home.paths, "x" * 200 + end, MEL, "work", "track") for end in "ab")
    assert one != other


def damaged(data: bytes) -> dict[str, bytes]:
    plain = unseal(data, "")

    def changed(**changes: object) -> bytes:
        return seal({**plain, **changes})

    without = {name: value for name, value in plain.items() if name != "row_ids"}
    return {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "null": b"null",
        "list": b"[]",
        "number": b"3",
        "not text": b"\xff\xfe\x00",
        "a key less": seal(without),
        "no seal": json.dumps(plain).encode(),
        "a key more": changed(unknown=1),
        "result is no object": changed(result=[]),
        "aspects are no object": changed(aspects=[]),
        "cells are no cells": changed(result={**plain["result"], "cells": [1]}),
        "format": changed(format="mess-discovery-1"),
        "probe format": changed(result={**plain["result"], "format": "mess-probe-0"}),
        "encoder": changed(fingerprint="0" * 64),
    }


def test_a_damaged_or_foreign_file_is_refused_with_the_cure(found):
    """Every way to be wrong is one error that says what to do, never a crash and never a guess."""
    home = found[0]
    path = path_of(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK)
    data = path.read_bytes()
    for how, wrong in damaged(data).items():
        path.write_bytes(wrong)
        with pytest.raises(ArtefactMismatchError) as caught:
            load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK)
        assert caught.value.hint.startswith("Probe again"), how
    path.write_text(json.dumps({**unseal(data, ""), "format": "mess-discovery-2"}))  # before there were seals
    assert load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK) is not None
    path.write_bytes(data)
    assert load(home.paths, "planted", TWO_LAYERS, "work", "track", QUICK) is not None


def arrays_of(home: Workspace, library: str = "planted") -> list[Path]:
    pattern = f"{library}-work-track*.safetensors"
    return sorted((home.paths.root / "probing" / TWO_LAYERS.folder).glob(pattern))


def test_the_directions_kept_are_those_that_are_fitted(found):
    """Read back they tell the same coordinates, and those are the planted numbers."""
    home, gathered, discovery = found
    fitted = fit_directions(gathered.data, discovery.result)
    kept = Scope(home, "planted", TWO_LAYERS).directions(discovery)
    assert kept.to_bytes() == fitted.to_bytes()
    assert hashlib.sha256(fitted.to_bytes()).hexdigest() == discovery.directions_sha256
    coordinates = kept.projection(["spectral_centroid"])(gathered.data.vectors)[:, 0]
    assert np.corrcoef(coordinates, told(gathered.row_ids))[0, 1] > 0.99


def test_older_arrays_go_once_the_newer_result_is_kept(found):
    """Two files per kept run: another result replaces them, the same keeps them, another library's are not touched."""
    home, gathered, discovery = found
    before, other_before = arrays_of(home)
    save(home.paths, TWO_LAYERS, gathered, discovery.result, "planted-work-track-1", "work")
    save(home.paths, TWO_LAYERS, gathered, discovery.result, "[p]lanted", "work")  # its name is no pattern
    save(home.paths, TWO_LAYERS, gathered, discovery.result, f"{before.stem}.x", "work")  # begins like the file
    save(home.paths, TWO_LAYERS, gathered, discovery.result, "planted", "work")
    assert before.is_file() and other_before.is_file()
    others = set(arrays_of(home, "*")) - {before, other_before}
    assert len(others) == 6
    data = replace(gathered.data, vectors=gathered.data.vectors[::-1].copy())
    newer = save(home.paths, TWO_LAYERS, replace(gathered, data=data), fit_cells(data, QUICK), "planted", "work")
    assert newer.directions_sha256 != discovery.directions_sha256
    assert not before.is_file() and not other_before.is_file()
    assert others < set(arrays_of(home, "*"))
    assert load_directions(home.paths, TWO_LAYERS, newer).targets == tuple(probed_targets("track"))


@pytest.mark.parametrize("which", ["directions", "predictions"])
def test_lost_or_damaged_arrays_are_named(found, which):
    """Gone, cut, or one bit of another: an error with the cure, never other numbers; `check` names them, too."""
    home, _, discovery = found
    document = place_of(home.paths, TWO_LAYERS, discovery)
    path = beside(document, getattr(discovery, f"{which}_sha256"))

    def read() -> None:
        if which == "directions":
            load_directions(home.paths, TWO_LAYERS, discovery)
        else:
            load_predictions(document, discovery)

    read()
    data = path.read_bytes()
    for wrong in (data[:-1], b"", data[:-1] + bytes([data[-1] ^ 1])):
        path.write_bytes(wrong)
        with pytest.raises(ArtefactMismatchError, match="damaged"):
            read()
        assert [problem.kind for problem in KEPT.check(home.paths)] == ["discovery"]
    path.unlink()
    with pytest.raises(ArtefactMismatchError, match="is gone") as caught:
        read()
    assert "Probe again" in caught.value.hint
    assert "is gone" in next(iter(KEPT.check(home.paths))).what


# --- which one searches go by -------------------------------------------------------------------------------


def keep_as(home: Workspace, library: str, n_tracks: int) -> None:
    """What was found in the planted library, kept with the usual settings as if found in another one."""
    gathered = gathered_of(home)
    result = replace(fit_cells(gathered.data, QUICK), settings=ProbeSettings())
    save(home.paths, TWO_LAYERS, replace(gathered, n_tracks=n_tracks), result, library, "work")


def test_a_library_goes_by_its_own_discovery_else_by_the_largest(home):
    """None; then another library's, the largest; then that of all; its own above all; one of another version never."""
    ids = plant_library(home, TWO_LAYERS, n=24)
    for library in ("small", "large", "none"):
        home.catalogue.add_to_library(library, ids[:3])

    def goes_by(library: str) -> str | None:
        discovery = Scope(home, library, TWO_LAYERS).discovery_for_search()
        return discovery.library if discovery else None

    assert goes_by("planted") is None and goes_by("all") is None
    keep_as(home, "small", 10)
    keep_as(home, "large", 20)
    assert (goes_by("none"), goes_by("small"), goes_by("large"), goes_by("all")) == ("large", "small", "large", "large")
    keep_as(home, "all", 30)  # what `probe` makes unless a library is named
    assert (goes_by("none"), goes_by("small"), goes_by("all")) == ("all", "small", "all")
    for library, then in (("all", "large"), ("large", "small"), ("small", None)):
        path = path_of(home.paths, library, TWO_LAYERS, "work", "track")
        path.write_bytes(seal({**unseal(path.read_bytes(), ""), "format": "mess-discovery-1"}))
        assert goes_by("none") == then and goes_by(library) == then
    assert Scope(home, "none", MEL).discovery_for_search() is None


# --- by itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "n_works", "can"), [(30, 10, True), (29, 10, False), (30, 9, False), (31, 31, True)])
def test_when_a_library_is_large_enough(home, n, n_works, can):
    """Thirty embedded tracks in ten works, not less."""
    ids = plant_tracks(home, [a_track(i, work=f"w{i % n_works}", composer="c") for i in range(n)])
    assert Scope(home, "planted", TWO_LAYERS).can_discover is False  # nothing is embedded yet
    plant_embeddings(home, TWO_LAYERS, layered(ids, TWO_LAYERS))
    assert Scope(home, "planted", TWO_LAYERS).can_discover is can
    assert Scope(home, "nosuch", TWO_LAYERS).can_discover is False


def test_tracks_of_unknown_work_are_works(home):
    """A folder of music without any metadata can be discovered."""
    ids = plant_tracks(home, [a_track(i) for i in range(30)])
    plant_embeddings(home, TWO_LAYERS, layered(ids, TWO_LAYERS))
    assert Scope(home, "planted", TWO_LAYERS).can_discover


def run_next(home: Workspace):
    owner = new_owner()
    return do(Task(home, home.jobs.claim(owner), owner))


@pytest.fixture
def in_this_process(monkeypatch):
    """Measuring starts no processes: three seconds less."""
    monkeypatch.setattr(work_of_targets, "work_through", work_here)


def test_discovery_follows_an_extraction_by_itself_and_once(home, write_wav, monkeypatch, in_this_process):
    """Extract, then targets, then probe: each queued once, and at the end there is a result."""
    monkeypatch.setattr(scope_module, "MIN_TRACKS", 6)
    monkeypatch.setattr(scope_module, "MIN_GROUPS", 6)
    new = [read_track(write_wav(f"t{seed}", 1.2, seed)) for seed in range(6)]
    home.catalogue.add(new[0].audio.parent, new[:5], "music")
    submit(home, ExtractRequest("music", MEL.id, goes_on=True))
    assert run_next(home).state == "done" and home.jobs.active() == []  # five are too few

    home.catalogue.add(new[0].audio.parent, new[5:], "music")
    submit(home, ExtractRequest("music", MEL.id, goes_on=False))
    assert run_next(home).state == "done" and home.jobs.active() == []  # nobody asked
    home.store.forget(new[5].track.track_id, MEL.fingerprint)
    submit(home, ExtractRequest("music", MEL.id, goes_on=True))
    assert run_next(home).state == "done"
    assert [job.kind for job in home.jobs.active()] == ["targets"]
    submit(home, TargetsRequest("music", encoder_id=MEL.id))  # asked for again: the same job
    assert len(home.jobs.active()) == 1
    assert run_next(home).state == "done"
    assert [job.kind for job in home.jobs.active()] == ["probe"]
    assert home.measurements.missing(home.catalogue.track_ids("music")) == []
    job = run_next(home)
    assert job.state == "done", job.message
    discovery = Scope(home, "music", MEL).discovery()
    assert discovery.n_tracks == 6 and discovery.result.has_null
    assert [job.arguments.get("what", job.kind) for job in home.jobs.active()] == ["faithfulness", "similarity", "map"]
    assert [run_next(home).state for _ in range(3)] == ["done"] * 3 and home.jobs.active() == []
    assert discovery.content == Scope(home, "music", MEL).content
    assert "MFCC" in discovery.result.target("spectral_centroid").baselines  # it was extracted for this
    assert "log-mel" not in discovery.result.target("spectral_centroid").baselines  # that is the encoder itself

    submit(home, ExtractRequest("music", MEL.id, goes_on=True))
    assert run_next(home).state == "done" and home.jobs.active() == []  # it was discovered: nothing follows


def test_an_interrupted_extraction_still_leads_to_discovery(home, write_wav, monkeypatch):
    """Stopped after the last commit and before the next job was queued, the resumed job queues it."""
    monkeypatch.setattr(scope_module, "MIN_TRACKS", 2)
    monkeypatch.setattr(scope_module, "MIN_GROUPS", 2)
    new = [read_track(write_wav(f"t{seed}", 1.2, seed)) for seed in range(2)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    submit(home, ExtractRequest("music", MEL.id))
    run_next(home)  # all is embedded, nothing was queued: as after a stop at that moment
    submit(home, ExtractRequest("music", MEL.id, goes_on=True))
    run_next(home)
    assert [job.kind for job in home.jobs.active()] == ["targets"]


# --- command line -------------------------------------------------------------------------------------------


@pytest.fixture
def run(home, capsys):
    """Run a verb on the data folder; returns its exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        code = main(["--home", str(home.paths.root), *map(str, arguments)])
        return code, capsys.readouterr().out

    return run


def test_probe_prints_the_promised_document_and_the_answer(home, run):
    """The command line finds the planted layer of a real encoder's id, and prints what is kept."""
    info = encoder_info(NANO.id, home.paths)
    plant_library(home, info, MEL, MFCC, encoder_info(f"{RANDOM}{NANO.id}", home.paths))
    code, out = run(
        "probe", "--library", "planted", "--encoder", NANO.id, "--permutations", 19, "--alpha", 10, "--json"
    )
    document = strict(out)
    assert code == 0 and document.keys() == DOCUMENT
    assert (document["encoder"], document["library"], document["group"]) == (NANO.id, "planted", "work")
    assert (document["n_tracks"], document["n_groups"], document["has_null"]) == (MANY, MANY // 2, True)
    cells = [cell for cell in document["cells"] if cell["target"] == "spectral_centroid"]
    assert [cell["layer"] for cell in cells] == list(range(info.n_layers)) and cells[0].keys() >= CELL
    assert {cell["alpha"] for cell in cells} == {10.0}
    assert max(cells, key=lambda cell: cell["r2"])["layer"] == 1
    settings = replace(ProbeSettings(), alphas=(10.0,), n_permutations=19)
    kept = Scope(home, "planted", info).discovery(settings=settings)
    assert json.loads(json.dumps(kept.as_document())) == document
    assert kept.result.settings == settings
    assert Scope(home, "planted", info).discovery() is None  # a run with other settings is not taken for the usual one


def test_a_new_target_and_a_new_aspect_appear_with_no_other_edit(home, run, monkeypatch):
    """A line in each registry: the document has cells of the target and the evidence for the aspect."""
    new = Target("sparkle", "Sparkle", "1", "timbre", "audio", "low", "id", ("track",), "Planted.")
    monkeypatch.setitem(TARGETS, "sparkle", new)
    monkeypatch.setitem(ASPECTS, "shine", ("sparkle",))
    ids = plant_library(home, MEL, MFCC)
    plant_targets(home, ids, {"sparkle": told(ids)})
    plant_embeddings(home, MEL, {i: value * np.ones((1, 256)) for i, value in zip(ids, told(ids), strict=True)})
    code, out = run("probe", "--library", "planted", "--encoder", MEL.id, "--permutations", 19, "--json")
    document = strict(out)
    (cell,) = [cell for cell in document["cells"] if cell["target"] == "sparkle"]
    assert code == 0 and cell["r2"] > 0.95 and cell["label"] == "high"
    assert document["aspects"]["shine"]["targets"] == ["sparkle"]
    assert len(document["cells"]) == 23


def test_probe_as_text_names_each_target_once(home, run):
    """For people: a line per target, with a reason where there is no number."""
    plant_library(home, MEL, MFCC, n=4)
    code, out = run("probe", "--library", "planted", "--encoder", MEL.id, "--permutations", 0)
    lines = out.splitlines()
    assert code == 0
    for target in probed_targets("track"):
        (line,) = [line for line in lines if f" {target} " in line]
        assert "fewer than the 5 folds" in line


@pytest.mark.parametrize("options", [["--group", "performer", "--folds", 2, "--alpha", 10], ["--level", "segment"]])
def test_probe_takes_its_options(home, run, options):
    """Grouping and level reach the probe and are in the document."""
    plant_library(home, MEL, MFCC, n=12)
    code, out = run("probe", "--library", "planted", "--encoder", MEL.id, "--permutations", 0, *options, "--json")
    document = strict(out)
    assert code == 0 and document["has_null"] is False
    assert (document["group"], document["level"]) == (
        ("performer", "track") if "performer" in options else ("work", "segment")
    )
    assert document["n_groups"] == (2 if "performer" in options else 6)
    assert any(cell["r2"] is not None for cell in document["cells"])
    settings = replace(ProbeSettings(), n_permutations=0)
    if "performer" in options:
        settings = replace(settings, n_folds=2, alphas=(10.0,))
    assert Scope(home, "planted", MEL).discovery(document["group"], document["level"], settings) is not None


def test_probe_before_extract_says_what_to_do(home, run):
    """No embedding yet: exit 2, one sentence, the command that helps."""
    plant_tracks(home, [a_track(0)])
    code, out = run("probe", "--library", "planted", "--encoder", MEL.id, "--json")
    document = strict(out)
    assert code == 2 and document.keys() == {"error", "hint"} and "extract --encoder mel" in document["hint"]


@pytest.mark.parametrize(
    "arguments",
    [["probe", "--library", "nosuch"], ["probe", "--encoder", "nosuch"], ["targets", "--library", "nosuch"]],
)
def test_wrong_use_is_exit_2(home, run, arguments):
    """Names that do not exist."""
    plant_tracks(home, [a_track(0)])
    code, out = run(*arguments, "--json")
    assert code == 2 and strict(out).keys() == {"error", "hint"}


def test_a_group_that_does_not_exist_is_exit_2(home, run, write_wav):
    """With the columns that there are: a group may be one of the user's own table."""
    run("add", write_wav("a").parent)
    code, out = run("probe", "--group", "nosuch", "--json")
    assert code == 2 and "has a column 'nosuch'" in out


@pytest.mark.parametrize("arguments", [["--level", "nosuch"], ["--folds", "many"]])
def test_options_that_do_not_exist_are_exit_2(home, run, arguments):
    """What argparse refuses."""
    with pytest.raises(SystemExit) as stopped:
        run("probe", *arguments)
    assert stopped.value.code == 2


def test_targets_measures_and_names_what_failed(home, run, write_wav, in_this_process):
    """Exit 1 and the file's name if one fails, 0 when all are measured; what is undefined is no failure."""
    paths = [write_wav(f"t{seed}", 1.2, seed) for seed in range(2)]
    assert run("add", paths[0].parent)[0] == 0
    moved = paths[1].rename(Path(f"{paths[1]}.away"))
    code, out = run("targets", "--json")
    document = strict(out)
    assert code == 1 and document["done"] and document["library"] == "all"
    assert [failure["subject"] for failure in document["failures"]] == ["t1"]
    moved.rename(paths[1])
    code, out = run("targets", "--library", "music", "--json")
    assert code == 0 and strict(out)["failures"] == [] and "1 of 1 track measured" in strict(out)["message"]
    assert run("targets")[1].strip() == "Nothing to do: every track is measured."
