"""The Layers page: what was found comes first, in plain words; a colour says what about, its strength how much."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.hearings import layer_hearing
from mess_core.encoders.mel import MEL, MFCC
from mess_core.encoders.nano import NANO
from mess_core.handover.own_targets import take_target
from mess_core.probing.aspects import ASPECTS
from mess_core.probing.discovery import Discovery, in_words, save
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeCell, ProbeResult, ProbeSettings, TargetProbe
from mess_core.targets.own import forget_own
from mess_core.targets.registry import OWN, TARGETS, target_of
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from pages.shared.app import resources
from pages.shared.app.table import show_table
from pages.shared.layers import figures, panels
from pages.shared.widgets import accents
from pages.shared.widgets.accents import ACCENTS
from pages.shared.widgets.charts import SERIES, faded
from tests.conftest import move_in
from tests.pages.conftest import words
from tests.planted import plant_library, told

QUICK = ProbeSettings(alphas=(10.0,), n_repeats=1, n_bootstraps=50, n_permutations=199)


def plant_discovery(home, info: EncoderInfo, settings: ProbeSettings = QUICK) -> None:
    """Forty tracks of twenty works; layer 1, where there is one, tells the spectral centroid. There is no chroma."""
    plant_library(home, info, MFCC)
    gathered = Scope(home, "planted", info).gather("work", "track")
    result = add_null(fit_cells(gathered.data, QUICK), gathered.data)
    save(home.paths, info, gathered, replace(result, settings=settings), "planted", "work")


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ProbeSettings(), ProbeSettings(seed=3)], ids=["usual", "others"])
def test_aspects_are_not_offered_to_be_measured_by_a_discovery_that_no_search_goes_by(home, launch, settings):
    """A run by other settings is shown; that it cannot be measured by is said before the click, not after."""
    plant_discovery(home, MEL, settings)
    at = launch("pages/2_Layers.py", library="planted", encoder="mel")
    is_usual = settings == ProbeSettings()
    assert ("run that first, above" in words(at)) != is_usual
    assert ("evaluate faithfulness" in [button.key for button in at.button]) == is_usual
    assert "evaluate similarity" in [button.key for button in at.button]


# --- links -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_of_ones_own_is_shown_when_it_has_ended_and_is_in_the_link(home, launch):
    """Beside the usual one; while it is worked on, and where a link asks for one that is not here, that is said."""
    plant_discovery(home, MEL, ProbeSettings())
    at = launch("pages/2_Layers.py", library="planted", encoder="mel", run="seed 3")
    assert "There is no run with seed 3 here" in words(at) and "run" not in at.query_params
    submit(home, ProbeRequest("planted", MEL.id, "work", "track", ProbeSettings(seed=3)))
    at = launch("pages/2_Layers.py", library="planted", encoder="mel", run="seed 3")
    assert "Your run (seed 3) is shown here as soon as it has ended." in words(at) and "run" in at.query_params
    (job,) = home.jobs.active()
    home.jobs.cancel(job.job_id)
    plant_discovery_again(home, ProbeSettings(seed=3))
    at = launch("pages/2_Layers.py", library="planted", encoder="mel", run="seed 3")
    assert at.selectbox(key="run").value == "seed 3" and "seed 3 · " in words(at)
    at.selectbox(key="run").set_value("").run()
    assert not at.exception and "run" not in at.query_params and "seed 0" in words(at)


def plant_discovery_again(home, settings: ProbeSettings) -> None:
    """The same, kept under other settings."""
    found = Scope(home, "planted", MEL).discovery()
    gathered = Scope(home, "planted", MEL).gather("work", "track")
    save(home.paths, MEL, gathered, replace(found.result, settings=settings), "planted", "work")


@pytest.mark.slow
def test_a_link_to_a_cell_that_is_not_there_says_so_once(home, launch):
    plant_discovery(home, MEL, ProbeSettings())
    at = launch("pages/2_Layers.py", library="planted", encoder="mel", target="nosuch", at="77")
    assert "This link asks for property nosuch and layer 77; of that there is no cell here." in words(at)
    assert not {"target", "at"} & set(at.query_params)
    at.run()
    assert "This link asks" not in words(at)


@pytest.mark.slow
def test_one_layer_listens_and_leads_back(home, launch):
    """Said in words, the choice in the list of who listens, and its answer that of this layer's cosines alone."""
    plant_discovery(home, NANO, ProbeSettings())
    track_id = home.catalogue.track_ids("planted")[0]
    at = launch("pages/2_Layers.py", library="planted", encoder="nano", target="spectral_centroid", at="0")
    assert "Listen with this layer" in [link.proto.label for link in at.get("page_link")]
    asked = {"library": "planted", "query": track_id, "hearing": layer_hearing("nano", 1)}
    at = launch("pages/4_Listen.py", **asked)
    assert at.selectbox(key="hearing").value == "hearing:layer:nano:1"
    assert "Only this layer listens" in words(at)
    assert "Back to that layer" in [link.proto.label for link in at.get("page_link")]
    vectors = {each: home.store.read(each, NANO).mean[1] for each in home.catalogue.track_ids("planted")}
    mean = np.mean(list(vectors.values()), axis=0)
    unit = {each: (vector - mean) / np.linalg.norm(vector - mean) for each, vector in vectors.items()}
    nearest = sorted((each for each in unit if each != track_id), key=lambda each: -unit[each] @ unit[track_id])
    (numbers,) = [frame.value for frame in at.dataframe if "rank" in frame.value]
    assert list(numbers["title"])[:5] == [home.catalogue.track(each).title for each in nearest[:5]]
    at = launch("pages/4_Listen.py", library="planted", hearing="hearing:layer:nano:99")
    assert "has no layer 99, expected 0 to" in words(at)


