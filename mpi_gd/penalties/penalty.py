"""What a penalty is.

A job's penalty is a function of the coefficients w (d,), or (d, K) for K outputs, the intercepts
excepted. A solver works in coordinates u in which w_j = scale_j u_j: `bind` makes of the penalty a
function of u, flat (d K,), a coefficient's K numbers one after another. That is the sum of a smooth
part and of a rest, which has kinks or bounds and is known by its proximal map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bound", "Floats", "Penalty"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Penalty(ABC):
    """A penalty; an implementation is a frozen dataclass whose fields are its keys."""

    def ties(self, columns: Sequence[str]) -> tuple[NDArray[np.int64], ...]:
        """Return groups of columns that must have one scale in common."""
        return ()

    @abstractmethod
    def bind(self, columns: Sequence[str], scale: Floats, n_outputs: int = 1) -> Bound:
        """Return the penalty as a function of u, for columns of these names and scales (d,).

        Raises ValueError, beginning with a key's name, for a column that is not there.
        """


class Bound(ABC):
    """A penalty in the solver's coordinates u (d K,)."""

    is_smooth: bool
    """Whether there is no rest."""
    is_convex: bool
    l1: Floats | None = None
    """(d K,): where the rest is sum_j l1_j |u_j| within bounds, its weights; else None."""
    lower: Floats | None = None
    upper: Floats | None = None
    """(d K,): the bounds that go with `l1`, infinite where there are none."""
    blocks: tuple[NDArray[np.int64], ...] | None = None
    """The coordinates that the proximal map couples, block by block; None if it couples none."""

    @abstractmethod
    def value(self, u: Floats) -> float:
        """Return the smooth part."""

    @abstractmethod
    def add_gradient(self, u: Floats, out: Floats) -> None:
        """Add the smooth part's gradient to `out` (d K,)."""

    @abstractmethod
    def hessian_diagonal(self) -> Floats:
        """Return the smooth part's Hessian, which is diagonal, (d K,)."""

    def curvature(self) -> float:
        """Return an upper bound of the smooth part's second derivatives."""
        return float(self.hessian_diagonal().max(initial=0.0))

    @abstractmethod
    def rest(self, u: Floats) -> float:
        """Return the rest; infinite out of bounds."""

    @abstractmethod
    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return argmin_u |u - v|^2 / (2 step) + rest(u).

        `step` may be (d K,), the same within a block: a metric, coordinate by coordinate.
        """

    @abstractmethod
    def subgradient_residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest element of gradient + subdifferential of rest at u, (d K,)."""
