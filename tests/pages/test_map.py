"""The Map page: what it draws, marks and says; what a browser fetches for it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from benchmarks.planted_map import LIBRARY, plant_map
from mess_core.catalogue.catalogue import Catalogue
from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.maps.drawing import load_view
from mess_core.maps.packed import CHOSEN, FOUND, LEFT_OUT
from mess_core.maps.settings import MapSettings
from mess_core.work.extract import ExtractRequest
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from pages.shared.map import chosen, large, packs, panels, views
from pages.shared.map import figures as map_figures
from pages.shared.map.figures import Colour
from pages.shared.map.points import points
from pages.shared.widgets import pickers
from pages.shared.widgets.charts import MOST_APART, PALETTE
from tests.conftest import move_in, work
from tests.pages.conftest import figures, words
from tests.planted import plant_tags


def fetched(address: str) -> bytes:
    """What a browser gets."""
    answer = TestClient(Starlette(routes=packs.PACK_ROUTES)).get(address)
    assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
    return answer.content


def shown(at: AppTest) -> dict:
    """What the large map was given, with what it fetches in place of the addresses."""
    (given,) = [
        json.loads(each.proto.json) for each in at.get("bidi_component") if each.proto.component_name == "mess_map"
    ]
    told = json.loads(fetched(given["titles"]))
    return given | {"ids": told["ids"], "titles": told["titles"]} | {
        name: array for of in ("places", "colours", "marks") for name, array in load(fetched(given[of])).items()
    }  # fmt: skip


def marked_as(drawn_map: dict, mark: int) -> set[str]:
    return {track_id for track_id, marks in zip(drawn_map["ids"], drawn_map["marks"], strict=True) if marks & mark}


def choose(at: AppTest, track_ids: list[str]) -> AppTest:
    """AppTest cannot click on the map: what a click leaves behind."""
    at.session_state[large.PICKED] = track_ids
    return at.run()


@pytest.fixture
def drawn(bright_library, made_once, home) -> Workspace:
    """A copy of the bright library with its map."""

    def draw(folder: Path) -> None:
        shutil.copytree(bright_library, folder / "home")
        made = Workspace(folder / "home")
        submit(made, MapRequest("music", MEL.id))
        work(made)
        made.database.close()

    move_in(made_once("drawn", draw) / "home", home)
    return home


def test_a_map_is_drawn_by_a_click(launch, bright):
    at = launch("pages/3_Map.py", library="music")
    assert "No map yet" in words(at)
    next(button for button in at.button if button.label == "Draw the map").click().run()
    assert [job.kind for job in Workspace().jobs.active()] == ["map"]
    assert next(button for button in at.button if button.label == "Draw the map").disabled
    assert "waits for its turn" in words(at)


@pytest.mark.slow
def test_the_map_shows_every_recording_and_how_far_to_trust_it(launch, drawn):
    query = drawn.catalogue.tracks("music")[0].track_id
    at = launch("pages/3_Map.py", library="music", query=query, colour="Brightness")
    large, view = shown(at), load_view(Scope(drawn, "music", MEL), 0)
    assert set(large["ids"]) == set(drawn.catalogue.track_ids("music")) and large["n"] == 12
    values = drawn.measurements.values(large["ids"], "spectral_centroid")
    assert large["values"] == pytest.approx(values)
    assert large["ids"][large["star"]] == query and len(large["path"]) > 0
    assert {large["ids"][row]: is_shown for row, is_shown in large["near"]} == {
        near.track_id: near.is_near_on_map for near in view.nearest(query)
    }
    assert "Trustworthiness" in words(at) and "brighter" in words(at)
    small = figures(at)[0]
    assert len([trace for trace in small["data"] if len(trace["x"]) == 12]) == 2  # the layer, and the aspects


@pytest.mark.slow
def test_what_is_chosen_on_the_map_is_a_table_and_the_next_question(launch, drawn):
    """AppTest cannot click into a figure; what a title looked for marks is shown all the same."""
    track = drawn.catalogue.tracks("music")[3]
    at = launch("pages/3_Map.py", library="music")
    at.selectbox(key="find").set_value(track.track_id).run()
    assert not at.exception and "The star is what you looked for" in words(at)
    for colour in ("region", "neighbours kept", "performer"):
        at.selectbox(key="colour").set_value(colour).run()
        assert not at.exception


@pytest.mark.slow
def test_a_link_names_the_point_that_was_clicked(launch, drawn):
    """As it does after a reload; one that is not on the map is said, and none is chosen."""
    track = drawn.catalogue.tracks("music")[3]
    at = launch("pages/3_Map.py", library="music", point=track.track_id)
    assert marked_as(shown(at), CHOSEN) == {track.track_id} and "The star is your choice" in words(at)
    at = launch("pages/3_Map.py", library="music", point="0" * 16)
    assert not marked_as(shown(at), CHOSEN) and f"point={'0' * 16}, which is not on this map" in words(at)


@pytest.mark.slow
def test_counts_behind_words_are_explained_where_there_are_any(launch, home):
    plant_map(home.paths.root, 400, n_whole=400)
    said = words(launch("pages/3_Map.py", library=LIBRARY, encoder="mel"))
    (n_there, n) = re.search(r"\((\d+) of (\d+)\): so many of the recordings that lie there", said).groups()
    assert f" ({n_there} of {n})" in said.partition("so many of")[0] and int(n_there) <= int(n)


@pytest.mark.slow
def test_the_map_marks_what_listen_found_and_what_it_leaves_out(launch, drawn):
    """Rings around what was found last; what no filter of Listen lets in is faint, and both are said."""
    query = drawn.catalogue.tracks("music")[0].track_id
    at = launch("pages/4_Listen.py", library="music", query=query, k="3", performers="p0")
    titles = list(at.dataframe[0].value["title"])
    at.switch_page("pages/3_Map.py").run()
    assert not at.exception
    large = shown(at)
    let_in = {track.track_id for track in drawn.catalogue.tracks("music") if track.performer == "p0"}
    assert marked_as(large, LEFT_OUT) == set(large["ids"]) - let_in and let_in
    assert {drawn.catalogue.track(each).title for each in marked_as(large, FOUND)} == set(titles)
    assert "Ringed: 3 recordings found on Listen." in words(at)
    assert f"they let in {len(let_in)} of 12 recordings" in words(at)


def test_what_is_drawn_around_is_a_table_and_all_of_it_is_told(launch, drawn):
    """The player takes eight, and says so; the row that is chosen decides which."""
    ids = sorted(drawn.catalogue.track_ids("music"))
    at = choose(launch("pages/3_Map.py", library="music"), ids)
    assert "12 recordings chosen" in words(at) and "In the player are numbers 1 to 8 of them" in words(at)
    assert marked_as(shown(at), CHOSEN) == set(ids) and shown(at)["star"] == -1
    table = next(each for each in at.dataframe if "work" in each.value.columns)
    assert list(table.value["title"]) == [drawn.catalogue.track(each).title for each in ids]


def test_the_row_that_is_chosen_in_the_table_is_ringed_and_in_the_player(launch, drawn, monkeypatch):
    ids = sorted(drawn.catalogue.track_ids("music"))
    monkeypatch.setattr(chosen, "_row_chosen", lambda table, n: 9)
    at = choose(launch("pages/3_Map.py", library="music"), ids)
    large = shown(at)
    assert large["ids"][large["row"]] == ids[9] and large["player_ids"] == ids[8:]
    assert "In the player are numbers 9 to 12 of them" in words(at)


@pytest.mark.slow
def test_names_and_regions_are_written_where_most_of_their_points_are(launch, drawn):
    at = launch("pages/3_Map.py", library="music", colour="performer")
    assert shown(at)["labels"] == [] and not shown(at)["has_density"]
    at.toggle(key="names on the map").set_value(True).run()
    assert {label["text"] for label in shown(at)["labels"]} == set(shown(at)["colouring"]["shades"])
    at.toggle(key="regions").set_value(True).run()
    assert shown(at)["has_density"] and not at.exception


@pytest.mark.slow
def test_a_map_is_coloured_by_where_recordings_stand_in_an_aspect(launch, drawn):
    """The planted cutoffs are what the aspect is about."""
    at = launch("pages/3_Map.py", library="music")
    at.selectbox(key="colour").set_value("aspect: brightness").run()
    assert not at.exception
    large = shown(at)
    cutoffs = [float(drawn.catalogue.track(track_id).title.split()[1]) for track_id in large["ids"]]
    assert np.corrcoef(np.log(cutoffs), large["values"])[0, 1] > 0.8
    assert large["colouring"]["title"] == "brighter (SD)"


@pytest.mark.slow
def test_a_map_is_coloured_by_a_tag(launch, drawn):
    """By percentile; what was not heard has no colour."""
    first, *others, unheard = sorted(drawn.catalogue.track_ids("music"))
    plant_tags(drawn, {track_id: {"mtt:harp": 0.1} for track_id in others} | {first: {"mtt:harp": 0.9}})
    at = launch("pages/3_Map.py", library="music", encoder="mel", colour="heard as: harp")
    assert not at.exception
    large = shown(at)
    colour = dict(zip(large["ids"], large["values"], strict=True))
    assert colour[first] == pytest.approx(100 * 10.5 / 11) and np.isnan(colour[unheard])
    assert [colour[track_id] for track_id in others] == pytest.approx([100 * 5 / 11] * 10)
    assert large["colouring"]["title"] == "harp (percentile)"


@pytest.mark.slow
def test_among_the_small_maps_the_current_one_is_in_bold(launch, drawn):
    at = launch("pages/3_Map.py", library="music")
    for current in at.select_slider(key="layer").options:
        at.select_slider(key="layer").set_value(current).run()
        titles = [annotation["text"] for annotation in figures(at)[0]["layout"]["annotations"]]
        (bold,) = [title for title in titles if title.startswith("<b>")]
        assert bold[3:-4].removeprefix("layer ") == current and len(titles) > 1


@pytest.mark.slow
def test_a_picture_by_pca_says_how_far_it_is_to_be_trusted(launch, drawn):
    """Its own figures, not those of UMAP's picture, which the rest of the page goes on telling of."""
    at = launch("pages/3_Map.py", library="music", layer="0")
    trust = load_view(Scope(drawn, "music", MEL), 0).pca_trust
    assert "This is PCA's picture" not in words(at)
    at.toggle(key="pca").set_value(True).run()
    assert not at.exception
    own = f"trustworthiness {trust.trustworthiness:.2f}, continuity {trust.continuity:.2f}."
    assert f"This is PCA's picture: {own}" in words(at)
    at.toggle(key="pca").set_value(False).run()
    assert "This is PCA's picture" not in words(at)


