"""What the rows of X are: blocks that come into the cache, and the products with them.

Everything the program computes from X is one of these products, so a way to store rows is one class
here and nothing elsewhere knows of it. Weights w are (d,), or (d, K) for K outputs; z and its
derivative r are (n,) or (n, K).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mpi_gd.matrix.columns import Columns

__all__ = ["Block", "Floats", "Matrix", "Reader"]

Floats = NDArray[np.float64]


class Block(ABC):
    """A few thousand rows, in the cache, as float64; all products are sums in a fixed order."""

    @abstractmethod
    def times(self, w: Floats, out: Floats) -> None:
        """Put X w into `out`, (n,) or (n, K)."""

    @abstractmethod
    def add_transposed_times(self, r: Floats, out: Floats) -> None:
        """Add X' r to `out`, (d,) or (d, K)."""

    @abstractmethod
    def add_gram(self, h: Floats, out: Floats) -> None:
        """Add X' diag(h) X to `out` (d, d), h (n,) not negative."""

    @abstractmethod
    def dense(self) -> Floats:
        """Return the rows as an array (n, d), to be read before the next block is asked for."""

    @abstractmethod
    def add_moments(self, center: Floats, weight: Floats, sums: Floats) -> None:
        """Add sum weight (x - c) and sum weight (x - c)^2 of each column to `sums` (2, d)."""


class Reader(ABC):
    """A way through a matrix, with the scratch of one block: one block is in use at a time."""

    def expect(  # noqa: B027 - rows in memory need not know
        self, pieces: Sequence[tuple[int, int]]
    ) -> None:
        """Hear which rows are asked for next: block by block of each piece [start, stop)."""

    @abstractmethod
    def block(self, first: int, last: int) -> Block:
        """Return the local rows [first, last), which are brought into the cache."""

    @abstractmethod
    def put(self, first: int, last: int, out: Floats) -> None:
        """Put the local rows [first, last) into `out` (n, d), shifted, filled up with zeros."""


class Matrix(ABC):
    """The rows of X that this rank owns; row numbers are local."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    """Type the numbers are stored in: float64, float32 or float16."""
    nbytes: int
    n_stored: int
    """Numbers that are stored, where zeros are not; 0 where all are."""
    is_kept: bool
    """Whether the rows are in memory of their own, and are worth keeping when others are lost."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    @abstractmethod
    def reader(self, block_rows: int, shift: Floats | None = None) -> Reader:
        """Plan to read blocks of at most so many rows; `shift` (d,) is subtracted from each row.

        Raises ValueError where rows cannot be shifted: `can_shift` is False.
        """

    @abstractmethod
    def part(self, first: int, last: int) -> Matrix:
        """Return the local rows [first, last) as a matrix of their own, without a copy."""

    has_columns: bool = False
    """Whether rows have numbers in few columns, so that it pays to sort them by column."""

    def by_columns(self, pieces: Sequence[tuple[int, int]]) -> Columns:
        """Return the numbers of the rows [start, stop) of each piece, sorted by column."""
        raise NotImplementedError("rows that are full are not sorted by column")

    @property
    @abstractmethod
    def can_shift(self) -> bool:
        """Whether it is sensible to subtract a number from each column."""

    @abstractmethod
    def find_not_finite(self, first: int, last: int) -> tuple[int, int, float] | None:
        """Return row, column and value of the first number in the rows that is not finite."""

    def ends(self, places: NDArray[np.int64], is_used: NDArray[np.bool_]) -> Floats:
        """Return the greatest number of a few columns and the greatest of their negatives.

        (2, len(places)), over the rows that are used; -infinity where there are none.
        """
        ends = np.full((2, len(places)), -np.inf)
        if is_used.any():
            found = self.columns(places)[is_used]
            ends[:] = found.max(axis=0), -found.min(axis=0)
        return ends

    @abstractmethod
    def columns(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return a few columns as a dense array (n_rows, len(places))."""

    def with_columns(self, places: NDArray[np.int64]) -> Matrix:
        """Return the rows of these columns, in this order."""
        raise NotImplementedError("whoever has full rows in memory chooses the columns")
