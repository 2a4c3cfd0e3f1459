"""The negative binomial family: counts that scatter more than Poisson's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.densities import negative_binomial_log, times_weight
from mpi_gd.losses.loss import Booleans, Floats, Likelihood, Weight
from mpi_gd.losses.rowwise import Rowwise

__all__ = ["NegativeBinomial"]


@dataclass(frozen=True)
class NegativeBinomial(Rowwise, Likelihood):
    """loss(y, z) = (y + theta) log(1 + mean / theta) - y log(mean), mean = e^z, y of 0 or more.

    V(mean) = mean + mean^2 / theta (NB2). With u = z - log(theta) the loss is
    theta log(1 + e^u) + y log(1 + e^-u) - y log(theta), of which no terms cancel.
    """

    theta: float = 1.0
    """The shape of the gamma law that mixes Poisson means, positive and fixed: `theta` of R's
    MASS::negative.binomial, `size` of dnbinom, 1 / alpha of statsmodels."""

    link = "log"
    expected = "a number of 0 or more"
    dispersion = 1.0
    curvature = math.inf

    def __post_init__(self) -> None:
        if not 0 < self.theta < math.inf:
            raise ValueError(f"theta must be a positive finite number, got {self.theta}")

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are negative or not finite."""
        return ~((y >= 0) & np.isfinite(y))

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the loss, with the derivative theta s(u) - y s(-u), s(u) = 1 / (1 + e^-u)."""
        u = z - math.log(self.theta)
        e, up, down = self._shares(u)
        losses = (target + self.theta) * np.log1p(e)
        losses += self.theta * np.maximum(u, 0.0) + target * np.maximum(-u, 0.0)
        losses -= target * math.log(self.theta)
        np.multiply(self.theta, up, out=z)
        down *= target
        z -= down
        return losses

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return (theta + y) s(u) s(-u)."""
        _, up, down = self._shares(z - math.log(self.theta))
        return (self.theta + target) * up * down

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return mean / (1 + mean / theta) = theta s(u)."""
        return self.theta * self._shares(z - math.log(self.theta))[1]

    def inverse_link(self, z: Floats) -> Floats:
        """Return e^z."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.exp(z))

    def start(self, mean: float) -> float:
        """Return log(mean); 0 if that is none."""
        return math.log(mean) if 0 < mean < math.inf else 0.0

    def variance(self, mean: Floats) -> Floats:
        """Return mean + mean^2 / theta."""
        return mean + np.square(mean) / self.theta

    def least(self, target: Floats) -> Floats:
        """Return the loss at mean = y."""
        logs = np.log(np.where(target > 0, target, 1.0))
        return (target + self.theta) * np.log1p(target / self.theta) - target * logs

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return weight times the log of the probability."""
        return times_weight(negative_binomial_log(y, mean, self.theta), weight)

    @staticmethod
    def _shares(u: Floats) -> tuple[Floats, Floats, Floats]:
        """Return e^-|u|, 1 / (1 + e^-u) and 1 / (1 + e^u)."""
        with np.errstate(under="ignore"):
            e = np.exp(-np.abs(u))
            larger = 1.0 / (1.0 + e)
            smaller = e * larger
        is_up = u >= 0
        return e, np.where(is_up, larger, smaller), np.where(is_up, smaller, larger)
