"""Home: what is here, the demo removed and made again, and how the way from sound to neighbours is told."""

from __future__ import annotations

import pytest

from mess_core.encoders.mel import MEL
from mess_core.encoders.registry import DEFAULT
from mess_core.work.demo import DemoRequest
from mess_core.work.request import submit
from mess_core.workspace.workspace import DEMO
from pages.shared.widgets import removal
from pages.shared.widgets.removal import OPENED
from tests.pages.conftest import words
from tests.planted import plant_library, plant_tracks, tracks_of_works

MAKE = "Make the demo library"


def labels(at) -> list[str]:
    return [button.label for button in at.button]


@pytest.fixture
def demo(home) -> list[str]:
    """What stands for the demo library; its track ids."""
    return plant_tracks(home, tracks_of_works(), DEMO)


def open_removal(at):
    at.session_state[OPENED] = True
    return at.run()


def test_what_rests_on_a_library_is_looked_for_where_somebody_removes_it(launch, demo, monkeypatch):
    """Not on every run of a page: of a million tracks it takes seconds."""
    asked = []
    monkeypatch.setattr(removal, "what_rests_on", lambda *given: asked.append(given) or ())
    at = launch()
    assert asked == []
    open_removal(at)
    assert len(asked) == 1


def test_removing_the_demo_asks_first_and_names_what_would_be_lost(launch, home, demo):
    home.opinions.judge(demo[0], "like")
    home.sittings.begin("me", DEMO, "Which is more like X?", "mel", 10, 0)
    at = launch()
    assert "Remove the demo" not in labels(at), "one click removes it"
    open_removal(at)
    said = words(at)
    assert f"Its {len(demo)} tracks with their embeddings and measurements are forgotten" in said
    assert "1 sitting of Judge and your taste" in said and "It can be made again, here" in said
    at.button(key="remove-library").click().run()
    assert not at.exception and home.catalogue.libraries() == []


def test_the_demo_can_be_made_again_on_home(launch, home, demo):
    plant_library(home, MEL, n=4)
    at = launch()
    assert MAKE not in labels(at)
    open_removal(at)
    at.button(key="remove-library").click().run()
    assert [each.name for each in home.catalogue.libraries()] == ["planted"]
    next(button for button in at.button if button.label == MAKE).click().run()
    assert [job.kind for job in home.jobs.active()] == ["demo"]
    assert MAKE not in labels(at) and not at.exception


def test_a_library_that_has_recordings_of_the_demo_is_named_before_and_explained_after(launch, home, demo):
    home.catalogue.add_to_library("bright picks", demo[:2])
    at = open_removal(launch())
    assert "“bright picks” has recordings of it, silent then." in words(at).replace("\\", "")
    at.button(key="remove-library").click().run()
    assert not at.exception and [each.name for each in home.catalogue.libraries()] == ["bright picks"]
    with home.database.transaction() as connection:  # which stays as long as a recording of it is in a library
        connection.execute("INSERT INTO roots (path) VALUES ('demo')")
    assert home.catalogue.missing_roots() == [home.paths.demo]
    said = words(launch())
    assert "Some recordings here belong to the demo, which was removed" in said and "Mount the disk" not in said


def test_while_the_demo_is_made_home_says_that_more_of_it_follows(launch, home, demo):
    assert "the others follow" not in words(launch())
    submit(home, DemoRequest(DEFAULT))
    assert "the first of these 120 recordings are here, the others follow" in words(launch())


def test_how_it_works_is_told_in_words_before_shapes(launch):
    at = launch()
    at.session_state["how it works"] = True
    at.run()
    (opened,) = [each for each in at.expander if each.label == "How it works"]
    kinds = [element.type for element in opened.children.values()]
    assert kinds.index("markdown") < kinds.index("code")
    assert "n_segments" not in words(at)