# --- what was found comes first --------------------------------------------------------------------------------


def main_flow(at: AppTest) -> list:
    """What stands on the page itself, in its order: not in an expander, a popover or on hover."""
    folded = {id(part) for node in at.main if node.type in ("expander", "popover", "expandable") for part in node}
    return [node for node in at.main if id(node) not in folded]


@pytest.mark.slow
def test_the_page_opens_with_what_was_found(home, launch):
    """Above every choice and every figure; what is not compared with chroma is not said to encode, before them, too."""
    plant_discovery(home, NANO)
    at = launch("pages/2_Layers.py", library="planted", encoder="nano")
    flow = main_flow(at)
    said = [place for place, node in enumerate(flow) if "This encoder tells" in getattr(node.proto, "body", "")]
    asked = [place for place, node in enumerate(flow) if node.type in ("selectbox", "plotly_chart", "button_group")]
    doubt = [place for place, node in enumerate(flow) if "may be said to “encode”" in str(getattr(node, "value", ""))]
    assert len(said) == 1 and said[0] < doubt[0] < asked[0]
    assert "tells brightness" in words(at)


@pytest.mark.slow
def test_no_term_of_the_trade_stands_in_the_main_flow(bright_library, home, launch):
    move_in(bright_library, home)
    at = launch("pages/2_Layers.py", library="music", target="spectral_centroid", at="0")
    flow = main_flow(at)
    said = " ".join(str(getattr(node, name, "")) for node in flow for name in ("value", "label", "options"))
    assert (
        "Which layer is for you?" in said
        and "Keep apart" in said
        and "Brightness, layer 0" in said
        and "CSLS" in words(at)
    )
    terms = ["Never split", "never split", "untrained twin", "CSLS", "whitened", "by directions", "folds", "seed"]
    for term in (*terms, "alpha", "Leak detector", "leak detector", "standard error", "log-mel"):
        assert term not in said, term


@pytest.mark.slow
def test_the_table_has_the_numbers_of_the_picture(home, launch):
    plant_discovery(home, NANO)
    at = launch("pages/2_Layers.py", library="planted", encoder="nano")
    found = Scope(home, "planted", NANO).discovery(settings=QUICK)
    (view,) = [each for each in at.segmented_control if (each.key or "").startswith("view ")]
    view.set_value("Table").run()
    assert not at.exception and not at.get("plotly_chart")
    table = next(frame.value for frame in at.dataframe if "property" in frame.value.columns)
    assert len(table) == len(found.result.targets)
    rows = table.set_index("property")
    assert rows.loc["Brightness", "1"] == found.result.cell(1, "spectral_centroid").r2
    assert rows.loc["Brightness", "found"] == "told"
    (quantity,) = [each for each in at.segmented_control if (each.key or "").startswith("quantity ")]
    quantity.set_value("gain").run()
    rows = next(frame.value for frame in at.dataframe if "property" in frame.value.columns).set_index("property")
    assert rows.loc["Brightness", "1"] == found.result.cell(1, "spectral_centroid").gain


# --- the heatmap -----------------------------------------------------------------------------------------------


