"""A recommender of another package is tried like any other; the page of docs shows one, and it is that one."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mess_core.evaluation.recommendation import NDCG
from mess_core.study import models
from mess_core.study.models import MODELS, Model
from mess_core.study.plan import read_plan
from mess_core.study.run import run_study
from mess_core.study.table import tabulate

DOCS = Path(__file__).parents[2] / "docs" / "study.md"


@pytest.fixture
def entry(monkeypatch, tmp_path) -> Iterator[Model]:
    """The recommender of the docs, as if its package were installed."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (tmp_path / "my_package_of_the_docs.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    found: Model = importlib.import_module("my_package_of_the_docs").ENTRY
    models._check(found, ())
    monkeypatch.setitem(MODELS, "newest", found)
    yield found
    del sys.modules["my_package_of_the_docs"]


def test_the_recommender_of_the_docs_stands_in_the_table(entry, home, tmp_path):
    (tmp_path / "rows.txt").write_text("\n".join(f"u{n} a b {'c' if n % 2 else 'd'} e" for n in range(12)))
    plan = tmp_path / "own.toml"
    data = '[data]\npath = "rows.txt"\nformat = "sequences"\nsplit = "leave-one-out"\n'
    plan.write_text(f'{data}[[model]]\nname = "newest"\n')
    table = tabulate(home.paths, run_study(read_plan(plan), home).study)
    assert table.row("newest").is_control and table.row("newest").values[NDCG] >= 0


def test_two_of_one_name_are_refused(entry):
    with pytest.raises(Exception, match="already"):
        models._check(entry, ())


def test_the_plan_of_the_docs_names_what_there_is(tmp_path):
    (text,) = re.findall(r"```toml\n(k = .*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    plan = tmp_path / "docs.toml"
    plan.write_text(text)
    read = read_plan(plan)
    assert read.k == (10, 50) and [model.name for model in read.models] == ["itemknn", "usermean"]
    assert read.data.is_by_temperature and read.data.at_s == 1_700_006_400


def test_what_is_no_dataclass_is_refused():
    with pytest.raises(Exception, match="dataclass"):
        models._check(Model("odd", "Odd.", lambda: None), ())
