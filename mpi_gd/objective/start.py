"""Where a training begins, and how large its residuals are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.losses import Loss
from mpi_gd.objective.gram import Gram
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.scaling import Scaling

__all__ = ["find_spread", "find_start", "weighted_means"]


def find_start(
    world: World,
    rows: Rows,
    y: Floats,
    loss: Loss,
    scaling: Scaling,
    free: NDArray[np.bool_],
    known: Gram | None = None,
) -> Floats:
    """Return u (n_params,) of the model that knows the mean response alone; collective.

    With a loss whose predictors are limited, or whose curvature grows, it is a point that makes
    sense, as 0 may not. Where the second moments are known, no row is read.
    """
    start = np.zeros(len(free))
    if scaling.n_outputs > 1 or not free[-1]:
        return start
    if known is not None:
        start[-1] = known.target_mean()
        return start
    offset = np.zeros(len(y)) if rows.offset is None else rows.offset
    mean, mean_offset = weighted_means(world, rows, np.stack([y, offset]))
    start[-1] = loss.start(mean) - mean_offset
    return start


def find_spread(world: World, rows: Rows, y: Floats) -> float:
    """Return the mean distance of a response from its mean, 1 where there is none; collective."""
    (mean,) = weighted_means(world, rows, y[None])
    (spread,) = weighted_means(world, rows, np.abs(y - mean)[None])
    return spread or 1.0


def weighted_means(world: World, rows: Rows, values: Floats) -> list[float]:
    """Return the weighted means of `values` (k, n_rows) over all ranks' rows; collective."""
    weight = np.ones(values.shape[1]) if rows.weight is None else rows.weight * 1.0
    is_used = weight > 0
    terms = np.vstack([np.where(is_used, values * weight, 0.0), weight])
    partials = np.zeros((rows.n_tiles, len(terms)))
    for sums, (first, last) in zip(partials, rows.tiles(), strict=True):
        sums[:] = np.add.reduce(terms[:, first:last], axis=1)
    total = TileSum(world, rows.grid.n_tiles, len(terms)).sum(partials)
    return [float(value / total[-1]) for value in total[:-1]]
