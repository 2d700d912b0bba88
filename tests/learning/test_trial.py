"""The trial: its figures are those that counting gives, its intervals cover, and nothing is chosen by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import DataMissingError
from mess_core.learning import trial
from mess_core.learning.course import DEEP_RECALL, MRR, NDCG, PIECE, RECALL, TRIPLETS, Course
from mess_core.learning.moments import deal
from mess_core.learning.students import PLAIN, untrained
from mess_core.learning.trial import hiding_curve, learning_curve, paired_interval, run_trial, teach
from mess_core.learning.triplets import Triplets
from mess_core.probing.resampling import holm_adjusted
from tests.learning.worlds import course, moments

FEW = ("predicted", "linear")


@pytest.fixture(scope="module")
def helped():
    """Pieces of which what is rated can be heard by who is taught."""
    return course(np.random.default_rng(0), n_works=24, manner=0.5, noise=0.4, room=1.0)


@pytest.fixture(scope="module")
def tried(helped):
    return run_trial(helped, FEW, n_seeds=2, ceiling=0.9)


def test_who_learns_what_is_there_is_chosen(tried):
    found = tried.figure(tried.chosen)
    assert tried.chosen in FEW and found.gain_low > 0 and found.p_holm < 0.05
    assert tried.chance[TRIPLETS] == 0.5 and tried.ceiling == 0.9


def test_gains_are_over_the_better_of_what_nobody_taught(tried):
    for metric in tried.metrics:
        values = {name: tried.figure(name, metric).value for name in (PLAIN, "cosine")}  # the first of equals
        best = max(values, key=values.get)
        assert tried.figure("linear", metric).over == best and tried.figure(best, metric).gain is None
        gain = tried.figure("linear", metric).value - values[best]
        assert tried.figure("linear", metric).gain == pytest.approx(gain, abs=1e-9)


def test_figures_are_those_that_counting_gives(helped, tried):
    """The share of triplets within each test fold that `centred` tells, by hand."""
    right = total = 0
    for seed in range(2):
        for fold in deal(helped.moments, "work", 5, seed):
            transform = untrained(PLAIN, helped.lesson(fold.train))
            points = transform.points(helped.moments.vectors)
            points = points / np.linalg.norm(points, axis=1, keepdims=True)
            inside = np.isin(helped.triplets.rows, fold.test).all(axis=1)
            for anchor, near, far in helped.triplets.rows[inside]:
                right += points[anchor] @ points[near] > points[anchor] @ points[far]
                total += 1
    assert total == 2 * len(helped.triplets)
    assert tried.figure(PLAIN).value == pytest.approx(right / total, abs=1e-3)


def test_the_table_has_every_metric_and_split(tried):
    assert {(each.metric, each.split) for each in tried.figures} == {
        (metric, split)
        for metric in (TRIPLETS, NDCG, RECALL, MRR, DEEP_RECALL, PIECE)
        for split in ("work", "performer")
    }
    main, second = tried.splits
    assert (main.by, main.n_folds, main.n_groups, len(main.hashes)) == ("work", 5, 24, 10)
    assert (second.by, second.n_folds, second.n_groups) == ("performer", 3, 6)
    assert tried.figure(PLAIN, split="performer").low is None  # six performers are too few for an interval


def test_judgements_across_works_are_asked_once_and_their_anchors_were_never_heard():
    made = course(np.random.default_rng(0), n_works=10, n_players=2, source="judgements")
    rng, n = np.random.default_rng(1), len(made.moments)
    rows = np.array([rng.permutation(n)[:3] for _ in range(80)])
    made = replace(made, profiles=None, triplets=Triplets(rows, np.ones(80)))
    asked = []
    for fold in deal(made.moments, "work", 5, 0):
        places = made.asked(fold)
        asked += places.tolist()
        trained = fold.train[made.lesson(fold.train).triplets.rows]
        assert not np.isin(trained, fold.test).any() and len(trained)
        assert not set(rows[places, 0]) & set(trained.ravel().tolist())
    assert sorted(asked) == list(range(80))
    result = run_trial(made, ("diagonal",), n_seeds=1)
    assert result.splits[0].n_units == 80


@pytest.mark.slow
def test_noise_teaches_nothing():
    """Ratings that have nothing to do with the sound: no student is chosen, in any of ten worlds."""
    for seed in range(10):
        made = course(np.random.default_rng(seed), n_works=15, manner=0.0)
        assert run_trial(made, ("predicted",), n_seeds=1, has_second_split=False).chosen == PLAIN


@pytest.mark.slow
@pytest.mark.parametrize("n_works", [12, 24])
def test_intervals_of_the_gain_cover(n_works):
    """What `predicted` gains on average over libraries of a kind is in 95 % of their intervals, or nearly."""
    found = []
    for seed in range(60):
        made = course(np.random.default_rng(seed), n_works=n_works)
        tally = trial._Tally(made, "work")
        for repeat in range(2):
            for fold in deal(made.moments, "work", 5, repeat):
                tally.add(repeat, fold, ("predicted",), names=(PLAIN,))
        found.append(tally.gain("predicted", PLAIN, TRIPLETS)[:3])
    value, low, high = np.array(found).T
    covered = ((low <= value.mean()) & (value.mean() <= high)).mean()
    assert covered >= 0.9


def test_more_training_is_no_worse(helped, tried):
    few, more = (point.value for point in learning_curve(helped, "predicted", 2, shares=(0.15, 0.75)))
    assert few < more <= tried.figure("predicted").value + 0.02


def test_the_interval_is_that_of_the_jackknife():
    """Of a ratio of sums over groups, by leaving each group out; with the factor of `probing.uncertainty`."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(15), 4)
    wholes, parts, rivals = np.ones((1, 60)), rng.random((1, 60)), rng.random((1, 60))
    value, low, high, p = paired_interval(parts, rivals, wholes, groups)
    assert value == pytest.approx((parts - rivals).mean())
    left_out = np.array([(parts - rivals)[0, groups != group].mean() for group in range(15)])
    error = 1.5 * np.sqrt(14 / 15 * ((left_out - left_out.mean()) ** 2).sum())
    assert (high - low) / 2 == pytest.approx(2.1448 * error, rel=0.01)  # t of 14 degrees of freedom
    assert (p < 0.05) == (low > 0 or high < 0)


