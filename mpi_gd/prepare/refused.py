"""Cells of which no feature can be made: counted, and refused in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import DataError

__all__ = ["Found", "Refusals", "Refused", "first_of"]

What = Literal["missing", "unseen"]


@dataclass(frozen=True)
class Found:
    """What is refused in a column, and where it is first."""

    number: int
    """The column's place among all, in whose order they are named."""
    column: str
    what: What
    count: int
    row: int
    """The global number of the first row."""
    value: str = ""
    """The level that is there; or what could stand in for the missing value."""

    def message(self, place: str) -> str:
        """Return the message, for the place of the first, which names the column."""
        name, many = self.column, self.count > 1
        if self.what == "missing":
            got = f"{self.count:,} values are missing, the first" if many else "a value is missing,"
            return (
                f"{place}: {got} here; fill them, as in "
                f'missing = {{"{name}" = "{self.value}"}} under [prepare], or remove the rows'
            )
        got = f"{self.count:,} rows have levels" if many else "the row has a level"
        first = ", the first of them" if many else ""
        return (
            f"{place}: {got} that the training did not have{first} "
            f'{self.value!r:.80}; correct it, or train with unseen = "reference" under [prepare]'
        )


class Refused(DataError):
    """Report cells that were refused; what was found can be added up over the ranks."""

    def __init__(self, message: str, found: list[Found]) -> None:
        """Take the message for these rows alone."""
        super().__init__(message)
        self.found = found


@dataclass
class Refusals:
    """What is refused in rows that are looked at one piece after another."""

    start: int = 0
    """The global number of the piece's first row."""
    by_column: dict[tuple[str, What], Found] = field(default_factory=dict)

    def add(
        self,
        number: int,
        column: str,
        what: What,
        rows: NDArray[np.bool_] | None,
        value: Callable[[int], str],
    ) -> None:
        """Note the rows (n,) of the piece that are refused; `value` tells `Found.value` of one."""
        if rows is None or not rows.any():
            return
        count, first = int(np.count_nonzero(rows)), int(rows.argmax())
        new = Found(number, column, what, count, self.start + first, value(first))
        old = self.by_column.get((column, what))
        self.by_column[column, what] = _added([old, new]) if old else new

    @property
    def found(self) -> list[Found]:
        """Return what was refused, column by column."""
        return list(self.by_column.values())


def first_of(found: Iterable[Found]) -> Found:
    """Return what is refused in the first column of all that parts of the rows have found."""
    all_ = list(found)
    least = min((each.number, each.what) for each in all_)
    return _added([each for each in all_ if (each.number, each.what) == least])


def _added(parts: list[Found]) -> Found:
    """Return what several parts of the rows have found in one column, as one."""
    first = min(parts, key=lambda found: found.row)
    return replace(first, count=sum(found.count for found in parts))
