"""A table in memory, for tests of what is made of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands.learn import learn
from mpi_gd.data.columns import Column, Kind
from mpi_gd.data.source import Block
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.prepare import PrepareSpec
from mpi_gd.prepare.recipe import Recipe

__all__ = ["MemoryTable", "column", "recipe_of", "sample_columns", "values"]


def column(values: Sequence[Any]) -> Column:
    """Return a column of numbers, booleans, texts or datetime64; None is a missing value."""
    missing = np.array([value is None for value in values], dtype=bool)
    known = [value for value in values if value is not None]
    gaps = missing if missing.any() else None
    if known and isinstance(known[0], str):
        # Neither sorted nor all of them used: a format gives what it has.
        levels = ("never", *dict.fromkeys(reversed(known)))
        codes = [-1 if value is None else levels.index(value) for value in values]
        return Column("text", np.array(codes, dtype=np.int32), gaps, levels)
    if known and isinstance(known[0], np.datetime64):
        moments = [np.datetime64("NaT") if value is None else value for value in values]
        return Column("date", np.array(moments, "datetime64[us]").astype(np.int64), gaps)
    kind: Kind = "boolean" if known and isinstance(known[0], bool) else "number"
    numbers = [np.nan if value is None else float(value) for value in values]
    return Column(kind, np.array(numbers, dtype=np.float64), gaps)


def values(column: Column) -> list[Any]:
    """Return a column as Python has it, None where there is no value."""
    missing = np.zeros(len(column), bool) if column.missing is None else column.missing
    plain = column.values.tolist()
    if column.kind == "text":
        pairs = zip(plain, missing, strict=True)
        plain = [None if gap else column.levels[code] for code, gap in pairs]
    return [None if gap else value for value, gap in zip(plain, missing, strict=True)]


class MemoryTable(TableSource):
    """Columns of n rows; the target is their number."""

    def __init__(self, columns: Mapping[str, Column], weight: NDArray[Any] | None = None) -> None:
        """Take the columns."""
        self._columns = dict(columns)
        self._extras = {} if weight is None else {"weight": weight}
        self.columns = tuple(columns)
        self.kinds = {name: each.kind for name, each in columns.items()}
        self.n_samples = len(next(iter(columns.values())))
        self.n_features, self.dtype, self.target_name = len(columns), np.dtype(np.float64), "y"
        self.role_names = {role: role for role in self._extras}

    def read(self, start: int, stop: int) -> Block:
        """Raise ValueError: a test that comes here has forgotten to prepare."""
        raise ValueError("this table is to be prepared")

    def read_columns(self, start: int, stop: int, names: Sequence[str]) -> TableBlock:
        """Return some columns."""
        return TableBlock(
            {name: self._columns[name].part(start, stop) for name in names},
            np.arange(start, stop, dtype=np.float64),
            {role: values[start:stop] for role, values in self._extras.items()},
        )

    def locate_cell(self, row: int, name: str) -> str:
        """Name the row and the column."""
        return f"table: row {row}, column {name!r}"

    def locate(self, row: int) -> str:
        """Name the row."""
        return f"table: row {row}"

    def fingerprint(self) -> str:
        """Describe the shape."""
        return f"{self.n_samples} rows, {self.n_features} columns"


def recipe_of(columns: Mapping[str, Column], world: World | None = None, **keys: Any) -> Recipe:
    """Return what is learned of columns, of all rows, with these keys of [prepare]."""
    table = MemoryTable(columns)
    return learn(
        world or SerialWorld(), table, PrepareSpec(**keys), lambda *rows: None, "the table"
    )


def sample_columns(n: int, seed: int = 0, gaps: float = 0.1) -> dict[str, Column]:
    """Return n rows of columns of every kind, with missing values."""
    rng = np.random.default_rng(seed)

    def holes(values: list[Any]) -> Column:
        return column([None if rng.random() < gaps else value for value in values])

    colours = rng.choice(["red", "green", "blue", "ochre"], n, p=[0.5, 0.3, 0.15, 0.05])
    days = np.datetime64("2019-12-30T23:59:58.5", "us") + rng.integers(0, 10**13, n).astype(
        "m8[us]"
    )
    return {
        "age": holes(np.round(rng.normal(40, 12, n), 1).tolist()),
        "zip": holes(rng.integers(0, 5, n).astype(float).tolist()),
        "colour": holes([str(c) for c in colours]),
        "user": holes([f"u{k}" for k in rng.integers(0, 3 * n + 1, n)]),
        "member": holes((rng.random(n) < 0.3).tolist()),
        "income": column(np.exp(rng.normal(size=n) * 3).tolist()),
        "when": holes(list(days)),
    }
