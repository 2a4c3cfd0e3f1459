"""Sparse rows: the numbers that are not zero, row by row.

The products are SciPy's, one number after another in the order in which they are stored, so their
bits depend on the block alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpi_gd.matrix.columns import Columns
from mpi_gd.matrix.matrix import Block, Floats, Matrix, Reader

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Csr", "CsrBlock"]


class _CsrArrays(Protocol):
    """What SciPy's compressed rows have."""

    @property
    def data(self) -> NDArray[Any]:
        """The numbers."""

    @property
    def indices(self) -> NDArray[Any]:
        """Their columns."""

    @property
    def indptr(self) -> NDArray[Any]:
        """Where each row begins among them."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""


# How many products of filled rows take the time of one of rows without zeros.
_FILLED_SPEED = 64


class Csr(Matrix):
    """Compressed sparse rows: those of row i are data[indptr[i]:indptr[i + 1]].

    `indices` are their columns, each once in a row, in order. Means cannot be subtracted without
    filling the matrix up: standardizing is left to who multiplies with it.
    """

    can_shift = False
    has_columns = True
    is_kept = False

    def __init__(
        self,
        data: Floats,
        indices: NDArray[np.int32] | NDArray[np.int64],
        indptr: NDArray[np.int64],
        n_features: int,
    ) -> None:
        """Take the arrays; duplicates are added up. Raises ImportError without SciPy."""
        from scipy.sparse import csr_array

        whole = csr_array((data, indices, indptr), shape=(len(indptr) - 1, n_features))
        whole.sum_duplicates()
        self.rows = whole
        self.shape = (len(indptr) - 1, n_features)
        self.dtype = np.dtype(np.float64)
        self.n_stored = int(whole.nnz)
        self.nbytes = int(whole.data.nbytes + whole.indices.nbytes + whole.indptr.nbytes)
        self._all_columns: tuple[Sequence[tuple[int, int]], Columns] | None = None

    def reader(self, block_rows: int, shift: Floats | None = None) -> Reader:
        """Plan to read blocks; raises ValueError for a shift."""
        if shift is not None:
            raise ValueError("sparse rows cannot be shifted")
        return _CsrReader(self.rows)

    def part(self, first: int, last: int) -> Matrix:
        """Return the rows [first, last), which share their numbers with these."""
        indptr = self.rows.indptr[first : last + 1]
        own = slice(int(indptr[0]), int(indptr[-1]))
        data, indices = self.rows.data[own], self.rows.indices[own]
        return Csr(data, indices, indptr - indptr[0], self.shape[1])

    def by_columns(self, pieces: Sequence[tuple[int, int]]) -> Columns:
        """Return the numbers sorted by column; those of all rows are kept."""
        if sum(stop - start for start, stop in pieces) < len(self):
            return Columns(_joined(self.rows, pieces), pieces)
        if self._all_columns is None or self._all_columns[0] != pieces:
            self._all_columns = pieces, Columns(self.rows, pieces)
        return self._all_columns[1]

    def ends(self, places: NDArray[np.int64], is_used: NDArray[np.bool_]) -> Floats:
        """Return the ends of columns, of which there may be as many empty ones as one likes."""
        if not is_used.any():
            return np.full((2, len(places)), -np.inf)
        chosen = self.rows[np.flatnonzero(is_used)][:, places]
        return np.stack([part.max(axis=0).toarray().reshape(-1) for part in (chosen, -chosen)])

    def find_not_finite(self, first: int, last: int) -> tuple[int, int, float] | None:
        """Return row, column and value of the first number in the rows that is not finite."""
        indptr = self.rows.indptr
        begin, end = int(indptr[first]), int(indptr[last])
        bad = np.flatnonzero(~np.isfinite(self.rows.data[begin:end]))
        if not bad.size:
            return None
        place = begin + int(bad[0])
        row = int(np.searchsorted(indptr, place, side="right")) - 1
        return row, int(self.rows.indices[place]), float(self.rows.data[place])

    def columns(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return a few columns, filled up with zeros, (n_rows, len(places))."""
        return np.asarray(self.rows[:, places].toarray())

    def with_columns(self, places: NDArray[np.int64]) -> Csr:
        """Return the matrix of these columns, in this order."""
        chosen = self.rows[:, places].tocsr()
        return Csr(chosen.data, chosen.indices, chosen.indptr, len(places))


