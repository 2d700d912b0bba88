"""The README says only what is true: its verbs, pages, encoders, benchmarks and Python run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mess_core.cli.main import _parser
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import PUBLISHED
from mess_core.workspace.workspace import Workspace
from pages.shared.app.page import PAGES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def commands() -> list[str]:
    return re.findall(r"^python -m mess_core (.+?)\s*(?:#.*)?$", README, flags=re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one(command):
    _parser().parse_args(command.split())


def test_every_verb_is_documented():
    verbs = _parser()._subparsers._group_actions[0].choices
    assert {command.split()[0] for command in commands()} == set(verbs)


def test_every_page_and_encoder_is_documented():
    for title, _ in PAGES.values():
        assert f"**{title}**" in README
    for info in (*PUBLISHED, NANO, MEL):
        assert f"`{info.id}`" in README


def test_every_benchmark_named_is_there():
    named = re.search(r"with\n((?:`\w+`,? ?)+)", README.replace("\n`", "\n`"))
    assert named
    for name in re.findall(r"`(\w+)`", named.group(1)):
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


def test_every_link_into_the_repository_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_python_example_runs(home: Workspace, write_wav, monkeypatch, capsys):
    """On a library called demo with two recordings."""
    from mess_core.collections.opening import read_track
    from mess_core.storage.jobs import new_owner
    from mess_core.work.tasks import Task

    new = [read_track(write_wav(f"t{seed}", 3.0, seed)) for seed in range(2)]
    home.catalogue.add(new[0].audio.parent, new, "demo")
    home.request_extract("demo", NANO.id)
    owner = new_owner()
    Task(home, home.jobs.claim(owner), owner).run()
    monkeypatch.setenv("MESS_HOME", str(home.paths.root))
    (example,) = re.findall(r"```python\n(.+?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("1 ")
