"""The house: arrows point down, the core knows no Streamlit, pages know no arrays."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Lower may not import higher. Modules of one floor may not import each other, except where listed below.
FLOORS = [
    {"errors", "words"},
    {"config"},
    {"untrusted"},
    {"files", "midi", "legacy_text"},
    {"database", "probing", "matching", "processes"},
    {"passages", "takeover", "custody"},
    {
        "opinions",
        "packed",
        "aspects",
        "wav_header",
        "av_source",
        "loudness",
        "sounding",
        "audio_source",
        "audio",
        "catalogue",
        "jobs",
    },
    {"encoders", "datasets", "synthesis", "targets"},
    {"embeddings"},
    {"search", "layouts", "raw", "extraction", "measurements"},
    {"discovery"},
    {"evaluation"},
    {"upkeep"},
    {"home"},
    {"maps", "scan", "rebuild"},
    {"answers", "tracking", "uploads", "tasks", "handover"},
    {"reasons", "comparisons", "exports", "tables", "doctor"},
    {"worker", "cli"},
    {"__main__"},
]
WITHIN_A_FLOOR = {
    ("audio", "audio_source"),
    ("audio", "loudness"),
    ("audio", "sounding"),
    ("audio_source", "wav_header"),
    ("audio_source", "av_source"),
    ("datasets", "synthesis"),
    ("extraction", "raw"),
}
CORE = sorted((ROOT / "mess_core").rglob("*.py"))
PAGES = [ROOT / "home.py", *sorted((ROOT / "pages").glob("*.py"))]
PANELS = sorted((ROOT / "pages" / "shared").glob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def module_of(path: Path) -> str:
    return path.relative_to(ROOT / "mess_core").parts[0].removesuffix(".py")


def floor(module: str) -> int:
    return next(number for number, modules in enumerate(FLOORS) if module in modules)


@pytest.mark.parametrize("path", [p for p in CORE if p.name != "__init__.py"], ids=module_of)
def test_arrows_point_down(path):
    module = module_of(path)
    for name in imported(path):
        if name.startswith("mess_core."):
            other = name.split(".")[1]
            if other in ("__version__", module):
                continue
            is_below = floor(other) < floor(module)
            assert is_below or (module, other) in WITHIN_A_FLOOR, f"{module} imports {other}"


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_knows_no_app(path):
    assert not {name.split(".")[0] for name in imported(path)} & {"streamlit", "plotly", "pages", "torchaudio"}


@pytest.mark.parametrize("path", [*PAGES, *PANELS], ids=lambda p: p.name)
def test_pages_know_no_arrays(path):
    forbidden = {"numpy", "pandas", "faiss", "torch", "sqlite3", "sklearn", "librosa", "soundfile"}
    assert not {name.split(".")[0] for name in imported(path)} & forbidden


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_a_page_is_short_and_says_which_question_it_answers(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 90
    assert ast.get_docstring(ast.parse(text)).endswith("?")


def test_importing_the_core_is_quick_and_silent():
    """No torch, no transformers, no word, until something is used."""
    code = (
        "import sys, mess_core, mess_core.cli; print(sorted({'torch', 'transformers', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


# Whoever parses what may come from elsewhere does it by `mess_core.untrusted`, which looks before it reads.
BY_THE_DOOR = {"json": {"load", "loads"}, "np": {"load", "fromfile", "loadtxt", "genfromtxt", "memmap"},
               "pq": {"ParquetFile", "read_table", "read_schema", "read_metadata", "ParquetDataset"},
               "pretty_midi": {"PrettyMIDI"}, "mido": {"MidiFile"}}  # fmt: skip
FROM_THE_DOOR = {"safetensors": {"safe_open"}, "safetensors.numpy": {"load", "load_file"},
                 "safetensors.torch": {"load", "load_file"}}  # fmt: skip
WHOLE = {"read_bytes", "read_text"}  # of a path: no limit, and no question whether it is a file
OWN = {"doctor": "read_text"}  # the kernel's list of file systems


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_from_elsewhere_come_in_by_one_door(path):
    if path.stem == "untrusted":
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            assert not names & FROM_THE_DOOR.get(node.module or "", set()), f"line {node.lineno}"
            assert not names & BY_THE_DOOR.get(node.module or "", set()), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, owner = node.func.attr, getattr(node.func.value, "id", "")
            is_written = not node.args or name not in BY_THE_DOOR.get(owner, set())  # an empty MIDI is made
            assert is_written, f"line {node.lineno}: {owner}.{name}"
            assert name not in WHOLE or OWN.get(path.stem) == name, f"line {node.lineno}: {name}"


def test_nothing_is_unpickled():
    for path in CORE:
        text = path.read_text("utf-8")
        assert "allow_pickle=True" not in text and "weights_only=False" not in text
        assert not {"pickle", "joblib"} & {name.split(".")[0] for name in imported(path)}
