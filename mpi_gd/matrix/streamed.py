"""Rows of which only a few are in memory at a time.

Blocks have the bits that they have in memory: the same rows, beginning at the same place of a
cache line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpi_gd.matrix.dense import DenseReader
from mpi_gd.matrix.matrix import Floats, Matrix, Reader
from mpi_gd.matrix.stream import Content, Stream

__all__ = ["Bytes", "DenseRows", "Streamed"]

_ALIGNMENT = 64
# Columns are collected from so many rows at a time.
_STEP_BYTES = 1 << 20


class Bytes(Protocol):
    """What holds the bytes of rows, one row after another."""

    def read_into(self, place: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` from byte `place` on; raises OSError or ValueError where that fails."""


class DenseRows(Content[NDArray[Any]]):
    """Rows (n_rows, n_features) of one type as their bytes."""

    def __init__(
        self, source: Bytes, n_rows: int, n_features: int, dtype: np.dtype[Any], base: int = 0
    ) -> None:
        """Take what has the bytes; in memory the first would be `base` bytes into a cache line."""
        self._source, self._base = source, base
        self.n_rows, self.n_features, self.dtype = n_rows, n_features, dtype
        self._row_bytes = n_features * dtype.itemsize

    def room(self, first: int, last: int) -> int:
        """Return the rows' bytes, with what it takes to begin at the right place."""
        return (last - first) * self._row_bytes + 2 * _ALIGNMENT

    def read(self, first: int, last: int, buffer: NDArray[np.uint8]) -> tuple[NDArray[Any], int]:
        """Read the rows to the place in the buffer's cache lines that they have in memory."""
        begin = (self._base + first * self._row_bytes) % _ALIGNMENT
        size = (last - first) * self._row_bytes
        memory = buffer[begin : begin + size]
        self._source.read_into(first * self._row_bytes, memory)
        rows = memory.view(self.dtype).reshape(last - first, self.n_features)
        return rows, -(-(begin + size) // _ALIGNMENT) * _ALIGNMENT


class _Chosen(Content[NDArray[Any]]):
    """Some columns of other rows, in an order."""

    def __init__(self, whole: DenseRows, places: NDArray[np.int64]) -> None:
        self._whole, self._places = whole, places
        self.n_rows, self.dtype = whole.n_rows, whole.dtype

    def room(self, first: int, last: int) -> int:
        """Return the bytes of the columns, with what it takes to begin at the right place."""
        return (last - first) * len(self._places) * self.dtype.itemsize + 2 * _ALIGNMENT

    def read(self, first: int, last: int, buffer: NDArray[np.uint8]) -> tuple[NDArray[Any], int]:
        """Read all columns, and keep those."""
        memory = np.empty(self._whole.room(first, last) + _ALIGNMENT, dtype=np.uint8)
        whole, _ = self._whole.read(first, last, memory[-memory.ctypes.data % _ALIGNMENT :])
        row_bytes = len(self._places) * self.dtype.itemsize
        begin, size = first * row_bytes % _ALIGNMENT, (last - first) * row_bytes
        rows = buffer[begin : begin + size].view(self.dtype).reshape(last - first, -1)
        np.take(whole, self._places, axis=1, out=rows, mode="clip")
        return rows, -(-(begin + size) // _ALIGNMENT) * _ALIGNMENT


class Streamed(Matrix):
    """An array (n_rows, n_features) that is read through a stream, which all its parts share.

    One block of the whole is in use at a time.
    """

    can_shift = True
    n_stored = 0
    is_kept = False

    def __init__(
        self,
        content: DenseRows | _Chosen,
        n_features: int,
        *,
        stream: Stream[NDArray[Any]] | None = None,
        bounds: tuple[int, int] | None = None,
    ) -> None:
        """Take all rows, or the rows within the bounds of a stream that is there."""
        self._content, self._stream = content, stream or Stream(content)
        self._first, last = bounds or (0, content.n_rows)
        self.shape = (last - self._first, n_features)
        self.dtype = content.dtype
        self.nbytes = self.shape[0] * n_features * self.dtype.itemsize

    @property
    def most_bytes(self) -> int:
        """Return the memory that rows take at a time."""
        return self._stream.most_bytes

    def reader(self, block_rows: int, shift: Floats | None = None) -> Reader:
        """Plan to read blocks."""
        return _StreamedReader(self, block_rows, shift)

    def part(self, first: int, last: int) -> Matrix:
        """Return the rows [first, last) of the same stream."""
        bounds = self._first + first, self._first + last
        return Streamed(self._content, self.shape[1], stream=self._stream, bounds=bounds)

    def expect(self, pieces: Sequence[tuple[int, int]], step: int) -> None:
        """Begin to read the local rows of the pieces."""
        if self._first:
            pieces = [(start + self._first, stop + self._first) for start, stop in pieces]
        self._stream.expect(pieces, step)

    def rows(self, first: int, last: int, step: int) -> NDArray[Any]:
        """Return local rows, good until others are asked for."""
        start, x = self._stream.rows(self._first + first, self._first + last, step)
        begin = self._first + first - start
        return x[begin : begin + last - first]

    def find_not_finite(self, first: int, last: int) -> tuple[int, int, float] | None:
        """Return row, column and value of the first number in the rows that is not finite."""
        x = self.rows(first, last, last - first)
        bad = np.argwhere(~np.isfinite(x))
        if not bad.size:
            return None
        i, j = (int(number) for number in bad[0])
        return first + i, j, float(x[i, j])

    def columns(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return a few columns, (n_rows, len(places))."""
        found = np.empty((len(self), len(places)), dtype=self.dtype)
        step = max(1, _STEP_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        for first in range(0, len(self), step):
            last = min(first + step, len(self))
            np.take(self.rows(first, last, step), places, axis=1, out=found[first:last])
        return found

    def with_columns(self, places: NDArray[np.int64]) -> Matrix:
        """Return the rows of these columns, in this order."""
        if not isinstance(self._content, DenseRows) or self.shape[0] != self._content.n_rows:
            raise ValueError("columns are chosen of all rows, and once")
        return Streamed(_Chosen(self._content, places), len(places))


class _StreamedReader(DenseReader):
    """Blocks of what the stream has in its buffers."""

    def __init__(self, matrix: Streamed, block_rows: int, shift: Floats | None) -> None:
        super().__init__(matrix, block_rows, shift)
        self._matrix = matrix

    def expect(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Begin to read."""
        self._matrix.expect(pieces, self._block_rows)

    def _rows(self, first: int, last: int) -> NDArray[Any]:
        """Return the rows as they are stored."""
        return self._matrix.rows(first, last, self._block_rows)
