"""The study at its scale: a million interactions, and 50,000 items of 768 numbers. Seconds, and the peak of memory.

    python -m benchmarks.study               # 10,000 users; about three minutes on two cores
    python -m benchmarks.study --users 1000 --items 2000 --rows 20000     # whether it runs

Bars, on two cores: the means with the 100 best of every user 20 s; an epoch of Shallow Net 60 s; 4 GB at the peak. The
baseline of the means is the product of users and items by itself, which nobody can be faster than. Seconds of the
processor stand beside those of the wall: with other programs running, the wall says little.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mess_core.numbers import seconds
from mess_core.recommend.base import USERS_AT_ONCE, recommend_items
from mess_core.recommend.bridge import RidgeBridge
from mess_core.recommend.columns import Interactions
from mess_core.recommend.content import UserMean
from mess_core.recommend.fitting import Learning
from mess_core.recommend.shallow import ShallowNet
from mess_core.study.formats import read_as

DIM, K, WIDTH = 768, 100, 128
MEAN_BAR_S, EPOCH_BAR_S, PEAK_BAR_GB = 20.0, 60.0, 4.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    print(f"{options.rows:,} interactions of {options.users:,} users with {options.items:,} items of {DIM} numbers")
    print(f"{'':44}{'wall':>10}{'processor':>12}{'peak so far':>14}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        write_rows(path, options.users, options.items, options.rows)
        train = measured("read the table", lambda: read_as("table", path, user="user", item="item", at="time").rows)
    points = np.random.default_rng(1).standard_normal((train.n_items, DIM), np.float32)
    everybody = np.arange(train.n_users)

    measured("baseline: users times items, nothing kept", lambda: product_alone(train, points))
    fitted = measured("means: fit", lambda: UserMean(points).fit(train))
    measured(
        f"means: {K} best of all, bar {MEAN_BAR_S:.0f} s with the fit",
        lambda: recommend_items(fitted, train, everybody, K),
    )
    net = ShallowNet(points, WIDTH, learning=Learning(batch=10_000, most_epochs=1))
    curve = measured("shallow net: an epoch and what is around it", lambda: net.fit(train)).curve
    print(f"{f'  the epoch alone, bar {EPOCH_BAR_S:.0f} s':44}{seconds(curve[0].took_s):>10}")
    measured("ridge bridge: fit", lambda: RidgeBridge(points).fit(train))
    print(f"the bar of memory is {PEAK_BAR_GB:.0f} GB")


def write_rows(path: Path, n_users: int, n_items: int, n_rows: int) -> None:
    """Items as popular as in the world: few are taken to by many."""
    rng = np.random.default_rng(0)
    popularity = 1.0 / (10.0 + np.arange(n_items))
    columns = (
        rng.integers(0, n_users, n_rows),
        rng.choice(n_items, n_rows, p=popularity / popularity.sum()),
        rng.permutation(n_rows),
    )
    with path.open("w", encoding="utf-8") as file:
        file.write("user,item,time\n")
        file.writelines(f"{user},{item},{at}\n" for user, item, at in zip(*columns, strict=True))


def product_alone(train: Interactions, points: np.ndarray) -> None:
    """As many multiplications as the means take for all users."""
    for start in range(0, train.n_users, USERS_AT_ONCE):
        points[: min(USERS_AT_ONCE, train.n_users - start)] @ points.T


def measured(name: str, work: Callable[[], object]):
    """Do it, and say what it took."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    found = work()
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{name:44}{seconds(wall_s):>10}{seconds(processor_s):>12}{peak_gb:>11.1f} GB", flush=True)
    return found


if __name__ == "__main__":
    main()
