"""The README says only what is true: its verbs, pages, encoders, benchmarks and Python run."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import mess_core
from mess_core.cli.main import _parser
from mess_core.encoders.registry import OWN
from pages.shared.app.page import PAGES

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for room in ("mess_core", "pages", "training", "benchmarks") for path in (ROOT / room).rglob("*.py")
)
WITH_EXAMPLES = [path for path in SOURCES if ">>> " in path.read_text("utf-8")]
README = (ROOT / "README.md").read_text("utf-8")


def commands() -> list[str]:
    return re.findall(r"^python -m mess_core (.+?)\s*(?:#.*)?$", README, flags=re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one(command):
    _parser().parse_args(command.split())


def test_every_verb_is_documented():
    verbs = _parser()._subparsers._group_actions[0].choices
    assert {re.sub(r"^--plugin \S+ ", "", command).split()[0] for command in commands()} == set(verbs)


def test_every_page_and_encoder_is_documented():
    for title, _ in PAGES.values():
        assert f"**{title}**" in README
    for entry in OWN:
        assert f"`{entry.info.id}`" in README


def test_every_benchmark_named_is_there():
    named = re.search(r"with\n((?:`\w+`,? ?)+)", README.replace("\n`", "\n`"))
    assert named
    for name in re.findall(r"`(\w+)`", named.group(1)):
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


def test_every_link_into_the_repository_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_python_example_runs_as_a_script_in_another_folder(tmp_path, write_wav):
    """Line by line as it stands, by the encoder that needs no network; no guard for processes, no warning."""
    for seed in range(12):
        write_wav(f"t{seed}", 3.0, seed, folder="Chopin")
    shutil.copy(tmp_path / "Chopin" / "t0.wav", tmp_path / "query.wav")
    (example,) = re.findall(r"```python\n(.+?)```", README, flags=re.DOTALL)
    given = """
import numpy as np
vectors, numbers, works = np.random.default_rng(0).standard_normal((24, 2, 3)), np.arange(24.0), list("abcdef" * 4)
"""
    script = tmp_path / "example.py"
    script.write_text(given + example.replace('"nano"', '"mel"'), "utf-8")
    surroundings = {**os.environ, "MESS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list("12345") and "extract: " in done.stderr


def test_what_is_public_comes_when_it_is_used():
    """Importing the package loads none of it; each name is there, and said to be."""
    code = "import sys, mess_core; print(len([m for m in sys.modules if m.startswith('mess_core.')]), dir(mess_core))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("0 ") and all(f"'{name}'" in done.stdout for name in mess_core.__all__)
    assert all(callable(getattr(mess_core, name)) for name in mess_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        mess_core.nosuch  # noqa: B018


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_every_docstring_are_right(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert doctest.testmod(module).failed == 0


def words_and_prose(path: Path) -> tuple[set[str], str]:
    """All that the code of a file names, the words of its strings too; and its docstrings and comments."""
    text = path.read_text("utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    defined = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in nodes if isinstance(node, defined) and ast.get_docstring(node)}
    words, prose = set(path.relative_to(ROOT).with_suffix("").parts), []
    for node in nodes:
        named = [getattr(node, field, None) for field in ("name", "id", "attr", "arg", "module")]
        words.update(*(re.findall(r"\w+", name) for name in named if isinstance(name, str)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                prose.append(node.value)
            else:
                words.update(re.findall(r"\w+", node.value))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    prose += [token.string for token in tokens if token.type == tokenize.COMMENT]
    return words, "\n".join(prose)


@pytest.mark.slow
def test_every_name_in_backticks_is_one():
    """What docstrings and comments call `a_name`, `AName`, `module.name` or `folder/file.py` is there in the code."""
    read = {path: words_and_prose(path) for path in SOURCES}
    words = set().union(*(words for words, _ in read.values()))
    by_module: dict[str, set[str]] = {}
    for path, (own, _) in read.items():
        by_module.setdefault(path.stem, set()).update(own)
        by_module.setdefault(path.parent.name, set()).add(path.stem)
    stale = []
    for path, (_, prose) in read.items():
        for name in re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", prose):
            parts = name.split(".")
            if len(parts) > 1 and parts[0] not in by_module and importlib.util.find_spec(parts[0]):
                continue  # of another package
            if re.search(r"[a-z][_.]|[a-z][A-Z]", name) and not words.issuperset(parts):
                stale.append((str(path.relative_to(ROOT)), name))
            if len(parts) == 2 and parts[0] in by_module and parts[1] not in {*by_module[parts[0]], "py", "js", "json"}:
                stale.append((str(path.relative_to(ROOT)), name))
        for name in re.findall(r"`([\w/]+/\w+\.py)`", prose):
            if not (ROOT / name).exists():
                stale.append((str(path.relative_to(ROOT)), name))
    assert stale == []