def test_a_point_is_heard_in_passing_unless_that_is_switched_off(launch, drawn):
    assert shown(launch("pages/3_Map.py", library="music"))["hears"] is True
    assert shown(launch("pages/3_Map.py", library="music", map_hover="false"))["hears"] is False


def test_the_settings_of_a_map_are_in_its_link(launch, drawn):
    at = launch("pages/3_Map.py", library="music", map_neighbours="7", map_metric="euclidean")
    assert "No map yet" in words(at)  # the one there is was drawn with others
    next(button for button in at.button if button.label == "Draw the map").click().run()
    settings = drawn.jobs.active()[0].arguments["settings"]
    assert (settings["n_neighbours"], settings["metric"]) == (7, "euclidean")


@pytest.mark.slow
def test_a_recording_added_later_is_placed_and_said_to_be(launch, drawn, write_wav):
    new = read_track(write_wav("newcomer", 6.0, 77))
    drawn.catalogue.add(new.audio.parent, [new], "music")
    submit(drawn, ExtractRequest("music", MEL.id))
    work(drawn)
    at = launch("pages/3_Map.py", library="music")
    assert "beside their nearest (diamonds): 1 recording." in words(at)
    next(button for button in at.button if button.label == "Draw again").click().run()
    assert [job.kind for job in drawn.jobs.active()] == ["map"]
    disabled = {button.label: button.disabled for button in at.button}
    assert disabled["Draw again"] and not disabled["Is it stable?"]
    large = shown(at)
    assert [large["ids"][row] for row in np.flatnonzero(large["kept"] == 255)] == [new.track.track_id]


