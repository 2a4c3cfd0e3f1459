"""Rows as they lie in memory, or in a map of a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.matrix.half import Widener
from mpi_gd.matrix.matrix import Block, Floats, Matrix, Reader

__all__ = ["Dense", "DenseReader"]

# Rows that fit the last level of cache need not be fetched ahead.
_FETCH_BYTES = 16 << 20
_CACHE_LINE = 64


class Dense(Matrix):
    """An array (n_rows, n_features) of float64, float32 or float16, C-contiguous."""

    can_shift = True
    n_stored = 0

    def __init__(self, x: NDArray[Any]) -> None:
        """Take the array as it is."""
        self.x = x
        self.shape = (x.shape[0], x.shape[1])
        self.dtype, self.nbytes = x.dtype, x.nbytes
        self.is_kept = bool(x.flags.writeable)

    def reader(self, block_rows: int, shift: Floats | None = None) -> Reader:
        """Plan to read blocks; those that need no conversion are not copied."""
        return _ArrayReader(self, block_rows, shift)

    def part(self, first: int, last: int) -> Matrix:
        """Return a view of the rows [first, last)."""
        return Dense(self.x[first:last])

    def find_not_finite(self, first: int, last: int) -> tuple[int, int, float] | None:
        """Return row, column and value of the first number in the rows that is not finite."""
        bad = np.argwhere(~np.isfinite(self.x[first:last]))
        if not bad.size:
            return None
        i, j = (int(number) for number in bad[0])
        return first + i, j, float(self.x[first + i, j])

    def columns(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return a few columns, (n_rows, len(places))."""
        return np.asarray(self.x[:, places])


class DenseReader(Reader):
    """Blocks of full rows, converted to float64 and shifted where that is needed."""

    def __init__(self, matrix: Matrix, block_rows: int, shift: Floats | None) -> None:
        self._shift = shift
        d, dtype = matrix.shape[1], matrix.dtype
        is_copied = shift is not None or dtype != np.float64
        self._copy = np.empty((block_rows, d)) if is_copied else None
        self._widener = Widener() if dtype == np.float16 else None
        self._is_fetched = not is_copied and matrix.nbytes > _FETCH_BYTES
        self._block_rows = block_rows
        self._product = np.empty(d)
        self._weighted: Floats | None = None
        self._gram: Floats | None = None

    @abstractmethod
    def _rows(self, first: int, last: int) -> NDArray[Any]:
        """Return rows as they are stored."""

    def block(self, first: int, last: int) -> Block:
        """Return rows of X as float64, shifted, in the cache."""
        if self._copy is None:
            x = self._rows(first, last)
            if self._is_fetched:
                # Touch one number a cache line: a plain stream of loads runs at the speed of the
                # memory, where the matrix product alone, which computes between its loads, gets
                # half of it. What the product then reads is in the cache.
                lines = x.reshape(-1)[:: _CACHE_LINE // x.itemsize]
                np.dot(lines, lines)
            return _DenseBlock(x, self._product, self)
        copy = self._copy[: last - first]
        self.put(first, last, copy)
        return _DenseBlock(copy, self._product, self)

    def put(self, first: int, last: int, out: Floats) -> None:
        """Copy rows, at the speed of the memory."""
        x = self._rows(first, last)
        if self._widener is not None:
            self._widener.widen(x, out)
            x = out
        if self._shift is not None:
            np.subtract(x, self._shift, out=out)
        elif x is not out:
            np.copyto(out, x)

    def gram_scratch(self) -> tuple[Floats, Floats]:
        """Return room for a block and for its Gram matrix; few ask for it."""
        if self._weighted is None or self._gram is None:
            d = len(self._product)
            self._weighted, self._gram = np.empty((self._block_rows, d)), np.empty((d, d))
        return self._weighted, self._gram


class _ArrayReader(DenseReader):
    """Blocks of an array."""

    def __init__(self, matrix: Dense, block_rows: int, shift: Floats | None) -> None:
        super().__init__(matrix, block_rows, shift)
        self._x = matrix.x

    def _rows(self, first: int, last: int) -> NDArray[Any]:
        """Return a view of the rows."""
        return self._x[first:last]


class _DenseBlock(Block):
    """A view of the rows."""

    __slots__ = ("_product", "_reader", "_x")

    def __init__(self, x: Floats, product: Floats, reader: DenseReader) -> None:
        self._x, self._product, self._reader = x, product, reader

    def times(self, w: Floats, out: Floats) -> None:
        """Put X w into `out`; with K outputs as (w' X')', for which BLAS takes two thirds."""
        if w.ndim == 1:
            np.dot(self._x, w, out=out)
        else:
            out[...] = np.dot(w.T, self._x.T).T

    def add_transposed_times(self, r: Floats, out: Floats) -> None:
        """Add X' r to `out`."""
        if r.ndim == 1:
            np.dot(r, self._x, out=self._product)
            out += self._product
        else:
            out += np.dot(r.T, self._x).T

    def add_gram(self, h: Floats, out: Floats) -> None:
        """Add X' diag(h) X as (sqrt(h) X)'(sqrt(h) X), for which BLAS does half the work."""
        room, gram = self._reader.gram_scratch()
        weighted = room[: len(self._x)]
        np.multiply(self._x, np.sqrt(h)[:, None], out=weighted)
        np.dot(weighted.T, weighted, out=gram)
        out += gram

    def dense(self) -> Floats:
        """Return the rows."""
        return self._x

    def add_moments(self, center: Floats, weight: Floats, sums: Floats) -> None:
        """Add the sums of x - c and of its squares."""
        x = self._x - center
        sums[0] += np.dot(weight, x)
        np.square(x, out=x)
        sums[1] += np.dot(weight, x)
