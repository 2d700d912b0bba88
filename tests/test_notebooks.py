"""Notebooks as they are kept: without outputs, small, each in the list. That they run, `make notebooks` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 40_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(path):
    assert path.stat().st_size < MOST_BYTES
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3" and notebook["nbformat"] == 4
    first, *others = notebook["cells"]
    assert first["cell_type"] == "markdown" and first["source"][0].startswith("# ")
    code = [cell for cell in others if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_every_notebook_is_in_the_list():
    listed = (FOLDER / "README.md").read_text("utf-8")
    assert NOTEBOOKS and all(f"]({path.name})" in listed for path in NOTEBOOKS)
