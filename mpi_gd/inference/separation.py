"""Labels that the features tell apart: the coefficients then have no finite optimum.

A maximum likelihood estimate exists unless some direction d moves the margin of no row back and
that of some row forward (Albert and Anderson, "On the Existence of Maximum Likelihood Estimates in
Logistic Regression Models", Biometrika 71(1), 1984). Where a training has ended on the way along
such a direction, the next step of Newton's method is one: it moves the rows that are told apart by
about 1 in z, all others hardly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.objective import Objective, Rows
from mpi_gd.solvers import Question, least_squares_step

__all__ = ["find_separation"]

Floats = NDArray[np.float64]

# Only where some row's margin is above this can a direction have grown without end.
_FAR = 8.0
# The margins that go forward, and the share of them by which others may go back.
_FORWARD, _BACK = 0.3, 1e-2
# A column takes part if its coefficient moves by this share of the largest move.
_PART = 0.05


def find_separation(
    world: World, objective: Objective, rows: Rows, u: Floats, labels: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return the columns whose coefficients at u grow without end, None if there are none.

    `labels` (n_rows,) are the places of the local rows' labels among the classes. Collective.
    """
    z = objective.predictor(u)
    margins = _margins(z, labels)
    counted = np.ones(len(labels), dtype=bool) if rows.weight is None else rows.weight > 0
    widest = np.array([margins[counted].max(initial=-np.inf)])
    world.allreduce_max(widest)
    if not widest[0] > _FAR:
        return None
    answer = objective.answer(Question(u, hessian=True)).answer
    if answer.hessian is None or not answer.is_finite:
        return None
    n_outputs = 1 if z.ndim == 1 else z.shape[1]
    direction = least_squares_step(answer.hessian, answer.gradient, n_outputs)
    moves = _moves(objective.predictor(u + direction) - z, labels)[counted]
    ends = np.array([moves.max(initial=-np.inf), -moves.min(initial=np.inf)])
    world.allreduce_max(ends)
    forward, back = ends
    if not (forward > _FORWARD and back < _BACK * forward):
        return None
    sizes = np.abs(direction[:-n_outputs]).reshape(-1, n_outputs).max(axis=1)
    return np.flatnonzero(sizes > _PART * sizes.max(initial=0.0))


def _margins(z: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return by how much each row's own label is ahead of the next, (n_rows,)."""
    if z.ndim == 1:
        return np.asarray(np.where(labels == 1, z, -z))
    own, others = _own_and_others(z, labels)
    return np.asarray(own - others.max(axis=1))


def _moves(change: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return by how much each row's own label gains on every other, (n_rows,) or (n_rows, K-1)."""
    if change.ndim == 1:
        return np.asarray(np.where(labels == 1, change, -change))
    own, others = _own_and_others(change, labels)
    return np.asarray(own[:, None] - others)


def _own_and_others(z: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return z of the rows' own labels (n_rows,), and of all others (n_rows, K - 1)."""
    n, k = z.shape
    is_own = labels[:, None] == np.arange(k)
    return z[is_own], z[~is_own].reshape(n, k - 1)
