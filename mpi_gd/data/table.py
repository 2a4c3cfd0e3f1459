"""A source whose rows are those of a table: columns with names and kinds, not all of them numbers.

`read` gives features where all columns are numbers and none is missing. What is more than that is
prepared first: whoever prepares calls `read_columns`, and makes features of what it gives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mpi_gd.data.columns import Column, Kind
from mpi_gd.data.source import Source, Target

__all__ = ["TableBlock", "TableSource"]


@dataclass(frozen=True, eq=False)
class TableBlock:
    """What is read of a run of rows."""

    columns: Mapping[str, Column]
    """Those that were asked for, by name."""
    y: Target
    """NaN if the target is not read."""
    extras: Mapping[str, NDArray[Any]]
    """(rows,) of float64 or text: what else is read, by role."""


class TableSource(Source):
    """Rows of named columns; `columns` are those that are neither the target nor have a role."""

    kinds: Mapping[str, Kind]
    """What each of `columns` holds, known from headers and first rows, the same on all ranks."""

    @abstractmethod
    def read_columns(self, start: int, stop: int, names: Sequence[str]) -> TableBlock:
        """Return some of `columns`, y and the rest of global rows [start, stop).

        Values may be missing in columns, and are refused in y and the rest.
        Raises DataError, naming file, place and column, for what is not of the column's kind.
        """

    def expect(self, kinds: Mapping[str, Kind]) -> None:
        """Take it that columns are of these kinds, where the file does not say what they are.

        Kinds of text files are guessed from the first rows, and a model knows better: what was
        text in the training is text, though all of it may be digits now.
        """

    @abstractmethod
    def locate_cell(self, row: int, name: str) -> str:
        """Name the place of a global row's value in a column, for messages."""
