"""Try this, on Home and on an empty Listen: in every state of a library, and where a click leads."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mess_core.encoders.hearings import SAME_MUSIC
from mess_core.encoders.registry import DEFAULT
from mess_core.search.examples import TRY_FROM, examples_of, served_first
from mess_core.work.demo import DemoRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from pages.shared.widgets import examples
from tests.pages.conftest import words
from tests.planted import embed_works, plant_targets, plant_tracks, tracks_of_works

LISTEN = "pages/4_Listen.py"
TITLES = (
    "The same piece, another instrument",
    "The same hands, other music",
    "As bright as this",
    "These bars, by others",
)


@pytest.fixture
def works(home):
    """Ten pieces by three performers on three instruments, not embedded; in the order in which they would be."""
    tracks = tracks_of_works()
    plant_tracks(home, tracks)
    first = served_first(tracks)
    return sorted(tracks, key=lambda t: first.index(t.track_id) if t.track_id in first else len(first))


def links(at: AppTest) -> list[dict[str, list[str]]]:
    """What the cards that are links to Listen ask."""
    return [parse_qs(link.proto.query_string) for link in at.get("page_link") if "**hear" in link.proto.label]


def ways_on(at: AppTest) -> list[str]:
    return [link.proto.label for link in at.get("page_link")]


def tries(at: AppTest) -> list[str]:
    return [button.key.removeprefix("try ") for button in at.button if (button.key or "").startswith("try ")]


def measure_brightness(home, works) -> None:
    plant_targets(home, [t.track_id for t in works], {"spectral_centroid": 500 * 2 ** np.linspace(0, 3, len(works))})


@pytest.mark.parametrize("page", [None, LISTEN])
def test_where_there_is_nothing_there_is_nothing_to_try(launch, page):
    assert "Try this" not in words(launch(page))


def test_while_the_demo_is_made_home_says_when(launch, home):
    submit(home, DemoRequest(DEFAULT))
    said = words(launch())
    assert "The demo library is being made" in said and "can be tried here" in said and "Try this" not in said


@pytest.mark.parametrize("page", [None, LISTEN])
def test_before_twenty_are_embedded_cards_are_grey_with_the_reason(launch, home, works, page):
    embed_works(home, works[: TRY_FROM - 1])
    submit(home, ExtractRequest("planted", DEFAULT))
    at = launch(page, library="planted")
    assert all(title in words(at) for title in TITLES)
    assert words(at).count("as soon as 20 recordings can be compared") == 1  # in the line below, for all cards
    assert "These can be asked as soon as 20 recordings can be compared." in words(at)
    assert not links(at) and not tries(at)


@pytest.mark.parametrize("page", [None, LISTEN])
def test_where_nobody_works_on_it_the_line_says_what_to_do(launch, home, works, page):
    at = launch(page, library="planted")
    assert "Nobody is embedding them." in words(at) and "Embed them on Library" in ways_on(at)


def test_with_twenty_three_cards_are_links_and_the_fourth_says_what_it_waits_for(launch, home, works):
    embed_works(home, works[:TRY_FROM])
    at = launch(library="planted")
    assert len(links(at)) == 3
    assert "“As bright as this” can be asked as soon as brightness is measured. Discovery measures it" in words(at)
    assert "Run discovery on Layers" in ways_on(at)


@pytest.mark.parametrize("page", [None, LISTEN])
def test_in_a_small_library_one_card_is_not_these_and_other_work_does_not_measure(launch, home, page):
    """Six recordings that nothing will probe by itself, while something else is being done."""
    named = tracks_of_works()[:6]
    plant_tracks(home, [replace(track, work=None, performer=None, instrument=None) for track in named])
    embed_works(home, named)
    submit(home, MapRequest("planted", DEFAULT))
    at = launch(page, library="planted")
    assert "“As bright as this” can be asked as soon as brightness is measured. Discovery measures it" in words(at)
    assert "These" not in words(at) and "Run discovery on Layers" in ways_on(at)
    submit(home, TargetsRequest("planted", DEFAULT))
    at = launch(page, library="planted")
    assert "“As bright as this” can be asked as soon as brightness is measured." in words(at)
    assert "Discovery measures it" not in words(at) and "Run discovery on Layers" not in ways_on(at)


def test_with_all_every_card_is_a_link_that_asks_its_question_and_no_other(launch, home, works):
    """Whatever was chosen before, such as another hearing, is not in it; rows of one promised work stand apart."""
    embed_works(home, works)
    measure_brightness(home, works)
    at = launch(library="planted", hearing=DEFAULT, k="3")
    by_kind = {example.kind: example for example in examples_of(home, "planted")}
    common = [{"library": ["planted"], "query": [each.track_id]} for each in by_kind.values()]
    player = home.catalogue.track(by_kind["player"].track_id).performer
    played = {"legato": ["1"], "rubato": ["0.5"], "expressiveness": ["0.5"]}
    assert links(at) == [
        common[0] | {"hearing": [SAME_MUSIC], "together": ["false"]},
        common[1] | {"performers": [player], "versions": ["exclude"], "geometry": ["measured"]} | played,
        common[2] | {"brightness": ["1"], "geometry": ["measured"], "versions": ["exclude"]},
        common[3] | {"hearing": [SAME_MUSIC], "passage": ["5:13"], "together": ["false"]},
    ]
    assert " as soon as " not in words(at)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["instrument", "player", "brightness", "passage"])
def test_a_click_on_listen_shows_the_list_and_the_link_asks_the_same(launch, home, works, kind, click_in_row):
    embed_works(home, works)
    measure_brightness(home, works)
    at = launch(LISTEN, library="planted", k="3", diversity="0.5")
    at.button(key=f"try {kind}").click().run()
    assert not at.exception and not tries(at)
    example = {example.kind: example for example in examples_of(home, "planted")}[kind]
    assert example.track_id in at.query_params["query"] and "k" not in at.query_params
    listed = [track.id for track in click_in_row.shown]
    assert listed[0] == example.track_id and len(listed) > (example.n_answers or 5)
    again = launch(LISTEN, **dict(at.query_params))
    assert not again.exception and [track.id for track in click_in_row.shown] == listed


def test_a_card_comes_alive_by_itself(launch, home, works, monkeypatch):
    """What watches it asks for a new run as soon as something can be asked that could not, and not before."""
    runs = []
    monkeypatch.setattr(examples.st, "rerun", lambda: runs.append("again"))
    embed_works(home, works[: TRY_FROM - 1])
    shown = examples._liveness(examples_of(home, "planted"))
    monkeypatch.setattr(examples, "_examples", lambda: examples_of(home, "planted"))
    examples._poll.__wrapped__(shown)
    assert not runs
    embed_works(home, works[:TRY_FROM])
    examples._poll.__wrapped__(shown)
    assert runs == ["again"]


def test_a_hostile_name_is_only_ever_shown_as_text(launch, home):
    name = "![](http://example.org/x.png) **bold**"
    tracks = [replace(track, work=f"{name} {track.work}", performer=name) for track in tracks_of_works()]
    plant_tracks(home, tracks)
    assert "![](http" not in words(launch(library="planted"))
