"""What the columns of all ranks' rows hold, exactly, and the same on any number of ranks.

The rows are cut into groups by their number alone. A rank reads a run of groups; the sums of a
group are added up in one order, and the groups' in any, exactly.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.commands.tally import COUNTS, Floats, Levels, Numbers
from mpi_gd.data import Source
from mpi_gd.data.columns import Column
from mpi_gd.data.table import TableSource
from mpi_gd.errors import JobError
from mpi_gd.matrix import Csr, Dense

__all__ = ["MOST_LEVELS", "ColumnProfile", "find_profile"]

MOST_LEVELS = 10_000
# Of numbers so many different ones are counted: more are no labels.
_MOST_VALUES = 100
_MOST_COLUMNS = 1 << 20
# Sums of all groups, of all ranks together.
_MOST_SUMS = 1 << 24
_MOST_GROUPS, _LEAST_ROWS = 1024, 1024
_READ_BYTES = 1 << 26
_FIRST_ROWS = 1000
_SHOWN_LEVELS = 10


@dataclass(frozen=True)
class ColumnProfile:
    """What is known of a column."""

    name: str
    role: str
    """feature, target, weight, ..."""
    kind: str
    """number, boolean, date, text."""
    n_missing: int
    n_infinite: int = 0
    n_zeros: int = 0
    is_whole: bool = False
    """Whether all numbers are whole."""
    lowest: float = math.nan
    highest: float = math.nan
    mean: float = math.nan
    deviation: float = math.nan
    n_levels: int | None = None
    """Different values; None if they were not counted, or are too many."""
    top: tuple[tuple[str, int], ...] = ()
    """The most frequent ones, and how often they come."""


@dataclass
class _Part:
    """The columns that are looked at in the same way."""

    names: list[str]
    roles: list[str]
    kinds: list[str]


def find_profile(world: World, source: Source) -> list[ColumnProfile]:
    """Read all rows and return the columns, features first; collective.

    Raises on all ranks: FileError, DataError, and JobError for more columns than can be listed.
    """
    if source.n_features > _MOST_COLUMNS:
        raise JobError(
            f"{source.n_features:,} columns are too many to look at each, expected at most "
            f"{_MOST_COLUMNS:,}"
        )
    with world.phase("looking at the first rows"):
        numbers, texts, shift = _plan(source)
    tally, sums = Numbers(shift), _Sums(source.n_samples, 2 * len(numbers.names))
    levels = [Levels(MOST_LEVELS if k == "text" else _MOST_VALUES) for k in texts.kinds]
    first, last = (sums.n_groups * part // world.size for part in (world.rank, world.rank + 1))
    partials = np.zeros((last - first, 2 * len(numbers.names)))
    with world.phase("looking at the rows"):
        for group, block in _groups(source, sums, first, last, numbers):
            partials[group - first] = _look(block, tally, levels, texts).reshape(-1)
    total = np.zeros(0)
    if numbers.names:
        total = TileSum(world, sums.n_groups, 2 * len(numbers.names)).sum(partials)
    _merge(world, tally, levels)
    found = _numbers(numbers, tally, total.reshape(2, -1))
    _add_levels(found, texts, levels)
    order = {name: number for number, name in enumerate([*source.columns])}
    return sorted(found, key=lambda c: (c.role != "feature", order.get(c.name, len(order))))


class _Sums:
    """How rows are cut into groups."""

    def __init__(self, n_rows: int, width: int) -> None:
        """Cut by the rows' number and the width of a group's sums alone."""
        most = min(_MOST_GROUPS, max(16, _MOST_SUMS // max(1, width)))
        self.rows = max(_LEAST_ROWS, -(-n_rows // most))
        self.n_groups = -(-n_rows // self.rows)


def _plan(source: Source) -> tuple[_Part, _Part, Floats]:
    """Return the columns of numbers, those whose values are counted, and the numbers' shift."""
    numbers, counted = _Part([], [], []), _Part([], [], [])

    def take(part: _Part, name: str, role: str, kind: str) -> None:
        part.names.append(name)
        part.roles.append(role)
        part.kinds.append(kind)

    for name in source.columns:
        kind = source.kinds[name] if isinstance(source, TableSource) else "number"
        take(counted if kind == "text" else numbers, name, "feature", kind)
    block = _read(source, 0, min(_FIRST_ROWS, source.n_samples))
    for role, values in block.vectors.items():
        name = source.target_name if role == "target" else source.role_names[role]
        is_text = values.dtype.kind == "U"
        if not is_text:
            take(numbers, name, role, "number")
        if is_text or role == "target":
            take(counted, name, role, "text" if is_text else "number")
    shift = np.zeros(len(numbers.names))
    n_features = numbers.roles.count("feature")
    if not isinstance(block.x, Csr):
        shift[:n_features] = _middle(*_matrix(block))
    if n_features < len(shift):
        shift[n_features:] = _middle(_vectors(block), None)
    return numbers, counted, shift


def _middle(x: NDArray[Any], missing: NDArray[np.bool_] | None) -> Floats:
    """Return about the means of columns; 0 where there is none."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        good = np.isfinite(x) if missing is None else np.isfinite(x) & ~missing
        means = np.where(good, x, 0.0).sum(axis=0) / np.maximum(1, good.sum(axis=0))
    return np.where(np.isfinite(means), means, 0.0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows as they are read."""

    x: Any
    """An array or compressed sparse rows; None if there are columns."""
    columns: dict[str, Column]
    vectors: dict[str, NDArray[Any]]

    def part(self, first: int, last: int) -> _Rows:
        """Return the rows [first, last)."""
        x = self.x
        if x is not None:
            x = x.part(first, last) if isinstance(x, Csr) else x[first:last]
        columns = {name: column.part(first, last) for name, column in self.columns.items()}
        vectors = {role: values[first:last] for role, values in self.vectors.items()}
        return _Rows(x, columns, vectors)


