"""Penalties that grow like the lasso at 0 and flatten out, so that large coefficients are not
shrunk: what MCP and SCAD have in common. They are not convex; solvers find stationary points.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from mpi_gd.penalties.penalty import Bound, Floats

__all__ = ["ConcaveBound"]


class ConcaveBound(Bound):
    """sum_j p_j(|w_j|) within bounds, w_j = scale_j u_j; p is piecewise quadratic."""

    is_smooth = False
    is_convex = False
    lower: Floats
    upper: Floats

    def __init__(self, strength: Floats, scale: Floats, lower: Floats, upper: Floats) -> None:
        """Take the slopes at 0 (d K,), the scales, and the bounds of u."""
        self._strength, self._scale = strength, scale
        self.lower, self.upper = lower, upper

    @abstractmethod
    def _penalty(self, size: Floats) -> Floats:
        """Return p(|w|)."""

    @abstractmethod
    def _slope(self, size: Floats) -> Floats:
        """Return p'(|w|), from the right at 0."""

    @abstractmethod
    def _candidates(self, size: Floats, step: Floats) -> list[Floats]:
        """Return where (x - size)^2 / (2 step) + p(x), x >= 0, may be least: in each piece."""

    def value(self, u: Floats) -> float:
        """Return 0: nothing is smooth."""
        return 0.0

    def add_gradient(self, u: Floats, out: Floats) -> None:
        """Add nothing."""

    def hessian_diagonal(self) -> Floats:
        """Return zeros."""
        return np.zeros_like(self._scale)

    def rest(self, u: Floats) -> float:
        """Return the penalty, infinite out of bounds."""
        if bool((u < self.lower).any() or (u > self.upper).any()):
            return np.inf
        return float(np.add.reduce(self._penalty(np.abs(u * self._scale))))

    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return the best of the candidates: each piece's minimum, 0, and the bounds."""
        w = v * self._scale
        scaled_step = np.broadcast_to(step * np.square(self._scale), w.shape)
        size, sign = np.abs(w), np.where(w < 0, -1.0, 1.0)
        low, high = self.lower * self._scale, self.upper * self._scale
        found = [sign * x for x in self._candidates(size, scaled_step)]
        found += [np.zeros_like(w), low, high]
        best = np.clip(w, low, high)
        with np.errstate(invalid="ignore", over="ignore"):
            least = np.full(w.shape, np.inf)
            for each in found:
                x = np.clip(each, low, high)
                value = np.square(x - w) / (2.0 * scaled_step) + self._penalty(np.abs(x))
                # Of equals the first: with 0 last, ties do not flicker.
                is_better = value < least
                best, least = np.where(is_better, x, best), np.where(is_better, value, least)
        return np.asarray(best / self._scale)

    def subgradient_residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest element of gradient + (Clarke's) subdifferential."""
        slope = self._slope(np.abs(u * self._scale)) * self._scale
        at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - slope, 0.0)
        residual = np.where(u == 0, at_zero, gradient + slope * np.sign(u))
        residual = np.where((u <= self.lower) & (residual > 0), 0.0, residual)
        return np.where((u >= self.upper) & (residual < 0), 0.0, residual)
