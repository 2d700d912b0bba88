"""`study` on the command line: run, go on, print; wrong use is answered before anything is run."""

from __future__ import annotations

import csv
import io
import sys

import pytest

from mess_core.cli import tracking
from mess_core.cli.main import main
from mess_core.study.kept import load_study, row_path
from tests.planted import strict


@pytest.fixture
def plan(tmp_path):
    """Twenty users of two kinds; the table of vectors tells the kinds apart."""
    rows = [
        f"u{n} {' '.join(f'{kind}{(n // 2 + i) % 7}' for i in range(5))}" for n in range(20) for kind in "ab"[n % 2]
    ]
    (tmp_path / "rows.txt").write_text("\n".join(rows))
    file = tmp_path / "small.toml"
    file.write_text(
        'k = [3, 5]\n[data]\npath = "rows.txt"\nformat = "sequences"\nsplit = "leave-one-out"\n'
        '[[model]]\nname = "popular"\n[[model]]\nname = "itemknn"\n'
    )
    return file


def run(home, *arguments) -> int:
    return main(["--home", str(home.paths.root), *map(str, arguments)])


def test_what_was_run_is_printed_in_each_form(home, plan, capsys, tmp_path):
    assert run(home, "study", "run", plan) == 0
    assert "2 rows run." in capsys.readouterr().out
    assert run(home, "study", "run", plan, "--json") == 0
    document = strict(capsys.readouterr().out)
    assert document["done"] and document["study"] == "small" and document["message"] == "0 rows run; 2 rows were there."
    assert run(home, "study", "table", plan) == 0
    assert "| chance |" in capsys.readouterr().out
    assert run(home, "study", "table", "small", "--csv", "-k", "5", "--out", tmp_path / "table.csv") == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "table.csv").read_text() == printed
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["model"] for row in rows] == ["chance", "popular", "itemknn"] and {row["k"] for row in rows} == {"5"}
    assert run(home, "study", "table", plan, "--latex") == 0
    assert r"\bottomrule" in capsys.readouterr().out
    assert run(home, "study", "table", plan, "--json") == 0
    assert {row["model"] for row in strict(capsys.readouterr().out)["rows"]} == {"popular", "itemknn"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table", "PLAN"], "was not run yet"),
        (["table", "nowhere.toml"], "was not run yet"),
        (["run", "nowhere.toml"], "nowhere.toml"),
        (["run", "."], "."),
    ],
)
def test_what_is_not_there_is_said(home, plan, capsys, arguments, sentence):
    assert run(home, "study", *[plan if each == "PLAN" else each for each in arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_test_or_a_k_that_is_not_there_is_said(home, plan, capsys):
    run(home, "study", "run", plan)
    for asked in (["--test", "cold"], ["-k", "7"]):
        assert run(home, "study", "table", plan, *asked) == 2
        assert "It has test, at 3, 5." in capsys.readouterr().err


def test_a_row_that_cannot_be_run_is_named_and_the_exit_code_says_so(home, plan, capsys):
    with plan.open("a") as file:
        file.write('[[encoder]]\npath = "gone.npz"\n[[model]]\nname = "usermean"\n')
    assert run(home, "study", "run", plan) == 1
    printed = capsys.readouterr().out
    assert "6 of them refused" in printed and "gone.npz" in printed


@pytest.mark.parametrize("flag", ["--tensorboard", "--mlflow"])
def test_what_is_not_installed_is_said_before_the_work(home, plan, capsys, monkeypatch, flag):
    for name in ("tensorboard", "mlflow", "torch.utils.tensorboard"):
        for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, known)
        monkeypatch.setitem(sys.modules, name, None)
    given = [flag, str(plan.parent / "curves")] if flag == "--tensorboard" else [flag]
    assert run(home, "study", "run", plan, *given) == 2
    assert "requirements-extra.txt" in capsys.readouterr().err and load_study(home.paths, "small") is None


@pytest.mark.slow
def test_curves_are_written_for_tensorboard(home, plan, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is optional: pip install -r requirements-extra.txt")
    with plan.open("a") as file:
        file.write('[[model]]\nname = "sasrec"\nmost_epochs = 2\nwidth = 8\n')
    assert run(home, "study", "run", plan, "--tensorboard", tmp_path / "curves") == 0
    assert len(list((tmp_path / "curves").rglob("events.*"))) == 1


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_each_row_is_a_run_of_mlflow(home, plan):
    pytest.importorskip("mlflow", reason="MLflow is optional: pip install -r requirements-extra.txt")
    from mlflow import MlflowClient

    run(home, "study", "run", plan, "--mlflow")
    client = MlflowClient(f"sqlite:///{home.paths.mlflow}")
    (experiment,) = [each for each in client.search_experiments() if each.name == tracking.STUDY]
    runs = client.search_runs([experiment.experiment_id])
    assert {each.data.params["model"] for each in runs} == {"popular", "itemknn"}
    assert all("test.nDCG" in each.data.metrics for each in runs)


def test_what_was_not_run_is_not_called_refused(home, plan, capsys):
    assert run(home, "study", "run", plan) == 0
    study = load_study(home.paths, "small")
    for name in study.rows:
        row_path(home.paths, "small", name).unlink()
    capsys.readouterr()
    assert run(home, "study", "table", plan) == 0
    printed = capsys.readouterr().out
    assert "refused" not in printed and "| not run |" in printed
    assert f"Not run yet: 2 rows. python -m mess_core study run {plan}" in printed
