"""The squared loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats, Likelihood, Weight

__all__ = ["Squared"]


@dataclass(frozen=True)
class Squared(Likelihood):
    """loss(y, z) = (z - y)^2 / 2, for a target that is a number: linear regression."""

    curvature = 1.0

    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum weight (z - y)^2 / 2; z becomes weight (z - y)."""
        np.subtract(z, target, out=z)
        residual = z
        if weight is not None:
            if weight.dtype != bool:
                residual = z.copy()
            np.multiply(z, weight, out=z)
        total = float(np.dot(residual, z))
        if weight is not None and not math.isfinite(total):
            # 0 times infinity or NaN is NaN: take the rows out that do not count.
            residual[weight == 0] = z[weight == 0] = 0.0
            total = float(np.dot(residual, z))
        return 0.5 * total

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return 1."""
        return np.ones(len(z))

    def inverse_link(self, z: Floats) -> Floats:
        """Return z: the identity."""
        return np.asarray(z)

    def start(self, mean: float) -> float:
        """Return the mean."""
        return mean

    def variance(self, mean: Floats) -> Floats:
        """Return 1."""
        return np.ones(len(mean))

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return the log density of the normal law of variance dispersion / weight."""
        w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = w / dispersion
            logs = 0.5 * (np.log(ratio / (2 * math.pi)) - ratio * np.square(y - mean))
        return np.where(w == 0, 0.0, logs)
