"""A folder of music: every audio file below it becomes a track, a MIDI file with the same stem its companion.

What it is comes from the tags in the file (`tags`).
"""

from __future__ import annotations

from pathlib import Path

from mess_core.collections.collection import Collection, Description, Recording
from mess_core.collections.manifest import unusable_table
from mess_core.collections.walking import find_music


def _describe(folder: Path) -> Description:
    found = find_music(folder)
    heard = {path.with_suffix("") for path in found.audio}
    silent = [path for path in found.midi if path.with_suffix("") not in heard]
    recordings = [*map(Recording, found.audio), *(Recording(None, midi=path) for path in silent)]
    table = unusable_table(folder)
    return Description(recordings, [table] if table else [], unread=found.unread)


FOLDER = Collection(
    id="folder",
    title="Folder of music",
    summary="Every audio file below a folder, with what its tags say and the MIDI of the same name beside it.",
    is_at=lambda folder: True,
    read=_describe,
)
