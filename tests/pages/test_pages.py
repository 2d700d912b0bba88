"""Every page, from home.py: with nothing here, with a library, and with what people may do to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections.opening import read_track
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.probing.aspects import ASPECTS
from mess_core.probing.discovery import Discovery
from mess_core.probing.result import ProbeSettings
from mess_core.search.answers import FoundTrack, answer, build_index, make_plan, query_of
from mess_core.search.comparisons import key_of
from mess_core.search.question import Question
from mess_core.search.transposed import in_key
from mess_core.targets.registry import VERSIONS
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.uploads import UploadWriter
from mess_core.workspace.workspace import Workspace
from pages.shared.app import frame, resources
from pages.shared.layers import figures as layer_figures
from pages.shared.listen import panels as listen
from pages.shared.listen.aspects import NOT
from pages.shared.widgets import pickers
from pages.shared.widgets.removal import OPENED
from tests.conftest import work
from tests.pages.conftest import figures, words
from tests.planted import discover, plant_heard_library, plant_tags

PAGES = {
    "pages/1_Library.py": "Library",
    "pages/2_Layers.py": "Layers",
    "pages/3_Map.py": "Map",
    "pages/4_Listen.py": "Listen",
    "pages/5_Judge.py": "Judge",
    "pages/6_Learn.py": "Learn",
    "pages/7_For_You.py": "For You",
    "pages/8_Study.py": "Study",
}


def ask(
    home: Workspace, track_id: str, library: str = "all", hearing: str = "hearing:same-music", **request
) -> tuple[FoundTrack, ...]:
    """What the core answers where nothing was chosen: by the hearing that the default encoder makes by itself."""
    scope = scope_of(home, library, hearing)
    plan = make_plan(scope, Question(**request), scope.discovery_for_search())
    query = query_of(plan.scope, home.catalogue.track(track_id))
    return answer(build_index(plan), plan, query).found


def rows(at: AppTest, column: str) -> list:
    return list(at.dataframe[0].value[column])


@pytest.mark.slow
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


@pytest.mark.slow
def test_home_shows_what_is_here(launch, library):
    at = launch()
    (table,) = [each.value for each in at.markdown if each.value.startswith("| library |")]
    name, n_tracks, length, share = (cell.strip() for cell in table.splitlines()[2].strip("|").split("|"))
    assert (name, n_tracks, share) == ("music", "4", "100 %") and length.endswith(" s")


@pytest.mark.slow
def test_home_sends_what_somebody_looks_at(launch, library):
    """What draws tables and colours code is half of all that a browser would load for the first page."""
    at = launch()
    assert not at.dataframe and not at.code
    at.session_state["how it works"] = True
    assert "hidden states" in at.run().code[0].value


def test_listen_without_a_query_says_what_to_do(launch, library):
    assert "Nothing asked yet" in words(launch("pages/4_Listen.py"))


def test_a_picked_track_gets_its_neighbours(launch, library, home):
    at = launch("pages/4_Listen.py")
    at.segmented_control(key="how").set_value("Pick a track").run()
    at.selectbox(key="picked").set_value(library[0]).run()
    assert not at.exception
    assert rows(at, "similarity") == pytest.approx([found.neighbour.similarity for found in ask(home, library[0])])
    assert rows(at, "rank") == [1, 2, 3]
    assert at.query_params["query"] == library[0]


def test_the_numbers_are_made_where_somebody_looks(launch, library):
    """Closed, no table is sent with every turn of a dial; open, it goes with the list."""
    at = launch("pages/4_Listen.py", query=library[0])
    assert rows(at, "rank") == [1, 2, 3]
    at.session_state["show numbers"] = False
    assert not at.run().exception and not at.dataframe


@pytest.mark.slow
def test_what_to_listen_for_is_chosen_on_listen_alone(launch, library):
    """A hearing there, an encoder on the other pages; a link with an encoder asks by that one."""
    at = launch("pages/4_Listen.py", query=library[0])
    assert at.selectbox(key="hearing").value == "hearing:same-music" and "Hearing: Same music" in words(at)
    by_hearing = rows(at, "similarity")
    at.selectbox(key="hearing").set_value(NANO.id).run()
    assert "Encoder: MESS-nano" in words(at) and rows(at, "similarity") != by_hearing
    assert NANO.id in at.query_params["hearing"]
    at.switch_page("pages/2_Layers.py").run()
    assert at.selectbox(key="encoder").value == NANO.id and not at.exception
    linked = launch("pages/4_Listen.py", query=library[0], encoder=NANO.id)
    assert rows(linked, "similarity") == rows(at.switch_page("pages/4_Listen.py").run(), "similarity")
    nonsense = launch("pages/4_Listen.py", query=library[0], hearing="hearing:nosuch")
    assert nonsense.selectbox(key="hearing").value == "hearing:same-music" and not nonsense.exception


@pytest.mark.slow
def test_any_key_is_offered_made_and_said(launch, library, home):
    """A click embeds what it needs; it is chosen, never taken; each neighbour says its key."""
    at = launch("pages/4_Listen.py", query=library[0])
    (offer,) = [button for button in at.button if "in any key" in button.label]
    assert offer.label == "Listen in any key, too (4 tracks)"
    assert "Same music, any key" not in at.selectbox(key="hearing").options
    offer.click().run()
    work(home)
    at = launch("pages/4_Listen.py", query=library[0])
    assert at.selectbox(key="hearing").value == "hearing:same-music" and not any(rows(at, "key"))
    assert not [button for button in at.button if "in any key" in button.label]
    at.selectbox(key="hearing").set_value("hearing:any-key").run()
    assert "Hearing: Same music, any key" in words(at) and not at.exception
    expected = [in_key(found.neighbour.semitones) for found in ask(home, library[0], hearing="hearing:any-key")]
    assert rows(at, "key") == expected and len(expected) == 3


@pytest.fixture
def tagged(home, library) -> list[str]:
    """The same four recordings, heard by MusiCNN: two as violins."""
    plant_tags(home, {track_id: {"mtt:violin": 0.9 if n < 2 else 0.05} for n, track_id in enumerate(library)})
    return library


def test_tags_are_a_column_of_the_library(launch, tagged, home):
    at = launch("pages/1_Library.py", library="music")
    table = at.dataframe[-1].value.sort_values("title")
    assert table["heard as"].fillna("").tolist() == ["violin", "violin", "", ""]


@pytest.mark.slow
def test_listen_shows_only_what_is_heard_as_that(launch, tagged, home, monkeypatch):
    monkeypatch.setattr("mess_core.search.tagged.HIGH_FROM", 60.0)  # of four recordings one is a quarter
    at = launch("pages/4_Listen.py", query=tagged[0], library="music", encoder="nano")
    assert len(rows(at, "rank")) == 3
    at.multiselect(key="heard_as").set_value(["violin"]).run()
    assert rows(at, "title") == ["track 1"] and at.query_params["heard_as"] == "violin"
    assert rows(at, "why") == ["both heard as violin"]
    at.multiselect(key="heard_as").set_value(["opera"]).run()
    assert "No other recording here has the tag opera" in words(at)
    linked = launch("pages/4_Listen.py", query=tagged[0], library="music", encoder="nano", heard_as="violin")
    assert rows(linked, "title") == ["track 1"]


@pytest.mark.slow
def test_a_query_shows_when_it_is_heard_as_what(launch, tagged):
    at = launch("pages/4_Listen.py", query=tagged[0], library="music", encoder="nano")
    assert "MusiCNN hears three seconds" not in words(at), "nothing is worked out while nobody looks"
    at.session_state["heard"] = True
    at.run()
    curves = at.multiselect(key=f"curves {tagged[0]}")
    assert curves.value == ["violin"] and "violin 0.90, more than 75 % of the library" in words(at)
    curves.set_value([]).run()
    assert not at.exception


@pytest.mark.slow
def test_a_search_in_words_needs_no_query(launch, tagged, home, click_in_row):
    """The same list and player; each word's share is the why; a neighbour becomes the query beside the words."""
    at = launch("pages/4_Listen.py", library="music", encoder="nano")
    at.text_input(key="words").set_value("violin, not piano").run()
    assert not at.exception and at.query_params["words"] == "violin, not piano"
    assert rows(at, "title")[:2] in (["track 0", "track 1"], ["track 1", "track 0"]) and len(rows(at, "rank")) == 4
    assert all(line.startswith("violin ") and "not piano" in line for line in rows(at, "why"))
    assert "4 recordings that fit “violin, not piano” best" in words(at) and "Score" in words(at)
    click_in_row(at, "follow", 1)
    assert not at.exception and len(rows(at, "rank")) == 3
    assert "3 recordings like the query that fit “violin, not piano” best" in words(at)
    assert all("like the query" in line for line in rows(at, "why")) and "Why?" in words(at)
    at.text_input(key="words").set_value("").run()
    assert "3 nearest recordings" in words(at) and "words" not in at.query_params