def _joined(rows: csr_array, pieces: Sequence[tuple[int, int]]) -> csr_array:
    """Return the rows of all pieces, one after another."""
    places = [np.arange(start, stop) for start, stop in pieces]
    return rows[np.concatenate(places) if places else slice(0)]


class _CsrReader(Reader):
    """Blocks as views of the arrays, made once."""

    def __init__(self, rows: csr_array) -> None:
        self._rows = rows
        self._blocks: dict[tuple[int, int], CsrBlock] = {}

    def block(self, first: int, last: int) -> Block:
        """Return the rows [first, last)."""
        found = self._blocks.get((first, last))
        if found is None:
            found = self._blocks[first, last] = CsrBlock(self._rows, first, last)
        return found

    def put(self, first: int, last: int, out: Floats) -> None:
        """Fill rows up."""
        out[:] = self.block(first, last).dense()


class CsrBlock(Block):
    """A few thousand rows.

    The products with vectors are those of SciPy, which adds them to what it is given: so nothing
    is made that is as wide as X, and no block is checked again.
    """

    def __init__(self, rows: _CsrArrays, first: int, last: int) -> None:
        """Take the rows [first, last) of a matrix that has no column twice in a row."""
        begin, end = int(rows.indptr[first]), int(rows.indptr[last])
        self._shape = last - first, rows.shape[1]
        self.data, self.indices = rows.data[begin:end], rows.indices[begin:end]
        self.indptr = rows.indptr[first : last + 1] - rows.indptr[first]

    @cached_property
    def _rows(self) -> csr_array:
        """Return the rows as SciPy's matrix."""
        from scipy.sparse import csr_array

        return csr_array((self.data, self.indices, self.indptr), shape=self._shape)

    def times(self, w: Floats, out: Floats) -> None:
        """Put X w into `out`."""
        if w.ndim > 1:
            out[...] = self._rows @ w
            return
        from scipy.sparse import _sparsetools

        out[...] = 0.0
        n, d = self._shape
        w = np.ascontiguousarray(w)
        _sparsetools.csr_matvec(n, d, self.indptr, self.indices, self.data, w, out)

    def add_transposed_times(self, r: Floats, out: Floats) -> None:
        """Add X' r to `out`."""
        if r.ndim > 1:
            out += self._rows.T @ r
        else:
            self._add_columns(self.data, r, out)

    def _add_columns(self, data: Floats, r: Floats, out: Floats) -> None:
        """Add X' r to `out`, X's numbers being `data`."""
        from scipy.sparse import _sparsetools

        # The rows of X are the compressed columns of its transpose.
        n, d = self._shape
        r = np.ascontiguousarray(r)
        _sparsetools.csc_matvec(d, n, self.indptr, self.indices, data, r, out)

    def add_gram(self, h: Floats, out: Floats) -> None:
        """Add X' diag(h) X as (sqrt(h) X)'(sqrt(h) X): of the rows filled up, or as they are.

        BLAS multiplies filled rows many times as fast, and those of categories have so few numbers
        that it is slower all the same.
        """
        n, d = self._shape
        if _FILLED_SPEED * len(self.data) ** 2 < (n * d) ** 2:
            from scipy.sparse import csr_array

            data = self.data * np.repeat(np.sqrt(h), np.diff(self.indptr))
            sparse = csr_array((data, self.indices, self.indptr), shape=self._shape)
            product = (sparse.T @ sparse).tocoo()
            # Each place is there once.
            out[product.row, product.col] += product.data
            return
        weighted = self._rows.toarray()
        weighted *= np.sqrt(h)[:, None]
        out += np.dot(weighted.T, weighted)

    def dense(self) -> Floats:
        """Return the rows filled up."""
        return np.asarray(self._rows.toarray())

    def add_moments(self, center: Floats, weight: Floats, sums: Floats) -> None:
        """Add the sums of x - c and (x - c)^2: those of the numbers, corrected for the zeros."""
        total = float(np.add.reduce(weight))
        first = np.zeros_like(center)
        self._add_columns(self.data, weight, first)
        self._add_columns(np.square(self.data), weight, sums[1])
        # sum (x - c)^2 = sum x^2 - c (2 sum x - n c)
        sums[1] -= center * (2.0 * first - total * center)
        first -= total * center
        sums[0] += first
