"""Counts, ranges and sums of columns over some rows, and different values up to a bound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column

__all__ = ["COUNTS", "Levels", "Numbers"]

Floats = NDArray[np.float64]

_ALL = slice(None)
COUNTS = ("present", "missing", "infinite", "zeros", "fractions")


class Numbers:
    """What is known of columns of numbers; those that are not finite count apart."""

    def __init__(self, shift: Floats) -> None:
        """Begin; sums are of x - shift, (n_columns,)."""
        d = len(shift)
        self.shift = shift
        self.counts = np.zeros((len(COUNTS), d), dtype=np.int64)
        self.lowest, self.highest = np.full(d, np.inf), np.full(d, -np.inf)

    def add(
        self, x: NDArray[Any], missing: NDArray[np.bool_] | None = None, at: slice = _ALL
    ) -> Floats:
        """Take rows (n, k) of the columns `at`; return the sums of x - shift and of its square."""
        x = np.asarray(x, dtype=np.float64)
        absent = np.isnan(x) if missing is None else missing | np.isnan(x)
        finite = np.isfinite(x) & ~absent
        moved = x - self.shift[at]
        lowest, highest = x, x
        if not finite.all():
            lowest, highest = np.where(finite, x, np.inf), np.where(finite, x, -np.inf)
            moved = np.where(finite, moved, 0.0)
        n_absent, n_finite = absent.sum(axis=0), finite.sum(axis=0)
        zeros, fractions = finite & (x == 0), finite & (x != np.rint(x))
        counts = (n_finite, n_absent, len(x) - n_absent - n_finite, zeros.sum(axis=0))
        self._note(
            at,
            [*counts, fractions.sum(axis=0)],
            lowest.min(axis=0, initial=np.inf),
            highest.max(axis=0, initial=-np.inf),
        )
        return np.array([moved.sum(axis=0), np.square(moved).sum(axis=0)])

    def add_sparse(self, rows: Any, at: slice = _ALL) -> Floats:
        """Do the same with compressed sparse rows, whose columns have the shift 0."""
        n, d = rows.shape
        data, columns = np.asarray(rows.data, dtype=np.float64), rows.indices
        finite, nan = np.isfinite(data), np.isnan(data)

        def count(which: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(columns[which], minlength=d)

        n_nan, n_full = count(nan), count(finite & (data != 0))
        n_infinite = count(~finite & ~nan)
        n_zeros = n - n_nan - n_infinite - n_full
        n_fractions = count(finite & (data != np.rint(data)))
        lowest = np.where(n_zeros > 0, 0.0, np.inf)
        highest = -lowest
        np.minimum.at(lowest, columns[finite], data[finite])
        np.maximum.at(highest, columns[finite], data[finite])
        counts = [n_zeros + n_full, n_nan, n_infinite, n_zeros, n_fractions]
        self._note(at, counts, lowest, highest)
        values = np.where(finite, data, 0.0)
        sums = [np.bincount(columns, weights, d) for weights in (values, np.square(values))]
        return np.array(sums)

    def _note(self, at: slice, counts: list[NDArray[Any]], lowest: Floats, highest: Floats) -> None:
        """Add counts, in the order of `COUNTS`, and widen ranges."""
        self.counts[:, at] += np.array(counts)
        self.lowest[at] = np.minimum(self.lowest[at], lowest)
        self.highest[at] = np.maximum(self.highest[at], highest)


class Levels:
    """How often each different value comes, or that there are too many to count."""

    def __init__(self, most: int) -> None:
        """Begin; more than `most` different values are not counted."""
        self._most = most
        self.counts: dict[str, int] | None = {}
        self.missing = 0

    def add(self, values: Column | NDArray[Any]) -> None:
        """Take rows, (n,)."""
        if isinstance(values, Column):
            self.missing += 0 if values.missing is None else int(values.missing.sum())
        if self.counts is None:
            return
        if isinstance(values, Column):
            codes = values.values if values.missing is None else values.values[~values.missing]
            found = np.bincount(codes, minlength=len(values.levels))
            self.update(dict(zip(values.levels, found.tolist(), strict=True)))
        else:
            different, counts = np.unique(values, return_counts=True)
            texts = map(_text, different.tolist())
            self.update(dict(zip(texts, counts.tolist(), strict=True)))

    def update(self, found: dict[str, int] | None) -> None:
        """Add the counts of other rows; None: too many different ones."""
        if found is None or self.counts is None:
            self.counts = None
            return
        for text, count in found.items():
            if count:
                self.counts[text] = self.counts.get(text, 0) + count
        if len(self.counts) > self._most:
            self.counts = None

    @property
    def top(self) -> list[tuple[str, int]]:
        """Return values and counts, the most frequent first, those of one count by name."""
        return sorted((self.counts or {}).items(), key=lambda item: (-item[1], item[0]))


def _text(value: object) -> str:
    """Return a value as people write it."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
