"""Loss and gradient of rows in one read of X.

A block of about 1.6 MB is brought into the cache, and both products with it, X_t w and r X_t, are
done while it is there.
"""

from __future__ import annotations

import numpy as np

from mpi_gd.losses import Loss
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["LOSS", "N_SUMS", "RESIDUAL", "WEIGHT", "Kernel"]

# What follows the gradient (d,) and the intercept's derivative in a row of partial sums: the
# loss, the squares of its derivatives, the weights.
LOSS, RESIDUAL, WEIGHT = -3, -2, -1
N_SUMS = 4
# Rows that fit the last level of cache need not be fetched ahead.
_FETCH_BYTES = 16 << 20
_CACHE_LINE = 64


class Kernel:
    """The sums over rows that a gradient is made of, at coefficients w and intercept b."""

    def __init__(self, rows: Rows, loss: Loss, shift: Floats | None = None) -> None:
        """Allocate a block's scratch; `shift` (d,) is subtracted from every row of X."""
        self._rows, self._loss, self._shift = rows, loss, shift
        n_rows, n_features = rows.grid.block_rows, rows.x.shape[1]
        self.width = n_features + N_SUMS
        self._tiles = list(rows.tiles())
        self._z = np.empty(n_rows)
        self._sum = np.empty(n_features)
        is_copied = shift is not None or rows.x.dtype != np.float64
        self._copy = np.empty((n_rows, n_features)) if is_copied else None
        self._is_fetched = not is_copied and rows.x.nbytes > _FETCH_BYTES

    def tiles(self, w: Floats, b: float, out: Floats) -> None:
        """Put each tile's sums into a row of `out` (n_tiles, width)."""
        for (start, stop), sums in zip(self._tiles, out, strict=True):
            self.rows(start, stop, w, b, sums)

    def rows(self, start: int, stop: int, w: Floats, b: float, sums: Floats) -> None:
        """Put the sums over local rows [start, stop) into `sums` (width,), block by block."""
        sums[:] = 0.0
        n_features = len(w)
        target, mask = self._rows.target, self._rows.mask
        for first, last in self._rows.blocks(start, stop):
            x = self._block(first, last)
            z = self._z[: last - first]
            np.dot(x, w, out=z)
            z += b
            weight = None if mask is None else mask[first:last]
            sums[LOSS] += self._loss.sum_and_derivative(z, target[first:last], weight)
            np.dot(z, x, out=self._sum)
            sums[:n_features] += self._sum
            sums[n_features] += np.add.reduce(z)
            sums[RESIDUAL] += np.dot(z, z)
            sums[WEIGHT] += last - first if weight is None else np.count_nonzero(weight)

    def predictor(self, w: Floats, b: float) -> Floats:
        """Return z = X w + b of all local rows, (n_rows,)."""
        z = np.empty(len(self._rows.x))
        for start, stop in self._rows.tiles():
            for first, last in self._rows.blocks(start, stop):
                np.dot(self._block(first, last), w, out=z[first:last])
        z += b
        return z

    def _block(self, first: int, last: int) -> Floats:
        """Return rows of X as float64, shifted, in the cache."""
        x = self._rows.x[first:last]
        if self._copy is None:
            if self._is_fetched:
                # Touch one number a cache line: a plain stream of loads runs at the speed of the
                # memory, where the matrix product alone, which computes between its loads, gets
                # half of it. What the product then reads is in the cache.
                lines = x.reshape(-1)[:: _CACHE_LINE // x.itemsize]
                np.dot(lines, lines)
            return x
        copy = self._copy[: last - first]
        if self._shift is None:
            np.copyto(copy, x)
        else:
            np.subtract(x, self._shift, out=copy)
        return copy
