"""Whether recordings of one work are told by their notes alone, on the demo library, whose works are known.

    python -m benchmarks.works --home FOLDER

`FOLDER` holds the demo library (`python -m mess_core --home FOLDER demo`). Every pair of its recordings is compared as
rows without a name are (`search.works.same_notes`), and counted by how alike their notes are.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from mess_core.search.answers import pitch_classes_of
from mess_core.search.track_facts import work_of
from mess_core.search.works import HEARD_S, SAME_NOTES, frames_together, same_notes
from mess_core.workspace.workspace import DEMO, Workspace

THRESHOLDS = (0.55, 0.6, 0.65, SAME_NOTES, 0.75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="the data folder that holds the demo library")
    workspace = Workspace(parser.parse_args().home)
    tracks = workspace.catalogue.tracks(DEMO)
    paths = workspace.catalogue.likely_audio_paths([track.track_id for track in tracks])
    notes = [frames_together(pitch_classes_of(paths[track.track_id], track.track_id, 0.0, HEARD_S)) for track in tracks]
    alike: dict[bool, list[float]] = {True: [], False: []}
    for one, other in itertools.combinations(range(len(tracks)), 2):
        alike[work_of(tracks[one]) == work_of(tracks[other])].append(same_notes(notes[one], notes[other]))
    print(f"{len(tracks)} recordings of {len(set(map(work_of, tracks)))} works; at least as alike as")
    print(" " * 12 + "".join(f"{least:8.2f}" for least in THRESHOLDS))
    for is_same, name in ((True, "one work"), (False, "two works")):
        counts = [sum(each >= least for each in alike[is_same]) for least in THRESHOLDS]
        print(f"{name:12}" + "".join(f"{count:8}" for count in counts) + f"   of {len(alike[is_same]):,} pairs")


if __name__ == "__main__":
    main()