@pytest.mark.parametrize(
    "raw", [None, [3], {"rows": [3]}, {"rows": "3", "titles": "t"}, {"rows": [12], "titles": "t"},
            {"rows": [-1], "titles": "t"}, {"rows": [True], "titles": "t"}, {"rows": [3], "titles": "another map's"}]
)  # fmt: skip
def test_a_choice_that_is_none_of_this_map_is_not_taken(raw):
    """A browser can send anything."""
    taken = []
    points._tell_picked(raw, a_map(), taken.append)
    assert taken == []


def test_a_choice_is_taken_once_each():
    taken = []
    points._tell_picked({"rows": [3, 0, 3], "titles": "t"}, a_map(), taken.append)
    points._tell_picked({"rows": [], "titles": "t"}, a_map(), taken.append)
    assert taken == [[3, 0], []]


def a_map() -> points.PointMap:
    colouring = points.Colouring("", {}, "#000000", "#000000")
    return points.PointMap("p", "c", "m", "t", n=12, colouring=colouring, label="", name="")


def test_what_is_held_for_browsers_is_bounded_and_made_again(monkeypatch):
    """The oldest gives way; of what is held still nothing is made twice."""
    monkeypatch.setattr(packs, "_held", type(packs._held)())
    monkeypatch.setattr(packs, "_digests", {})
    monkeypatch.setattr(packs, "MOST_BYTES", 25)
    made = []

    def make() -> bytes:
        made.append(None)
        return b"x" * 10

    first = packs.address_of_made("one", make)
    assert packs.address_of_made("one", make) == first and len(made) == 1
    packs.address_of(b"y" * 10)
    assert fetched(first) == b"x" * 10
    packs.address_of(b"z" * 10)
    assert TestClient(Starlette(routes=packs.PACK_ROUTES)).get(first).status_code == 404
    assert packs.address_of_made("one", make) == first and len(made) == 2 and fetched(first) == b"x" * 10


