"""Columns of a table as they are read, before they are made into features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Column", "Kind", "empty", "join"]

# date: a moment, in microseconds since 1970-01-01T00:00 in UTC.
Kind = Literal["number", "boolean", "text", "date"]
KINDS: tuple[Kind, ...] = ("number", "boolean", "text", "date")


@dataclass(frozen=True, eq=False)
class Column:
    """A run of rows of one column, n of them."""

    kind: Kind
    values: NDArray[Any]
    """(n,): float64 of numbers, and of booleans as 0 and 1; int64 of dates, as `Kind` says; int32
    of text, the place of its text in `levels`. Anything where the value is missing."""
    missing: NDArray[np.bool_] | None = None
    """(n,): where there is no value; None where there is one everywhere."""
    levels: tuple[str, ...] = ()
    """Different texts, in any order; some may be no row's."""

    def __len__(self) -> int:
        """Return n."""
        return len(self.values)

    def part(self, start: int, stop: int) -> Column:
        """Return the rows [start, stop), as views."""
        missing = None if self.missing is None else self.missing[start:stop]
        return Column(self.kind, self.values[start:stop], missing, self.levels)

    @property
    def first_missing(self) -> int | None:
        """Return the first row without a value."""
        if self.missing is None or not self.missing.any():
            return None
        return int(self.missing.argmax())


def empty(kind: Kind) -> Column:
    """Return a column without rows."""
    types: dict[Kind, type] = {"text": np.int32, "date": np.int64}
    return Column(kind, np.empty(0, dtype=types.get(kind, np.float64)))


def join(parts: Sequence[Column]) -> Column:
    """Return the rows of one or more parts of a column, one after another, levels made one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    missing = None
    if any(part.missing is not None for part in parts):
        missing = np.concatenate(
            [np.zeros(len(p), bool) if p.missing is None else p.missing for p in parts]
        )
    if first.kind != "text":
        return Column(first.kind, np.concatenate([part.values for part in parts]), missing)
    places: dict[str, int] = {}
    codes = []
    for part in parts:
        own = [places.setdefault(text, len(places)) for text in part.levels]
        # A missing value's code may be anything: it must point somewhere all the same.
        moved = np.array([*own, 0], dtype=np.int32)
        codes.append(moved[np.clip(part.values, -1, len(own))])
    return Column(first.kind, np.concatenate(codes), missing, tuple(places))
