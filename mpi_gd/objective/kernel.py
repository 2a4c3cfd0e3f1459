"""Loss, gradient and Hessian of rows in one read of X.

A block of about 1.6 MB is brought into the cache, and all products with it, X_t w, r X_t and
X_t' h X_t, are done while it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.losses import Loss
from mpi_gd.matrix import Block
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["COUNT", "LOSS", "N_SUMS", "RESIDUAL", "WEIGHT", "Curvature", "Kernel"]

# What the rows of a Gram matrix are weighed with: h (n,) or (n, K, K) of a block's z, target and
# weight. With K outputs the numbers off the diagonal must not be positive.
Curvature = Callable[[Floats, Floats, NDArray[Any] | None], Floats]

# What follows the gradient (d, K) and the intercepts' derivatives (K,) in a row of partial sums:
# the loss, the squares of its derivatives, the weights, the number of rows that have one.
LOSS, RESIDUAL, WEIGHT, COUNT = -4, -3, -2, -1
N_SUMS = 4


class Kernel:
    """The sums over rows that answers are made of, at coefficients w and intercepts b.

    With one output w is (d,) and b a number; with K outputs they are (d, K) and (K,).
    """

    def __init__(
        self, rows: Rows, loss: Loss, n_outputs: int = 1, shift: Floats | None = None
    ) -> None:
        """Allocate a block's scratch; `shift` (d,) is subtracted from every row of X."""
        self._rows, self.loss, self._n_outputs = rows, loss, n_outputs
        self.curvature: Curvature = self._second_derivative
        n_rows, d = rows.grid.block_rows, rows.x.shape[1]
        shape = () if n_outputs == 1 else (n_outputs,)
        self._reader = rows.x.reader(n_rows, shift)
        self._z = np.empty((n_rows, *shape))
        self._shape = (d, *shape)
        self.width = (d + 1) * n_outputs + N_SUMS
        n_pairs = n_outputs * (n_outputs + 1) // 2
        self.hessian_width = n_pairs * (d * (d + 1) // 2 + d + 1)
        self._tiles = list(rows.tiles())

    def tiles(self, w: Floats, b: float | Floats, out: Floats) -> None:
        """Put each tile's sums into a row of `out` (n_tiles, width)."""
        for (start, stop), sums in zip(self._tiles, out, strict=True):
            self.rows(start, stop, w, b, sums)

    def rows(self, start: int, stop: int, w: Floats, b: float | Floats, sums: Floats) -> None:
        """Put the sums over local rows [start, stop) into `sums`, block by block.

        `sums` is (width,), or (width + hessian_width,): then the sums for the Hessian follow.
        """
        sums[:] = 0.0
        first_sums = sums[: self.width]
        end = self._shape[0] * self._n_outputs
        gradient = sums[:end].reshape(self._shape)
        hessian = _Hessian(self._shape, self._n_outputs) if len(sums) > self.width else None
        target = self._rows.target
        for first, last in self._rows.blocks(start, stop):
            block = self._reader.block(first, last)
            z = self._z[: last - first]
            self._predict(block, w, b, z, first, last)
            if hessian:
                weight = self._weight(first, last)
                hessian.add(block, self.curvature(z, target[first:last], weight))
            self._derive(z, first, last, first_sums[end:])
            block.add_transposed_times(z, gradient)
        if hessian:
            hessian.pack(sums[self.width :])

    def derivatives(
        self, pieces: Sequence[tuple[int, int]], w: Floats, b: float | Floats, rest: Floats
    ) -> Floats:
        """Return the weighted dloss/dz of the pieces' rows, (n,) or (n, K).

        `rest` (n_pieces, K + N_SUMS) gets what follows the gradient in a row of partial sums.
        """
        r = np.empty((sum(stop - start for start, stop in pieces), *self._shape[1:]))
        rest[:] = 0.0
        place = 0
        for (start, stop), sums in zip(pieces, rest, strict=True):
            for first, last in self._rows.blocks(start, stop):
                z = r[place : place + last - first]
                self._predict(self._reader.block(first, last), w, b, z, first, last)
                self._derive(z, first, last, sums)
                place += last - first
        return r

    def _weight(self, first: int, last: int) -> NDArray[Any] | None:
        """Return the rows' weights, or None."""
        return None if self._rows.weight is None else self._rows.weight[first:last]

    def _derive(self, z: Floats, first: int, last: int, rest: Floats) -> None:
        """Replace z by the weighted dloss/dz; add what follows the gradient to `rest`."""
        weight = self._weight(first, last)
        rest[LOSS] += self.loss.sum_and_derivative(z, self._rows.target[first:last], weight)
        flat = z.reshape(-1)
        if self._n_outputs == 1:
            rest[0] += np.add.reduce(z)
        else:
            rest[: self._n_outputs] += np.add.reduce(z, axis=0)
        rest[RESIDUAL] += np.dot(flat, flat)
        if weight is None:
            rest[WEIGHT] += last - first
            rest[COUNT] += last - first
        else:
            rest[WEIGHT] += np.add.reduce(weight, dtype=np.float64)
            rest[COUNT] += np.count_nonzero(weight)

    def predictor(self, w: Floats, b: float | Floats) -> Floats:
        """Return z = X w + b + offset of all local rows, (n_rows,) or (n_rows, K)."""
        z = np.empty((len(self._rows.x), *self._shape[1:]))
        for start, stop in self._rows.tiles():
            for first, last in self._rows.blocks(start, stop):
                block = self._reader.block(first, last)
                self._predict(block, w, b, z[first:last], first, last)
        return z

    def residuals(
        self, w: Floats, b: float | Floats, loss: Loss
    ) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield a block's first local row, its X (n, d) and its weighted dloss/dz."""
        for start, stop in self._tiles:
            for first, last in self._rows.blocks(start, stop):
                block = self._reader.block(first, last)
                z = np.empty((last - first, *self._shape[1:]))
                self._predict(block, w, b, z, first, last)
                weight = self._rows.weight
                weight = None if weight is None else weight[first:last]
                loss.sum_and_derivative(z, self._rows.target[first:last], weight)
                yield first, block.dense(), z

    def _second_derivative(self, z: Floats, target: Floats, weight: NDArray[Any] | None) -> Floats:
        """Return the curvature of the Hessian."""
        h = self.loss.second_derivative(z, target)
        return h if weight is None else (h.T * weight).T

    def _predict(
        self, block: Block, w: Floats, b: float | Floats, z: Floats, first: int, last: int
    ) -> None:
        """Put the linear predictor of a block into z."""
        block.times(w, z)
        z += b
        if self._rows.offset is not None:
            offset = self._rows.offset[first:last]
            z += offset if z.ndim == 1 else offset[:, None]


class _Hessian:
    """Sums of h x x', h x and h, for each pair of outputs j <= k."""

    def __init__(self, shape: tuple[int, ...], n_outputs: int) -> None:
        d = shape[0]
        self._pairs = [(j, k) for j in range(n_outputs) for k in range(j, n_outputs)]
        self._upper = np.triu_indices(d)
        self._grams = np.zeros((len(self._pairs), d, d))
        self._firsts = np.zeros((len(self._pairs), d))
        self._zeroths = np.zeros(len(self._pairs))

    def add(self, block: Block, h: Floats) -> None:
        """Add a block's, h (n,) or (n, K, K).

        Off the diagonal h is not positive: its negative is summed. Where z is not finite, neither
        is h, and all is lost anyway.
        """
        for place, (j, k) in enumerate(self._pairs):
            each = h if h.ndim == 1 else np.abs(h[:, j, k])
            block.add_gram(each, self._grams[place])
            block.add_transposed_times(each, self._firsts[place])
            self._zeroths[place] += np.add.reduce(each)

    def pack(self, out: Floats) -> None:
        """Write one number for each pair of equal ones."""
        n = len(self._upper[0])
        sums = out.reshape(len(self._pairs), -1)
        for place in range(len(self._pairs)):
            sums[place, :n] = self._grams[place][self._upper]
        sums[:, n:-1] = self._firsts
        sums[:, -1] = self._zeroths
