"""The binomial family: shares of successes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.losses.densities import binomial_log
from mpi_gd.losses.loss import Booleans, Floats, Likelihood, Weight
from mpi_gd.losses.rowwise import Rowwise
from mpi_gd.losses.two_classes import (
    bend_between,
    fisher_information,
    probability,
    rows_between,
    start_of_share,
)

__all__ = ["Binomial"]

# A number of successes that is so near a whole number, relatively, is that.
_WHOLE = 1e-9


@dataclass(frozen=True)
class Binomial(Rowwise, Likelihood):
    """loss(y, z) = -y log p - (1 - y) log(1 - p), y the share of successes, from 0 to 1.

    The row's weight is its number of trials. V(p) = p (1 - p).
    """

    link: Literal["logit", "probit", "cloglog"] = "logit"
    """How the probability depends on z."""

    expected = (
        "a share of successes from 0 to 1 (of counts: name the column of trials, data.trials)"
    )
    dispersion = 1.0

    @property
    def curvature(self) -> float:
        """Return 1/4, 1, or no bound with "cloglog"."""
        return {"logit": 0.25, "probit": 1.0}.get(self.link, math.inf)

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are outside [0, 1]."""
        return ~((y >= 0) & (y <= 1))

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return -y log p - (1 - y) log(1 - p); z becomes its derivative."""
        if self.link != "logit":
            return rows_between(self.link, z, target)
        e = np.exp(-np.abs(z))
        larger = 1.0 / (1.0 + e)
        is_up = z >= 0
        # (1 - y) p - y (1 - p); p - y would lose the digits of small residuals.
        derivative = np.where(is_up, (1.0 - target) - target * e, (1.0 - target) * e - target)
        derivative *= larger
        losses = np.log1p(e)
        losses += np.where(is_up, (1.0 - target) * z, -target * z)
        np.copyto(z, derivative)
        return losses

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return p (1 - p), or that of another link."""
        return bend_between(self.link, z, target)

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return p'^2 / (p (1 - p))."""
        return fisher_information(self.link, z)

    def inverse_link(self, z: Floats) -> Floats:
        """Return p."""
        return probability(self.link, z)

    def start(self, mean: float) -> float:
        """Return z of the mean share, that is moved off 0 and 1 by 1e-10."""
        return start_of_share(self.link, mean)

    def variance(self, mean: Floats) -> Floats:
        """Return p (1 - p)."""
        return mean * (1.0 - mean)

    def least(self, target: Floats) -> Floats:
        """Return -y log y - (1 - y) log(1 - y)."""
        inside = (target > 0) & (target < 1)
        y = np.where(inside, target, 0.5)
        return np.where(inside, -y * np.log(y) - (1.0 - y) * np.log1p(-y), 0.0)

    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats:
        """Return the log probability of weight * y successes in `weight` trials.

        The binomial coefficient is in it. For numbers of trials that are not whole it is that of
        the gamma function (R rounds them).
        """
        n = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        successes = n * y
        whole = np.rint(successes)
        k = np.where(np.abs(successes - whole) <= _WHOLE * np.maximum(n, 1.0), whole, successes)
        logs = binomial_log(np.minimum(k, n), n, mean, 1.0 - mean)
        return np.where(n == 0, 0.0, logs)
