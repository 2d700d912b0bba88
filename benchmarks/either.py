"""What "like this" finds with another handicap for the same music: chosen on one half of the works, tried on the other.

    python -m benchmarks.either --home FOLDER

`FOLDER` holds the demo library, heard by nano and MusiCNN (`python -m mess_core --home FOLDER demo`, then `extract
--library demo --encoder hearing:like-this`). Mean average precision of the same piece among all, and of the same
instrument among other pieces.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mess_core.encoders.hearings import LIKE_THIS, MUSIC
from mess_core.search.either import HANDICAP, EitherGeometry
from mess_core.search.track_facts import work_of
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import DEMO, Workspace

HANDICAPS = tuple(round(0.05 * step, 2) for step in range(-2, 7))
N_SPLITS = 4


@dataclass(frozen=True)
class Heard:
    """The library. rarities : (n, n, 2), without a handicap; pieces, instruments : (n,)"""

    rarities: np.ndarray
    pieces: np.ndarray
    instruments: np.ndarray

    def found(self, handicap: float, queries: Sequence[int]) -> tuple[float, float]:
        """Mean average precision of the piece and of the instrument."""
        nearness = np.maximum(self.rarities[..., 0] - handicap, self.rarities[..., 1])
        of_piece: list[float] = []
        of_instrument: list[float] = []
        for query in queries:
            others = np.arange(len(nearness)) != query
            same_piece = self.pieces == self.pieces[query]
            same_instrument = self.instruments == self.instruments[query]
            for candidates, relevant, into in (
                (others, same_piece, of_piece),
                (others & ~same_piece, same_instrument, of_instrument),
            ):
                order = np.argsort(-nearness[query][candidates], kind="stable")
                into.append(_average_precision(relevant[candidates][order]))
        return float(np.nanmean(of_piece)), float(np.nanmean(of_instrument))


def _average_precision(relevant: np.ndarray) -> float:
    places = np.flatnonzero(relevant) + 1
    return float((np.arange(1, len(places) + 1) / places).mean()) if len(places) else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="the data folder that holds the demo library")
    workspace = Workspace(parser.parse_args().home)
    scope = scope_of(workspace, DEMO, LIKE_THIS)
    embeddings = scope.embeddings()
    tracks = workspace.catalogue.tracks_of(embeddings.track_ids)
    in_order = [tracks[track_id] for track_id in embeddings.track_ids]
    geometry = EitherGeometry.fit(embeddings.vectors, info=scope.info)
    items, n = geometry.items(embeddings.vectors), len(in_order)
    rarities = np.stack([geometry.similarities(items[[row] * n], items) for row in range(n)])
    rarities[..., 0] += HANDICAP[MUSIC]
    pieces = np.array([work_of(track) for track in in_order])
    heard = Heard(rarities, pieces, np.array([track.instrument for track in in_order]))
    print("handicap   piece  instrument")
    for handicap in HANDICAPS:
        print(f"{handicap:8.2f}" + "".join(f"{value:8.3f}" for value in heard.found(handicap, range(n))))
    print("chosen on a half, found on the other:")
    names = sorted(set(pieces))
    tried = []
    for seed in range(N_SPLITS):
        half = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2].tolist())
        sides = [[row for row in range(n) if (pieces[row] in half) == is_own] for is_own in (True, False)]
        for own, other in (sides, sides[::-1]):
            best = max(HANDICAPS, key=lambda handicap, own=own: min(heard.found(handicap, own)))
            tried.append(heard.found(best, other))
            print(f"{best:8.2f}" + "".join(f"{value:8.3f}" for value in tried[-1]))
    print("    mean" + "".join(f"{value:8.3f}" for value in np.mean(tried, axis=0)))


if __name__ == "__main__":
    main()
