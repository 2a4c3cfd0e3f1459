"""The complementary log-log link."""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.links.link import Floats, ProbabilityLink

__all__ = ["Cloglog"]

# Beyond it e^-m is 0, and m e^-m must not become infinity times 0.
_LARGE = 750.0
_SMALL = 0.25


class Cloglog(ProbabilityLink):
    """p = 1 - exp(-m), m = e^z: the chance of at least one event of m expected ones."""

    def link(self, mean: float) -> float:
        """Return log(-log(1 - p))."""
        return math.log(-math.log1p(-mean))

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return p and m e^-m."""
        m = _expected(z)
        with np.errstate(under="ignore"):
            return -np.expm1(-m), np.minimum(m, _LARGE) * np.exp(-m)

    def costs(self, z: Floats) -> tuple[Floats, Floats]:
        """Return -log p and m."""
        return self.costs_and_slopes(z)[:2]

    def slopes(self, z: Floats) -> tuple[Floats, Floats]:
        """Return m / (e^m - 1) and m."""
        return self.costs_and_slopes(z)[2:]

    def costs_and_slopes(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return both."""
        m = _expected(z)
        near = np.minimum(m, _LARGE)
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            rest = np.exp(-near)
            p = -np.expm1(-near)
            # log p is z + log(p / m) for small m, also where m is 0, else log1p of what is left.
            share = np.where(near > 0, p / near, 1.0)
            cost = np.where(z < 0, -(z + np.log(share)), -np.log1p(-rest))
            return cost, m, rest / share, m.copy()

    def bends(self, z: Floats) -> tuple[Floats, Floats]:
        """Return g (g + m - 1) with g = m / (e^m - 1), and m."""
        m = _expected(z)
        near = np.minimum(m, _LARGE)
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            g = np.where(near > 0, near * np.exp(-near) / -np.expm1(-near), 1.0)
            # g + m - 1 = m/2 + sum of B_2k m^2k / (2k)!, Bernoulli's numbers; to m^12.
            s = np.square(np.minimum(near, _SMALL))
            series = near / 2 + s * (
                1 / 12 - s * (1 / 720 - s * (1 / 30240 - s * (1 / 1209600 - s / 47900160)))
            )
            return g * np.where(near < _SMALL, series, g + near - 1.0), m


def _expected(z: Floats) -> Floats:
    """Return m = e^z; infinite beyond 709."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(z))
