"""What is installed: the wheel holds what the core needs, and no more; hints name a command that works where one is."""

from __future__ import annotations

import email
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import mess_core
from mess_core import installation

ROOT = Path(__file__).parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["dynamic"][
    "optional-dependencies"
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built as pip builds it, with the setuptools that is here and without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy: what setuptools leaves beside the code would be in the next wheel
    shutil.copytree(ROOT / "mess_core", source / "mess_core", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE", *ROOT.glob("requirements*.in")):
        shutil.copy(path, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    built = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.mark.slow
def test_the_wheel_holds_the_core_with_its_weights_and_licences(wheel):
    """All modules, nano, MusiCNN and their licences, and that it is typed; nothing of the app."""
    names = set(wheel.namelist())
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "mess_core").rglob("*.py")} <= names
    bundled = ("nano.safetensors", "nano_norm.json", "musicnn-mtt.safetensors", "musicnn-msd.safetensors",
               "musicnn-tags.json", "nano-LICENSE.md", "musicnn-LICENSE.md")  # fmt: skip
    assert {f"mess_core/encoders/{name}" for name in bundled} | {"mess_core/py.typed"} <= names
    assert {name.split("/")[0] for name in names} == {"mess_core", f"mess-{mess_core.__version__}.dist-info"}
    for name in bundled:
        assert wheel.read(f"mess_core/encoders/{name}") == (ROOT / "mess_core" / "encoders" / name).read_bytes()
    assert sum(info.compress_size for info in wheel.infolist()) < 20e6


@pytest.mark.slow
def test_the_wheel_asks_for_what_the_core_imports_and_the_rest_by_extras(wheel):
    metadata = email.message_from_bytes(wheel.read(f"mess-{mess_core.__version__}.dist-info/METADATA"))
    asked = metadata.get_all("Requires-Dist")
    core = {re.split(r"[^\w-]", each)[0] for each in asked if "extra ==" not in each}
    assert {"torch", "numpy", "faiss-cpu", "starlette"} <= core
    assert not core & {"streamlit", "plotly", "torchaudio", "mlflow", "ray", "matplotlib"}
    assert set(metadata.get_all("Provides-Extra")) == set(EXTRAS) == {*installation.PINS, "all"}
    entry = wheel.read(f"mess-{mess_core.__version__}.dist-info/entry_points.txt").decode()
    assert "mess = mess_core.cli.main:main" in entry


def test_all_is_all():
    """The extra `all` is every other one, and each file that is pinned for a clone is there."""
    assert sorted(EXTRAS["all"]["file"]) == sorted(each["file"] for name, each in EXTRAS.items() if name != "all")
    assert all((ROOT / name).is_file() for name in installation.PINS.values())


def test_how_to_add_names_pins_in_a_clone_and_packages_elsewhere(monkeypatch, tmp_path):
    assert installation.how_to_add("mlflow") == "pip install -r requirements-extra.txt"
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "site-packages" / "mess_core" / "installation.py"))
    stated = ["numpy", 'ray==2.60.*; extra == "cluster"', 'fsspec; extra == "cluster"', 'plotly; extra == "app"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: stated)
    assert installation.how_to_add("cluster") == 'pip install "ray==2.60.*" "fsspec"'

    def unknown(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", unknown)
    assert installation.how_to_add("cluster") == 'pip install ".[cluster]" in a clone of the repository'


def test_a_core_without_the_app_is_whole_and_a_clone_without_it_is_not(monkeypatch, tmp_path):
    from mess_core.cli import doctor

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert (found := doctor._app()).cure == "pip install -r requirements.txt" and not found.is_ok
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "mess_core" / "installation.py"))
    assert (found := doctor._app()).is_ok and found.cure == ""


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {mess_core.__version__}\n" in text and "\nlicense: Apache-2.0\n" in text
