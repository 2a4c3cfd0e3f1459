"""The group lasso."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpi_gd.penalties.naming import places_of
from mpi_gd.penalties.penalty import Bound, Floats, Penalty
from mpi_gd.penalties.separable import require_strength

__all__ = ["GroupLasso"]


@dataclass(frozen=True)
class GroupLasso(Penalty):
    """penalty(w) = alpha * sum_g sqrt(size of g) |w_g|_2 (Yuan and Lin 2006, equation 2.1).

    The coefficients of a group are zero together or not at all. With several outputs all of a
    column's coefficients are in its group.
    """

    alpha: float = 1e-4
    """Strength, 0 or more."""

    groups: list[list[str]] = field(default_factory=list)
    """Columns that belong together, as in [["red", "green"], ["region=*"]]; a name with * is a
    pattern. Each other column is a group of its own."""

    def __post_init__(self) -> None:
        require_strength(self.alpha)
        seen: set[str] = set()
        for group in self.groups:
            if not group:
                raise ValueError("groups has an empty list, expected names of columns in each")
            for name in group:
                if name in seen:
                    raise ValueError(f"groups names the column {name!r} twice, expected once")
                seen.add(name)

    def ties(self, columns: Sequence[str]) -> tuple[NDArray[np.int64], ...]:
        """Return the columns of each group."""
        places = {name: place for place, name in enumerate(columns)}
        ties, owner = [], dict[int, int]()
        for number, group in enumerate(self.groups):
            own = {place for name in group for place in places_of("groups", name, places)}
            for place in own:
                if owner.setdefault(place, number) != number:
                    raise ValueError(f"groups names the column {columns[place]!r} twice")
            ties.append(np.array(sorted(own)))
        return tuple(ties)

    def bind(self, columns: Sequence[str], scale: Floats, n_outputs: int = 1) -> Bound:
        """Return the penalty as a function of u; the scale must be one within a group."""
        number = np.arange(len(columns))
        for first, group in enumerate(self.ties(columns), start=len(columns)):
            if np.ptp(scale[group]):
                raise ValueError("groups have columns of different scales, expected ties")
            number[group] = first
        _, group_of, sizes = np.unique(number, return_inverse=True, return_counts=True)
        weight = np.zeros(len(sizes))
        weight[group_of] = scale
        weight *= self.alpha * np.sqrt(sizes * n_outputs)
        return _GroupBound(np.repeat(group_of, n_outputs), weight)


class _GroupBound(Bound):
    """sum_g weight_g |u_g|_2, u (d K,)."""

    is_convex = True

    def __init__(self, group_of: NDArray[np.int64], weight: Floats) -> None:
        self._group_of, self._weight = group_of, weight
        self.is_smooth = not weight.any()
        order = np.argsort(group_of, kind="stable")
        bounds = np.cumsum(np.bincount(group_of, minlength=len(weight)))[:-1]
        self.blocks = tuple(np.split(order, bounds))

    def _norms(self, u: Floats) -> Floats:
        """Return |u_g|_2 of each group."""
        return np.sqrt(np.bincount(self._group_of, np.square(u), len(self._weight)))

    def value(self, u: Floats) -> float:
        """Return 0: nothing is smooth."""
        return 0.0

    def add_gradient(self, u: Floats, out: Floats) -> None:
        """Add nothing."""

    def hessian_diagonal(self) -> Floats:
        """Return zeros."""
        return np.zeros(len(self._group_of))

    def rest(self, u: Floats) -> float:
        """Return the penalty."""
        return float(np.dot(self._weight, self._norms(u)))

    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return each group shortened by step weight, at most to 0."""
        norms = self._norms(v)[self._group_of]
        length = norms - step * self._weight[self._group_of]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(length > 0, v * (length / norms), 0.0))

    def subgradient_residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest element of gradient + subdifferential."""
        norms = self._norms(u)[self._group_of]
        weight = self._weight[self._group_of]
        away = norms > 0
        safe = np.where(away, norms, 1.0)
        lengths = self._norms(gradient)[self._group_of]
        kept = np.maximum(lengths - weight, 0.0) / np.where(lengths > 0, lengths, 1.0)
        return np.asarray(np.where(away, gradient + weight * u / safe, gradient * kept))
