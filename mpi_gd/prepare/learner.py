"""What rows say about the columns: gathered a piece at a time, added up in any order.

A learner knows its own rows. What it tells are sets, whole numbers and order statistics, so what
all rows together say does not depend on who has which. Who has the ranks asks in this order: the
`levels`, of which the union is taken; the `counts`, to be added up; the `ends`, of which the
maximum is taken; for quantiles a `Bisection` of the `kept` numbers; the `sums`, to be added up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column
from mpi_gd.errors import DataError
from mpi_gd.prepare.encoder import numbers_of
from mpi_gd.prepare.exactsum import N_LIMBS, ExactSum
from mpi_gd.prepare.plan import Plan, Variable, split

__all__ = ["Learner", "Level", "require_few"]

Level = str | float
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# Missing rows, missing rows that are trained on, and rows that are trained on and have a value.
N_COUNTS = 3


class Learner:
    """What this rank's rows say."""

    def __init__(self, plan: Plan) -> None:
        """Plan what to look at."""
        self.variables = [each for each in plan.variables if each.is_learned]
        self._plan, self._most = plan, plan.spec.most_levels
        self._tallies = [_Tally(variable) for variable in self.variables]

    def add(self, columns: Mapping[str, Column], is_used: Booleans | None = None) -> None:
        """Look at more rows, of which those that `is_used` are trained on; None: all are.

        Of the others, it is told which levels there are, and whether values are missing.
        Raises DataError for a column of too many levels.
        """
        parts = split(columns, self._plan.learned_inputs)
        for tally in self._tallies:
            tally.add(parts[tally.variable.name], is_used)
            require_few(tally.variable.name, tally.counts, self._most)

    def levels(self) -> list[list[Level]]:
        """Return the levels of each variable, in order; none where they are not to be known."""
        return [sorted(tally.counts) for tally in self._tallies]

    def counts(self, levels: Sequence[Sequence[Level]]) -> NDArray[np.int64]:
        """Return, for each variable, N_COUNTS numbers of rows, and those of each level."""
        found: list[int] = []
        for tally, known in zip(self._tallies, levels, strict=True):
            found += [tally.n_missing, tally.n_missing_used, tally.n_present]
            found += [tally.counts[level] for level in known]
        return np.array(found, dtype=np.int64)

    def ends(self) -> Floats:
        """Return the largest number, and the largest negative, of each variable's `kept`."""
        found = [(kept[-1], -kept[0]) if kept.size else (-np.inf, -np.inf) for kept in self.kept]
        return np.array(found, dtype=np.float64).reshape(len(self.kept), 2)

    @property
    def kept(self) -> list[Floats]:
        """Return each variable's sorted numbers, where quantiles are wanted."""
        return [tally.sorted() for tally in self._tallies]

    def sums(self, bounds: Sequence[tuple[float, float]]) -> NDArray[np.int64]:
        """Return the limbs of each sum that is wanted, (n_sums, N_LIMBS).

        `bounds` are those that each variable's quantiles are, as `winsorize` says.
        """
        found = [
            tally.sum(*each).limbs()
            for tally, each in zip(self._tallies, bounds, strict=True)
            if tally.variable.needs_mean
        ]
        return np.array(found, dtype=np.int64).reshape(len(found), N_LIMBS)


def require_few(name: str, levels: Sequence[Level] | Mapping[Level, int], most: int) -> None:
    """Raise DataError for a column of more levels than may be."""
    if len(levels) > most:
        raise DataError(
            f"column {name!r} has more than {most:,} different values; hash them, as in "
            f'hash = {{"{name}" = 18}} under [prepare], or raise prepare.most_levels'
        )


class _Tally:
    """What is seen of one variable."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable
        self.n_missing = self.n_missing_used = self.n_present = 0
        # Of each level, the rows that are trained on.
        self.counts: Counter[Level] = Counter()
        self._sum = ExactSum()
        self._pieces: list[Floats] = []
        self._sorted: Floats | None = None

    def add(self, column: Column, is_used: Booleans | None) -> None:
        """Look at more rows."""
        used = np.ones(len(column), dtype=bool) if is_used is None else is_used
        if column.kind == "text":
            missing, present = column.missing, np.ones(len(column), dtype=bool)
            self._add_levels(_levels_of_texts(column, used))
        else:
            values, missing = numbers_of(column)
            if self.variable.clip:
                values = np.clip(values, *self.variable.clip)
            present = np.isfinite(values)
        if missing is not None:
            present &= ~missing
            self.n_missing += int(np.count_nonzero(missing))
            self.n_missing_used += int(np.count_nonzero(missing & used))
        self.n_present += int(np.count_nonzero(present & used))
        if column.kind != "text":
            self._add_numbers(values[present], used[present])

    def _add_numbers(self, values: Floats, used: Booleans) -> None:
        """Look at finite numbers."""
        if self.variable.counts_levels:
            self._add_levels(_levels_of_numbers(values, used))
        if self.variable.probabilities:
            self._pieces.append(values[used])
        elif self.variable.needs_mean:
            self._sum.add(values[used])

    def sorted(self) -> Floats:
        """Return the numbers that are kept, in order."""
        if self._sorted is None or self._pieces:
            had = [] if self._sorted is None else [self._sorted]
            self._sorted = np.sort(np.concatenate([np.empty(0), *had, *self._pieces]))
            self._pieces = []
        return self._sorted

    def sum(self, low: float, high: float) -> ExactSum:
        """Return the sum of the numbers within bounds."""
        if self.variable.probabilities:
            self._sum = ExactSum()
            self._sum.add(np.clip(self.sorted(), low, high))
        return self._sum

    def _add_levels(self, found: Iterator[tuple[Level, int]]) -> None:
        """Add rows to levels, which are then known, also if none of the rows is trained on."""
        for level, count in found:
            self.counts[level] += count


def _levels_of_texts(column: Column, used: Booleans) -> Iterator[tuple[Level, int]]:
    """Yield each level that a row has, and how many of those that are used have it."""
    present = slice(None) if column.missing is None else ~column.missing
    codes, n_levels = column.values[present], len(column.levels)
    counts = np.bincount(codes[used[present]], minlength=n_levels)
    for code in np.flatnonzero(np.bincount(codes, minlength=n_levels)):
        yield column.levels[code], int(counts[code])


def _levels_of_numbers(values: Floats, used: Booleans) -> Iterator[tuple[Level, int]]:
    """Yield the same of numbers."""
    levels, places = np.unique(values, return_inverse=True)
    counts = np.bincount(places[used], minlength=len(levels))
    yield from zip(levels.tolist(), counts.tolist(), strict=True)
