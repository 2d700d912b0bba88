"""Train MESS-nano: shards in, weights out; may be stopped at any moment and given once more.

    python -m training.train --minutes 60 [--work training/work] [--run first] [--threads 2]

A run is a folder: `config.json`, `checkpoint.pt` (every five minutes), `curves.jsonl` (one line of losses every 20
steps, and of losses on held-out songs every 250), and at the end the weights. Given once more, it goes on from the
checkpoint and writes the same curves and, on the CPU with as many threads, the same weights to the last bit.

The learning rate falls to nothing over the run, so its length must be known: `--minutes` is turned into steps once,
from the speed of the first ones. `--after` begins with what an earlier run had learned.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mess_core.encoders.nano import build_network
from mess_core.errors import ArtefactMismatchError, DataMissingError
from mess_core.storage.files import write_atomically
from training.batches import Batch, Recordings
from training.data import WORK, find_shards
from training.teachers import Heads, hide
from training.weights import export

CHECKPOINT_S = 300.0
CURVE_STEPS, HELD_OUT_STEPS = 20, 250
SKIPPED_STEPS, TIMED_STEPS = 5, 20  # the first ones are slow
NORM_BATCHES = 20
ATTENTION = {  # on a CPU, attention written out is faster to learn through than the fused kind
    "cpu": [SDPBackend.MATH],
    "cuda": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
}
HELD_OUT_SEED, NORM_SEED, MASK_SEED = 1 << 20, 1 << 21, 1 << 22


@dataclass(frozen=True)
class TrainConfig:
    """The numbers of a run. `n_steps` is None until the first steps have been timed."""

    seed: int = 0
    n_steps: int | None = None
    n_music: int = 8  # passages in a batch, four crops of each
    peak_rate: float = 2.0e-3
    last_rate: float = 0.02  # over the peak
    warmup_steps: int = 150
    weight_decay: float = 0.01
    largest_gradient: float = 1.0
    n_held_out: int = 4  # batches
    after: str | None = None  # an earlier run, whose weights this one begins with

    def rate(self, step: int) -> float:
        """Learning rate: up in a line, down in half a cosine."""
        done = min(step / self.n_steps, 1.0) if self.n_steps else 0.0
        fall = self.last_rate + (1 - self.last_rate) * 0.5 * (1 + math.cos(math.pi * done))
        return self.peak_rate * min(1.0, (step + 1) / self.warmup_steps) * fall


class Trainer:
    """A network with its heads, in the middle of a run.

    Parameters
    ----------
    config : TrainConfig
    recordings : Recordings
    device : str, "cpu" or "cuda"
    """

    def __init__(self, config: TrainConfig, recordings: Recordings, device: str = "cpu") -> None:
        self.config, self.recordings, self.device = config, recordings, device
        self.step = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = build_network().requires_grad_(True).to(device)
            self.heads = Heads().to(device)
        self.parameters = [*self.network.parameters(), *self.heads.parameters()]
        self.optimisers = _optimisers(self.network.get_submodule("blocks"), self.parameters, config)
        self.mean, self.std = band_statistics(recordings, config)

    def learn(self) -> dict[str, float]:
        """One step; the losses before it."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.config.rate(self.step)
        batch = self.recordings.draw(self.config.seed, self.step, self.config.n_music, self.device)
        losses = self.losses(batch, self.step)
        total = self.heads.total(losses)
        for parameter in self.parameters:
            parameter.grad = None
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config.largest_gradient)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def losses(self, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        """Losses of a batch, stretches of it hidden."""
        standardised = (batch.log_mel - self.mean.to(self.device)) / self.std.to(self.device)
        seen, masked = hide(standardised, torch.Generator().manual_seed(MASK_SEED * (self.config.seed + 1) + step))
        with torch.autocast(self.device, torch.bfloat16), sdpa_kernel(ATTENTION[self.device]):
            hidden_states = self.network(seen)
        return self.heads.losses(hidden_states, batch, standardised, masked)

    def held_out(self, recordings: Recordings) -> dict[str, float]:
        """Losses on the same few batches of songs that are not learned from."""
        sums: dict[str, float] = {}
        with torch.inference_mode():
            for number in range(self.config.n_held_out):
                batch = recordings.draw(HELD_OUT_SEED, number, self.config.n_music, self.device)
                for name, loss in self.losses(batch, number).items():
                    sums[name] = sums.get(name, 0.0) + float(loss) / self.config.n_held_out
        return sums

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "config": asdict(self.config),
            "step": self.step,
            "network": self.network.state_dict(),
            "heads": self.heads.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "mean": self.mean,
            "std": self.std,
        }

    def follow(self, state: dict[str, Any]) -> None:
        """Begin with what another run had learned at its end; heads that it had not begin anew."""
        self.network.load_state_dict(state["network"])
        self.heads.load_state_dict(state["heads"], strict=False)
        self.mean, self.std = state["mean"], state["std"]

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises
        ------
        ArtefactMismatchError
            If it belongs to a run with other numbers.
        """
        theirs = TrainConfig(**state["config"])
        if replace(theirs, n_steps=None) != replace(self.config, n_steps=None):
            raise ArtefactMismatchError("This run was begun with other numbers.", "Give another --run, or delete it.")
        self.config, self.step = theirs, state["step"]
        self.network.load_state_dict(state["network"])
        self.heads.load_state_dict(state["heads"])
        for optimiser, theirs_so_far in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(theirs_so_far)
        self.mean, self.std = state["mean"], state["std"]


def _optimisers(
    blocks: torch.nn.Module, parameters: Sequence[torch.nn.Parameter], config: TrainConfig
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformer blocks, AdamW for everything else; both understand the same rates."""
    matrices = [parameter for parameter in blocks.parameters() if parameter.ndim == 2]
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in parameters if id(parameter) not in chosen]
    decay = config.weight_decay
    return [
        torch.optim.Muon(matrices, lr=config.peak_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=config.peak_rate, betas=(0.9, 0.98), weight_decay=decay),
    ]


