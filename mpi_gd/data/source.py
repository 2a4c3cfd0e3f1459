"""A source of rows: a file that is read by global row numbers, a block at a time.

A source knows files only. The caller divides the rows, adds up the ranks' surveys and compares
their fingerprints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.roles import ROLES, Purpose, find_invalid
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError

if TYPE_CHECKING:
    from mpi_gd.data.rowfiles import RowsInFile

__all__ = ["Block", "Features", "Learned", "Source", "Target", "shown"]

# (rows, n_features): an array of float64, float32 or float16, C-contiguous; or a matrix.Matrix.
Features = Any
# (rows,) of float64, or of text (dtype kind "U").
Target = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Block:
    """What is read of a run of rows."""

    x: Features
    y: Target
    """NaN if the target is not read."""
    extras: Mapping[str, NDArray[Any]]
    """(rows,) of float64 or text: what else is read, by role."""


class Learned(Protocol):
    """What is known of how columns become features, for those who only keep it and compare it."""

    @property
    def digest(self) -> str:
        """Describe it in few characters that tell one from another."""

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""


class Source(ABC):
    """Rows of features and a target in a file.

    Life: `open`; `survey` the share of each rank; `settle` the sum of the shares; then `read`.
    """

    # Global number of rows; 0 until `settle`.
    n_samples: int = 0
    n_features: int
    # Names of the features: of the file, or x0, x1, ...
    columns: Sequence[str]
    # How many numbers a sparse data set stores; 0 if it is not sparse.
    n_stored: int = 0
    # Type of X: float64, float32 or float16.
    dtype: np.dtype[Any]
    # Name of the target; empty if the file was opened without one.
    target_name: str
    # What makes features of the columns that are read; None if they are the features.
    recipe: Learned | None = None
    # The names, by role, of the further columns that are read.
    role_names: Mapping[str, str] = MappingProxyType({})
    # Names and sizes of the files, if they are several, to be compared between ranks.
    files: Sequence[str] = ()
    # The roles, the target's among them, that are read as text.
    texts: frozenset[str] = frozenset()

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> Source:
        """Look at the file's headers; read no rows.

        Further files that `spec` names are relative to `base`. What `purpose` does not need is
        neither read nor a feature, and may be missing; y is then NaN and `target_name` empty.
        Raises FileError for a file that cannot be read, DataError for one that makes no sense, and
        TypeError for a source that is made of something else than a file.
        """
        raise TypeError(f"{cls.__name__} is not opened: it is made of something else than a file")

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Scan part number `part` of `parts`; return counts to be added over the parts.

        The length is the same for all parts; 0 if the headers said everything.
        """
        return np.zeros(0, dtype=np.int64)

    def settle(self, total: NDArray[np.int64]) -> None:  # noqa: B027 - most formats need none
        """Take the sum of the surveys of all parts; afterwards `n_samples` is known."""

    @classmethod
    def survey_room(cls, size: int) -> int:
        """Return how many counts the survey of a file of `size` bytes has at most.

        0: there are none, or nobody can tell before it is opened. More: rows are known by
        `rows_counted`, and `settle` takes counts with any number of zeros after them.
        """
        return 0

    def rows_counted(self, counts: NDArray[np.int64], part: int) -> int:
        """Return how many rows a part's survey stands for: added over the parts, `n_samples`."""
        raise NotImplementedError(f"{type(self).__name__} has no room for counts")

    def guess_rows(self) -> int:
        """Return about how many rows there are, without a survey."""
        return self.n_samples

    def count_stored(self, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many numbers the rows [bounds[i], bounds[i + 1]) store, (len(bounds) - 1,).

        It decides how the rows are divided and nothing else: about so many will do.
        """
        return np.diff(bounds * self.n_stored // max(1, self.n_samples))

    @abstractmethod
    def read(self, start: int, stop: int) -> Block:
        """Return X (stop - start, n_features), y and the rest (stop - start,) of global rows.

        X is a read-only map of the file where its bytes can be used as they are, else aligned
        memory. Raises DataError, naming file, line and column.
        """

    def in_files(self, start: int, stop: int) -> Sequence[RowsInFile]:
        """Return where X of global rows lies row by row as it is used, file after file.

        Nothing where it has to be converted. Raises what `read` raises.
        """
        return ()

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

    def locate_extra(self, role: str, row: int) -> str:
        """Name the place of a global row's value in another role."""
        return self.locate(row)

    def check_extras(self, block: Block, start: int) -> None:
        """Raise DataError for a value that its role cannot have; `start` is the block's first."""
        for role, values in block.extras.items():
            row = find_invalid(role, values)
            if row is not None:
                place, name = self.locate_extra(role, start + row), self.role_names[role]
                raise DataError(
                    f"{place}: {role} {name!r}: got {shown(values[row])}, expected "
                    f"{ROLES[role].expected}; correct it, or remove the row"
                )

    def check_range(self, start: int, stop: int) -> None:
        """Raise ValueError for rows that are not there: a mistake of the caller."""
        if not 0 <= start <= stop <= self.n_samples:
            raise ValueError(f"rows {start} to {stop} asked of a source of {self.n_samples} rows")


def shown(number: Any) -> str:
    """Return a number as people write it: all its digits, and no more."""
    return repr(float(number)).removesuffix(".0")
