"""What a penalty is.

A penalty is asked in the coordinates u the solver works in, where coefficient j is
w_j = sqrt(factor_j) u_j: `factor` (d,) carries the scale of the columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Penalty"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Penalty(ABC):
    """A smooth penalty; an implementation is a frozen dataclass whose fields are its keys."""

    @abstractmethod
    def value(self, u: Floats, factor: Floats) -> float:
        """Return the penalty of the coefficients u (d,)."""

    @abstractmethod
    def add_gradient(self, u: Floats, factor: Floats, out: Floats) -> None:
        """Add the gradient in u to `out` (d,)."""

    @abstractmethod
    def curvature(self, factor: Floats) -> float:
        """Return an upper bound of the second derivatives in u."""
