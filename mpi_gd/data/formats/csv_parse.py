"""Lines of CSV made into numbers: fast by pyarrow, else by NumPy; line by line where both fail.

All three round to the nearest float64, so they give the same bits. The slow way takes what the
fast ones refuse though it is a number, such as "+1.5", and finds the cell that is none.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.formats.csv_kinds import WHOLE, is_missing
from mpi_gd.data.formats.csv_layout import Layout, cells_of, finite
from mpi_gd.errors import DataError, GapError

__all__ = [
    "Parsed",
    "Parser",
    "cells_at",
    "fast_parser",
    "has_lost_digits",
    "is_good",
    "is_plain",
    "labels",
    "parse",
    "role_value",
]

# Features (n, d) float64, and what else is read, by role: (n,) float64 or text.
Parsed = tuple[NDArray[np.float64], dict[str, NDArray[Any]]]
Parser = Callable[[bytes, Layout], Parsed]

# More text is no label.
_MOST_LABEL_CHARACTERS = 200
# It takes 20 microseconds a column, however few the rows.
_MOST_ARROW_COLUMNS = 10_000
# What pyarrow parses at a time, which should stay in the cache; lines that are longer go in one.
_BLOCK_BYTES = 1 << 20
# Rows that are made of columns at a time, so that they stay in the cache.
_BLOCK_ROWS = 512
# Digits that may be more than float64 has, where they are a cell of their own.
_DIGITS = re.compile(rb"(?<![0-9.eE+-])[+-]?[0-9]{16,}(?![0-9.eE])")


def fast_parser() -> Parser:
    """Return the fastest parser that is installed; imports it."""
    try:
        import pyarrow.csv  # noqa: F401
    except ImportError:
        return _by_numpy
    return _by_arrow


def parse(piece: bytes, layout: Layout, first_row: int, n_rows: int, fast: Parser) -> Parsed:
    """Return `n_rows` whole lines as numbers; `first_row` is the number of the first.

    Raises DataError, naming line and column, for a cell that is no finite number.
    """
    if n_rows <= layout.most_rows(len(piece)) and is_plain(piece, layout.delimiter):
        try:
            features, others = fast(piece, layout)
        except (ValueError, KeyError):
            pass
        else:
            found = [features, *others.values()]
            is_whole = len(features) == n_rows and all(map(is_good, found))
            if is_whole and not has_lost_digits(piece, found):
                return features, others
    return _by_line(piece, layout, first_row)


def is_plain(piece: bytes, delimiter: str) -> bool:
    """Whether there is nothing in it that a fast parser would take for something else.

    That is a NUL, a carriage return within a line, and quotes that do not stand around a cell:
    one over several lines is not how the lines were counted.
    """
    # To look for one is many times as fast as to count none.
    n_returns = piece.count(b"\r") if b"\r" in piece else 0
    if b"\0" in piece or (n_returns and n_returns != piece.count(b"\r\n")):
        return False
    if b'"' not in piece:
        return True
    edge = b"\r\n" + re.escape(delimiter.encode())
    if b'""' in piece or re.search(b"[^" + edge + b']"[^' + edge + b"]", piece):
        return False
    return not any(line.count(b'"') % 2 for line in piece.split(b"\n"))


def is_good(column: NDArray[Any]) -> bool:
    """Whether an array has no gap."""
    if column.dtype.kind == "U":
        return not any(is_missing(text) for text in set(column.tolist()))
    return bool(np.isfinite(column).all())


def has_lost_digits(piece: bytes, found: Iterable[NDArray[Any]]) -> bool:
    """Whether a cell of lines may be a whole number that is another one in float64.

    `found` are the numbers that were read, which tell it where all of them are small.
    """
    numbers = (each for each in found if each.dtype.kind == "f" and each.size)
    if not any((np.abs(each) >= WHOLE).any() for each in numbers):
        return False
    return any(int(float(cell)) != int(cell) for cell in _DIGITS.findall(piece))


def _by_arrow(piece: bytes, layout: Layout) -> Parsed:
    """Parse by pyarrow; raises ValueError."""
    import pyarrow as pa
    from pyarrow import csv

    if layout.n_columns > _MOST_ARROW_COLUMNS:
        return _by_numpy(piece, layout)
    names = [str(column) for column in range(layout.n_columns)]
    types = {str(column): pa.float64() for column in (*layout.features, *layout.roles.values())}
    types |= {str(layout.roles[role]): pa.string() for role in layout.texts}
    table = csv.read_csv(
        pa.BufferReader(piece),
        # One thread: the ranks share the cores.
        csv.ReadOptions(use_threads=False, block_size=_block_size(piece), column_names=names),
        csv.ParseOptions(delimiter=layout.delimiter, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    by_column = np.empty((len(layout.features), table.num_rows))
    for place, column in enumerate(layout.features):
        first = 0
        for chunk in table.column(str(column)).chunks:
            by_column[place, first : first + len(chunk)] = chunk.to_numpy()
            first += len(chunk)
    features = np.empty((table.num_rows, len(layout.features)))
    for first in range(0, len(features), _BLOCK_ROWS):
        features[first : first + _BLOCK_ROWS] = by_column[:, first : first + _BLOCK_ROWS].T
    others = {
        role: labels(table.column(str(column)).to_pylist())
        if role in layout.texts
        else np.array(table.column(str(column)).to_numpy())
        for role, column in layout.roles.items()
    }
    return features, others


def _block_size(piece: bytes) -> int:
    """Return how many bytes to parse at a time: a block has whole lines."""
    longest = max(piece.find(b"\n"), len(piece) - piece.rfind(b"\n", 0, -1))
    return _BLOCK_BYTES if 16 * longest < _BLOCK_BYTES else len(piece) + 1


def _by_numpy(piece: bytes, layout: Layout) -> Parsed:
    """Parse by numpy.loadtxt; raises ValueError."""

    def load(columns: list[int] | None, dtype: type) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a piece without lines
            return np.loadtxt(
                io.BytesIO(piece),
                dtype,
                comments=None,
                delimiter=layout.delimiter,
                quotechar='"',
                usecols=columns,
                ndmin=2,
                encoding="utf-8",
            )

    # Without usecols NumPy insists that all lines have as many cells.
    if not layout.skipped and not layout.texts:
        every = load(None, np.float64)
        if every.shape[1] != layout.n_columns:
            raise ValueError("another number of cells")
        others = {role: every[:, column].copy() for role, column in layout.roles.items()}
        return np.ascontiguousarray(every[:, layout.features]), others
    if b'"' in piece:
        raise ValueError("delimiters in quotes cannot be counted")
    delimiter = layout.delimiter.encode()
    cells = np.array([line.count(delimiter) for line in piece.splitlines()])
    if (cells != layout.n_columns - 1).any():
        raise ValueError("another number of cells")
    features = load(layout.features, np.float64)
    others = {
        role: labels(load([column], object)[:, 0].tolist())
        if role in layout.texts
        else load([column], np.float64)[:, 0]
        for role, column in layout.roles.items()
    }
    return features, others


def labels(texts: list[str]) -> NDArray[np.str_]:
    """Return the texts of a column without the blanks around them; raises ValueError."""
    texts = [text.strip() for text in texts]
    # An array gives each text the room of the longest.
    if max(map(len, texts), default=0) > _MOST_LABEL_CHARACTERS:
        raise ValueError("a text too long")
    return np.array(texts, dtype=np.str_)


def _by_line(piece: bytes, layout: Layout, first_row: int) -> Parsed:
    """Parse line by line; raises DataError for the first cell that is wrong."""
    lines = piece.split(b"\n")
    if not lines[-1]:
        lines.pop()
    columns = layout.features
    # Room is taken as the cells come: the lines may have fewer than they should.
    features: list[float] = []
    others: dict[str, list[Any]] = {role: [] for role in layout.roles}
    for number, line in enumerate(lines):
        where = f"{layout.path}: line {first_row + number + 1 + layout.n_lines_before}"
        cells = cells_at(line.rstrip(b"\r"), layout, where)
        features += [_feature(cells, column, layout, where) for column in columns]
        for role in layout.roles:
            others[role].append(role_value(cells, role, layout, where))
    x = np.array(features).reshape(len(lines), len(columns))
    return x, {
        role: np.array(values, dtype=np.str_ if role in layout.texts else np.float64)
        for role, values in others.items()
    }


def cells_at(line: bytes, layout: Layout, where: str) -> list[str]:
    """Return a line's cells; raises DataError unless they are as many as there are columns.

    Only those that are read must be UTF-8.
    """
    try:
        cells = cells_of(line.decode("utf-8", "surrogateescape"), layout.delimiter)
    except ValueError as error:
        raise DataError(
            f"{where}: {error}; a cell in quotes must end on the line where it begins"
        ) from error
    if len(cells) != layout.n_columns:
        what = "a blank line" if cells in ([], [""]) else f"{len(cells)} cells"
        raise DataError(
            f"{where}: got {what}, expected {layout.n_columns} cells as in the first line; correct "
            "or remove the line"
        )
    if not line.isascii():
        for column in (*layout.features, *layout.roles.values()):
            try:
                cells[column].encode("utf-8")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{where}, column {layout.name_of(column)!r}: not text in UTF-8; save the file "
                    "again"
                ) from error
    return cells


def role_value(cells: list[str], role: str, layout: Layout, where: str) -> float | str:
    """Return a line's number or text in a role; raises DataError."""
    if role in layout.texts:
        return _label(cells, role, layout, where)
    return _number(cells, layout.roles[role], layout, where)


