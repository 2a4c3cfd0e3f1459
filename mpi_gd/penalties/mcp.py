"""The minimax concave penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.penalties.concave import ConcaveBound
from mpi_gd.penalties.penalty import Bound, Floats
from mpi_gd.penalties.separable import Separable, require_strength

__all__ = ["Mcp"]


@dataclass(frozen=True)
class Mcp(Separable):
    """p(w) = alpha |w| - w^2 / (2 gamma) up to |w| = gamma alpha, then constant.

    Zhang, "Nearly Unbiased Variable Selection under Minimax Concave Penalty", Annals of Statistics
    38(2), 2010, equation 2.1.
    """

    alpha: float = 1e-4
    """Strength, 0 or more: the slope at 0."""

    gamma: float = 3.0
    """How slowly the slope falls to 0, above 1; ncvreg's gamma."""

    def __post_init__(self) -> None:
        require_strength(self.alpha)
        if not 1 < self.gamma < np.inf:
            raise ValueError(f"gamma must be above 1, got {self.gamma}")
        super().__post_init__()

    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return the penalty with slopes alpha factor."""
        return _McpBound(self.alpha * factor, scale, lower, upper, self.gamma)


class _McpBound(ConcaveBound):
    """The penalty in the solver's coordinates."""

    def __init__(
        self, strength: Floats, scale: Floats, lower: Floats, upper: Floats, gamma: float
    ) -> None:
        super().__init__(strength, scale, lower, upper)
        self._gamma = gamma
        self._end = gamma * strength

    def _penalty(self, size: Floats) -> Floats:
        """Return p(|w|)."""
        x = np.minimum(size, self._end)
        return self._strength * x - np.square(x) / (2.0 * self._gamma)

    def _slope(self, size: Floats) -> Floats:
        """Return p'(|w|)."""
        return np.maximum(self._strength - size / self._gamma, 0.0)

    def _candidates(self, size: Floats, step: Floats) -> list[Floats]:
        """Return the minimum of the curved piece, where it is one, and of the flat one."""
        rate = 1.0 - step / self._gamma
        with np.errstate(divide="ignore", invalid="ignore"):
            curved = np.where(rate > 0, (size - step * self._strength) / rate, 0.0)
        return [np.clip(curved, 0.0, self._end), np.maximum(size, self._end)]
