"""Do three other programs measure what we measure? RecTools, rs_metrics and ranx on the lists of a study.

    python -m benchmarks.oracle export plan.toml FOLDER      # here: what was held back, our lists and figures
    uv venv study && uv pip install --python study/bin/python -r requirements-study.txt
    study/bin/python benchmarks/oracle.py compare FOLDER     # there: RecTools needs another NumPy than we do

They are handed Parquet and nothing else. Of each row, test and k the means over users of five metrics are compared;
their nDCG is asked for with the best that can be reached as its measure, as ours is. What differs by more than 1e-9 is
printed, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TRUTH = "truth.parquet"
OURS = {"NDCG": "nDCG", "HitRate": "hit rate", "Recall": "recall", "MRR": "MRR", "Precision": "precision"}
MOST_APART = 1e-9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="data folder of the study")
    parser.add_argument("what", choices=["export", "compare"])
    parser.add_argument("paths", nargs="+", type=Path)
    options = parser.parse_args()
    if options.what == "export":
        export(options.home, *options.paths)
        return 0
    return compare(*options.paths)


def export(home: Path | None, plan_file: Path, folder: Path) -> None:
    """What others need of a study that was run."""
    import shutil

    import pyarrow as pa
    import pyarrow.parquet as pq

    from mess_core.study.data import gather
    from mess_core.study.kept import load_study, study_folder
    from mess_core.study.plan import read_plan
    from mess_core.workspace.workspace import Workspace

    workspace, plan = Workspace(home), read_plan(plan_file)
    study, data = load_study(workspace.paths, plan.name), gather(plan, workspace)
    if study is None:
        raise SystemExit(f"Run it first: python -m mess_core study run {plan_file}")
    folder.mkdir(parents=True, exist_ok=True)
    pieces = []
    for test, split in data.tests.items():
        user, item = split.relevant.nonzero()
        tested = set(split.tested.tolist())
        rows = [(u, i) for u, i in zip(user.tolist(), item.tolist(), strict=True) if u in tested]
        ids, names = data.train.user_ids, data.train.item_ids
        pieces.append(
            pa.table({
                "test": [test] * len(rows), "user": [ids[u] for u, _ in rows], "item": [names[i] for _, i in rows],
            })
        )  # fmt: skip
    pq.write_table(pa.concat_tables(pieces), folder / TRUTH)
    for path in (study_folder(workspace.paths, plan.name) / "rows").glob("*.parquet"):
        shutil.copy(path, folder / path.name)


def compare(folder: Path) -> int:
    """In the other environment: nothing of ours is imported."""
    import pandas as pd
    from ranx import Qrels, Run, evaluate
    from rectools import Columns
    from rectools.metrics import MRR, NDCG, HitRate, Precision, Recall, calc_metrics
    from rs_metrics import hitrate, mrr, ndcg, precision, recall

    truth = pd.read_parquet(folder / TRUTH)
    names = {"user": Columns.User, "item": Columns.Item, "rank": Columns.Rank}
    worst, n = 0.0, 0
    for path in sorted(folder.glob("*.lists.parquet")):
        lists = pd.read_parquet(path)
        (users_path,) = folder.glob(f"{path.name.split('.')[0]}.*.users.parquet")
        figures = pd.read_parquet(users_path)
        for (test, k), own in figures.groupby(["test", "k"]):
            said, right = lists[lists.test == test], truth[truth.test == test]
            ours = {theirs: own[column].mean() for theirs, column in OURS.items()}
            made = {
                "NDCG": NDCG(k, divide_by_achievable=True), "HitRate": HitRate(k), "Recall": Recall(k), "MRR": MRR(k),
                "Precision": Precision(k),
            }  # fmt: skip
            rectools = calc_metrics(made, said.rename(columns=names), right.rename(columns=names))
            plain, answers = said[said["rank"] <= k], right[["user", "item"]]
            ordered = plain.sort_values(["user", "rank"])[["user", "item"]]
            second = {
                "NDCG": ndcg(answers, ordered, k=k, user_col="user", item_col="item"),
                "HitRate": hitrate(answers, ordered, k=k, user_col="user", item_col="item"),
                "Recall": recall(answers, ordered, k=k, user_col="user", item_col="item"),
                "MRR": mrr(answers, ordered, k=k, user_col="user", item_col="item"),
                "Precision": precision(answers, ordered, k=k, user_col="user", item_col="item"),
            }
            qrels = Qrels({user: dict.fromkeys(rows["item"], 1) for user, rows in right.groupby("user")})
            run = Run({
                user: dict(zip(rows["item"], 1.0 / rows["rank"], strict=True)) for user, rows in plain.groupby("user")
            })  # fmt: skip
            asked = {"NDCG": f"ndcg@{k}", "HitRate": f"hit_rate@{k}", "Recall": f"recall@{k}", "MRR": f"mrr@{k}",
                     "Precision": f"precision@{k}"}  # fmt: skip
            told = evaluate(qrels, run, list(asked.values()), make_comparable=True)
            third = {theirs: told[name] for theirs, name in asked.items()}
            for theirs, value in ours.items():
                others = {"RecTools": rectools, "rs_metrics": second, "ranx": third}
                apart = {name: found[theirs] - value for name, found in others.items()}
                n += len(apart)
                worst = max(worst, *map(abs, apart.values()))
                if max(map(abs, apart.values())) > MOST_APART:
                    print(f"{path.name.split('.')[0]} {test}@{k} {theirs}: ours {value:.6f}, apart", apart)
    print(f"{n} figures of three programs; the furthest from ours is {worst:.1e} away")
    return int(worst > MOST_APART)


if __name__ == "__main__":
    sys.exit(main())
