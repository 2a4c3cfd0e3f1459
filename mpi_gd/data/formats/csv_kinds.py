"""What the cells of a text table stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mpi_gd.data.columns import Kind

__all__ = [
    "LOST_DIGITS",
    "MISSING",
    "WHOLE",
    "boolean",
    "find_kinds",
    "is_missing",
    "is_number",
    "lost_digits",
    "moment",
]

# What programs write where there is no value, in lower case; nothing is such a value too.
MISSING = ("na", "n/a", "nan", "-nan", "null", "?")
# From here on float64 has gaps between whole numbers.
WHOLE = 2.0**53
LOST_DIGITS = (
    "got '{}', a whole number beyond 2**53, which float64 cannot hold; leave an identifier out "
    "(data.exclude) or take it as text (data.text), and write a quantity with fewer digits"
)
_DIGITS = re.compile(r"[+-]?[0-9]{16,}")
_BOOLEANS = {"true": 1.0, "false": 0.0}
# A date, with or without a time of day, with or without a zone: ISO 8601 as Python reads it.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_number(cell: str) -> bool:
    """Whether a cell is a number as files have it; Python alone would also take "1_000"."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def lost_digits(cell: str) -> bool:
    """Whether a number is whole, and another one in float64: an identifier, most likely."""
    return bool(_DIGITS.fullmatch(cell)) and int(float(cell)) != int(cell)


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a value that is not there."""
    return cell == "" or cell.lower() in MISSING


def boolean(cell: str) -> float:
    """Return 1 for true, 0 for false, in letters of any case, else NaN."""
    return _BOOLEANS.get(cell.lower(), math.nan)


def moment(cell: str) -> int | None:
    """Return the microseconds since 1970 of a date or a time, UTC where it names no zone."""
    if not _DATE.fullmatch(cell):
        return None
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(microseconds=1)


def find_kinds(
    rows: Sequence[Sequence[str]], places: Mapping[str, int], texts: set[str]
) -> dict[str, Kind]:
    """Return what columns hold, by their first rows; `texts` are text, whatever they look like.

    A column of which half the values are numbers is one of numbers: a word among them is a mistake
    that is to be named. One without any value is one of numbers too.
    """
    kinds: dict[str, Kind] = {}
    for name, place in places.items():
        cells = [row[place] for row in rows if not is_missing(row[place])]
        kinds[name] = "text" if name in texts else _kind(cells)
    return kinds


def _kind(cells: Sequence[str]) -> Kind:
    """Return what values are."""
    if 2 * sum(map(is_number, cells)) >= len(cells):
        return "number"
    if all(cell.lower() in _BOOLEANS for cell in cells):
        return "boolean"
    if all(moment(cell) is not None for cell in cells):
        return "date"
    return "text"
