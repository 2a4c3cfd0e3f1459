"""Where a training begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.losses import Loss
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.scaling import Scaling

__all__ = ["find_start"]


def find_start(
    world: World,
    rows: Rows,
    y: Floats,
    loss: Loss,
    scaling: Scaling,
    free: NDArray[np.bool_],
) -> Floats:
    """Return u (n_params,) of the model that knows the mean response alone; collective.

    With a loss whose predictors are limited, or whose curvature grows, it is a point that makes
    sense, as 0 may not.
    """
    start = np.zeros(len(free))
    if scaling.n_outputs > 1 or not free[-1]:
        return start
    offset = np.zeros(len(y)) if rows.offset is None else rows.offset
    weight = np.ones(len(y)) if rows.weight is None else rows.weight * 1.0
    is_used = weight > 0
    columns = np.stack([np.where(is_used, y, 0.0), np.where(is_used, offset, 0.0), is_used * 1.0])
    columns *= weight
    partials = np.zeros((rows.n_tiles, 3))
    for sums, (first, last) in zip(partials, rows.tiles(), strict=True):
        sums[:] = np.add.reduce(columns[:, first:last], axis=1)
    total = TileSum(world, rows.grid.n_tiles, 3).sum(partials)
    start[-1] = loss.start(float(total[0] / total[2])) - float(total[1] / total[2])
    return start
