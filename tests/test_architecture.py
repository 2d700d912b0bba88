"""The house: arrows point down, the core knows no Streamlit, pages know no arrays."""

import ast
import functools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The rooms, from the roof down. A room may use those on the floors below it and none beside it or above.
FLOORS = [
    {"__main__"},
    {"cli", "library"},
    {"serve"},
    {"work"},
    {"handover", "upkeep"},
    {"learning", "study"},
    {"evaluation", "maps"},
    {"recommend"},
    {"search"},
    {"workspace"},
    {"collections", "probing"},
    {"embeddings", "targets"},
    {"encoders"},
    {"audio", "catalogue", "cluster", "notes"},
    {"storage"},
    {"config", "installation", "parallel", "plugins", "spelling"},
    {"errors", "glossary", "numbers", "words"},
]
CORE = sorted((ROOT / "mess_core").rglob("*.py"))
PAGES = [ROOT / "home.py", *sorted((ROOT / "pages").glob("*.py"))]
SHARED = ROOT / "pages" / "shared"
PANELS = sorted(SHARED.rglob("*.py"))
# What every page stands on: the app knows no widget, a widget no page, and no page another one.
COMMON = {"app": {"app"}, "widgets": {"app", "widgets"}}


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """The syntax of a file, read once."""
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Every module a file imports, also inside functions."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "mess_core").with_suffix("").parts)


def room_of(module: str) -> str:
    return module.partition(".")[0]


@functools.cache
def uses() -> frozenset[tuple[str, str]]:
    """(module, module) for each import inside the core, lazy ones too."""
    modules = {module_of(path) for path in CORE if path.name != "__init__.py"}
    found = set()
    for path in CORE:
        for name in imported(path) if path.name != "__init__.py" else ():
            other = name.removeprefix("mess_core.")
            if other in modules:
                found.add((module_of(path), other))
    return frozenset(found)


def drawing() -> str:
    """The rooms from the roof down, and how many modules of which other rooms each uses."""
    arrows = Counter((room_of(user), room_of(used)) for user, used in uses() if room_of(user) != room_of(used))
    lines = [
        f"{sum(map(len, FLOORS))} rooms, {len(arrows)} arrows between them, {sum(arrows.values())} between modules"
    ]
    for floor in FLOORS:
        for room in sorted(floor):
            below = sorted(used for user, used in arrows if user == room)
            lines.append(f"{room:12} -> {', '.join(f'{used} {arrows[room, used]}' for used in below)}".rstrip(" ->"))
    return "\n".join(lines)


def test_every_room_has_a_floor():
    assert {room_of(module_of(path)) for path in CORE} - {"__init__"} == set().union(*FLOORS)


@pytest.mark.slow
def test_arrows_point_down():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    up = {
        (user, used)
        for user, used in uses()
        if room_of(user) != room_of(used) and floor[room_of(user)] >= floor[room_of(used)]
    }
    assert not up


@pytest.mark.slow
def test_inside_a_room_nothing_goes_in_circles():
    """Taking away, again and again, the modules that use none of those left takes all of them away."""
    left = {user: set() for pair in uses() for user in pair}
    for user, used in uses():
        left[user].add(used)
    while ends := {module for module, used in left.items() if not used}:
        left = {module: used - ends for module, used in left.items() if module not in ends}
    assert not left


def test_no_two_classes_have_one_name():
    """Those aside that no other file can see: a name that is read says which of them is meant."""
    names = Counter(
        node.name
        for path in (*CORE, *PAGES, *PANELS)
        for node in nodes(path)[0].body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_knows_no_app(path):
    assert not {name.split(".")[0] for name in imported(path)} & {"streamlit", "plotly", "pages", "torchaudio"}


@pytest.mark.parametrize("path", [*PAGES, *PANELS], ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_know_no_arrays(path):
    forbidden = {"numpy", "pandas", "faiss", "torch", "sqlite3", "sklearn", "librosa", "soundfile"}
    assert not {name.split(".")[0] for name in imported(path)} & forbidden


@pytest.mark.parametrize("path", [*PAGES, *PANELS], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_knows_another(path):
    """What two pages share is a widget."""
    page = path.relative_to(SHARED).parts[0] if path in PANELS else path.stem.split("_", 1)[-1].lower()
    used = {name.removeprefix("pages.shared.").split(".")[0] for name in imported(path) if name.startswith("pages.")}
    assert used <= COMMON.get(page, {page, *COMMON})


def test_every_folder_of_panels_belongs_to_a_page():
    pages = {path.stem.split("_", 1)[-1].lower() for path in PAGES}
    assert {path.name for path in SHARED.iterdir() if path.name != "__pycache__"} == {*COMMON, *pages}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_a_page_is_short_and_says_which_question_it_answers(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 90
    assert ast.get_docstring(ast.parse(text)).endswith("?")


# What is filled or followed while it lasts.
CHANGING = {"Changed", "Fetch", "_List", "_Tally", "Task"}


def test_facts_are_frozen():
    """A dataclass of the core cannot be changed once it is made, but for those that are there to change."""
    decorated = {
        node.name: ast.unparse(decorator)
        for path in (ROOT / "mess_core").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for decorator in (node.decorator_list if isinstance(node, ast.ClassDef) else ())
        if ast.unparse(decorator).startswith("dataclass")
    }
    assert {name for name, how in decorated.items() if "frozen=True" not in how} == CHANGING


def test_whoever_shows_a_player_keeps_what_is_heard():
    """Judge aside, which has a player of its own and keeps its clips with their questions."""
    n_players = 0
    for path in (*PAGES, *PANELS):
        calls = Counter(
            node.func.id for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        )
        assert calls["player"] == calls["keep_heard"], path
        n_players += calls["player"]
    assert n_players >= 7


@pytest.mark.slow
def test_no_test_imports_another():
    """What tests share is in `conftest`, `planted`, `workers` or beside them; the browser's keep their own house."""
    shared = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "tests").rglob("*.py")
        for name in (imported(path) if path.parent.name != "e2e" else ())
        if name.startswith("tests.") and ".test_" in name
    }
    assert not shared


def test_importing_the_core_is_quick_and_silent():
    """No torch, no transformers, no word, until something is used."""
    code = "import sys, mess_core.cli.main; print(sorted({'torch', 'transformers', 'streamlit'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


@pytest.mark.slow
def test_the_server_starts_with_all_that_pages_are_made_of_and_no_more():
    """Who opens the first page waits for no import; what takes long is loaded where somebody asks for it."""
    code = """
import sys, app
heavy = {"torch", "transformers", "librosa", "numba", "umap", "faiss", "scipy", "sklearn"} & set(sys.modules)
before = set(sys.modules)
import pages.shared.app.page
for name in app.PANELS: __import__(f"pages.shared.{name}.panels")
print(sorted(heavy), len(set(sys.modules) - before), sorted(app.PANELS))
"""
    folders = sorted(path.parent.name for path in (ROOT / "pages" / "shared").glob("*/panels.py"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == f"[] 0 {folders}", done.stderr


# Whoever parses what may come from elsewhere does it by `mess_core.storage.untrusted`, which looks before it reads.
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
    for node in nodes(path):
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


if __name__ == "__main__":
    print(drawing())
