"""The inverse-squared link."""

from __future__ import annotations

import numpy as np

from mpi_gd.links.link import Booleans, Floats, Link

__all__ = ["InverseSquared"]


class InverseSquared(Link):
    """mean = 1 / sqrt(z), z > 0: R's 1/mu^2, the canonical link of the inverse Gaussian law."""

    def link(self, mean: float) -> float:
        """Return 1 / mean^2."""
        return 1.0 / (mean * mean)

    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return z^(-1/2) and -z^(-3/2) / 2."""
        with np.errstate(all="ignore"):
            mean = 1.0 / np.sqrt(z)
            return mean, -0.5 * mean / z

    def has_mean(self, z: Floats) -> Booleans:
        """Return where z is positive."""
        return np.asarray(z > 0)