@pytest.mark.slow
def test_a_filter_narrows_a_search_in_words_and_is_seen(launch, tagged, monkeypatch):
    monkeypatch.setattr("mess_core.search.tagged.HIGH_FROM", 60.0)
    at = launch("pages/4_Listen.py", library="music", encoder="nano", words="violin", heard_as="violin")
    assert len(rows(at, "rank")) == 2 and "Only with the tag violin." in words(at)
    at.button(key="no filters").click().run()
    assert not at.exception and len(rows(at, "rank")) == 4 and "Only with" not in words(at)


@pytest.mark.parametrize(("text", "says"), [("violn", "Did you mean violin"), ("piano, not piano", "both asked for"),
                                            ("x " * 200, "at most 50")])  # fmt: skip
def test_words_that_cannot_be_meant_are_one_sentence(launch, tagged, text, says):
    at = launch("pages/4_Listen.py", library="music", encoder="nano", words=text)
    assert says in words(at) and not at.exception and not at.dataframe


def test_words_before_there_are_tags_say_what_to_do(launch, library):
    at = launch("pages/4_Listen.py", library="music", words="violin")
    assert "MusiCNN has not heard any recording" in words(at)
    assert "Press “Listen for sound and style, too” on the Listen page" in words(at) and "python" not in words(at)


def test_words_go_before_a_passage(launch, tagged):
    at = launch("pages/4_Listen.py", library="music", encoder="nano", query=tagged[3], words="violin", passage="0:2")
    assert not at.exception and rows(at, "rank") == [1, 2, 3]


def test_without_musicnn_no_page_speaks_of_tags(launch, library):
    at = launch("pages/4_Listen.py", query=library[0])
    assert not [box for box in at.multiselect if box.label in ("Heard as", "Tags")]
    assert launch("pages/1_Library.py").dataframe[-1].value["heard as"].isna().all()


def test_a_link_opens_the_same_question(launch, library):
    at = launch("pages/4_Listen.py", query=library[1], k="2", library="music", encoder="nano")
    assert rows(at, "rank") == [1, 2]
    assert at.selectbox(key="library").value == "music"
    assert any("track 1" in expander.label for expander in at.expander)


def test_a_link_to_a_track_that_is_not_here_is_no_error(launch, library):
    assert "not here" in words(launch("pages/4_Listen.py", query="0123456789abcdef"))


@pytest.mark.parametrize("query", [{"library": "nosuch"}, {"encoder": "nosuch"}, {"k": "-4"}, {"k": "x"}])
def test_a_made_up_link_falls_back_to_what_there_is(launch, library, query):
    at = launch("pages/4_Listen.py", query=library[0], **query)
    assert len(rows(at, "rank")) == 3
    assert ("The link asks for" in words(launch(**query))) == ("encoder" not in query), "Home has no encoder to choose"


@pytest.mark.slow
def test_an_upload_is_encoded_first_and_then_searched_without_being_added(launch, library, home, write_wav):
    writer = UploadWriter(home, "stranger.wav")
    writer.write(write_wav("stranger", 4.0, seed=9).read_bytes())
    track = writer.finish()
    at = launch("pages/4_Listen.py", query=track.track_id)
    assert [job.kind for job in home.jobs.active()] == ["encode"]
    work(home)
    at.run()
    assert len(rows(at, "rank")) == 4 and not home.catalogue.is_in_library(track.track_id)


@pytest.mark.slow
def test_a_silent_query_gets_one_sentence(launch, library, home, write_wav):
    writer = UploadWriter(home, "nothing.wav")
    writer.write(write_wav("nothing", 4.0, level=0.0).read_bytes())
    track = writer.finish()
    at = launch("pages/4_Listen.py", query=track.track_id)
    work(home)
    at.run()
    assert "This query cannot be used" in words(at) and "is silent" in words(at)


@pytest.mark.slow
def test_library_estimates_and_starts_an_extraction(launch, library, home):
    at = launch("pages/1_Library.py")
    at.radio(key="extractor").set_value(MEL.id).run()
    assert {metric.label: metric.value for metric in at.metric}["Embedded"] == "0 of 4"
    next(button for button in at.button if button.label.startswith("Embed 4 tracks")).click().run()
    assert [job.kind for job in home.jobs.active()] == ["extract"]
    work(home)
    assert Scope(home, "music", MEL).n_embedded == 4


def _mel_embedding() -> TrackEmbedding:
    mean, std = np.ones((1, MEL.embedding_dim), np.float32), np.ones((1, MEL.dim), np.float32)
    return TrackEmbedding(mean[None].astype(np.float16), np.zeros(1, np.float32), mean, std)


