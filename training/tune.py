"""Tune nano: low-rank adapters on its last two blocks, taught by what teaches students, and tested as they are.

    python -m training.tune --library percepiano --from ratings [--home data] [--epochs 3] [--seeds 1] [--json FILE]

    segments -> the blocks that stay as they are, once -> (n_frames, 192) before the last two blocks, kept
      -> the last two blocks with adapters on their matrices (LoRA) -> layers 11 and 12; the others are known
      -> the mean of a moment's segments -> the centred cosine of search -> the losses of `learning`

In each fold the adapters are made anew and see its training moments only; then all moments are embedded with them, and
compared as search compares. So `tuned` stands in the table beside `centred`, which is the same network before it, on
the same segments; `tuned predicted` is what ridge regression reads of the teacher off the tuned embedding. Adapters
begin at nothing: before the first step the network is what it was. Nothing is written: it says whether tuning helps.

Needs `pip install -r requirements-extra.txt` (peft).

Source: Hu et al. (2022), Low-rank adaptation.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mess_core.audio.decode import Decoder, segments
from mess_core.cli.tables import learn_table
from mess_core.encoders.nano import NANO, Nano
from mess_core.errors import DependencyMissingError, InputError
from mess_core.learning.course import Course
from mess_core.learning.losses import candidate_loss
from mess_core.learning.moments import Fold
from mess_core.learning.segments import evenly
from mess_core.learning.students import PLAIN, SCALES, Lesson, train, untrained
from mess_core.learning.teachers import CandidateSet
from mess_core.learning.trial import TrialResult, run_trial
from mess_core.search.learned import Transform
from mess_core.storage.files import write_atomically
from mess_core.work.courses import gather
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

N_TUNED = 2  # blocks, the last ones
ADAPTED = ("qkv", "o", "f1", "f2")  # matrices of a block
RANK, ALPHA = 8, 16
RATE, LARGEST_GRADIENT = 1e-3, 1.0
N_TOGETHER = 64  # moments of a step, whole spans
N_SEGMENTS = 2  # of a moment
AT_ONCE = 64  # segments that are embedded together
SOURCES = ("ratings", "expression", "works", "performers")


class Tail(nn.Module):
    """The last blocks of nano, by themselves."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        blocks = network.blocks
        assert isinstance(blocks, nn.ModuleList)
        self.blocks = copy.deepcopy(blocks[-N_TUNED:])

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Frames (n, n_frames, dim) before them -> the mean over frames after each, (n, n_tuned, dim)."""
        pooled = []
        for block in self.blocks:
            states = block(states)
            pooled.append(states.mean(dim=1))
        return torch.stack(pooled, dim=1)


def adapted(network: nn.Module, seed: int) -> Tail:
    """The last blocks with adapters that change nothing yet; only these can move.

    Raises
    ------
    DependencyMissingError
        If peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise DependencyMissingError("Tuning needs peft.", "pip install -r requirements-extra.txt") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(ADAPTED), lora_dropout=0.0)
        tail = inject_adapter_in_model(config, Tail(network))
    assert isinstance(tail, Tail)
    return tail


