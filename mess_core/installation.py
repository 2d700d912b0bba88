"""How MESS is installed here: as a clone of its repository, or alone, as a package among others.

A clone has pins for everything (`requirements*.txt`); a package knows by its metadata what its extras ask for.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

PACKAGE = "mess"  # as pip calls it
# By extra of pyproject.toml, where a clone has pinned it.
PINS = {
    "app": "requirements.txt",
    "mlflow": "requirements-extra.txt",
    "recommenders": "requirements-extra.txt",
    "cluster": "requirements-cluster.txt",
    "engines": "requirements-engines.txt",
    "publication": "requirements-extra.txt",
}


def clone() -> Path | None:
    """The repository that this code lies in; None where it was installed alone."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "app.py").is_file() else None


def how_to_add(extra: str) -> str:
    """The command that installs what is optional, for a hint.

    Parameters
    ----------
    extra : str
        One of `PINS`.

    Examples
    --------
    >>> how_to_add("cluster")  # in a clone
    'pip install -r requirements-cluster.txt'
    """
    if clone() is not None:
        return f"pip install -r {PINS[extra]}"
    wanted = _asked_for(extra)
    if not wanted:  # neither cloned nor installed: copied
        return f'pip install ".[{extra}]" in a clone of the repository'
    # Packages by their own names, never "mess[…]": in another environment that name may be somebody else's.
    return f"pip install {' '.join(wanted)}"


def _asked_for(extra: str) -> list[str]:
    """What an extra asks for, as a shell takes it; nothing where this package is not installed."""
    try:
        stated = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    parts = (each.partition(";") for each in stated)
    return [f'"{what.strip()}"' for what, _, when in parts if f'extra == "{extra}"' in when]
