"""Paths: where one data folder keeps what. No other module spells the name of a folder.

mess.sqlite      the catalogue; copies/ of it, one a day        truth
embeddings/      by encoder and fingerprint                     truth, sealed by the catalogue
uploads/         what was dropped on a page                     our copies
rendered/        what was played from MIDI                      can be played again
demo/            the demo library                               can be made again
probing/         discoveries, their arrays, evaluations         can be measured again
targets/         values that a person brought, by target           truth
imported/        what is known of imported encoders
learned/         similarities that were learned, and how good they are, by encoder    can be learned again
studies/         what recommenders came to on interactions, by plan                   can be run again
cache/           waveforms, maps, packed arrays, hidden states, rows in a database    may be deleted at any time
trash/           what was swept, for thirty days
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from platformdirs import user_data_path

from mess_core.errors import InputError
from mess_core.installation import PACKAGE, clone

HOME_VARIABLE = "MESS_HOME"
UPLOADS, COPIES, TRASH, CACHE = "uploads", "copies", "trash", "cache"


@dataclass(frozen=True)
class Paths:
    """The files and folders of the data folder `root`."""

    root: Path

    @classmethod
    def default(cls) -> Paths:
        """`MESS_HOME` if set, else `data/` in the repository, or where programs keep their data, if installed alone."""
        home = os.environ.get(HOME_VARIABLE)
        if home:
            return cls(Path(home).expanduser().resolve())
        repository = clone()
        return cls(user_data_path(PACKAGE, appauthor=False) if repository is None else repository / "data")

    # --- what cannot be made again --------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        return self.root / "mess.sqlite"

    @property
    def copies(self) -> Path:
        """Of the catalogue, one a day."""
        return self.root / COPIES

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings"

    @property
    def uploads(self) -> Path:
        return self.root / UPLOADS

    @property
    def weights(self) -> Path:
        """Which weights the user has chosen or downloaded, with their hashes; the weights lie elsewhere."""
        return self.root / "weights.json"

    @property
    def own_targets(self) -> Path:
        """Targets of one's own, a file each."""
        return self.root / "targets"

    @property
    def trash(self) -> Path:
        """What was swept, by day."""
        return self.root / TRASH

    # --- what can ---------------------------------------------------------------------------------------------

    @property
    def rendered(self) -> Path:
        """What was played from MIDI."""
        return self.root / "rendered"

    @property
    def demo(self) -> Path:
        return self.root / "demo"

    @property
    def probing(self) -> Path:
        """Discoveries with their directions, and evaluations, by encoder."""
        return self.root / "probing"

    @property
    def imported(self) -> Path:
        """What is known of imported encoders."""
        return self.root / "imported"

    @property
    def learned(self) -> Path:
        """Learned metrics, and reports on what learning brought, by encoder."""
        return self.root / "learned"

    @property
    def studies(self) -> Path:
        """What studies of recommenders came to, a folder each."""
        return self.root / "studies"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow.sqlite"

    @property
    def mlflow_artefacts(self) -> Path:
        return self.root / "mlflow-artifacts"

    # --- what may be deleted at any time ----------------------------------------------------------------------

    @property
    def cache(self) -> Path:
        return self.root / CACHE

    @property
    def packed(self) -> Path:
        """Arrays gathered from many small files."""
        return self.cache / "packed"

    @property
    def hidden_states(self) -> Path:
        """All frames of all layers, by encoder."""
        return self.cache / "raw"

    @property
    def maps(self) -> Path:
        return self.cache / "maps"

    @property
    def recall(self) -> Path:
        """What approximate indexes miss."""
        return self.cache / "recall"

    @property
    def lancedb(self) -> Path:
        """Rows of libraries, where LanceDB is asked for the nearest."""
        return self.cache / "engines" / "lancedb"

    @property
    def postgres(self) -> Path:
        """The server that `serve-db` starts."""
        return self.cache / "engines" / "postgres"

    @property
    def peaks(self) -> Path:
        """Waveforms as they are drawn."""
        return self.cache / "peaks"


def file_name(name: str) -> str:
    """A name that somebody gave, as part of a file's name: untrusted text, other text for other names.

    Examples
    --------
    >>> file_name("Chopin: Études"), file_name("../up")
    ('Chopin%3A %C3%89tudes', '..%2Fup')
    """
    quoted = quote(name, safe=" ")
    return quoted if len(quoted) <= 100 else f"{quoted[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def path_named(path: object) -> Path:
    """A path that somebody gave in Python, text or Path.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> path_named(["a.wav", "b.wav"])
    Traceback (most recent call last):
    mess_core.errors.InputError: A path is a list, expected text or a Path. Several are given one by one.
    """
    if isinstance(path, str | os.PathLike):
        return Path(path)
    cure = "Several are given one by one." if isinstance(path, Iterable) else ""
    raise InputError(f"A path is a {type(path).__name__}, expected text or a Path.", cure)
