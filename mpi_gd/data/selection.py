"""Which columns are features: those that a job includes, but for those that it excludes."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.names import suggest
from mpi_gd.data.over import SourceOver
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Block, Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError

__all__ = ["SelectedSource", "matching", "selected"]

_WILD = "*?["


def matching(
    names: Sequence[str], patterns: Sequence[str], key: str, where: str, purpose: Purpose = "train"
) -> set[str]:
    """Return the names that a list of names and shell patterns means.

    Raises DataError, beginning with `where`, for a name that is none; a file to predict for may
    lack what the training left out.
    """
    known = set(names)
    found: set[str] = set()
    for pattern in patterns:
        if pattern in known:
            found.add(pattern)
            continue
        hits = {name for name in names if fnmatchcase(name, pattern)}
        if not hits and purpose == "train":
            what = "column matches" if any(c in pattern for c in _WILD) else "column is called"
            raise DataError(
                f"{where}: no {what} {pattern!r} (data.{key}); {suggest(pattern, names)}"
            )
        found |= hits
    return found


def selected(
    names: Sequence[str], spec: DataSpec, where: str, purpose: Purpose = "train"
) -> list[str]:
    """Return the features among columns, in their order; raises DataError if none is left."""
    chosen = set(names)
    if spec.include:
        chosen = matching(names, spec.include, "include", where, purpose)
    chosen -= matching(names, spec.exclude, "exclude", where, purpose)
    if not chosen:
        raise DataError(
            f"{where}: data.include and data.exclude leave no column of {len(names)}; "
            f"{suggest('', names)}"
        )
    return [name for name in names if name in chosen]


class SelectedSource(SourceOver[Source]):
    """Some of the columns of a source that reads all of them."""

    def __init__(self, source: Source, spec: DataSpec, purpose: Purpose) -> None:
        """Choose as the job says; raises DataError."""
        self.source = source
        self.columns = tuple(selected(source.columns, spec, source.locate(0), purpose))
        numbers = {name: number for number, name in enumerate(source.columns)}
        self._places = np.array([numbers[name] for name in self.columns])
        self.n_features, self.dtype, self.texts = len(self.columns), source.dtype, source.texts
        self.target_name, self.role_names = source.target_name, source.role_names
        self.files = source.files
        # About: it decides how rows are divided, and nothing else.
        share = source.n_stored * self.n_features // max(1, source.n_features)
        self.n_samples, self.n_stored = source.n_samples, max(share, bool(source.n_stored))

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Scan a part."""
        return self.source.survey(part, parts)

    def settle(self, total: NDArray[np.int64]) -> None:
        """Take all parts' surveys."""
        self.source.settle(total)
        self.n_samples = self.source.n_samples

    def read(self, start: int, stop: int) -> Block:
        """Return the rows' chosen columns."""
        block = self.source.read(start, stop)
        x: Any = block.x
        if hasattr(x, "with_columns"):
            return Block(x.with_columns(self._places), block.y, block.extras)
        chosen = aligned_empty((stop - start, self.n_features), self.dtype)
        np.take(x, self._places, axis=1, out=chosen)
        return Block(chosen, block.y, block.extras)

    def fingerprint(self) -> str:
        """Describe the source and the choice."""
        return f"{self.source.fingerprint()}, of which {self.n_features} columns: {self.columns}"
