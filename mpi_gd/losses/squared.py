"""The squared loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.losses.densities import normal_log
from mpi_gd.losses.family import Family
from mpi_gd.losses.loss import Floats, Weight

__all__ = ["Squared"]


@dataclass(frozen=True)
class Squared(Family):
    """loss(y, z) = (mean - y)^2 / 2, for a target that is a number: linear regression.

    It is the Gaussian family: V(mean) = 1.
    """

    link: Literal["identity", "log", "inverse"] = "identity"
    """How the mean depends on z: mean = z, log(mean) = z or 1 / mean = z."""

    lowest_mean = -math.inf

    @property
    def is_convex(self) -> bool:
        """Whether the link is the identity."""
        return self.link == "identity"

    @property
    def curvature(self) -> float:
        """Return 1; no bound with another link than the identity."""
        return 1.0 if self.link == "identity" else math.inf

    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum weight (z - y)^2 / 2; z becomes weight (z - y)."""
        if self.link != "identity":
            return super().sum_and_derivative(z, target, weight)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
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

    def of_mean(self, mean: Floats, y: Floats) -> Floats:
        """Return (mean - y)^2 / 2."""
        return 0.5 * np.square(mean - y)

    def least(self, target: Floats) -> Floats:
        """Return 0."""
        return np.zeros(len(target))

    def start(self, mean: float) -> float:
        """Return z of the mean; of 1 where it has none."""
        return super().start(mean if self.link != "log" or mean > 0 else 1.0)

    def inverse_link(self, z: Floats) -> Floats:
        """Return z, or the mean of another link."""
        return np.asarray(z) if self.link == "identity" else super().inverse_link(z)

    def variance(self, mean: Floats) -> Floats:
        """Return 1."""
        return np.ones(len(mean))

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return the log density of the normal law of variance dispersion / weight."""
        ratio = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        with np.errstate(all="ignore"):
            logs = normal_log(y, mean, dispersion / ratio)
        return np.where(ratio == 0, 0.0, logs)
