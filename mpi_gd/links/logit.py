"""The logit link."""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.links.link import Floats, ProbabilityLink

__all__ = ["Logit"]


class Logit(ProbabilityLink):
    """p = 1 / (1 + e^-z). All is made of e^-|z|, which never overflows."""

    def link(self, mean: float) -> float:
        """Return log(p / (1 - p))."""
        return math.log(mean) - math.log1p(-mean)

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return p and p (1 - p)."""
        below, p = self.slopes(z)
        return p, p * below

    def costs(self, z: Floats) -> tuple[Floats, Floats]:
        """Return log(1 + e^-z) and log(1 + e^z)."""
        return self.costs_and_slopes(z)[:2]

    def slopes(self, z: Floats) -> tuple[Floats, Floats]:
        """Return 1 - p and p."""
        return self.costs_and_slopes(z)[2:]

    def bends(self, z: Floats) -> tuple[Floats, Floats]:
        """Return p (1 - p) twice."""
        with np.errstate(under="ignore"):
            e = np.exp(-np.abs(z))
            bend = e / np.square(1.0 + e)
        return bend, bend

    def costs_and_slopes(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return -log p, -log(1 - p), 1 - p and p with one exponential."""
        with np.errstate(under="ignore"):
            e = np.exp(-np.abs(z))
            log = np.log1p(e)
            larger = 1.0 / (1.0 + e)
            smaller = e * larger
        is_up = z >= 0
        return (
            np.maximum(-z, 0.0) + log,
            np.maximum(z, 0.0) + log,
            np.where(is_up, smaller, larger),
            np.where(is_up, larger, smaller),
        )
