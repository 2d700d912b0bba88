"""Tastes that were planted, and whether they are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.recommend.reasons import carrier_of, is_borne_out, why_not
from mess_core.recommend.shelf import Shelf, make_points, unit
from mess_core.recommend.signals import signals_of
from mess_core.recommend.taste import MOST_INTERESTS, TasteSettings, taste_of
from tests.recommend.worlds import NOW_S, OF_EACH, dislikes, events, group, likes, planted_shelf, shelf_of_points

ONE_MEAN = TasteSettings(most_interests=1)
HALF = OF_EACH // 2


def taste(shelf, *said, less=(), settings=None):
    return taste_of(shelf, signals_of(events(*said), NOW_S), less, settings)


def half_of(*numbers):
    return [row for number in numbers for row in group(number)[:HALF]]


def of_groups(rows):
    return {int(row) // OF_EACH for row in rows}


@pytest.mark.parametrize("seed", range(8))
def test_three_planted_tastes_are_three_interests_and_one_mean_misses_them(seed):
    shelf = planted_shelf(seed)
    several, one = (taste(shelf, *likes(half_of(0, 2, 4)), settings=each) for each in (None, ONE_MEAN))
    found = [of_groups(interest.rows) for interest in several.interests]
    assert all(len(groups) == 1 for groups in found)
    assert set().union(*found) == {0, 2, 4}
    assert len(one.interests) == 1
    assert of_groups(one.interests[0].rows) == {0, 2, 4}


def test_what_is_left_of_each_taste_comes_first():
    shelf = planted_shelf(1)
    found = taste(shelf, *likes(half_of(0, 2, 4)))
    left = [row for number in (0, 2, 4) for row in group(number)[HALF:]]
    new = [row for row in np.argsort(-found.scores) if row not in half_of(0, 2, 4)]
    assert set(new[: len(left)]) == set(left)


def test_a_small_interest_is_found_where_one_mean_drowns_it():
    """One like of twenty is of another kind: what is like it must not stand behind everything."""
    shelf = planted_shelf(2)
    said = likes([*group(0)[:HALF], *group(1)[:HALF], *group(3)[:2]])
    several, one = taste(shelf, *said), taste(shelf, *said, settings=ONE_MEAN)

    def best_of_group_3(found):
        order = [row for row in np.argsort(-found.scores) if row in group(3)[2:] or row in group(5)]
        return np.mean([row in group(3) for row in order[:10]])

    assert best_of_group_3(several) == 1.0
    assert best_of_group_3(several) >= best_of_group_3(one)


def test_fewer_than_eight_likes_are_one_interest():
    found = taste(planted_shelf(), *likes([0, 1, 40, 41, 80, 81, 82]))
    assert len(found.interests) == 1


def test_there_are_never_more_than_twelve():
    rng = np.random.default_rng(0)
    shelf = shelf_of_points(rng.normal(size=(300, 64)))
    assert 1 <= len(taste(shelf, *likes(list(range(200)))).interests) <= MOST_INTERESTS


def test_shares_are_of_all_liking_and_the_largest_comes_first():
    found = taste(planted_shelf(3), *likes(half_of(0, 2)), *likes(group(4)[:2], days=300))
    shares = [interest.share for interest in found.interests]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)


def scattered_shelf(seed):
    """Two hundred tracks without order; 100 and 101 are nearly the same."""
    points = unit(np.random.default_rng(seed).normal(size=(200, 24)))
    points[101] = unit(points[100] + 0.1 * points[101])
    return shelf_of_points(points)


def test_a_disliked_track_is_never_recommended_and_what_is_near_to_it_is_pushed_down():
    shelf = scattered_shelf(4)
    before = taste(shelf, *likes(list(range(20))))
    after = taste(shelf, *likes(list(range(20))), *dislikes([100]))
    fall = before.scores - after.scores
    assert after.refused.tolist() == [100]
    assert after.penalties[101] > 0.15
    assert fall[101] > 0.15
    assert np.median(np.abs(fall)) < 0.06


def test_what_is_disliked_turns_the_centres_away_from_its_side():
    shelf = planted_shelf(4)
    before, after = (taste(shelf, *likes(half_of(0, 2)), *said) for said in ((), dislikes(group(3)[:4])))
    fall = before.scores - after.scores
    assert fall[group(3)[4:]].mean() > 0.1
    assert abs(fall[group(5)]).mean() < 0.06


def test_the_more_dislikes_weigh_the_better_later_dislikes_are_told():
    """How often what is liked later stands before what is disliked later; the kinds overlap."""

    def auc(weight):
        found = []
        for seed in range(20):
            shelf = planted_shelf(seed, noise=0.6)
            settings = TasteSettings(subtracted=0.25 * weight, near_dislike=0.5 * weight)
            said = [*likes(half_of(0, 1)), *dislikes(group(3)[:6])]
            scores = taste(shelf, *said, settings=settings).scores
            well, badly = scores[group(0)[HALF:] + group(1)[HALF:]], scores[group(3)[6:]]
            found.append((well[:, None] > badly).mean())
        return np.mean(found)

    none, usual, double = auc(0), auc(1), auc(2)
    assert none < usual < double


def test_less_of_this_turns_away_from_its_direction_and_hides_nothing():
    shelf = planted_shelf(5)
    before = taste(shelf, *likes(half_of(0, 2)))
    after = taste(shelf, *likes(half_of(0, 2)), less=["t000"])
    left = group(0)[HALF:]
    assert (after.scores[left] < before.scores[left]).all()
    assert not len(after.refused)


def test_less_of_this_leaves_an_interest_a_quarter_of_its_share():
    shelf = planted_shelf(5)
    shares = {}
    for less in ((), ("t000",)):
        found = taste(shelf, *likes(half_of(0, 2)), less=less)
        shares[less] = sum(each.share for each in found.interests if 0 in each.rows)
        assert sum(each.share for each in found.interests) == pytest.approx(1.0)
    before = shares[()]
    assert shares["t000",] == pytest.approx(before / 4 / (before / 4 + 1 - before))


def test_everything_disliked_leaves_nothing_to_say():
    shelf = planted_shelf()
    found = taste(shelf, *dislikes(list(range(len(shelf)))))
    assert found.interests == ()
    assert set(found.refused.tolist()) == set(range(len(shelf)))
    assert np.isfinite(found.scores).all()


def test_tracks_that_are_not_on_the_shelf_are_passed_over():
    shelf = planted_shelf()
    found = taste(shelf, ("elsewhere", "like", 1, None), *likes(half_of(0)))
    assert of_groups(np.concatenate([interest.rows for interest in found.interests])) == {0}


def test_nothing_said_and_recordings_all_the_same():
    assert taste(planted_shelf()).interests == ()
    same = shelf_of_points(np.ones((10, 4)))
    found = taste(same, *likes(list(range(9))))
    assert np.isfinite(found.scores).all()


def test_an_interest_listens_by_the_hearing_in_which_it_holds_together():
    """Group 0 is one in the first hearing, and anything in the second: there its tracks must not be told apart."""
    rng = np.random.default_rng(0)
    together, apart = planted_shelf(6).points, unit(rng.normal(size=(120, 16))).astype(np.float32)
    shelf = replace(
        planted_shelf(6), points=unit(np.concatenate([together, apart], axis=1)), hearings=(("one", 16), ("other", 16))
    )
    found = taste(shelf, *likes(half_of(0)))
    assert all(interest.hears[0] > 0.9 for interest in found.interests if len(interest.rows) > 2)
    alike = taste(shelf, *likes(half_of(0)), settings=TasteSettings(favoured=0.0))
    left = group(0)[HALF:]

    def rank(scores):
        return np.mean(np.argsort(np.argsort(-scores))[left])

    assert rank(found.scores) < rank(alike.scores)


def test_the_same_events_make_the_same_taste():
    shelf = planted_shelf(7)
    one, other = (taste(shelf, *likes(half_of(0, 2))) for _ in range(2))
    np.testing.assert_array_equal(one.scores, other.scores)


# --- reasons ------------------------------------------------------------------------------------------------


def test_the_reason_is_of_the_taste_and_the_score_falls_without_it():
    shelf, n, n_true = planted_shelf(8), 0, 0
    said = events(*likes(half_of(0, 2, 4)))
    signals = signals_of(said, NOW_S)
    found = taste_of(shelf, signals)
    for row in [*group(0)[HALF:], *group(2)[HALF:], *group(4)[HALF:]]:
        carrier = carrier_of(found, row)
        assert carrier is not None
        assert carrier.row // OF_EACH == row // OF_EACH
        assert carrier.drop > 0
        n += 1
        n_true += is_borne_out(found, signals, (), row, carrier)
    assert n_true >= 0.9 * n


def test_what_carries_most_is_the_one_that_is_most_alike_of_equal_weights():
    points = np.eye(4)[[0, 0, 0, 1]] + 0.02 * np.arange(16).reshape(4, 4)
    points[1] = points[3] * 0.9 + points[0] * 0.4
    shelf = shelf_of_points(points)
    carrier = carrier_of(taste(shelf, *likes([0, 1, 2])), 3)
    assert carrier is not None
    assert carrier.row == 1


def test_a_single_like_is_the_reason_of_what_is_like_it():
    carrier = carrier_of(taste(planted_shelf(), *likes([0])), 1)
    assert carrier is not None
    assert (carrier.row, carrier.share) == (0, 1.0)
    assert carrier.drop > 0


def test_without_a_taste_there_is_no_reason():
    assert carrier_of(taste(planted_shelf()), 0) is None


def test_why_not_names_the_dislike_that_is_in_the_way():
    found = taste(scattered_shelf(9), *likes(list(range(20))), *dislikes([100, 150]))
    told = why_not(found, 101)
    assert told.penalty > 0
    assert told.disliked == 100
    assert why_not(found, 100).is_refused
    assert why_not(found, 50).disliked is None


# --- points -------------------------------------------------------------------------------------------------


def test_points_keep_who_is_near_whom():
    """Principal directions of few recordings lose nothing: cosines are those of the layers side by side."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 3, 40)) + 5.0
    points, hearings = make_points({"all": [vectors]})
    centred = unit(vectors - vectors.mean(axis=0)).reshape(30, -1)
    centred = unit(centred)
    assert hearings == (("all", 30),)
    order = np.argsort(-(points @ points.T), axis=1)[:, :5]
    np.testing.assert_array_equal(order, np.argsort(-(centred @ centred.T), axis=1)[:, :5])