def band_statistics(recordings: Recordings, config: TrainConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each log-mel band as the network will hear it, (128,) each."""
    heard = torch.cat(
        [recordings.draw(NORM_SEED + config.seed, number, config.n_music).log_mel for number in range(NORM_BATCHES)]
    ).flatten(0, 1)
    return heard.mean(0), heard.std(0)


def train(trainer: Trainer, folder: Path, held_out: Recordings | None = None, minutes: float = 60.0) -> None:
    """Run to the end: curves and checkpoints on the way, weights at last.

    Parameters
    ----------
    minutes : float, length of the run where `n_steps` is None; checkpoints and held-out songs included
    """
    checkpoint, curves = folder / "checkpoint.pt", folder / "curves.jsonl"
    if checkpoint.is_file():
        trainer.resume(torch.load(checkpoint, weights_only=True))
    elif trainer.config.after:
        earlier = folder.parent / trainer.config.after / checkpoint.name
        if not earlier.is_file():
            raise DataMissingError(f"There is no run {trainer.config.after!r} to follow.", "Give the name of a run.")
        trainer.follow(torch.load(earlier, weights_only=True))
    write_atomically(folder / "config.json", json.dumps(asdict(trainer.config), indent=1).encode())
    lines = curves.read_text().splitlines() if curves.is_file() else []
    curves.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= trainer.step))
    began_s = saved_s = timed_s = time.perf_counter()
    recent: list[dict[str, float]] = []
    while trainer.config.n_steps is None or trainer.step < trainer.config.n_steps:
        recent.append(trainer.learn())
        now_s = time.perf_counter()
        if trainer.config.n_steps is None and trainer.step == SKIPPED_STEPS:
            timed_s = now_s
        if trainer.config.n_steps is None and trainer.step == SKIPPED_STEPS + TIMED_STEPS:
            left = (minutes * 60 - (now_s - began_s)) / ((now_s - timed_s) / TIMED_STEPS)
            trainer.config = replace(trainer.config, n_steps=trainer.step + max(round(0.97 * left), 1))
            print(f"{trainer.config.n_steps} steps in {minutes:g} minutes", flush=True)
        if trainer.step % CURVE_STEPS == 0:
            _note(curves, trainer.step, "train", {name: _mean_of(recent, name) for name in recent[0]})
            recent = []
        if held_out is not None and (trainer.step % HELD_OUT_STEPS == 0 or trainer.step == trainer.config.n_steps):
            _note(curves, trainer.step, "held-out", trainer.held_out(held_out))
        is_planned = trainer.config.n_steps is not None
        if is_planned and now_s - saved_s > CHECKPOINT_S and trainer.step % CURVE_STEPS == 0:
            save(trainer, checkpoint)
            saved_s = now_s
    save(trainer, checkpoint)
    files = export(trainer.network, trainer.mean.numpy(), trainer.std.numpy(), folder)
    print(f"{trainer.step} steps; {(time.perf_counter() - began_s) / 60:.1f} minutes since it was last begun")
    for file in files:
        print(f'        WeightFile("{file.name}", {file.size_bytes:_}, "{file.sha256}"),')


def save(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint."""
    data = io.BytesIO()
    torch.save(trainer.state(), data)
    write_atomically(path, data.getvalue())


def _mean_of(rows: Sequence[dict[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _note(curves: Path, step: int, kind: str, losses: dict[str, float]) -> None:
    line = {"step": step, "kind": kind} | {name: round(value, 5) for name, value in losses.items()}
    with curves.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(" ".join(f"{name} {value:.3f}" if isinstance(value, float) else str(value) for name, value in line.items()))


def main() -> None:
    """Train on what `training.data` has made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="turned into steps after the first of them")
    parser.add_argument("--steps", type=int, help="instead of minutes: the same run on a machine of another speed")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of shards and runs")
    parser.add_argument("--run", default="first", help="name of the run, a folder in runs/")
    parser.add_argument("--after", help="name of an earlier run whose weights this one begins with")
    parser.add_argument("--peak-rate", type=float, default=TrainConfig.peak_rate, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--n-music", type=int, default=TrainConfig.n_music, help="passages in a batch, 4 crops of each")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recordings = Recordings(find_shards(arguments.work / "shards"))
    held_out = Recordings(find_shards(arguments.work / "held-out"))
    folder = arguments.work / "runs" / arguments.run
    config = TrainConfig(
        arguments.seed,
        arguments.steps,
        n_music=arguments.n_music,
        peak_rate=arguments.peak_rate,
        after=arguments.after,
    )
    trainer = Trainer(config, recordings, device)
    print(f"{len(recordings) * 16 / 3600:.1f} h of recordings, {recordings.n_music} pieces, on {device}", flush=True)
    train(trainer, folder, held_out, arguments.minutes)


if __name__ == "__main__":
    main()
