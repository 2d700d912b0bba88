"""For You: from nothing known to lists with reasons; thumbs, wishes, two listeners, the radio, and forgetting."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from mess_core.encoders.nano import NANO
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.evaluation.taste import measure_taste
from mess_core.handover.exports import as_m3u8
from mess_core.recommend.beginning import ENOUGH_LIKED, N_STARTERS
from mess_core.recommend.for_you import begin_with, recommend
from mess_core.recommend.sections import SECTIONS, week_began_s
from mess_core.recommend.signals import DAY_S
from mess_core.recommend.simulated import PEOPLE
from mess_core.workspace.scope import Scope, scope_to_listen
from pages.shared.app import jobs
from pages.shared.for_you import history, radio, rows
from pages.shared.widgets.player.player import PlayerReport, PlayerTrack
from tests.pages.conftest import words
from tests.planted import a_track
from tests.recommend.worlds import (
    disliked,
    grouped_tracks,
    liked,
    plant_events,
    plant_groups,
    planted_cases,
    planted_shelf,
)

FOR_YOU = "pages/7_For_You.py"
HOSTILE = [
    "**bold** ![](https://x.y/z.png) $x$",
    "<img src=x onerror=alert(1)> :red[a] `b`",
    "two\nlines  [a](https://b)",
]


class Browser:
    """What the browser is given to draw, and what somebody does in it; a report stays until the player is another.

    shown : the tracks that were drawn last; starts : what made the player start by itself
    """

    def __init__(self) -> None:
        self.shown: list[PlayerTrack] = []
        self.key = ""
        self.starts: str | None = None
        self._clicks: list[tuple] = []
        self._reports: dict[str, PlayerReport] = {}

    @property
    def ids(self) -> list[str]:
        return [track.id for track in self.shown]

    def verdicts(self) -> dict[str, str]:
        return {track.id: track.row.verdict for track in self.shown if track.row.verdict != "none"}

    def click(self, at: AppTest, what: str, *given: str) -> None:
        """`what` is "judge", "take" or "follow"."""
        self._clicks.append((what, *given))
        at.run()
        at.run()  # a click comes before the run that it causes
        assert not at.exception

    def hear(self, at: AppTest, heard: Mapping[str, float], position_s: float = 3.0) -> None:
        """A report of how many seconds each track was heard since the player appeared; the last one is heard now."""
        self._reports[self.key] = PlayerReport(position_s, list(heard)[-1], len(heard), dict(heard))
        at.run()
        at.run()
        assert not at.exception

    def draw(
        self, tracks: list[PlayerTrack], *, key: str, starts: str | None = None, **settings
    ) -> PlayerReport | None:
        assert len({track.id for track in tracks}) == len(tracks)  # as the player demands
        self.shown, self.key, self.starts = list(tracks), key, starts
        radio.st.session_state[key] = {}  # as of a widget that was drawn
        while self._clicks:
            what, *given = self._clicks.pop()
            settings[f"on_{what}"](*given)
        return self._reports.get(key)


@pytest.fixture
def browser(monkeypatch) -> Browser:
    drawn = Browser()
    monkeypatch.setattr(rows, "player", drawn.draw)
    monkeypatch.setattr(radio, "player", drawn.draw)
    return drawn


@pytest.fixture
def groups(home) -> list[list[str]]:
    """A library of four groups of twelve."""
    return plant_groups(home)


def like(home, *track_ids: str, listener: str = "me") -> None:
    for track_id in track_ids:
        home.opinions.judge(track_id, "like", listener=listener)


def plays(home, listener: str = "me") -> list[dict]:
    return [entry for entry in home.opinions.export(listener) if entry["kind"] == "play"]


def judgements(home, listener: str = "me") -> list[dict]:
    return [entry for entry in home.opinions.export(listener) if entry["kind"] == "judgement"]


def keys(at: AppTest) -> list[str]:
    return [button.key for button in at.button]


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    return at


def title(home, track_id: str) -> str:
    return home.catalogue.track(track_id).title


# --- nothing known yet --------------------------------------------------------------------------------------


def test_with_nothing_embedded_it_is_said_what_to_do(launch, home, browser):
    at = launch(FOR_YOU)
    assert "has heard 0 recordings" in words(at) and "Library" in words(at) and browser.shown == []


def test_two_recordings_are_too_few(launch, home, groups, browser):
    home.catalogue.add_to_library("two", groups[0][:2])
    at = launch(FOR_YOU, library="two")
    assert "has heard 2 recordings" in words(at) and browser.shown == []


def test_to_begin_with_a_dozen_is_offered(launch, home, groups, browser):
    at = launch(FOR_YOU, library="planted")
    expected = begin_with(scope_to_listen(home, "planted"))
    assert browser.ids == [track.track_id for track in expected] and len(browser.ids) == N_STARTERS
    assert all(set(track.row.acts) == {"like", "dislike"} for track in browser.shown)
    assert not at.pills and home.opinions.listeners() == []


def test_of_four_recordings_all_are_offered(launch, home, library, browser):
    """Really embedded ones; and a player that is drawn as it is."""
    launch(FOR_YOU, library="music")
    assert sorted(browser.ids) == sorted(library)


def test_the_first_likes_lead_to_lists(launch, home, groups, browser):
    """One is counted, three are enough; each is about the recording itself and says where it came from."""
    at = launch(FOR_YOU, library="planted")
    liked_ids = browser.ids[:ENOUGH_LIKED]
    browser.click(at, "judge", liked_ids[0], "like")
    assert browser.verdicts() == {liked_ids[0]: "like"} and at.button(key="see what fits").disabled
    assert browser.key.startswith("beginning")
    for track_id in liked_ids[1:]:
        browser.click(at, "judge", track_id, "like")
    assert browser.key.startswith("beginning")  # the page does not turn over under the hand
    press(at, "see what fits")
    assert at.pills(key="section").value == next(iter(SECTIONS)) and len(browser.ids) == rows.N_ROWS
    assert not set(liked_ids) & set(browser.ids)  # just heard
    assert all(track.row.verdict_words for track in browser.shown)
    kept = judgements(home)
    assert [entry["track_id"] for entry in kept] == liked_ids and {entry["query_track_id"] for entry in kept} == {None}
    assert {entry["context"]["section"] for entry in kept} == {"beginning"}


def test_what_is_heard_to_begin_with_counts_as_well(launch, home, groups, browser):
    at = launch(FOR_YOU, library="planted")
    heard = browser.ids[:ENOUGH_LIKED]
    browser.hear(at, dict.fromkeys(heard, 20.0))
    kept = plays(home)
    assert sorted(entry["track_id"] for entry in kept) == sorted(heard)
    assert {(entry["section"], entry["share"]) for entry in kept} == {("beginning", 1.0)}
    assert {entry["rank"] for entry in kept} == {1, 2, 3}
    assert press(at, "see what fits").pills(key="section")


def test_by_dislikes_alone_one_is_still_at_the_beginning(launch, home, groups, browser):
    at = launch(FOR_YOU, library="planted")
    offered = browser.ids
    browser.click(at, "judge", offered[0], "dislike")
    assert browser.ids == offered and browser.verdicts() == {offered[0]: "dislike"} and not at.pills
    browser.click(at, "judge", offered[0], "none")
    assert browser.verdicts() == {} and home.opinions.verdicts() == {}


def test_where_everything_is_disliked_the_page_says_so(launch, home, groups, browser):
    everything = [track_id for own in groups for track_id in own]
    plant_events(home, *disliked(everything), now_s=time.time())
    at = launch(FOR_YOU, library="planted")
    assert len(browser.ids) == N_STARTERS and set(browser.verdicts().values()) == {"dislike"} and not at.exception
    like(home, *everything[:3])
    browser.shown = []
    at = launch(FOR_YOU, library="planted")
    assert browser.shown == [] and len(at.info) == 1 and at.pills(key="section")


# --- sections -----------------------------------------------------------------------------------------------


@pytest.fixture
def tasted(home, groups) -> list[list[str]]:
    """Somebody who likes the first two groups since long, and one of the second since yesterday."""
    now_s = time.time()
    with home.database.transaction() as connection:
        connection.execute("UPDATE tracks SET added_at = ?", (now_s - 300 * DAY_S,))
        for track_id in groups[0][8:10]:
            connection.execute("UPDATE tracks SET added_at = ? WHERE track_id = ?", (now_s - DAY_S, track_id))
    plant_events(home, *liked(groups[0][:5], 70), *liked(groups[1][:5], 70.5), *liked([groups[1][5]]), now_s=now_s)
    return groups


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_shows_what_the_core_chooses(launch, home, tasted, browser, section):
    unheard = home.catalogue.track_ids("planted")[-1]
    for name in ("Ann", "Ben", "Cem") if section == "rising" else ():
        home.opinions.add_play(unheard, 20.0, share=1.0, listener=name)
    at = launch(FOR_YOU, library="planted", section=section)
    expected = recommend(scope_to_listen(home, "planted"), section_id=section, k=rows.N_ROWS)
    assert browser.ids == [row.track.track_id for row in expected.found] and browser.ids
    assert [track.row.number for track in browser.shown] == [str(n + 1) for n in range(len(browser.ids))]
    assert SECTIONS[section].definition in words(at).replace("\\", "")
    table = next(each.value for each in at.dataframe if "propensity" in each.value or "chance" in each.value)
    assert list(table["track"]) == [row.track.title for row in expected.found]
    assert list(table["why"]) == [row.why.text for row in expected.found]
    score = [track.row.score for track in browser.shown]
    assert (score == [None] * len(score)) == (section == "opposite")  # nothing of it fits a taste


def test_a_choice_of_section_is_in_the_link_and_so_are_the_others(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    first = browser.ids
    at.pills(key="section").set_value("rediscover").run()
    at.slider(key="surprise").set_value(1.0).run()
    at.selectbox(key="context").set_value("evening").run()
    assert not at.exception and browser.ids != first
    assert {name: at.query_params[name] for name in ("section", "surprise", "context")} == {
        "section": "rediscover", "surprise": "1", "context": "evening",
    }  # fmt: skip


def test_a_section_with_nothing_says_so(launch, home, groups, browser):
    like(home, *groups[0][:3])
    at = launch(FOR_YOU, library="planted", section="rediscover")
    assert browser.shown == [] and len(at.info) == 1 and "playlist" not in [each.key for each in at.download_button]


def test_the_week_s_list_stays_whatever_is_said_since(launch, home, groups, browser):
    plant_events(home, *liked(groups[0][:4], 1), now_s=week_began_s(time.time()))
    launch(FOR_YOU, library="planted", section="weekly")
    before = browser.ids
    like(home, *groups[2][:6])
    at = launch(FOR_YOU, library="planted", section="weekly")
    assert browser.ids == before and before
    browser.click(at, "judge", before[0], "dislike")
    assert browser.ids[: len(before) - 1] == before[1:]


# --- thumbs and wishes --------------------------------------------------------------------------------------


def test_a_thumb_is_kept_with_how_the_track_came_to_be_shown(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    found = recommend(scope_to_listen(home, "planted"), k=rows.N_ROWS).found
    tried = next(row for row in found if row.chosen.source == "tried")
    browser.click(at, "judge", tried.track.track_id, "like")
    kept = judgements(home)[-1]
    assert (kept["track_id"], kept["query_track_id"], kept["verdict"]) == (tried.track.track_id, None, "like")
    context = kept["context"]
    assert (context["section"], context["rank"]) == ("quick-picks", tried.rank)
    assert context["propensity"] == tried.chosen.propensity < 1 and context["library"] == "planted"


def test_a_dislike_makes_room_and_what_was_heard_or_liked_stays(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    before = browser.ids
    chance = recommend(scope_to_listen(home, "planted"), k=rows.N_ROWS).found[3].chosen.propensity
    browser.hear(at, {before[3]: 12.0})
    assert browser.ids[3] == before[3]
    liked_id = browser.ids[5]
    browser.click(at, "judge", liked_id, "like")
    assert (browser.ids[3], browser.ids[5]) == (before[3], liked_id)
    disliked_id = browser.ids[0]
    browser.click(at, "judge", disliked_id, "dislike")
    after = browser.ids
    assert disliked_id not in after and (after[3], after[5]) == (before[3], liked_id)
    assert len(after) == rows.N_ROWS and len(set(after)) == len(after)
    (kept,) = plays(home)
    assert (kept["track_id"], kept["section"], kept["rank"], kept["propensity"]) == (
        before[3],
        "quick-picks",
        4,
        chance,
    )
    assert kept["seconds"] == 12.0 and kept["share"] == pytest.approx(0.6) and kept["is_skip"] is False
    press(at, "another")  # nothing stays but what is still the best
    assert not {liked_id, disliked_id, before[3]} & set(browser.ids)


def test_a_heard_row_can_be_disliked_and_is_gone(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    heard = browser.ids[2]
    browser.hear(at, {heard: 12.0})
    browser.click(at, "judge", heard, "dislike")
    assert heard not in browser.ids and heard not in (at.run(), browser.ids)[1]


def test_nothing_comes_twice_where_a_list_grows_short(launch, home, groups, browser):
    """What stays at the end moves up when there is nothing left to stand before it."""
    now_s = time.time()
    plant_events(home, *liked(groups[0][:8:2], 70), *liked(groups[1][:3]), now_s=now_s)  # of four works
    at = launch(FOR_YOU, library="planted", section="rediscover")
    before = browser.ids
    assert len(before) == 4
    browser.hear(at, {before[3]: 12.0})
    for disliked_id in before[:3]:
        browser.click(at, "judge", disliked_id, "dislike")
        at.run()
        assert not at.exception and before[3] in browser.ids and disliked_id not in browser.ids
    assert browser.ids == [before[3]]


def test_what_one_listens_to_next_is_like_the_row(launch, home, tasted, browser, monkeypatch):
    at = launch(FOR_YOU, library="planted")
    went: list[str] = []
    monkeypatch.setattr(rows.st, "switch_page", lambda path, query_params: went.append((path, query_params["query"])))
    first = browser.ids[0]
    browser.click(at, "follow", first)
    assert went == [("pages/4_Listen.py", first)]


def test_not_for_that_reason_and_the_way_back(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    found = recommend(scope_to_listen(home, "planted"), k=rows.N_ROWS).found
    row = next(row for row in found if row.why.track_id)
    with_reason = {each.track.track_id for each in found if each.why.track_id}
    assert {track.id for track in browser.shown if "ignore" in track.row.acts} == with_reason
    browser.click(at, "take", row.track.track_id, "ignore")
    assert home.opinions.wishes()["ignore"] == (row.why.track_id,)
    reason = title(home, row.why.track_id)
    assert not any(re.search(rf"\b{reason}\b", track.row.verdict_words) for track in browser.shown)
    assert f"{reason} is no reason for anything" in words(at)
    press(at, f"take back ignore {row.why.track_id}")
    assert home.opinions.wishes()["ignore"] == () and "no reason for anything" not in words(at)


def test_less_of_this_and_the_way_back(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    interest = recommend(scope_to_listen(home, "planted")).interests[0]
    before = browser.ids
    press(at, "less 0")
    assert home.opinions.wishes()["less"] == (interest.medoid.track_id,) and browser.ids != before
    assert f"Less music like {interest.medoid.title}" in words(at)
    assert interest.medoid.track_id in [entry["track_id"] for entry in home.opinions.export() if entry["wish"]]
    press(at, f"take back less {interest.medoid.track_id}")
    assert home.opinions.wishes()["less"] == () and browser.ids == before


def test_an_interest_goes_to_the_map(launch, home, tasted, browser, monkeypatch):
    at = launch(FOR_YOU, library="planted")
    went: list[str] = []
    monkeypatch.setattr(rows.st, "switch_page", lambda path, query_params: went.append(path))
    press(at, "map 0")
    interest = recommend(scope_to_listen(home, "planted")).interests[0]
    assert went == ["pages/3_Map.py"] and interest.track_ids[0] in str(at.session_state["found on Listen"])


def test_why_not_is_asked_of_any_recording(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    home.opinions.judge(tasted[3][0], "dislike")
    at.selectbox(key="why not").set_value(tasted[3][0]).run()
    assert "It is disliked." in words(at)
    at.selectbox(key="why not").set_value(tasted[2][0]).run()
    assert "It fits what you like better than" in words(at) and not at.exception


def test_a_wish_on_what_is_removed_can_be_taken_back(launch, home, tasted, browser):
    gone = tasted[1][0]
    home.opinions.wish("less", gone)
    home.forget_tracks([gone])
    at = launch(FOR_YOU, library="planted")
    assert gone in words(at)  # its name is gone
    press(at, f"take back less {gone}")
    assert home.opinions.wishes()["less"] == () and gone not in words(at)


def test_a_list_goes_out_as_a_playlist_and_as_a_library(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted", section="because")
    ids = browser.ids
    found = recommend(scope_to_listen(home, "planted"), section_id="because", k=rows.N_ROWS)
    lines = [line for line in as_m3u8(found).splitlines() if not line.startswith("#")]
    assert len(lines) == len(ids) and "playlist" in [each.key for each in at.download_button]
    next(each for each in at.text_input if each.label == "Library").set_value("mine")
    next(button for button in at.button if button.label == "Save").click().run()
    assert not at.exception and sorted(home.catalogue.track_ids("mine")) == sorted(ids)


def test_how_well_it_works_can_be_measured_and_is_said_where_it_was(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    press(at, "measure taste")
    (job,) = [job for job in home.jobs.active() if job.kind == "evaluate"]
    assert job.arguments["what"] == "taste" and job.arguments["library"] == "planted"
    assert at.button(key="measure taste").disabled or "measure taste" not in keys(at)
    before = words(at)
    scope = scope_to_listen(home, "planted")
    study = measure_taste(planted_shelf(), planted_cases(6))
    kept = Evaluation("planted", scope.info.id, scope.info.fingerprint, scope.content, study)
    save_evaluation(scope, kept, "taste")
    seen = next(each for each in study.sections if each.section == "quick-picks")
    said = words(launch(FOR_YOU, library="planted"))
    assert f"{seen.lift.value:.1f}" in said and "nDCG" in said and said != before


# --- listeners ----------------------------------------------------------------------------------------------


def test_two_listeners_never_see_each_other_s(launch, home, groups, browser):
    now_s = time.time()
    plant_events(home, *liked(groups[0][:4], 20), (groups[0][11], "play", 20, 1.0), listener="Ann", now_s=now_s)
    launch(FOR_YOU, library="planted", listener="Ann", section="because")
    ann = browser.ids
    plant_events(home, *liked(groups[1][:4], 20), listener="Bob", now_s=now_s)
    home.opinions.judge(ann[0], "dislike", listener="Bob")
    home.opinions.wish("less", groups[0][0], "Bob")
    at = launch(FOR_YOU, library="planted", listener="Bob", section="because")
    own = recommend(scope_to_listen(home, "planted"), "Bob", "because", k=rows.N_ROWS)
    assert browser.ids == [row.track.track_id for row in own.found] != ann
    assert not set(browser.verdicts()) & {*groups[0], *ann}
    assert not {title(home, each) for each in groups[0][:4]} & {
        line for table in at.dataframe if "of it" in table.value for line in table.value["track"][1:]
    }
    launch(FOR_YOU, library="planted", listener="Ann", section="because")
    assert browser.ids == ann and set(browser.verdicts()) <= set(groups[0][:4])
    told = list(csv.DictReader(io.StringIO(history._table("csv", "Ann").decode())))
    assert {row["listener"] for row in told} == {"Ann"} and len(told) == 5
    at = launch(FOR_YOU, library="planted", listener="Cid")
    assert browser.key.startswith("beginning") and browser.verdicts() == {} and "Nothing yet." in words(at)


def test_what_one_hears_is_not_the_other_s_who_goes_on_in_the_same_tab(launch, home, groups, browser):
    for listener in ("Ann", "Bob"):
        plant_events(home, *liked(groups[0][:4], 20), listener=listener, now_s=time.time())
    at = launch(FOR_YOU, library="planted", listener="Ann")
    first = browser.ids[0]
    browser.hear(at, {first: 15.0})
    at.selectbox(key="listener").set_value("Bob").run()
    at.run()
    assert [entry["track_id"] for entry in plays(home, "Ann") if entry["section"]] == [first]
    assert not [entry for entry in plays(home, "Bob") if entry["section"]]


def test_another_name_is_given_in_a_form(launch, home, groups, browser):
    at = launch(FOR_YOU, library="planted")
    at.text_input[0].set_value("  Ann   Lee ")
    next(button for button in at.button if button.label == "Listen as this one").click().run()
    assert not at.exception and at.selectbox(key="listener").value == "Ann Lee"
    browser.click(at, "judge", browser.ids[0], "like")
    assert home.opinions.listeners() == ["Ann Lee"]


@pytest.fixture
def simulated(home, groups) -> str:
    """A library with music of one of the simulated."""
    tracks = [
        replace(track, **facts)
        for track, facts in zip(
            grouped_tracks(),
            [{"instrument": "organ"}] * 12 + [{"composer": "Edvard Grieg"}] * 12 + [{"work": "The Entertainer"}] * 12
            + [{"instrument": "vibraphone"}] * 12,
            strict=True,
        )
    ]  # fmt: skip
    for track in tracks:
        home.catalogue.edit(track.track_id, instrument=track.instrument, composer=track.composer, work=track.work)
    return next(iter(PEOPLE))


@pytest.mark.parametrize("section", ["quick-picks", "radio"])
def test_who_is_simulated_has_no_thumbs_and_nothing_is_kept(launch, home, groups, simulated, browser, section):
    """Nor of what is heard or clicked meanwhile, whoever listens after."""
    like(home, *groups[3][:4])  # of whoever listens after
    before = home.opinions.export()
    at = launch(FOR_YOU, library="planted", listener=simulated, section=section)
    assert at.selectbox(key="listener").value == simulated and browser.shown
    assert not any("like" in track.row.acts or "dislike" in track.row.acts for track in browser.shown)
    assert not [key for key in keys(at) if key.startswith(("less", "take back", "really forget"))]
    assert not at.get("file_uploader")
    heard = browser.ids[0]
    browser.hear(at, {heard: 9.0})
    browser.click(at, "judge", heard, "like")  # a browser can send anything
    if section == "radio":
        press(at, "skip")
    at.selectbox(key="listener").set_value("me").run()
    at.run()
    assert not at.exception and browser.shown[0].row.acts and home.opinions.listeners() == ["me"]
    assert home.opinions.export(simulated) == [] and home.opinions.export() == before


# --- history ------------------------------------------------------------------------------------------------


def test_what_was_heard_is_shown_the_latest_first(launch, home, groups, browser):
    plant_events(
        home, (groups[0][0], "play", 3, 0.5), (groups[0][1], "skip", 2, None), *liked([groups[0][2]]), now_s=time.time()
    )
    at = launch(FOR_YOU, library="planted")
    (table,) = [each.value for each in at.dataframe if "of it" in each.value]
    assert list(table["track"]) == [title(home, groups[0][n]) for n in (2, 1, 0)]
    assert list(table["of it"])[-1] == "50 %" and list(table["what"]) == ["liked", "skipped", "heard"]


def test_forgetting_really_deletes_and_says_how_many(launch, home, groups, browser):
    plant_events(home, *liked(groups[0][:4], 20), (groups[1][0], "play", 3, 1.0), now_s=time.time())
    home.opinions.wish("less", groups[0][0])
    like(home, groups[2][0], listener="Bob")
    at = launch(FOR_YOU, library="planted")
    browser.hear(at, {browser.ids[0]: 5.0})
    press(at, "really forget")
    assert "7 events forgotten." in words(at) and home.opinions.export() == []
    assert browser.key.startswith("beginning") and "forgotten" not in words(at.run())
    assert home.opinions.export() == [] and home.opinions.listeners() == ["Bob"]  # what a player reported stays away


def test_forgetting_some_days_keeps_the_others(launch, home, groups, browser):
    import datetime as dt

    noon = dt.datetime.combine(dt.date.today() - dt.timedelta(days=10), dt.time(12))
    for days, track_id in ((0, groups[0][0]), (1, groups[0][1]), (2, groups[0][2]), (-1, groups[0][3])):
        plant_events(home, *liked([track_id], days), now_s=noon.timestamp())
    at = launch(FOR_YOU, library="planted")
    at.radio(key="what to forget").set_value("Only some days").run()
    assert at.button(key="really forget").disabled
    at.date_input(key="days to forget").set_value((noon.date() - dt.timedelta(days=1), noon.date())).run()
    press(at, "really forget")
    assert "2 events forgotten." in words(at)
    assert set(home.opinions.verdicts()) == {groups[0][2], groups[0][3]}


def test_a_table_from_elsewhere_comes_in(launch, home, groups, browser):
    at = launch(FOR_YOU, library="planted", listener="Ann")
    lines = [f"{title(home, each)},player 0-{place % 3},2024-05-0{place + 1}T10:00:00" for place, each in
             enumerate(groups[0][:5])]  # fmt: skip
    data = "\n".join(["title,artist,time", *lines, "Nowhere,Nobody,2024-05-09T10:00:00"]).encode()
    at.file_uploader(key="import events").set_value(("mine.csv", data, "text/csv")).run()
    press(at, "take events in")
    assert "5 events taken in, 0 known already." in words(at) and "Nobody – Nowhere (1)" in words(at)
    assert sorted(entry["track_id"] for entry in plays(home, "Ann")) == sorted(groups[0][:5])
    assert home.opinions.listeners() == ["Ann"]
    press(at, "take events in")
    assert "0 events taken in, 5 known already." in words(at)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.zip", "a.parquet", "../" + "né" * 150 + ".CSV"])
@pytest.mark.parametrize("data", [b"", b"\x00\x01 nothing", b"PK\x03\x04", b"PAR1", b"{]", b"one,two\n1,2\n"])
def test_what_is_no_history_is_one_sentence(home, groups, name, data):
    at = AppTest.from_function(_bring_in_alone)
    at.run()
    at.file_uploader(key="import events").set_value((name, data, "text/plain")).run()
    press(at, "take events in")
    assert home.opinions.export() == []
    said = words(at)
    assert "That did not work" in said and "/tmp" not in said


def _bring_in_alone() -> None:
    from pages.shared.for_you import history

    history._bring_in("me")


def test_a_nonsense_file_leaves_the_page_as_it_is(launch, home, groups, browser):
    at = launch(FOR_YOU, library="planted")
    at.file_uploader(key="import events").set_value(("mine.csv", b"one,two\n1,2\n", "text/csv")).run()
    press(at, "take events in")
    assert "That did not work" in words(at) and len(browser.ids) == N_STARTERS


def test_what_goes_out_has_its_columns_and_comes_back(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    browser.hear(at, {browser.ids[1]: 5.0})
    names = {each.key for each in at.download_button}
    assert {"export heard csv", "export heard parquet", "playlist"} <= names
    data = history._table("csv", "me")
    told = list(csv.DictReader(io.StringIO(data.decode())))
    assert list(told[0]) == ["listener", "track_id", "artist", "title", "time", "seconds", "share", "action", "section",
                             "rank", "propensity"]  # fmt: skip
    assert (told[-1]["section"], told[-1]["rank"], told[-1]["action"]) == ("quick-picks", "2", "play")
    assert history._table("parquet", "me")[:4] == b"PAR1"
    before = home.opinions.events()
    home.opinions.forget("me")
    at.file_uploader(key="import events").set_value(("mine.csv", data, "text/csv")).run()
    press(at, "take events in")
    after = home.opinions.events()
    assert after.track_ids == before.track_ids and after.action.tolist() == before.action.tolist()
    assert after.at_s.tolist() == before.at_s.tolist()


@pytest.mark.parametrize("at_s", [0.0, 1e9, 4e9, 2e11])
def test_what_was_heard_at_any_time_can_be_shown(launch, home, groups, browser, at_s):
    """The moon landing aside: the first second of 1970, and the year 8307."""
    plant_events(home, (groups[0][0], "play", 0.0, 1.0), now_s=at_s)
    at = launch(FOR_YOU, library="planted")
    assert [list(each.value["track"]) for each in at.dataframe if "of it" in each.value] == [
        [title(home, groups[0][0])]
    ]


# --- what changes meanwhile ---------------------------------------------------------------------------------


def test_a_library_that_is_emptied_while_the_page_is_open(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted")
    first = browser.ids[0]
    browser.shown = []
    home.remove_library("planted")
    at.run()
    assert not at.exception and browser.shown == []
    at.run()
    assert not at.exception and first not in words(at)


@pytest.mark.parametrize("section", ["quick-picks", "because", "radio"])
def test_a_track_that_carried_a_reason_or_stayed_is_removed(launch, home, tasted, browser, section):
    at = launch(FOR_YOU, library="planted", section=section)
    found = recommend(scope_to_listen(home, "planted"), section_id="because", k=rows.N_ROWS).found
    gone = {found[0].why.track_id, browser.ids[0]}
    browser.hear(at, {browser.ids[0]: 5.0})
    titles = [title(home, each) for each in gone]
    home.forget_tracks(list(gone))
    at.run()
    assert not at.exception and not gone & set(browser.ids) and browser.ids
    for each in titles:
        assert not any(re.search(rf"\b{each}\b", track.row.verdict_words) for track in browser.shown)


# --- links and names ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "link", [{"section": "nonsense"}, {"surprise": "9"}, {"surprise": "nan"}, {"context": "lunch"},
             {"hearing": "nonsense"}, {"nonsense": "1"}]
)  # fmt: skip
@pytest.mark.parametrize("is_known", [True, False])
def test_a_link_with_nonsense_is_said(launch, home, groups, browser, link, is_known):
    if is_known:
        like(home, *groups[0][:4])
    at = launch()
    at.query_params.clear()
    for name, value in {"library": "planted", **link}.items():
        at.query_params[name] = value
    at.switch_page(FOR_YOU).run()
    assert not at.exception
    assert f"The link asks for {name}={value}" in words(at).replace("\\", "") and browser.shown


@pytest.mark.slow
@pytest.mark.parametrize("listener", ["a" * 300, "nobody", "a\u202eb", " ", "1' OR '1'='1", *HOSTILE, *PEOPLE])
def test_a_link_may_name_anybody(launch, home, groups, browser, listener):
    at = launch(FOR_YOU, library="planted", listener=listener)
    assert browser.key.startswith("beginning") and not at.exception and home.opinions.listeners() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("section", ["quick-picks", "because", "radio"])
def test_names_are_only_text(launch, home, browser, name, section):
    """Of recordings, works, players and listeners: nowhere as Markdown or HTML."""
    tracks = [
        replace(a_track(number), title=f"{number} {name}", work=name, composer=name, performer=name, instrument=name)
        for number in range(48)
    ]
    files = {track.track_id: track for track in tracks}
    groups = plant_groups(home, [replace(track, title=f"t{number}") for number, track in enumerate(tracks)])
    with home.database.transaction() as connection:
        for track_id, track in files.items():
            connection.execute("UPDATE tracks SET title = ? WHERE track_id = ?", (track.title, track_id))
    like(home, *groups[0][:4], listener=name)
    home.opinions.wish("less", groups[1][0], name)
    home.opinions.wish("ignore", groups[1][1], name)
    at = launch(FOR_YOU, library="planted", listener=name, section=section)
    if section != "radio":
        at.selectbox(key="why not").set_value(groups[2][0]).run()
    assert not at.exception and browser.shown
    drawn = [element.value for kind in (at.markdown, at.caption, at.subheader, at.info) for element in kind]
    drawn += [bar.proto.text for bar in at.get("progress")]
    drawn += [each.proto.label for kind in ("button", "popover", "expander", "toggle") for each in at.get(kind)
              if hasattr(each.proto, "label")]  # fmt: skip
    drawn += [each.proto.help for each in at.button]
    for text in map(str, drawn):
        assert "![](" not in text and "](https" not in text and not re.search(r"(?<!\\)<img", text), text
    assert any(name.split("\n")[0] in track.label for track in browser.shown)


# --- radio --------------------------------------------------------------------------------------------------


def test_the_radio_waits_for_a_click_and_goes_on_when_a_recording_ends(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted", section="radio")
    (first,) = browser.shown
    assert browser.starts is None and set(first.row.acts) == {"like", "dislike"} and first.row.verdict_words
    browser.hear(at, {first.id: 10.0}, position_s=10.0)
    assert browser.ids == [first.id]
    browser.hear(at, {first.id: 20.0}, position_s=19.9)
    (second,) = browser.shown
    assert second.id != first.id and browser.starts is not None and "1 recording so far" in words(at)
    kept = plays(home)[-1]
    assert (kept["track_id"], kept["section"], kept["rank"], kept["share"]) == (first.id, "radio", 1, 1.0)
    assert 0 < kept["propensity"] <= 1 and kept["is_skip"] is False
    browser.hear(at, {first.id: 20.0, second.id: 20.0}, position_s=19.9)
    assert browser.ids[0] not in (first.id, second.id) and [entry["seconds"] for entry in plays(home)] == [20.0, 20.0]


def test_a_skip_is_kept_as_one_of_that_listener(launch, home, groups, browser):
    like(home, *groups[0][:4], listener="Ann")
    at = launch(FOR_YOU, library="planted", listener="Ann", section="radio")
    (first,) = browser.ids
    press(at, "skip")
    (kept,) = plays(home, "Ann")
    assert (kept["track_id"], kept["is_skip"], kept["section"], kept["seconds"]) == (first, True, "radio", 0.0)
    assert 0 < kept["propensity"] <= 1 and browser.ids != [first] and home.opinions.export() == []


def test_a_skip_of_what_was_heard_is_one_play(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted", section="radio")
    (first,) = browser.ids
    browser.hear(at, {first: 5.0}, position_s=5.0)
    press(at, "skip")
    (kept,) = plays(home)
    assert (kept["track_id"], kept["is_skip"], kept["seconds"]) == (first, True, 5.0)


def test_what_was_heard_before_a_skip_is_reported_after_it_and_is_of_the_radio_as_well(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted", section="radio")
    (first,) = browser.ids
    press(at, "skip")
    (second,) = browser.ids
    browser.hear(at, {first: 8.0, second: 1.0}, position_s=1.0)
    assert {(entry["track_id"], entry["section"], entry["rank"]) for entry in plays(home)} == {
        (first, "radio", 1), (second, "radio", 1),
    }  # fmt: skip
    assert all(entry["propensity"] for entry in plays(home)) and browser.ids == [second]
    assert [entry["track_id"] for entry in plays(home) if entry["is_skip"]] == [first]


def test_a_dislike_on_the_radio_goes_on_and_a_like_does_not(launch, home, tasted, browser):
    at = launch(FOR_YOU, library="planted", section="radio")
    (first,) = browser.ids
    browser.click(at, "judge", first, "like")
    assert browser.ids == [first] and browser.verdicts() == {first: "like"}
    browser.click(at, "judge", first, "dislike")
    assert browser.ids != [first] and home.opinions.verdicts()[first] == "dislike"
    kept = judgements(home)[-1]
    assert kept["context"]["section"] == "radio" and 0 < kept["context"]["propensity"] <= 1
    assert kept["query_track_id"] is None


def test_where_nothing_is_left_the_radio_says_so(launch, home, tasted, browser, monkeypatch):
    """As where the last that was not disliked is removed meanwhile."""
    monkeypatch.setattr(radio, "next_of_radio", lambda *given, **how: None)
    at = launch(FOR_YOU, library="planted", section="radio")
    assert browser.shown == [] and len(at.info) == 1 and "skip" not in keys(at)


def test_where_all_but_three_are_disliked_these_come_again_and_again(launch, home, groups, browser):
    everything = [track_id for own in groups for track_id in own]
    like(home, *everything[:3])
    at = launch(FOR_YOU, library="planted", section="radio")
    for track_id in everything:
        home.opinions.judge(track_id, "dislike")
    like(home, *everything[:3])
    browser.shown = []
    press(at, "skip")
    for _ in range(4):  # the three come again and again
        assert browser.ids[0] in everything[:3]
        press(at, "skip")


def test_two_recordings_in_turn_are_not_passed_over(launch, home, groups, browser):
    """The last report is of the one before; when that comes again it has not ended yet."""
    home.catalogue.add_to_library("three", groups[0][:3])
    like(home, *groups[0][:3])
    at = launch(FOR_YOU, library="three", section="radio")
    (first,) = browser.ids
    browser.hear(at, {first: 20.0}, position_s=19.9)
    for number in range(2, 8):  # skipped without a word: no report comes
        press(at, "skip")
        at.run()
        assert f"{number} recordings so far" in words(at)


def test_another_listener_has_a_radio_of_their_own(launch, home, groups, browser):
    like(home, *groups[0][:4], listener="Ann")
    like(home, *groups[1][:4], listener="Bob")
    at = launch(FOR_YOU, library="planted", listener="Ann", section="radio")
    press(press(at, "skip"), "skip")
    assert "2 recordings so far" in words(at)
    at.selectbox(key="listener").set_value("Bob").run()
    assert "so far" not in words(at) and browser.shown and not at.exception


def test_what_is_asked_of_the_core_is_what_the_page_asks(home, groups):
    """The tests above compare with this scope."""
    assert scope_to_listen(home, "planted").info.id != NANO.id
    assert isinstance(scope_to_listen(home, "planted"), Scope)


def test_what_one_begins_with_is_chosen_anew_while_a_library_grows(launch, home, groups, browser, monkeypatch):
    """Until something was said of it: of the first twenty all may be by one player."""
    monkeypatch.setattr(jobs, "is_filling", lambda *_: True)
    every = [each for group in groups for each in group]
    home.catalogue.add_to_library("growing", every[:20])
    at = launch(FOR_YOU, library="growing")
    first = browser.ids
    home.catalogue.add_to_library("growing", every[20:30])
    at.run()
    assert browser.ids == first
    home.catalogue.add_to_library("growing", every)
    at.run()
    second = browser.ids
    assert second != first
    browser.click(at, "judge", second[0], "like")
    monkeypatch.setattr(rows, "begin_with", lambda *_: pytest.fail("it was said something of these"))
    at.run()
    assert browser.ids == second


def test_one_interest_is_no_hundred_percent(launch, home, groups, browser):
    like(home, *groups[0][:4])
    said = words(launch(FOR_YOU, library="planted"))
    assert "What you like most, from 4 likes: " in said and "(100 %)" not in said


def test_who_has_only_listened_is_not_said_to_like_anything(launch, home, groups, browser):
    for track_id in groups[0][:6]:
        home.opinions.add_play(track_id, 20.0, share=1.0)
    said = words(launch(FOR_YOU, library="planted"))
    assert "What you hear most, from 6 plays with no recording liked for itself yet: " in said
    assert "What you like most" not in said
    like(home, groups[0][0])
    assert "What you like most, from 1 like and 6 plays: " in words(launch(FOR_YOU, library="planted"))
