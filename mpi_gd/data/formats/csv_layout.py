"""What a CSV file looks like: found in its first lines, the same on all ranks."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mpi_gd.data.columns import Kind
from mpi_gd.data.formats.csv_kinds import (
    LOST_DIGITS,
    find_kinds,
    is_missing,
    is_number,
    lost_digits,
)
from mpi_gd.data.names import check_names, default_names, suggest
from mpi_gd.data.roles import NEEDED, ROLES, Purpose, require_different, way_without
from mpi_gd.data.selection import matching, selected
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.text import Text
from mpi_gd.errors import DataError, JobError, NoRowsError

__all__ = ["Layout", "cells_of", "find_layout", "find_roles", "finite", "is_missing", "is_number"]

_BOM = b"\xef\xbb\xbf"
# The first two lines must be within so many bytes, and blank lines at the end too.
_HEAD_BYTES = 1 << 22
_TAIL_BYTES = 1 << 16
# Lines that tell what columns hold.
_SAMPLE_LINES, _LEAST_LINES, _SAMPLE_CELLS = 200, 10, 20_000
_OTHER_DELIMITERS = ";\t|, "
_COLUMN_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Layout:
    """Where the rows are, and what their cells mean."""

    path: Path
    delimiter: str
    begin: int
    """The byte at which the first row begins."""
    end: int
    """One past the last byte of the last row, its line end not counted."""
    n_lines_before: int
    """Lines before the first row: the header."""
    n_columns: int
    roles: Mapping[str, int]
    """The columns that are read and are no features, by role; the target's among them."""
    skipped: frozenset[int]
    """The columns that are no features and are not read, whatever is in them."""
    texts: frozenset[str]
    """The roles that are read as text."""
    columns: Sequence[str]
    """The features' names, in order."""
    role_names: Mapping[str, str]
    """The roles' columns' names."""
    kinds: Mapping[str, Kind]
    """What each feature's column holds, by its first rows."""

    @cached_property
    def features(self) -> list[int]:
        """Return the features' columns."""
        others = {*self.roles.values(), *self.skipped}
        return [column for column in range(self.n_columns) if column not in others]

    def most_rows(self, n_bytes: int) -> int:
        """Return how many rows so many bytes can hold: a cell has a character and a delimiter.

        Only those that are not read may be empty, and the last line may lack its end.
        """
        return (n_bytes + 1) // (2 * self.n_columns - len(self.skipped))

    def most_rows_with_gaps(self, n_bytes: int) -> int:
        """Return how many rows so many bytes can hold where any cell may be empty."""
        return (n_bytes + 1) // self.n_columns

    def place_of(self, name: str) -> int:
        """Return the column of a feature; raises KeyError for a name that is none."""
        return self._places[name]

    @cached_property
    def _places(self) -> dict[str, int]:
        """Return the features' columns by name."""
        return dict(zip(self.columns, self.features, strict=True))

    def name_of(self, column: int) -> str:
        """Return the name of any column, for messages."""
        for role, place in self.roles.items():
            if place == column:
                return self.role_names[role]
        return self.columns[self.features.index(column)]


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line, without the blanks around them.

    Raises ValueError for a quote that is not closed, or text after a closed one.
    """
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True), [""])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return [cell.strip() for cell in cells]


def find_layout(spec: DataSpec, text: Text, purpose: Purpose) -> Layout:
    """Read the first lines and the last ones; raises DataError, JobError."""
    path = text.path
    head, tail = text.head(_HEAD_BYTES), text.tail(_TAIL_BYTES)
    end = text.size - (len(tail) - len(tail.rstrip(b"\r\n")))
    first = len(_BOM) if head.startswith(_BOM) else 0
    delimiter = spec.delimiter
    if delimiter == "auto":
        delimiter = "\t" if ".tsv" in path.suffixes[-2:] else ","
    names = _cells_at(head, first, path, 1, delimiter) or [""]
    has_header = spec.header == "yes" or (
        spec.header == "auto" and not any(is_number(cell) for cell in names)
    )
    begin = head.find(b"\n", first) + 1 if has_header else first
    if begin >= end or (has_header and begin == 0):
        raise NoRowsError(f"{path}: there are no rows after the header; check how it was made")
    # What is in columns that are not read is nobody's business.
    row = _cells_at(head, begin, path, 1 + has_header, delimiter, "surrogateescape")
    if has_header:
        check_names(names, f"{path}: line 1", 'name each column once, or set header = "no"')
    found = find_roles(spec, path, names, has_header, purpose, delimiter)
    places = [column for column in range(len(names)) if column not in found.values()]
    if not places:
        what = " and ".join(f"the {role}" for role in found) or "nothing"
        raise DataError(
            f"{path}: there is no column but {what}, expected features; check how it was made"
            f"{_hint(names, delimiter)}"
        )
    columns: Sequence[str] = [names[place] for place in places]
    if not has_header:
        columns = default_names(len(places))
    left_out: list[int] = []
    if spec.include or spec.exclude:
        chosen = set(selected(columns, spec, str(path), purpose))
        pairs = list(zip(places, columns, strict=True))
        left_out = [place for place, name in pairs if name not in chosen]
        places = [place for place, name in pairs if name in chosen]
        columns = [name for name in columns if name in chosen]
    roles = {role: column for role, column in found.items() if role in NEEDED[purpose]}
    target = roles.get("target", len(row))
    texts = {role for role in roles if role != "target" and ROLES[role].is_text}
    if target < len(row) and not is_number(row[target]):
        texts.add("target")
    return Layout(
        path=path,
        delimiter=delimiter,
        begin=begin,
        end=end,
        n_lines_before=int(has_header),
        n_columns=len(names),
        roles=roles,
        skipped=(frozenset(found.values()) - frozenset(roles.values())) | frozenset(left_out),
        texts=frozenset(texts),
        columns=tuple(columns) if has_header or left_out else columns,
        role_names={
            role: names[column] if has_header else f"column {column}"
            for role, column in roles.items()
        },
        kinds=find_kinds(
            _sample(head[begin : min(end, len(head))], delimiter, len(names)),
            dict(zip(columns, places, strict=True)),
            matching(columns, spec.text, "text", str(path), purpose) if spec.text else set(),
        ),
    )


def _sample(rows: bytes, delimiter: str, n_columns: int) -> list[list[str]]:
    """Return the cells of the first lines that are whole; of those that are damaged none."""
    most = min(_SAMPLE_LINES, max(_LEAST_LINES, _SAMPLE_CELLS // n_columns))
    lines = rows.split(b"\n", most)
    if len(lines) > 1:
        lines.pop()
    found = []
    for line in lines:
        try:
            cells = cells_of(line.rstrip(b"\r").decode("utf-8", "surrogateescape"), delimiter)
        except (UnicodeDecodeError, ValueError):
            continue
        if len(cells) == n_columns:
            found.append(cells)
    return found


def _cells_at(
    head: bytes, begin: int, path: Path, line: int, delimiter: str, errors: str = "strict"
) -> list[str]:
    """Return the cells of the line that begins at a byte."""
    stop = head.find(b"\n", begin)
    if stop < 0:
        if len(head) == _HEAD_BYTES:
            raise DataError(
                f"{path}: line {line} is longer than {_HEAD_BYTES >> 20} MiB, expected lines of a "
                "table; is this a text file with \\n at the end of its lines?"
            )
        stop = len(head)
    content = head[begin:stop].rstrip(b"\r")
    if b"\0" in content:
        raise DataError(
            f"{path}: line {line} has a NUL character in it, expected text in UTF-8; if it is in "
            "UTF-16, convert it: iconv -f UTF-16 -t UTF-8"
        )
    if b"\r" in content:
        raise DataError(
            f"{path}: line {line} has a carriage return (\\r) in it, expected \\n or \\r\\n at the "
            "end of each line; convert the file, for example with: tr '\\r' '\\n'"
        )
    try:
        cells = cells_of(content.decode("utf-8", errors), delimiter)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: line {line}: not text in UTF-8 ({error}); save the file again"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{path}: line {line}: {error}; a cell in quotes must end on the line where it begins"
        ) from error
    return cells


def find_roles(
    spec: DataSpec,
    path: Path,
    names: list[str],
    has_header: bool,
    purpose: Purpose,
    delimiter: str,
) -> dict[str, int]:
    """Return the columns that are no features, by role, whether needed or not."""
    found: dict[str, int] = {}
    # Without a header the first line's cells are no names.
    known = names if has_header else []
    for role, name in spec.named_columns.items():
        if name in known:
            found[role] = known.index(str(name))
        elif isinstance(name, int) or _COLUMN_NUMBER.fullmatch(name):
            found[role] = _place(delimiter, role, int(name), path, names)
        elif role in NEEDED[purpose]:
            raise _missing(delimiter, role, name, path, names, has_header, purpose)
    require_different(found, str(path))
    return found


def _place(delimiter: str, role: str, number: int, path: Path, names: list[str]) -> int:
    """Return the column of a number, that is negative if it counts from the last."""
    if not -len(names) <= number < len(names):
        raise DataError(
            f"{path}: data.{role} is {number}, expected the number of one of {len(names)} "
            f"columns, 0 to {len(names) - 1} or -{len(names)} to -1{_hint(names, delimiter)}"
        )
    return number % len(names)


def _missing(
    delimiter: str,
    role: str,
    name: str,
    path: Path,
    names: list[str],
    has_header: bool,
    purpose: Purpose,
) -> DataError | JobError:
    """Return the error for a needed column that is not there."""
    known = (
        suggest(name, names)
        if has_header
        else (
            "the file has no header, for there are numbers in its first line: give the column's "
            "number, or write a header (of shards into each)"
        )
    )
    if not name:
        return JobError(f"data.{role} is missing: name the column to learn in [data]; {known}")
    return DataError(
        f"{path}: no column is called {name!r} (data.{role}); {known}{way_without(role, purpose)}"
        f"{_hint(names, delimiter)}"
    )


def _hint(names: list[str], delimiter: str) -> str:
    """Return a hint if the line looks as if it were cut by another delimiter."""
    if len(names) > 1:
        return ""
    for other in _OTHER_DELIMITERS:
        if other != delimiter and other in names[0]:
            return f"; is the delimiter {other!r}? Then set delimiter = {other!r}"
    return ""


def finite(cell: str) -> float:
    """Return a cell's number; raises ValueError, that says what is wrong, if it is none."""
    if is_missing(cell):
        shown = f"got {cell!r}" if cell else "got nothing"
        raise ValueError(f"{shown}: a missing value; remove the row, or fill the gap first")
    if not is_number(cell):
        raise ValueError(f"got {cell!r:.60}, expected a number; encode text as numbers first")
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"got {cell!r:.60}, expected a finite number; remove the row")
    if lost_digits(cell):
        raise ValueError(LOST_DIGITS.format(cell[:60]))
    return value