def test_embeddings_of_another_version_are_said_and_deleted(launch, library, home):
    """They are not counted as embedded; a new version needs one click, its leavings another."""
    older = replace(MEL, revision="older")
    track = home.catalogue.tracks("music")[0]
    home.store.write(track.track_id, older, _mel_embedding())
    at = launch("pages/1_Library.py")
    at.radio(key="extractor").set_value(MEL.id).run()
    assert {metric.label: metric.value for metric in at.metric}["Embedded"] == "0 of 4"
    assert "another version of Log-mel: 1 embedding," in words(at)
    at.button(key="delete-other-versions").click().run()
    assert "another version" not in words(at) and home.store.size_of_other_versions(MEL) == 0


def test_a_library_of_an_older_nano_is_embedded_again_with_one_click(launch, library, home):
    """Listen does not quietly search by another encoder: it says what is the matter, and what cures it."""
    older = replace(NANO, revision="older")
    mean = np.ones((NANO.n_layers, NANO.dim), np.float32)
    theirs = TrackEmbedding(mean[None].astype(np.float16), np.zeros(1, np.float32), mean, mean)
    for track in home.catalogue.tracks("music"):
        home.store.forget(track.track_id, NANO.fingerprint)
        home.store.write(track.track_id, older, theirs)
        home.store.write(track.track_id, MEL, _mel_embedding())
    at = launch("pages/4_Listen.py", query=home.catalogue.tracks("music")[0].track_id)
    assert at.selectbox(key="hearing").value == NANO.id and "A new MESS-nano" in words(at)
    next(button for button in at.button if button.label == "Embed 4 tracks with MESS-nano").click().run()
    assert [(job.kind, job.arguments["encoder"]) for job in home.jobs.active()] == [("extract", NANO.id)]


@pytest.mark.slow
def test_library_adds_a_folder_and_names_what_failed(launch, home, write_wav):
    folder = write_wav("good").parent
    (folder / "bad.wav").write_bytes(b"<html>")
    at = launch("pages/1_Library.py")
    at.text_input[0].set_value(str(folder))
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    work(home)
    at.run()
    assert [library.name for library in home.catalogue.libraries()] == ["music"]
    assert any("bad.wav" in str(value) for frame in at.dataframe for value in frame.value.to_numpy().ravel())


@pytest.mark.slow
def test_a_folder_that_was_added_is_said_on_the_spot_with_the_way_to_its_library(launch, library, home, write_wav):
    """The field is empty again; another library is not chosen in the visitor's place, but by one click."""
    folder = write_wav("good", folder="another").parent
    at = launch("pages/1_Library.py", library="music")
    at.text_input[0].set_value(str(folder))
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    assert not at.exception and at.text_input[0].value == ""
    assert "is added to the library “another”" in words(at) and "look at added" not in [b.key for b in at.button]
    work(home)
    at.run()
    assert "1 track added to the library “another”" in words(at) and at.selectbox(key="library").value == "music"
    at.button(key="look at added").click().run()
    assert at.selectbox(key="library").value == "another" and "another" in at.query_params["library"]
    assert "look at added" not in [button.key for button in at.button] and not at.exception


def test_a_folder_that_was_refused_stays_in_its_field(launch, home, write_wav):
    at = launch("pages/1_Library.py")
    at.text_input[0].set_value(str(write_wav("a").parent))
    at.text_input[1].set_value("all")
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    assert "cannot be called 'all'" in words(at)
    assert at.text_input[0].value.endswith("music") and at.text_input[1].value == "all"


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


def test_a_collection_is_downloaded_only_after_its_licence_was_accepted(launch, home, tmp_path):
    at = launch("pages/1_Library.py")
    assert "CC BY-NC-SA" in words(at) and "GB" in at.button(key="fetch").label
    at.text_input(key="collection-folder").set_value(str(tmp_path)).run()
    assert at.button(key="fetch").disabled
    at.checkbox(key="agree-smd").check().run()
    at.button(key="fetch").click().run()
    (job,) = home.jobs.active()
    assert (job.kind, job.arguments["collection"], job.arguments["folder"]) == ("fetch", "smd", str(tmp_path))


def test_the_library_is_found_by_words(launch, library, home):
    at = launch("pages/1_Library.py", library="music")
    assert "4 tracks." in words(at)
    at.text_input(key="filter").set_value("track 2").run()
    assert "1 track." in words(at)
    at.text_input(key="filter").set_value("nobody").run()
    assert "No track has these words" in words(at)


def test_removing_a_library_needs_two_clicks_and_touches_no_music(launch, library, home):
    at = launch("pages/1_Library.py", library="music")
    path = home.catalogue.audio_path(library[0])
    at.selectbox(key="library").set_value("music").run()
    at.session_state[OPENED] = True
    at.run()
    at.button(key="remove-library").click().run()
    assert not at.exception and home.catalogue.libraries() == [] and path.exists()


def test_music_that_is_not_mounted_is_a_banner(launch, library, home):
    folder = home.catalogue.audio_path(library[0]).parent
    shutil.move(folder, folder.with_name("unmounted"))
    at = launch()
    assert "A music folder is not there" in words(at) and "| music | 4 |" in words(at)


@pytest.mark.slow
@pytest.mark.parametrize(
    "title", ["![](http://example.com/x.png)", "<img src=x onerror=alert(1)>", ":material/home:", "$x$"]
)
def test_a_hostile_title_is_only_ever_shown_as_text(launch, home, library, write_wav, title):
    """No element that renders Markdown or HTML ever holds it."""
    writer = UploadWriter(home, f"{title}.wav".replace("/", "\u2215"))
    writer.write(write_wav("x", 4.0, seed=9).read_bytes())
    track = writer.finish()
    home.keep_upload(track.track_id, "uploads")
    submit(home, EncodeRequest(track.track_id, NANO.id))
    work(home)
    for page in PAGES:
        at = launch(page, query=track.track_id)
        for element in (*at.markdown, *at.caption, *at.title, *at.subheader, *at.metric, *at.button):
            assert track.title not in str(getattr(element, "value", "")) + str(getattr(element, "label", ""))


def test_layers_says_why_there_is_nothing_yet(launch, library):
    at = launch("pages/2_Layers.py")
    assert "Nothing probed yet" in words(at) and "4 tracks" in words(at)


