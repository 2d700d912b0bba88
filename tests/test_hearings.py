"""Hearings: layers of several encoders as one ear, from the store to the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.embeddings.store import TrackEmbedding, side_by_side
from mess_core.encoders import hearings
from mess_core.encoders.hearings import PREFIX, Hearing, layer_hearing
from mess_core.encoders.mel import MEL, MFCC
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import encoder_ids, encoder_info, hearing_ids, load_encoder
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.served import build_served
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.explaining import plan_of_reasons, query_of_reasons
from mess_core.search.learned import load_metric
from mess_core.search.question import Question
from mess_core.search.reasons import find_reasons
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.learn import LearnRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope, scope_of, scope_to_listen
from tests.conftest import work
from tests.planted import a_track, discover, embed, plant_embeddings, plant_heard_library, plant_tracks

MUSIC, SOUND, EITHER = f"{PREFIX}music", f"{PREFIX}sound", f"{PREFIX}either"
PARTS = ((NANO.id, (5, 6), "same music"), (MEL.id, (0,), "same sound and style"))


@pytest.fixture(autouse=True)
def planted_hearings(monkeypatch):
    made = {
        MUSIC: Hearing(MUSIC, "Music", "", PARTS[:1]),
        SOUND: Hearing(SOUND, "Sound", "", PARTS[1:]),
        EITHER: Hearing(EITHER, "Either", "", PARTS),
        f"{PREFIX}far": Hearing(f"{PREFIX}far", "Far", "", (("nosuch", (0,), "x"),)),
    }
    monkeypatch.setattr(hearings, "HEARINGS", made)
    monkeypatch.setattr("mess_core.encoders.registry.HEARINGS", made)


def info_of(home, hearing: str):
    return encoder_info(hearing, home.paths)


def test_a_hearing_is_known_by_its_parts(home) -> None:
    """Its layers are theirs; another layer, another version of an encoder, another name of a part: another hearing."""
    info = info_of(home, EITHER)
    assert info.n_layers == 3 and info.widths == (NANO.dim, NANO.dim, MEL.embedding_dim)
    assert [each.id for each in info.encoders] == ["nano", "mel"] and MEL.encoders == (MEL,)
    others = [
        replace(info, parts=(replace(info.parts[0], layers=(5, 7)), info.parts[1])),
        replace(info, parts=(replace(info.parts[0], info=replace(NANO, revision="2")), info.parts[1])),
        replace(info, parts=info.parts[::-1]),
    ]
    assert len({each.fingerprint for each in [info, *others]}) == 4
    assert info.layer_in_words(1) == "layer 6 of MESS-nano" and NANO.layer_in_words(7) == "layer 7 of MESS-nano"
    same = replace(info, parts=(replace(info.parts[0], info=replace(NANO, title="Other words")), info.parts[1]))
    assert same.fingerprint == info.fingerprint
    assert hearing_ids() == (MUSIC, SOUND, EITHER)  # of the far one an encoder is not here
    assert not set(hearing_ids()) & set(encoder_ids())


def test_one_layer_is_a_hearing(home):
    """It is explained by its own encoder; a layer that there is not, and a layer of a hearing, are refused."""
    info = info_of(home, layer_hearing("nano", 7))
    assert (info.title, info.n_layers, info.dim) == ("Layer 7 of MESS-nano", 1, NANO.dim)
    assert info.explained_by == NANO and [part.layers for part in info.parts] == [(7,)]
    for wrong, said in (
        ("hearing:layer:nano:13", "has no layer 13, expected 0 to 12"),
        ("hearing:layer:nosuch:1", "no encoder called 'nosuch'"),
        (layer_hearing(EITHER, 0), "is a hearing"),
        ("hearing:layer:nano:-1", "no hearing"),
        ("hearing:layer:7", "no"),
    ):
        with pytest.raises(InputError, match=said):
            info_of(home, wrong)


@pytest.mark.slow
def test_what_is_no_encoder_is_said_in_a_sentence(home) -> None:
    with pytest.raises(InputError, match="no hearing 'hearing:nosuch'"):
        info_of(home, "hearing:nosuch")
    with pytest.raises(InputError, match="heard by nano and mel"):
        load_encoder(EITHER, home.paths)
    plant_heard_library(home, NANO, MEL)
    submit(home, ProbeRequest("planted", EITHER))
    work(home)
    assert "nobody can probe it as one" in home.jobs.latest("probe").message
    with pytest.raises(InputError, match="no other search engine"):
        build_served(scope_of(home, "planted", EITHER))
    build_served(scope_of(home, "planted", MUSIC))


@pytest.mark.slow
def test_the_store_lays_layers_side_by_side(home) -> None:
    ids = plant_heard_library(home, NANO, MEL)
    info = info_of(home, EITHER)
    scope = Scope(home, "planted", info)
    nano, mel = (home.store.load(ids, each).vectors for each in (NANO, MEL))
    found = scope.embeddings()
    assert list(found.track_ids) == ids and found.vectors.shape == (40, 3, max(NANO.dim, MEL.embedding_dim))
    np.testing.assert_array_equal(found.vectors[:, :2, : NANO.dim], nano[:, 5:7])
    np.testing.assert_array_equal(found.vectors[:, 2, : MEL.embedding_dim], mel[:, 0])
    np.testing.assert_array_equal(found.vectors[3], scope.embedding(ids[3]).mean)
    assert not found.vectors.flags.writeable and scope.n_embedded == 40
    assert home.store.segment_counts(ids, info).tolist() == [4] * 40


@pytest.mark.slow
def test_a_track_is_heard_when_all_parts_have_heard_it(home) -> None:
    """What is missing is embedded by the same request; nothing twice, and another version of a part is another."""
    ids = plant_heard_library(home, NANO)
    scope = scope_of(home, "planted", EITHER)
    before = scope.content
    assert scope.n_embedded == 0 and len(scope.missing_tracks) == 40 and scope.estimate().n_tracks == 40
    with pytest.raises(DataMissingError, match="no embedding by mel"):
        scope.embedding(ids[0])
    embed(home, MEL, ids[:30])
    assert scope.n_embedded == 30 and scope.content != before
    assert [track.track_id for track in scope.missing_tracks] == ids[30:]
    assert scope_of(home, "planted", MUSIC).n_embedded == 40
    assert len(answer_of(scope, ids[0]).found) == 10  # searches go on with what is there


@pytest.mark.slow
def test_a_question_that_names_no_encoder_is_heard_by_the_first_hearing_that_has_heard_all(home, monkeypatch) -> None:
    """Not before: no recording that the default encoder has may be out of sight."""
    table = dict(sorted(hearings.HEARINGS.items(), key=lambda each: each[0] != EITHER))
    monkeypatch.setattr("mess_core.encoders.registry.HEARINGS", table)
    assert hearing_ids() == (EITHER, MUSIC, SOUND)
    ids = plant_heard_library(home, MEL)
    assert scope_to_listen(home, "planted").info.id == SOUND
    embed(home, NANO, ids)
    assert scope_to_listen(home, "planted").info.id == EITHER
    more = plant_tracks(home, [a_track(row) for row in range(100, 103)])
    assert scope_to_listen(home, "planted").info.id == EITHER
    embed(home, NANO, more)
    assert scope_to_listen(home, "planted").info.id == MUSIC
    embed(home, MEL, more)
    assert scope_to_listen(home, "planted").info.id == EITHER
    monkeypatch.setattr("mess_core.encoders.registry.HEARINGS", {})
    assert scope_to_listen(home, "planted").info == NANO


@pytest.mark.slow
def test_extraction_embeds_with_every_part(home, write_wav) -> None:
    from mess_core.collections.opening import read_track

    new = [read_track(write_wav(name, 6.0, seed)) for seed, name in enumerate("abc")]
    home.catalogue.add(new[0].audio.parent, new[:2], "music")
    submit(home, ExtractRequest("music", EITHER))
    work(home)
    assert len(home.store.known(NANO)) == len(home.store.known(MEL)) == 2
    assert scope_of(home, "music", EITHER).missing_tracks == []
    home.catalogue.add(new[0].audio.parent, new[2:], None)  # an upload that is asked about
    submit(home, EncodeRequest(new[2].track.track_id, SOUND))
    work(home)
    assert home.store.has(new[2].track.track_id, MEL)
    assert home.store.has(new[2].track.track_id, NANO)  # which tells of its aspects
    assert home.jobs.latest("encode").state == "done"


@pytest.mark.slow
def test_the_bar_of_a_hearing_is_that_of_all_its_encoders(home, write_wav, monkeypatch) -> None:
    """Both hear each file as it is read: the bar is full when both have heard everything, and never goes back."""
    from mess_core.collections.opening import read_track

    home.catalogue.add(
        write_wav("a", 6.0, 1).parent, [read_track(write_wav(name, 6.0, seed)) for seed, name in enumerate("ab")], "m"
    )
    monkeypatch.setattr("mess_core.work.task.PROGRESS_EVERY_S", 0.0)
    shares: list[float] = []
    tell = type(home.jobs).progress

    def note(jobs, *arguments, n_done, n_total, message) -> None:
        shares.append(n_done / max(n_total, 1))
        tell(jobs, *arguments, n_done=n_done, n_total=n_total, message=message)

    monkeypatch.setattr(type(home.jobs), "progress", note)
    submit(home, ExtractRequest("m", EITHER))
    work(home)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(set(shares)) > 2


def test_segments_are_joined_by_time() -> None:
    """Of the second encoder, whose segments are shorter, those that sound in the middle of the first one's."""
    short = replace(MFCC, segment_s=2.0, hop_s=1.0)
    parts = (hearings.Part(MEL, (0,), "a"), hearings.Part(short, (0,), "b"))
    info = replace(MEL, id="hearing:x", n_layers=2, parts=parts, widths=(MEL.embedding_dim, short.embedding_dim))

    def numbered(of, starts_s) -> TrackEmbedding:
        segments = np.zeros((len(starts_s), 1, of.embedding_dim), np.float16) + np.array(starts_s)[:, None, None]
        return TrackEmbedding(
            segments.astype(np.float16), np.array(starts_s, np.float32), segments.mean(0).astype(np.float32),
            np.zeros((1, of.dim), np.float32),
        )  # fmt: skip

    one, other = numbered(MEL, [0.0, 2.5, 5.0]), numbered(short, list(range(9)))
    joined = side_by_side(info, {MEL: one, short: other})
    assert joined.starts_s.tolist() == [0.0, 2.5, 5.0] and joined.segments[:, 0, 0].tolist() == [0.0, 2.5, 5.0]
    # Middles at 2.5, 5 and 7.5 s; theirs at 1, 2, 3, …: of two as near the earlier one.
    assert joined.segments[:, 1, 0].tolist() == [1.0, 4.0, 6.0]
    assert not joined.segments[:, 1, short.embedding_dim :].any()


