"""Lines of CSV made into columns of any kind, with gaps: by pyarrow, else cell by cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column, Kind
from mpi_gd.data.formats.csv_kinds import (
    LOST_DIGITS,
    MISSING,
    boolean,
    is_missing,
    is_number,
    lost_digits,
    moment,
)
from mpi_gd.data.formats.csv_layout import Layout
from mpi_gd.data.formats.csv_parse import (
    cells_at,
    has_lost_digits,
    is_good,
    is_plain,
    labels,
    role_value,
)
from mpi_gd.errors import DataError

__all__ = ["parse_columns"]

Found = tuple[dict[str, Column], dict[str, NDArray[Any]]]

_EXPECTED: dict[Kind, str] = {
    "number": "a finite number, or nothing; if the column holds text, name it in data.text",
    "boolean": "true, false or nothing; if the column holds text, name it in data.text",
    "date": "a date or time as 2024-05-31 or 2024-05-31T12:30, or nothing; if the column holds "
    "text, name it in data.text",
}


def parse_columns(
    piece: bytes, layout: Layout, names: Sequence[str], first_row: int, n_rows: int
) -> Found:
    """Return columns and the rest, by role, of `n_rows` whole lines; `first_row` is the first.

    Raises DataError, naming line and column, for a cell that is not of its column's kind.
    """
    if n_rows <= layout.most_rows_with_gaps(len(piece)) and is_plain(piece, layout.delimiter):
        try:
            found = _by_arrow(piece, layout, names)
        except (ImportError, ValueError, KeyError):
            pass
        else:
            sizes = {len(each) for each in found[0].values()}
            sizes |= {len(each) for each in found[1].values()}
            numbers = [column.values for column in found[0].values() if column.kind == "number"]
            is_whole = sizes <= {n_rows} and all(map(is_good, found[1].values()))
            if is_whole and not has_lost_digits(piece, [*numbers, *found[1].values()]):
                return found
    return _by_line(piece, layout, names, first_row)


def _by_arrow(piece: bytes, layout: Layout, names: Sequence[str]) -> Found:
    """Parse by pyarrow; raises ValueError, ImportError."""
    import pyarrow as pa
    from pyarrow import csv

    columns = [str(column) for column in range(layout.n_columns)]
    coded = pa.dictionary(pa.int32(), pa.string())
    wanted = {name: str(layout.place_of(name)) for name in names}
    types = {
        place: pa.float64() if layout.kinds[name] == "number" else coded
        for name, place in wanted.items()
    }
    for role, column in layout.roles.items():
        types[str(column)] = pa.string() if role in layout.texts else pa.float64()
    table = csv.read_csv(
        pa.BufferReader(piece),
        csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=columns),
        csv.ParseOptions(delimiter=layout.delimiter, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=_spellings(),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    made = {
        name: _column(table.column(place), layout.kinds[name]) for name, place in wanted.items()
    }
    others = {
        role: labels([text or "" for text in table.column(str(column)).to_pylist()])
        if role in layout.texts
        else np.array(table.column(str(column)).to_numpy())
        for role, column in layout.roles.items()
    }
    return made, others


def _spellings() -> list[str]:
    """Return the usual spellings of a missing value; the others are looked for afterwards."""
    return ["", *(each(word) for word in MISSING for each in (str, str.upper, str.capitalize))]


def _column(found: Any, kind: Kind) -> Column:
    """Return a column as it was parsed; raises ValueError for a value that is none of its kind."""
    if kind == "number":
        numbers = np.array(found.to_numpy(), dtype=np.float64)
        missing = np.isnan(numbers)
        if np.isinf(numbers).any():
            raise ValueError("an infinity")
        return Column(kind, numbers, missing if missing.any() else None)
    chunk = found.unify_dictionaries().combine_chunks()
    chunk = chunk.chunk(0) if hasattr(chunk, "chunk") else chunk
    codes = np.array(chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)
    return coded_column(codes, [text.strip() for text in chunk.dictionary.to_pylist()], kind)


def coded_column(codes: NDArray[np.int32], texts: Sequence[str], kind: Kind) -> Column:
    """Return a column of codes (n,) into texts, -1 where there is none.

    Raises ValueError for a text that is none of the kind.
    """
    gaps = np.array([*map(is_missing, texts), True])
    missing = gaps[codes]
    has_gaps = missing if missing.any() else None
    if kind == "text":
        places: dict[str, int] = {}
        moved = [
            -1 if gap else places.setdefault(text, len(places))
            for text, gap in zip(texts, gaps[:-1].tolist(), strict=True)
        ]
        return Column(kind, np.array([*moved, -1], dtype=np.int32)[codes], has_gaps, tuple(places))
    values = [None if gap else _value(text, kind) for text, gap in zip(texts, gaps, strict=False)]
    if kind == "date":
        dates = np.array([value or 0 for value in values] + [0], dtype=np.int64)
        return Column(kind, dates[codes], has_gaps)
    numbers = np.array([math.nan if v is None else v for v in values] + [math.nan])
    return Column(kind, numbers[codes], has_gaps)


def _value(cell: str, kind: Kind) -> float | int:
    """Return a cell's value; raises ValueError if it is none of its kind."""
    if kind == "number":
        if is_number(cell) and math.isfinite(value := float(cell)):
            if lost_digits(cell):
                raise ValueError(LOST_DIGITS.format(cell[:60]))
            return value
    elif kind == "boolean":
        if not math.isnan(value := boolean(cell)):
            return value
    elif (found := moment(cell)) is not None:
        return found
    raise ValueError(f"got {cell!r:.60}, expected {_EXPECTED[kind]}")


def _by_line(piece: bytes, layout: Layout, names: Sequence[str], first_row: int) -> Found:
    """Parse line by line; raises DataError for the first cell that is wrong."""
    lines = piece.split(b"\n")
    if not lines[-1]:
        lines.pop()
    places = {name: layout.place_of(name) for name in names}
    cells: dict[str, list[str]] = {name: [] for name in names}
    others: dict[str, list[Any]] = {role: [] for role in layout.roles}
    for number, line in enumerate(lines):
        where = f"{layout.path}: line {first_row + number + 1 + layout.n_lines_before}"
        row = cells_at(line.rstrip(b"\r"), layout, where)
        for name, place in places.items():
            cell = row[place]
            if layout.kinds[name] != "text" and not is_missing(cell):
                _require(cell, layout.kinds[name], f"{where}, column {name!r}")
            cells[name].append(cell)
        for role in layout.roles:
            others[role].append(role_value(row, role, layout, where))
    return {name: _from_cells(found, layout.kinds[name]) for name, found in cells.items()}, {
        role: np.array(values, dtype=np.str_ if role in layout.texts else np.float64)
        for role, values in others.items()
    }


def _require(cell: str, kind: Kind, where: str) -> None:
    """Raise DataError for a cell that is none of its kind."""
    try:
        _value(cell, kind)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _from_cells(cells: Sequence[str], kind: Kind) -> Column:
    """Return a column of cells."""
    places: dict[str, int] = {}
    codes = [places.setdefault(cell, len(places)) for cell in cells]
    return coded_column(np.array(codes, dtype=np.int32), list(places), kind)