def test_below_ten_groups_there_is_no_interval():
    ones = np.ones((1, 9))
    assert paired_interval(ones, 0 * ones, ones, np.arange(9)) == (1.0, None, None, None)


def test_holm_never_lets_a_larger_p_pass_a_smaller():
    assert holm_adjusted([0.01, None, 0.02, 0.5]) == [0.03, None, 0.04, 0.5]
    assert holm_adjusted([0.04, 0.04]) == [0.08, 0.08] and holm_adjusted([]) == []


# --- what teaches -------------------------------------------------------------------------------------------------


def labelled(source: str, rng: np.random.Generator) -> Course:
    """Works and performers both leave their trace, in noise."""
    works, players = np.repeat(np.arange(12), 4), np.tile(np.arange(4), 12)
    of_works, of_players = rng.standard_normal((12, 16)), rng.standard_normal((4, 16))
    vectors = of_works[works] + of_players[players] + 0.8 * rng.standard_normal((48, 16))
    names = [f"w{work}" for work in works], [f"p{player}" for player in players]
    return Course(source, moments(*names, vectors[:, None].astype(np.float32)), (16,))


@pytest.mark.parametrize("source", ["works", "performers"])
def test_labels_teach(source):
    made = labelled(source, np.random.default_rng(0))
    result = run_trial(made, ("linear",), n_seeds=1)
    assert result.metrics[0] == NDCG and result.figure("linear").value > result.chance[NDCG]
    points = teach(made, "linear").points(made.moments.vectors)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    names = np.array(made.moments.works if source == "works" else made.moments.performers)
    alike = (units @ units.T)[~np.eye(48, dtype=bool)]
    same = (names[:, None] == names)[~np.eye(48, dtype=bool)]
    assert alike[same].mean() > alike[~same].mean() + 0.2