@pytest.mark.slow
def test_layers_shows_a_run_and_says_when_it_is_older_than_the_library(launch, home, write_wav, monkeypatch):
    """Discovery from the page: queued by a click, shown when done; cells without a value have their reason."""
    few = [{"n_bootstraps": 50, "n_permutations": 20}.get(each.name, each.default) for each in fields(ProbeSettings)]
    monkeypatch.setattr(ProbeSettings.__init__, "__defaults__", tuple(few))  # draws, for speed
    new = [read_track(write_wav(f"t{seed}", 3.0, seed)) for seed in range(12)]
    home.catalogue.add(new[0].audio.parent, new[:11], "music")
    submit(home, ExtractRequest("music", MEL.id))
    work(home)
    at = launch("pages/2_Layers.py", library="music")
    assert at.selectbox(key="encoder").value == MEL.id
    next(button for button in at.button if button.label == "Run discovery").click().run()
    assert [job.kind for job in home.jobs.active()] == ["probe"]
    work(home)
    at.run()
    assert "11 tracks, 11 rows, 11 groups (work)" in words(at)
    assert "each counts as a work of its own" in words(at)
    found = Scope(home, "music", MEL).discovery()
    assert found.result.target("rubato").best_layer is None and found.result.target("rubato").reason
    assert at.get("plotly_chart")
    home.catalogue.add(new[0].audio.parent, new[11:], "music")
    submit(home, ExtractRequest("music", MEL.id))
    work(home)
    at.run()
    assert "Measured on 11 of now 12 embedded tracks" in words(at)


def open_cell(at: AppTest, home: Workspace, level: str) -> None:
    """What a click on a mark of the heatmap leaves behind: AppTest cannot click into a figure."""
    at.session_state["kept at"], at.session_state["kept target"] = "0", "spectral_centroid"
    at.run()
    assert not at.exception


@pytest.mark.slow
def test_figures_are_saved_as_png_or_as_svg(launch, home, probed):
    """Every figure on the page, the open cell's too; each under a name of its own."""
    at = launch("pages/2_Layers.py", library="music")
    open_cell(at, home, "track")
    for image_format in ("png", "svg"):
        at.segmented_control(key="figures").set_value(image_format).run()
        saved = [json.loads(chart.proto.config)["toImageButtonOptions"] for chart in at.get("plotly_chart")]
        assert [options["format"] for options in saved] == [image_format] * 4
        assert len({options["filename"] for options in saved}) == 4


@pytest.mark.slow
def test_a_segment_is_named_by_its_recording_and_its_beginning(launch, home, probed, monkeypatch):
    """6.2 s make two segments of 5 s: the second ends where the recording ends, so it begins at 1.2 s, not at 2.5 s.

    A scatter of more rows than a page bears is thinned, and says so.
    """
    at = launch("pages/2_Layers.py", library="music", level="segment")
    assert at.segmented_control(key="level").value == "segment" and "10 tracks, 20 rows" in words(at)
    open_cell(at, home, "segment")
    heatmap, scatter, _, residuals = figures(at)
    assert "inside them" in heatmap["data"][0]["text"][0]
    assert sorted(scatter["data"][0]["text"])[:2] == ["t0 · 0:00.0<br>t0", "t0 · 0:01.2<br>t0"]
    assert sorted(residuals["layout"]["yaxis"]["ticktext"]) == sorted(f"t{seed}" for seed in range(10))
    monkeypatch.setattr(layer_figures, "MAX_POINTS", 8)
    scatter = figures(at.run())[1]
    assert len(scatter["data"][0]["text"]) == 7 and "7 of 20 rows" in scatter["layout"]["xaxis"]["title"]["text"]


@pytest.mark.parametrize("alpha", ["x", "-1", "0"])
def test_a_bad_alpha_gets_one_sentence(launch, library, alpha):
    at = launch("pages/2_Layers.py")
    at.text_input[0].set_value(alpha)
    next(button for button in at.button if button.label == "Run").click().run()
    assert "expected a positive number" in words(at)


def dials(at: AppTest) -> dict[str, float]:
    """What every dial says, by aspect."""
    return {key.removeprefix("dial-"): d.value for d in at.select_slider if (key := d.key or "").startswith("dial-")}


@pytest.mark.slow
def test_aspects_with_evidence_have_dials_and_the_others_their_reason(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[0], library="music")
    turned = dials(at)
    assert "brightness" in turned and "legato" not in turned
    assert re.search("○○○ .*legato.*: nothing that stands for it could be measured and probed", words(at))
    unproven = {aspect for aspect in ASPECTS if aspect not in turned}
    at.toggle(key="unproven").set_value(True).run()
    assert not at.exception
    opened = unproven & set(dials(at))
    assert opened and "legato" not in opened  # nothing at all is known of it


def test_an_answer_has_one_index_and_all_share_that_of_their_reasons(home, bright, monkeypatch):
    """Reasons go along directions, whatever the search went by: their table is made once for all questions."""
    built, real = [], resources.build_index
    monkeypatch.setattr(resources, "build_index", lambda plan: built.append(plan.geometry) or real(plan))
    scope, track = frame.scope(MEL.id), home.catalogue.track(bright[3])

    def ask(**question) -> list[str]:
        found = listen.answer(track, replace(scope, library="music"), Question(**question), None)
        assert all(listen.explain_neighbours(found).values())
        return built

    assert ask(aspects={"brightness": 1.0}) == ["direction"]
    assert ask() == ["direction", "layer"]
    assert ask(k=3) == ask(aspects={"brightness": 0.5}) == ["direction", "layer"]
    assert ask(avoid=("brightness",)) == ["direction", "layer", "layer"]


@pytest.mark.slow
def test_what_explains_a_hearing_is_read_once_and_not_for_every_query(home, monkeypatch):
    """Of ten thousand tracks that takes seconds."""
    ids, n_read = plant_heard_library(home, NANO, MEL), [0]
    discover(home, NANO)

    def counted(real: Callable) -> Callable:
        def read(given: object) -> Discovery | None:
            n_read[0] += 1
            return real(given)

        return read

    monkeypatch.setattr(Scope, "discovery_for_search", counted(Scope.discovery_for_search))
    monkeypatch.setattr(resources, "read", counted(resources.read))
    scope = scope_of(home, "planted", "hearing:same-music")
    for track_id in ids[:3]:
        found = listen.answer(home.catalogue.track(track_id), scope, Question(), None)
        assert all(listen.explain_neighbours(found).values())
        home.database.set_setting("a job", track_id)  # writes, but changes nothing of this
    assert n_read == [1]


@pytest.mark.slow
def test_a_dial_searches_by_its_aspect_and_is_in_the_link(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[3], library="music")
    by_layers = rows(at, "title")
    at.select_slider(key="dial-brightness").set_value(1.0).run()
    assert not at.exception
    home = Workspace()
    expected = ask_mel(home, bright[3], aspects={"brightness": 1.0})
    assert rows(at, "title") == [found.track.title for found in expected]
    assert rows(at, "brightness") == pytest.approx(
        [found.neighbour.aspects["brightness"].percentile for found in expected]
    )
    assert rows(at, "title")[0] in {f"cutoff {hz:.0f}" for hz in np.geomspace(300, 9000, 12)[[2, 4]]}
    assert float(at.query_params["brightness"]) == 1.0
    again = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="1.0")
    assert rows(again, "title") == rows(at, "title") != by_layers


