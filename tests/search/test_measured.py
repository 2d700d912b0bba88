"""Measured: ranks are those of the values themselves, and whoever has no value is left out aloud."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.errors import DataMissingError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.search.answers import (
    Answer,
    Plan,
    answer,
    answer_passage,
    build_index,
    build_segment_index,
    make_plan,
    query_of,
    vector_of,
)
from mess_core.search.asking import find_query
from mess_core.search.comparisons import map_moments
from mess_core.search.explaining import plan_of_reasons
from mess_core.search.geometry import MeasuredGeometry
from mess_core.search.measured import (
    MeasuredLibrary,
    commonly_measured,
    has_values,
    measured_aspects,
    measured_library,
    standing_at,
)
from mess_core.search.question import Question
from mess_core.search.reasons import find_reasons
from mess_core.targets import base
from mess_core.targets.base import TargetValue, transform
from mess_core.targets.measurements import measure_track
from mess_core.targets.registry import TARGETS
from mess_core.work.doing import do_now
from mess_core.work.extract import ExtractRequest
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import MANY, QUERY, TWO_LAYERS, discover, embed, pace, plant_heard_library, told

Planted = tuple[Workspace, list[str]]


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Planted:
    """Forty tracks, nothing discovered; only read."""
    home = Workspace(tmp_path_factory.mktemp("measured") / "home")
    return home, plant_heard_library(home, TWO_LAYERS)


@pytest.fixture
def own(home) -> Planted:
    """The same, to be changed."""
    return home, plant_heard_library(home, TWO_LAYERS)


def plan_of(home: Workspace, **request: object) -> Plan:
    return make_plan(Scope(home, "planted", TWO_LAYERS), Question(geometry="measured", **request), None)


def ask(home: Workspace, track_id: str, **request: object) -> Answer:
    plan = plan_of(home, **request)
    return answer(build_index(plan), plan, query_of(plan.scope, home.catalogue.track(track_id)))


def forget(home: Workspace, track_ids: list[str], target: str, reason: str = "too short") -> None:
    with home.database.transaction() as connection:
        connection.executemany(
            "UPDATE targets SET value = NULL, quality = 'none', reason = ? WHERE track_id = ? AND target = ?",
            [(reason, track_id, target) for track_id in track_ids],
        )


def found_ids(found: Answer) -> list[str]:
    return [item.track.track_id for item in found.found]


# --- what is found ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("weights", [{"brightness": 1.0}, {"brightness": 3.0, "tempo": 1.0}])
def test_ranks_percentiles_and_contributions_are_those_of_the_values(planted, weights):
    """By hand, in octaves as planted: squared differences over the median pair, weighted; nothing was discovered."""
    home, ids = planted
    found = ask(home, ids[QUERY], aspects=weights, k=MANY)
    assert found.plan.geometry == "measured" and found.plan.discovery is None and found.plan.notices == ()
    octaves = {"brightness": told(ids), "tempo": 0.5 * pace(ids)}
    total, pairs_total = np.zeros(MANY), 0.0
    share = {aspect: weight / sum(weights.values()) for aspect, weight in weights.items()}
    parts = {}
    for aspect in weights:
        z = octaves[aspect]
        pairs = np.array([(z[i] - z[j]) ** 2 for i, j in itertools.combinations(range(MANY), 2)])
        parts[aspect] = -((z - z[QUERY]) ** 2) / np.median(pairs)
        total += share[aspect] * parts[aspect]
        pairs_total = pairs_total - share[aspect] * pairs / np.median(pairs)
    expected = [row for row in np.argsort(-total, kind="stable") if row != QUERY]
    assert found_ids(found) == [ids[row] for row in expected]
    for item, row in zip(found.found, expected, strict=True):
        neighbour = item.neighbour
        assert neighbour.similarity == pytest.approx(total[row], abs=1e-4)
        below = 50 * ((pairs_total < total[row] - 1e-4).mean() + (pairs_total < total[row] + 1e-4).mean())
        assert neighbour.percentile == pytest.approx(below, abs=0.3)
        for aspect, score in neighbour.aspects.items():
            assert score.contribution == pytest.approx(share[aspect] * parts[aspect][row], abs=1e-4)


@pytest.mark.slow
def test_it_asks_no_encoder(own):
    """Embeddings made of noise change moments, not ranks."""
    home, ids = own
    before = found_ids(ask(home, ids[QUERY], aspects={"brightness": 1}, k=MANY))
    plan_before = plan_of(home, aspects={"brightness": 1})
    embed(home, TWO_LAYERS, ids, seed=77)
    after = ask(home, ids[QUERY], aspects={"brightness": 1}, k=MANY)
    assert found_ids(after) == before and after.plan.key != plan_before.key


def test_what_is_left_out_no_longer_orders(planted):
    """What a straight line on the centroid says of the tempo is taken out; what is left ranks."""
    home, ids = planted
    plan = plan_of(home, aspects={"tempo": 1}, avoid=("brightness",))
    index = build_index(plan)
    values = index.geometry.items(plan.measured.vectors)[:, :1]
    centroid = plan.measured.vectors[:, 0, plan.measured.targets.index("spectral_centroid")]
    assert abs(np.corrcoef(values[:, 0], centroid)[0, 1]) < 1e-6
    left = pace(ids) - np.polyval(np.polyfit(told(ids), pace(ids), 1), told(ids))
    found = ask(home, ids[QUERY], aspects={"tempo": 1}, avoid=("brightness",), k=MANY)
    order = [row for row in np.argsort(np.abs(left - left[QUERY]), kind="stable") if row != QUERY]
    assert found_ids(found) == [ids[row] for row in order]


def test_without_any_aspect_all_that_nearly_all_have_are_compared(own):
    home, ids = own
    plan = plan_of(home)
    assert set(plan.question.weights) == set(commonly_measured(plan.scope)) > {"brightness", "tempo", "legato"}
    assert "rubato" not in plan.question.weights  # without a score it is an estimate
    forget(home, ids[5:15], "articulation_ratio")
    plan = plan_of(home)
    assert "legato" not in plan.question.weights and plan.notices == ()
    assert "legato" not in plan_of(home, avoid=("legato",)).question.weights


def test_moments_are_as_the_encoder_hears_them(planted):
    home, ids = planted
    plan = plan_of(home, aspects={"brightness": 1})
    index, query = build_index(plan), query_of(plan.scope, home.catalogue.track(ids[QUERY]))
    assert all(item.moment for item in answer(index, plan, query).found)
    moments = map_moments(index, plan, query, ids[3])
    assert np.shape(moments.similarities) == (4, 4) and np.abs(moments.similarities).max() <= 1 + 1e-6


def test_moments_of_a_passage_are_of_its_segments(planted):
    """The rows of the whole that it takes, and no moment outside of it."""
    home, ids = planted
    plan = plan_of(home, aspects={"brightness": 1})
    index, query = build_index(plan), query_of(plan.scope, home.catalogue.track(ids[QUERY]))
    whole, part = (map_moments(index, plan, query, ids[3], passage) for passage in (None, (4.0, 9.0)))
    assert part.query_starts_s == whole.query_starts_s[1:3] and part.track_starts_s == whole.track_starts_s
    assert np.array(part.similarities) == pytest.approx(np.array(whole.similarities[1:3]))
    assert {moment.query_s for moment in part.moments} <= set(part.query_starts_s)


def test_a_passage_is_compared_by_the_encoder_and_that_is_said(planted):
    home, ids = planted
    scope = Scope(home, "planted", TWO_LAYERS)
    plan = make_plan(scope, Question(geometry="measured"), None, is_of_passage=True)
    assert plan.geometry == "layer" and plan.measured is None
    assert plan.notices == ("Measured are whole recordings: a passage is compared as the encoder hears it.",)
    query = query_of(scope, home.catalogue.track(ids[QUERY]))
    assert answer_passage(build_segment_index(plan), plan, query, (2.5, 7.5)).found


def test_equal_values_make_no_copies(own):
    """Ten tracks as bright as the query are ten recordings, whatever is asked of near-duplicates."""
    home, ids = own
    with home.database.transaction() as connection:
        connection.executemany(
            "UPDATE targets SET value = 1000 WHERE target = 'spectral_centroid' AND track_id = ?",
            [(track_id,) for track_id in ids[:11]],
        )
    for duplicates in ("collapse", "exclude"):
        found = ask(home, ids[0], aspects={"brightness": 1}, duplicates=duplicates, k=10)
        assert set(found_ids(found)) == set(ids[1:11])
        assert all(item.neighbour.similarity == 0 for item in found.found)


def test_reasons_are_the_values_that_were_asked_for(planted):
    home, ids = planted
    for request in ({}, {"avoid": ("warmth",)}):
        plan = plan_of(home, aspects={"tempo": 1}, **request)
        of_reasons = plan_of_reasons(plan)
        assert (of_reasons is plan) == (not request) and of_reasons.avoid == ()
        query = query_of(plan.scope, home.catalogue.track(ids[QUERY]))
        (reason,) = find_reasons(build_index(of_reasons), vector_of(of_reasons, query), [ids[4]])[ids[4]]
        difference = (pace([ids[4]]) - pace([ids[QUERY]]))[0]
        assert reason.aspect == "tempo" and reason.word == ("faster" if difference > 0 else "slower")
        assert reason.difference_sd == pytest.approx(difference / pace(ids).std(), abs=1e-4)


# --- who is left out ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_recordings_without_a_value_are_counted_and_named(own):
    home, ids = own
    forget(home, ids[1:3], "tempo")
    forget(home, ids[2:6], "dynamic_range")
    found = ask(home, ids[QUERY], aspects={"tempo": 1, "dynamics": 1}, k=MANY)
    assert set(found_ids(found)) == set(ids) - {ids[QUERY], *ids[1:6]}
    assert found.plan.notices == (
        "5 of 40 recordings are left out for want of a measured value: dynamic range (4), tempo (2).",
    )
    one = ask(home, ids[QUERY], aspects={"brightness": 1}, k=MANY)
    assert len(one.found) == MANY - 1 and one.plan.notices == ()


def test_a_target_that_few_have_does_not_stand_for_its_aspect(own):
    """Dynamics is its variance where its range is known of a third."""
    home, ids = own
    forget(home, ids[10:], "dynamic_range")
    found = measured_aspects(Scope(home, "planted", TWO_LAYERS))["dynamics"]
    assert found.searched == ("dynamic_variance",) and found.has_evidence
    assert len(ask(home, ids[QUERY], aspects={"dynamics": 1}, k=MANY).found) == MANY - 1


def test_values_by_other_formulas_are_none(own):
    """A query of today is not placed among values of yesterday; measured again, they are there, under another key."""
    home, ids = own
    key = plan_of(home, aspects={"brightness": 1}).key
    with home.database.transaction() as connection:
        (now,) = {row["version"] for row in connection.execute("SELECT DISTINCT version FROM targets")}
        connection.execute("UPDATE targets SET version = 'audio-0 midi-3' WHERE track_id = ?", (ids[1],))
        connection.execute("UPDATE targets SET version = ? WHERE track_id = ?", (f"{now}1", ids[2]))  # no prefix of it
        connection.execute("UPDATE targets SET version = ? WHERE track_id = ?", (f"{now} 0a1b2c3d", ids[3]))
    plan = plan_of(home, aspects={"brightness": 1})
    assert set(plan.measured.track_ids) == set(ids) - {ids[1], ids[2]} and plan.key != key
    assert "2 of 40 recordings are left out" in plan.notices[0]
    with pytest.raises(DataMissingError, match="query was not measured yet"):
        ask(home, ids[1], aspects={"brightness": 1})


def test_what_is_asked_of_single_recordings_is_what_all_of_them_say(own):
    """Undefined, weak, of another formula, not measured: of each kind there is one, and neither way lets it in."""
    home, ids = own
    scope, targets = Scope(home, "planted", TWO_LAYERS), ["spectral_centroid", "dynamic_range", "rubato"]
    forget(home, ids[:2], "dynamic_range")
    with home.database.transaction() as connection:
        connection.execute("UPDATE targets SET value = NULL WHERE track_id = ? AND target = ?", (ids[2], targets[0]))
        connection.execute("UPDATE targets SET version = 'audio-0 midi-3' WHERE track_id = ?", (ids[3],))
        connection.execute("UPDATE targets SET quality = 'weak' WHERE track_id = ?", (ids[4],))
    for some in ([], targets[:1], targets[:2], targets):
        whole = set(measured_library(scope, some).track_ids) if some else set(ids)
        assert {track_id for track_id in ids if has_values(scope, track_id, some)} == whole
    known = home.measurements.n_known(ids, targets, [targets[0]])
    for target in targets:
        values = home.measurements.values(ids, target, good_only=target == targets[0], current_only=True)
        assert known[target] == np.isfinite(values).sum()
    raw = dict(zip(ids, home.measurements.values(ids, targets[0], current_only=True), strict=True))
    ordered = sorted((track_id for track_id in ids if np.isfinite(raw[track_id])), key=raw.__getitem__)
    assert standing_at(scope, targets[0], 0.5) == ordered[int(0.5 * (len(ordered) - 1))]
    forget(home, ids, "dynamic_range")
    assert standing_at(scope, "dynamic_range", 0.5) is None


def test_values_of_many_tracks_are_those_of_each(own, monkeypatch):
    home, ids = own
    asked = [*ids[::-1], "of nobody"]
    few = home.measurements.values(asked, "spectral_centroid")
    monkeypatch.setattr("mess_core.targets.measurements.MOST_ASKED", 3)
    np.testing.assert_array_equal(home.measurements.values(asked, "spectral_centroid"), few)
    assert np.isnan(few[-1]) and np.isfinite(few[:-1]).all()


def test_what_nobody_measured_gets_one_sentence(own):
    home, ids = own
    forget(home, ids, "articulation_ratio")
    for request, says in (
        ({"aspects": {"legato": 1}}, "legato was measured in no recording here"),
        ({"avoid": ("rubato",)}, "rubato was measured in no recording here"),
    ):
        with pytest.raises(InputError, match=says):
            plan_of(home, **request)
    forget(home, ids[:20], "tempo")
    forget(home, ids[20:], "onset_density")
    with pytest.raises(DataMissingError, match=r"No recording here has all values.*40 of 40 recordings are left out"):
        plan_of(home, aspects={"tempo": 1, "rhythmic_energy": 1})
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM targets")
    with pytest.raises(
        DataMissingError, match=r"Nothing was measured of the recordings of 'planted'.*mess_core targets"
    ):
        plan_of(home)


def test_a_query_without_a_value_says_which_and_what_to_do(own):
    home, ids = own
    forget(home, [ids[QUERY]], "dynamic_range", "it needs 10 s")
    with pytest.raises(InputError, match=r"no value of dynamic range: it needs 10 s.*Leave out dynamics"):
        ask(home, ids[QUERY], aspects={"dynamics": 1})
    assert ask(home, ids[QUERY], aspects={"tempo": 1}).found


@pytest.mark.slow
def test_a_file_is_measured_for_its_question(home, tmp_path):
    """It is in no library; its centroid decides which of three noises is nearest, and nothing of it is kept."""
    rng = np.random.default_rng(0)

    def noise(name: str, cutoff_hz: float):
        spectrum = np.fft.rfft(rng.standard_normal(22_050 * 6)) / (
            1 + (np.fft.rfftfreq(22_050 * 6, 1 / 22_050) / cutoff_hz) ** 4
        )
        sound = np.fft.irfft(spectrum)
        soundfile.write(tmp_path / f"{name}.wav", 0.3 * sound / np.abs(sound).max(), 22_050)
        return tmp_path / f"{name}.wav"

    new = [read_track(noise(f"{hz}", hz)) for hz in (300, 1200, 6000)]
    home.catalogue.add(tmp_path, new, "noises")
    do_now(home, ExtractRequest("noises", MEL.id))
    for track in new:
        files = home.measurements.files(track.track.track_id)
        home.measurements.write(files, measure_track(files), lambda connection: None)
    scope = Scope(home, "noises", MEL)
    plan = make_plan(scope, Question({"brightness": 1.0}, geometry="measured"), None)
    query = find_query(scope, str(noise("asked", 1100)), measures=True)
    found = answer(build_index(plan), plan, query)
    assert found.found[0].track.title == "1200"
    assert home.measurements.of_track(query.track_id) == {} and query.values["spectral_centroid"].quality == "good"
    unmeasured = find_query(scope, str(tmp_path / "asked.wav"))
    with pytest.raises(DataMissingError, match="not measured yet"):
        answer(build_index(plan), plan, unmeasured)


# --- the values as vectors ----------------------------------------------------------------------------------


def library_of(raw: np.ndarray, targets=("spectral_centroid", "dynamic_range")) -> MeasuredLibrary:
    return MeasuredLibrary.of(TWO_LAYERS, [f"{row:03d}" for row in range(len(raw))], targets, raw)


def test_vectors_are_standard_deviations_of_the_probed_scale():
    raw = np.array([500.0, 3.0]) + np.abs(np.random.default_rng(0).standard_normal((30, 2)))
    library = library_of(raw)
    assert library.vectors.shape == (30, 1, 2)
    expected = np.stack([np.log2(raw[:, 0]), raw[:, 1]], axis=1)
    np.testing.assert_allclose(library.vectors[:, 0], (expected - expected.mean(0)) / expected.std(0), atol=1e-9)
    values = {t: TargetValue.good(v, 9) for t, v in zip(library.targets, raw[7], strict=True)}
    np.testing.assert_allclose(library.place(values), library.vectors[7], atol=1e-9)
    weak = {**values, "dynamic_range": TargetValue.weak(raw[7, 1], 1, "few")}
    np.testing.assert_allclose(library.place(weak), library.vectors[7], atol=1e-9)


def test_a_value_that_all_share_tells_a_query_apart_all_the_same():
    """No spread is no unit, and no division by nothing."""
    library = library_of(np.repeat([[1000.0, 5.0]], 4, axis=0))
    assert np.abs(library.vectors).max() == 0
    values = {"spectral_centroid": TargetValue.good(2000.0, 9), "dynamic_range": TargetValue.good(5.0, 9)}
    np.testing.assert_allclose(library.place(values), [[1.0, 0.0]], atol=1e-12)


def test_a_rank_is_between_those_of_others(monkeypatch):
    """The transform of one value alone would be the middle, whatever the value."""
    monkeypatch.setitem(TARGETS, "dynamic_range", replace(TARGETS["dynamic_range"], transform="rank"))
    raw = np.stack([np.full(9, 800.0) + np.arange(9), np.arange(9) ** 3.0], axis=1)
    library = library_of(raw)
    scores = transform(raw[:, 1], "rank")
    values = {"spectral_centroid": TargetValue.good(800.0, 9), "dynamic_range": TargetValue.good(8.0, 9)}
    assert library.place(values)[0, 1] == pytest.approx((scores[2] - library.mean[1]) / library.spread[1])
    above = library.place({**values, "dynamic_range": TargetValue.good(1e9, 9)})[0, 1]
    assert above == pytest.approx(library.vectors[8, 0, 1])
    assert base.TRANSFORMS.count("rank") == 1


def test_units_do_not_matter():
    """Values a million times smaller make the same geometry: a spread is a spread."""
    raw = np.random.default_rng(1).standard_normal((40, 2))
    evidence = {
        "dynamics": AspectEvidence(
            (), ("velocity_mean", "dynamic_range"), "measured", ("velocity_mean", "dynamic_range")
        )
    }
    items = [
        library_of(raw * scale, ("velocity_mean", "dynamic_range")).geometry(evidence).items(
            library_of(raw * scale, ("velocity_mean", "dynamic_range")).vectors
        )
        for scale in (1.0, 1e-6)
    ]  # fmt: skip
    np.testing.assert_allclose(items[0], items[1], atol=1e-5)


def test_the_sentence_says_where_it_was_measured():
    of_sound = library_of(np.ones((2, 2)))
    assert of_sound.basis == "Ranked by what was measured in the sound, not by what the encoder hears."
    both = library_of(np.ones((2, 2)), ("tempo", "velocity_mean"))
    assert "measured in the sound and in the notes played (MIDI)" in both.basis
    assert MeasuredGeometry.compares_values and not MeasuredGeometry.works_on_segments


def test_one_recording_left_out_is_said_in_the_singular():
    raw = np.ones((3, 2))
    raw[0, 1] = np.nan
    assert library_of(raw).left_out == (
        "1 of 3 recordings is left out for want of a measured value: dynamic range (1)."
    )
    assert library_of(np.ones((3, 2))).left_out == ""


@pytest.mark.slow
def test_a_discovery_changes_nothing(own):
    home, ids = own
    before = ask(home, ids[QUERY], aspects={"brightness": 1}, k=MANY)
    discover(home, TWO_LAYERS)
    scope = Scope(home, "planted", TWO_LAYERS)
    plan = make_plan(scope, Question({"brightness": 1.0}, geometry="measured"), scope.discovery_for_search())
    assert plan.key == before.plan.key and plan.discovery is None


@pytest.mark.slow
def test_values_that_were_measured_anew_are_seen_at_once(own):
    """Another value in the same row, one that is gone: what is remembered gives way, while other writes leave it."""
    home, ids = own
    scope = Scope(home, "planted", TWO_LAYERS)
    target = "tempo"

    def first() -> float:
        return float(measured_library(scope, (target,)).raw[0, 0])

    before = first()
    with home.database.transaction() as connection:
        connection.execute("UPDATE targets SET value = ? WHERE track_id = ? AND target = ?", (99.5, ids[0], target))
    assert first() == 99.5 != before
    forget(home, [ids[0]], target)
    assert measured_library(scope, (target,)).track_ids[0] == ids[1]
