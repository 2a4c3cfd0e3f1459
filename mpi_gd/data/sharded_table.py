"""Many files of tables as one table, columns in the names of their folders among its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, narrow
from mpi_gd.data.columns import KINDS, Column, Kind, join
from mpi_gd.data.listing import Shard
from mpi_gd.data.partitions import Partitions
from mpi_gd.data.shards import ShardedSource
from mpi_gd.data.shares import Share
from mpi_gd.data.source import Block, Source
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.errors import DataError

__all__ = ["ShardedTable"]

# What a column is that is of several kinds in several files: the first of these.
_BY_STRENGTH: tuple[Kind, ...] = ("text", "date", "number", "boolean")


class ShardedTable(ShardedSource, TableSource):
    """The rows of several tables, in the files' order.

    A column that is text in some files is text in all: text files say no more of a column than its
    cells. Whole numbers and fractions are numbers, and so are numbers and booleans. A column of two
    kinds otherwise has no value in the files of the weaker one, or is an error.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        open_one: Callable[[int, frozenset[str]], Source],
        by_file: frozenset[str],
        partitions: Partitions | None,
    ) -> None:
        """Open the first shard that has rows; `open_one` takes the columns that must be text.

        Raises DataError for a column of the files that the folders name, too.
        """
        self._forced: frozenset[str] = frozenset()
        super().__init__(shards, lambda number: open_one(number, self._forced), by_file)
        model = cast(TableSource, self._model)
        self._own_columns = tuple(model.columns)
        self._partitions = partitions
        added = dict(partitions.kinds) if partitions else {}
        for name in {*model.columns, model.target_name, *model.role_names.values()} & set(added):
            raise DataError(
                f"{shards[self._first].path}: the column {name!r} is in the file, and in the name "
                "of its folder, too; exclude it, or rename one of them"
            )
        self.kinds: Mapping[str, Kind] = {**model.kinds, **added}
        self.columns = (*model.columns, *added)
        self.n_features = len(self.columns)

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Count rows, and in how many shards each column is of each kind."""
        self._seen = np.zeros((len(self._own_columns), len(KINDS)), dtype=np.int64)
        return np.concatenate([super().survey(part, parts), self._seen.reshape(-1)])

    def _count(self, source: Source, share: Share, total: NDArray[np.int64]) -> None:
        """Count a share of a shard's rows, and its kinds."""
        super()._count(source, share, total)
        if share.part == 0:
            kinds = cast(TableSource, source).kinds
            places = [KINDS.index(kinds[name]) for name in self._own_columns]
            self._seen[np.arange(len(places)), places] += 1

    def settle(self, total: NDArray[np.int64]) -> None:
        """Take all shards' rows, and agree what each column holds."""
        n_seen = len(self._own_columns) * len(KINDS)
        super().settle(total[: len(total) - n_seen])
        seen = total[len(total) - n_seen :].reshape(-1, len(KINDS))
        kinds = dict(self.kinds)
        for name, counts in zip(self._own_columns, seen, strict=True):
            found = {KINDS[k] for k in np.flatnonzero(counts)}
            kinds[name] = next((kind for kind in _BY_STRENGTH if kind in found), kinds[name])
        self._take(kinds)

    def expect(self, kinds: Mapping[str, Kind]) -> None:
        """Take columns for text that are expected to be: so far they only look like numbers."""
        texts = {name: kind for name, kind in kinds.items() if kind == "text"}
        self._take({**self.kinds, **texts})

    def _take(self, kinds: Mapping[str, Kind]) -> None:
        """Read the columns as of these kinds from now on."""
        self.kinds = kinds
        self._forced = frozenset(name for name in self._own_columns if kinds[name] == "text")
        self._sources.clear()

    def read(self, start: int, stop: int) -> Block:
        """Read the shards' rows, all of which are numbers, one after another."""
        if len(self.columns) == len(self._own_columns):
            return super().read(start, stop)
        return self._read_beside(start, stop)

    def _read_beside(self, start: int, stop: int) -> Block:
        """Read the files' columns, and put those of the folders beside them."""
        block = super().read(start, stop)
        n_own = len(self._own_columns)
        x = aligned_empty((stop - start, self.n_features), self.dtype)
        x[:, :n_own] = block.x
        row = 0
        for number, first, last in self.pieces(start, stop):
            for place, name in enumerate(self.columns[n_own:], start=n_own):
                column = self._added(name, number, last - first)
                if self.kinds[name] != "number" or column.missing is not None:
                    what = "text" if self.kinds[name] != "number" else "a missing value"
                    raise DataError(
                        f"{self._shards[number].path}: column {name!r}, in the name of its folder: "
                        f"got {what}, expected a number; encode it, or exclude it"
                    )
                narrow(column.values, x[row : row + last - first, place])
            row += last - first
        return Block(x, block.y, block.extras)

    def _added(self, name: str, number: int, n_rows: int) -> Column:
        """Return a shard's rows of a column that is in the names of folders."""
        if self._partitions is None:
            raise RuntimeError(f"no folder names {name!r}")
        return self._partitions.column(name, self.kinds[name], number, n_rows)

    def read_columns(self, start: int, stop: int, names: Sequence[str]) -> TableBlock:
        """Return some columns, y and the rest of rows [start, stop)."""
        own = [name for name in names if name in set(self._own_columns)]
        parts: dict[str, list[Column]] = {name: [] for name in names}
        blocks: list[TableBlock] = []
        for number, first, last in self.pieces(start, stop):
            block = cast(TableSource, self.opened(number)).read_columns(first, last, own)
            for name in names:
                if name in block.columns:
                    column = self._as_kind(block.columns[name], name, number, first)
                else:
                    column = self._added(name, number, last - first)
                parts[name].append(column)
            blocks.append(TableBlock({}, block.y, block.extras))
        return TableBlock(
            {name: join(each) for name, each in parts.items()},
            np.concatenate([block.y for block in blocks]),
            {
                role: np.concatenate([block.extras[role] for block in blocks])
                for role in blocks[0].extras
            },
        )

    def _as_kind(self, column: Column, name: str, number: int, first: int) -> Column:
        """Return a shard's column as what it is in all of them; raises DataError."""
        kind = self.kinds[name]
        if column.kind == kind:
            return column
        if (column.kind, kind) == ("boolean", "number"):
            return Column(kind, column.values, column.missing)
        is_missing = np.zeros(len(column), bool) if column.missing is None else column.missing
        if is_missing.all():
            types: dict[Kind, type[Any]] = {"text": np.int32, "date": np.int64}
            values = np.zeros(len(column), dtype=types.get(kind, np.float64))
            return Column(kind, values, is_missing)
        source = cast(TableSource, self.opened(number))
        place = source.locate_cell(first + int((~is_missing).argmax()), name)
        model, path = cast(TableSource, self._model), self._shards[self._first].path
        where = f"{path}" if model.kinds[name] == kind else "another of the files"
        raise DataError(
            f"{place}: got a {column.kind}, expected a {kind} as in {where}; save all shards alike"
        )

    def locate_cell(self, row: int, name: str) -> str:
        """Name the place of a row's value in a column."""
        number, own = self.shard_of(row)
        source = cast(TableSource, self.opened(number))
        if name in self._own_columns:
            return source.locate_cell(own, name)
        return f"{source.locate(own)}, column {name!r} (in the name of its folder)"