def ask_mel(home: Workspace, track_id: str, **request) -> tuple[FoundTrack, ...]:
    scope = Scope(home, "music", MEL)
    plan = make_plan(scope, Question(**request), scope.discovery_for_search())
    return answer(build_index(plan), plan, query_of(scope, home.catalogue.track(track_id))).found


def test_what_is_left_out_changes_the_list(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[3], library="music", **{"not": "brightness"})
    assert dials(at)["brightness"] == NOT
    assert rows(at, "title") == [found.track.title for found in ask_mel(Workspace(), bright[3], avoid=("brightness",))]
    assert "without brightness" in words(at)


def test_an_aspect_that_is_asked_for_is_not_left_out_as_well(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="1.0", **{"not": "brightness"})
    assert dials(at)["brightness"] == 1.0 and rows(at, "rank")


def test_one_dial_leads_from_must_not_count_to_must_be_alike(launch, bright):
    """Both ends are in the link as they always were, and never both; the middle is in none."""
    at = launch("pages/4_Listen.py", query=bright[3], library="music")
    for position, asked in ((NOT, {"not": ["brightness"]}), (0.4, {"brightness": ["0.4"]}), (0.0, {})):
        at.select_slider(key="dial-brightness").set_value(position).run()
        assert not at.exception and dials(at)["brightness"] == position
        in_link = {key: at.query_params[key] for key in ("brightness", "not") if key in at.query_params}
        assert {key: list(value) if isinstance(value, list) else [value] for key, value in in_link.items()} == asked


def test_a_link_from_before_the_dials_asks_the_same(launch, bright):
    """A weight between the positions of a dial is one of them; what is left out without evidence has its dial, too."""
    at = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="0.75", **{"not": "dynamics"})
    assert dials(at)["brightness"] == 0.75 and dials(at)["dynamics"] == NOT
    expected = ask_mel(Workspace(), bright[3], aspects={"brightness": 0.75}, avoid=("dynamics",))
    assert rows(at, "title") == [found.track.title for found in expected]
    assert (at.query_params["brightness"], at.query_params["not"]) in (("0.75", "dynamics"), (["0.75"], ["dynamics"]))


@pytest.mark.slow
def test_a_passage_is_looked_for_inside_the_others(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[5], library="music")
    at.slider(key=f"passage {bright[5]}").set_value((0.0, 3.0)).run()
    assert not at.exception
    assert len(rows(at, "rank")) == 10 and all(" ~ " in moment for moment in rows(at, "moment"))


def test_layers_shows_what_aspects_find(launch, bright):
    at = launch("pages/2_Layers.py", library="music")
    assert "aspects with evidence do what they say" in words(at)
    assert "Hubs are recordings that are near to everything" in words(at)
    spec = next(chart for chart in figures(at) if "searched by" in json.dumps(chart["layout"].get("yaxis", {})))
    assert "brightness" in spec["data"][0]["y"]


@pytest.mark.slow
def test_a_stale_evaluation_says_so_and_is_measured_again(launch, bright, write_wav):
    home = Workspace()
    new = read_track(write_wav("newcomer", 6.0, 77))
    home.catalogue.add(new.audio.parent, [new], "music")
    submit(home, ExtractRequest("music", MEL.id))
    work(home)
    at = launch("pages/2_Layers.py", library="music")
    assert "Measured before the library changed" in words(at)
    next(button for button in at.button if button.key == "evaluate faithfulness").click().run()
    assert [job.kind for job in home.jobs.active()] == ["evaluate"]
    assert at.button(key="evaluate faithfulness").disabled and not at.button(key="evaluate similarity").disabled


def chosen_wish(at: AppTest) -> list[str]:
    return [b.label for b in at.button if (b.key or "").startswith("wish") and b.proto.type == "primary"]


@pytest.mark.slow
def test_an_evaluation_by_old_formulas_says_so(launch, bright, monkeypatch):
    """Discovery and both evaluations ask to be made again, each with its button."""
    assert "How properties are measured" not in words(launch("pages/2_Layers.py", library="music"))
    monkeypatch.setitem(VERSIONS, "audio", VERSIONS["audio"] + 1)
    at = launch("pages/2_Layers.py", library="music")
    assert words(at).count("How properties are measured has changed since") == 3
    assert {"evaluate faithfulness", "evaluate similarity"} <= {button.key for button in at.button}


def test_a_dial_says_what_it_means_and_how_sure_that_is(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[0], library="music")
    said = at.select_slider(key="dial-brightness").help
    assert said.startswith("Where the spectrum has its centre of gravity") and "of it can be read off works" in said
    assert "Goes with" in said  # what it cannot be told apart from, as the leak matrix says


@pytest.mark.slow
def test_a_wish_sets_the_dials_it_has_evidence_for(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[3], library="music")
    assert chosen_wish(at) == ["Like this"]
    at.button(key="wish Same timbre").click().run()
    assert dials(at)["brightness"] == 1.0 and chosen_wish(at) == ["Same timbre"]
    by_sound = rows(at, "title")
    at.button(key="wish Same music, another sound").click().run()
    assert dials(at)["brightness"] == NOT and chosen_wish(at) == ["Same music, another sound"]
    assert rows(at, "title") != by_sound
    at.button(key="wish Like this").click().run()
    assert not any(dials(at).values()) and not at.exception


@pytest.mark.slow
def test_a_neighbour_becomes_the_query_and_the_way_back_is_there(launch, bright, click_in_row):
    at = launch("pages/4_Listen.py", query=bright[3], library="music", passage="0:3")
    first = rows(at, "title")[0]
    home = Workspace()
    nearest = next(track for track in home.catalogue.tracks("music") if track.title == first)
    click_in_row(at, "follow", 1)
    assert at.query_params["query"] == nearest.track_id and "passage" not in at.query_params
    at.button(key="trail 0").click().run()
    assert at.query_params["query"] == bright[3] and not [b for b in at.button if b.key == "trail 0"]


@pytest.mark.slow
def test_a_thumb_is_kept_with_what_led_to_it_and_can_be_taken_back(launch, bright, click_in_row):
    at = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="1.0")
    nearest = ask_mel(Workspace(), bright[3], aspects={"brightness": 1.0})[0].track.track_id
    click_in_row(at, "judge", 1, "like")
    opinions = Workspace().opinions
    assert opinions.verdicts(bright[3]) == {nearest: "like"}
    assert opinions.export("me")[-1]["context"]["request"]["aspects"] == {"brightness": 1.0}
    again = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="1.0")
    assert [track.row.verdict for track in click_in_row.shown[:3]] == ["none", "like", "none"]
    click_in_row(again, "judge", 1, "none")
    assert opinions.verdicts(bright[3]) == {}


