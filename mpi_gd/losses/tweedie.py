"""The Tweedie families: V(mean) = mean^power.

B. Jorgensen, The Theory of Dispersion Models, Chapman and Hall 1997, chapter 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.losses.densities import (
    gamma_log,
    inverse_gaussian_log,
    normal_log,
    poisson_log,
    times_weight,
)
from mpi_gd.losses.family import Family
from mpi_gd.losses.loss import Booleans, Floats, Weight
from mpi_gd.losses.tweedie_series import compound_poisson_log

__all__ = ["Tweedie"]


@dataclass(frozen=True)
class Tweedie(Family):
    """loss(y, z) = mean^(2-p) / (2-p) - y mean^(1-p) / (1-p), p = power; V(mean) = mean^p.

    For p = 1 and p = 2 the loss of the Poisson and of the gamma family.
    """

    power: float = 1.5
    """p: between 1 and 2 for sums of a Poisson number of gamma amounts, which may be 0 (claims,
    rain); above 2 for positive numbers with heavier tails than gamma's; 0 or less for any number
    with a positive mean. There is none between 0 and 1."""
    link: Literal["log", "identity"] = "log"
    """How the mean depends on z. With "identity" z must be positive for every row."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.power) or 0 < self.power < 1:
            raise ValueError(
                f"power must be 0 or less, or 1 or more (there is no such law between), "
                f"got {self.power}"
            )

    @property
    def expected(self) -> str:  # type: ignore[override]
        """Which responses are valid: it depends on the power."""
        if self.power >= 2:
            return f"a positive number (power = {self.power:g})"
        return "a number of 0 or more" if self.power >= 1 else "a finite number"

    @property
    def is_convex(self) -> bool:
        """Whether the loss is convex in z, for any valid y."""
        return 1 <= self.power <= 2 if self.link == "log" else self.power in (0, 1)

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are not finite, negative (1 <= p) or not positive (2 <= p)."""
        valid = np.isfinite(y)
        if self.power >= 1:
            valid &= y > 0 if self.power >= 2 else y >= 0
        return ~valid

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the loss, with the derivative mean^(2-p) - y mean^(1-p); or the other link's."""
        p = self.power
        if self.link != "log":
            return super().rows(z, target)
        if 1 < p < 2:
            # Two positive terms; 0 times infinity is 0 where y is 0.
            first, second = np.exp((2 - p) * z), np.exp((1 - p) * z)
            second *= target
            np.copyto(second, 0.0, where=target == 0)
            np.subtract(first, second, out=z)
            return first / (2 - p) + second / (p - 1)
        # Of two powers that may both be infinite the larger is taken out.
        if p >= 2:
            first, ratio = np.exp((2 - p) * z), np.exp(-z) * target
            losses = z + ratio if p == 2 else first * (1 / (2 - p) - ratio / (1 - p))
            np.multiply(first, 1.0 - ratio, out=z)
            return losses
        mean, second = np.exp(z), np.exp((1 - p) * z)
        losses = mean - target * z if p == 1 else second * (mean / (2 - p) - target / (1 - p))
        np.multiply(second, mean - target, out=z)
        return losses

    def of_mean(self, mean: Floats, y: Floats) -> Floats:
        """Return mean^(2-p) / (2-p) - y mean^(1-p) / (1-p)."""
        p = self.power
        if p == 1:
            return mean - y * np.log(mean)
        if p == 2:
            return y / mean + np.log(mean)
        power = np.power(mean, 1 - p)
        return power * (mean / (2 - p) - y / (1 - p))

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return (2-p) mean^(2-p) + (p-1) y mean^(1-p) where that is convex, else `fisher`."""
        p = self.power
        if not self.is_convex:
            return self.fisher(z, target)
        with np.errstate(all="ignore"):
            if self.link == "identity":
                return np.ones(len(z)) if p == 0 else target / np.square(z)
            second = target * np.exp((1 - p) * z)
            np.copyto(second, 0.0, where=target == 0)
            return (2 - p) * np.exp((2 - p) * z) + (p - 1) * second

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return mean^(2-p), or mean^-p with the identity link."""
        with np.errstate(all="ignore"):
            if self.link == "log":
                return np.asarray(np.exp((2 - self.power) * z))
            return np.asarray(np.power(z, -self.power))

    def variance(self, mean: Floats) -> Floats:
        """Return mean^p."""
        return np.asarray(np.power(mean, self.power))

    def least(self, target: Floats) -> Floats:
        """Return the loss at mean = y, or at mean = 0 where y is not positive."""
        p = self.power
        y = np.maximum(target, 0.0)
        if p == 1:
            return np.asarray(y - y * np.log(np.where(y > 0, y, 1.0)))
        if p == 2:
            return 1.0 + np.log(y)
        return np.asarray(np.power(y, 2 - p) / ((2 - p) * (p - 1)))

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats | None:
        """Return weight times the log density; None for powers of which it is not computed.

        Those are the powers below 0, between 2 and 3 and above 3: their series alternate in sign
        and lose all digits. Power 1 with a dispersion other than 1 has no density at all.
        """
        if self.power == 0:
            return times_weight(normal_log(y, mean, dispersion), weight)
        if self.power == 1 and dispersion == 1:
            return times_weight(poisson_log(y, mean), weight)
        if 1 < self.power < 2:
            return times_weight(compound_poisson_log(y, mean, dispersion, self.power), weight)
        if self.power == 2:
            return times_weight(gamma_log(y, mean, dispersion), weight)
        if self.power == 3:
            return times_weight(inverse_gaussian_log(y, mean, dispersion), weight)
        return None