def test_expression_is_asked_across_pieces():
    """No candidate is of the query's work, and the relevant ones are the nearest by the teacher."""
    made = course(np.random.default_rng(0), source="expression")
    (fold, *_) = deal(made.moments, "work", 5, 0)
    task = made.tasks(fold)[RECALL]
    assert (task.wholes > 0).all() and made.metrics == (NDCG, RECALL, MRR, DEEP_RECALL, PIECE)
    lesson = made.lesson(fold.train)
    within, across = lesson.candidates
    works = made.moments.codes(made.moments.works)[fold.train]
    assert (works[within.index] == works[:, None])[within.mask].all()
    assert not (works[across.index] == works[:, None])[across.mask].any()


def test_rivals_and_measured_values_stand_in_the_table():
    made = course(np.random.default_rng(0))
    rated = np.column_stack([made.profiles, np.full(len(made.moments), np.nan)])
    told = replace(made, rivals={"twin": made.moments.vectors}, values={"ratings themselves": rated})
    result = run_trial(told, (), n_seeds=1, has_second_split=False)
    assert result.chosen == PLAIN and result.figure("twin").value == result.figure(PLAIN).value
    assert result.figure("ratings themselves").value > 0.98


def test_what_is_taught_elsewhere_is_tested_as_students_are():
    """It sees each fold once and is asked for its test rows; what it finds is counted, and corrected for."""
    made = course(np.random.default_rng(0))
    asked = []

    def oracle(lesson, fold, rows, seed):
        asked.append((len(lesson.vectors), tuple(rows), seed))
        ratings = made.profiles[rows]
        return -((ratings[:, None] - ratings) ** 2).sum(axis=-1)

    result = run_trial(made, ("predicted",), further={"oracle": oracle}, n_seeds=2, has_second_split=False)
    folds = [fold for seed in range(2) for fold in deal(made.moments, "work", 5, seed)]
    assert asked == [(len(fold.train), tuple(fold.test), place // 5) for place, fold in enumerate(folds)]
    found = result.figure("oracle")
    assert found.is_student and found.value > 0.98 and found.p_holm >= found.p and result.best == "oracle"


def test_nothing_to_ask_is_said():
    alone = moments([f"w{row}" for row in range(20)], [None] * 20, np.random.default_rng(0).random((20, 1, 4)))
    made = Course("works", alone, (4,))
    with pytest.raises(DataMissingError, match="No question could be asked"):
        run_trial(made, (), n_seeds=1)


def test_a_second_stage_is_called_for_only_where_the_first_finds_enough():
    """Thirty recordings: all are among the nearest hundred. Of ten works by thirty players most are not."""
    small = course(np.random.default_rng(0), n_works=10, n_players=3)
    (said,) = [each for each in run_trial(small, (), n_seeds=1, has_second_split=False).notices if "anew" in each]
    assert "could help: 1.00" in said
    large = course(np.random.default_rng(0), n_works=30, n_players=30, manner=0.0)
    (said,) = [each for each in run_trial(large, (), n_seeds=1, n_folds=2).notices if "anew" in each]
    assert "was not tried" in said and "0.9 would be needed" in said


def test_performers_who_are_too_few_to_be_put_apart_cost_only_that_split():
    made = course(np.random.default_rng(0), n_works=12, n_players=4)
    result = run_trial(made, ("predicted",), n_seeds=1)
    assert {each.split for each in result.figures} == {"work"} == {each.by for each in result.splits}
    assert any(each.startswith("Performers could not be put apart: ") for each in result.notices)


def test_who_hides_the_piece_finds_it_less_and_still_learns():
    """The piece is in four of twelve directions, and strong there; the manner is in all."""
    rng = np.random.default_rng(0)
    made = course(rng, n_works=16, n_players=6, piece=0.0, manner=0.6, noise=0.7, source="expression")
    strong = np.zeros((16, 12), np.float32)
    strong[:, :4] = 2 * rng.standard_normal((16, 4))
    vectors = made.moments.vectors + np.repeat(strong, 6, axis=0)[:, None]
    made = replace(made, moments=replace(made.moments, vectors=vectors))
    without, hidden = hiding_curve(made, weights=(0.0, 10.0))
    assert hidden.piece < 0.85 * without.piece
    assert hidden.value > without.value - 0.01
