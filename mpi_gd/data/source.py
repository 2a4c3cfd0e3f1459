"""A source of rows: a file that is read by global row numbers, a block at a time.

A source knows files only. The caller divides the rows, adds up the ranks' surveys and compares
their fingerprints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.spec import DataSpec

__all__ = ["Block", "Features", "Source", "Target"]

# (rows, n_features) of float64 or float32, C-contiguous.
Features = NDArray[Any]
# (rows,) of float64, or of text (dtype kind "U").
Target = NDArray[Any]
Block = tuple[Features, Target]


class Source(ABC):
    """Rows of features and a target in a file.

    Life: `open`; `survey` the share of each rank; `settle` the sum of the shares; then `read`.
    """

    # Global number of rows; 0 until `settle`.
    n_samples: int = 0
    n_features: int
    # Names of the features: of the file, or x0, x1, ...
    columns: tuple[str, ...]
    # Type of X: float64 or float32.
    dtype: np.dtype[Any]
    # Name of the target; empty if the file was opened without one.
    target_name: str

    @classmethod
    @abstractmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), labelled: bool = True
    ) -> Source:
        """Look at the file's headers; read no rows.

        Further files that `spec` names are relative to `base`. Without `labelled`, a target that
        is not there is no error: y is then NaN and `target_name` empty.
        Raises FileError for a file that cannot be read, DataError for one that makes no sense.
        """

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Scan part number `part` of `parts`; return counts to be added over the parts.

        The length is the same for all parts; 0 if the headers said everything.
        """
        return np.zeros(0, dtype=np.int64)

    def settle(self, total: NDArray[np.int64]) -> None:  # noqa: B027 - most formats need none
        """Take the sum of the surveys of all parts; afterwards `n_samples` is known."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Block:
        """Return X (stop - start, n_features) and y (stop - start,) of these global rows.

        X is a read-only map of the file where its bytes can be used as they are, else aligned
        memory. Raises DataError, naming file, line and column.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Describe size, columns, type and a sample of the bytes, to be compared between ranks.

        Compare after `open` and before the surveys are added: their length depends on the size.
        """

    @abstractmethod
    def locate(self, row: int) -> str:
        """Name the place of a global row, for messages."""

    def locate_target(self, row: int) -> str:
        """Name the place of a global row's target, which may be another file's."""
        return self.locate(row)

    def check_range(self, start: int, stop: int) -> None:
        """Raise ValueError for rows that are not there: a mistake of the caller."""
        if not 0 <= start <= stop <= self.n_samples:
            raise ValueError(f"rows {start} to {stop} asked of a source of {self.n_samples} rows")
