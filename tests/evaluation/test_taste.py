"""Replay on planted listeners: what is there is found, and what embarrasses stands beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import DataMissingError
from mess_core.evaluation.taste import (
    CHANCE,
    LAST,
    SHUFFLED,
    Case,
    TasteStudy,
    _mean,
    _ratio,
    measure_taste,
    own_cases,
    simulated_cases,
)
from mess_core.recommend.sections import SECTIONS
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import Planted, simulate
from tests.planted import a_track
from tests.recommend.worlds import NOW_S, planted_cases, planted_shelf


@pytest.fixture(scope="module")
def study():
    return measure_taste(planted_shelf(), planted_cases(12))


def way(study, name):
    return next(each for each in study.ways if each.name == name)


def test_a_taste_finds_what_is_liked_later_and_shuffled_embeddings_do_not(study):
    ndcg = {each.name: each.ndcg["20"] for each in study.ways}
    assert ndcg["several interests"].low > ndcg[CHANCE].high
    assert ndcg["several interests"].low > ndcg[SHUFFLED].high
    assert ndcg["several interests"].low > ndcg[LAST].high
    assert ndcg[SHUFFLED].value == pytest.approx(ndcg[CHANCE].value, abs=0.15)


def test_all_three_planted_tastes_are_found_and_one_mean_finds_none(study):
    assert study.planted_found["several interests"].value == 1.0
    assert study.planted_found["one mean of all"].value < 0.2


def test_nine_of_ten_reasons_hold_when_the_track_is_removed(study):
    assert study.n_reasons == 120
    assert study.borne_out.value >= 0.9


def test_chance_is_half_of_all_pairs(study):
    assert way(study, CHANCE).auc.low <= 0.5 <= way(study, CHANCE).auc.high


def test_sections_have_a_lift_beside_chance(study):
    lifts = {each.section: each.lift for each in study.sections}
    assert list(lifts) == list(SECTIONS)
    assert lifts["quick-picks"].low > 1.0
    assert lifts["opposite"].high < lifts["quick-picks"].low
    assert lifts["new"] is None  # nothing is


def test_what_is_opposite_is_newer_than_what_fits(study):
    novelty = {each.section: each.novelty for each in study.sections}
    assert novelty["opposite"].low > novelty["quick-picks"].high
    assert 0 <= novelty["quick-picks"].value <= 2


def test_a_document_and_back_is_the_same(study):
    assert TasteStudy.from_dict(study.to_dict()).to_dict() == study.to_dict()


def test_few_listeners_have_no_interval():
    few = measure_taste(planted_shelf(), planted_cases(2))
    assert few.ways[0].ndcg["20"].low is None


def test_one_s_own_history_is_replayed_at_ten_moments_and_has_no_interval():
    whole = planted_cases(1)[0]
    ids, planted = planted_shelf().track_ids, whole.planted
    history = simulate(planted, ids, 120, NOW_S, 3)
    cases = own_cases(history)
    assert len(cases) == 10
    assert all(case.before.at_s.max() <= case.now_s < case.after.at_s.min() for case in cases)
    assert sum(len(case.after) for case in cases) == len(history.after(cases[0].now_s))
    study = measure_taste(planted_shelf(), cases)
    assert (study.listeners, study.n_listeners, study.planted_found) == ("own", 1, None)
    assert study.ways[0].ndcg["20"].low is None
    with pytest.raises(DataMissingError, match="There are 0 events"):
        own_cases(history.until(0.0))


@pytest.mark.slow
def test_chance_alone_has_a_lift_of_one():
    """Listeners who like anything: no list can be better than chance, and intervals hold 1."""
    ids = planted_shelf().track_ids
    everything = Planted("x", (tuple(range(len(ids))),), ())
    cases = [
        Case(simulate(everything, ids, 30, NOW_S, s), simulate(everything, ids, 30, NOW_S + 30 * DAY_S, 500 + s), NOW_S)
        for s in range(30)
    ]
    found = measure_taste(planted_shelf(), [replace(each, planted=everything) for each in cases])
    lift = next(each.lift for each in found.sections if each.section == "weekly")
    assert lift.low <= 1.0 <= lift.high


def test_tastes_are_planted_by_names_and_without_names_not_at_all():
    tracks = [a_track(n, work=f"w{n % 8}", instrument=f"i{n % 5}") for n in range(80)]
    cases = simulated_cases(tracks, 3, 0)
    assert all(len(case.planted.tastes) == 3 for case in cases)
    for case in cases:
        rows = [row for taste in (*case.planted.tastes, case.planted.unwanted) for row in taste]
        assert len(set(rows)) == len(rows)
    assert (cases[0].before.at_s < cases[0].now_s).all()
    assert (cases[0].after.at_s >= cases[0].now_s).all()
    with pytest.raises(DataMissingError, match="no taste can be planted"):
        simulated_cases([a_track(n) for n in range(80)], 1, 0)
    np.testing.assert_array_equal(
        simulated_cases(tracks, 1, 5)[0].before.at_s, simulated_cases(tracks, 1, 5)[0].before.at_s
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_listeners", [12, 40])
def test_intervals_hold_what_they_say(n_listeners):
    """Lists of ten and what chance finds, of listeners who differ: the true mean and ratio lie within."""
    rng, n_times, inside = np.random.default_rng(0), 300, {"mean": 0, "ratio": 0}
    for _ in range(n_times):
        own = rng.beta(6, 8, n_listeners)  # mean 3/7
        rates = rng.binomial(10, own) / 10
        chance = rng.binomial(60, own / 2) / 60  # half of it
        mean, ratio = _mean(rates.tolist(), 0), _ratio(rates.tolist(), chance.tolist(), 0)
        inside["mean"] += mean.low <= 3 / 7 <= mean.high
        inside["ratio"] += ratio.low <= 2.0 <= ratio.high
    assert all(n / n_times >= 0.9 for n in inside.values()), inside
