"""Tagged: what is kept of a recording says as what it is heard, and its library how unusual that is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.collections.opening import read_track
from mess_core.encoders.hearings import SAME_SOUND
from mess_core.encoders.mel import MEL
from mess_core.encoders.musicnn import MSD, MTT
from mess_core.encoders.vocabulary import WORDS, raw_names
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.exports import as_csv, as_document
from mess_core.search import tagged as module
from mess_core.search.answers import Answer, answer, build_index, make_plan, query_of
from mess_core.search.question import Question, check_question, parse_heard_as
from mess_core.search.tagged import (
    HIGH_FROM,
    STRONG_FROM,
    TaggedLibrary,
    require_tags,
    tagged_library,
    tags_in_common,
    tags_of,
    top_words,
    words_of,
)
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import scope_of
from tests.conftest import work
from tests.planted import a_track, embed, plant_tags, plant_tracks

pytestmark = pytest.mark.slow

N = 40
VIOLINS, VOICE, UNHEARD = (0, 1, 2), 5, 39  # rows


@pytest.fixture
def library(home) -> list[str]:
    """Forty recordings, three on a violin; the last one MusiCNN has not heard."""
    ids = plant_tracks(home, [a_track(row, work=f"work {row}", composer="C") for row in range(N)])
    embed(home, MEL, ids)
    rng = np.random.default_rng(0)
    heard: dict = {track_id: {"mtt:guitar": rng.uniform(0.2, 0.6)} for track_id in ids}
    for row, strength in zip(VIOLINS, (0.9, 0.8, 0.7), strict=True):
        heard[ids[row]] = {"mtt:violin": strength, "mtt:slow": 0.5 if row < 2 else 0.01}
    heard[ids[VOICE]] = [{"mtt:woman": 0.9}, {"msd:female vocalist": 0.1}, {}]
    del heard[ids[UNHEARD]]
    plant_tags(home, heard)
    return ids


def test_the_tags_of_a_recording_are_the_mean_of_its_segments(home, library) -> None:
    """And curves say when: a voice in the first three of nine seconds."""
    tags = tags_of(home, library[VOICE])
    assert tags.middles_s.tolist() == [1.5, 4.5, 7.5]
    times_s, curve = zip(*tags.curve("female voice"), strict=True)
    assert times_s == (1.5, 4.5, 7.5) and curve == pytest.approx((0.9, 0.1, 0.005), abs=0.01)
    raw = dict(zip(raw_names(), tags.raw, strict=True))
    assert raw["mtt:woman"] == pytest.approx((0.9 + 0.005 + 0.005) / 3, abs=0.01)
    assert raw["msd:female vocalist"] == pytest.approx((0.005 + 0.1 + 0.005) / 3, abs=0.01)
    assert tags.strengths[WORDS.index("female voice")] == raw["mtt:woman"]


def test_percentiles_are_places_in_the_library(home, library) -> None:
    """A law: one place each, evenly spread where no two are equal, whatever the strengths are."""
    tagged = tagged_library(home, "planted")
    assert list(tagged.track_ids) == [track_id for track_id in library if track_id != library[UNHEARD]]
    violin = tagged.values("violin", library)
    assert violin[UNHEARD] is None
    order = sorted((row for row in range(N) if violin[row] is not None), key=lambda row: -violin[row])
    assert order[:3] == list(VIOLINS)
    n = len(tagged.track_ids)
    assert violin[0] == pytest.approx(100 * (n - 0.5) / n) and violin[2] == pytest.approx(100 * (n - 2.5) / n)
    strengths = np.random.default_rng(1).uniform(0.1, 1, (50, 100)).astype(np.float32)
    ranks = TaggedLibrary.of([str(n) for n in range(50)], strengths).percentiles
    np.testing.assert_allclose(np.sort(ranks, axis=0)[:, 0], 100 * (np.arange(50) + 0.5) / 50)
    np.testing.assert_allclose(TaggedLibrary.of([str(n) for n in range(50)], strengths**2).percentiles, ranks)
    np.testing.assert_allclose(tagged.place(tagged.strengths), tagged.percentiles)


def test_what_is_not_heard_is_equal_however_little_it_is() -> None:
    """Noise where nothing is heard gives no places; beside one that is heard they are all below it."""
    raw = np.random.default_rng(1).uniform(0, 0.009, (10, 100)).astype(np.float32)
    quiet = TaggedLibrary.of([str(n) for n in range(10)], raw)
    assert (quiet.percentiles == 50).all() and (quiet.place(quiet.strengths[0] / 2) == 50).all()
    one = np.where(np.arange(10)[:, None] == 3, np.float32(0.02), raw)
    assert TaggedLibrary.of([str(n) for n in range(10)], one).values("opera", ["3", "4"]) == [95, 45]


def test_equal_recordings_stand_in_the_middle() -> None:
    tagged = TaggedLibrary.of(["a", "b", "c"], np.full((3, 100), 0.5, np.float32))
    assert (tagged.percentiles == 50).all() and tagged.stands_high("a") == frozenset()


def test_one_stands_high_where_it_is_clear_and_unusual(home, library) -> None:
    """Not where everything here is heard as that, nor where nothing is, however much more than the others."""
    tagged = tagged_library(home, "planted")
    assert tagged.stands_high(library[0]) == {"violin", "slow"} and "violin" in tagged.stands_high(library[1])
    assert tagged.stands_high(library[UNHEARD]) == frozenset()
    raw = np.random.default_rng(2).uniform(0, 0.9 * STRONG_FROM, (100, 100)).astype(np.float32)
    weak = TaggedLibrary.of([str(n) for n in range(100)], raw)
    assert weak.percentiles.max() > 99 and not any(map(weak.stands_high, weak.track_ids))


def test_what_is_heard_though_it_was_not_wanted(home, library) -> None:
    """Clearly, and more than most of the library is; nothing of who was not heard."""
    tagged = tagged_library(home, "planted")
    assert tagged.still_heard(library[0], ["violin", "slow", "harp"]) == ["violin", "slow"]
    assert tagged.still_heard(library[3], ["violin"]) == [] == tagged.still_heard(library[UNHEARD], ["violin"])


def test_what_two_recordings_have_in_common(home, library) -> None:
    tagged = tagged_library(home, "planted")
    found = tags_in_common(home, tagged, library[0], library)
    assert found[library[1]] == ["violin", "slow"] and found[library[2]] == ["violin"]
    assert all(found[track_id] == [] for row, track_id in enumerate(library) if row > 2)
    assert not any(tags_in_common(home, tagged, library[UNHEARD], library).values())


def test_few_are_read_one_by_one_and_many_as_a_library(home, library, monkeypatch) -> None:
    few = words_of(home, "planted", library)
    assert few[library[0]] == ["violin", "slow"] and library[UNHEARD] not in few
    monkeypatch.setattr(module, "MOST_READ", 3)
    assert words_of(home, "planted", library) == few
    assert top_words(np.zeros(len(WORDS))) == []


def test_what_was_read_is_packed_and_read_again_only_where_it_changed(home, library, monkeypatch) -> None:
    """Sixteen files: of a new recording only its own is made again, and the numbers are the same."""
    monkeypatch.setattr(module, "PER_FILE", 4)
    read, really = [], module._segments_of
    monkeypatch.setattr(module, "_segments_of", lambda *asked: read.append(asked[1]) or really(*asked))
    module._tagged.cache_clear()
    before = tagged_library(home, "planted")
    assert sorted(read) == sorted(before.track_ids)
    for remembered in (module._tagged, module._mean_of):  # as in another process
        remembered.cache_clear()
    read.clear()
    again = tagged_library(home, "planted")
    assert read == [] and again.raw.tobytes() == before.raw.tobytes()
    plant_tags(home, {library[UNHEARD]: {"mtt:harp": 0.9}})
    tagged_library(home, "planted")
    own_group = {track_id for track_id in library if track_id[:1] == library[UNHEARD][:1]}
    assert set(read) == own_group & {*tagged_library(home, "planted").track_ids}
    read.clear()
    plant_tags(home, {library[UNHEARD]: {"mtt:harp": 0.9, "mtt:flute": 0.01}})
    more = tagged_library(home, "planted")
    assert len(more.track_ids) == N and read == [library[UNHEARD]], "what this process has read, it remembers"
    assert more.stands_high(library[UNHEARD]) == {"harp"}


def test_a_damaged_embedding_costs_its_own_tags(home, library) -> None:
    (path,) = [path for path in home.store.file_paths(library[1]) if "musicnn-mtt" in str(path)]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    module._tagged.cache_clear()
    tagged = tagged_library(home, "planted")
    assert library[1] not in tagged.rows and len(tagged.track_ids) == N - 2
    assert words_of(home, "planted", library[:2]).keys() == {library[0]}


def test_what_was_embedded_is_packed_before_a_page_asks(home, library, write_wav, monkeypatch) -> None:
    """By the job that embedded it: a page that opens a library reads one file, not each recording's."""
    new = [read_track(write_wav("a", 6.0, 1))]
    home.catalogue.add(new[0].audio.parent, new, "new")
    submit(home, ExtractRequest("new", SAME_SOUND))
    work(home)
    assert home.jobs.latest("extract").state == "done"
    for remembered in (module._tagged, module._mean_of):  # the page is another process
        remembered.cache_clear()
    monkeypatch.setattr(module, "_segments_of", lambda *_: pytest.fail("read one by one"))
    assert tagged_library(home, "new").track_ids == (new[0].track.track_id,)


