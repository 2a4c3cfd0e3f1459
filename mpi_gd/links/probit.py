"""The probit link."""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.links.link import Floats, ProbabilityLink
from mpi_gd.links.mills import normal_tail, tail_gap

__all__ = ["Probit"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# Twice what 1e-300 needs.
_NEWTON_STEPS = 20


class Probit(ProbabilityLink):
    """p = Phi(z), the normal law's distribution function.

    With t = |z| the smaller of p and 1 - p is Q(t), the larger 1 - Q(t): both sides of each pair
    below are computed for t and swapped where z is negative.
    """

    def link(self, mean: float) -> float:
        """Return the quantile of the normal law, to a relative error of about 1e-15."""
        if not 0 < mean < 1:
            raise ValueError(f"got the probability {mean}, expected one between 0 and 1")
        smaller = min(mean, 1.0 - mean)
        z = np.zeros(1)
        # log Phi is concave and rising: from its second iterate on Newton's method rises to z.
        for _ in range(_NEWTON_STEPS):
            cost, _, slope, _ = self.costs_and_slopes(z)
            z += (cost + math.log(smaller)) / slope
        return float(z[0]) if mean < 0.5 else 0.0 - float(z[0])

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return Phi(z) and its density."""
        t = np.abs(z)
        density, tail = normal_tail(t, tail_gap(t))
        return np.where(z >= 0, 1.0 - tail, tail), density

    def costs(self, z: Floats) -> tuple[Floats, Floats]:
        """Return -log Phi(z) and -log Phi(-z)."""
        return self.costs_and_slopes(z)[:2]

    def slopes(self, z: Floats) -> tuple[Floats, Floats]:
        """Return phi(z) / Phi(z) and phi(z) / Phi(-z)."""
        return self.costs_and_slopes(z)[2:]

    def costs_and_slopes(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return both."""
        t = np.abs(z)
        gap = tail_gap(t)
        density, tail = normal_tail(t, gap)
        with np.errstate(over="ignore", under="ignore"):
            # -log Q(t) = t^2 / 2 + log sqrt(2 pi) + log(t + gap)
            rare = 0.5 * t * t + _HALF_LOG_2PI + np.log(t + gap)
            usual = -np.log1p(-tail)
            steep, flat = t + gap, density / (1.0 - tail)
        is_up = z >= 0
        return (
            np.where(is_up, usual, rare),
            np.where(is_up, rare, usual),
            np.where(is_up, flat, steep),
            np.where(is_up, steep, flat),
        )

    def bends(self, z: Floats) -> tuple[Floats, Floats]:
        """Return r (r + z) with r = phi(z) / Phi(z), and the same at -z."""
        # No infinity times 0, and the first is 1 out there.
        t = np.minimum(np.abs(z), 1e300)
        gap = tail_gap(t)
        density, tail = normal_tail(t, gap)
        with np.errstate(over="ignore", under="ignore"):
            # Far out the slope is t + gap: the slope less t is the gap, with all its digits.
            rare = (t + gap) * gap
            slope = density / (1.0 - tail)
            usual = slope * (slope + t)
        is_up = z >= 0
        return np.where(is_up, usual, rare), np.where(is_up, rare, usual)
