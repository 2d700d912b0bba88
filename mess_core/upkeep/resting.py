"""What rests on a library: what can be read, heard or shown only while its recordings are there.

Removing a library deletes none of it. It is seen no more, until the same recordings come back.
"""

from __future__ import annotations

from mess_core.errors import ArtefactMismatchError
from mess_core.probing.discovery import kept_paths
from mess_core.storage.paths import Paths, file_name
from mess_core.study.data import library_of
from mess_core.study.kept import load_study, studies
from mess_core.words import counted
from mess_core.workspace.workspace import Workspace


def what_rests_on(workspace: Workspace, library: str) -> tuple[str, ...]:
    """What was made of a library, in a few words each; names in them are untrusted. Empty where nothing was.

    Opinions are counted of recordings that are in no other library.
    """

    def read() -> tuple[str, ...]:
        paths, stem = workspace.paths, file_name(library)
        n_runs = len(kept_paths(paths, library))
        n_maps = len({path.parent.name for path in paths.maps.glob(f"*/{stem}-*/current.json")})
        n_learned = len(list(paths.learned.glob(f"*/{stem}-metric.json")))
        n_sittings = len(workspace.sittings.all(library))
        n_opinions = workspace.opinions.n_on_library_alone(library)
        named = [name for name in studies(paths) if library in _libraries_of(paths, name)]
        said = [
            (n_runs, counted(n_runs, "discovery", "discoveries")),
            (n_maps, counted(n_maps, "map")),
            (n_learned, counted(n_learned, "learned similarity", "learned similarities")),
            (n_sittings, f"{counted(n_sittings, 'sitting')} of Judge"),
            (n_opinions, f"your taste ({counted(n_opinions, 'play, like or dislike', 'plays, likes and dislikes')})"),
            *((1, f"the study “{name}”") for name in named),
        ]
        return tuple(words for n, words in said if n)

    found: tuple[str, ...] = workspace.database.remembered(("what rests on", library), read)
    return found


def _libraries_of(paths: Paths, name: str) -> set[str]:
    """Whose listeners or recordings a study is of; of one that cannot be read nobody can say."""
    try:
        study = load_study(paths, name)
    except ArtefactMismatchError:
        study = None
    if study is None:
        return set()
    data = study.plan.data
    heard = {encoder.library or library_of(data) for encoder in study.plan.encoders if not encoder.path}
    return heard if data.path else heard | {library_of(data)}
