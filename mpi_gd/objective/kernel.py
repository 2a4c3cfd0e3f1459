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
from mpi_gd.objective.hessian import Factors, Hessian
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["COUNT", "LOSS", "N_SUMS", "RESIDUAL", "WEIGHT", "Curvature", "Kernel", "Residual"]

# What the rows of a Gram matrix are weighed with: h (n,) or (n, K, K) of a block's z, target and
# weight. With K outputs the numbers off the diagonal must not be positive.
Curvature = Callable[[Floats, Floats, NDArray[Any] | None], Floats]

Point = tuple[Floats, float | Floats]

# What X' is multiplied by in a block, (n,) or (n, K), from the block, its first row and one past
# its last one, and room for it. What follows the gradient in a row of partial sums is added to the
# next argument, and what the Hessian is made of to the last one.
Residual = Callable[[Block, int, int, Floats, Floats, Hessian | None], Floats]

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
        self._rows, self.loss, self.n_outputs = rows, loss, n_outputs
        self.curvature: Curvature = self._second_derivative
        n_rows, d = rows.grid.block_rows, rows.x.shape[1]
        shape = () if n_outputs == 1 else (n_outputs,)
        self._reader = rows.x.reader(n_rows, shift)
        self._z = np.empty((n_rows, *shape))
        self._shape = (d, *shape)
        self.width = (d + 1) * n_outputs + N_SUMS
        n_pairs = n_outputs * (n_outputs + 1) // 2
        self.hessian_width = n_pairs * (d * (d + 1) // 2 + d + 1)
        self.factors_width = d * (d + 1) // 2 + d + 1 + n_outputs * n_outputs
        self._seen: dict[int, Floats] = {}
        self._point: Point = np.empty(0), 0.0

    def expect(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Hear which local rows come next."""
        self._reader.expect(pieces)

    def rows(self, start: int, stop: int, residual: Residual, sums: Floats) -> None:
        """Put the sums over local rows [start, stop) into `sums`, block by block.

        `sums` is (width,), or (width + hessian_width,): then the sums for the Hessian follow; or
        (width + factors_width,): those for its Kronecker factors.
        """
        sums[:] = 0.0
        end = self._shape[0] * self.n_outputs
        gradient, rest = sums[:end].reshape(self._shape), sums[end : self.width]
        hessian = self._hessian(len(sums) - self.width)
        for first, last in self._rows.blocks(start, stop):
            block = self._reader.block(first, last)
            r = residual(block, first, last, self._z[: last - first], rest, hessian)
            block.add_transposed_times(r, gradient)
        if hessian:
            hessian.pack(sums[self.width :])

    def residuals(
        self, pieces: Sequence[tuple[int, int]], residual: Residual, rest: Floats
    ) -> Floats:
        """Return what X' is multiplied by in the pieces' rows, (n,) or (n, K).

        `rest` (n_pieces, K + N_SUMS) gets what follows the gradient in a row of partial sums.
        """
        r = np.empty((sum(stop - start for start, stop in pieces), *self._shape[1:]))
        rest[:] = 0.0
        self.expect(pieces)
        place = 0
        for (start, stop), sums in zip(pieces, rest, strict=True):
            for first, last in self._rows.blocks(start, stop):
                block = self._reader.block(first, last)
                z = self._z[: last - first]
                r[place : place + last - first] = residual(block, first, last, z, sums, None)
                place += last - first
        return r

    def gradient_at(self, here: Point) -> Residual:
        """Return what makes the loss's derivatives at a point, and adds up for its Hessian."""

        def residual(
            block: Block, first: int, last: int, z: Floats, rest: Floats, hessian: Hessian | None
        ) -> Floats:
            self._predict(block, here, z, first, last)
            target, weight = self._rows.target[first:last], self._weight(first, last)
            if hessian:
                hessian.add(block, self.curvature(z, target, weight))
            rest[LOSS] += self.loss.sum_and_derivative(z, target, weight)
            return self._counted(z, first, last, rest)

        return residual

    def change(self, here: Point, there: Point) -> Residual:
        """Return what makes the derivatives at `here` less those at `there`; the loss of `here`."""
        room = np.empty_like(self._z)

        def residual(
            block: Block, first: int, last: int, z: Floats, rest: Floats, _: Hessian | None
        ) -> Floats:
            other = room[: last - first]
            self._predict(block, here, z, first, last)
            self._predict(block, there, other, first, last)
            target, weight = self._rows.target[first:last], self._weight(first, last)
            rest[LOSS] += self.loss.sum_and_derivative(z, target, weight)
            self.loss.sum_and_derivative(other, target, weight)
            z -= other
            return self._counted(z, first, last, rest)

        return residual

    def product(self, here: Point, along: Point) -> Residual:
        """Return what makes h (x.v + c) of each row, h that at `here`, v and c those of `along`.

        Predictors are kept for more than one product at a point.
        """
        if not all(map(np.array_equal, self._point, here)):
            self._seen, self._point = {}, (here[0].copy(), here[1])
        v, c = along

        def residual(
            block: Block, first: int, last: int, move: Floats, rest: Floats, _: Hessian | None
        ) -> Floats:
            z = self._seen.get(first)
            if z is None or len(z) != last - first:
                z = self._seen[first] = np.empty((last - first, *self._shape[1:]))
                self._predict(block, here, z, first, last)
            block.times(v, move)
            move += c
            bent = self.loss.bend(z, self._rows.target[first:last], move)
            weight = self._weight(first, last)
            if weight is not None:
                bent = np.where(weight > 0, bent.T * weight, 0.0).T
            return self._counted(bent, first, last, rest)

        return residual

    def given(self, r: Floats) -> Residual:
        """Return what brings numbers of the local rows, times the weights."""

        def residual(
            block: Block, first: int, last: int, z: Floats, rest: Floats, _: Hessian | None
        ) -> Floats:
            np.copyto(z, r[first:last])
            weight = self._weight(first, last)
            if weight is not None:
                np.copyto(z, np.where(weight > 0, z.T * weight, 0.0).T)
            return self._counted(z, first, last, rest)

        return residual

    def _hessian(self, width: int) -> Hessian | None:
        """Return what adds up `width` numbers for the Hessian."""
        if not width:
            return None
        if width == self.hessian_width:
            return Hessian(self._shape, self.n_outputs)
        return Factors(self._shape, self.n_outputs)

    def _weight(self, first: int, last: int) -> NDArray[Any] | None:
        """Return the rows' weights, or None."""
        return None if self._rows.weight is None else self._rows.weight[first:last]

    def _counted(self, r: Floats, first: int, last: int, rest: Floats) -> Floats:
        """Return r, when its sums, the rows and their weight have been added to `rest`."""
        flat = r.reshape(-1)
        if self.n_outputs == 1:
            rest[0] += np.add.reduce(r)
        else:
            rest[: self.n_outputs] += np.add.reduce(r, axis=0)
        rest[RESIDUAL] += np.dot(flat, flat)
        weight = self._weight(first, last)
        if weight is None:
            rest[WEIGHT] += last - first
            rest[COUNT] += last - first
        else:
            rest[WEIGHT] += np.add.reduce(weight, dtype=np.float64)
            rest[COUNT] += np.count_nonzero(weight)
        return r

    def predictor(self, w: Floats, b: float | Floats) -> Floats:
        """Return z = X w + b + offset of all local rows, (n_rows,) or (n_rows, K)."""
        z = np.empty((len(self._rows.x), *self._shape[1:]))
        self.expect(list(self._rows.tiles()))
        for start, stop in self._rows.tiles():
            for first, last in self._rows.blocks(start, stop):
                block = self._reader.block(first, last)
                self._predict(block, (w, b), z[first:last], first, last)
        return z

    def scores(
        self, w: Floats, b: float | Floats, loss: Loss
    ) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield a block's first local row, its X (n, d) and its weighted dloss/dz."""
        self.expect(list(self._rows.tiles()))
        for start, stop in self._rows.tiles():
            for first, last in self._rows.blocks(start, stop):
                block = self._reader.block(first, last)
                z = np.empty((last - first, *self._shape[1:]))
                self._predict(block, (w, b), z, first, last)
                weight = self._weight(first, last)
                loss.sum_and_derivative(z, self._rows.target[first:last], weight)
                yield first, block.dense(), z

    def _second_derivative(self, z: Floats, target: Floats, weight: NDArray[Any] | None) -> Floats:
        """Return the curvature of the Hessian."""
        h = self.loss.second_derivative(z, target)
        return h if weight is None else (h.T * weight).T

    def _predict(self, block: Block, here: Point, z: Floats, first: int, last: int) -> None:
        """Put the linear predictor of a block into z."""
        w, b = here
        block.times(w, z)
        z += b
        if self._rows.offset is not None:
            offset = self._rows.offset[first:last]
            z += offset if z.ndim == 1 else offset[:, None]
