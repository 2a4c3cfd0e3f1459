"""The log link."""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.links.link import Floats, Link

__all__ = ["Log"]


class Log(Link):
    """mean = e^z."""

    def link(self, mean: float) -> float:
        """Return log(mean)."""
        return math.log(mean)

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return e^z twice."""
        with np.errstate(over="ignore", under="ignore"):
            mean = np.exp(z)
        return mean, mean.copy()