def _read(source: Source, start: int, stop: int) -> _Rows:
    """Read rows as they are, features or columns of a table."""
    x, columns = None, {}
    if isinstance(source, TableSource):
        table = source.read_columns(start, stop, source.columns)
        y, extras, columns = table.y, table.extras, dict(table.columns)
    else:
        block = source.read(start, stop)
        y, extras, x = block.y, block.extras, block.x
        x = x.x if isinstance(x, Dense) else x
    return _Rows(x, columns, {**({"target": y} if source.target_name else {}), **extras})


def _groups(
    source: Source, sums: _Sums, first: int, last: int, numbers: _Part
) -> Iterator[tuple[int, _Rows]]:
    """Yield the groups' numbers and rows; several are read at a time."""
    stored = source.n_stored / max(1, source.n_samples) or len(numbers.names)
    at_a_time = max(1, int(_READ_BYTES // (8 * max(1.0, stored) * sums.rows)))
    for begin in range(first, last, at_a_time):
        end = min(begin + at_a_time, last)
        start = begin * sums.rows
        block = _read(source, start, min(end * sums.rows, source.n_samples))
        for group in range(begin, end):
            offset = group * sums.rows - start
            n = min(sums.rows, source.n_samples - group * sums.rows)
            yield group, block.part(offset, offset + n)


def _matrix(rows: _Rows) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return the features that are numbers as an array, and where they are missing."""
    if rows.x is not None:
        return np.asarray(rows.x), None
    columns = [column for column in rows.columns.values() if column.kind != "text"]
    shape = (max(map(len, rows.columns.values()), default=0), len(columns))
    x, missing = np.empty(shape), np.zeros(shape, dtype=bool)
    for j, column in enumerate(columns):
        x[:, j] = column.values
        if column.missing is not None:
            missing[:, j] = column.missing
    return x, missing


def _vectors(rows: _Rows) -> NDArray[Any]:
    """Return the target and the rest, if they are numbers, as an array."""
    vectors = [values for values in rows.vectors.values() if values.dtype.kind != "U"]
    return np.column_stack(vectors) if vectors else np.empty((0, 0))


def _look(rows: _Rows, tally: Numbers, levels: list[Levels], counted: _Part) -> Floats:
    """Take a group's rows; return the sums of its numbers, (2, n_numbers)."""
    for level, name, role in zip(levels, counted.names, counted.roles, strict=True):
        level.add(rows.columns[name] if role == "feature" else rows.vectors[role])
    vectors = _vectors(rows)
    n_features = len(tally.shift) - vectors.shape[1]
    at, rest = slice(n_features), slice(n_features, None)
    if isinstance(rows.x, Csr):
        sums = tally.add_sparse(rows.x.rows, at)
    else:
        sums = tally.add(*_matrix(rows), at)
    return np.hstack([sums, tally.add(vectors, at=rest)]) if vectors.shape[1] else sums


def _merge(world: World, tally: Numbers, levels: list[Levels]) -> None:
    """Put all ranks' counts together; collective."""
    world.allreduce_sum(tally.counts)
    ends = np.concatenate([-tally.lowest, tally.highest])
    world.allreduce_max(ends)
    tally.lowest[:], tally.highest[:] = -ends[: len(tally.lowest)], ends[len(tally.lowest) :]
    mine = json.dumps([[level.counts, level.missing] for level in levels])
    for level in levels:
        level.counts, level.missing = {}, 0
    for text in world.gather_small(mine):
        for level, (counts, missing) in zip(levels, json.loads(text), strict=True):
            level.update(counts)
            level.missing += missing


def _numbers(part: _Part, tally: Numbers, total: Floats) -> list[ColumnProfile]:
    """Return the columns of numbers."""
    counts = dict(zip(COUNTS, tally.counts, strict=True))
    found = []
    with np.errstate(all="ignore"):
        n = counts["present"].astype(np.float64)
        moved = total[0] / n
        mean = tally.shift + moved
        variance = np.maximum(total[1] / n - np.square(moved), 0.0)
        # Of a constant only rounding would be left.
        deviation = np.where(tally.lowest == tally.highest, 0.0, np.sqrt(variance))
    figures = np.array([tally.lowest, tally.highest, mean, deviation])
    figures[:, counts["present"] == 0] = math.nan
    for j, (name, role, kind) in enumerate(zip(part.names, part.roles, part.kinds, strict=True)):
        lowest, highest, middle, spread = figures[:, j].tolist()
        found.append(
            ColumnProfile(
                name,
                role,
                kind,
                int(counts["missing"][j]),
                int(counts["infinite"][j]),
                int(counts["zeros"][j]),
                bool(counts["fractions"][j] == 0 and counts["present"][j] > 0),
                lowest,
                highest,
                middle,
                spread,
            )
        )
    return found


def _add_levels(found: list[ColumnProfile], part: _Part, levels: list[Levels]) -> None:
    """Add the columns of text, and the different values to the target."""
    by_role = {column.role: k for k, column in enumerate(found) if column.role != "feature"}
    for name, role, kind, level in zip(part.names, part.roles, part.kinds, levels, strict=True):
        n_levels = None if level.counts is None else len(level.counts)
        top = tuple(level.top[:_SHOWN_LEVELS])
        if kind == "text":
            found.append(ColumnProfile(name, role, kind, level.missing, n_levels=n_levels, top=top))
        else:
            k = by_role[role]
            found[k] = dataclasses.replace(found[k], n_levels=n_levels, top=top)
