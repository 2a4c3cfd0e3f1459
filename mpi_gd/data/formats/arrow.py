"""Arrow files (Feather of version 2): record batches, mapped, and read where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.formats.arrow_table import ArrowTable, explained_arrow, require_pyarrow
from mpi_gd.data.probe import foreign_format, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import NoRowsError

__all__ = ["ArrowSource"]

_MAGIC = b"ARROW1"


class ArrowSource(ArrowTable):
    """The rows of an Arrow file, or of a stream that was saved as one, batch after batch."""

    what = "Arrow"

    def __init__(self, spec: DataSpec, path: Path, purpose: Purpose) -> None:
        """Read the schema; raises FileError, DataError, JobError."""
        require_pyarrow(path, "an Arrow file", "parquet")
        import pyarrow as pa

        mark = stamp(path)
        foreign_format(path, "arrow")
        with explained_arrow(path, self.what):
            mapped = pa.memory_map(str(path))
            self._streamed: list[Any] = []
            if mapped.read(len(_MAGIC)) == _MAGIC:
                self._reader = pa.ipc.open_file(mapped)
                self._n_batches = int(self._reader.num_record_batches)
            else:
                mapped.seek(0)
                self._reader = pa.ipc.open_stream(mapped)
                # It has no table of its batches.
                self._streamed = list(self._reader)
                self._n_batches = len(self._streamed)
            schema = self._reader.schema
        super().__init__(spec, path, mark, schema, purpose)
        self._starts = np.zeros(self._n_batches + 1, dtype=np.int64)
        if not self._n_batches:
            raise NoRowsError(f"{path}: there are no rows; check how it was made")

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> ArrowSource:
        """Read the schema alone."""
        return cls(spec, path, purpose)

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Return the rows of this part's batches: the file has no table of them."""
        n = self._n_batches
        counts = np.zeros(n, dtype=np.int64)
        with explained_arrow(self._path, self.what):
            for number in range(n * part // parts, n * (part + 1) // parts):
                counts[number] = self._batch(number).num_rows
        return counts

    def settle(self, total: NDArray[np.int64]) -> None:
        """Take all batches' rows."""
        self._starts = np.concatenate([[0], np.cumsum(total[: self._n_batches])])
        self.n_samples = int(self._starts[-1])

    def guess_rows(self) -> int:
        """Return how many there are if all batches are as the first one."""
        return int(self._batch(0).num_rows) * self._n_batches

    def _batch(self, number: int) -> Any:
        """Return a record batch."""
        return self._streamed[number] if self._streamed else self._reader.get_batch(number)

    def first_value(self, name: str) -> Any:
        """Return a column's value in the first row, None without rows."""
        for number in range(self._n_batches):
            batch = self._batch(number)
            if batch.num_rows:
                # It is a map of the file, which nobody has looked at.
                batch.validate(full=True)
                return batch.column(name)[0].as_py()
        return None

    def batches(self, start: int, stop: int, names: Sequence[str]) -> Iterator[Any]:
        """Yield the batches' parts of the rows."""
        import pyarrow as pa

        number = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            table = pa.Table.from_batches([self._batch(number)]).select(list(names))
            first = start - int(self._starts[number])
            part = table.slice(first, min(stop - start, table.num_rows - first))
            # What is mapped is believed by nobody: places of text may lie beyond the file.
            part.validate(full=True)
            if part.num_rows:
                yield part
            start += part.num_rows
            number += 1
