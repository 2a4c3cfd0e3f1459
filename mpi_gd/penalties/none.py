"""No penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.penalties.penalty import Bound, Floats
from mpi_gd.penalties.separable import Separable, SeparableBound

__all__ = ["NoPenalty"]


@dataclass(frozen=True)
class NoPenalty(Separable):
    """penalty(w) = 0; there may be bounds."""

    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return bounds alone."""
        zeros = np.zeros_like(scale)
        return SeparableBound(zeros, zeros, lower, upper)