def discovery(cells: list[ProbeCell], n_layers: int, n_rows: int = 0, told: str = "", **result) -> Discovery:
    """A discovery by hand, of which figures need the result; the target `told` is told with the layer chosen, too."""
    targets = list(dict.fromkeys(cell.target for cell in cells))
    summaries = tuple(
        TargetProbe(target, best_layer=0, best_set=(0,), nested_r2_low=0.5 if target == told else -0.1)
        for target in targets
    )
    facts = {"has_null": True, **result}
    found = ProbeResult(
        "track", n_rows, n_layers, 30, ProbeSettings(), ("g",) * n_rows, None, tuple(cells), summaries, **facts
    )
    return Discovery("music", "nano", "f", "work", "track", (), "c", {}, n_rows, 0, "", found, {})


@pytest.fixture(params=["light", "dark"])
def theme(request, monkeypatch) -> str:
    monkeypatch.setattr(accents, "is_dark", lambda: request.param == "dark")
    return request.param


def test_columns_stand_by_dimension_under_its_name_in_its_colour(theme):
    cells = [ProbeCell(0, target, "track", alpha=1.0, r2=0.5) for target in [*TARGETS, "a column of mine"][::-1]]
    figure = figures.heatmap(discovery(cells, 1), "r2").to_dict()
    order = sorted(zip(figure["data"][0]["x"], [target for _, target in figure["data"][0]["customdata"]], strict=True))
    dimensions = [target_of(target).dimension for _, target in order]
    assert len(set(dimensions)) == len([one for one, other in pairwise([None, *dimensions]) if one != other])
    for (here, one), (there, other) in pairwise(order):
        is_same = target_of(one).dimension == target_of(other).dimension
        assert there - here == pytest.approx(1 if is_same else 1 + figures.GAP)
    headings = {each["text"]: each["font"]["color"] for each in figure["layout"]["annotations"]}
    assert headings["<b>timbre</b>"] == getattr(ACCENTS["timbre"], theme)
    assert headings["<b>your own</b>"] == getattr(ACCENTS[OWN], theme) and len(headings) == len(ACCENTS)


def cell_of(target: str, layer: int, r2: float, **facts) -> ProbeCell:
    return ProbeCell(layer, target, "track", alpha=1.0, r2=r2, r2_low=r2 - 0.2, **facts)


def drawn(found: Discovery, quantity: str = "r2") -> list[tuple[str, float, str, float]]:
    """Of each cell the colour, its strength, the colour of its line and how wide that is."""
    marker = figures.heatmap(found, quantity).to_dict()["data"][0]["marker"]
    parts = [(colour.rpartition(",")[0], float(colour.rpartition(",")[2].rstrip(")"))) for colour in marker["color"]]
    lines = zip(marker["line"]["color"], marker["line"]["width"], strict=True)
    return [(*part, *line) for part, line in zip(parts, lines, strict=True)]


def test_proven_told_and_not_told_are_drawn_apart(theme):
    """Proven is full and outlined; told is fainter with a fine line; not told is grey, however high its R²."""
    cells = [
        cell_of("tempo", 0, 1.0, label="high", gain_low=0.1),
        cell_of("tempo", 1, 1.0, label="high", gain_low=-0.1),
        cell_of("tempo", 2, 0.4, label="high", gain_low=0.1),
        cell_of("tempo", 3, 0.4, label="none"),
        cell_of("rubato", 0, 1.0, label="high"),  # of one layer, chosen because it looks best: it flatters itself
        cell_of("rubato", 1, -0.5, label="none"),
        ProbeCell(2, "rubato", "track", reason="undefined for every row"),
    ]
    shown = drawn(discovery(cells, 4, told="tempo"))
    accent, grey = (faded(getattr(each, theme), 1).rpartition(",")[0] for each in (ACCENTS["rhythm"], accents.GREY))
    assert [colour for colour, *_ in shown[:6]] == [accent, accent, accent, grey, grey, grey]
    strengths = [strength for _, strength, *_ in shown]
    assert strengths[0] == 1 > strengths[1] > strengths[2] > strengths[3] > strengths[5] > 0
    assert strengths[1] > 1.5 * strengths[4] and shown[6][0] == "rgba(0, 0, 0" and strengths[6] == 0
    widths = [width for *_, width in shown]
    assert widths[0] == widths[2] > widths[1] > 0 == max(widths[3:])
    assert shown[0][2] == getattr(figures.INK, theme) and shown[1][2] == getattr(ACCENTS["rhythm"], theme)


