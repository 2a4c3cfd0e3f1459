"""A dual point for losses with kinks, from where the smoothed loss is least.

At the minimum many rows are at a kink, and which slope each must have there the loss does not say.
The smoothed loss does: r are its derivatives at its own minimum, near by, all within the slopes of
the loss itself. What is left of the gradients of parameters that are free is made up for exactly:

    r' = r - D B a,    B'D B a = B'r,

B the free parameters' columns, D how far each r is from the ends of the slopes: so r' keeps within
them if |B a| <= 1. That changes the rows at kinks, and no others. A few reads of the rows, at the
end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.losses.kinked import Kinked
from mpi_gd.losses.rowwise import Rowwise
from mpi_gd.objective.kernel import Curvature
from mpi_gd.objective.objective import Objective
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.start import weighted_means
from mpi_gd.solvers import Step

__all__ = ["KinkedDual", "find_kinked_dual"]

# Rows at kinks whose columns are nearly dependent cannot make up for all gradients.
_FLAT = 1e-11


@dataclass(frozen=True, eq=False)
class KinkedDual:
    """A point r of a loss with kinks, (n_rows,) on all ranks."""

    gradient: Floats
    """(n_params,): the mean of r x, x in the solver's coordinates; that of free ones is 0."""
    excess: float
    """The mean of loss(z) + loss*(r) - r z: by which the loss is above what r makes of it."""


def find_kinked_dual(
    world: World,
    rows: Rows,
    loss: Kinked,
    objective: Objective,
    step: Step,
    softened: tuple[Floats, float],
    bare: NDArray[np.bool_],
) -> KinkedDual | None:
    """Return a dual point for an iterate, from a smoothed one and its width; None without.

    `bare` (n_params,) says which parameters are neither held nor penalized nor bounded; collective.
    """
    u, width = softened
    smoothed = cast(Rowwise, loss.smoothed(width))
    r = objective.predictor(u)
    smoothed.sum_and_derivative(r, rows.target, None)
    places = np.flatnonzero(bare)
    if places.size and not _mend(world, rows, loss, objective, (u, smoothed), r, places):
        return None
    gradient = objective.transposed(r)
    gradient[places] = 0.0
    z = objective.predictor(step.u)
    # An iterate of the smoothed loss is told with the smoothed objective, which is larger.
    more = np.zeros_like(z)
    if step.is_smoothed:
        more = smoothed.rows(z.copy(), rows.target) - loss.rows(z.copy(), rows.target)
    excess, above = weighted_means(world, rows, np.stack([loss.slack(z, rows.target, r), more]))
    return KinkedDual(gradient, max(excess, 0.0) + max(above, 0.0))


def _mend(
    world: World,
    rows: Rows,
    loss: Kinked,
    objective: Objective,
    at: tuple[Floats, Rowwise],
    r: Floats,
    places: NDArray[np.int64],
) -> bool:
    """Make the gradients at `places` 0 by changing r; tell whether that went; collective."""
    u, smoothed = at
    room = _room(loss, r, rows.target)
    left = objective.transposed(r)[places]
    if places.tolist() == [objective.n_params - 1]:
        squares = np.array([weighted_means(world, rows, room[None])])
    else:
        squares = objective.gram(u, _curvature(loss, smoothed))[np.ix_(places, places)]
        squares /= objective.weight
    values, vectors = np.linalg.eigh(squares)
    if not values[0] > _FLAT * values[-1]:
        return False
    point = np.zeros(objective.n_params)
    point[places] = (vectors / values) @ (vectors.T @ left)
    share = objective.predictor(point)
    if rows.offset is not None:
        share -= rows.offset
    used = np.ones(len(r), dtype=bool) if rows.weight is None else rows.weight > 0
    largest = np.array([np.abs(share[used]).max(initial=0.0)])
    world.allreduce_max(largest)
    r -= room * share
    return bool(largest[0] <= 1.0)


def _room(loss: Kinked, r: Floats, target: Floats) -> Floats:
    """Return by how much r may change both ways, (n,)."""
    low, high = loss.slopes(target)
    return np.maximum(np.minimum(r - low, high - r), 0.0)


def _curvature(loss: Kinked, smoothed: Rowwise) -> Curvature:
    """Return what weighs the rows of a Gram matrix by their room."""

    def curvature(z: Floats, target: Floats, weight: NDArray[Any] | None) -> Floats:
        r = z.copy()
        smoothed.sum_and_derivative(r, target, None)
        room = _room(loss, r, target)
        return room if weight is None else np.where(weight > 0, room * weight, 0.0)

    return curvature
