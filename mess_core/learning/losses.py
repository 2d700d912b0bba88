"""Losses: what a student is asked for, short and in torch.

    candidate_loss    soft InfoNCE: the softmax over candidates is to be what the teacher says; with equal
                      probability for all positives this is SupCon (Khosla et al. 2020)
    triplet_loss      Bradley & Terry: P(nearer) = σ(β (s_nearer - s_further)), with lapses
    dependence        HSIC: how much of the piece is left in the points (Gretton et al. 2005)

Similarities are those of search: the cosine of two points, or minus their squared distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LAPSES = 0.1  # answers given without listening, half of which are right by chance


def pair_similarities(
    points: torch.Tensor, one: torch.Tensor, other: torch.Tensor, *, is_distance: bool
) -> torch.Tensor:
    """Of points (n, n_out) in some rows with those in other rows; rows of any shape, such as (n, 1) and (n, k)."""
    first, second = points[one], points[other]
    if is_distance:
        return -((first - second) ** 2).sum(-1)
    return (first * second).sum(-1)  # which are unit vectors


def candidate_loss(similarities: torch.Tensor, probability: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a softmax over candidates with the teacher's; all (n, k). Empty rows are left out."""
    import torch

    has_any = probability.sum(1) > 0
    scores = similarities.masked_fill(~mask, -1e9)[has_any]
    loss: torch.Tensor = -(probability[has_any] * torch.log_softmax(scores, 1)).sum(1).mean()
    return loss


def triplet_loss(near: torch.Tensor, far: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Minus the log-likelihood of the answers given similarities times β, (n,) all."""
    import torch

    right = (1 - LAPSES) * torch.sigmoid(near - far) + LAPSES / 2
    loss: torch.Tensor = -(weights * torch.log(right)).sum() / weights.sum()
    return loss


def dependence(points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """HSIC of points (n, n_out) with a label for each, normalised to 0..1 (centred kernel alignment)."""
    import torch

    same = (labels[:, None] == labels).to(points.dtype)
    product = points @ points.T

    def centred(kernel: torch.Tensor) -> torch.Tensor:
        kernel = kernel - kernel.mean(0, keepdim=True)
        return kernel - kernel.mean(1, keepdim=True)

    of_points, of_labels = centred(product), centred(same)
    sizes = torch.linalg.norm(of_points) * torch.linalg.norm(of_labels)
    found: torch.Tensor = (of_points * of_labels).sum() / sizes.clamp_min(1e-12)
    return found
