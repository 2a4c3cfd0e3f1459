"""Losses of the margin s z of two classes: support vector machines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Booleans, Floats
from mpi_gd.losses.rowwise import Rowwise

__all__ = ["Margin"]


@dataclass(frozen=True)
class Margin(Rowwise):
    """A loss of s z, s = 1 for the second label (y = 1), -1 for the first; the target is s.

    There are no probabilities: z > 0 predicts the second label, and `inverse_link` is z.
    """

    task = "two classes"
    expected = "0 or 1"

    def invalid(self, y: Floats) -> Booleans:
        """Return which y are neither 0 nor 1."""
        return np.asarray((y != 0) & (y != 1))

    def encode(self, y: Floats) -> Floats:
        """Return -1 for y = 0 and 1 for y = 1."""
        return 2.0 * np.asarray(y, dtype=np.float64) - 1.0

    def inverse_link(self, z: Floats) -> Floats:
        """Return z: a larger one is a surer second label, but no probability."""
        return np.asarray(z)
