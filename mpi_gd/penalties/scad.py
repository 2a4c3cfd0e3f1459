"""The smoothly clipped absolute deviation penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.penalties.concave import ConcaveBound
from mpi_gd.penalties.penalty import Bound, Floats
from mpi_gd.penalties.separable import Separable, require_strength

__all__ = ["Scad"]


@dataclass(frozen=True)
class Scad(Separable):
    """p'(w) = alpha up to |w| = alpha, falling linearly to 0 at |w| = a alpha.

    Fan and Li, "Variable Selection via Nonconcave Penalized Likelihood and its Oracle Properties",
    Journal of the American Statistical Association 96, 2001, equation 2.7.
    """

    alpha: float = 1e-4
    """Strength, 0 or more: the slope at 0."""

    a: float = 3.7
    """Where the penalty becomes constant, in units of alpha, above 2; ncvreg's gamma."""

    def __post_init__(self) -> None:
        require_strength(self.alpha)
        if not 2 < self.a < np.inf:
            raise ValueError(f"a must be above 2, got {self.a}")
        super().__post_init__()

    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return the penalty with slopes alpha factor."""
        return _ScadBound(self.alpha * factor, scale, lower, upper, self.a)


class _ScadBound(ConcaveBound):
    """The penalty in the solver's coordinates."""

    def __init__(
        self, strength: Floats, scale: Floats, lower: Floats, upper: Floats, a: float
    ) -> None:
        super().__init__(strength, scale, lower, upper)
        self._a = a

    def _penalty(self, size: Floats) -> Floats:
        """Return p(|w|), the integral of its slope."""
        strength, a = self._strength, self._a
        x = np.clip(size, strength, a * strength)
        bend = (2.0 * a * strength * x - np.square(x) - np.square(strength)) / (2.0 * (a - 1.0))
        return np.where(size <= strength, strength * size, bend)

    def _slope(self, size: Floats) -> Floats:
        """Return p'(|w|)."""
        falling = (self._a * self._strength - size) / (self._a - 1.0)
        return np.clip(falling, 0.0, self._strength)

    def _candidates(self, size: Floats, step: Floats) -> list[Floats]:
        """Return the minimum of each of the three pieces."""
        strength, a = self._strength, self._a
        end = a * strength
        rate = a - 1.0 - step
        with np.errstate(divide="ignore", invalid="ignore"):
            bend = np.where(rate > 0, ((a - 1.0) * size - step * end) / rate, strength)
        return [
            np.clip(size - step * strength, 0.0, strength),
            np.clip(bend, strength, end),
            np.maximum(size, end),
        ]
