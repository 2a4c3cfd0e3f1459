"""The gamma family: positive numbers of constant relative deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.losses.densities import gamma_log, times_weight
from mpi_gd.losses.family import Family
from mpi_gd.losses.loss import Booleans, Floats, Weight

__all__ = ["Gamma"]


@dataclass(frozen=True)
class Gamma(Family):
    """loss(y, z) = y / mean + log(mean), for positive y; V(mean) = mean^2."""

    link: Literal["log", "inverse", "identity"] = "log"
    """How the mean depends on z. With "inverse" and "identity" z must be positive for every row."""

    expected = "a positive number"

    @property
    def is_convex(self) -> bool:
        """Whether the link is not the identity."""
        return self.link != "identity"

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are not positive or not finite."""
        return ~((y > 0) & np.isfinite(y))

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return y e^-z + z, with the derivative 1 - y e^-z; or that of another link."""
        if self.link != "log":
            return super().rows(z, target)
        ratio = np.negative(z)
        np.exp(ratio, out=ratio)
        ratio *= target
        losses = ratio + z
        np.subtract(1.0, ratio, out=z)
        return losses

    def of_mean(self, mean: Floats, y: Floats) -> Floats:
        """Return y / mean + log(mean)."""
        return y / mean + np.log(mean)

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return y e^-z, 1 / z^2 (inverse), or the expected one (identity): 1 / z^2 too."""
        if self.link != "log":
            return self.fisher(z, target)
        with np.errstate(all="ignore"):
            return target * np.exp(-z)

    def variance(self, mean: Floats) -> Floats:
        """Return mean^2."""
        return np.square(mean)

    def least(self, target: Floats) -> Floats:
        """Return 1 + log(y)."""
        return 1.0 + np.log(target)

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return weight times the log density of shape 1 / dispersion."""
        return times_weight(gamma_log(y, mean, dispersion), weight)
