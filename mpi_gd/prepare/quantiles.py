"""Quantiles of rows that are on many ranks, exactly: by bisection on the numbers themselves.

Float64 numbers have the order of the whole numbers that their bits are, once those of negative
numbers are turned round. So at most 64 rounds, in each of which the ranks add up how many of their
numbers are at most so large, find any order statistic: a number that is in the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bisection", "quantile", "ranks_of"]

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]

_SIGN = np.uint64(1 << 63)


def keys_of(values: Floats) -> Keys:
    """Return whole numbers in the order of the values; -0.0 must have been made 0.0."""
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def values_of(keys: Keys) -> Floats:
    """Return the numbers that have these keys."""
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)


class Bisection:
    """The search for several order statistics at once, each of one of the columns."""

    def __init__(
        self, columns: Sequence[int], orders: Sequence[int], low: Floats, high: Floats
    ) -> None:
        """Look for number `orders[k]`, from 0, of the sorted column `columns[k]`.

        It is in [low[k], high[k]].
        """
        self._columns = list(columns)
        self._wanted = np.array(orders, dtype=np.int64) + 1
        self._low, self._high = keys_of(low), keys_of(high)

    @property
    def is_done(self) -> bool:
        """Whether all are found."""
        return bool((self._low >= self._high).all())

    def count(self, columns: Sequence[Floats]) -> NDArray[np.int64]:
        """Return how many numbers of each sorted local column are at most the middle."""
        middle = values_of(self._middle())
        pairs = zip(self._columns, middle, strict=True)
        return np.array(
            [np.searchsorted(columns[j], value, side="right") for j, value in pairs], dtype=np.int64
        )

    def take(self, counts: NDArray[np.int64]) -> None:
        """Halve the intervals, by the counts of all ranks."""
        middle = self._middle()
        enough = counts >= self._wanted
        is_open = self._low < self._high
        self._high = np.where(enough & is_open, middle, self._high)
        self._low = np.where(~enough & is_open, middle + np.uint64(1), self._low)

    def found(self) -> Floats:
        """Return the order statistics."""
        return values_of(self._high)

    def _middle(self) -> Keys:
        return self._low + (self._high - self._low) // np.uint64(2)


def ranks_of(p: float, n: int) -> tuple[int, int]:
    """Return which of n sorted numbers, from 0, the quantile p is between (R's type 7, NumPy's)."""
    position = p * (n - 1)
    below = min(math.floor(position), n - 1)
    return below, min(below + 1, n - 1)


def quantile(p: float, n: int, below: float, above: float) -> float:
    """Return the quantile p from the numbers that `ranks_of` names."""
    share = p * (n - 1) - math.floor(p * (n - 1))
    # No difference overflows, and equal numbers stay what they are.
    return below if below == above else below * (1.0 - share) + above * share
