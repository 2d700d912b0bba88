"""Do our sequence recommenders come to what is published? On a file of sequences, the last item of each user tested.

    python -m benchmarks.sequences s3rec-LastFM.txt --batch 32         # a few minutes for each seed
    python -m benchmarks.sequences ml-1m.txt --most 200 --seeds 0 1 2 --checkpoints runs

A line of the file is a user and their items in order. All items are ranked but those that a user has. How many epochs
there are is told by the last item but one of each user, never by the one tested. Beside ours stand the recommenders
that only count, and figures that others published for the same file and the same way of testing, where we know them.
With `--checkpoints` a run that was interrupted goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from mess_core.evaluation.recommendation import HIT_RATE, NDCG, K, RecommendationFigure, evaluate_recommenders
from mess_core.numbers import interval, number, seconds
from mess_core.recommend.base import Recommender
from mess_core.recommend.bert4rec import Bert4Rec
from mess_core.recommend.columns import Interactions, leave_one_out, read_sequences
from mess_core.recommend.controls import AnyItem, NextItem, Popular
from mess_core.recommend.fitting import Epoch, Keeping, LearnedByEpochs, Learning, LearnsByEpochs, best_of
from mess_core.recommend.knn import Ease, ItemNeighbours, why_no_ease
from mess_core.recommend.sasrec import SasRec
from mess_core.recommend.transformer import Transformer

# Hit rate and nDCG at 10 among all items: Zhou et al. (2020), S3-Rec; Klenitskiy & Vasilev (2023), with full softmax.
PUBLISHED = {
    "s3rec-LastFM.txt": {"popular": (0.0440, 0.0203), "sasrec": (0.0688, 0.0390), "bert4rec": (0.0633, 0.0337)},
    "ml-1m.txt": {"sasrec": (0.3152, 0.1821), "bert4rec": (0.2843, 0.1537)},
}


@dataclass(frozen=True, eq=False)
class Watched:
    """A recommender that says how it gets on. checkpoints : a folder, or None"""

    recommender: LearnsByEpochs
    checkpoints: Path | None
    name: str

    def fit(self, train: Interactions) -> LearnedByEpochs:
        """Learn, and go on with what was interrupted."""

        def tell(epoch: Epoch) -> None:
            print(
                f"  {self.name}, epoch {epoch.number}: {epoch.loss:.3f}, {number(epoch.figure, 4)}",
                end="\r",
                flush=True,
            )

        path = None if self.checkpoints is None else self.checkpoints / f"{self.name.replace(' ', '-')}.json"
        fitted = self.recommender.fit(train, Keeping(path, tell=tell))
        best = best_of(fitted.curve)
        print(f"  {self.name}: best is {best.number} of {len(fitted.curve)}, nDCG held out {number(best.figure, 4)}")
        return fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--k", type=int, default=K)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--only", choices=["sasrec", "bert4rec"], help="of the two that learn")
    size, learning = Transformer(), Learning()
    parser.add_argument("--width", type=int, default=size.width)
    parser.add_argument("--most", type=int, default=size.most)
    parser.add_argument("--dropout", type=float, default=size.dropout)
    parser.add_argument("--batch", type=int, default=learning.batch)
    parser.add_argument("--patience", type=int, default=learning.patience)
    parser.add_argument("--epochs", type=int, default=learning.most_epochs)
    parser.add_argument("--last-share", type=float, default=Bert4Rec().last_share)
    given = parser.parse_args()

    split = leave_one_out(read_sequences(given.file))
    size = Transformer(given.width, dropout=given.dropout, most=given.most)
    known: list[Recommender] = [AnyItem(), Popular(), NextItem(), ItemNeighbours()]
    known += [Ease()] if why_no_ease(split.train) is None else []
    for seed in given.seeds:
        learning = Learning(batch=given.batch, most_epochs=given.epochs, patience=given.patience, seed=seed)
        ours: list[LearnsByEpochs] = [
            SasRec(None, size, learning), Bert4Rec(None, size, learning, last_share=given.last_share)
        ]  # fmt: skip
        for each in (each for each in ours if given.only in (None, each.name)):
            known.append(Watched(each, given.checkpoints, f"{each.name} {seed}"))
    study = evaluate_recommenders(split, known, given.k)
    print(f"{len(study.users):,} users tested among {study.n_items:,} items; [95 % of draws of users]")
    print(f"{'':<12}{f'hit rate@{given.k}':<26}{f'nDCG@{given.k}':<26}{'published':<18}took")
    for result in study.results:
        hit_rate, gain = (told(result.figure(metric)) for metric in (HIT_RATE, NDCG))
        theirs = PUBLISHED.get(given.file.name, {}).get(result.name.split()[0]) if given.k == K else None
        beside = "" if theirs is None else "{:.4f} / {:.4f}".format(*theirs)
        print(f"{result.name:<12}{hit_rate:<26}{gain:<26}{beside:<18}{seconds(result.took_s)}")


def told(figure: RecommendationFigure) -> str:
    """A figure with its interval."""
    return f"{number(figure.value, 4)} {interval(figure.low, figure.high, 4)}"


if __name__ == "__main__":
    main()
