"""Prepared rows as an ordinary source: whoever reads them sees features alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, narrow, storage_type
from mpi_gd.data.columns import Column, Kind
from mpi_gd.data.over import SourceOver
from mpi_gd.data.source import Block, Source
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.errors import DataError, JobError
from mpi_gd.matrix import Csr, Dense, Matrix
from mpi_gd.matrix.beside import Beside
from mpi_gd.prepare.plan import Input
from mpi_gd.prepare.recipe import Recipe, put, refuse
from mpi_gd.prepare.refused import Refusals
from mpi_gd.prepare.terms import Term

__all__ = ["ArrayTable", "PreparedSource", "pieces"]

# About so many cells are read and prepared at a time.
_PIECE_CELLS = 1 << 21
_LEAST_PIECE = 1 << 12


def pieces(start: int, stop: int, n_columns: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges of rows that cover [start, stop), of some MiB each."""
    step = max(_LEAST_PIECE, _PIECE_CELLS // max(1, n_columns))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


class PreparedSource(SourceOver[TableSource]):
    """The rows of a table, whose columns a recipe makes features of."""

    recipe: Recipe

    def __init__(self, table: TableSource, recipe: Recipe, dtype: str = "auto") -> None:
        """Take a table that is settled, and `data.dtype`.

        Raises DataError if it has not the columns that the recipe needs, JobError without SciPy
        where it is needed.
        """
        table.expect({each.name: each.kind for each in recipe.inputs if each.name in table.kinds})
        require_inputs(table, recipe.inputs)
        if recipe.is_sparse and importlib.util.find_spec("scipy") is None:
            raise JobError(
                "features of which most are zeros need SciPy: pip install "
                '"mpi_gd[sparse]", or set layout = "dense" under [prepare]'
            )
        self.source, self.recipe = table, recipe
        self.n_samples, self.n_features = table.n_samples, recipe.n_features
        self.columns = recipe.names
        self.n_stored = recipe.n_values * table.n_samples if recipe.is_sparse else 0
        wanted = "float64" if recipe.is_sparse else dtype
        self.dtype = storage_type(wanted, np.dtype(np.float64))
        self.target_name, self.role_names = table.target_name, table.role_names
        self._input_of = {name: each.name for each in recipe.inputs for name in each.variables}

    def read(self, start: int, stop: int) -> Block:
        """Return the features, y and the rest of rows [start, stop).

        Raises Refused, a DataError that counts them, for cells of which no feature can be made.
        """
        self.check_range(start, stop)
        names = [each.name for each in self.recipe.inputs]
        refusals = Refusals()
        out = _Out(self.recipe, stop - start, self.dtype)
        blocks = []
        # A range without rows has y and the rest all the same.
        for first, last in pieces(start, stop, len(names)) if stop > start else [(start, stop)]:
            block = self.source.read_columns(first, last, names)
            refusals.start = first
            lost = out.add(self.recipe.terms(block.columns, refusals), last - first)
            if lost is not None and not refusals.found:
                raise DataError(
                    f"{self.locate(first + lost)}: a number is too large for {self.dtype}; set "
                    'dtype = "float64" or rescale the column'
                )
            blocks.append(block)
        refuse(refusals, self.place)
        return Block(
            out.matrix(),
            _joined([block.y for block in blocks]),
            {role: _joined([b.extras[role] for b in blocks]) for role in blocks[0].extras},
        )

    def place(self, row: int, column: str) -> str:
        """Name the place of a cell, of a column or of a date's part."""
        return self.source.locate_cell(row, self._input_of.get(column, column))

    def fingerprint(self) -> str:
        """Describe the table and the recipe."""
        return f"{self.source.fingerprint()}, prepared as {self.recipe.digest}"


class ArrayTable(SourceOver[Source], TableSource):
    """The rows of an array as a table: its columns are numbers, and NaN is a missing value."""

    def __init__(self, source: Source) -> None:
        """Take a source that is settled; raises JobError for sparse rows."""
        if source.n_stored:
            raise JobError(
                f"{source.locate(0)}: [prepare] makes features of columns, and these are sparse "
                "rows; remove the table [prepare]"
            )
        self.source = source
        self.n_samples, self.n_features = source.n_samples, source.n_features
        self.columns, self.dtype = source.columns, source.dtype
        self.kinds: Mapping[str, Kind] = dict.fromkeys(source.columns, "number")
        self.target_name, self.role_names = source.target_name, source.role_names

    def read(self, start: int, stop: int) -> Block:
        """Return the rows as they are."""
        return self.source.read(start, stop)

    def read_columns(self, start: int, stop: int, names: Sequence[str]) -> TableBlock:
        """Return some columns of the rows."""
        block = self.source.read(start, stop)
        places = {name: place for place, name in enumerate(self.columns)}
        chosen = {
            name: Column("number", np.array(block.x[:, places[name]], dtype=np.float64))
            for name in names
        }
        return TableBlock(chosen, block.y, block.extras)

    def locate_cell(self, row: int, name: str) -> str:
        """Name the row and the column."""
        return f"{self.source.locate(row)}, column {name!r}"

    def fingerprint(self) -> str:
        """Describe the source."""
        return self.source.fingerprint()


def require_inputs(table: TableSource, inputs: Sequence[Input]) -> None:
    """Raise DataError unless the table has the columns, of the kinds that they were of."""
    lacking = [each.name for each in inputs if each.name not in table.kinds]
    if lacking:
        more = f" and {len(lacking) - 8} more" if len(lacking) > 8 else ""
        raise DataError(
            f"{table.locate(0)}: no column is called {', '.join(map(repr, lacking[:8]))}{more}, "
            f"expected the {len(inputs)} columns of the training; give the same columns, in any "
            "order"
        )
    for each in inputs:
        found = table.kinds[each.name]
        if found != each.kind and {found, each.kind} != {"number", "boolean"}:
            raise DataError(
                f"{table.locate_cell(0, each.name)}: got a column of the kind {found}, expected "
                f"{each.kind} as in the training; give the same columns"
            )


class _Out:
    """Features of rows that come a piece at a time."""

    def __init__(self, recipe: Recipe, n_rows: int, dtype: np.dtype[Any]) -> None:
        self._is_sparse, self._n_features = recipe.is_sparse, recipe.n_features
        self._n_dense = recipe.n_dense if recipe.is_sparse else recipe.n_features
        self._dense = aligned_empty((n_rows, self._n_dense), dtype)
        self._row = 0
        self._data: list[NDArray[np.float64]] = []
        self._indices: list[NDArray[np.int32]] = []
        self._counts: list[NDArray[np.int64]] = []

    def add(self, terms: list[Term], n_rows: int) -> int | None:
        """Take a piece; return the first of its rows with a number too large for the type."""
        out = self._dense[self._row : self._row + n_rows]
        self._row += n_rows
        if not self._is_sparse:
            return _put(terms, out)
        at, dense = 0, 0
        while dense < len(terms) and at + terms[dense].width <= self._n_dense:
            at += terms[dense].width
            dense += 1
        put(terms[:dense], out)
        self._add_sparse(terms[dense:], n_rows)
        return None

    def _add_sparse(self, terms: list[Term], n_rows: int) -> None:
        """Take the terms that are mostly zeros."""
        values, places, at = [np.empty((n_rows, 0))], [np.empty((n_rows, 0), dtype=np.int64)], 0
        for term in terms:
            values.append(term.values)
            places.append(term.placed() + at)
            at += term.width
        numbers = np.concatenate(values, axis=1)
        is_stored = numbers != 0.0
        self._data.append(numbers[is_stored])
        self._indices.append(np.concatenate(places, axis=1)[is_stored].astype(np.int32))
        self._counts.append(np.count_nonzero(is_stored, axis=1))

    def matrix(self) -> Matrix:
        """Return all rows."""
        if not self._is_sparse:
            return Dense(self._dense)
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(self._counts))]).astype(np.int64)
        sparse = Csr(
            np.concatenate(self._data),
            np.concatenate(self._indices),
            indptr,
            self._n_features - self._n_dense,
        )
        return Beside(Dense(self._dense), sparse) if self._n_dense else sparse


def _put(terms: list[Term], out: NDArray[Any]) -> int | None:
    """Put terms into `out`; return the first row with a number too large for its type."""
    if out.dtype == np.float64:
        put(terms, out)
        return None
    whole = np.empty(out.shape)
    put(terms, whole)
    return narrow(whole, out)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays one after another."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