def answer_of(scope: Scope, track_id: str, **question):
    plan = make_plan(scope, Question(**question), scope.discovery_for_search())
    track = scope.workspace.catalogue.track(track_id)
    return answer(build_index(plan), plan, query_of(plan.scope, track))


@pytest.mark.slow
def test_an_answer_says_in_which_hearing(home) -> None:
    ids = plant_heard_library(home, NANO, MEL)
    found = answer_of(scope_of(home, "planted", EITHER), ids[0])
    for item in found.found:
        assert item.neighbour.hearings.keys() == {"same music", "same sound and style"}
        assert item.moment is not None
    alone = answer_of(scope_of(home, "planted", MUSIC), ids[0])
    assert all(item.neighbour.hearings is None for item in alone.found)


@pytest.mark.slow
def test_aspects_are_told_by_the_encoder_that_explains_it(home) -> None:
    """Asked for, they are compared by it and the asker is told; reasons are by it whatever is asked."""
    ids = plant_heard_library(home, NANO, MEL)
    discover(home, NANO)
    scope = scope_of(home, "planted", EITHER)
    plain = answer_of(scope, ids[0])
    assert plain.plan.scope == scope and plain.plan.discovery is None
    by_aspect, by_nano = (
        answer_of(each, ids[0], aspects={"brightness": 1.0}) for each in (scope, scope_of(home, "planted", "nano"))
    )
    assert [item.neighbour for item in by_aspect.found] == [item.neighbour for item in by_nano.found]
    assert by_aspect.plan.scope.info == NANO and "Aspects are told by MESS-nano alone" in by_aspect.plan.notices[0]
    plan = plan_of_reasons(plain.plan)
    assert plan is not None and plan.scope.info == NANO
    query = query_of_reasons(plan, plain)
    reasons = find_reasons(build_index(plan), query, [item.track.track_id for item in plain.found])
    assert all(reasons.values())
    unheard = replace(plain, query=replace(plain.query, track_id="0" * 16))
    assert query_of_reasons(plan, unheard) is None


