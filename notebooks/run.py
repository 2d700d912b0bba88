"""Run notebooks from the first cell to the last, as a reader would: `make notebooks`.

    python -m notebooks.run                       all of them
    python -m notebooks.run notebooks/01_*.ipynb  these
    python -m notebooks.run --keep FOLDER         and write them there with what they print and draw

Each runs in an empty folder with an empty data folder, so that none leans on what another has left, and none on the
data of whoever runs it. What a notebook draws stays out of the repository: it would change with every run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
CELL_S = 300  # that a cell may take before it is taken to hang
QUIET = ["--log-level=ERROR"]  # a kernel warns of its own port, which is open to this machine alone


def run(path: Path, keep: Path | None = None) -> float:
    """Run one notebook; returns the seconds that took.

    Raises
    ------
    CellExecutionError
        If a cell fails: its text says which, and what it printed.
    """
    notebook = nbformat.read(path, as_version=4)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mess-notebook-") as folder:
        surroundings = {
            **os.environ,
            "MESS_HOME": str(Path(folder) / "data"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")])),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        client = NotebookClient(
            notebook,
            timeout=CELL_S,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=QUIET,
        )
        client.execute(env=surroundings)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, keep / path.name)
    return time.monotonic() - started_s


def main(arguments: list[str] | None = None) -> int:
    """Run notebooks; 1 if one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m notebooks.run", description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write them there with their outputs")
    options = parser.parse_args(arguments)
    n_failed = 0
    for path in options.notebooks:
        try:
            print(f"{path.name}: {run(path, options.keep):.0f} s", flush=True)
        except CellExecutionError as error:
            print(f"{path.name}: {error}", file=sys.stderr, flush=True)
            n_failed += 1
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
