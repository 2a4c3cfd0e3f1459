"""Dates as simple parts: numbers that a linear model can use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PARTS", "part_of"]

Moments = NDArray[np.int64]

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
# The first day of the epoch, 1970-01-01, was a Thursday.
_THURSDAY = 3


def _units(moments: Moments, unit: str) -> NDArray[np.int64]:
    """Return whole years, months or days since 1970."""
    return moments.view("datetime64[us]").astype(f"datetime64[{unit}]").astype(np.int64)


def _days(moments: Moments) -> NDArray[np.int64]:
    return moments // _DAY


def _month(moments: Moments) -> NDArray[np.int64]:
    return _units(moments, "M") % 12


def _start_of(moments: Moments, unit: str) -> NDArray[np.int64]:
    """Return the first day, since 1970-01-01, of the year or month of each moment."""
    first = moments.view("datetime64[us]").astype(f"datetime64[{unit}]")
    return first.astype("datetime64[D]").astype(np.int64)


# Each takes microseconds since 1970-01-01T00:00 in UTC, (n,).
PARTS: dict[str, Callable[[Moments], NDArray[Any]]] = {
    "year": lambda t: _units(t, "Y") + 1970,
    "quarter": lambda t: _month(t) // 3 + 1,
    "month": lambda t: _month(t) + 1,
    "day": lambda t: _days(t) - _start_of(t, "M") + 1,
    "weekday": lambda t: (_days(t) + _THURSDAY) % 7,
    "day_of_year": lambda t: _days(t) - _start_of(t, "Y") + 1,
    "hour": lambda t: t % _DAY // (3600 * _SECOND),
    "minute": lambda t: t % (3600 * _SECOND) // (60 * _SECOND),
    "second": lambda t: t % (60 * _SECOND) // _SECOND,
    "days": lambda t: t / _DAY,
}


def part_of(moments: Moments, missing: NDArray[np.bool_] | None, part: str) -> NDArray[np.float64]:
    """Return a part of dates (n,), as numbers; 1970-01-01's where there is none."""
    known = np.array(moments, dtype=np.int64)
    if missing is not None:
        # What stands there may be no date at all.
        known[missing] = 0
    return np.asarray(PARTS[part](known), dtype=np.float64)
