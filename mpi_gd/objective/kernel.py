"""Loss, gradient and Hessian of rows in one read of X.

A block of about 1.6 MB is brought into the cache, and all products with it, X_t w, r X_t and
X_t' h X_t, are done while it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

_Point = tuple[Floats, float | Floats]

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
        self._other: Floats | None = None
        self._shape = (d, *shape)
        self.width = (d + 1) * n_outputs + N_SUMS
        n_pairs = n_outputs * (n_outputs + 1) // 2
        self.hessian_width = n_pairs * (d * (d + 1) // 2 + d + 1)
        self.factors_width = d * (d + 1) // 2 + d + 1 + n_outputs * n_outputs
        self._seen: dict[int, Floats] = {}
        self._point: _Point = np.empty(0), 0.0

    def rows(self, start: int, stop: int, w: Floats, b: float | Floats, sums: Floats) -> None:
        """Put the sums over local rows [start, stop) into `sums`, block by block.

        `sums` is (width,), or (width + hessian_width,): then the sums for the Hessian follow; or
        (width + factors_width,): those for its Kronecker factors.
        """
        sums[:] = 0.0
        first_sums = sums[: self.width]
        end = self._shape[0] * self._n_outputs
        gradient = sums[:end].reshape(self._shape)
        hessian = self._hessian(len(sums) - self.width)
        target = self._rows.target
        for first, last in self._rows.blocks(start, stop):
            block = self._reader.block(first, last)
            z = self._z[: last - first]
            self._predict(block, w, b, z, first, last)
            weight = self._rows.weight
            if weight is not None:
                weight = weight[first:last]
            if hessian:
                hessian.add(block, self.curvature(z, target[first:last], weight))
            first_sums[LOSS] += self.loss.sum_and_derivative(z, target[first:last], weight)
            block.add_transposed_times(z, gradient)
            flat = z.reshape(-1)
            if self._n_outputs == 1:
                sums[end] += np.add.reduce(z)
            else:
                sums[end : end + self._n_outputs] += np.add.reduce(z, axis=0)
            first_sums[RESIDUAL] += np.dot(flat, flat)
            _count(first_sums, weight, last - first)
        if hessian:
            hessian.pack(sums[self.width :])

    def _hessian(self, width: int) -> _Hessian | None:
        """Return what adds up `width` numbers for the Hessian."""
        if not width:
            return None
        if width == self.hessian_width:
            return _Hessian(self._shape, self._n_outputs)
        return _Factors(self._shape, self._n_outputs)

    def changes(self, start: int, stop: int, here: _Point, there: _Point, sums: Floats) -> None:
        """Put the sums over local rows [start, stop) into `sums`: what changes between two points.

        The loss is that of `here`; the derivatives are those of `here` less those of `there`.
        """
        sums[:] = 0.0
        end = self._shape[0] * self._n_outputs
        gradient = sums[:end].reshape(self._shape)
        if self._other is None:
            self._other = np.empty_like(self._z)
        for first, last in self._rows.blocks(start, stop):
            block = self._reader.block(first, last)
            z, other = self._z[: last - first], self._other[: last - first]
            self._predict(block, *here, z, first, last)
            self._predict(block, *there, other, first, last)
            target = self._rows.target[first:last]
            weight = None if self._rows.weight is None else self._rows.weight[first:last]
            sums[LOSS] += self.loss.sum_and_derivative(z, target, weight)
            self.loss.sum_and_derivative(other, target, weight)
            z -= other
            block.add_transposed_times(z, gradient)
            sums[end : end + self._n_outputs] += np.add.reduce(z, axis=0)
            flat = z.reshape(-1)
            sums[RESIDUAL] += np.dot(flat, flat)
            _count(sums, weight, last - first)

    def stand_at(self, w: Floats, b: float | Floats) -> None:
        """Say where `products` are asked for: predictors are kept for more than one of them."""
        if not (np.array_equal(self._point[0], w) and np.array_equal(self._point[1], b)):
            self._seen, self._point = {}, (w.copy(), b)

    def products(self, start: int, stop: int, v: Floats, c: float | Floats, sums: Floats) -> None:
        """Put the sums of h (x.v + c) x over local rows [start, stop) into `sums` (width,)."""
        sums[:] = 0.0
        end = self._shape[0] * self._n_outputs
        product = sums[:end].reshape(self._shape)
        for first, last in self._rows.blocks(start, stop):
            block = self._reader.block(first, last)
            z = self._seen.get(first)
            if z is None or len(z) != last - first:
                z = self._seen[first] = np.empty((last - first, *self._shape[1:]))
                self._predict(block, *self._point, z, first, last)
            move = self._z[: last - first]
            block.times(v, move)
            move += c
            bent = self.loss.bend(z, self._rows.target[first:last], move)
            self._add_bent(block, bent, first, last, product, sums)

    def _add_bent(
        self, block: Block, bent: Floats, first: int, last: int, product: Floats, sums: Floats
    ) -> None:
        """Add x' times a block's `bent` (n,) or (n, K), and what goes with it."""
        weight = None if self._rows.weight is None else self._rows.weight[first:last]
        if weight is not None:
            bent = np.where(weight > 0, (bent.T * weight), 0.0).T
        block.add_transposed_times(bent, product)
        end = product.size
        sums[end : end + self._n_outputs] += np.add.reduce(bent, axis=0)
        flat = bent.reshape(-1)
        sums[RESIDUAL] += np.dot(flat, flat)
        _count(sums, weight, last - first)

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
        for start, stop in self._rows.tiles():
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


def _count(sums: Floats, weight: NDArray[Any] | None, n_rows: int) -> None:
    """Add a block's rows and their weight."""
    if weight is None:
        sums[WEIGHT] += n_rows
        sums[COUNT] += n_rows
    else:
        sums[WEIGHT] += np.add.reduce(weight, dtype=np.float64)
        sums[COUNT] += np.count_nonzero(weight)


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


class _Factors(_Hessian):
    """The same for one output, h the mean of all outputs' own, and the sum of all h."""

    def __init__(self, shape: tuple[int, ...], n_outputs: int) -> None:
        super().__init__(shape, 1)
        self._coupling = np.zeros((n_outputs, n_outputs))

    def add(self, block: Block, h: Floats) -> None:
        """Add a block's, h (n, K, K)."""
        self._coupling += np.add.reduce(h, axis=0)
        super().add(block, np.trace(h, axis1=1, axis2=2) / h.shape[1])

    def pack(self, out: Floats) -> None:
        """Write one number for each pair of equal ones, then the couplings."""
        super().pack(out[: -self._coupling.size])
        out[-self._coupling.size :] = self._coupling.reshape(-1)