def _feature(cells: list[str], column: int, layout: Layout, where: str) -> float:
    """Return a cell's number; raises GapError for one that has no value, else DataError."""
    if is_missing(cells[column]):
        got = repr(cells[column]) if cells[column] else "nothing"
        raise GapError(
            f"{where}, column {layout.name_of(column)!r}: got {got}: a missing value; remove the "
            "row, or say what stands for it: missing under [prepare]"
        )
    return _number(cells, column, layout, where)


def _number(cells: list[str], column: int, layout: Layout, where: str) -> float:
    """Return a cell's number."""
    try:
        return finite(cells[column])
    except ValueError as error:
        raise DataError(f"{where}, column {layout.name_of(column)!r}: {error}") from error


def _label(cells: list[str], role: str, layout: Layout, where: str) -> str:
    """Return the text of the target, or of another role."""
    label = cells[layout.roles[role]]
    what = "a label" if role == "target" else f"a {role}"
    if is_missing(label):
        got = repr(label) if label else "nothing"
        raise DataError(
            f"{where}, column {layout.role_names[role]!r}: got {got}, expected {what}; remove the "
            "row"
        )
    if len(label) > _MOST_LABEL_CHARACTERS or "\0" in label:
        got = f"{len(label)} characters" if "\0" not in label else "a NUL character"
        raise DataError(
            f"{where}, column {layout.role_names[role]!r}: got {got}, expected {what} of at most "
            f"{_MOST_LABEL_CHARACTERS} characters of text; is this the {role}?"
        )
    return label