def test_only_recordings_of_one_performer(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[3], library="music", performers="p1")
    assert set(rows(at, "performer")) == {"p1"} and at.multiselect(key="performers").value == ["p1"]


@pytest.mark.slow
@pytest.mark.parametrize(("passage", "n"), [("0:3", 10), ("90:99", 10), ("x", 10), ("3:0", 10)])
def test_a_passage_in_the_link(launch, bright, passage, n):
    """One that is not in the recording is said to be so, and all of it is compared."""
    at = launch("pages/4_Listen.py", query=bright[3], library="music", passage=passage)
    assert len(rows(at, "rank")) == n
    assert ("not in this recording" in words(at)) == (passage == "90:99")
    assert ("The passage in this link is none" in words(at)) == (passage in ("x", "3:0"))
    assert at.query_params.get("passage") == ({"0:3": "0:3", "90:99": "90:99"}.get(passage))
    assert (at.slider(key=f"passage {bright[3]}").value == (0.0, 3.0)) == (passage == "0:3")


def test_why_says_what_is_the_same_and_what_is_not(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[0], library="music", k="11", brightness="1.0")
    lines = dict(zip(rows(at, "title"), rows(at, "why"), strict=True))
    titles = [track.title for track in map(Workspace().catalogue.track, bright)]
    assert "brighter than" in lines[titles[-1]] and "same brightness" not in lines[titles[-1]]
    assert "same work" in lines[titles[10]] and "same work" not in lines[titles[5]]
    spec = next(chart for chart in figures(at) if chart["layout"].get("barmode") == "relative")
    assert spec["data"][0]["name"] == "brightness" and len(spec["data"][0]["x"]) == 11


@pytest.mark.slow
def test_a_new_question_came_from_nowhere(launch, bright, click_in_row):
    """The way back leads through neighbours that became queries, and ends where another recording is picked."""
    at = launch("pages/4_Listen.py", query=bright[3], library="music", encoder="mel")
    click_in_row(at, "follow", 1)
    assert [button.key for button in at.button if str(button.key).startswith("trail")] == ["trail 0"]
    at.segmented_control(key="how").set_value("Pick a track").run()
    at.selectbox(key="picked").set_value(bright[7]).run()
    assert at.query_params["query"] == bright[7]
    assert not [button for button in at.button if str(button.key).startswith("trail")] and "Came from" not in words(at)


def test_why_nothing_was_found_is_said(launch, bright, write_wav):
    home = Workspace()
    home.catalogue.add_to_library("lone", bright[:1])
    at = launch("pages/4_Listen.py", query=bright[0], library="lone", encoder="mel")
    assert "There is no other recording in this library." in words(at)
    later = read_track(write_wav("later", seed=9))
    home.catalogue.add(later.audio.parent, [later], "lone")
    at = launch("pages/4_Listen.py", query=bright[0], library="lone", encoder="mel")
    assert "1 of 2 recordings of this library can be compared so far." in words(at)
    home.catalogue.add_to_library("pair", bright[:2])
    home.catalogue.edit(bright[0], performer="Ada")
    home.catalogue.edit(bright[1], performer="Ben")
    at = launch("pages/4_Listen.py", query=bright[0], library="pair", encoder="mel", performers="Ada")
    assert "No other recording here has performer Ada." in words(at) and "Clear a filter" in words(at)


@pytest.mark.slow
def test_a_filter_is_seen_above_the_list_and_cleared_there(launch, bright):
    """The place where it was chosen may be closed, and another library takes it along."""
    at = launch("pages/4_Listen.py", query=bright[0], library="music")
    assert "Only with" not in words(at)
    at = launch("pages/4_Listen.py", query=bright[0], library="music", performers="p1")
    assert "Only with performer p1." in words(at)
    at.button(key="no filters").click().run()
    assert not at.exception and "Only with" not in words(at)
    assert "performers" not in at.query_params


@pytest.mark.slow
def test_what_is_left_out_of_a_list_is_said_and_comes_back_with_all_recordings(launch, bright):
    """Whoever came by a link that leaves out other recordings of a work has never seen where that is chosen."""
    link = {"query": bright[0], "library": "music", "versions": "exclude", "max_per_performer": "2"}
    at = launch("pages/4_Listen.py", **link)
    assert "Without other recordings of this work, at most 2 recordings of one performer." in words(at)
    both = launch("pages/4_Listen.py", **link, performers="p1")
    assert "Only with performer p1, without other recordings of this work, at most 2" in words(both)
    both.button(key="no filters").click().run()
    assert not both.exception and not {"versions", "max_per_performer", "performers"} & {*both.query_params}
    assert "ithout other recordings" not in words(both)


@pytest.mark.slow
def test_a_passage_is_explained_by_the_layer_it_is_looked_for_in(launch, bright):
    plain = "averaged over layers"
    at = launch("pages/4_Listen.py", query=bright[0], library="music", geometry="layer")
    assert plain in words(at) and "A passage is looked for" not in words(at)
    at = launch("pages/4_Listen.py", query=bright[0], library="music", geometry="layer", passage="1:3")
    assert plain not in words(at) and "A passage is looked for in one layer: layer 0 of Log-mel" in words(at)


@pytest.mark.slow
def test_the_same_passage_by_others(launch, bright):
    """Two recordings of one score, one twice as slow; a third knows nothing of it."""
    home, beats = Workspace(), np.arange(10.0)
    for track_id, beat_s in zip(bright[:2], (0.25, 0.5), strict=True):
        home.catalogue.passages.write(track_id, [ScoreTimes.of("a waltz", beats, 0.5 + beats * beat_s)])
    at = launch("pages/4_Listen.py", query=bright[0], library="music")
    assert "The same passage by others" in [each.value for each in at.subheader]
    others = at.multiselect(key=f"others {bright[0]}")
    # A name that changed with the passage would be lost from what is chosen.
    assert others.value == [bright[1]] and "bpm" not in others.options[0]
    assert f"Tempo in bpm: query 240, {others.options[0]} 120" in words(at)
    tempo = [trace["y"] for trace in figures(at)[-1]["data"] if trace["yaxis"] == "y"]
    assert [set(np.round(each)) for each in tempo] == [{240.0}, {120.0}]
    at = launch("pages/4_Listen.py", query=bright[2], library="music")
    assert "The same passage by others" not in [each.value for each in at.subheader]