def test_before_musicnn_has_heard_it_one_sentence_says_what_to_do(home) -> None:
    (track_id,) = plant_tracks(home, [a_track(0)])
    with pytest.raises(DataMissingError, match=r"not heard any recording of library 'planted'.*extract"):
        require_tags(home, "planted")
    with pytest.raises(DataMissingError, match=rf"not heard track {track_id}.*extract"):
        tags_of(home, track_id)


# --- in a search ----------------------------------------------------------------------------------------------


def ask(home, query: str, **question) -> Answer:
    scope = scope_of(home, "planted", MEL.id)
    plan = make_plan(scope, Question(**question), None)
    return answer(build_index(plan), plan, query_of(scope, home.catalogue.track(query)))


def test_only_what_is_heard_as_that_is_found(home, library) -> None:
    """In the order in which it was found without."""
    found = ask(home, library[7], heard_as=("violin",))
    every = [item.track.track_id for item in ask(home, library[7], k=N).found]
    violins = {library[row] for row in VIOLINS}
    assert [item.track.track_id for item in found.found] == [track_id for track_id in every if track_id in violins]
    assert found.plan.notices == (f"1 of {N} recordings is left out: not heard by MusiCNN yet.",)
    slow = ask(home, library[7], heard_as=("violin", "slow"))
    assert {item.track.track_id for item in slow.found} == {library[0], library[1]}
    assert ask(home, library[7], heard_as=("opera",)).found == ()


