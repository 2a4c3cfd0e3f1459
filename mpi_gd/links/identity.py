"""The identity link."""

from __future__ import annotations

import numpy as np

from mpi_gd.links.link import Floats, Link

__all__ = ["Identity"]


class Identity(Link):
    """mean = z."""

    def link(self, mean: float) -> float:
        """Return the mean."""
        return mean

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return z and 1."""
        return z.copy(), np.ones(len(z))