@pytest.mark.parametrize("quantity", ["gain", "r2"])
def test_what_is_told_stands_out_whatever_is_shown(theme, quantity):
    """Gains are small where nothing is proven: the picture is not blank all the same."""
    told, untold = cell_of("tempo", 0, 0.6, label="medium", gain=0.1), cell_of("rubato", 0, 0.6, label="none", gain=0.1)
    one, other = drawn(discovery([told, untold], 1, told="tempo"), quantity)
    assert one[3] > 0 == other[3] and one[1] > 1.2 * other[1] > 0.1


def test_while_nothing_is_compared_no_cell_is_called_told_or_untold(theme):
    cells = [ProbeCell(layer, "tempo", "track", alpha=1.0, r2=0.6 * layer) for layer in (0, 1)]
    found = discovery(cells, 2, has_null=False)
    accent = faded(getattr(ACCENTS["rhythm"], theme), 1).rpartition(",")[0]
    assert [(colour, width) for colour, _, _, width in drawn(found)] == [(accent, 0), (accent, 0)]
    assert "how sure that is, and better than what, is not known yet" in figures.describe(cells[1], found.result)
    assert "evidence" not in figures.describe(cells[1], found.result)


@pytest.mark.slow
def test_a_provisional_result_says_of_nothing_that_it_is_not_told(home, launch):
    """R² alone: neither the heatmap nor the table of aspects nor a cell takes what is not known for a no."""
    plant_library(home, NANO, MFCC)
    gathered = Scope(home, "planted", NANO).gather("work", "track")
    bare = replace(gathered.data, baselines={}, identities={})
    quick = fit_cells(bare, replace(QUICK, n_bootstraps=0))
    save(home.paths, NANO, gathered, replace(quick, settings=ProbeSettings()), "planted", "work")
    submit(home, ProbeRequest("planted", NANO.id, "work", "track"))
    at = launch("pages/2_Layers.py", library="planted", encoder="nano", target="spectral_centroid", at="1")
    said = words(at)
    assert "Provisional: R² alone so far" in said and "better than something plainer, is not known yet" in said
    assert "No cell is shown" not in said and "Told best" not in said
    assert "Whether it is told, and where best, is not known yet." in said
    table = next(frame.value for frame in at.dataframe if "aspect" in frame.value.columns)
    assert set(table["evidence"]) == {"not known yet"} and not table["best in"].any()
    (view,) = [each for each in at.segmented_control if (each.key or "").startswith("view ")]
    view.set_value("Table").run()
    table = next(frame.value for frame in at.dataframe if "property" in frame.value.columns).set_index("property")
    assert table.loc["Brightness", "found"] == "not known yet"


@pytest.mark.slow
def test_every_aspect_is_in_sight_and_evidence_is_kept_apart_from_gain(home, launch, monkeypatch):
    """Below its tenth row a table would hide legato."""
    plant_discovery(home, NANO, ProbeSettings())
    options = {}
    monkeypatch.setattr(panels, "show_table", lambda rows, **given: options.update(given) or show_table(rows, **given))
    at = launch("pages/2_Layers.py", library="planted", encoder="nano")
    table = next(frame for frame in at.dataframe if "aspect" in frame.value.columns)
    assert list(table.value["aspect"]) == [aspect.replace("_", " ") for aspect in ASPECTS]
    assert options["height"] == "content"
    assert "That it does so better than something plainer, such as a spectrum, is another question" in words(at)


def test_another_run_has_the_same_colours_on_the_same_scale():
    """What a cell looks like depends on nothing but itself."""
    one = cell_of("tempo", 0, 0.3, gain_low=-0.1)
    others = [cell_of("tempo", layer, 0.9, gain_low=0.5) for layer in (1, 2)]
    alone, among = (figures.heatmap(discovery(cells, len(cells)), "r2") for cells in ([one], [one, *others]))
    assert alone.data[0].marker.color[0] == among.data[0].marker.color[0]


def test_the_cell_that_is_open_has_a_frame_around_it():
    cells = [ProbeCell(layer, target, "track", alpha=1.0, r2=0.3) for target in ("tempo", "rubato") for layer in (0, 1)]
    figure = figures.heatmap(discovery(cells, 2), "r2", (1, "rubato"))
    (frame,), bars = figure.layout.shapes, figure.data[0]
    inside = [
        tuple(cell) for cell, x, base in zip(bars.customdata, bars.x, bars.base, strict=True)
        if frame.x0 < x < frame.x1 and frame.y0 < base < frame.y1
    ]  # fmt: skip
    assert inside == [(1, "rubato")] and not figures.heatmap(discovery(cells, 2), "r2").layout.shapes


