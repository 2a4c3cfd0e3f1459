"""Write rows as CSV: a line a row, all digits of each number and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column
from mpi_gd.data.writing.layout import Layout, Piece, Rows, Stream, Writer
from mpi_gd.data.writing.npy import dense_of
from mpi_gd.errors import JobError

__all__ = ["CsvWriter", "quoted"]

_MOST_COLUMNS = 20_000
# So many cells are text at a time: each is an object of its own.
_CELLS = 1 << 16
_SPECIAL = frozenset(',"\n\r')
_BOOLEANS = ("false", "true")


class CsvWriter(Writer):
    """The features, what has a role, and in the last column the target, under a header."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Write the header; raises JobError for more columns than a table has."""
        if len(layout.columns) > _MOST_COLUMNS:
            raise JobError(
                f"{path}: {len(layout.columns):,} columns, expected at most {_MOST_COLUMNS:,} in a "
                "CSV file; give a name that ends in .npz"
            )
        self._layout = layout
        roles = [role for role in layout.vectors if role != "target"]
        self._roles = [*roles, *(["target"] if layout.target else [])]
        names = [*layout.columns, *(layout.name_of(role) for role in self._roles)]
        self._head = (",".join(map(quoted, names)) + "\n").encode()
        self.files = [path]
        self.streams = [Stream(0, len(self._head))]

    def encode(self, rows: Rows, stored_before: int) -> list[Piece]:
        """Return the lines."""
        step = max(1, _CELLS // (len(self._layout.columns) + len(self._roles)))
        starts = range(0, len(rows), step)
        return [b"".join(self._lines(rows.part(k, min(k + step, len(rows)))) for k in starts)]

    def _lines(self, rows: Rows) -> bytes:
        """Return the lines of few rows."""
        vectors = [rows.vectors[role] for role in self._roles]
        if not rows.columns and all(values.dtype.kind != "U" for values in vectors):
            numbers = np.column_stack([dense_of(rows.x).astype(np.float64), *vectors])
            text = "".join([",".join(map(repr, row)) + "\n" for row in numbers.tolist()])
            # The digits that tell each number from all others, and no more.
            return text.replace(".0,", ",").replace(".0\n", "\n").encode()
        cells: list[Iterable[str]] = []
        if rows.columns:
            cells += [_column_cells(rows.columns[name]) for name in self._layout.columns]
        else:
            cells += [_numbers(column) for column in dense_of(rows.x).T]
        cells += map(_vector_cells, vectors)
        return "".join([f"{line}\n" for line in map(",".join, zip(*cells, strict=True))]).encode()

    def frame(self, sizes: Sequence[int], crcs: Sequence[int]) -> list[tuple[int, int, bytes]]:
        """Return the line of names."""
        return [(0, 0, self._head)]

    def job_lines(self) -> dict[str, str]:
        """Return the file, and the columns by role."""
        roles = {role: self._layout.name_of(role) for role in self._roles}
        return {"path": self.files[0].name, "header": "yes", **roles}


def quoted(text: str) -> str:
    """Return a cell, in quotes if it needs them."""
    if _SPECIAL.isdisjoint(text) and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'


def _numbers(values: NDArray[Any]) -> list[str]:
    """Return numbers as people write them: the digits that tell each from all others."""
    numbers = values.astype(np.float64).tolist()
    return [text.removesuffix(".0") for text in map(repr, numbers)]


def _vector_cells(values: NDArray[Any]) -> list[str]:
    """Return the cells of a role: text, or numbers."""
    if values.dtype.kind == "U":
        return [quoted(text) for text in values.tolist()]
    return _numbers(values)


def _column_cells(column: Column) -> list[str]:
    """Return the cells of a table's column; empty where there is no value."""
    found = _present_cells(column)
    if column.missing is not None:
        for row in np.flatnonzero(column.missing):
            found[row] = ""
    return found


def _present_cells(column: Column) -> list[str]:
    """Return a column's cells, anything where the value is missing."""
    if column.kind == "text":
        levels = [*map(quoted, column.levels), ""]
        last = len(levels) - 1
        # The code of a missing value may be anything.
        return [levels[code if 0 <= code < last else last] for code in column.values.tolist()]
    if column.kind == "boolean":
        return [_BOOLEANS[int(value == 1)] for value in column.values.tolist()]
    if column.kind == "date":
        moments = column.values.astype("datetime64[us]")
        texts = (text.removesuffix(".000000") for text in moments.astype(str).tolist())
        return [text.removesuffix("T00:00:00") for text in texts]
    return _numbers(column.values)