def test_measured_values_of_both(launch, bright):
    at = launch("pages/4_Listen.py", query=bright[0], library="music")
    at.session_state["why tab"] = "Measured values"  # AppTest cannot click a tab
    at.run()
    table = next(frame.value for frame in at.dataframe if "this one" in frame.value.columns)
    centroids = table[table["property"] == "Brightness"].iloc[0]
    assert centroids["query"] < centroids["this one"] and centroids["the encoder is off by"].startswith("±")
    shown = set(table["property"])
    assert {"Energy", "Acousticness", "Loudness"} <= shown and not {"Tonic", "Mode", "Onset rate"} & shown
    assert f"Key, as estimated: {key_of(Workspace(), bright[0])} (query)" in words(at)


@pytest.mark.slow
def test_measured_values_rank_where_they_are_asked_to(launch, bright):
    """Offered where brightness is asked for; then said, in the link, and explained by the values."""
    at = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="1.0")
    assert "Brightness was measured in 12 of 12 recordings here: what was measured need not be guessed." in words(at)
    assert "Ranked by what was measured" not in words(at)
    at.button(key="by values").click().run()
    assert not at.exception and at.query_params["geometry"] == "measured"
    assert "Ranked by what was measured in the sound, not by what the encoder hears." in words(at)
    assert not [button for button in at.button if button.key == "by values"]
    measurements = Workspace().measurements
    octaves = np.log2(measurements.values(bright, "spectral_centroid"))
    titles = [Workspace().catalogue.track(track_id).title for track_id in bright]
    order = np.argsort(np.abs(octaves - octaves[3]))
    assert rows(at, "title") == [titles[row] for row in order if row != 3][:10]
    assert all(why.count("bright") <= 1 and "attack" not in why for why in rows(at, "why"))
    again = launch("pages/4_Listen.py", query=bright[3], library="music", brightness="1.0", geometry="measured")
    assert rows(again, "title") == rows(at, "title")
    again.button(key="by encoder").click().run()
    assert not again.exception and "geometry" not in again.query_params and dials(again)["brightness"] == 1.0


def test_measured_aspects_have_dials_without_evidence(launch, bright):
    """Dynamics has none here, and its values are known; what nobody measured is named."""
    at = launch("pages/4_Listen.py", query=bright[0], library="music", geometry="measured")
    assert {"brightness", "dynamics"} <= set(dials(at)) and "legato" not in dials(at)
    (missing,) = [caption.value for caption in at.caption if caption.value.startswith("Measured in no recording here")]
    assert "legato" in missing and "brightness" not in missing


@pytest.mark.slow
def test_a_query_that_is_not_measured_is_measured_first(launch, bright, write_wav):
    """Its job is asked for once; then its neighbours are there. What fails is said, with a way out."""
    home = Workspace()
    new = read_track(write_wav("newcomer", 6.0, 77))
    home.catalogue.add(new.audio.parent, [new], None)
    query = new.track.track_id
    submit(home, EncodeRequest(query, MEL.id))
    work(home)
    link = {"query": query, "library": "music", "encoder": MEL.id, "brightness": "1.0", "geometry": "measured"}
    at = launch("pages/4_Listen.py", **link)
    assert "appear as soon as it has been measured" in words(at)
    at.run()
    assert [job.kind for job in home.jobs.active()] == ["measure"]
    work(home)
    at = launch("pages/4_Listen.py", **link)
    assert "Ranked by what was measured in the sound" in words(at) and len(rows(at, "title")) == 10
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM targets WHERE track_id = ?", (query,))
        connection.execute("UPDATE jobs SET state = 'failed', message = 'It broke.' WHERE kind = 'measure'")
    at = launch("pages/4_Listen.py", **link)
    assert "This query cannot be measured" in words(at) and "Let the encoder compare: whole layers" in words(at)


@pytest.mark.slow
def test_columns_of_the_own_table_are_shown_and_narrow_a_search(launch, home, library):
    """In the table of tracks, among the filters, and as what discovery keeps apart; its heatmap names them."""
    with home.database.transaction() as connection:
        for number, track_id in enumerate(library):
            values = [("era", ("late", "early")[number % 2]), ("level", str(number))]
            connection.executemany("INSERT INTO details VALUES (?, ?, ?)", [(track_id, *value) for value in values])
    at = launch("pages/1_Library.py", library="music")
    assert any({"era", "level"} <= set(frame.value.columns) for frame in at.dataframe)
    at = launch("pages/4_Listen.py", library="music", query=library[0])
    at.multiselect(key="where").select("era: late").run()
    assert not at.exception
    assert {row["track id"] for frame in at.dataframe for row in frame.value.to_dict("records")
            if "track id" in row} <= {library[2]}  # fmt: skip
    settings = ProbeSettings(n_folds=2, n_bootstraps=5, n_permutations=0, alphas=(10.0,), columns=("level",))
    submit(home, ProbeRequest("music", NANO.id, "work", "track", settings))
    work(home)
    at = launch("pages/2_Layers.py", library="music")
    assert {"era", "level"} <= set(at.selectbox(key="group").options) and not at.exception
    assert len(at.get("plotly_chart")) > 0


