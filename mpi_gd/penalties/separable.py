"""Penalties that are sums over coefficients, each with a factor and bounds of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mpi_gd.penalties.naming import places_of
from mpi_gd.penalties.penalty import Bound, Floats, Penalty

__all__ = [
    "Separable",
    "SeparableBound",
    "Strength",
    "require_share",
    "require_strength",
    "strength_of",
]

Strength = float | Literal["path"]
"""A penalty's alpha, or that it is to be chosen along a path."""


@dataclass(frozen=True)
class Separable(Penalty):
    """sum_j factor_j penalty(w_j), within lower_j <= w_j <= upper_j."""

    factors: dict[str, float] = field(default_factory=dict, kw_only=True)
    """Factor of the penalty on a column, 0 or more, as in {age = 0.0}: 0 leaves it free. 1 for the
    columns that are not named. A pattern with * names several: {"colour=*" = 0.0}."""

    lower: float | dict[str, float] = field(default_factory=dict, kw_only=True)
    """Least value of the coefficients: a number for all, or a table as {price = 0.0}. 0 for all
    makes non-negative least squares of the squared loss."""

    upper: float | dict[str, float] = field(default_factory=dict, kw_only=True)
    """Largest value of the coefficients, in the same way."""

    def __post_init__(self) -> None:
        for name, factor in self.factors.items():
            if not 0 <= factor < np.inf:
                raise ValueError(f"factors must be 0 or more, got {factor} for {name!r}")
        for name, low, high in self._pairs():
            if low > high:
                raise ValueError(f"lower must be at most upper, got {low} and {high}{name}")

    def _pairs(self) -> list[tuple[str, float, float]]:
        """Return the bounds wherever both are named."""
        low, high = self.lower, self.upper
        if isinstance(low, dict):
            if isinstance(high, dict):
                return [(f" for {n!r}", low[n], high[n]) for n in low.keys() & high.keys()]
            return [(f" for {n!r}", bound, high) for n, bound in low.items()]
        if isinstance(high, dict):
            return [(f" for {n!r}", low, bound) for n, bound in high.items()]
        return [("", low, high)]

    def bind(self, columns: Sequence[str], scale: Floats, n_outputs: int = 1) -> Bound:
        """Return the penalty as a function of u."""
        with np.errstate(divide="ignore", invalid="ignore"):
            lower = _by_column("lower", self.lower, columns, -np.inf) / scale
            upper = _by_column("upper", self.upper, columns, np.inf) / scale
        factors = _by_column("factors", self.factors, columns, 1.0)
        return self.bind_arrays(
            np.repeat(factors, n_outputs),
            np.repeat(scale, n_outputs),
            np.repeat(lower, n_outputs),
            np.repeat(upper, n_outputs),
        )

    @abstractmethod
    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return the penalty as a function of u, all arrays (d K,), the bounds being those of u."""


class SeparableBound(Bound):
    """sum_j l1_j |u_j| + l2_j / 2 u_j^2 within bounds."""

    is_convex = True
    l1: Floats
    lower: Floats
    upper: Floats

    def __init__(self, l1: Floats, l2: Floats, lower: Floats, upper: Floats) -> None:
        """Take the weights and bounds, (d K,) each."""
        self.l1, self._l2, self.lower, self.upper = l1, l2, lower, upper
        has_bounds = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        self.is_smooth = not has_bounds and not l1.any()

    def value(self, u: Floats) -> float:
        """Return sum l2_j / 2 u_j^2."""
        return 0.5 * float(np.dot(u, self._l2 * u))

    def add_gradient(self, u: Floats, out: Floats) -> None:
        """Add l2_j u_j."""
        out += self._l2 * u

    def hessian_diagonal(self) -> Floats:
        """Return l2."""
        return self._l2

    def rest(self, u: Floats) -> float:
        """Return sum l1_j |u_j|, infinite out of bounds."""
        if bool((u < self.lower).any() or (u > self.upper).any()):
            return np.inf
        return float(np.dot(self.l1, np.abs(u)))

    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return v moved towards 0 by step l1, at most to 0, then into the bounds.

        A convex function of one variable is least within bounds where its free minimum is clipped.
        """
        shrunk = np.sign(v) * np.maximum(np.abs(v) - step * self.l1, 0.0)
        return np.asarray(np.clip(shrunk, self.lower, self.upper))

    def subgradient_residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the distance of 0 from gradient + subdifferential, with its sign."""
        residual = self._kink_residual(u, gradient)
        # At a bound the subdifferential reaches to infinity outwards.
        residual = np.where((u <= self.lower) & (residual > 0), 0.0, residual)
        return np.where((u >= self.upper) & (residual < 0), 0.0, residual)

    def _kink_residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the same without bounds."""
        at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - self.l1, 0.0)
        # Zero that is a bound too: moving back into the box costs l1.
        return np.where(u == 0, at_zero, gradient + self.l1 * np.sign(u))


def _by_column(
    key: str, value: float | dict[str, float], columns: Sequence[str], default: float
) -> Floats:
    """Return a number for each column, (d,); raises ValueError for a column that is not there."""
    if not isinstance(value, dict):
        return np.full(len(columns), float(value))
    found = np.full(len(columns), default)
    places = {name: place for place, name in enumerate(columns)} if value else {}
    # A column's own name goes before a pattern, and an earlier pattern before a later one.
    items = list(value.items())[::-1]
    for name, number in sorted(items, key=lambda item: item[0] in places):
        found[places_of(key, name, places)] = number
    return found


def require_strength(alpha: Strength) -> None:
    """Raise ValueError for a strength that is negative, no number, and no path."""
    if not isinstance(alpha, str) and not 0 <= alpha < np.inf:
        raise ValueError(f"alpha must be a finite number, 0 or more, got {alpha}")


def strength_of(alpha: Strength) -> float:
    """Return the strength; raises ValueError for a path, which is many."""
    if isinstance(alpha, str):
        raise ValueError(
            f'alpha is "{alpha}", which is for the commands train, tune and path; give a number'
        )
    return alpha


def require_share(l1_ratio: float) -> None:
    """Raise ValueError for a share out of [0, 1]."""
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio must be in [0, 1], got {l1_ratio}")
