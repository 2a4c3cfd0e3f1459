"""The objectives, evaluated for everybody's coefficients alike: NumPy in float64, nothing of ours.

What is compared is the relative gap (F - best) / |best| between a contender's objective and the
least that any of them reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.problems import Kind, Problem

__all__ = ["alphas_of", "gap", "mean_loss", "objectives"]

Floats = NDArray[np.float64]
_PART = 50_000


def mean_loss(kind: Kind, y: Floats, z: Floats) -> float:
    """Return the mean loss of linear predictors z, (n,), or (n, K) for classes y = 0 ... K - 1."""
    return _sum_of_losses(kind, y, z) / len(y)


def _sum_of_losses(kind: Kind, y: Floats, z: Floats) -> float:
    """Return the sum of the losses."""
    if kind == "logistic":
        return float(np.sum(np.logaddexp(0.0, z) - y * z))
    if kind == "squared":
        return float(0.5 * np.sum(np.square(y - z)))
    if kind == "poisson":
        return float(np.sum(np.exp(z) - y * z))
    top = z.max(axis=1)
    own = z[np.arange(len(z)), y.astype(np.intp)]
    return float(np.sum(top - own + np.log(np.exp(z - top[:, None]).sum(axis=1))))


def alphas_of(problem: Problem, x: Any, y: Floats) -> Floats:
    """Return the penalties of a path: from the least at which all coefficients are 0, downward."""
    largest = float(np.abs(y @ x).max()) / len(y)
    return np.asarray(largest * np.geomspace(1.0, problem.alpha, problem.n_alphas))


def objectives(problem: Problem, x: Any, y: Floats, coef: Floats, intercept: Any) -> Floats:
    """Return F, (1,); of a path all, (n_alphas,), for coef (n_columns, n_alphas).

    `coef` is (n_columns,), or (n_columns, K) of K classes, with `intercept` (K,). The intercept has
    no penalty.
    """
    coefs = coef.reshape(problem.n_columns, -1)
    totals = np.zeros(problem.n_alphas or 1)
    for first in range(0, len(y), _PART):
        part = slice(first, first + _PART)
        z = np.asarray(x[part] @ coefs) + intercept
        if problem.n_alphas:
            totals += 0.5 * np.square(y[part, None] - z).sum(axis=0)
        else:
            z = z if problem.loss == "multinomial" else z[:, 0]
            totals += _sum_of_losses(problem.loss, y[part], z)
    means = totals / len(y)
    if problem.n_alphas:
        return np.asarray(means + alphas_of(problem, x, y) * np.abs(coefs).sum(axis=0))
    return np.asarray(means + 0.5 * problem.alpha * np.sum(np.square(coefs)))


def gap(values: Floats, best: Floats) -> float:
    """Return the relative gap; of a path the largest."""
    return float(np.max((values - best) / np.abs(best)))
