"""A cluster of this machine alone leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mess_core.cluster import connection


def test_what_a_killed_run_left_is_taken_away(tmp_path, monkeypatch):
    """The folder of a process that is no more; never that of one that lives, or of another name."""
    monkeypatch.setattr(connection, "Path", lambda path: tmp_path if path == "/tmp" else Path(path))
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    gone, *others = (tmp_path / f"mess-ray-{name}" for name in (f"{int(done.stdout)}-x", f"{os.getpid()}-x", "test-x"))
    for folder in (gone, *others):
        (folder / "session").mkdir(parents=True)
    new = Path(connection.new_folder())
    assert new.parent == tmp_path and not gone.exists() and all(folder.is_dir() for folder in (new, *others))
