"""Random rows, the same on any number of ranks, and ways to compute their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import Reduction, World
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.grid import RowGrid
from mpi_gd.data.names import default_names
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, Scaling
from mpi_gd.penalties import L2
from mpi_gd.trainer import N_VOTES

__all__ = ["RandomRows", "random_rows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RandomRows:
    """A rank's rows, and ways to compute their gradient."""

    world: World
    x: NDArray[Any]
    """(n_rows, n_features): the rows, as NumPy users hold them."""
    rows: Rows
    loss: Loss

    def objective(self, reduction: Reduction) -> Objective:
        """Return our objective in the data's own coordinates."""
        n = self.rows.x.shape[1]
        ones, zeros = np.ones(n), np.zeros(n)
        n_samples = self.rows.grid.n_samples
        scaling = Scaling(zeros, ones, float(n_samples), n_samples, False, ones, ones)
        return Objective(
            self.world,
            self.rows,
            self.loss,
            L2().bind(default_names(n), ones),
            scaling,
            reduction=reduction,
            n_votes=N_VOTES,
        )

    def naive(self, u: Floats) -> Floats:
        """Return the gradient as it is usually written: two passes over X, whole-block arrays."""
        x, target = self.x, self.rows.target
        z = x @ u[:-1].astype(x.dtype) + u[-1]
        if self.loss.is_classifier:
            r = target / (1.0 + np.exp(-target * z))
            value = np.logaddexp(0.0, target * z).sum()
        else:
            r = z - target
            value = 0.5 * np.square(r).sum()
        message = np.concatenate([x.T @ r.astype(x.dtype), [r.sum(), value]]).astype(np.float64)
        self.world.allreduce_sum(message)
        return message

    def roof(self, u: Floats) -> Floats:
        """Read X once: z = X @ w."""
        return np.asarray(self.x @ u[:-1].astype(self.x.dtype))


def random_rows(
    world: World, n_rows: int, n_columns: int, type_: str, loss_kind: str
) -> RandomRows:
    """Make this rank's rows, the same on any number of ranks."""
    dtype = np.dtype(type_)
    grid = RowGrid(n_rows, n_columns, dtype.itemsize)
    first, last = grid.tiles_of(world.rank, world.size)
    start, stop = grid.rows_of(world.rank, world.size)
    with world.phase("making random data"):
        x = aligned_empty((stop - start, n_columns), dtype)
        y = np.empty(stop - start)
        for tile in range(first, last):
            random = np.random.Generator(np.random.Philox(key=[0, tile]))
            begin, end = (row - start for row in grid.tile_bounds(tile))
            x[begin:end] = random.standard_normal((end - begin, n_columns), dtype=np.float32)
            y[begin:end] = x[begin:end, 0] + random.standard_normal(end - begin) > 0
    loss = LOSSES[loss_kind]()
    return RandomRows(world, x, Rows(grid, first, last, Dense(x), loss.encode(y)), loss)
