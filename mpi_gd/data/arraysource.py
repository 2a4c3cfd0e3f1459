"""A source whose columns are stored arrays: what .npy, .npz, HDF5 and such have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from mpi_gd.data.arrays import LINE, storage_type
from mpi_gd.data.names import default_names, describe_roles, digest_of_names
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Block, Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import ArrayStore, find_roles
from mpi_gd.data.stored import MappedArray, StoredArray, describe_files
from mpi_gd.data.vectors import check_column, column_values, roles_of_text
from mpi_gd.errors import DataError, NoRowsError

if TYPE_CHECKING:
    from mpi_gd.data.rowfiles import RowsInFile

__all__ = ["ArraySource"]

# The coefficients, and a name for each, are on every rank.
_MOST_FEATURES = 1 << 24


class ArraySource(Source):
    """Rows of a stored X (n, d), and of y and further arrays (n,) or (n, 1)."""

    def __init__(
        self,
        x: StoredArray,
        y: StoredArray | None,
        *,
        dtype: str,
        target_name: str,
        columns: Sequence[str] = (),
        extras: Mapping[str, tuple[str, StoredArray]],
    ) -> None:
        """Check the arrays against each other; raises DataError.

        `extras` are the further arrays, and their names, by role.
        """
        _check_features(x)
        if y is not None:
            check_column(y, x.header.shape[0], x.where, "target")
        self._x, self._y = x, y
        self._extras = {role: array for role, (_, array) in extras.items()}
        self.role_names = {role: name for role, (name, _) in extras.items()}
        for role, array in self._extras.items():
            check_column(array, x.header.shape[0], x.where, role)
        self.n_samples, self.n_features = x.header.shape
        self.columns = columns or default_names(self.n_features)
        self.dtype = storage_type(dtype, x.header.dtype)
        self.target_name = target_name if y is not None else ""
        self.texts = roles_of_text(y, self._extras)

    @classmethod
    def of_store(cls, store: ArrayStore, spec: DataSpec, base: Path, purpose: Purpose) -> Self:
        """Find X, y, the rest and the features' names in `store`; raises DataError, JobError."""
        roles = find_roles(store, spec, base, purpose)
        x = store.array(spec.features, "features")
        _check_features(x)
        return cls(
            x,
            roles.target,
            dtype=spec.dtype,
            target_name=roles.target_name,
            columns=store.names_of_columns(spec.features, x.header.shape[1]),
            extras=roles.extras,
        )

    def read(self, start: int, stop: int) -> Block:
        """Return X and y of rows [start, stop); X is a map of the file if it needs no copy."""
        self.check_range(start, stop)
        y = np.full(stop - start, np.nan)
        return Block(
            self._x.rows(start, stop, self.dtype),
            y if self._y is None else column_values(self._y, start, stop),
            {role: column_values(array, start, stop) for role, array in self._extras.items()},
        )

    def in_files(self, start: int, stop: int) -> Sequence[RowsInFile]:
        """Return the place of the rows where their bytes can be used as they are."""
        x = self._x
        if start == stop or not (isinstance(x, MappedArray) and x.lies_as(self.dtype)):
            return ()
        from mpi_gd.data.rowfiles import RowsInFile

        offset = x.offset + start * self.n_features * self.dtype.itemsize
        return (RowsInFile(x.path, x.stamp, offset, stop - start, offset % LINE),)

    def fingerprint(self) -> str:
        """Describe the files' sizes, the columns, the type and a sample of the bytes."""
        arrays = [self._x, *([self._y] if self._y else []), *self._extras.values()]
        return (
            f"{describe_files(arrays)}, {self.n_samples} rows, {digest_of_names(self.columns)}, "
            f"{self.dtype}, target {self.target_name!r}{describe_roles(self.role_names)}"
        )

    def locate(self, row: int) -> str:
        """Name the array and the row, counted from 0 as in NumPy."""
        return self._x.locate(row)

    def locate_target(self, row: int) -> str:
        """Name the target's array and the row."""
        return (self._y or self._x).locate(row)

    def locate_extra(self, role: str, row: int) -> str:
        """Name the role's array and the row."""
        return self._extras[role].locate(row)


def _check_features(x: StoredArray) -> None:
    """Raise DataError if X is not (n, d) numbers with n, d >= 1."""
    shape, dtype = x.header.shape, x.header.dtype
    if dtype.kind in "US":
        raise DataError(f"{x.where}: got an array of text ({dtype}), expected numbers; encode it")
    if len(shape) != 2:
        hint = "; save X.reshape(-1, 1) if it is one feature" if len(shape) == 1 else ""
        raise DataError(f"{x.where}: got the shape {shape}, expected (rows, features){hint}")
    if 0 in shape:
        what, error = ("features", DataError) if shape[1] == 0 else ("rows", NoRowsError)
        raise error(f"{x.where}: got the shape {shape}: no {what}; expected at least one")
    if shape[1] > _MOST_FEATURES:
        raise DataError(
            f"{x.where}: got {shape[1]} features, expected at most {_MOST_FEATURES}; if rows and "
            "features are the other way round, save X.T"
        )
