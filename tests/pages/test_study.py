"""The Study page: planted listeners by a click, findings in sentences, and nothing counted without its control."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from mess_core.encoders.mel import MEL
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.study.examples import write_planted_plan
from mess_core.study.kept import row_path, studies, study_folder
from mess_core.study.plan import read_plan
from mess_core.study.run import run_study
from mess_core.study.table import tabulate
from mess_core.work.doing import do_now
from mess_core.work.request import submit
from mess_core.work.study import StudyRequest
from pages.shared.app import resources
from tests.pages.conftest import words
from tests.planted import a_track, embed, plant_tracks

pytestmark = pytest.mark.slow
STUDY = "pages/8_Study.py"


@pytest.fixture
def planted(home) -> list[str]:
    """Fifty recordings that log-mel has heard."""
    ids = plant_tracks(home, [a_track(number) for number in range(50)], "music")
    embed(home, MEL, ids)
    return ids


@pytest.fixture
def ran(home, planted):
    """A study of planted listeners."""
    path = write_planted_plan(home.paths, "music", [MEL.id], MEL.id)
    short = path.read_text().replace("most_epochs = 40", "most_epochs = 2").replace("k = ", "exchanges = 2\nk = ")
    path.write_text(short)
    return run_study(read_plan(path), home).study


def test_without_a_study_there_is_one_thing_to_do(launch, planted, home):
    at = launch(STUDY, library="music")
    assert "No study was run yet." in words(at)
    at.button(key="planted").click().run()
    (job,) = home.jobs.active()
    assert job.kind == "study" and job.arguments["file"].endswith("planted-music.toml")
    assert at.button(key="planted").disabled


def test_in_a_library_too_small_to_plant_in_it_says_so(launch, home):
    embed(home, MEL, plant_tracks(home, [a_track(number) for number in range(5)], "music"))
    button = launch(STUDY, library="music").button(key="planted")
    assert button.disabled and "40 recordings" in button.help


def test_what_was_found_stands_in_sentences_with_every_figure_below(launch, ran):
    at = launch(STUDY, library="music")
    said = words(at)
    assert "200 listeners and 50 items" in said and "chance has" in said and "made up" in said
    figures = at.dataframe[0].value
    assert {"chance", "popular", "itemknn", "usermean", "shallow (most_epochs 2)"} <= set(figures["recommender"])
    assert not figures["not counted because"].notna().any()
    heard = figures[figures["heard by"].notna()]
    assert heard["over exchanged"].notna().all() and heard["p (Holm)"].between(0, 1).all()
    at.segmented_control(key="tested").set_value("cold").run()
    assert at.query_params["tested"] == "cold" and "what is new, and nobody had" in words(at)
    cold = at.dataframe[0].value
    blind = cold[cold["not counted because"].notna()]
    assert set(blind["recommender"]) == {"popular", "next", "itemknn", "ease"} and blind["nDCG"].isna().all()
    assert "know nothing of these" in words(at) and "made up" in words(at)
    at.segmented_control(key="list_of").set_value("20").run()
    assert "nDCG@20" in words(at)
    assert "nDCG@20" in words(launch(STUDY, library="music", tested="cold", list_of="20"))


def test_a_row_without_its_controls_is_not_counted(launch, ran, home):
    for name, row in ran.rows.items():
        if row.is_shuffled and row.model.name == "usermean":
            row_path(home.paths, ran.plan.name, name).unlink()
    figures = launch(STUDY, library="music").dataframe[0].value
    (reason,) = figures[figures["recommender"] == "usermean"]["not counted because"]
    assert "controls" in reason


def run_plan(at: AppTest, path: str) -> None:
    at.text_input(key="path of a plan").set_value(path)
    next(button for button in at.button if button.label == "Run it").click().run()


@pytest.mark.parametrize("path", ["", "/nowhere/plan.toml", "~", ".", "\x00", "a" * 5000])
def test_a_plan_that_is_none_is_answered_in_a_sentence(launch, planted, path):
    at = launch(STUDY, library="music")
    run_plan(at, path)
    assert not at.exception and "hat did not work" in words(at)


def test_a_plan_of_ones_own_is_run_and_shown(launch, planted, home, tmp_path):
    (tmp_path / "rows.txt").write_text("\n".join(f"u{n} a b c{n % 3} d{n % 2}" for n in range(20)))
    plan = tmp_path / "own.toml"
    data = '[data]\npath = "rows.txt"\nformat = "sequences"\nsplit = "leave-one-out"\n'
    plan.write_text(f'{data}[[model]]\nname = "ease"\n')
    at = launch(STUDY, library="music")
    run_plan(at, str(plan))
    assert home.jobs.active()[0].arguments["file"] == str(plan)
    do_now(home, StudyRequest(plan))
    assert studies(home.paths) == ["own"]
    at = launch(STUDY, library="music", study="own")
    assert "ease ranks first" in words(at) or "ease is best" in words(at)
    assert "what was held back" in words(at)


@pytest.mark.parametrize("link", [{"study": "<b>"}, {"tested": "warm"}, {"list_of": "7"}, {"list_of": "x"}])
def test_a_link_that_cannot_be_followed_is_no_error(launch, ran, link):
    at = launch(STUDY, library="music", **link)
    assert not at.exception and "What it found" in words(at)
    assert "which is not here" in words(at).replace("\\", "")


def test_a_study_of_a_package_that_is_gone_says_so_and_can_be_deleted(launch, ran, home):
    path = study_folder(home.paths, ran.plan.name) / "study.json"
    document = read_sealed(path)
    document["plan"]["models"][0]["name"] = "of-a-package"
    write_sealed(path, document)
    at = launch(STUDY, library="music")
    assert not at.exception and "This study cannot be read" in words(at) and "of-a-package" in words(at)
    at.button(key="delete study").click().run()
    assert not at.exception and "No study was run yet." in words(at) and studies(home.paths) == []


def test_a_rerun_puts_nothing_together_again_until_a_row_is_run(launch, ran, home, monkeypatch):
    made = []
    monkeypatch.setattr(resources, "tabulate", lambda *args: made.append(args) or tabulate(*args))
    at = launch(STUDY, library="music")
    at.run()
    assert len(made) == 1
    row_path(home.paths, ran.plan.name, next(iter(ran.rows))).unlink()
    assert "1 row of the plan not run yet" in words(at.run()) and len(made) == 2


def test_a_study_that_is_run_cannot_be_deleted(launch, ran, home):
    """Neither from a page that knows of it, nor from one that was opened before."""
    at = launch(STUDY, library="music")
    assert "delete study" in [button.key for button in at.button]
    submit(home, StudyRequest(home.paths.studies / f"{ran.plan.name}.toml"))
    assert "delete study" not in [button.key for button in launch(STUDY, library="music").button]
    at.button(key="delete study").click().run()
    assert "is being run" in words(at) and studies(home.paths) == [ran.plan.name] and not at.exception


def test_who_deletes_a_study_is_not_told_that_a_link_is_wrong(launch, ran, home):
    at = launch(STUDY, library="music", study=ran.plan.name)
    at.button(key="delete study").click().run()
    assert "No study was run yet." in words(at) and "which is not here" not in words(at)


def test_each_study_knows_of_its_own_job(launch, ran, home, tmp_path):
    """While another one is run, this one can be gone on with and deleted; the other is named."""
    (tmp_path / "rows.txt").write_text("\n".join(f"u{n} a b c{n % 3} d{n % 2}" for n in range(20)))
    other = tmp_path / "other.toml"
    other.write_text(
        '[data]\npath = "rows.txt"\nformat = "sequences"\nsplit = "leave-one-out"\n[[model]]\nname = "ease"\n'
    )
    submit(home, StudyRequest(other))
    row_path(home.paths, ran.plan.name, next(iter(ran.rows))).unlink()
    at = launch(STUDY, library="music", study=ran.plan.name)
    assert "“other” is run" in words(at) and not at.button(key="go on").disabled
    at.button(key="go on").click().run()
    at = launch(STUDY, library="music", study=ran.plan.name)
    assert at.button(key="go on").disabled and f"“{ran.plan.name}”: row after row" in words(at).replace("\\", "")
