"""Lessons: what can be asked of a layer, one loss each.

A lesson reads one layer through one small linear head, frame by frame or of the mean over frames, so that what it asks
for must be there, nearly linear, for a probe to find. Which layers are asked is in `teachers.py`.

    frames   (n, T, 192) -> head                         loudness, families, drums, velocity, beat, chord, pitches
    pooled   mean over frames (n, 192) -> head           envelope, density, height, touch, articulation, tempo, key
    pairs    pooled -> 128 numbers on the unit sphere    the same recording; the same music in another timbre
    alike    mean over frames itself, centred cosine     of how crops sound; of the notes they hold

What a layer merely holds, a probe finds; what search finds is what its numbers are mostly made of. So the last kind has
no head: crops must be as alike in the layer, by the very measure of search, as their envelopes are, or their notes.

The masked log-mel and the envelope need no labels: a fifth of the time is hidden and must be told from the rest.

Source
------
Contrast: van den Oord et al. (2018), eq. 4, with several positives as in Khosla et al. (2020), eq. 2. Alikeness: Tung &
Mori (2019), similarity-preserving distillation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.batches import Batch
from training.labels import N_KEYS

TEMPERATURE = 0.1
RARE_ACTIVE, RARE_ONSET, RARE_DRUM = 4.0, 12.0, 6.0  # weight of what is there over what is not
MOVEMENT = 3.0  # weight of how bands move over how loud they are, in what is alike in sound


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher sees of one layer; T frames, n crops.

    layer : (n, T, 192) float32
    head : the teacher's own, at this layer
    batch : the labels
    mel : (n, 251, 128), the standardised log-mel before anything was hidden
    masked : (n, T) bool, the frames that were hidden
    """

    layer: torch.Tensor
    head: nn.Module
    batch: Batch
    mel: torch.Tensor
    masked: torch.Tensor

    @property
    def frames(self) -> torch.Tensor:
        """What the head says frame by frame, (n, T, n_outputs)."""
        told: torch.Tensor = self.head(self.layer)
        return told

    @property
    def pooled(self) -> torch.Tensor:
        """What the head says of the mean over frames, (n, n_outputs)."""
        told: torch.Tensor = self.head(self.layer.mean(1))
        return told


# --- sound ----------------------------------------------------------------------------------------------------


def envelope(lesson: Lesson) -> torch.Tensor:
    """How loud each band is, how much it varies, how fast: what the sound is made of."""
    return F.mse_loss(lesson.pooled, _envelopes(lesson.mel))


def alike_in_sound(lesson: Lesson) -> torch.Tensor:
    """Which crops are alike in their envelopes, and how much."""
    return F.mse_loss(_cosines(lesson.layer.mean(1)), _cosines(_envelopes(lesson.mel)))


def loudness(lesson: Lesson) -> torch.Tensor:
    """The level of each frame against the mean of the crop, in steps of 10 dB."""
    return F.smooth_l1_loss(
        lesson.frames[..., 0], (lesson.batch.loudness - lesson.batch.loudness.mean(1, keepdim=True)) / 10
    )


def recording(lesson: Lesson) -> torch.Tensor:
    """Another moment of the same recording, not the same music in another timbre."""
    same = lesson.batch.recording[:, None] == lesson.batch.recording
    return _contrast(lesson.pooled, same, torch.ones_like(same))


# --- playing --------------------------------------------------------------------------------------------------


def families(lesson: Lesson) -> torch.Tensor:
    """Which families of instruments sound."""
    return F.binary_cross_entropy_with_logits(lesson.frames, lesson.batch.families)


def drums(lesson: Lesson) -> torch.Tensor:
    """Where kick, snare and hat are struck."""
    return _rare(lesson.frames, lesson.batch.drums, RARE_DRUM)


def velocity(lesson: Lesson) -> torch.Tensor:
    """How hard keys are struck, where they are; by brightness, for the level of a crop means nothing."""
    return _regression(lesson.frames[..., 0], (lesson.batch.velocity - 64) / 32)


def density(lesson: Lesson) -> torch.Tensor:
    """How many notes begin in the crop, in octaves."""
    return _regression(lesson.pooled[:, 0], torch.log2(1 + _n_notes(lesson.batch)) - 4)


def height(lesson: Lesson) -> torch.Tensor:
    """Mean pitch of the notes that begin, in octaves around the middle of the keyboard."""
    keys = torch.arange(N_KEYS, device=lesson.layer.device, dtype=torch.float32) / 12 - N_KEYS / 24
    return _regression(lesson.pooled[:, 0], (lesson.batch.onsets.sum(1) @ keys) / _n_notes(lesson.batch))


