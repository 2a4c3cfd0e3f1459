"""The part of the objective that has no derivative everywhere, as a solver knows it."""

from __future__ import annotations

import numpy as np

from mpi_gd.objective.rows import Floats
from mpi_gd.penalties import Bound

__all__ = ["PenaltyRest"]


class PenaltyRest:
    """A penalty's part without derivatives, of coefficients and intercepts together."""

    def __init__(self, penalty: Bound, n_outputs: int) -> None:
        """Take a penalty that is bound to its coefficients."""
        self._penalty, self._n_outputs = penalty, n_outputs
        self.blocks, self.is_convex = penalty.blocks, penalty.is_convex
        self.l1 = self._padded(penalty.l1, 0.0)
        self.lower = self._padded(penalty.lower, -np.inf)
        self.upper = self._padded(penalty.upper, np.inf)

    def _padded(self, array: Floats | None, value: float) -> Floats | None:
        """Return an array of the coefficients with the intercepts' value."""
        return None if array is None else np.append(array, np.full(self._n_outputs, value))

    def value(self, u: Floats) -> float:
        """Return the penalty of the coefficients."""
        return self._penalty.rest(u[: -self._n_outputs])

    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return the proximal map, which leaves the intercepts alone."""
        k = -self._n_outputs
        part = step if isinstance(step, float) else step[:k]
        return np.append(self._penalty.prox(v[:k], part), v[k:])

    def residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest subgradient of the whole objective."""
        k = -self._n_outputs
        return np.append(self._penalty.subgradient_residual(u[:k], gradient[:k]), gradient[k:])
