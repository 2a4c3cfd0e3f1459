"""The inverse link."""

from __future__ import annotations

import numpy as np

from mpi_gd.links.link import Booleans, Floats, Link

__all__ = ["Inverse"]


class Inverse(Link):
    """mean = 1 / z."""

    def link(self, mean: float) -> float:
        """Return 1 / mean."""
        return 1.0 / mean

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return 1 / z and -1 / z^2."""
        with np.errstate(all="ignore"):
            mean = 1.0 / z
            return mean, -np.square(mean)

    def has_mean(self, z: Floats) -> Booleans:
        """Return where z is not 0."""
        return np.asarray(z != 0)