# --- one cell in depth -----------------------------------------------------------------------------------------


def test_the_groups_that_a_layer_misses_most_have_a_colour_the_same_in_both_figures():
    """Ten works of two rows: work n is missed by n; the six worst are coloured, all others grey."""
    groups = [f"work {row // 2}" for row in range(20)]
    missed = np.array([row // 2 for row in range(20)], float)
    values = np.linspace(0, 1, 20)
    summary = TargetProbe("tempo", best_layer=0, best_set=(0,), values=values, predicted=(values + missed)[None])
    titles, names = {row: f"take {row}" for row in range(20)}, {group: f"the {group}" for group in groups}
    points = figures.predicted_against_true(summary, target_of(summary.target), 0, titles, groups, names).data[0]
    colours = dict(zip(groups, points.marker.color, strict=True))
    assert [colours[f"work {n}"] for n in range(9, 3, -1)] == list(SERIES[:6])
    assert {colours[f"work {n}"] for n in range(4)} == {figures.GREY}
    assert points.text[19] == "take 19<br>the work 9"
    boxes = figures.residuals_by_group(summary, 0, groups, titles, names)
    assert boxes.layout.yaxis.ticktext[0] == "the work 9"
    assert [box.line.color for box in boxes.data] == [colours[f"work {n}"] for n in range(9, -1, -1)]


def test_a_view_that_was_asked_for_says_that_it_is_being_worked_out(home, launch, probed):
    """In place of the sentence that says how to ask for it."""
    at = launch("pages/2_Layers.py", library="music", encoder="mel", group="performer")
    assert "Nothing probed yet" in words(at)
    next(button for button in at.button if button.label == "Run discovery").click().run()
    assert not at.exception and "Nothing probed yet" not in words(at)
    assert "What each layer tells is shown here as soon as it is worked out" in words(at)
    assert "waits for its turn" in words(at)


@pytest.mark.slow
def test_classes_are_said_first_and_shown_as_what_is_taken_for_what(home, launch):
    """A target of one's own, described by the result itself: the share that is right beside that of guessing."""
    ids = plant_library(home, NANO, MFCC, n=100)
    take_target(home, "mood", {t: "gay" if x > 0 else "grave" for t, x in zip(ids, told(ids), strict=True)})
    settings = replace(QUICK, alphas=(0.1,), columns=("mood",), without=("untrained",))
    gathered = Scope(home, "planted", NANO).gather("work", "track", ("mood",))
    result = add_null(fit_cells(gathered.data, settings), gathered.data)
    save(home.paths, NANO, gathered, result, "planted", "work")
    forget_own(home.paths, "mood")
    run = ", ".join(in_words(settings))
    at = launch("pages/2_Layers.py", library="planted", encoder="nano", run=run, target="mood", at="1")
    text = words(at)
    assert "right where guessing the commonest gives" in text and "values given in Python" in text
    assert "As a mean over the 2 classes" in text and not at.exception


@pytest.mark.slow
def test_two_runs_side_by_side_say_what_one_tells_better(home, launch, monkeypatch):
    """Over the same recordings and folds, with an interval, once; runs that deal other folds are not compared."""
    n_compared, real = [], resources.compare_runs
    monkeypatch.setattr(resources, "compare_runs", lambda *runs: n_compared.append(1) or real(*runs))
    plant_discovery(home, NANO, replace(QUICK, alphas=(0.1,)))
    gathered = Scope(home, "planted", NANO).gather("work", "track")
    for settings in (replace(QUICK, alphas=(1e6,)), replace(QUICK, seed=4)):
        save(home.paths, NANO, gathered, fit_cells(gathered.data, settings), "planted", "work")
    at = launch(
        "pages/2_Layers.py", library="planted", encoder="nano", run=", ".join(in_words(replace(QUICK, alphas=(0.1,))))
    )
    beside = next(box for box in at.selectbox if box.label == "Beside it")
    at = beside.set_value(next(title for title in beside.options if "1e+06" in title)).run()
    assert not at.exception and "The first tells spectral_centroid (layer 1) better than the second." in words(at)
    table = next(frame.value for frame in at.dataframe if "p (Holm)" in frame.value.columns)
    assert table["difference"].max() > 0.3
    assert not at.run().exception and len(n_compared) == 1
    beside = next(box for box in at.selectbox if box.label == "Beside it")
    at = beside.set_value(next(title for title in beside.options if "seed 4" in title)).run()
    assert "Nothing can be compared: the runs deal the groups to other folds" in words(at)