@pytest.mark.slow
def test_on_a_map_of_very_many_a_recording_is_found_by_words(launch, home, monkeypatch):
    """Not by a list of all of them, which would be sent with every click."""
    monkeypatch.setattr(pickers, "MOST_OFFERED", 20)
    home.database.close()
    plant_map(home.paths.root, 60)
    at = launch("pages/3_Map.py", library=LIBRARY, encoder="mel")
    assert "find" not in {each.key for each in at.selectbox}
    at.text_input(key="words to find").set_value("nocturne 17").run()
    (found,) = at.selectbox(key="find").options
    assert found.startswith("nocturne 17")
    at.text_input(key="words to find").set_value("mazurka").run()
    assert "Nothing here is called so." in words(at) and not at.exception


# --- what is not to be taken at its face ------------------------------------------------------------------------


def test_a_map_of_few_says_that_they_are_few_and_where_pca_is_better_that_it_is(launch, drawn):
    assert "12 recordings are too few for a map" in words(launch("pages/3_Map.py", library="music"))
    view = load_view(Scope(drawn, "music", MEL), 0)
    many = replace(view, track_ids=tuple(f"t{n}" for n in range(40)))
    worse, better = (replace(view.pca_trust, trustworthiness=view.trust.trustworthiness + by) for by in (-0.1, 0.1))
    assert panels._doubts(replace(many, pca_trust=worse)) == []
    (said,) = panels._doubts(replace(many, pca_trust=better))
    assert "PCA's plain picture is the more trustworthy one here" in said


def test_a_map_that_waits_is_not_said_to_be_drawn(launch, home, bright):
    submit(home, MapRequest("music", MEL.id))
    said = words(launch("pages/3_Map.py", library="music", encoder=MEL.id))
    assert "It waits for its turn" in said and "stands here then" not in said


# --- colours of names ---------------------------------------------------------------------------------------------


SEEN_BY = {  # linear RGB as such eyes see it (Machado, Oliveira and Fernandes 2009, severity 1)
    "most": np.eye(3),
    "protanopes": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ]),
    "deuteranopes": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ]),
    "tritanopes": np.array([
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ]),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB: a distance of 2.3 is just seen where two colours touch."""
    x, y, z = np.cbrt(TO_XYZ @ rgb.clip(0, 1) / (TO_XYZ @ np.ones(3)))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_the_eight_most_frequent_names_are_told_apart(eyes):
    seen = [lab(SEEN_BY[eyes] @ linear(colour)) for colour in PALETTE[:MOST_APART]]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 25
    assert len(set(PALETTE)) == len(PALETTE)


@pytest.mark.parametrize("page", ["#ffffff", "#12151d"])
def test_they_stand_out_from_the_page(page):
    light = [float(TO_XYZ[1] @ linear(colour)) for colour in (*PALETTE, page)]
    for each in light[:-1]:
        assert (max(each, light[-1]) + 0.05) / (min(each, light[-1]) + 0.05) > 2


def test_rare_names_do_not_take_the_colours_of_frequent_ones():
    names = [f"a{n}" for n in range(4)] + [f"b{n % 8}" for n in range(16)]  # the rare ones come first in the alphabet
    shade = map_figures.shades(Colour("instrument", names=names))
    assert {shade[f"b{n}"] for n in range(8)} == set(PALETTE[:MOST_APART]) and list(shade) == sorted(shade)
    assert len(set(shade.values())) == 12


def test_of_a_large_library_only_what_is_drawn_is_read(drawn, monkeypatch):
    """And what is called otherwise since is seen at once."""
    ids, scope = drawn.catalogue.track_ids("music"), Scope(drawn, "music", MEL)
    view = replace(load_view(scope, 0, MapSettings()), track_ids=tuple(ids[1:4]))
    monkeypatch.setattr(Catalogue, "tracks", None)
    assert list(views.tracks_of(view)) == ids[1:4]
    before = views.titles_address(view, scope)
    assert json.loads(fetched(before))["ids"] == ids[1:4] and views.titles_address(view, scope) == before
    drawn.catalogue.edit(ids[5], title="Not on it")
    assert views.titles_address(view, scope) == before
    drawn.catalogue.edit(ids[2], title="Another")
    assert views.tracks_of(view)[ids[2]].title == "Another"
    assert "Another" in json.loads(fetched(views.titles_address(view, scope)))["titles"]
