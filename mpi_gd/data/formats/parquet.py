"""Parquet files: of the row groups that hold its rows a rank reads the columns that it needs.

A row group is decoded batch by batch, so that memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd.data.formats.arrow_table import ArrowTable, explained_arrow, require_pyarrow
from mpi_gd.data.probe import foreign_format, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import NoRowsError

__all__ = ["ParquetSource"]

_BATCH_ROWS = 1 << 16


class ParquetSource(ArrowTable):
    """The rows of a Parquet file, in the order of its row groups."""

    what = "Parquet"

    def __init__(self, spec: DataSpec, path: Path, purpose: Purpose) -> None:
        """Read the footer; raises FileError, DataError, JobError."""
        require_pyarrow(path, "a Parquet file", "parquet")
        mark = stamp(path)
        foreign_format(path, "parquet")
        with explained_arrow(path, self.what):
            self._file = self._open(path)
            groups = [
                self._file.metadata.row_group(k).num_rows
                for k in range(self._file.metadata.num_row_groups)
            ]
            schema = self._file.schema_arrow
        self._starts = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
        self.n_samples = int(self._starts[-1])
        super().__init__(spec, path, mark, schema, purpose)
        if not self.n_samples:
            raise NoRowsError(f"{path}: there are no rows; check how it was made")
        # Where the last reading ended: columns, the rows to come, and those decoded too many.
        self._cursor: tuple[tuple[str, ...], Iterator[Any], Any, int] | None = None

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> ParquetSource:
        """Read the footer alone."""
        return cls(spec, path, purpose)

    def _open(self, path: Path) -> Any:
        """Open the file."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(path, page_checksum_verification=True)

    def first_value(self, name: str) -> Any:
        """Return a column's value in the first row, None without rows."""
        batch = next(self._file.iter_batches(1, columns=[name], use_threads=False), None)
        return batch.column(0)[0].as_py() if batch is not None and batch.num_rows else None

    def batches(self, start: int, stop: int, names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows batch by batch; the next reading goes on from where this one ended."""
        import pyarrow as pa

        if start == stop:
            return
        cursor, self._cursor = self._cursor, None
        if cursor is None or cursor[0] != tuple(names) or cursor[3] > start:
            group = int(np.searchsorted(self._starts, start, side="right")) - 1
            cursor = tuple(names), self._decoded(group, names), None, int(self._starts[group])
        _, coming, rest, row = cursor
        while row < stop:
            batch = rest if rest is not None else next(coming, None)
            if batch is None:
                return
            rest, end = None, row + batch.num_rows
            if end > stop:
                rest = batch.slice(stop - row)
            if end > start:
                first = max(start - row, 0)
                yield pa.Table.from_batches([batch.slice(first, min(end, stop) - row - first)])
            row = min(end, stop)
        self._cursor = tuple(names), coming, rest, row

    def _decoded(self, group: int, names: Sequence[str]) -> Iterator[Any]:
        """Yield the batches from a row group on."""
        for number in range(group, len(self._starts) - 1):
            yield from self._file.iter_batches(
                _BATCH_ROWS, row_groups=[number], columns=list(names), use_threads=False
            )
