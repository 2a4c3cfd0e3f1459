"""A source whose rows are in this process's memory already: those that it owns, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mpi_gd.data.names import default_names
from mpi_gd.data.source import Block, Features, Source

__all__ = ["MemorySource"]


class MemorySource(Source):
    """Rows [start, start + len(x)) of a data set of `n_samples` rows."""

    def __init__(
        self,
        block: Block,
        start: int,
        n_samples: int,
        *,
        columns: Sequence[str] = (),
        n_stored: int = 0,
        target_name: str = "y",
    ) -> None:
        """Take the rows as they are; `n_stored` are the numbers of all sparse rows."""
        self._block, self._start = block, start
        self.n_samples, self.n_features = n_samples, block.x.shape[1]
        self.columns = columns or default_names(self.n_features)
        self.n_stored, self.dtype = n_stored, block.x.dtype
        self.target_name = target_name
        self.role_names: Mapping[str, str] = {role: role for role in block.extras}

    def read(self, start: int, stop: int) -> Block:
        """Return views of rows that are here; raises ValueError for others."""
        self.check_range(start, stop)
        first, last = start - self._start, stop - self._start
        if start < stop and not 0 <= first < last <= len(self._block.y):
            raise ValueError(f"rows {start} to {stop} are not in the memory of this process")
        return Block(
            _part(self._block.x, first, last),
            self._block.y[first:last],
            {role: values[first:last] for role, values in self._block.extras.items()},
        )

    def fingerprint(self) -> str:
        """Describe the shape: who has the same rows is known to the caller."""
        return f"{self.n_samples} rows x {self.n_features} of {self.dtype} in memory"

    def locate(self, row: int) -> str:
        """Name a row of all processes' rows together, counted from 0."""
        return f"X: row {row}"

    def locate_target(self, row: int) -> str:
        """Name the row of y."""
        return f"y: row {row}"

    def locate_extra(self, role: str, row: int) -> str:
        """Name the row of another array."""
        return f"{role}: row {row}"


def _part(x: Features, first: int, last: int) -> NDArray[Any] | Features:
    """Return rows of an array or a matrix."""
    return x.part(first, last) if hasattr(x, "part") else x[first:last]
