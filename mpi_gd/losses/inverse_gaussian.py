"""The inverse Gaussian family: positive numbers with a long tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.losses.densities import inverse_gaussian_log, times_weight
from mpi_gd.losses.family import Family
from mpi_gd.losses.loss import Booleans, Floats, Weight

__all__ = ["InverseGaussian"]


@dataclass(frozen=True)
class InverseGaussian(Family):
    """loss(y, z) = y / (2 mean^2) - 1 / mean, for positive y; V(mean) = mean^3."""

    link: Literal["log", "inverse-squared", "identity"] = "log"
    """How the mean depends on z. With the others than "log" z must be positive for every row;
    "inverse-squared" is R's default, 1/mu^2, the only one for which the loss is convex in z."""

    expected = "a positive number"

    @property
    def is_convex(self) -> bool:
        """Whether the link is the canonical one."""
        return self.link == "inverse-squared"

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are not positive or not finite."""
        return ~((y > 0) & np.isfinite(y))

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return e^-z (y e^-z / 2 - 1); z becomes e^-z (1 - y e^-z). Or another link's."""
        if self.link != "log":
            return super().rows(z, target)
        inverse = np.negative(z)
        np.exp(inverse, out=inverse)
        ratio = inverse * target
        np.subtract(1.0, ratio, out=z)
        z *= inverse
        ratio *= 0.5
        ratio -= 1.0
        ratio *= inverse
        return ratio

    def of_mean(self, mean: Floats, y: Floats) -> Floats:
        """Return (y / (2 mean) - 1) / mean."""
        return (0.5 * y / mean - 1.0) / mean

    def variance(self, mean: Floats) -> Floats:
        """Return mean^3."""
        return mean * mean * mean

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return e^-z, or what the link makes of 1 / V."""
        with np.errstate(all="ignore"):
            if self.link == "log":
                return np.asarray(np.exp(-z))
            if self.link == "identity":
                return 1.0 / self.variance(z)
            return 0.25 / (z * np.sqrt(z))

    def least(self, target: Floats) -> Floats:
        """Return -1 / (2 y)."""
        return -0.5 / target

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return weight times the log density of variance dispersion mean^3."""
        return times_weight(inverse_gaussian_log(y, mean, dispersion), weight)
