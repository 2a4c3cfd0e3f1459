"""What is written, and how a format says where the bytes of rows go.

A writer knows a format and no ranks. It turns rows into pieces, one for each of its streams; the
pieces of a stream lie one after another in the rows' order, whoever has made them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column, Kind

__all__ = ["Layout", "Piece", "Rows", "Stream", "Writer", "role_file"]

Piece = bytes | memoryview


@dataclass(frozen=True)
class Layout:
    """What all rows have in common."""

    n_rows: int
    columns: Sequence[str]
    dtype: np.dtype[Any]
    """Of X as it is written."""
    n_stored: int = 0
    """Numbers of all sparse rows; 0 if they are dense."""
    target: str = ""
    """The target's name; empty if there is none."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """The names of what else there is, by role."""
    texts: Mapping[str, int] = field(default_factory=dict)
    """How many characters the longest text has, of the target ("target") and roles of text."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """What the columns hold, if they are those of a table; else all are numbers."""

    @property
    def vectors(self) -> dict[str, np.dtype[Any]]:
        """Return the types of the target and the rest as arrays (n_rows,), by role."""
        roles = [*(["target"] if self.target else []), *self.roles]
        return {
            role: np.dtype(f"<U{max(1, self.texts[role])}")
            if role in self.texts
            else np.dtype("<f8")
            for role in roles
        }

    def name_of(self, role: str) -> str:
        """Return the name of the target's or another role's column."""
        return self.target if role == "target" else self.roles[role]


@dataclass(frozen=True, eq=False)
class Rows:
    """A run of rows."""

    x: Any
    """(n, n_features), an array or a matrix.Csr; None if `columns` are given."""
    vectors: Mapping[str, NDArray[Any]]
    """(n,) each: the target and the rest, by role."""
    columns: Mapping[str, Column] = field(default_factory=dict)
    """Those of a table."""

    def __len__(self) -> int:
        """Return n."""
        if self.x is not None:
            return int(self.x.shape[0])
        lengths = [len(column) for column in self.columns.values()]
        return max([*lengths, *(len(values) for values in self.vectors.values())], default=0)

    def part(self, first: int, last: int) -> Rows:
        """Return the rows [first, last)."""
        x = self.x
        if x is not None:
            x = x.part(first, last) if hasattr(x, "part") else x[first:last]
        vectors = {role: values[first:last] for role, values in self.vectors.items()}
        columns = {name: column.part(first, last) for name, column in self.columns.items()}
        return Rows(x, vectors, columns)

    @property
    def n_stored(self) -> int:
        """Return the numbers that sparse rows store; 0 if they are dense."""
        return len(self.x.rows.data) if hasattr(self.x, "rows") else 0


@dataclass(frozen=True)
class Stream:
    """Bytes of a file that rows add to, in their order."""

    file: int
    """Which of the writer's files."""
    begin: int
    """The byte at which the first row's piece begins."""


class Writer(ABC):
    """A format's way to write `layout` into files; raises JobError for what it cannot hold."""

    files: Sequence[Path]
    streams: Sequence[Stream]

    @abstractmethod
    def encode(self, rows: Rows, stored_before: int) -> list[Piece]:
        """Return a piece for each stream; `stored_before` numbers lie before those of the rows."""

    def frame(self, sizes: Sequence[int], crcs: Sequence[int]) -> list[tuple[int, int, bytes]]:
        """Return what stands around the streams: files, offsets, bytes.

        `sizes` and `crcs` are those of the streams' bytes.
        """
        return []

    @abstractmethod
    def job_lines(self) -> dict[str, str]:
        """Return the keys of [data] with which the files are read, paths relative to theirs."""


def role_file(path: Path, role: str) -> Path:
    """Return the .npy file of a role beside that of X: train.npy, train-y.npy, train-weight.npy."""
    return path.with_name(f"{path.stem}-{'y' if role == 'target' else role}.npy")
