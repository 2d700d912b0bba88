"""What tests of recommenders share: interactions with known answers, and those of elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SHARED


@pytest.fixture(scope="session")
def shared_rec() -> Callable[[str], Path]:
    """A file of published interactions; a test of it skips where it is not."""

    def find(name: str) -> Path:
        path = SHARED / "rec" / name
        if not path.exists():
            pytest.skip(f"no {path}: it is not part of the repository (docs/taste.md says where it is from)")
        return path

    return find
