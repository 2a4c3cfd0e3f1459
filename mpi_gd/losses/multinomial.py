"""The multinomial loss of K classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.losses.loss import Booleans, Floats, Likelihood, Weight
from mpi_gd.losses.rowwise import weighted_sum

__all__ = ["Multinomial"]

# Sums of up to 10,000 such exponentials are finite.
_LARGEST = 690.0


@dataclass(frozen=True)
class Multinomial(Likelihood):
    """loss(y, z) = log sum_k e^(z_k) - z_y, for z (n, K) and y a class 0, ..., K - 1.

    The parametrisation is symmetric: each class has coefficients of its own, and adding the same
    vector to all of them changes nothing. (For K = 2 the difference of the two is the logistic
    loss's.) p_k = e^(z_k) / sum_l e^(z_l).
    """

    task = "classes"
    expected = "a class, numbered from 0"
    has_probabilities = True
    dispersion = 1.0
    # The largest eigenvalue of diag(p) - p p', at p = (1/2, 1/2).
    curvature = 0.5

    def n_outputs(self, n_classes: int) -> int:
        """Return the number of classes."""
        return n_classes

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are no whole number of 0 or more."""
        with np.errstate(invalid="ignore"):
            return np.asarray(~((y >= 0) & np.isfinite(y) & (y == np.floor(y))))

    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum weight (log sum_k e^(z_k) - z_y); z (n, K) becomes weight (p - [k = y])."""
        rows = np.arange(len(z))
        with np.errstate(all="ignore"):
            counts = None if weight is None else weight != 0
            known = target if counts is None else np.where(counts, target, 0.0)
            own = rows, known.astype(np.intp)
            # All in relation to the row's own class, so that small losses keep their digits.
            z -= z[own][:, np.newaxis]
            # NaN compares as large.
            is_large = z.size > 0 and not z.max() <= _LARGEST
            losses = _careful(z, own) if is_large else _fast(z, own)
            if weight is None or counts is None:
                return weighted_sum(losses, losses[:0], None)
            z *= weight[:, np.newaxis]
            z[~counts] = 0.0
            return weighted_sum(losses, np.zeros(len(losses)), weight)

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return diag(p) - p p' of each row, (n, K, K)."""
        p = self.inverse_link(z)
        hessian = -p[:, :, np.newaxis] * p[:, np.newaxis, :]
        k = np.arange(z.shape[1])
        # p_k (1 - p_k) as the sum over the others, which keeps the digits where p_k is near 1.
        hessian[:, k, k] = 0.0
        hessian[:, k, k] = -hessian.sum(axis=2)
        return hessian

    def bend(self, z: Floats, target: Floats, along: Floats) -> Floats:
        """Return (diag(p) - p p') times `along` of each row, (n, K)."""
        p = self.inverse_link(z)
        mean = np.add.reduce(p * along, axis=1)
        return np.asarray(p * (along - mean[:, np.newaxis]))

    def inverse_link(self, z: Floats) -> Floats:
        """Return the probabilities (n, K)."""
        if not z.size:
            return np.zeros(z.shape)
        with np.errstate(under="ignore"):
            p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return np.asarray(p)

    def variance(self, mean: Floats) -> Floats:
        """Return p (1 - p), (n, K)."""
        return mean * (1.0 - mean)

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return weight log p_y, for the probabilities `mean` (n, K)."""
        w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        own = np.where(w != 0, y, 0.0).astype(np.intp)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = w * np.log(mean[np.arange(len(y)), own])
        return np.where(w == 0, 0.0, logs)


def _fast(z: Floats, own: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    """Return the losses log(1 + sum of e^(z_k) over the others), z being relative to z_y."""
    np.exp(z, out=z)
    z[own] = 0.0
    others = z @ np.ones(z.shape[1])
    scale = 1.0 / (1.0 + others)
    z *= scale[:, np.newaxis]
    z[own] = -others * scale
    return np.asarray(np.log1p(others))


def _careful(z: Floats, own: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    """Return the same where e^(z_k) would overflow: relative to the largest."""
    largest = z.max(axis=1)
    z -= largest[:, np.newaxis]
    np.exp(z, out=z)
    # Of a largest one that is the own class the others' sum keeps its digits.
    is_own = largest == 0
    z[own] = np.where(is_own, 0.0, z[own])
    others = z.sum(axis=1)
    total = np.where(is_own, 1.0 + others, others)
    z /= total[:, np.newaxis]
    z[own] = np.where(is_own, -others / total, z[own] - 1.0)
    return np.asarray(largest + np.where(is_own, np.log1p(others), np.log(others)))
