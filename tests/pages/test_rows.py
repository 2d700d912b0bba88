"""Rows of the list on Listen: names once, one number with its meaning, and the words that belong to it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from mess_core.catalogue.catalogue import Track
from mess_core.errors import InputError
from mess_core.search.along import Dial
from mess_core.search.answers import FoundTrack
from mess_core.search.neighbours import AspectScore, Neighbour
from mess_core.search.question import Question
from mess_core.search.seeds import Standing
from pages.shared.listen import rows
from pages.shared.widgets.player.player import PlayerTrack, _tell_follow, _tell_judgement, _tell_taken, player


def track(title: str, performer: str | None = None, instrument: str | None = None) -> Track:
    return Track("ab", "cd", title, 20.0, 24_000, 1, "WAV", performer=performer, instrument=instrument)


@pytest.mark.parametrize(
    ("given", "label", "apart"),
    [
        (("Largo · Ada Quill · harp", "Ada Quill", "harp"), "Largo", "Ada Quill · harp"),
        (("Largo", "Ada Quill", None), "Largo", "Ada Quill"),
        (("Largo (Ada Quill, 1960)", "Ada Quill", "harp"), "Largo (Ada Quill, 1960)", "harp"),
        (("harp", "Ada Quill", "harp"), "harp", "Ada Quill"),
        (("Largo · live", None, None), "Largo · live", ""),
    ],
)
def test_a_name_is_said_once(given, label, apart):
    named = PlayerTrack.in_a_row(track(*given))
    assert (named.label, named.performer) == (label, apart)


def row_of(neighbour: Neighbour, verdict: str = "none", passage=None, dial=None, question=Question()):  # noqa: B008
    item = FoundTrack(neighbour, track("Largo"), Path("x.wav"), None)
    found = SimpleNamespace(passage=passage, dial=dial, plan=SimpleNamespace(question=question))
    return rows._row(found, item, {"ab": "same tempo"}, verdict)


def test_the_number_is_nearness_or_what_stands_for_it():
    """Of a passage the percentile, of words how well they fit; in a small library there is none."""
    assert (
        row_of(Neighbour(3, "ab", 0.8, 99.0, nearness=41.6)).score,
        row_of(Neighbour(3, "ab", 0.8, 99.0), passage=(1.0, 3.0)).score,
        row_of(Neighbour(3, "ab", 0.8, 99.0)).score,
    ) == (42, 99, None)
    in_words = row_of(Neighbour(1, "ab", 0.87, 99.0, words={"violin": 87.0}))
    assert (in_words.score, in_words.unit) == (87, "of 100")
    nothing = row_of(Neighbour(1, "ab", 0.8, None))
    assert nothing.score is None and nothing.score_words == "" and nothing.number == "1"
    assert "41.6 in 100" in row_of(Neighbour(3, "ab", 0.8, 99.0, nearness=41.6)).score_words


def test_while_most_of_a_library_waits_there_is_no_number():
    """The few that can be compared may be the same piece five times: all else would be 0 of 100."""
    item = FoundTrack(Neighbour(1, "ab", 0.1, 20.0, nearness=0.0), track("Largo"), Path("x.wav"), None)
    catalogue = SimpleNamespace(n_tracks=lambda library: 120)

    def answer(n_embedded: int, *active: SimpleNamespace) -> SimpleNamespace:
        workspace = SimpleNamespace(catalogue=catalogue, jobs=SimpleNamespace(active=lambda: active))
        scope = SimpleNamespace(library="music", n_embedded=n_embedded, workspace=workspace)
        return SimpleNamespace(passage=None, dial=None, plan=SimpleNamespace(question=Question(), scope=scope))

    assert [rows.is_early(answer(n)) for n in (24, 59, 60, 120)] == [True, True, False, False]
    growing = [SimpleNamespace(kind=kind, arguments={"library": "music"}) for kind in ("extract", "add")]
    assert [rows.is_early(answer(n, *growing)) for n in (60, 99, 100, 120)] == [True, True, False, False]
    elsewhere = [("extract", {"library": "another"}), ("demo", {}), ("probe", {"library": "music"})]
    others = [SimpleNamespace(kind=kind, arguments=arguments) for kind, arguments in elsewhere]
    assert not rows.is_early(answer(60, *others))
    assert rows._row(answer(24), item, {"ab": ""}, "none", has_scale=False).score is None
    assert rows._row(answer(120), item, {"ab": ""}, "none").score == 0


def test_a_single_aspect_is_the_number_itself_and_several_have_their_own():
    one = AspectScore(0.9, 99.0, 1.0, 0.9, nearness=80.0)
    assert row_of(Neighbour(1, "ab", 0.9, 99.0, {"brightness": one}, nearness=80.0)).scores == ()
    two = row_of(Neighbour(1, "ab", 0.9, 99.0, {"brightness": one, "rhythmic_energy": one}, nearness=80.0)).scores
    assert [(each.name, each.score) for each in two] == [("brightness", "99 %"), ("rhythmic energy", "99 %")]
    many = dict.fromkeys(("brightness", "tempo", "legato", "rubato"), one)
    assert row_of(Neighbour(1, "ab", 0.9, 99.0, many, nearness=80.0)).scores == ()
    assert two[0].colour != two[1].colour


def test_no_share_of_a_library_is_all_of_it():
    """Rounded, the nearest passage would be nearer than 100 % of a library that it belongs to."""
    assert rows._whole(99.96, "% are further") == 99 == rows._whole(100.0, "% have less")
    assert rows._whole(99.96, "of 100") == 100 and rows._whole(3.4, "% are nearer") == 3


def test_of_the_furthest_the_number_says_how_far_and_along_an_aspect_how_much():
    far = row_of(Neighbour(1, "ab", -0.4, 2.0, nearness=0.0), question=Question(reverse=True))
    assert far.score == 98 and far.score_words == "Further than 98.0 in 100 of all pairs here."
    dial = Dial("brightness", "spectral_centroid", "brighter", "darker", None, 0.0, 50.0)
    placed = row_of(Neighbour(1, "ab", -1.2, 12.0), dial=dial)
    assert placed.score == 12 and placed.score_words.startswith("12.0 in 100 of the recordings here have less")


def test_of_several_recordings_each_has_its_number_and_no_pair_is_made_up():
    beside = [
        Standing(track_id, is_wanted, 0.5, 99.0, near)
        for track_id, is_wanted, near in ((None, True, 82.4), ("b", True, 30.0), ("c", False, 3.0))
    ]
    row = row_of(Neighbour(1, "ab", 0.3, None, standings=tuple(beside)))
    assert row.score is None and row.verdict_words == "near to both, not to the unwanted one; same tempo"
    assert [(each.name, each.score) for each in row.scores] == [("query:", "82"), ("+1:", "30"), ("−1:", "3")]
    assert row.scores[1].words.startswith("+1: nearer than 30 in 100")
    many = Neighbour(1, "ab", 0.3, None, standings=tuple(beside[:1] * 5))
    assert row_of(many).scores == () and row_of(many).verdict_words.startswith("near to all 5")


def test_near_in_comes_before_the_reasons():
    row = row_of(Neighbour(1, "ab", 3.0, 99.0, hearings={"same music": 99.0, "same sound": 10.0}, nearness=80.0))
    assert row.verdict_words == "music alike, other sound; same tempo"
    far = Neighbour(1, "ab", 3.0, 99.0, hearings={"same music": 99.0, "same sound": 10.0}, nearness=3.0)
    assert row_of(far).verdict_words == "same tempo"


def test_what_a_browser_sends_is_checked():
    """Only opinions there are, of tracks that are shown."""
    told: list = []
    for raw in (None, 3, [], {}, {"track_id": "x", "verdict": "like"}, {"track_id": "a", "verdict": "love"},
                {"track_id": ["a"], "verdict": "like"}, {"track_id": "a"}):  # fmt: skip
        _tell_judgement(raw, {"a"}, lambda *given: told.append(given))
    for raw in (None, 3, {}, ["a"], "x"):
        _tell_follow(raw, {"a"}, told.append)
    for raw in (None, "a", {}, {"track_id": "a"}, {"track_id": "a", "how": "query"}, {"track_id": "x", "how": "to"},
                {"track_id": "a", "how": ["to"]}):  # fmt: skip
        _tell_taken(raw, {"a"}, lambda *given: told.append(given))
    assert told == []
    _tell_taken({"track_id": "a", "how": "like_too"}, {"a"}, lambda *given: told.append(given))
    assert told.pop() == ("a", "like")
    _tell_judgement({"track_id": "a", "verdict": "like"}, {"a"}, lambda *given: told.append(given))
    _tell_follow("a", {"a"}, told.append)
    assert told == [("a", "like"), "a"]


def test_a_list_is_no_list_without_tracks():
    with pytest.raises(InputError):
        player([], key="k")
    assert PlayerTrack.of(track("Largo")).row is None
