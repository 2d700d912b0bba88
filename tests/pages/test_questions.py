"""What Listen can be asked beyond the nearest of one recording: several, the furthest, an order along an aspect."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mess_core.encoders.mel import MEL
from mess_core.encoders.registry import DEFAULT
from mess_core.search.answers import Answer, answer, build_index, make_plan, query_of
from mess_core.search.engines.chosen import keep_engine
from mess_core.search.paths import TrackPath, find_path, question_of_path
from mess_core.search.question import Question
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.pages.conftest import RowClicks, words
from tests.planted import embed_works, plant_targets, plant_tracks, tracks_of_works

pytestmark = pytest.mark.slow
LISTEN = "pages/4_Listen.py"


def expected(track_id: str, **request: object) -> Answer:
    """What the core answers; of twelve recordings only the log-mel control has heard anything."""
    scope = Scope(Workspace(), "music", MEL)
    plan = make_plan(scope, Question(**request), scope.discovery_for_search())
    return answer(build_index(plan), plan, query_of(plan.scope, scope.workspace.catalogue.track(track_id)))


def titles(at: AppTest) -> list[str]:
    return list(at.dataframe[0].value["title"])


def titles_of(found: Answer) -> list[str]:
    return [item.track.title for item in found.found]


def buttons(at: AppTest, start: str) -> list[str]:
    return [button.key for button in at.button if (button.key or "").startswith(start)]


def test_a_row_is_liked_too_another_not_and_both_are_chips_in_the_link(launch, bright, click_in_row):
    at = launch(LISTEN, query=bright[3], library="music")
    liked = click_in_row.shown[1].id
    click_in_row(at, "take", 1, "like")
    assert at.query_params["like"] == liked and buttons(at, "like ") == [f"like {liked}"]
    assert titles(at) == titles_of(expected(bright[3], like=(liked,)))
    unlike = click_in_row.shown[1].id
    click_in_row(at, "take", 1, "unlike")
    assert at.query_params["unlike"] == unlike and at.query_params["like"] == liked
    wanted = titles_of(expected(bright[3], like=(liked,), unlike=(unlike,)))
    assert titles(at) == wanted and "most like the query and 1 other, and least like 1 other" in words(at)
    again = launch(LISTEN, query=bright[3], library="music", like=liked, unlike=unlike)
    assert titles(again) == wanted
    at.button(key=f"like {liked}").click().run()
    assert "like" not in at.query_params and titles(at) == titles_of(expected(bright[3], unlike=(unlike,)))
    click_in_row(at, "follow", 1)
    assert "unlike" not in at.query_params, "what was named goes with its query"


def opened(at: AppTest, *keys: str) -> AppTest:
    """The page with the choice of what is named open."""
    at.session_state[f"offer {' '.join(keys)}"] = True
    return at.run()


def test_a_recording_is_named_beside_the_query_and_once(launch, bright):
    at = launch(LISTEN, query=bright[3], library="music")
    assert not [each for each in at.selectbox if each.key == "add like"], "its names are sent when somebody opens it"
    opened(at, "like", "unlike").selectbox(key="add like").select(bright[7]).run()
    assert not at.exception and at.query_params["like"] == bright[7] and at.selectbox(key="add like").value is None
    at.selectbox(key="add unlike").select(bright[8]).run()
    assert at.query_params["unlike"] == bright[8]
    # A browser that is a run behind may name it once more.
    assert (
        bright[7] not in at.selectbox(key="add unlike").options
        and bright[3] not in at.selectbox(key="add like").options
    )


def test_names_in_a_link_that_cannot_be_meant_are_left_out_and_said(launch, bright):
    """The query itself, one on both sides, and what is not here."""
    at = launch(LISTEN, query=bright[3], library="music", like=bright[3], unlike="nosuch")
    assert "not in this library (any more)" in words(at) and "like" not in at.query_params
    assert titles(at) == titles_of(expected(bright[3]))
    both = launch(LISTEN, query=bright[3], library="music", like=bright[5], unlike=bright[5])
    assert both.query_params["like"] == bright[5] and "unlike" not in both.query_params


def test_the_furthest_are_a_click_away_and_in_the_link(launch, bright):
    at = launch(LISTEN, query=bright[3], library="music")
    nearest = titles(at)
    at.segmented_control(key="order").set_value("furthest").run()
    assert not at.exception and at.query_params["order"] == "furthest" and "10 furthest recordings" in words(at)
    assert titles(at) == titles_of(expected(bright[3], reverse=True)) and titles(at)[-1] in nearest
    at.segmented_control(key="order").set_value("nearest").run()
    assert titles(at) == nearest and "order" not in at.query_params


def test_the_library_in_order_along_an_aspect(launch, bright):
    """From the darkest, by what was discovered; then by values, then from the other end; where the query stands."""
    at = launch(LISTEN, query=bright[3], library="music", order="along", along="brightness", k="11")
    found = expected(bright[3], along="brightness", k=11)
    assert titles(at) == titles_of(found) and "11 recordings along brightness, from darker to brighter" in words(at)
    assert found.dial.of_query in words(at) and found.plan.geometry == "direction"
    at.segmented_control(key="falling").set_value(True).run()
    assert titles(at) == titles_of(found)[::-1] and at.query_params["falling"] == "true"
    values = launch(
        LISTEN, query=bright[3], library="music", order="along", along="brightness", geometry="measured", k="11"
    )
    ordered = sorted(titles_of(found), key=lambda title: int(title.split()[1]))
    assert titles(values) == ordered and list(values.dataframe[0].value["measured"]) == sorted(
        values.dataframe[0].value["measured"]
    )


def test_an_order_along_an_aspect_has_no_dials_and_they_wait(launch, bright):
    """Nothing is compared in it, whatever was asked, left out or named; Nearest first has all of it again."""
    at = launch(
        LISTEN, query=bright[3], library="music", order="along", along="brightness", **{"not": "brightness"}, k="11"
    )
    assert titles(at) == titles_of(expected(bright[3], along="brightness", k=11)) and not at.select_slider
    assert "nothing is compared: the dials wait meanwhile." in words(at)
    at.segmented_control(key="order").set_value("nearest").run()
    assert not at.exception and at.select_slider(key="dial-brightness").value == -1.0
    assert titles(at) == titles_of(expected(bright[3], avoid=("brightness",), k=11))
    named = launch(LISTEN, query=bright[3], library="music", order="along", like=bright[5], brightness="0.5")
    assert "the dials wait and what was named with + and − waits meanwhile." in words(named)


def test_an_order_along_what_is_not_offered_falls_back(launch, bright):
    at = launch(LISTEN, query=bright[3], library="music", order="along", along="nosuch")
    assert not at.exception and at.selectbox(key="along").value == "brightness"
    assert at.query_params["order"] == "along"


def test_recordings_of_one_work_stand_under_the_nearest_until_they_are_opened(launch, bright, click_in_row):
    """Two works have two recordings each. The list opens and closes; numbers and files hold all of them."""
    at = launch(LISTEN, query=bright[3], library="music", k="11")
    together = [track for track in click_in_row.shown if track.row.more]
    assert len(click_in_row.shown) == 1 + 11 - 2 and len(together) == 2 and len(titles(at)) == 11
    assert {track.row.more for track in together} == {"and 1 other of this work"}
    seen = {track.row.number for track in click_in_row.shown[1:]}
    held = [number for track in together for number in track.row.holds]
    assert seen | set(held) == set(map(str, range(1, 12))) and not seen & set(held), "a key for each row, seen or not"
    place = click_in_row.shown.index(together[0])
    click_in_row(at, "open", place)
    at.run()  # in a browser what a click calls comes before the run
    opened = click_in_row.shown
    assert len(opened) == 11 and opened[place].row.more == "hide 1 other" and opened[place + 1].row.is_under
    ranks = [int(track.row.number) for track in opened[1:]]
    assert len(set(ranks)) == 10 and ranks[place] > ranks[place - 1] and len(titles(at)) == 11
    works = {track.track_id: track.work for track in Workspace().catalogue.tracks("music")}
    assert works[opened[place].id] == works[opened[place + 1].id]
    click_in_row(at, "open", place)
    at.run()
    assert len(click_in_row.shown) == 10
    apart = launch(LISTEN, query=bright[3], library="music", k="11", together="false")
    assert len(click_in_row.shown) == 12 and not any(track.row.more for track in click_in_row.shown)
    assert apart.query_params["together"] == "false" and titles(apart) == titles(at)


def test_the_numbers_say_what_answered_and_a_database_that_does_not_costs_a_sentence(launch, home, bright, monkeypatch):
    """The list is the same."""
    at = launch(LISTEN, query=bright[3], library="music")
    said = words(at).replace("\\", "")
    assert re.search(r"Answered by FAISS, [0-9.]+ ms a lookup\.", said) and "in its place" not in said
    monkeypatch.setitem(sys.modules, "lancedb", None)
    keep_engine(home, "music", "lancedb")
    again = launch(LISTEN, query=bright[3], library="music")
    said = words(again).replace("\\", "")
    assert titles(again) == titles(at) and "Answered by FAISS" in said
    assert "LanceDB is not installed. FAISS answers in its place." in said


def path_between(ids: list[str], n: int = 8, **request: object) -> TrackPath:
    scope = Scope(Workspace(), "music", MEL)
    plan = make_plan(scope, question_of_path(Question(**request)), scope.discovery_for_search())
    stops = [query_of(plan.scope, scope.workspace.catalogue.track(track_id)) for track_id in ids]
    return find_path(build_index(plan), plan, stops, n)


def shown(clicks: RowClicks) -> list[str]:
    return [track.id for track in clicks.shown]


def test_a_path_to_a_row_is_played_and_in_the_link(launch, bright, click_in_row):
    """From a row, then by way of another, longer, and back to the nearest by a click on its end."""
    at = launch(LISTEN, query=bright[0], library="music")
    end = click_in_row.shown[5].id
    click_in_row(at, "take", 5, "to")
    path = path_between([bright[0], end])
    assert at.query_params["to"] == end and shown(click_in_row) == [step.track.track_id for step in path.steps]
    assert path.sentence in words(at) and [track.row.number for track in click_in_row.shown][:2] == ["1", "2"]
    assert not click_in_row.shown[0].row.acts and "steps" not in at.query_params
    said = [track.row.verdict_words for track in click_in_row.shown]
    assert said[0] == "the beginning" and said[-1].startswith("the end") and any("brightness" in line for line in said)
    assert [line.count("a wide step") for line in said[1:]] == [int(step.is_wide) for step in path.steps[1:]]
    others = [each for each in bright[1:] if each != end]
    opened(at, "via").selectbox(key="add via").select(others[3]).run()
    at.number_input(key="steps").set_value(5).run()
    assert not at.exception and at.query_params["via"] == others[3] and at.query_params["steps"] == "5"
    by_way = path_between([bright[0], others[3], end], 5)
    assert shown(click_in_row) == [step.track.track_id for step in by_way.steps]
    again = launch(LISTEN, query=bright[0], library="music", to=end, via=others[3], steps="5")
    assert shown(click_in_row) == [step.track.track_id for step in by_way.steps] and not again.exception
    at.button(key=f"to {end}").click().run()
    assert "to" not in at.query_params and "via" not in at.query_params and "nearest recordings" in words(at)


def test_a_path_is_chosen_beside_the_query_and_goes_with_it(launch, bright, click_in_row):
    at = launch(LISTEN, query=bright[0], library="music")
    opened(at, "to").selectbox(key="add to").select(bright[11]).run()
    assert at.query_params["to"] == bright[11] and shown(click_in_row)[-1] == bright[11]
    click_in_row(at, "take", 2, "like")
    assert "to" not in at.query_params and "like" in at.query_params
    at = launch(LISTEN, query=bright[0], library="music", to=bright[11])
    click_in_row(at, "follow", 2)
    assert "to" not in at.query_params and at.query_params["query"] != bright[0]


def test_a_path_in_a_link_that_cannot_be_meant_is_said(launch, bright):
    """To the query itself, to what is not here: none. Longer than the library: one sentence."""
    for end in (bright[0], "nosuch"):
        at = launch(LISTEN, query=bright[0], library="music", to=end)
        assert "to" not in at.query_params and "of the path in this link" in words(at) and titles(at)
    at = launch(LISTEN, query=bright[0], library="music", to=bright[4], steps="40")
    assert "A path of 40 recordings is asked for, and 12 recordings can be compared here." in words(at)
    at = launch(LISTEN, query=bright[0], library="music", to=bright[4], via=bright[4])
    assert not at.exception and "via" not in at.query_params and at.query_params["to"] == bright[4]


def test_what_is_asked_of_whole_recordings_waits_for_a_passage(launch, bright):
    at = launch(LISTEN, query=bright[5], library="music", passage="0:3", like=bright[7], order="furthest")
    assert not at.exception and "waits until it is gone" in words(at) and len(titles(at)) == 10
    assert at.query_params["like"] == bright[7]


# --- measured values --------------------------------------------------------------------------------------


def test_measured_values_let_in_what_lies_between_the_ends_of_a_slider(launch, bright, home):
    plant_targets(home, bright, {"tempo": np.linspace(60, 120, len(bright)), "key_pitch_class": np.zeros(len(bright))})
    at = launch(LISTEN, query=bright[0], library="music")
    everything = titles(at)
    at.multiselect(key="measured values to go by").set_value(["tempo"]).run()
    assert at.query_params["between"] == "tempo=:" and titles(at) == everything, "there is no limit yet"
    assert "Only recordings" not in [each.value for each in at.text]
    slider = at.slider(key="limits of tempo")
    assert (slider.min, slider.max) == (60, 120) and slider.value == (60, 120)
    slider.set_range(60, 90).run()
    assert at.query_params["between"] == "tempo=:90"
    slow = {home.catalogue.track(track_id).title for track_id in bright[: len(bright) // 2]}
    assert set(titles(at)) == slow & set(everything) and "Only with a tempo of at most 90 BPM" in words(at)
    again = launch(LISTEN, query=bright[0], library="music", between="tempo=:90")
    assert titles(again) == titles(at) and again.slider(key="limits of tempo").value == (60, 90)
    at.multiselect(key="measured values to go by").set_value(["tempo", "key_pitch_class"]).run()
    at.selectbox(key="limits of key_pitch_class").set_value("D").run()
    assert at.query_params["between"] == ["tempo=:90", "key_pitch_class=2:2"]
    assert "No other recording here has a tempo of at most 90 BPM and a tonic of D." in words(at)
    at.multiselect(key="measured values to go by").set_value([]).run()
    assert "between" not in at.query_params and titles(at) == everything


def test_all_recordings_come_back_with_a_click(launch, bright, home):
    plant_targets(home, bright, {"tempo": np.linspace(60, 120, len(bright))})
    at = launch(LISTEN, query=bright[0], library="music", between="tempo=200:")
    assert "No other recording here has a tempo of at least 200 BPM." in words(at)
    assert at.slider(key="limits of tempo").value == (120, 120)
    at.button(key="no filters").click().run()
    assert "between" not in at.query_params and titles(at)
    near = launch(LISTEN, query=bright[0], library="music", between="tempo=100:")
    near.button(key="no filters").click().run()
    assert "between" not in near.query_params and near.multiselect(key="measured values to go by").value == []


@pytest.mark.parametrize("nonsense", ["tempo", "tempo=9:1", "fame=1:2", "tempo=x:", "<b>=1:2"])
def test_limits_that_cannot_be_meant_are_said_and_left_out(launch, bright, nonsense):
    at = launch(LISTEN, query=bright[0], library="music", between=nonsense)
    assert f"The link asks for between={nonsense}" in words(at).replace("\\", "") and titles(at)


def test_a_query_far_from_all_is_said_and_a_usual_one_is_not(launch, home, monkeypatch):
    """Of the nearest of all alone: what a filter leaves says nothing of what is here."""
    said = "Even the nearest is further away than"
    works = tracks_of_works()
    plant_tracks(home, works)
    embed_works(home, works)
    link = {"query": works[5].track_id, "library": "planted", "encoder": DEFAULT}
    at = launch(LISTEN, **link)
    assert said not in words(at)
    nearest = at.dataframe[0].value["nearness"][0]
    monkeypatch.setattr("pages.shared.listen.panels.FAR", 101.0)
    at = launch(LISTEN, **link)
    assert f"{said} {100 - nearest:.0f} % of the recordings here are from theirs." in words(at).replace("\\", "")
    assert said not in words(launch(LISTEN, **link, performers=works[6].performer))
    assert said not in words(launch(LISTEN, **link, order="furthest"))