def test_exports_say_as_what_it_is_heard(home, library) -> None:
    found = ask(home, library[7], k=N)
    said = {result["track_id"]: result["heard_as"] for result in as_document(found)["results"]}
    assert said[library[0]] == ["violin", "slow"] and said[library[UNHEARD]] is None
    rows = as_csv(found).splitlines()
    column = rows[0].split(",").index("heard_as")
    assert any('"violin, slow"' in row for row in rows) and column == 6


def test_words_are_known_by_any_of_their_names() -> None:
    assert parse_heard_as(["Violin", " WOMAN ", "violins"]) == ("violin", "female voice")
    with pytest.raises(InputError, match=r"heard as 'violn'.*mean violin"):
        parse_heard_as(["violn"])
    with pytest.raises(InputError, match="no tag 'fiddlestick'"):
        check_question(Question(heard_as=("fiddlestick",)))


# --- on the command line --------------------------------------------------------------------------------------


def run(home, capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["--home", str(home.paths.root), *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_tags_on_the_command_line(home, library, capsys) -> None:
    code, out, warned = run(home, capsys, "tags", "--library", "planted", "--json")
    document = json.loads(out)
    assert code == 0 and len(document["tracks"]) == N - 1 and "left out" in warned
    first = next(track for track in document["tracks"] if track["track_id"] == library[0])
    assert first["tags"].keys() == set(raw_names()) and first["tags"]["mtt:violin"] == pytest.approx(0.9, abs=0.01)
    assert first["words"].keys() == set(WORDS) and first["words"]["violin"]["percentile"] > HIGH_FROM
    code, out, _ = run(home, capsys, "tags", library[0], "--library", "planted")
    assert code == 0 and "violin 0.90 (99 %)" in out and "genre" in out
    code, out, _ = run(home, capsys, "tags", "--library", "planted")
    assert code == 0 and len(out.splitlines()) == N - 1


def test_wrong_use_is_one_sentence(home, library, capsys) -> None:
    for arguments, says in (
        (("tags", "--library", "nosuch"), "nosuch"),
        (("tags", "0123456789abcdef"), "0123456789abcdef"),
        (("tags", library[UNHEARD]), "not heard"),
        (("similar", library[0], "--encoder", "mel", "--heard-as", "violn"), "violin"),
    ):
        code, _, said = run(home, capsys, *arguments)
        assert code == 2 and says in said and said.count("\n") <= 2
    code, out, _ = run(home, capsys, "similar", library[7], "--encoder", "mel", "--heard-as", "woman", "--json")
    assert code == 0 and [found["track_id"] for found in json.loads(out)["results"]] == [library[VOICE]]


def test_both_trainings_are_needed(home) -> None:
    (track_id,) = plant_tracks(home, [a_track(0)])
    plant_tags(home, {track_id: {}})
    home.store.forget(track_id, MSD.fingerprint)
    assert home.store.has(track_id, MTT) and words_of(home, "planted", [track_id]) == {}
