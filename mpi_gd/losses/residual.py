"""Losses of the residual z - y that are no likelihood: robust regression and its kin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats
from mpi_gd.losses.rowwise import Rowwise

__all__ = ["Residual"]


@dataclass(frozen=True)
class Residual(Rowwise):
    """A loss of z - y; z itself is what predicts y."""

    def inverse_link(self, z: Floats) -> Floats:
        """Return z."""
        return np.asarray(z)

    def start(self, mean: float) -> float:
        """Return the mean, which is a start and not yet the optimum."""
        return mean
