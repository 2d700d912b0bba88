"""Sections: for each kind of recommendation what it promises, and how its rows are chosen.

A line added to the table appears on the page, on the command line and in `evaluate taste`, where each is measured: how
much oftener its rows were taken well later on than rows drawn by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mess_core.recommend.exploring import SHARE_FAMILIAR, SHARE_SURPRISING, n_to_try, posterior_of, some_of, try_out
from mess_core.recommend.generator import Chosen, Wanted, choose, with_room
from mess_core.recommend.profile import Profile
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.taste import Interest

LATELY_DAYS = 14.0  # what was heard in that time is not recommended again
FORGOTTEN_DAYS = 60.0
RADIO_AMONG = 5  # of the best, of which a radio plays one
WEEK_S = 7 * DAY_S
MONDAY_S = 4 * DAY_S  # 1970 began on a Thursday; the Monday after it
CHANCE_OF_A_WEEK = 0.3  # standard deviations of a score: how far the week's draw moves a row


@dataclass(frozen=True)
class Section:
    """One kind of list.

    id : str
    title : as it is called on a page; {title} stands for the track it is made around
    definition : what it promises, in a sentence
    choose : callable (profile, n, surprise, seed) -> rows, the best first
    is_like_taste : whether it promises what will be liked
    is_around_one : whether it is made around what is liked most
    is_of_the_week : whether it goes by what was heard until Monday
    is_of_others : whether it goes by what others have begun to play
    """

    id: str
    title: str
    definition: str
    choose: Callable[[Profile, int, float, int], list[Chosen]]
    is_like_taste: bool = True
    is_around_one: bool = False
    is_of_the_week: bool = False
    is_of_others: bool = False


def lately(profile: Profile) -> set[int]:
    """Rows that were heard in the last two weeks."""
    return set(np.flatnonzero(profile.days_since < LATELY_DAYS).tolist())


def _quick_picks(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    n_tried = n_to_try(n, surprise) if profile.n_events else 0
    never = lately(profile)
    wanted = Wanted(n - n_tried, surprise, never)
    chosen = _choose(profile, wanted)
    taken = {each.row for each in chosen} | never | set(profile.taste.refused.tolist())
    is_near_dislike = profile.taste.penalties > 0
    is_open = ~is_near_dislike
    is_open[np.fromiter(taken, int)] = False
    rng = np.random.default_rng(seed)
    some = some_of(np.flatnonzero(is_open), rng)  # before each is asked whether there is room for it
    allowed = with_room(profile.shelf, wanted, [each.row for each in chosen], some)
    tried = try_out(profile.shelf, posterior_of(profile.shelf, profile.signals), allowed, n_tried, rng)
    places = np.argsort(np.argsort(profile.taste.scores)) / max(len(profile.shelf), 1)
    for number, (row, propensity) in enumerate(tried):
        one = Chosen(
            row, float(profile.taste.scores[row]), float(places[row]), int(profile.taste.best[row]), "tried", propensity
        )
        chosen.insert(min(len(chosen), 3 + number * 5), one)  # where it is seen
    return chosen


def choose_next(profile: Profile, played: Sequence[int], surprise: float, seed: int) -> Chosen | None:
    """What a radio plays after some rows: mostly what fits best and was not heard lately, now and then a try.

    Where all of that was heard lately, that comes back, too. None where nothing may be played.
    """
    rng = np.random.default_rng([seed, len(played)])
    refused = set(profile.taste.refused.tolist())
    for never in (lately(profile) | set(played), set(played), set()):
        is_open = np.ones(len(profile.shelf), bool)
        is_open[np.fromiter(never | refused, int)] = False
        allowed = np.flatnonzero(is_open)
        if not len(allowed):
            continue
        if rng.random() < SHARE_FAMILIAR + (SHARE_SURPRISING - SHARE_FAMILIAR) * surprise:
            ((row, propensity),) = try_out(profile.shelf, posterior_of(profile.shelf, profile.signals), allowed, 1, rng)
            taste = profile.taste
            place = float((taste.scores <= taste.scores[row]).mean())
            return Chosen(row, float(taste.scores[row]), place, int(taste.best[row]), "tried", propensity)
        found = _choose(profile, Wanted(min(RADIO_AMONG, len(allowed)), surprise, only=allowed.tolist()))
        if found:  # one of the best, so that it does not stay with one interest
            return replace(found[int(rng.integers(len(found)))], propensity=1 / len(found))
    return None


def most_liked_lately(profile: Profile) -> int | None:
    """The row around which "because you like" is made: what is liked most by now; None where nothing is."""
    return int(profile.liked_rows[0]) if len(profile.liked_rows) else None


def around(profile: Profile, row: int, n: int) -> list[Chosen]:
    """Rows like one track, heard lately or not, but for the same work twice."""
    points = profile.shelf.points
    alone = replace(
        profile.taste,
        interests=(Interest(np.array([row]), np.ones(1), row, 1.0, np.full(len(profile.shelf.hearings), 1.0)),),
        centres=points[[row]].astype(np.float64),
        dealt=None,  # others had a hand in the taste, not in how near two recordings are
    )
    return choose(alone, Wanted(n, never=lately(profile) | {row}))


def _because(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    row = most_liked_lately(profile)
    return [] if row is None else around(profile, row, n)


def _weekly(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    if not profile.taste.interests:
        return []
    week = int((profile.now_s - MONDAY_S) // WEEK_S)
    moved = np.random.default_rng([seed, week]).normal(0, CHANCE_OF_A_WEEK, len(profile.shelf))
    moved *= profile.taste.scores.std()
    return choose(profile.taste, Wanted(n, surprise, never=lately(profile)), heard=profile.heard, moved=moved)


def week_began_s(now_s: float) -> float:
    """Monday 0:00 UTC before a time: a week's list goes by what was heard until then."""
    return (now_s - MONDAY_S) // WEEK_S * WEEK_S + MONDAY_S


