"""Every page, from home.py: with nothing here, with a library, and with what people may do to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mess_core.datasets.folder import read_track
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.home import Home
from mess_core.jobs import new_owner
from mess_core.tasks import Task
from mess_core.uploads import UploadWriter

ROOT = Path(__file__).parents[2]
PAGES = {"pages/1_Library.py": "Library", "pages/2_Layers.py": "Layers", "pages/4_Listen.py": "Listen"}


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    """Each test has its own data folder; what Streamlit cached belongs to another one."""
    monkeypatch.setenv("MESS_HOME", str(home.paths.root))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def launch():
    """Open a page as a visitor does: home first, then the page."""

    def launch(page: str | None = None, **query: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "home.py"), default_timeout=60)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        if page:
            at.switch_page(page)
            at.run()
        assert not at.exception
        return at

    return launch


def work(home: Home) -> None:
    """What the worker process does, here."""
    owner = new_owner()
    while (job := home.jobs.claim(owner)) is not None:
        Task(home, job, owner).run()


@pytest.fixture
def library(home, write_wav) -> list[str]:
    """Four recordings, embedded with the embedded encoder; returns their track ids."""
    new = [read_track(write_wav(f"track {seed}", 3.0, seed)) for seed in range(4)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    home.request_extract("music", NANO.id)
    work(home)
    return [item.track.track_id for item in new]


def words(at: AppTest) -> str:
    """Everything a reader can read on the page."""
    kinds = (at.markdown, at.text, at.caption, at.title, at.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def rows(at: AppTest, column: str) -> list:
    return list(at.dataframe[0].value[column])


@pytest.mark.parametrize(("page", "title"), PAGES.items())
def test_every_page_opens_when_there_is_nothing(launch, page, title):
    at = launch(page)
    assert at.title[0].value == title


def test_home_offers_the_demo_and_a_click_queues_it_once(launch, home):
    at = launch()
    assert "No music yet" in words(at)
    next(button for button in at.button if button.label == "Make the demo library").click().run()
    assert [job.kind for job in home.jobs.active()] == ["demo"]
    assert not [button for button in at.button if button.label == "Make the demo library"]


def test_home_shows_what_is_here(launch, library):
    at = launch()
    assert rows(at, "library") == ["music"] and rows(at, "tracks") == [4] and rows(at, "searchable") == [100.0]


def test_listen_without_a_query_says_what_to_do(launch, library):
    assert "Nothing asked yet" in words(launch("pages/4_Listen.py"))


def test_a_picked_track_gets_its_neighbours(launch, library, home):
    at = launch("pages/4_Listen.py")
    at.segmented_control(key="how").set_value("Pick a track").run()
    at.selectbox(key="picked").set_value(library[0]).run()
    assert not at.exception
    expected = home.index("all", NANO).search(home.store.read(library[0], NANO).mean, 10, exclude=[library[0]])
    assert rows(at, "similarity") == pytest.approx([n.similarity for n in expected])
    assert rows(at, "rank") == [1, 2, 3]
    assert at.query_params["query"] == library[0]


def test_a_link_opens_the_same_question(launch, library):
    at = launch("pages/4_Listen.py", query=library[1], k="2", library="music", encoder="nano")
    assert rows(at, "rank") == [1, 2]
    assert at.selectbox(key="library").value == "music"
    assert "track 1" in words(at)


def test_a_link_to_a_track_that_is_not_here_is_no_error(launch, library):
    assert "not here" in words(launch("pages/4_Listen.py", query="0123456789abcdef"))


@pytest.mark.parametrize("query", [{"library": "nosuch"}, {"encoder": "nosuch"}, {"k": "-4"}, {"k": "x"}])
def test_a_made_up_link_falls_back_to_what_there_is(launch, library, query):
    at = launch("pages/4_Listen.py", query=library[0], **query)
    assert len(rows(at, "rank")) == 3


def test_an_upload_is_encoded_first_and_then_searched_without_being_added(launch, library, home, write_wav):
    writer = UploadWriter(home, "stranger.wav")
    writer.write(write_wav("stranger", 4.0, seed=9).read_bytes())
    track = writer.finish()
    at = launch("pages/4_Listen.py", query=track.track_id)
    assert [job.kind for job in home.jobs.active()] == ["encode"]
    work(home)
    at.run()
    assert len(rows(at, "rank")) == 4 and not home.catalogue.is_in_library(track.track_id)


def test_a_silent_query_gets_one_sentence(launch, library, home, write_wav):
    writer = UploadWriter(home, "nothing.wav")
    writer.write(write_wav("nothing", 4.0, level=0.0).read_bytes())
    track = writer.finish()
    at = launch("pages/4_Listen.py", query=track.track_id)
    work(home)
    at.run()
    assert "This query cannot be used" in words(at) and "is silent" in words(at)


def test_library_estimates_and_starts_an_extraction(launch, library, home):
    at = launch("pages/1_Library.py")
    at.radio(key="extractor").set_value(MEL.id).run()
    assert {metric.label: metric.value for metric in at.metric}["Embedded"] == "0 of 4"
    next(button for button in at.button if button.label.startswith("Embed 4 tracks")).click().run()
    assert [job.kind for job in home.jobs.active()] == ["extract"]
    work(home)
    assert home.n_embedded("music", MEL) == 4


def test_library_adds_a_folder_and_names_what_failed(launch, home, write_wav):
    folder = write_wav("good").parent
    (folder / "bad.wav").write_bytes(b"<html>")
    at = launch("pages/1_Library.py")
    at.text_input[0].set_value(str(folder))
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    work(home)
    at.run()
    assert [library.name for library in home.catalogue.libraries()] == ["music"]
    assert "bad.wav" in str([frame.value for frame in at.dataframe])


def test_a_folder_that_is_not_there_gets_one_sentence(launch, home):
    at = launch("pages/1_Library.py")
    at.text_input[0].set_value("/no/such/folder")
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    work(home)
    at.run()
    assert "There is no file or folder at /no/such/folder." in words(at)


def test_missing_weights_show_licence_size_and_consent(launch, home):
    """MERT first in the list; nothing is downloaded before the box is ticked; the rest goes on."""
    at = launch("pages/1_Library.py")
    radio = at.radio(key="extractor")
    assert radio.options[0].startswith("MERT") and radio.value == NANO.id
    radio.set_value("mert-95m").run()
    assert "CC BY-NC 4.0" in words(at) and "non-commercial" in words(at)
    download = next(button for button in at.button if button.label.startswith("Download 378 MB"))
    assert download.disabled
    at.checkbox(key="agree-mert-95m").check().run()
    next(button for button in at.button if button.label.startswith("Download 378 MB")).click().run()
    assert [job.kind for job in home.jobs.active()] == ["download"]


def test_removing_a_library_needs_two_clicks_and_touches_no_music(launch, library, home):
    at = launch("pages/1_Library.py", library="music")
    path = home.catalogue.audio_path(library[0])
    at.selectbox(key="library").set_value("music").run()
    at.button(key="remove-library").click().run()
    assert not at.exception and home.catalogue.libraries() == [] and path.exists()


def test_music_that_is_not_mounted_is_a_banner(launch, library, home):
    folder = home.catalogue.audio_path(library[0]).parent
    shutil.move(folder, folder.with_name("unmounted"))
    at = launch()
    assert "A music folder is not there" in words(at) and rows(at, "tracks") == [4]


@pytest.mark.parametrize(
    "title", ["![](http://example.com/x.png)", "<img src=x onerror=alert(1)>", ":material/home:", "$x$"]
)
def test_a_hostile_title_is_only_ever_shown_as_text(launch, home, library, write_wav, title):
    """No element that renders Markdown or HTML ever holds it."""
    writer = UploadWriter(home, f"{title}.wav".replace("/", "\u2215"))
    writer.write(write_wav("x", 4.0, seed=9).read_bytes())
    track = writer.finish()
    home.keep_upload(track.track_id, "uploads")
    home.request_encode(track.track_id, NANO.id)
    work(home)
    for page in PAGES:
        at = launch(page, query=track.track_id)
        for element in (*at.markdown, *at.caption, *at.title, *at.subheader, *at.metric, *at.button):
            assert track.title not in str(getattr(element, "value", "")) + str(getattr(element, "label", ""))


def test_layers_says_why_there_is_nothing_yet(launch, library):
    at = launch("pages/2_Layers.py")
    assert "Nothing probed yet" in words(at) and "4 tracks" in words(at)


def test_layers_shows_a_run_and_says_when_it_is_older_than_the_library(launch, home, write_wav):
    """Discovery from the page: queued by a click, shown when done; cells without a value have their reason."""
    new = [read_track(write_wav(f"t{seed}", 3.0, seed)) for seed in range(12)]
    home.catalogue.add(new[0].audio.parent, new[:11], "music")
    home.request_extract("music", MEL.id)
    work(home)
    at = launch("pages/2_Layers.py", library="music")
    assert at.selectbox(key="encoder").value == MEL.id
    next(button for button in at.button if button.label == "Run discovery").click().run()
    assert [job.kind for job in home.jobs.active()] == ["probe"]
    work(home)
    at.run()
    assert "11 tracks, 11 rows, 11 groups (work)" in words(at)
    assert "each counts as a work of its own" in words(at)
    found = home.discovery("music", MEL)
    assert found.result.target("rubato").best_layer is None and found.result.target("rubato").reason
    assert at.get("plotly_chart")
    home.catalogue.add(new[0].audio.parent, new[11:], "music")
    home.request_extract("music", MEL.id)
    work(home)
    at.run()
    assert "Measured on 11 of now 12 embedded tracks" in words(at)


@pytest.mark.parametrize("alpha", ["x", "-1", "0"])
def test_a_bad_alpha_gets_one_sentence(launch, library, alpha):
    at = launch("pages/2_Layers.py")
    at.text_input[0].set_value(alpha)
    next(button for button in at.button if button.label == "Run").click().run()
    assert "expected a positive number" in words(at)
