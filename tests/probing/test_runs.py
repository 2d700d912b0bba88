"""Runs: every kept one is found by an id that stays, and searches go by the one that was asked for."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL, MFCC
from mess_core.encoders.nano import NANO
from mess_core.errors import DependencyMissingError, InputError
from mess_core.handover.own_targets import take_target
from mess_core.library import open_library
from mess_core.numbers import interval, number
from mess_core.probing import printed
from mess_core.probing.discovery import Discovery, path_of, save
from mess_core.probing.paired import compare_runs
from mess_core.probing.printed import escaped
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.probing.runs import find_run, kept_runs
from mess_core.work import targets as work_of_targets
from mess_core.work.probe import ProbeRequest
from mess_core.work.sweep import DONE, FAILED, THERE, SweepPlan, sweep
from mess_core.workspace.scope import Scope
from tests.planted import MANY, plant_library, work_here

pytestmark = pytest.mark.slow

QUICK = ProbeSettings(alphas=(0.1, 10.0, 1e3), n_repeats=1, n_bootstraps=100, n_permutations=199)


def probe(home, info, settings: ProbeSettings = QUICK, group: str = "work", library: str = "planted") -> Discovery:
    gathered = Scope(home, library, info).gather(group, "track", settings.columns)
    data = gathered.data
    return save(home.paths, info, gathered, add_null(fit_cells(data, settings), data), library, group)


@pytest.fixture
def planted(home):
    plant_library(home, NANO, MEL, MFCC)
    return home


def test_every_run_has_an_id_that_stays(planted):
    """Of other settings, groups and encoders; what another encoder made before is listed, too."""
    made = [probe(planted, NANO), probe(planted, NANO, replace(QUICK, seed=3)), probe(planted, NANO, group="performer")]
    made.append(probe(planted, MEL))
    runs, problems = kept_runs(planted.paths)
    assert len({run.run_id for run in runs}) == 4 and problems == []
    assert {run.discovery.title for run in runs} == {found.title for found in made}
    first = next(run for run in runs if run.discovery.title == made[0].title)
    assert first.run_id == made[0].run_id
    probe(planted, NANO)
    assert {run.run_id for run in kept_runs(planted.paths, "planted")[0]} == {run.run_id for run in runs}
    moved = first.path.parent.with_name("nano-00000000")
    first.path.parent.rename(moved)  # the weights are others now
    assert len(kept_runs(planted.paths, "planted")[0]) == 4
    library = open_library("planted", "nano", planted.paths.root)
    assert len(library.runs()) == 4
    last = library.runs()[-1]
    assert library.run(last.run_id[:6]).path == last.path


def test_a_run_that_is_not_there_or_cannot_be_read_is_a_sentence(planted):
    found = probe(planted, NANO)
    for asked in ("", "zz", "ffffffff"):
        with pytest.raises(InputError, match="There is no run"):
            find_run(planted.paths, asked)
    path = path_of(planted.paths, "planted", NANO, "work", "track", found.result.settings)
    path.write_bytes(path.read_bytes()[:-40])
    runs, problems = kept_runs(planted.paths)
    assert runs == [] and len(problems) == 1 and found.run_id in problems[0]


def test_searches_go_by_ones_own_run_before_anothers(planted, home):
    """The only run of this library has other settings; a larger library has one with the usual ones."""
    ids = home.catalogue.track_ids("planted")
    home.catalogue.add_to_library("small", ids[: MANY - 4])
    probe(home, NANO, replace(ProbeSettings(), n_repeats=1, n_bootstraps=50, n_permutations=0))  # of "planted"
    usual = path_of(home.paths, "planted", NANO, "work", "track", ProbeSettings())
    with_usual = probe(home, NANO, ProbeSettings(n_permutations=0, n_bootstraps=50))
    other = path_of(home.paths, "planted", NANO, "work", "track", with_usual.result.settings)
    assert not usual.exists() and other.exists()
    scope = Scope(home, "planted", NANO)
    assert scope.discovery() is None and scope.discovery_for_search().library == "planted"
    before = scope.stamp_of_discovery()
    other.touch()
    assert scope.stamp_of_discovery() != before


def test_similar_goes_by_the_run_that_was_asked_for(planted, home, capsys):
    """Its id is in the answer; a run by another encoder, or of columns, is refused in one sentence."""
    found = probe(home, NANO, replace(QUICK, seed=5))
    of_mel, of_columns = probe(home, MEL), probe(home, NANO, replace(QUICK, columns=("performer",)))
    track = home.catalogue.track_ids("planted")[0]
    run = found.run_id
    library = open_library("planted", "nano", home.paths.root)
    answer = library.similar(track, {"brightness": 1.0}, run=run)
    assert answer.plan.discovery.result.settings.seed == 5
    assert any("by the run" in notice and "seed 5" in notice for notice in answer.plan.notices)
    base = ["--home", str(home.paths.root), "similar", track, "--library", "planted", "--aspects", "brightness=1"]
    assert main([*base, "--run", run[:6], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == run
    with pytest.raises(InputError, match="is by mel"):
        library.similar(track, run=of_mel.run_id)
    with pytest.raises(InputError, match="of columns"):
        library.similar(track, run=of_columns.run_id)


# --- two runs -------------------------------------------------------------------------------------------------


def test_a_run_compared_with_itself_shows_no_difference(planted):
    found = probe(planted, NANO)
    compared = compare_runs(found, found)
    assert compared.by_layer and all(cell.delta == 0 and cell.p == 1 for cell in compared.cells)
    assert "No difference is shown." in compared.sentences()
    frame = compared.to_frame()
    assert len(frame) == len(compared.cells) and (frame["delta"] == 0).all() and frame["p_holm"].notna().all()


def test_a_planted_difference_is_found_where_it_is(planted, home):
    """Ridge with a hopeless penalty beside a good one: only what layer 1 tells differs, by as much as R² says."""
    good, bad = probe(home, NANO), probe(home, NANO, replace(QUICK, alphas=(1e6,)))
    compared = compare_runs(good, bad)
    (cell,) = [c for c in compared.cells if (c.target, c.layer) == ("spectral_centroid", 1)]
    own, other = good.result.target("spectral_centroid"), bad.result.target("spectral_centroid")
    assert cell.r2 == pytest.approx(good.result.cell(1, "spectral_centroid").r2, abs=1e-3)  # of one repeat
    assert cell.delta == pytest.approx(cell.r2 - cell.other_r2) and cell.delta_low > 0 and cell.differs
    assert [c for c in compared.cells if c.differs and c.target != "spectral_centroid"] == []
    assert "The first tells spectral_centroid" in " ".join(compared.sentences())
    assert compare_runs(bad, good).cells[0].delta == -compared.cells[0].delta
    assert np.array_equal(own.folds, other.folds)


def test_what_cannot_be_paired_is_refused(planted, home):
    found = probe(home, NANO)
    with pytest.raises(InputError, match="keep other things apart"):
        compare_runs(found, probe(home, NANO, group="performer"))
    dealt = compare_runs(found, probe(home, NANO, replace(QUICK, seed=9)))
    assert dealt.cells == () and "other folds" in dealt.left_out[0][1] and "other folds" in dealt.sentences()[0]
    by_best = compare_runs(found, probe(home, MEL))
    assert not by_best.by_layer and len({cell.target for cell in by_best.cells}) == len(by_best.cells)
    home.catalogue.remove_tracks(home.catalogue.track_ids("planted")[:2])
    with pytest.raises(InputError, match="not of the same recordings: 38"):
        compare_runs(found, probe(home, NANO))


# --- a sweep --------------------------------------------------------------------------------------------------


def test_a_sweep_goes_on_where_it_stopped(planted, home, monkeypatch):
    """Two seeds by two penalties: what is there is not done again; what fails is named and passed over."""
    monkeypatch.setattr(work_of_targets, "work_through", work_here)
    asked: list[ProbeRequest] = []

    def do(workspace, request):
        asked.append(request)
        if request.group == "session":
            raise InputError("No sessions.")
        probe(workspace, NANO, request.settings, request.group)
        return SimpleNamespace(state="done", message="", hint="")

    plan = SweepPlan("planted", ("nano",), seeds=(0, 1), penalties=((1.0,), (10.0,)), settings=QUICK)
    first = next(sweep(home, plan, do))
    assert first.state == DONE and first.run.discovery.result.settings.seed == 0
    swept = list(sweep(home, plan, do))
    assert [each.state for each in swept] == [THERE, DONE, DONE, DONE] and len(asked) == 4
    assert [each.state for each in sweep(home, plan, do)] == [THERE] * 4 and len(asked) == 4
    rows = [each.as_row() for each in swept]
    assert {(row["alpha"], row["seed"]) for row in rows} == {(1.0, 0), (1.0, 1), (10.0, 0), (10.0, 1)}
    assert len({row["run"] for row in rows}) == 4 and all(row["n_targets"] for row in rows)
    (failed,) = sweep(home, replace(plan, groups=("session",), seeds=(0,), penalties=((1.0,),)), do)
    assert (failed.state, failed.why, failed.as_row()["run"]) == (FAILED, "No sessions.", None)
    with pytest.raises(InputError, match="expected 1 to 1,000"):
        replace(plan, seeds=tuple(range(501))).requests()
    with pytest.raises(InputError, match="n_folds is 1"):
        replace(plan, folds=(1,)).requests()


def test_the_verbs_on_runs(planted, home, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(work_of_targets, "work_through", work_here)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["--home", str(home.paths.root), *arguments])
        return code, capsys.readouterr().out

    assert run("runs")[1] == "Nothing was probed yet.\n"
    table = tmp_path / "s.csv"
    asked = ("sweep", "--library", "planted", "--encoders", "mel", "--alphas", "1,100", "--permutations", "0")
    code, out = run(*asked, "--out", str(table), "--without", "untrained")
    assert code == 0 and "2 runs: 0 were there, 0 failed." in out
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    assert [row["alpha"] for row in rows] == ["1.0", "100.0"]
    assert "2 runs: 2 were there" in run(*asked, "--without", "untrained")[1]
    code, out = run("runs", "--library", "planted", "--json")
    ids = [row["run"] for row in json.loads(out)["runs"]]
    assert code == 0 and sorted(ids) == sorted(row["run"] for row in rows)
    code, out = run("compare", *ids, "--json")
    assert code == 0 and json.loads(out)["by_layer"] and {cell["layer"] for cell in json.loads(out)["cells"]} == {0}
    assert "recordings and folds" in run("compare", *ids)[1]
    assert run("runs", ids[0], "--latex")[1].startswith("% \\usepackage{booktabs}")
    assert run("runs", ids[0], "--csv")[1].startswith("target,title,unit")
    assert run("runs", "--latex")[0] == 2 and run("sweep", "--alphas", "x", "--library", "planted")[0] == 2
    assert run("sweep", "--levels", "piece", "--library", "planted")[0] == 2


# --- printed --------------------------------------------------------------------------------------------------


def test_a_frame_has_a_row_for_each_cell_and_its_documented_columns(planted, home):
    settings = replace(QUICK, columns=("performer", "tempo"), n_permutations=0)
    frame = find_run(home.paths, probe(home, NANO, settings).run_id).to_frame()
    assert list(frame.columns[:6]) == ["target", "title", "unit", "dimension", "kind", "source"]
    assert len(frame) == 2 * NANO.n_layers and set(frame["kind"]) == {"classes", "numbers"}
    told = frame[frame["target"] == "performer"]
    assert told["accuracy"].notna().all() and told["commonest"].notna().all()
    assert frame[frame["target"] == "tempo"]["accuracy"].isna().all()
    documented = printed.__doc__.replace("(…_low, …_high)", "")
    assert all(name.removesuffix("_low").removesuffix("_high") in documented for name in frame.columns)


def test_a_latex_table_holds_untrusted_names_as_text(planted, home):
    found = probe(home, NANO, replace(QUICK, columns=("performer",)))
    latex = find_run(home.paths, found.run_id).to_latex()
    assert latex.count("\\\\\n") == 3 and "Performer" in latex and "guessing" in latex
    assert latex.count("{") == latex.count("}") and "\\toprule" in latex
    assert escaped("\\input{x} 100% & $y_1$") == r"\textbackslash{}input\{x\} 100\% \& \$y\_1\$"


def test_a_heatmap_is_drawn_as_its_ending_says_and_is_the_same_each_time(planted, home, tmp_path):
    """Names are text: neither Matplotlib's formulas nor SVG are made of them."""
    pytest.importorskip("matplotlib", reason="Matplotlib is optional: pip install -r requirements-extra.txt")
    take_target(home, "x $y$ <b>", {t: float(n) for n, t in enumerate(home.catalogue.track_ids("planted"))})
    found = probe(home, NANO, replace(QUICK, columns=("performer", "x $y$ <b>")))
    run = find_run(home.paths, found.run_id)
    for ending, begins in ((".pdf", b"%PDF"), (".svg", b"<?xml"), (".png", b"\x89PNG")):
        path = run.heatmap(tmp_path / f"one{ending}")
        assert path.read_bytes().startswith(begins)
        assert run.heatmap(tmp_path / f"two{ending}").read_bytes() == path.read_bytes()
    drawn = (tmp_path / "one.svg").read_text("utf-8")
    assert "x $y$ &lt;b&gt;" in drawn and "Performer" in drawn and found.run_id in drawn
    cell = found.result.cell(1, "performer")
    assert f">{number(cell.r2)}<" in drawn and interval(cell.r2_low, cell.r2_high) in drawn
    assert run.heatmap(tmp_path / "gain.svg", "gain").read_text("utf-8") != drawn


def test_a_heatmap_that_cannot_be_drawn_is_a_sentence(planted, home, tmp_path, monkeypatch):
    run = find_run(home.paths, probe(home, NANO).run_id)
    with pytest.raises(InputError, match=r"expected \.pdf, \.svg or \.png"):
        run.heatmap(tmp_path / "one.doc")
    with pytest.raises(InputError, match="cannot show 'p'"):
        run.heatmap(tmp_path / "one.pdf", "p")
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # Python then raises ImportError
    with pytest.raises(DependencyMissingError, match=r"needs Matplotlib.*requirements-extra\.txt"):
        run.heatmap(tmp_path / "one.pdf")
    assert list(tmp_path.glob("one.*")) == []


def test_a_run_cites_its_methods(planted, home):
    of_numbers = probe(home, NANO)
    of_classes = probe(home, NANO, replace(QUICK, columns=("performer",)))
    library = open_library("planted", "nano", home.paths.root)
    assert "golub1979gcv" in library.cite(of_numbers.run_id) and "korn1998" not in library.cite(of_numbers.run_id)
    assert "korn1998proportions" in library.cite(of_classes.run_id) and "@software{mess," in library.cite()
