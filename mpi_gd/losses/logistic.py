"""The logistic loss of two classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Booleans, Floats, Likelihood, Weight

__all__ = ["Logistic"]

# So many factors 1 + e^u are multiplied before one logarithm is taken of them all.
_FACTORS = 16
# Below this mean loss 1 + e^u rounds away too much of e^u: log1p keeps it.
_SMALL_MEAN = 1e-3


@dataclass(frozen=True)
class Logistic(Likelihood):
    """loss(y, z) = log(1 + e^-(s z)), s = 1 for the second label (y = 1), -1 for the first.

    The kernel's target is -s, so that u = target * z, the loss is log(1 + e^u) and its derivative
    target * e^u / (1 + e^u).
    """

    task = "two classes"
    expected = "0 or 1"
    has_probabilities = True
    dispersion = 1.0
    curvature = 0.25

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are neither 0 nor 1."""
        return np.asarray((y != 0) & (y != 1))

    def encode(self, y: Floats) -> Floats:
        """Return 1 for y = 0 and -1 for y = 1."""
        y = np.asarray(y, dtype=np.float64)
        bad = np.flatnonzero(self.invalid(y))
        if bad.size:
            raise ValueError(f"got the label {y[bad[0]]} in place {bad[0]}, expected 0 or 1")
        return 1.0 - 2.0 * y

    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum weight log(1 + e^u); z becomes weight target e^u / (1 + e^u)."""
        u = np.multiply(z, target, out=z)
        with np.errstate(over="ignore", invalid="ignore"):
            total = self._fast(u, target, weight)
            # Not finite: e^u has overflowed somewhere, or u, which is still there, is NaN.
            return total if math.isfinite(total) else self._careful(u, target, weight)

    def _fast(self, u: Floats, target: Floats, weight: Weight | None) -> float:
        """Do it for u of usual size; leave u as it is where the sum is not finite."""
        e = np.exp(u)
        if weight is not None and weight.dtype == bool:
            # e = 0 makes both the loss, log(1 + e), and its derivative zero.
            np.multiply(e, weight, out=e)
            weight = None
        p = e + 1.0
        total = _sum_of_losses(e, p, weight)
        if math.isfinite(total):
            np.divide(e, p, out=u)
            np.multiply(u, target, out=u)
            if weight is not None:
                np.multiply(u, weight, out=u)
        return total

    def _careful(self, u: Floats, target: Floats, weight: Weight | None) -> float:
        """Do the same for any u; e = e^-|u| never overflows. u is overwritten."""
        e = np.exp(-np.abs(u))
        # log(1 + e^u) = max(u, 0) + log(1 + e^-|u|)
        losses = np.maximum(u, 0.0) + np.log1p(e)
        derivative = np.where(u > 0, 1.0, e) / (1.0 + e) * target
        if weight is not None:
            losses *= weight
            derivative *= weight
            # 0 times infinity or NaN is NaN.
            losses[weight == 0] = derivative[weight == 0] = 0.0
        np.copyto(u, derivative)
        return float(losses.sum())

    def inverse_link(self, z: Floats) -> Floats:
        """Return the probability of the second label, 1 / (1 + e^-z)."""
        e = np.exp(-np.abs(z))
        return np.asarray(np.where(z >= 0, 1.0, e) / (1.0 + e))

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return p (1 - p), p the probability of either label."""
        e = np.exp(-np.abs(z))
        return np.asarray(e / np.square(1.0 + e))

    def start(self, mean: float) -> float:
        """Return log(mean / (1 - mean)), of a mean that is moved off 0 and 1 by 1e-10."""
        mean = min(max(mean, 1e-10), 1 - 1e-10)
        return math.log(mean) - math.log1p(-mean)

    def variance(self, mean: Floats) -> Floats:
        """Return mean (1 - mean)."""
        return mean * (1.0 - mean)

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return weight log p, p the probability of the row's label."""
        w = 1.0 if weight is None else np.asarray(weight, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = w * np.where(y == 1, np.log(mean), np.log1p(-mean))
        return np.where(w == 0, 0.0, logs)


def _sum_of_losses(e: Floats, p: Floats, weight: Weight | None) -> float:
    """Return sum weight log(p), p = 1 + e: the logarithm of products, which costs a fifth."""
    whole = e.size - e.size % _FACTORS
    if weight is not None or not whole:
        losses = np.log1p(e)
        return float(np.add.reduce(losses) if weight is None else np.dot(losses, weight))
    products = np.multiply.reduce(p[:whole].reshape(_FACTORS, -1), axis=0)
    np.log(products, out=products)
    total = float(np.add.reduce(products))
    if not total > _SMALL_MEAN * whole:
        return float(np.add.reduce(np.log1p(e)))
    return total + float(np.add.reduce(np.log1p(e[whole:]))) if whole < e.size else total
