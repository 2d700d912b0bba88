"""Provenance: what a kept result was made with, so that somebody else can make it again and knows why it differs."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mess_core import __version__

PACKAGES = ("numpy", "scikit-learn", "scipy", "torch", "librosa")  # what figures are computed with


@functools.cache
def versions() -> dict[str, str]:
    """Of MESS, and of what figures are computed with."""
    found = {"mess": __version__}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def provenance(**hashes: Any) -> dict[str, Any]:
    """Versions, machine, threads and date, and whatever hashes the caller adds.

    Examples
    --------
    >>> sorted(provenance(audio="0a"))
    ['audio', 'date', 'machine', 'python', 'threads', 'versions']
    """
    return {
        "versions": dict(versions()),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, cpu",  # figures are computed there, also beside a GPU
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **hashes,
    }


def digest(ids: Iterable[str]) -> str:
    """One hash of many, whatever their order."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
