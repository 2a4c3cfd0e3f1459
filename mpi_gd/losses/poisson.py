"""The Poisson family: counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.losses.densities import poisson_log, times_weight
from mpi_gd.losses.family import Family
from mpi_gd.losses.loss import Booleans, Floats, Weight

__all__ = ["Poisson"]


@dataclass(frozen=True)
class Poisson(Family):
    """loss(y, z) = mean - y log(mean), for y of 0 or more; V(mean) = mean."""

    link: Literal["log", "identity", "sqrt"] = "log"
    """How the mean depends on z. With "identity" and "sqrt" z must be positive for every row."""

    expected = "a number of 0 or more"
    dispersion = 1.0

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are negative or not finite."""
        return ~((y >= 0) & np.isfinite(y))

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return e^z - y z, with the derivative e^z - y; or that of another link."""
        if self.link != "log":
            return super().rows(z, target)
        mean = np.exp(z)
        z *= target
        losses = mean - z
        np.subtract(mean, target, out=z)
        return losses

    def of_mean(self, mean: Floats, y: Floats) -> Floats:
        """Return mean - y log(mean)."""
        return mean - y * np.log(mean)

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return e^z, y / z^2 (identity) or 2 + 2 y / z^2 (sqrt)."""
        with np.errstate(all="ignore"):
            if self.link == "log":
                return np.asarray(np.exp(z))
            bend = target / np.square(z)
            return bend if self.link == "identity" else 2.0 + 2.0 * bend

    def variance(self, mean: Floats) -> Floats:
        """Return the mean."""
        return mean

    def least(self, target: Floats) -> Floats:
        """Return y - y log(y)."""
        return target - target * np.log(np.where(target > 0, target, 1.0))

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return weight times the log of the Poisson probability (the gamma function for y!)."""
        return times_weight(poisson_log(y, mean), weight)
