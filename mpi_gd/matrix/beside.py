"""Dense columns beside sparse ones: numbers that are all there, and categories that are mostly 0.

Each product is that of both parts; of X' diag(h) X there are also the products of the ones with the
others. In each row the dense columns' share of z is added first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.matrix.matrix import Block, Floats, Matrix, Reader

if TYPE_CHECKING:
    from mpi_gd.matrix.columns import Columns
    from mpi_gd.matrix.csr import Csr

__all__ = ["Beside"]


class Beside(Matrix):
    """Full columns of float64, and after them sparse ones of as many rows.

    As with sparse rows, means cannot be subtracted without filling the matrix up.
    """

    can_shift = False
    is_kept = False

    def __init__(self, dense: Matrix, sparse: Matrix) -> None:
        """Take both; raises ValueError if they have not the same rows."""
        if len(dense) != len(sparse) or dense.dtype != np.float64:
            raise ValueError(
                f"got {dense.shape} of {dense.dtype} beside {sparse.shape}, expected float64 and "
                "as many rows"
            )
        self.dense, self.sparse = dense, sparse
        self.shape = (len(dense), dense.shape[1] + sparse.shape[1])
        self.dtype = sparse.dtype
        self.n_stored = dense.shape[0] * dense.shape[1] + sparse.n_stored
        self.nbytes = dense.nbytes + sparse.nbytes

    def reader(self, block_rows: int, shift: Floats | None = None) -> Reader:
        """Plan to read blocks; raises ValueError for a shift."""
        if shift is not None:
            raise ValueError("rows that are partly sparse cannot be shifted")
        return _BesideReader(self.dense.reader(block_rows), self.sparse.reader(block_rows), self)

    def part(self, first: int, last: int) -> Matrix:
        """Return the rows [first, last), which share their numbers with these."""
        return Beside(self.dense.part(first, last), self.sparse.part(first, last))

    def as_csr(self) -> Csr:
        """Return all as sparse rows, in which every number of the full columns is stored.

        Raises TypeError where the sparse columns are not those of a Csr.
        """
        from scipy.sparse import csr_array, hstack

        from mpi_gd.matrix.csr import Csr

        if not isinstance(self.sparse, Csr):
            raise TypeError(f"got {type(self.sparse).__name__}, expected compressed sparse rows")
        n, d = self.dense.shape
        x = self.dense.reader(max(1, n)).block(0, n).dense()
        full = csr_array((x.reshape(-1), np.tile(np.arange(d), n), np.arange(n + 1) * d), (n, d))
        both = hstack([full, self.sparse.rows], format="csr")
        return Csr(both.data, both.indices, both.indptr, self.shape[1])

    def by_columns(self, pieces: Sequence[tuple[int, int]]) -> Columns:
        """Refuse: that pays only where all columns are mostly empty."""
        raise NotImplementedError("rows that are partly full are not sorted by column")

    def find_not_finite(self, first: int, last: int) -> tuple[int, int, float] | None:
        """Return row, column and value of the first number in the rows that is not finite."""
        left = self.dense.find_not_finite(first, last)
        right = self.sparse.find_not_finite(first, last)
        if right is None or (left is not None and left[0] <= right[0]):
            return left
        return right[0], right[1] + self.dense.shape[1], right[2]

    def ends(self, places: NDArray[np.int64], is_used: NDArray[np.bool_]) -> Floats:
        """Return the ends of a few columns."""
        ends = np.empty((2, len(places)))
        for part, chosen, own in self._split(places):
            ends[:, chosen] = part.ends(own, is_used)
        return ends

    def columns(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return a few columns, (n_rows, len(places))."""
        found = np.empty((len(self), len(places)))
        for part, chosen, own in self._split(places):
            found[:, chosen] = part.columns(own)
        return found

    def _split(
        self, places: NDArray[np.int64]
    ) -> list[tuple[Matrix, NDArray[np.bool_], NDArray[np.int64]]]:
        """Return both parts, which of the places are theirs, and these columns there."""
        is_left, width = places < self.dense.shape[1], self.dense.shape[1]
        return [
            (self.dense, is_left, places[is_left]),
            (self.sparse, ~is_left, places[~is_left] - width),
        ]


class _BesideReader(Reader):
    """A reader of each part."""

    def __init__(self, dense: Reader, sparse: Reader, whole: Beside) -> None:
        self._dense, self._sparse, self._whole = dense, sparse, whole

    def expect(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Hear which rows come next."""
        self._dense.expect(pieces)
        self._sparse.expect(pieces)

    def block(self, first: int, last: int) -> Block:
        """Return the rows [first, last)."""
        left, right = self._dense.block(first, last), self._sparse.block(first, last)
        return _BesideBlock(left, right, (last - first, self._whole.shape[1]), self._whole)

    def put(self, first: int, last: int, out: Floats) -> None:
        """Put the rows into `out`, filled up."""
        width = self._whole.dense.shape[1]
        self._dense.put(first, last, out[:, :width])
        self._sparse.put(first, last, out[:, width:])


class _BesideBlock(Block):
    """A few thousand rows."""

    def __init__(self, left: Block, right: Block, shape: tuple[int, int], whole: Beside) -> None:
        self._left, self._right, self._shape = left, right, shape
        self._width = whole.dense.shape[1]

    def times(self, w: Floats, out: Floats) -> None:
        """Put X w into `out`."""
        self._left.times(np.ascontiguousarray(w[: self._width]), out)
        rest = np.empty_like(out)
        self._right.times(w[self._width :], rest)
        out += rest

    def add_transposed_times(self, r: Floats, out: Floats) -> None:
        """Add X' r to `out`."""
        self._left.add_transposed_times(r, out[: self._width])
        self._right.add_transposed_times(r, out[self._width :])

    def add_gram(self, h: Floats, out: Floats) -> None:
        """Add X' diag(h) X, quarter by quarter."""
        p = self._width
        self._left.add_gram(h, out[:p, :p])
        self._right.add_gram(h, out[p:, p:])
        across = np.zeros((self._shape[1] - p, p))
        self._right.add_transposed_times(self._left.dense() * h[:, None], across)
        out[p:, :p] += across
        out[:p, p:] += across.T

    def dense(self) -> Floats:
        """Return the rows filled up."""
        return np.concatenate([self._left.dense(), self._right.dense()], axis=1)

    def add_moments(self, center: Floats, weight: Floats, sums: Floats) -> None:
        """Add the sums of x - c and of its squares."""
        p = self._width
        self._left.add_moments(center[:p], weight, sums[:, :p])
        self._right.add_moments(center[p:], weight, sums[:, p:])
