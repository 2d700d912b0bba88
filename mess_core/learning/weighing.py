"""Weighing: how much each of several ways to hear counts for a listener, as far as the answers so far can tell.

A triplet is (anchor, first, second). In each way k of hearing the two differ by

    x_k = distance(anchor, second) - distance(anchor, first)        above 0: the first is nearer

and a listener who weighs the ways by w >= 0 says "first" with probability

    p = LAPSE / 2 + (1 - LAPSE) sigma(w · x)                        nobody is attentive all the time

Weights have a prior, w ~ half-normal(PRIOR_SD), without which ten answers would make one way infinitely important. The
fit is the most probable w; how sure it is, is the curvature there (Laplace's approximation), and `draws` are weights
that are about as probable. The most telling question is the one on which such draws disagree most while each of them is
sure: the information that its answer is expected to give about the weights (Houlsby et al.'s BALD).

Convention: differences (m, K) are in units of their own spread over triplets drawn by chance, so that weights compare.

Source
------
Houlsby, Huszár, Ghahramani & Lengyel (2011), Bayesian active learning for classification and preference learning,
arXiv 1112.5745; Kuss, Jäkel & Wichmann (2005) for lapses in fits of what people answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAPSE = 0.1  # share of answers that are a guess
PRIOR_SD = 1.0  # of .25 to 3 the best or nearly so, for few and for many ways that count, after 30 to 120 answers
N_DRAWS = 64
NEWTON_STEPS = 200


@dataclass(frozen=True, eq=False)
class Weighing:
    """What is known of a listener's weights.

    weights : (K,) float64, the most probable ones
    covariance : (K, K) of the weights, where they may be below 0 as well
    n_answers : it rests on
    """

    weights: np.ndarray
    covariance: np.ndarray
    n_answers: int

    def probabilities(self, differences: np.ndarray) -> np.ndarray:
        """How probable "first" is, (m,)."""
        return _probability(differences @ self.weights)

    def draws(self, seed: int) -> np.ndarray:
        """Weights that are about as probable, (N_DRAWS, K)."""
        if not len(self.weights):  # of recordings that are all the same; NumPy draws nothing of no dimension
            return np.empty((N_DRAWS, 0))
        rng = np.random.default_rng(seed)
        drawn = rng.multivariate_normal(self.weights, self.covariance, N_DRAWS, method="eigh")
        return np.maximum(drawn, 0.0)

    def information(self, differences: np.ndarray, seed: int) -> np.ndarray:
        """What the answer to each question is expected to tell of the weights, (m,) in bits."""
        probability = _probability(differences @ self.draws(seed).T)
        told: np.ndarray = _entropy(probability.mean(axis=1)) - _entropy(probability).mean(axis=1)
        return told


def weigh(differences: np.ndarray, is_first: np.ndarray) -> Weighing:
    """Fit the weights to answers.

    Parameters
    ----------
    differences : ndarray, shape (n, K)
    is_first : ndarray, shape (n,), bool

    Returns
    -------
    Weighing
        Of no answers: the prior.
    """
    from scipy.optimize import minimize

    n, n_ways = differences.shape
    signed = np.where(is_first, 1.0, -1.0)[:, None] * differences
    precision = np.eye(n_ways) / PRIOR_SD**2

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        sigma = _sigma(signed @ weights)
        right = LAPSE / 2 + (1 - LAPSE) * sigma
        slope = (1 - LAPSE) * sigma * (1 - sigma) / right
        value = -np.log(right).sum() + 0.5 * weights @ precision @ weights
        return float(value), -signed.T @ slope + precision @ weights

    beginning = np.full(n_ways, 1.0 / max(n_ways, 1))
    bounds = [(0.0, None)] * n_ways
    weights = beginning
    if n and n_ways:
        weights = minimize(loss, beginning, jac=True, bounds=bounds, method="L-BFGS-B",
                           options={"maxiter": NEWTON_STEPS}).x  # fmt: skip
    # The expected curvature is positive everywhere; the observed one need not be, with lapses.
    sigma = _sigma(signed @ weights)
    right = LAPSE / 2 + (1 - LAPSE) * sigma
    curvature = ((1 - LAPSE) * sigma * (1 - sigma)) ** 2 / (right * (1 - right))
    information = precision + (signed * curvature[:, None]).T @ signed
    return Weighing(np.asarray(weights), np.linalg.inv(information), n)


def _probability(evidence: np.ndarray) -> np.ndarray:
    found: np.ndarray = LAPSE / 2 + (1 - LAPSE) * _sigma(evidence)
    return found


def _sigma(evidence: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    found: np.ndarray = expit(evidence)
    return found


def _entropy(probability: np.ndarray) -> np.ndarray:
    """Of a yes or no, in bits; probabilities are never 0 or 1 here."""
    found: np.ndarray = -(probability * np.log2(probability) + (1 - probability) * np.log2(1 - probability))
    return found
