"""Lines of CSV made into numbers: fast by pyarrow, else by NumPy; line by line where both fail.

All three round to the nearest float64, so they give the same bits. The slow way takes what the
fast ones refuse though it is a number, such as "+1.5", and finds the cell that is none.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.csv_layout import Layout, cells_of, finite, is_missing
from mpi_gd.errors import DataError

__all__ = ["Parsed", "Parser", "fast_parser", "parse"]

# Features (n, d) float64 and the target (n,), float64 or text; None if there is no target.
Parsed = tuple[NDArray[np.float64], NDArray[Any] | None]
Parser = Callable[[bytes, Layout], Parsed]

# More text is no label.
_MOST_LABEL_CHARACTERS = 200
# It takes 20 microseconds a column, however few the rows.
_MOST_ARROW_COLUMNS = 10_000


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
    if n_rows <= layout.most_rows(len(piece)) and _is_plain(piece, layout.delimiter):
        try:
            features, target = fast(piece, layout)
        except (ValueError, KeyError):
            pass
        else:
            if len(features) == n_rows and np.isfinite(features).all() and _is_good(target):
                return features, target
    return _by_line(piece, layout, first_row)


def _is_plain(piece: bytes, delimiter: str) -> bool:
    """Whether there is nothing in it that a fast parser would take for something else.

    That is a NUL, a carriage return within a line, and quotes that do not stand around a cell:
    one over several lines is not how the lines were counted.
    """
    n_returns = piece.count(b"\r")
    if b"\0" in piece or (n_returns and n_returns != piece.count(b"\r\n")):
        return False
    if b'"' not in piece:
        return True
    edge = b"\r\n" + re.escape(delimiter.encode())
    if b'""' in piece or re.search(b"[^" + edge + b']"[^' + edge + b"]", piece):
        return False
    return not any(line.count(b'"') % 2 for line in piece.split(b"\n"))


def _is_good(target: NDArray[Any] | None) -> bool:
    """Whether a target has no gap."""
    if target is None:
        return True
    if target.dtype.kind == "U":
        return not any(is_missing(label) for label in set(target.tolist()))
    return bool(np.isfinite(target).all())


def _by_arrow(piece: bytes, layout: Layout) -> Parsed:
    """Parse by pyarrow; raises ValueError."""
    import pyarrow as pa
    from pyarrow import csv

    if layout.n_columns > _MOST_ARROW_COLUMNS:
        return _by_numpy(piece, layout)
    names = [str(column) for column in range(layout.n_columns)]
    types = dict.fromkeys(names, pa.float64())
    for column in (layout.target if layout.target_is_text else -1, layout.skipped):
        if column >= 0:
            types[str(column)] = pa.string()
    table = csv.read_csv(
        pa.BufferReader(piece),
        # One block, one thread: the ranks share the cores.
        csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=names),
        csv.ParseOptions(delimiter=layout.delimiter, ignore_empty_lines=False),
        csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
    )
    features = np.empty((table.num_rows, len(layout.features)))
    for place, column in enumerate(layout.features):
        features[:, place] = table.column(column).to_numpy()
    if layout.target < 0:
        return features, None
    target = table.column(layout.target)
    if layout.target_is_text:
        return features, _labels(target.to_pylist())
    return features, np.array(target.to_numpy())


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
    if layout.skipped < 0 and not layout.target_is_text:
        every = load(None, np.float64)
        if every.shape[1] != layout.n_columns:
            raise ValueError("another number of cells")
        target = None if layout.target < 0 else every[:, layout.target].copy()
        return np.ascontiguousarray(every[:, layout.features]), target
    if b'"' in piece:
        raise ValueError("delimiters in quotes cannot be counted")
    delimiter = layout.delimiter.encode()
    cells = np.array([line.count(delimiter) for line in piece.splitlines()])
    if (cells != layout.n_columns - 1).any():
        raise ValueError("another number of cells")
    features = load(layout.features, np.float64)
    if layout.target < 0:
        return features, None
    return features, _labels(load([layout.target], object)[:, 0].tolist())


def _labels(texts: list[str]) -> NDArray[np.str_]:
    """Return the texts of the target without the blanks around them; raises ValueError."""
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
    target: list[Any] = []
    for number, line in enumerate(lines):
        where = f"{layout.path}: line {first_row + number + 1 + layout.n_lines_before}"
        cells = _cells(line.rstrip(b"\r"), layout, where)
        features += [_number(cells, column, layout, where) for column in columns]
        if layout.target_is_text:
            target.append(_label(cells, layout, where))
        elif layout.target >= 0:
            target.append(_number(cells, layout.target, layout, where))
    x = np.array(features).reshape(len(lines), len(columns))
    if layout.target < 0:
        return x, None
    return x, np.array(target, dtype=np.str_ if layout.target_is_text else np.float64)


def _cells(line: bytes, layout: Layout, where: str) -> list[str]:
    """Return a line's cells; raises DataError unless they are as many as there are columns."""
    try:
        cells = cells_of(line.decode("utf-8"), layout.delimiter)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not text in UTF-8 ({error}); save the file again") from error
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
    return cells


def _number(cells: list[str], column: int, layout: Layout, where: str) -> float:
    """Return a cell's number."""
    try:
        return finite(cells[column])
    except ValueError as error:
        raise DataError(f"{where}, column {layout.name_of(column)!r}: {error}") from error


def _label(cells: list[str], layout: Layout, where: str) -> str:
    """Return the target's text."""
    label = cells[layout.target]
    if is_missing(label):
        got = repr(label) if label else "nothing"
        raise DataError(
            f"{where}, column {layout.target_name!r}: got {got}, expected a label; remove the row"
        )
    if len(label) > _MOST_LABEL_CHARACTERS or "\0" in label:
        got = f"{len(label)} characters" if "\0" not in label else "a NUL character"
        raise DataError(
            f"{where}, column {layout.target_name!r}: got {got}, expected a label of at most "
            f"{_MOST_LABEL_CHARACTERS} characters of text; is this the target?"
        )
    return label
