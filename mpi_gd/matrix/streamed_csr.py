"""Sparse rows of which only a few are in memory at a time; where each begins is known of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.matrix.csr import Csr, CsrBlock
from mpi_gd.matrix.matrix import Block, Floats, Matrix, Reader
from mpi_gd.matrix.stream import Content, Stream
from mpi_gd.matrix.streamed import Bytes

__all__ = ["CsrRows", "StreamedCsr"]

_ALIGNMENT = 64
# Columns are collected from so many rows at a time.
_STEP_ROWS = 4096


@dataclass(frozen=True, eq=False)
class _Some:
    """A few rows in memory, with the names that SciPy gives their parts."""

    data: Floats
    indices: NDArray[Any]
    indptr: NDArray[np.int64]
    shape: tuple[int, int]


class CsrRows(Content[_Some]):
    """Rows as two runs of bytes, numbers and their columns, each once in a row and in order."""

    def __init__(
        self,
        numbers: Bytes,
        places: Bytes,
        indptr: NDArray[np.int64],
        n_features: int,
        index_type: np.dtype[Any],
    ) -> None:
        """Take what has the bytes; those of row i are indptr[i] to indptr[i + 1], from 0 on."""
        self._numbers, self._places, self.indptr = numbers, places, indptr
        self.n_rows, self.n_features = len(indptr) - 1, n_features
        self._index_type = index_type

    def room(self, first: int, last: int) -> int:
        """Return the bytes of both, each from a multiple of 64 on."""
        n = int(self.indptr[last] - self.indptr[first])
        return n * (8 + self._index_type.itemsize) + 2 * _ALIGNMENT

    def read(self, first: int, last: int, buffer: NDArray[np.uint8]) -> tuple[_Some, int]:
        """Read the numbers, then their columns."""
        begin, n = int(self.indptr[first]), int(self.indptr[last] - self.indptr[first])
        used, parts = 0, []
        for source, kind in (
            (self._numbers, np.dtype(np.float64)),
            (self._places, self._index_type),
        ):
            memory = buffer[used : used + n * kind.itemsize]
            source.read_into(begin * kind.itemsize, memory)
            parts.append(memory.view(kind))
            used += -(-memory.size // _ALIGNMENT) * _ALIGNMENT
        indptr = self.indptr[first : last + 1] - begin
        # SciPy wants both kinds of places to be of one type.
        indptr = indptr.astype(self._index_type, copy=False)
        return _Some(parts[0], parts[1], indptr, (last - first, self.n_features)), used


class StreamedCsr(Matrix):
    """Compressed sparse rows that are read through a stream, which all its parts share.

    One block of the whole is in use at a time.
    """

    can_shift = False
    has_columns = True
    is_kept = False

    def __init__(
        self,
        content: CsrRows,
        *,
        stream: Stream[_Some] | None = None,
        bounds: tuple[int, int] | None = None,
    ) -> None:
        """Take all rows, or the rows within the bounds of a stream that is there."""
        self._content, self._stream = content, stream or Stream(content)
        self._first, last = bounds or (0, content.n_rows)
        self.shape = (last - self._first, content.n_features)
        self.dtype = np.dtype(np.float64)
        self.n_stored = int(content.indptr[last] - content.indptr[self._first])
        self.nbytes = content.room(self._first, last) + 8 * len(self)

    @property
    def most_bytes(self) -> int:
        """Return the memory that rows take at a time."""
        return self._stream.most_bytes

    def reader(self, block_rows: int, shift: Floats | None = None) -> Reader:
        """Plan to read blocks; raises ValueError for a shift."""
        if shift is not None:
            raise ValueError("sparse rows cannot be shifted")
        return _StreamedCsrReader(self, block_rows)

    def part(self, first: int, last: int) -> Matrix:
        """Return the rows [first, last) of the same stream."""
        bounds = self._first + first, self._first + last
        return StreamedCsr(self._content, stream=self._stream, bounds=bounds)

    def expect(self, pieces: Sequence[tuple[int, int]], step: int) -> None:
        """Begin to read the local rows of the pieces."""
        if self._first:
            pieces = [(start + self._first, stop + self._first) for start, stop in pieces]
        self._stream.expect(pieces, step)

    def rows(self, first: int, last: int, step: int) -> CsrBlock:
        """Return local rows, good until others are asked for."""
        start, some = self._stream.rows(self._first + first, self._first + last, step)
        begin = self._first + first - start
        return CsrBlock(some, begin, begin + last - first)

    def find_not_finite(self, first: int, last: int) -> tuple[int, int, float] | None:
        """Return row, column and value of the first number in the rows that is not finite."""
        found = self._some(first, last).find_not_finite(0, last - first)
        return found and (first + found[0], found[1], found[2])

    def columns(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return a few columns, filled up with zeros, (n_rows, len(places))."""
        found = np.empty((len(self), len(places)))
        for first in range(0, len(self), _STEP_ROWS):
            last = min(first + _STEP_ROWS, len(self))
            found[first:last] = self._some(first, last).columns(places)
        return found

    def with_columns(self, places: NDArray[np.int64]) -> Matrix:
        """Return the rows of these columns, in this order: in memory, where they are few."""
        data, indices, counts = [], [], [np.zeros(1, dtype=np.int64)]
        for first in range(0, len(self), _STEP_ROWS):
            rows = self._some(first, min(first + _STEP_ROWS, len(self))).with_columns(places).rows
            data.append(rows.data)
            indices.append(rows.indices)
            counts.append(np.diff(rows.indptr).astype(np.int64))
        indptr = np.cumsum(np.concatenate(counts))
        return Csr(np.concatenate(data), np.concatenate(indices), indptr, len(places))

    def _some(self, first: int, last: int) -> Csr:
        """Return a few rows as a matrix in memory, good until others are asked for."""
        block = self.rows(first, last, last - first)
        return Csr(block.data, block.indices, block.indptr, self.shape[1])


class _StreamedCsrReader(Reader):
    """Blocks of what the stream has in its buffers."""

    def __init__(self, matrix: StreamedCsr, block_rows: int) -> None:
        self._matrix, self._block_rows = matrix, block_rows

    def expect(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Begin to read."""
        self._matrix.expect(pieces, self._block_rows)

    def block(self, first: int, last: int) -> Block:
        """Return the rows [first, last)."""
        return self._matrix.rows(first, last, self._block_rows)

    def put(self, first: int, last: int, out: Floats) -> None:
        """Fill rows up."""
        out[:] = self.block(first, last).dense()
