"""The logistic loss of two classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.links import PROBABILITY_LINKS
from mpi_gd.losses.loss import Booleans, Floats, Likelihood, Weight
from mpi_gd.losses.rowwise import weighted_sum
from mpi_gd.losses.two_classes import fisher_information, probability, start_of_share

__all__ = ["Logistic"]

# So many factors 1 + e^u are multiplied before one logarithm is taken of them all.
_FACTORS = 16
# Below this mean loss 1 + e^u rounds away too much of e^u: log1p keeps it.
_SMALL_MEAN = 1e-3


@dataclass(frozen=True)
class Logistic(Likelihood):
    """loss(y, z) = -log p for the second label (y = 1), -log(1 - p) for the first.

    With the logit link it is log(1 + e^-(s z)), s = 1 for the second label, -1 for the first. The
    kernel's target is -s, so that u = target * z, the loss is log(1 + e^u) and its derivative
    target * e^u / (1 + e^u).
    """

    link: Literal["logit", "probit", "cloglog"] = "logit"
    """How the probability p of the second label depends on z."""

    task = "two classes"
    expected = "0 or 1"
    has_probabilities = True
    dispersion = 1.0

    @property
    def curvature(self) -> float:
        """Return 1/4, 1, or no bound with "cloglog"."""
        return {"logit": 0.25, "probit": 1.0}.get(self.link, math.inf)

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
        if self.link != "logit":
            return self._linked(z, target, weight)
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

    def _linked(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Do the same with another link than logit."""
        with np.errstate(all="ignore"):
            second, first, up, down = PROBABILITY_LINKS[self.link].costs_and_slopes(z)
            is_second = target < 0
            np.copyto(z, np.where(is_second, -up, down))
            return weighted_sum(np.where(is_second, second, first), z, weight)

    def inverse_link(self, z: Floats) -> Floats:
        """Return the probability of the second label, 1 / (1 + e^-z) with the logit link."""
        if self.link != "logit":
            return probability(self.link, z)
        e = np.exp(-np.abs(z))
        return np.asarray(np.where(z >= 0, 1.0, e) / (1.0 + e))

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return p (1 - p), or that of another link."""
        with np.errstate(all="ignore"):
            second, first = PROBABILITY_LINKS[self.link].bends(z)
        return np.where(target < 0, second, first)

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return p'^2 / (p (1 - p))."""
        return fisher_information(self.link, z)

    def start(self, mean: float) -> float:
        """Return z of the second label's share, that is moved off 0 and 1 by 1e-10."""
        return start_of_share(self.link, mean)

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