def test_a_hearing_learns_and_is_searched_by(home) -> None:
    """Weights of its layers are taught by works: the layer that tells them gets more, and search goes by it."""
    rng = np.random.default_rng(0)
    tracks = [a_track(row, work=f"work {row // 5}", performer=f"player {row % 5}") for row in range(60)]
    plant_tracks(home, tracks)
    of_work = rng.standard_normal((12, NANO.dim))
    for info in (NANO, MEL):
        vectors = {}
        for row, track in enumerate(tracks):
            own = rng.standard_normal((info.n_layers, info.embedding_dim))
            if info is NANO:
                own[6] += 0.5 * of_work[row // 5]
            vectors[track.track_id] = own
        plant_embeddings(home, info, vectors)
    scope = scope_of(home, "planted", EITHER)
    submit(home, LearnRequest("planted", EITHER, "works", "layers", n_seeds=1, activates=True))
    work(home)
    metric = load_metric(scope)
    assert metric is not None and metric.fingerprint == scope.info.fingerprint
    ends = np.cumsum(scope.info.widths)
    weights = [float((part**2).mean()) for part in np.split(metric.transform.scale, ends[:-1])]
    assert max(weights) == weights[1]
    plan = make_plan(scope, Question(geometry="learned"), None)
    assert plan.learned is not None and plan.scope.info.id == EITHER
    found = answer(build_index(plan), plan, query_of(scope, tracks[0]))
    assert sum(each.track.work == "work 0" for each in found.found[:4]) >= 2