@dataclass(frozen=True, eq=False)
class Heard:
    """What stays as it is of some segments, one moment after the other.

    below : (n_segments, n_layers - n_tuned, dim) float32, frames pooled
    states : of each segment (n_frames, dim) float16, what the last blocks are given
    counts : (n_moments,) int, segments of each
    """

    below: np.ndarray
    states: tuple[np.ndarray, ...]
    counts: np.ndarray

    def of(self, rows: np.ndarray) -> Heard:
        """That of some moments."""
        ends = np.cumsum(self.counts)
        kept = np.concatenate([np.arange(ends[row] - self.counts[row], ends[row]) for row in rows])
        return Heard(self.below[kept], tuple(self.states[place] for place in kept), self.counts[rows])

    def embedded(self, tail: Tail) -> torch.Tensor:
        """Embeddings of the moments, (n_moments, n_layers, dim), the means of their segments."""
        of_segments: list[torch.Tensor] = [torch.empty(0)] * len(self.states)
        lengths = np.array([len(each) for each in self.states])
        for length in np.unique(lengths):  # a segment shorter than others has frames of its own number
            places = np.flatnonzero(lengths == length)
            for some in np.array_split(places, -(-len(places) // AT_ONCE)):
                frames = torch.from_numpy(np.stack([self.states[place] for place in some]).astype(np.float32))
                for place, found in zip(some, tail(frames), strict=True):
                    of_segments[place] = found
        layers = torch.cat([torch.from_numpy(self.below), torch.stack(of_segments)], dim=1)
        moments = torch.repeat_interleave(torch.arange(len(self.counts)), torch.from_numpy(self.counts))
        sums = torch.zeros(len(self.counts), *layers.shape[1:]).index_add(0, moments, layers)
        return sums / torch.from_numpy(self.counts.astype(np.float32))[:, None, None]


def hear(network: nn.Module, log_mels: Sequence[Sequence[torch.Tensor]]) -> Heard:
    """Run the whole network once on the segments of each moment, (n_mel_frames, n_bands) each."""
    below, states = [], []
    with torch.inference_mode():
        for own in log_mels:
            for log_mel in own:
                hidden = network(log_mel[None])
                frozen = hidden[: len(hidden) - N_TUNED]
                below.append(torch.stack([layer[0].mean(dim=0) for layer in frozen]).numpy())
                states.append(frozen[-1][0].numpy().astype(np.float16))
    return Heard(np.stack(below), tuple(states), np.array([len(own) for own in log_mels]))


def tune(tail: Tail, heard: Heard, lesson: Lesson, n_epochs: int, seed: int) -> None:
    """Move the adapters, in steps of whole spans, so that similarities say what the teacher says.

    Parameters
    ----------
    heard : Heard
        Of the rows of the lesson.
    """
    if not lesson.candidates:
        raise InputError("This teacher says nothing that tuning could go by.", f"Choose one of: {', '.join(SOURCES)}.")
    spans = np.arange(len(lesson.vectors)) if lesson.spans is None else lesson.spans
    log_scale = torch.tensor(_first_scale(lesson), requires_grad=True)
    moving = [value for value in tail.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW([*moving, log_scale], lr=RATE)
    rng = np.random.default_rng(seed)
    centre = torch.from_numpy(lesson.centre)
    for _ in range(n_epochs):
        for rows in _together(spans, rng):
            questions = [asked for each in lesson.candidates if (asked := _among(each, rows)) is not None]
            if not questions:
                continue
            found = heard.of(rows).embedded(tail) - centre
            points = nn.functional.normalize(found, dim=2).flatten(1) / np.sqrt(found.shape[1])
            similarities = torch.exp(log_scale) * points @ points.T
            loss = torch.stack([candidate_loss(similarities, *asked) for asked in questions]).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(moving, LARGEST_GRADIENT)
            optimiser.step()


def _together(spans: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows of whole spans, in an order of chance, about so many at a time."""
    rows: list[int] = []
    for span in rng.permutation(np.unique(spans)):
        rows += np.flatnonzero(spans == span).tolist()
        if len(rows) >= N_TOGETHER:
            yield np.array(rows)
            rows = []
    if rows:
        yield np.array(rows)


def _among(candidates: CandidateSet, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor] | None:
    """What a set says of some rows with each other: probabilities and mask, (n, n); None where it says nothing."""
    place = np.full(len(candidates.index), -1)
    place[rows] = np.arange(len(rows))
    probability, mask = np.zeros((len(rows), len(rows)), np.float32), np.zeros((len(rows), len(rows)), bool)
    for row, own in enumerate(rows):
        used = np.flatnonzero(candidates.mask[own])
        columns = place[candidates.index[own, used]]
        kept = columns >= 0
        mask[row, columns[kept]] = True
        probability[row, columns[kept]] = candidates.probability[own, used[kept]]
    sums = probability.sum(axis=1, keepdims=True)
    if not sums.any():
        return None
    return torch.from_numpy(probability / np.where(sums > 0, sums, 1.0)), torch.from_numpy(mask)


def _first_scale(lesson: Lesson) -> float:
    """The logarithm of the scale that fits the teacher best as the network stands, as students begin."""
    points = torch.from_numpy(lesson.numbers)
    everyone = np.arange(len(lesson.vectors))
    questions = [asked for each in lesson.candidates if (asked := _among(each, everyone)) is not None]
    if not questions:
        return 0.0
    alike = points @ points.T
    losses = [float(sum(candidate_loss(np.exp(scale) * alike, *asked) for asked in questions)) for scale in SCALES]
    return float(SCALES[int(np.argmin(losses))])


class Tuning:
    """What is compared in a trial: the adapters are taught once for each fold and seed."""

    def __init__(self, network: nn.Module, heard: Heard, n_epochs: int) -> None:
        self.network, self.heard, self.n_epochs = network, heard, n_epochs
        self._of: tuple[tuple[str, int], np.ndarray] | None = None

    def vectors(self, lesson: Lesson, fold: Fold, seed: int) -> np.ndarray:
        """Embeddings of all moments by adapters that a fold's training rows have taught."""
        if self._of is None or self._of[0] != (fold.train_sha256, seed):
            tail = adapted(self.network, seed)
            tune(tail, self.heard.of(fold.train), lesson, self.n_epochs, seed)
            with torch.inference_mode():
                self._of = (fold.train_sha256, seed), self.heard.embedded(tail).numpy()
        return self._of[1]

    def as_search(self, lesson: Lesson, fold: Fold, rows: np.ndarray, seed: int) -> np.ndarray:
        """As search compares."""
        return self._alike(untrained(PLAIN, self._lesson(lesson, fold, seed)), lesson, fold, rows, seed)

    def as_predicted(self, lesson: Lesson, fold: Fold, rows: np.ndarray, seed: int) -> np.ndarray:
        """By what ridge regression reads off."""
        taught = train("predicted", self._lesson(lesson, fold, seed), seed)
        assert isinstance(taught, Transform)
        return self._alike(taught, lesson, fold, rows, seed)

    def _lesson(self, lesson: Lesson, fold: Fold, seed: int) -> Lesson:
        return replace(lesson, vectors=self.vectors(lesson, fold, seed)[fold.train])

    def _alike(self, taught: Transform, lesson: Lesson, fold: Fold, rows: np.ndarray, seed: int) -> np.ndarray:
        points = taught.points(self.vectors(lesson, fold, seed)[rows])
        return taught.similarities(points, points)


def log_mels_of(scope: Scope, recordings: Sequence[str], nano: Nano, most: int) -> Iterator[list[torch.Tensor]]:
    """The segments of each recording as nano is given them, at most so many, evenly chosen."""
    for recording in recordings:
        decoder = Decoder(scope.workspace.catalogue.likely_audio_path(recording), NANO.sample_rate_hz)
        own = [waveform for _, waveform in segments(decoder, NANO.segment_samples, NANO.hop_samples, NANO.min_samples)]
        yield [nano.log_mel(torch.from_numpy(own[place])[None])[0] for place in evenly(len(own), most)]


def try_tuning(course: Course, network: nn.Module, heard: Heard, n_epochs: int, n_seeds: int) -> TrialResult:
    """Frozen and tuned, on the same segments: `centred` and `predicted`, and both again after tuning."""
    with torch.inference_mode():
        frozen = heard.embedded(Tail(network)).numpy()
    tuning = Tuning(network, heard, n_epochs)
    return run_trial(
        replace(course, moments=replace(course.moments, vectors=frozen)),
        ("predicted",),
        further={"tuned": tuning.as_search, "tuned predicted": tuning.as_predicted},
        n_seeds=n_seeds,
        has_second_split=False,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune, test, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="data folder of MESS, as for its own commands")
    parser.add_argument("--library", required=True)
    parser.add_argument("--from", dest="source", choices=SOURCES, default="ratings", help="what teaches")
    parser.add_argument("--epochs", type=int, default=3, metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--segments", type=int, default=N_SEGMENTS, metavar="N", help="of a recording, evenly chosen")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(arguments)
    scope = scope_of(Workspace(options.home), options.library, "nano")
    course = gather(scope, options.source).course
    if course.moments.ids != course.moments.recordings:
        raise InputError("Tuning takes whole recordings, and here passages are taught.", "Choose another teacher.")
    nano = Nano.load()
    heard = hear(nano.network, list(log_mels_of(scope, course.moments.recordings, nano, options.segments)))
    result = try_tuning(course, nano.network, heard, options.epochs, options.seeds)
    print("\n".join(learn_table(result)))
    if options.json:
        write_atomically(options.json, json.dumps([asdict(each) for each in result.figures], indent=1).encode())


if __name__ == "__main__":
    main()