def _new(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    is_new = profile.shelf.added_s >= profile.new_from_s
    is_new[profile.heard] = False
    return _choose(profile, Wanted(n, surprise, only=np.flatnonzero(is_new).tolist()))


def _rediscover(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    rows = np.flatnonzero((profile.liking > 0) & (profile.days_since >= FORGOTTEN_DAYS))
    return _choose(profile, Wanted(n, only=rows.tolist()))


def _rising(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    if profile.rising is None:
        return []
    rows = np.flatnonzero(~np.isnan(profile.rising) & ~np.isfinite(profile.days_since))
    return _choose(profile, Wanted(n, surprise, only=rows.tolist()))


def _deep_cuts(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    rows = np.flatnonzero(~np.isfinite(profile.days_since) & profile.shelf.by_any_of(profile.liked_artists))
    return _choose(profile, Wanted(n, surprise, only=rows.tolist()))


def _opposite(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    if not profile.taste.interests:
        return []
    away = replace(profile.taste, centres=-profile.taste.centres.mean(axis=0, keepdims=True))
    one = replace(profile.taste.interests[0], share=1.0)
    scores = profile.taste.scores
    rows = np.flatnonzero(~np.isfinite(profile.days_since) & (scores < np.median(scores)))
    furthest = rows[np.argsort(scores[rows], kind="stable")]
    rows = furthest[: max(2 * n, len(scores) // 10)]  # a list is mixed of these; of all, it would come to the middle
    return choose(replace(away, interests=(one,), dealt=None), Wanted(n, only=rows.tolist()))


def _same_hands(profile: Profile, n: int, surprise: float, seed: int) -> list[Chosen]:
    shelf = profile.shelf
    liked = profile.liked_rows[: max(1, len(profile.liked_rows) // 2)]
    makers = {shelf.makers[row] for row in liked} - {None}
    works = {shelf.works[row] for row in liked}
    rows = [
        row
        for row in np.flatnonzero(~np.isfinite(profile.days_since)).tolist()
        if shelf.makers[row] in makers and shelf.works[row] is not None and shelf.works[row] not in works
    ]
    return _choose(profile, Wanted(n, surprise, only=rows, most_of_an_artist=None))


def _choose(profile: Profile, wanted: Wanted) -> list[Chosen]:
    return choose(
        profile.taste,
        wanted,
        heard=profile.heard,
        liked_artists=profile.liked_artists,
        new_from_s=profile.new_from_s,
    )


SECTIONS: dict[str, Section] = {
    section.id: section
    for section in (
        Section(
            "quick-picks", "Quick picks",
            "What fits your taste best and was not heard for two weeks; one or two rows in ten are tries.",
            _quick_picks,
        ),
        Section(
            "because", "Because you like {title}",
            "What is most like the track that you like most by now.", _because, is_around_one=True,
        ),
        Section(
            "weekly", "Weekly rotation",
            "A mix of all your interests by what you had heard until Monday; it stays as it is until the next.",
            _weekly, is_of_the_week=True,
        ),
        Section(
            "new", "New for you",
            "What came into the library within 30 days and you have not heard, by how well it fits.", _new,
        ),
        Section(
            "rediscover", "Rediscover",
            "What you liked and have not heard for two months.", _rediscover,
        ),
        Section(
            "rising", "Rising here",
            "What three others here at least have begun to play within two weeks, and you have not heard.", _rising,
            is_of_others=True,
        ),
        Section(
            "deep-cuts", "Deep cuts",
            "Never heard, by composers and players of what you like.", _deep_cuts,
        ),
        Section(
            "same-hands", "Same hands, other music",
            "Who plays what you like, in works that you have not heard them play.", _same_hands,
        ),
        Section(
            "opposite", "The opposite",
            "As far from your taste as this library goes, and nothing that you dislike.", _opposite,
            is_like_taste=False,
        ),
    )
}  # fmt: skip