def touch(lesson: Lesson) -> torch.Tensor:
    """How hard keys are struck, mean over the crop."""
    return _regression(lesson.pooled[:, 0], (lesson.batch.velocity.nanmean(1) - 64) / 32)


def articulation(lesson: Lesson) -> torch.Tensor:
    """How long keys are held, mean over the crop."""
    return _regression(lesson.pooled[:, 0], 2 * lesson.batch.articulation.nanmean(1) - 1.5)


def beat(lesson: Lesson) -> torch.Tensor:
    """Where in the beat a frame lies."""
    return _regression(lesson.frames, _circle(lesson.batch.beat))


def tempo(lesson: Lesson) -> torch.Tensor:
    """Tempo up to octaves, which even listeners confuse."""
    return _regression(lesson.pooled, _circle(torch.log2(lesson.batch.tempo_bpm)))


# --- music ----------------------------------------------------------------------------------------------------


def chord(lesson: Lesson) -> torch.Tensor:
    """The triad around each frame."""
    return F.cross_entropy(lesson.frames.flatten(0, 1), lesson.batch.chord.flatten())


def key(lesson: Lesson) -> torch.Tensor:
    """Tonic and mode of the piece."""
    return F.cross_entropy(lesson.pooled, lesson.batch.key)


def mode(lesson: Lesson) -> torch.Tensor:
    """Whether the piece is in minor."""
    return F.binary_cross_entropy_with_logits(lesson.pooled[:, 0], (lesson.batch.key >= 12).float())


def alike_in_notes(lesson: Lesson) -> torch.Tensor:
    """Which crops hold the same pitches for as long and as often, and how much."""
    shares = [F.normalize(notes.sum(1), p=1, dim=1).sqrt() for notes in (lesson.batch.active, lesson.batch.onsets)]
    return F.mse_loss(_cosines(lesson.layer.mean(1)), _cosines(torch.cat(shares, dim=1)))


def music(lesson: Lesson) -> torch.Tensor:
    """The same music in another timbre, not another moment of the same recording."""
    other_recording = lesson.batch.recording[:, None] != lesson.batch.recording
    same = (lesson.batch.music[:, None] == lesson.batch.music) & other_recording
    return _contrast(lesson.pooled, same, other_recording)


def active(lesson: Lesson) -> torch.Tensor:
    """Which pitches sound."""
    return _rare(lesson.frames, lesson.batch.active, RARE_ACTIVE)


def onsets(lesson: Lesson) -> torch.Tensor:
    """Which pitches begin."""
    return _rare(lesson.frames, lesson.batch.onsets, RARE_ONSET)


def masked(lesson: Lesson) -> torch.Tensor:
    """What the hidden frames held."""
    pairs = F.pad(lesson.mel, (0, 0, 0, 1)).unflatten(1, (-1, 2)).flatten(2)  # two mel frames to each frame
    error = (lesson.frames - pairs).square().mean(2)
    return (error * lesson.masked).sum() / lesson.masked.sum().clamp_min(1)


def _n_notes(batch: Batch) -> torch.Tensor:
    """Notes that begin in each crop, (n,)."""
    return batch.onsets.sum((1, 2))


def _envelopes(mel: torch.Tensor) -> torch.Tensor:
    """Mean of each band over time, its deviation, and that of its steps, (n, 384)."""
    return torch.cat([mel.mean(1), MOVEMENT * mel.std(1), MOVEMENT * mel.diff(dim=1).std(1)], dim=1)


def _cosines(vectors: torch.Tensor) -> torch.Tensor:
    """Centred cosine of every pair, (n, n)."""
    unit = F.normalize(vectors - vectors.mean(0), dim=1)
    return unit @ unit.T


def _circle(turns: torch.Tensor) -> torch.Tensor:
    """Turns as points of the unit circle, one more axis of 2."""
    return torch.stack([torch.cos(2 * torch.pi * turns), torch.sin(2 * torch.pi * turns)], dim=-1)


def _regression(told: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean squared error of what is defined; 0 if nothing is."""
    known = torch.isfinite(true)
    error = (told - true.nan_to_num()).square() * known
    return error.sum() / known.sum().clamp_min(1)


def _rare(logits: torch.Tensor, true: torch.Tensor, weight: float) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, true, pos_weight=logits.new_tensor(weight))


def _contrast(vectors: torch.Tensor, same: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """How far each crop is from naming those of its kind among its candidates, itself never being one."""
    unit = F.normalize(vectors, dim=1)
    others = ~torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    candidates, same = candidates & others, same & others
    logits = (unit @ unit.T / TEMPERATURE).masked_fill(~candidates, -1e4)
    told = F.log_softmax(logits, dim=1)
    return -((told * same).sum(1) / same.sum(1).clamp_min(1)).mean()
