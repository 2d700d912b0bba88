"""Maps: how long a library takes to draw, and how much of what is drawn is true; PCA as the baseline.

    python -m benchmarks.maps

A library like the demo (120 tracks, 13 layers x 192): cold, in a new process, in which numba has to compile UMAP first;
warm, in the same process; and when it is kept. Then one layer of ten thousand tracks x 768, phase by phase. The
machine's own limit stands beside the exact search for neighbours: the same arithmetic as one matrix product. At last a
map of a hundred thousand points in a browser, beside Plotly's (`benchmarks.shown_map`).
"""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import shown_map
from mess_core.catalogue.catalogue import NewTrack, Track, track_id_of
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.nano import NANO
from mess_core.maps.drawing import load_view, make_map
from mess_core.maps.layout import align, movement, pca_layout, umap_layout
from mess_core.maps.neighbours import NearestRows, find_nearest, space_of
from mess_core.maps.settings import MapSettings
from mess_core.maps.trust import measure_trust
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

ROOT = Path(__file__).parent.parent
N_DEMO, N_LARGE, DIM_LARGE = 120, 10_000, 768
N_CLUSTERS, N_FACTORS = 40, 12  # of the large library: what its vectors really vary by
SEED = 0


def main() -> None:
    print(f"{os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        plant_library(Workspace(Path(folder)))
        command = [sys.executable, "-m", "benchmarks.maps", folder]
        started_s = time.monotonic()
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        cold_s = time.monotonic() - started_s
        print(f"{N_DEMO} tracks, 13 layers of 192: cold, process included {cold_s:15.1f} s   (bar 40 s)")
        print(told, end="")
    for line in itertools.chain(large_lines(), shown_map.lines()):
        print(line, flush=True)


def demo_lines(folder: Path) -> list[str]:
    """Everything once, then with another seed, then from the cache."""
    scope, seconds = Scope(Workspace(folder), "planted", NANO), []
    for seed in (SEED, SEED + 1, SEED + 1):
        started_s = time.monotonic()
        make_map(scope, MapSettings(seed=seed))
        seconds.append(time.monotonic() - started_s)
    started_s = time.monotonic()
    views = [load_view(scope, layer, MapSettings(seed=seed)) for layer in range(NANO.n_layers)]
    read_s = time.monotonic() - started_s
    lines = [
        f"    cold, imports included {seconds[0]:37.1f} s",
        f"    warm {seconds[1]:55.1f} s   (bar 5 s)",
        f"    asked for again {seconds[2]:44.2f} s",
        f"    13 layers read for a page {read_s:34.2f} s",
    ]
    drawn = [view for view in views if view is not None]
    for name, trusts in (("UMAP", [view.trust for view in drawn]), ("PCA", [view.pca_trust for view in drawn])):
        means = [np.mean([getattr(t, of) for t in trusts]) for of in ("trustworthiness", "continuity", "preservation")]
        lines.append(
            f"    {name:<5} trustworthiness {means[0]:.3f}  continuity {means[1]:.3f}  neighbours kept {means[2]:.3f}"
            f" (chance {trusts[0].chance:.3f})"
        )
    moved = np.mean([movement(one.points(), next_.points()) for one, next_ in itertools.pairwise(drawn)])
    lines.append(f"    a point moves by {moved:.2f} radii of the map from one layer to the next")
    alone = unaligned(scope.workspace)
    lines.append(f"    {alone[0]:.2f} if every layer is drawn by itself, and only turned onto its neighbour")
    lines.append(f"    {alone[1]:.2f} if not even that")
    return lines


def unaligned(workspace: Workspace) -> tuple[float, float]:
    """Movement between layers that do not begin at each other's layouts: turned onto each other, and as they come."""
    vectors = workspace.store.load(workspace.catalogue.track_ids("planted"), NANO).vectors
    layouts = []
    for layer in range(NANO.n_layers):
        space = space_of(vectors[:, layer], "cosine", is_centred=True)
        nearest = find_nearest(space, 15, "cosine")
        thrown = np.random.default_rng(layer).standard_normal((len(space), 2))
        layouts.append(umap_layout(nearest, MapSettings(), "cosine", thrown))
    pairs = list(itertools.pairwise(layouts))
    turned = float(np.mean([movement(align(one, other), other) for one, other in pairs]))
    return turned, float(np.mean([movement(one, other) for one, other in pairs]))


def large_lines() -> list[str]:
    """One layer of a large library, phase by phase."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((N_CLUSTERS, N_FACTORS)) * 2
    factors = centres[rng.integers(0, N_CLUSTERS, N_LARGE)] + rng.standard_normal((N_LARGE, N_FACTORS))
    vectors = factors @ rng.standard_normal((N_FACTORS, DIM_LARGE)) + rng.standard_normal((N_LARGE, DIM_LARGE))
    space = space_of(vectors, "cosine", is_centred=True)
    settings = MapSettings()
    few = NearestRows(np.arange(5)[:, None] * 0 + np.arange(1, 5), np.ones((5, 4), np.float32))
    umap_layout(few, settings, "cosine", rng.standard_normal((5, 2)))  # compiled before the clock runs
    clock = [time.monotonic()]

    def lap() -> float:
        clock.append(time.monotonic())
        return clock[-1] - clock[-2]

    for start in range(0, N_LARGE, 1024):
        space[start : start + 1024] @ space.T
    limit_s = lap()
    nearest = find_nearest(space, 15, "cosine")
    nearest_s = lap()
    pca = pca_layout(space)
    pca_s = lap()
    umap = umap_layout(nearest, settings, "cosine", pca)
    umap_s = lap()
    trust, _ = measure_trust(space, nearest, umap, 15, SEED)
    trust_s = lap()
    pca_trust, _ = measure_trust(space, nearest, pca, 15, SEED)
    total_s = nearest_s + pca_s + umap_s + trust_s + lap()
    return [
        f"{N_LARGE} tracks, one layer of {DIM_LARGE}, warm {total_s:29.1f} s   (bar 60 s)",
        f"    exact neighbours {nearest_s:43.1f} s   (products alone {limit_s:.1f} s)",
        f"    PCA, the baseline {pca_s:42.1f} s",
        f"    UMAP {umap_s:55.1f} s",
        f"    trust {trust_s:54.1f} s",
        f"    UMAP  trustworthiness {trust.trustworthiness:.3f}  continuity {trust.continuity:.3f}"
        f"  neighbours kept {trust.preservation:.3f} (chance {trust.chance:.4f})",
        f"    PCA   trustworthiness {pca_trust.trustworthiness:.3f}  continuity {pca_trust.continuity:.3f}"
        f"  neighbours kept {pca_trust.preservation:.3f}",
    ]


def plant_library(workspace: Workspace) -> None:
    """Tracks in twelve groups whose arrangement turns slowly from layer to layer."""
    rng = np.random.default_rng(SEED)
    places = rng.standard_normal((2, 12, NANO.dim)) * 0.4
    groups, own = rng.integers(0, 12, N_DEMO), rng.standard_normal((2, N_DEMO, 6)) @ rng.standard_normal((6, NANO.dim))
    music = workspace.paths.root / "music"
    music.mkdir()
    new = []
    for number in range(N_DEMO):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        audio = music / f"{number}.wav"
        audio.touch()
        new.append(NewTrack(Track(track_id_of(sha256), sha256, f"track {number}", 20.0, 24_000, 1, "WAV"), audio))
    workspace.catalogue.add(music, new, "planted")
    for number, track in enumerate(new):
        turned = np.linspace(0, 1, NANO.n_layers)[:, None]
        both = places[:, groups[number]] + 0.3 * own[:, number]
        mean = ((1 - turned) * both[0] + turned * both[1]).astype(np.float32)  # (n_layers, dim)
        frame_std = np.zeros((NANO.n_layers, NANO.dim), np.float32)
        embedding = TrackEmbedding(mean[None].astype(np.float16), np.zeros(1, np.float32), mean, frame_std)
        workspace.store.write(track.track.track_id, NANO, embedding)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print("\n".join(demo_lines(Path(sys.argv[1]))))
    else:
        main()
