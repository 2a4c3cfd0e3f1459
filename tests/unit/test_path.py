"""The regularization path: each point a minimum, whatever the way to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.solvers.active_set import Kinks, minimize_on_sets, pull
from mpi_gd.solvers.path import PathPenalty, alpha_grid, largest_alpha, walk_path
from mpi_gd.solvers.quadratic import _by_coordinates, minimize_kinked

D = 12
FREE = np.full(D, np.inf)


def parabola(seed: int, correlation: float = 0.9, n: int = 400) -> tuple[Any, Any]:
    """Return the Hessian and gradient at 0 of least squares with correlated columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D))
    for j in range(1, D):
        x[:, j] = correlation * x[:, j - 1] + np.sqrt(1 - correlation**2) * x[:, j]
    y = x @ (rng.normal(size=D) * (rng.random(D) < 0.5)) + rng.normal(size=n)
    return x.T @ x / n, -x.T @ y / n


def bounds(kind: str) -> tuple[Any, Any]:
    """Return lower and upper bounds."""
    some = np.where(np.arange(D) % 3 == 0, -0.1, -np.inf)
    return {
        "free": (-FREE, FREE),
        "non-negative": (np.zeros(D), FREE),
        "box": (np.full(D, -0.2), np.full(D, 0.3)),
        "mixed": (some, np.where(np.arange(D) % 4 == 0, 0.0, np.inf)),
    }[kind]


@pytest.mark.parametrize("kind", ["free", "non-negative", "box", "mixed"])
@pytest.mark.parametrize("seed", range(4))
def test_active_sets_find_what_sweeps_find(kind: str, seed: int) -> None:
    hessian, gradient = parabola(seed)
    rng = np.random.default_rng(seed)
    lower, upper = bounds(kind)
    for strength in (0.0, 0.01, 0.1, 1.0):
        l1 = strength * np.where(np.arange(D) % 5 == 0, 0.0, 1 + rng.random(D))
        kinks = Kinks(l1, lower, upper)
        for start in (np.zeros(D), rng.normal(size=D)):
            # The gradient is that at the start.
            here = gradient + hessian @ start
            found = minimize_on_sets(hessian, here, start, kinks)
            assert found is not None
            swept = _by_coordinates(hessian, here, start, kinks)
            np.testing.assert_allclose(found, swept, atol=1e-10)
            left = pull(gradient + hessian @ found, found, kinks)
            assert np.abs(left).max() <= 1e-12
            assert (found >= lower).all() and (found <= upper).all()


def test_dependent_columns_are_left_to_sweeps() -> None:
    """Two columns are one: no set of equations has one solution."""
    hessian, gradient = parabola(1)
    hessian[:, 1], gradient[1] = hessian[:, 0], gradient[0]
    hessian[1] = hessian[0]
    kinks = Kinks(np.full(D, 0.01), -FREE, FREE)
    found = minimize_kinked(hessian, gradient, np.zeros(D), kinks)
    assert np.abs(pull(gradient + hessian @ found, found, kinks)).max() <= 1e-10


@pytest.mark.parametrize("kind", ["free", "non-negative"])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_each_point_of_a_path_is_a_minimum(kind: str, l2: float) -> None:
    hessian, gradient = parabola(2)
    factors = np.where(np.arange(D) == 3, 0.0, 1.0)
    lower, upper = bounds(kind)
    penalty = PathPenalty((1 - l2) * factors, l2 * factors, lower, upper)
    held = np.where(factors > 0, 0.0, lower), np.where(factors > 0, 0.0, upper)
    zeros = np.zeros(D)
    (begin,) = walk_path(hessian, gradient, zeros, PathPenalty(zeros, zeros, *held), np.ones(1))
    largest = largest_alpha(gradient + hessian @ begin, begin, penalty)
    alphas = alpha_grid(largest, 30, 1e-3)
    points = list(walk_path(hessian, gradient, zeros, penalty, alphas))
    for alpha, point in zip(alphas, points, strict=True):
        left = penalty.times(alpha).residual(point, gradient + hessian @ point)
        assert np.abs(left).max() <= 1e-12
    assert np.abs(points[0][factors > 0]).max() <= 1e-12, "at the first alpha all are 0"
    assert np.count_nonzero(points[1][factors > 0]), "and not far below it"
    assert alphas[-1] == pytest.approx(1e-3 * largest)
