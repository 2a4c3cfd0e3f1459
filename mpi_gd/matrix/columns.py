"""Sparse rows once more, column by column: X' r as terms, each of one column and one tile.

Row by row, X' r writes all over a vector as wide as X, and a sum over tiles has to look at each
tile's whole vector, of which nearly all is 0. Column by column the terms that are not 0 come one
after another, and there are at most as many as numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi_gd.matrix.matrix import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["STEP", "Chunk", "Columns"]

# So many columns make a block, whose bounds are the same on all ranks.
STEP = 1 << 16
# About so many terms are worked on at a time: they stay in the cache.
_CHUNK_TERMS = 1 << 15


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some columns of a block, and the numbers in them."""

    places: NDArray[np.int64]
    """(n_columns,): the columns that have numbers here, in order."""
    starts: NDArray[np.int64]
    """(n_columns,): the first term of each."""
    counts: NDArray[np.int64]
    """(n_columns,): the number of its terms."""
    rows: csr_array
    """(n_terms, n_rows): the numbers of each term."""

    @property
    def n_terms(self) -> int:
        """Return the number of terms."""
        return int(self.rows.shape[0])

    def times(self, r: Floats) -> Floats:
        """Return the terms of X' r, (n_terms,) or (n_terms, K), for r (n_rows,) or (n_rows, K)."""
        return np.asarray(self.rows @ r)

    def squares_times(self, r: Floats) -> Floats:
        """Return the same of the numbers' squares."""
        squares = self.rows.copy()
        squares.data = np.square(squares.data)
        return np.asarray(squares @ r)


class Columns:
    """The numbers of rows in the order of columns, cut between tiles."""

    def __init__(self, rows: csr_array, pieces: Sequence[tuple[int, int]]) -> None:
        """Sort the numbers of `rows`, which has the rows of the pieces one after another."""
        bounds = np.cumsum([stop - start for start, stop in pieces])
        whole = rows.tocsc()
        d = rows.shape[1]
        self._blocks = [
            list(_chunks(whole, first, min(first + STEP, d), bounds)) for first in range(0, d, STEP)
        ]

    def block(self, number: int) -> list[Chunk]:
        """Return what there is in the columns from number * STEP on."""
        return self._blocks[number]


def _chunks(whole: csr_array, first: int, last: int, bounds: NDArray[np.int64]) -> Iterator[Chunk]:
    """Yield the columns [first, last), a few at a time; a tile ends at each of the bounds."""
    from scipy.sparse import csr_array

    indptr = whole.indptr[first : last + 1].astype(np.int64)
    begin, end = int(indptr[0]), int(indptr[-1])
    indptr -= begin
    counts = np.diff(indptr)
    places = np.flatnonzero(counts)
    if not places.size:
        return
    indices, data = whole.indices[begin:end], whole.data[begin:end]
    tile = np.searchsorted(bounds, indices, side="right")
    is_first = np.empty(end - begin, dtype=bool)
    is_first[0] = True
    np.not_equal(tile[1:], tile[:-1], out=is_first[1:])
    is_first[indptr[places]] = True
    # Where each term begins among the numbers, and each column among the terms.
    terms = np.append(np.flatnonzero(is_first), end - begin)
    starts = np.append(np.searchsorted(terms, indptr[places]), len(terms) - 1)
    n_chunks = -(-int(starts[-1]) // _CHUNK_TERMS)
    cuts = np.searchsorted(starts, np.arange(1, n_chunks) * _CHUNK_TERMS)
    for low, high in zip(np.append(0, cuts), np.append(cuts, len(places)), strict=True):
        if low == high:
            continue
        mine = terms[starts[low] : starts[high] + 1]
        part = csr_array(
            (
                data[mine[0] : mine[-1]],
                indices[mine[0] : mine[-1]],
                (mine - mine[0]).astype(indices.dtype),
            ),
            shape=(len(mine) - 1, whole.shape[0]),
        )
        yield Chunk(
            first + places[low:high],
            starts[low:high] - starts[low],
            np.diff(starts[low : high + 1]),
            part,
        )
