"""What the original project offered is offered here, by the lines that docs/original.md says: each of them is run."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mess_core
from mess_core import ProbeSettings, open_library
from mess_core.cli.main import main

PAGE = (Path(__file__).parent.parent / "docs" / "original.md").read_text("utf-8")
LINES = re.findall(r"^\|.*\| `([^`]+)` \|$", PAGE, re.MULTILINE)
RATE_HZ, N_WORKS, N_TAKES = 24_000, 12, 5  # 60: of fewer than 50, indexes cannot be told apart
# Verbs that take an encoder: the test's own is a control that needs no seconds.
ENCODES = {"extract", "probe", "similar", "evaluate", "export"}
QUICK = {"n_permutations": 20, "n_bootstraps": 50, "n_repeats": 1, "without": ("untrained",)}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with `recordings`, a query, and a data folder in which they are `smd`, embedded and probed."""
    place, chance = tmp_path_factory.mktemp("original"), np.random.default_rng(0)
    (place / "recordings").mkdir()
    rows = ["audio,work"]
    for work in range(N_WORKS):
        hz = chance.uniform(100, 2000)
        for take in range(N_TAKES):
            time_s = np.arange(3 * RATE_HZ) / RATE_HZ
            tone = sum(np.sin(2 * np.pi * hz * n * time_s) / n for n in range(1, 2 + 4 * take))
            name = f"w{work}-{take}.wav"
            sound = 0.2 * tone * (1 + np.sin(2 * np.pi * (2 + take) * time_s)) + chance.normal(0, 0.01, len(time_s))
            soundfile.write(place / "recordings" / name, sound, RATE_HZ)
            rows.append(f"{name},Work {work}")
    (place / "recordings" / "mess.csv").write_text("\n".join(rows), "utf-8")
    soundfile.write(place / "a.wav", chance.uniform(-0.5, 0.5, 4 * RATE_HZ), RATE_HZ)
    library = open_library("smd", encoder="mel", home=place / "home")
    library.add(place / "recordings")
    library.embed()
    library.discover(settings=ProbeSettings(**QUICK))
    return place


def test_the_table_is_there():
    assert len(LINES) >= 25 and all(each in PAGE for each in ("run_full_discovery", "FeatureExtractor", "recommend("))
    assert all(line.startswith(("mess ", "pip ")) or compile(line, "line", "eval") for line in LINES)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("pip ")])  # test_installation builds it
def test_each_line_does_what_it_says(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("MESS_HOME", str(place / "home"))
    if not line.startswith("mess "):
        line = line.replace('"nano"', '"mel"').replace('open_library("smd")', 'open_library("smd", encoder="mel")')
        given = {name: getattr(mess_core, name) for name in mess_core.__all__}
        given["ProbeSettings"] = lambda **settings: ProbeSettings(**{**QUICK, **settings})
        if line.endswith((".discover()", ".r2")):
            line = line.replace("discover()", "discover(settings=ProbeSettings())")
        found = eval(line, given)
        assert found is not None and (not hasattr(found, "found") or found.found)
        return
    verb, *options = shlex.split(line.removeprefix("mess ").replace(":nano:", ":mel:"))
    if options == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            main([verb, *options])
        return
    if verb in ENCODES and "--encoder" not in options:
        options += ["--encoder", "mel"]
    if verb in ("probe", "sweep"):
        options += ["--permutations", "20", "--without", "untrained"]
    if verb == "sweep":
        options += ["--encoders", "mel"]
    code = main([verb, *options])
    said = capsys.readouterr()
    if "--mlflow" in options and find_spec("mlflow") is None:
        assert code == 2 and "MLflow, which is not installed here" in said.err
    else:
        assert code == 0 and said.out, said.err
