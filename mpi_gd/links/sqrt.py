"""The square root link."""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.links.link import Booleans, Floats, Link

__all__ = ["Sqrt"]


class Sqrt(Link):
    """mean = z^2, z > 0."""

    def link(self, mean: float) -> float:
        """Return sqrt(mean)."""
        return math.sqrt(mean)

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return z^2 and 2 z."""
        with np.errstate(over="ignore", under="ignore"):
            return np.square(z), 2.0 * z

    def has_mean(self, z: Floats) -> Booleans:
        """Return where z is positive."""
        return np.asarray(z > 0)
