"""What rests on a library, as it is named before somebody removes it."""

from __future__ import annotations

import shutil

import pytest

from mess_core.encoders.mel import MEL
from mess_core.study.examples import write_planted_plan
from mess_core.study.kept import StudyFacts, save_study, study_folder
from mess_core.study.plan import read_plan
from mess_core.upkeep.resting import what_rests_on
from mess_core.workspace.workspace import Workspace
from tests.planted import a_track, plant_tracks


def _keep_study(home, library: str) -> None:
    plan = read_plan(write_planted_plan(home.paths, library, [MEL.id], MEL.id))
    save_study(home.paths, StudyFacts(plan, 4, 4, 8, "content", {}, {}))


@pytest.mark.slow
def test_everything_that_was_made_of_a_library_is_named(everything_once, tmp_path):
    home = Workspace(shutil.copytree(everything_once, tmp_path / "copy"))
    _keep_study(home, "music")
    _keep_study(home, "others")
    home.sittings.begin("me", "music", "Which is more like X?", "mel", 10, 0)
    said = what_rests_on(home, "music")
    assert said[1:3] == ("1 map", "1 learned similarity")
    assert {"1 sitting of Judge", "the study “planted-music”"} < set(said) and "the study “planted-others”" not in said
    assert "discover" in said[0]
    assert what_rests_on(home, "nothing") == ()
    (study_folder(home.paths, "planted-music") / "study.json").write_text("{}")
    home.opinions.judge(home.catalogue.tracks("music")[0].track_id, "like")
    assert "the study “planted-music”" not in what_rests_on(home, "music"), "one that cannot be read is named nowhere"


def test_only_opinions_on_recordings_of_no_other_library_count(home):
    ids = plant_tracks(home, [a_track(number) for number in range(3)], "one")
    home.opinions.judge(ids[0], "like")
    home.opinions.add_play(ids[1], 3.0)
    assert what_rests_on(home, "one") == ("your taste (2 plays, likes and dislikes)",)
    home.catalogue.add_to_library("two", ids[:1])
    assert what_rests_on(home, "one") == ("your taste (1 play, like or dislike)",)
    assert what_rests_on(home, "two") == ()