def test_a_catalogue_that_cannot_be_read_is_a_sentence_on_every_page(launch, home, library):
    """Damaged, or not there beside its files: what to do about it, and no stack trace."""
    home.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home.database.close()
    kept = home.paths.database.read_bytes()
    for damaged in (b"no database " * 1000, bytes(len(kept)), kept[: len(kept) // 3]):
        for log in home.paths.root.glob("mess.sqlite-*"):
            log.unlink()
        home.paths.database.write_bytes(damaged)
        st.cache_resource.clear()
        for page in (None, "pages/1_Library.py", "pages/3_Map.py", "pages/4_Listen.py"):
            at = launch(page)
            said = " ".join(element.value for element in [*at.text, *at.sidebar.text])
            assert "mess.sqlite could not be" in said and "check --rebuild" in said, (page, said)


def test_files_that_are_gone_are_seen_before_they_are_forgotten(launch, home, library):
    path = home.catalogue.audio_path(library[0])
    path.unlink()
    at = launch("pages/1_Library.py", library="music")
    at.button(key="look-for-missing").click().run()
    assert path.name in str([frame.value.to_dict() for frame in at.dataframe]) and home.catalogue.n_tracks("music")
    n_tracks = home.catalogue.n_tracks("music")
    at.button(key="forget-missing").click().run()
    assert not at.exception and home.catalogue.n_tracks("music") == n_tracks - 1 and not path.exists()


def test_the_first_library_is_shown_as_soon_as_it_is_there(launch, home, write_wav):
    """`all` is never chosen but by the visitor: not by an empty data folder either."""
    at = launch()
    assert at.selectbox[0].value == "all"
    home.catalogue.add(write_wav("one").parent, [read_track(write_wav("one"))], "music")
    assert at.run().selectbox(key="library").value == "music"


@pytest.mark.slow
@pytest.mark.parametrize("page", [None, *(page for page in PAGES if page != "home.py")])
def test_one_is_said_in_the_singular_on_every_page(launch, home, write_wav, page):
    """A library of one track: no "1 tracks", "1 works", "1 nearest recordings"."""
    new = read_track(write_wav("only", 6.0))
    home.catalogue.add(new.audio.parent, [new], "one")
    for is_embedded in (False, True):
        if is_embedded:
            submit(home, ExtractRequest("one", NANO.id))
            work(home)
        at = launch(page, query=new.track.track_id, library="one")
        labels = [str(element.label) for kind in (at.button, at.metric) for element in kind]
        said = "\n".join([words(at), *labels, *(str(metric.value) for metric in at.metric)])
        assert not re.findall(r"\b1 (?!(?:s|is|was|has)\b)[a-z]+s\b", said)


@pytest.mark.slow
def test_one_neighbour_is_said_in_the_singular(launch, home, write_wav):
    new = [read_track(write_wav(f"track {seed}", 3.0, seed)) for seed in range(2)]
    home.catalogue.add(new[0].audio.parent, new, "two")
    submit(home, ExtractRequest("two", NANO.id))
    work(home)
    assert "1 nearest recording\n" in words(launch("pages/4_Listen.py", query=new[0].track.track_id)) + "\n"


@pytest.mark.slow
def test_the_way_of_asking_follows_the_query(launch, library, home, write_wav, click_in_row):
    """A link, a neighbour or the map asks about a track of the library; a dropped file is dropped, also after Back."""
    at = launch("pages/4_Listen.py")
    assert at.segmented_control(key="how").value == "Drop a file"
    at = launch("pages/4_Listen.py", query=library[1], library="music")
    assert at.segmented_control(key="how").value == "Pick a track" and at.selectbox(key="picked").value == library[1]
    click_in_row(at, "follow", 1)
    assert at.query_params["query"] != [library[1]] and at.selectbox(key="picked").value == state_query(at)
    at.segmented_control(key="how").set_value("Drop a file").run()  # to look for another one
    assert at.segmented_control(key="how").value == "Drop a file" and not at.exception
    writer = UploadWriter(home, "mine.wav")
    writer.write(write_wav("mine", 3.0, 9).read_bytes())
    at = launch("pages/4_Listen.py", query=writer.finish().track_id)
    assert at.segmented_control(key="how").value == "Drop a file"


def state_query(at: AppTest) -> str:
    value = at.query_params["query"]
    return value if isinstance(value, str) else value[0]


@pytest.mark.slow
def test_the_cell_that_is_looked_at_is_in_the_link(launch, probed):
    """A link opens it again; one that this run has not is nothing."""
    for target, layer, is_there in (
        ("spectral_centroid", "0", True),
        ("spectral_centroid", "99", False),
        ("x", "", False),
    ):
        at = launch("pages/2_Layers.py", library="music", encoder="mel", target=target, at=layer)
        assert (len(figures(at)) > 1) == is_there


@pytest.mark.slow
def test_what_was_found_becomes_a_library(launch, library, home):
    """A name of one's own; a name that is none is said; the recordings stay where they were."""
    at = launch("pages/4_Listen.py", query=library[0], library="music", encoder="nano")
    box = next(each for each in at.text_input if each.placeholder == "its name")
    for name, says in (
        ("", "cannot be called"),
        ("all", "cannot be called"),
        ("found", "3 recordings saved as found."),
    ):
        box = next(each for each in at.text_input if each.placeholder == "its name")
        box.set_value(name)
        next(each for each in at.button if each.label == "Save").click().run()
        assert says in words(at) and not at.exception
    assert home.catalogue.n_tracks("found") == 3 and home.catalogue.n_tracks("music") == 4


@pytest.mark.slow
def test_the_query_is_changed_heard_and_compared(launch, bright):
    """Nothing changed is said; a change is made, heard at once, and compared when both have been listened to."""
    at = launch("pages/4_Listen.py", query=bright[2], library="music", encoder="mel")
    at.session_state["otherwise"] = True  # AppTest cannot open an expander
    at.run()
    press = next(each for each in at.button if each.label == "Hear and compare")
    press.click().run()
    assert "Nothing is changed yet: move at least one slider." in words(at) and not at.exception
    assert "did not work" not in words(at)
    pitch, tempo = (next(each for each in at.select_slider if each.label == name) for name in ("Pitch", "Tempo"))
    assert "as it is" in pitch.options and "+1 semitone" in pitch.options and "-2 semitones" in pitch.options
    assert "1.05 times as fast" in tempo.options and "as it is" in tempo.options
    next(each for each in at.slider if each.label == "Brightness").set_value(6.0)
    next(each for each in at.button if each.label == "Hear and compare").click().run()
    assert not at.exception and "2 of 2: listening to it changed." in words(at).replace("\\", "")
    home = Workspace()
    for _ in range(2):  # as it is, and changed
        work(home)
        at.run()
    became = next(line for line in words(at).splitlines() if "it is otherwise" in line)
    assert not at.exception and "brighter" in became and "It moves by" in became
    assert (
        sum("brighter by 6 dB an octave" in track.title for track in home.catalogue.tracks_of(all_ids(home)).values())
        == 1
    )


def all_ids(home: Workspace) -> list[str]:
    return [row["track_id"] for row in home.database.connection.execute("SELECT track_id FROM tracks")]


def test_music_comes_first_on_the_library_page(launch, home):
    """Before the many encoders; what is added there is embedded by the one chosen below."""
    at = launch("pages/1_Library.py")
    headings = [each.value for each in at.subheader]
    assert headings[:3] == ["1 · Music", "2 · Encoder", "3 · Embedding"]
    labels = [getattr(element, "label", None) for element in at.main]
    assert labels.index("Folder or file on this machine") < labels.index("Encoder")


def test_of_very_many_the_query_is_picked_from_those_that_fit_some_words(launch, home, bright, monkeypatch):
    """A list of all would be sent with every click; what is picked stays in it whatever is typed next."""
    monkeypatch.setattr(pickers, "MOST_OFFERED", 5)
    at = launch("pages/4_Listen.py", library="music")
    at.segmented_control(key="how").set_value("Pick a track").run()
    assert not [each for each in at.selectbox if each.key == "picked"]
    track = home.catalogue.track(bright[3])
    at.text_input(key="words to pick by").set_value(track.title).run()
    assert len(at.selectbox(key="picked").options) < len(bright)
    at.selectbox(key="picked").set_value(track.track_id).run()
    assert at.query_params["query"] in ([track.track_id], track.track_id) and not at.exception
    at.text_input(key="words to pick by").set_value("mazurka").run()
    assert at.selectbox(key="picked").value == track.track_id and "Nothing here is called so." in words(at)
    assert at.query_params["query"] in ([track.track_id], track.track_id)
