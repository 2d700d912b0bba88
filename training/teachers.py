"""Teachers: which layer is asked for what while the network learns. None of them is part of the encoder.

Shallow layers answer for sound, middle ones for playing and instruments, deep ones for the music; what each asks is in
`lessons.py`. What is asked of two layers has a head at each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mess_core.encoders.mel import N_BANDS
from mess_core.encoders.nano import NANO
from training import lessons
from training.batches import Batch
from training.labels import N_CHORDS, N_KEYS
from training.lessons import Lesson
from training.voices import DRUMS, FAMILY_NAMES

SPHERE = 128
MASK_SHARE, MASK_FRAMES = 0.2, 10  # of the time, in stretches of 0.4 s


@dataclass(frozen=True)
class Teacher:
    """A loss, the layers it is asked of, how many numbers its head gives at each, and how much it counts."""

    loss: Callable[[Lesson], torch.Tensor]
    layers: tuple[int, ...]
    n_outputs: int
    weight: float

    @property
    def name(self) -> str:
        return self.loss.__name__


TEACHERS = (
    Teacher(lessons.envelope, (2,), 3 * N_BANDS, 0.5),
    Teacher(lessons.alike_in_sound, (1, 2, 3), 0, 10.0),
    Teacher(lessons.loudness, (3,), 1, 0.3),
    Teacher(lessons.recording, (4,), SPHERE, 0.2),
    Teacher(lessons.families, (4,), len(FAMILY_NAMES), 1.0),
    Teacher(lessons.drums, (5,), len(DRUMS), 1.0),
    Teacher(lessons.velocity, (6, 12), 1, 0.5),
    Teacher(lessons.touch, (3, 6, 11), 1, 1.5),
    Teacher(lessons.density, (4, 8), 1, 0.5),
    Teacher(lessons.height, (4, 8), 1, 0.5),
    Teacher(lessons.articulation, (5, 7), 1, 1.0),
    Teacher(lessons.beat, (8,), 2, 0.2),
    Teacher(lessons.tempo, (8, 10), 2, 0.3),
    Teacher(lessons.chord, (9,), N_CHORDS, 0.2),
    Teacher(lessons.key, (10,), 24, 0.2),
    Teacher(lessons.mode, (10,), 1, 0.5),
    Teacher(lessons.music, (7, 9, 11), SPHERE, 0.3),
    Teacher(lessons.alike_in_notes, (5, 6, 7, 8, 9, 10, 11, 12), 0, 20.0),
    Teacher(lessons.active, (6, 9, 12), N_KEYS, 2.0),
    Teacher(lessons.onsets, (6, 9, 12), N_KEYS, 2.0),
    Teacher(lessons.masked, (12,), 2 * N_BANDS, 0.3),
)


class Heads(nn.Module):
    """One small head per teacher and layer, and the losses.

    Parameters
    ----------
    teachers : tuple of Teacher
    """

    def __init__(self, teachers: tuple[Teacher, ...] = TEACHERS) -> None:
        super().__init__()
        self.teachers = teachers
        self.heads = nn.ModuleDict(
            {f"{teacher.name}-{layer}": _head(teacher.n_outputs) for teacher in teachers for layer in teacher.layers}
        )

    def losses(
        self, hidden_states: list[torch.Tensor], batch: Batch, mel: torch.Tensor, masked: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Loss of each teacher, unweighted, mean over its layers.

        Parameters
        ----------
        hidden_states : list of Tensor, each (n, T, 192)
        batch, mel, masked : as in `Lesson`
        """

        def loss_at(teacher: Teacher, layer: int) -> torch.Tensor:
            head = self.heads[f"{teacher.name}-{layer}"]
            return teacher.loss(Lesson(hidden_states[layer].float(), head, batch, mel, masked))

        return {
            teacher.name: torch.stack([loss_at(teacher, layer) for layer in teacher.layers]).mean()
            for teacher in self.teachers
        }

    def total(self, losses: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([teacher.weight * losses[teacher.name] for teacher in self.teachers]).sum()


def _head(n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(NANO.dim), nn.Linear(NANO.dim, n_outputs)) if n_outputs else nn.Identity()


def hide(standardised: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-mel with stretches of time set to its mean, and which frames those are: (n, 251, 128), (n, T) bool."""
    n, n_mel_frames, _ = standardised.shape
    begins = torch.rand(n, (n_mel_frames + 1) // 2, generator=generator) < MASK_SHARE / MASK_FRAMES
    masked = begins.clone()
    for delay in range(1, MASK_FRAMES):
        masked[:, delay:] |= begins[:, :-delay]
    masked = masked.to(standardised.device)
    hidden = masked.repeat_interleave(2, dim=1)[:, :n_mel_frames, None]
    return standardised.masked_fill(hidden, 0.0), masked
