"""Runs: every discovery that was kept, by an id that stays, whatever its encoder, grouping, level and settings.

A run's id comes from where its file lies, so it is the same as long as the same is asked of the same library by the
same encoder; the same asked again replaces it. What lies there is never read as another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.probing.discovery import Discovery, in_words, is_discovery, kept_paths, load_predictions, read, run_id_of
from mess_core.probing.printed import cells_frame, latex_table
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import printable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Run:
    """One kept discovery. run_id : eight hex digits; path : of its file"""

    run_id: str
    path: Path
    discovery: Discovery

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of {self.discovery.library!r}: {self.discovery.title}>"

    @property
    def whole(self) -> Discovery:
        """The discovery with what was said of each row, which is read from beside its file.

        Raises
        ------
        ArtefactMismatchError
            If that is gone, damaged, or of another version.
        """
        return replace(self.discovery, result=load_predictions(self.path, self.discovery))

    @property
    def made_at(self) -> str:
        """When, in UTC; empty if an early version made it."""
        return str(self.discovery.provenance.get("date", ""))

    @property
    def settings_in_words(self) -> str:
        """What sets its settings apart from the usual ones; empty if nothing does."""
        return ", ".join(in_words(self.discovery.result.settings))

    def to_frame(self) -> pd.DataFrame:
        """One row for each target and layer (`mess_core/probing/printed.py` says what is in the columns)."""
        return cells_frame(self.discovery)

    def to_latex(self) -> str:
        """A table for a paper: each target at its best layer, with interval, gain and p."""
        return latex_table(self.discovery, self.run_id)

    def heatmap(self, path: str | Path, quantity: str = "r2") -> Path:
        """Draw every cell with its interval, as PDF, SVG or PNG by the ending of the path; returns the path.

        Parameters
        ----------
        quantity : "r2" or "gain"

        Raises
        ------
        DependencyMissingError
            If Matplotlib is not installed.
        InputError
            If the ending or the quantity is another one.
        """
        from mess_core.probing.drawn import draw_heatmap

        return draw_heatmap(self.discovery, Path(path).expanduser(), quantity)

    def as_row(self) -> dict[str, Any]:
        """The run in one row of a table, as `runs --json` prints it; keys may be added, not renamed."""
        found, result = self.discovery, self.discovery.result
        probed = [summary for summary in result.targets if summary.best_layer is not None]
        nested = sorted(each.nested_r2 for each in probed if each.nested_r2 is not None)
        return {
            "run": self.run_id,
            "library": found.library,
            "encoder": found.encoder,
            "fingerprint": found.fingerprint,
            "group": found.group,
            "level": found.level,
            "settings": self.settings_in_words,
            "n_tracks": found.n_tracks,
            "n_groups": result.n_groups,
            "n_targets": len(probed),
            "n_encoded": len({cell.target for cell in result.cells if cell.encodes}),
            "median_nested_r2": nested[len(nested) // 2] if nested else None,
            "has_null": result.has_null,
            "made_at": self.made_at,
        }


def kept_runs(paths: Paths, library: str | None = None) -> tuple[list[Run], list[str]]:
    """Every run of a library, or of all, in the order of their files; and a sentence for each that cannot be read."""
    places = every_path(paths) if library is None else kept_paths(paths, library)
    runs: list[Run] = []
    problems: list[str] = []
    for path in places:
        try:
            runs.append(Run(_id_at(path), path, read(path)))
        except ArtefactMismatchError as error:
            problems.append(f"{_id_at(path)} cannot be read: {error.message}")
    return runs, problems


def find_run(paths: Paths, asked: str) -> Run:
    """The run of an id, or of as many of its first digits as are no other's.

    Raises
    ------
    InputError
        If there is none, or several begin so.
    ArtefactMismatchError
        If it is damaged.
    """
    wanted = asked.strip().lower()
    places = {_id_at(path): path for path in every_path(paths)}
    alike = [each for each in sorted(places) if wanted and each.startswith(wanted)]
    if len(alike) != 1:
        what = f"{len(alike)} runs begin with" if alike else "There is no run"
        raise InputError(f"{what} {printable(asked[:40])!r}.", "python -m mess_core runs lists them.")
    return Run(alike[0], places[alike[0]], read(places[alike[0]]))


def every_path(paths: Paths) -> list[Path]:
    """The files of all runs."""
    return sorted(path for path in paths.probing.glob("*/*.json") if is_discovery(path))


def _id_at(path: Path) -> str:
    return run_id_of(path.parent.name, path.stem)


def runs_table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each row of `Run.as_row`."""
    lines = ["run       encoder           library           group      level    tracks  groups  encodes  settings"]
    for row in runs:
        encodes = f"{row['n_encoded']} of {row['n_targets']}" if row["has_null"] else "not asked"
        lines.append(
            f"{row['run']:<8}  {row['encoder']:<16}  {row['library']:<16}  {row['group']:<9}  {row['level']:<7}"
            f"  {row['n_tracks']:6,}  {row['n_groups']:6,}  {encodes:<9}  {row['settings'] or 'usual'}"
        )
    return lines