def test_hearings_count_alike_whatever_their_sizes():
    rng = np.random.default_rng(1)
    loud, quiet = 1000 * rng.normal(size=(40, 2, 30)), 0.001 * rng.normal(size=(40, 1, 10))
    points, hearings = make_points({"loud": [loud], "quiet": [quiet]})
    first = hearings[0][1]
    np.testing.assert_allclose(np.linalg.norm(points[:, :first], axis=1), np.sqrt(0.5), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, rtol=1e-5)


def test_recordings_all_the_same_have_no_direction():
    points, _ = make_points({"all": [np.ones((5, 2, 8))]})
    assert not points.any()


def test_near_is_what_one_pair_in_a_hundred_is():
    shelf: Shelf = planted_shelf(0)
    cosines = (shelf.points @ shelf.points.T)[np.triu_indices(len(shelf), 1)]
    assert (cosines > shelf.near_from).mean() == pytest.approx(0.01, abs=0.005)


def test_what_a_shelf_was_asked_before_changes_no_answer():
    """It keeps its latest answers: of others, of fewer, of other weights, and of the same again."""
    shelf, fresh = planted_shelf(3), lambda: planted_shelf(3)
    asked = [
        (group(0)[:3], 1.0),
        (group(0)[:2], 1.0),
        (group(1)[:3], 1.0),
        (group(0)[:3], 0.5),
        (group(0)[:3], 0.5),
        ([], 1.0),
    ]
    for rows, weight in asked:
        question = np.array(rows, int), np.full(len(rows), weight)
        np.testing.assert_array_equal(shelf.too_near(*question), fresh().too_near(*question))
        ids = tuple(shelf.track_ids[row] for row in rows)
        assert shelf.rows_of(("nowhere", *ids)).tolist() == [-1, *rows]
