"""The regularization path of least squares: all penalties from one parabola, without a message.

    F(u) = loss(u) + alpha (sum_j l1_j |u_j| + l2_j / 2 u_j^2),    lower <= u <= upper

Each solution begins at the last one (Friedman, Hastie and Tibshirani, "Regularization Paths for
Generalized Linear Models via Coordinate Descent", Journal of Statistical Software 33(1), 2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mpi_gd.solvers.active_set import Kinks, pull
from mpi_gd.solvers.quadratic import least_squares_step, minimize_kinked
from mpi_gd.solvers.solver import Floats

# Below this share of the largest, an eigenvalue is that of a direction that no row has.
_FLAT = 1e-14

__all__ = ["PathPenalty", "alpha_grid", "largest_alpha", "ridge_path", "walk_path"]


@dataclass(frozen=True, eq=False)
class PathPenalty:
    """The penalty for alpha = 1, of all parameters, (n_params,) each."""

    l1: Floats
    l2: Floats
    lower: Floats
    upper: Floats

    def times(self, alpha: float) -> PathPenalty:
        """Return the penalty for another alpha."""
        return PathPenalty(alpha * self.l1, alpha * self.l2, self.lower, self.upper)

    @property
    def kinks(self) -> Kinks:
        """Return what has no derivative."""
        return Kinks(self.l1, self.lower, self.upper)

    @property
    def is_smooth(self) -> bool:
        """Whether there are neither kinks nor bounds."""
        has_bounds = np.isfinite(self.lower).any() or np.isfinite(self.upper).any()
        return not (has_bounds or self.l1.any())

    def value(self, u: Floats) -> float:
        """Return the penalty of a point within bounds."""
        return float(np.dot(self.l1, np.abs(u)) + 0.5 * np.dot(self.l2 * u, u))

    def residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest subgradient of the objective, for the loss's gradient at u."""
        return pull(gradient + self.l2 * u, u, self.kinks)


def largest_alpha(gradient: Floats, u: Floats, penalty: PathPenalty) -> float:
    """Return the least alpha for which all penalized coefficients are 0; 0 if they always are.

    `gradient` is the loss's at the minimum u over the others.
    """
    inward = (gradient < 0) & (penalty.upper > u) | (gradient > 0) & (penalty.lower < u)
    kinked = (penalty.l1 > 0) & inward
    return float((np.abs(gradient[kinked]) / penalty.l1[kinked]).max(initial=0.0))


def alpha_grid(largest: float, n_alphas: int, eps: float) -> Floats:
    """Return `n_alphas` strengths from the largest down to `eps` times it, in equal ratios."""
    shares = np.arange(n_alphas) / max(1, n_alphas - 1)
    return largest * np.power(eps, shares)


def ridge_path(
    hessian: Floats, gradient: Floats, u: Floats, penalty: PathPenalty, alphas: Floats
) -> Iterator[Floats]:
    """Yield the same for a penalty without kinks and bounds, from one eigendecomposition.

    What is not penalized is eliminated (Schur's complement); in coordinates in which the penalty is
    alpha / 2 |v|^2 and the rest diagonal, each solution is a division.
    """
    ridge = penalty.l2 > 0
    free = ~ridge
    scale = 1.0 / np.sqrt(penalty.l2[ridge])
    inverse = np.linalg.pinv(hessian[np.ix_(free, free)], hermitian=True)
    crossed = hessian[np.ix_(ridge, free)]
    left = hessian[np.ix_(ridge, ridge)] - crossed @ inverse @ crossed.T
    values, vectors = np.linalg.eigh(left * np.outer(scale, scale))
    values = np.maximum(values, 0.0)
    turned = scale[:, None] * vectors
    flat = _FLAT * float(values.max(initial=0.0))
    for alpha in alphas.tolist():
        bends = values + alpha
        shares = np.divide(1.0, bends, out=np.zeros_like(bends), where=bends > flat)
        slope = gradient + alpha * penalty.l2 * u
        move = np.zeros_like(u)
        # The second time with what rounding has left.
        for _ in range(2):
            right = -slope - hessian @ move - alpha * penalty.l2 * move
            step = turned @ (shares * (turned.T @ (right[ridge] - crossed @ inverse @ right[free])))
            move[ridge] += step
            move[free] += inverse @ (right[free] - crossed.T @ step)
        yield u + move


def walk_path(
    hessian: Floats, gradient: Floats, u: Floats, penalty: PathPenalty, alphas: Floats
) -> Iterator[Floats]:
    """Yield the minimum (n_params,) for each alpha, for the loss's gradient at u."""
    point = u
    for alpha in alphas.tolist():
        here = penalty.times(alpha)
        bent = hessian + np.diag(here.l2)
        slope = gradient + hessian @ (point - u) + here.l2 * point
        if here.is_smooth:
            point = point + least_squares_step(bent, slope, 1)
        else:
            point = minimize_kinked(bent, slope, point, here.kinks)
        yield point
