"""A source whose columns are stored arrays: what .npy and .npz have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import first_bad_text, storage_type
from mpi_gd.data.names import default_names, describe_roles, digest_of_names
from mpi_gd.data.probe import sample_digest
from mpi_gd.data.roles import ROLES
from mpi_gd.data.source import Block, Source
from mpi_gd.data.stored import StoredArray
from mpi_gd.errors import DataError

__all__ = ["ArraySource", "check_column", "column_values"]

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

    def read(self, start: int, stop: int) -> Block:
        """Return X and y of rows [start, stop); X is a map of the file if it needs no copy."""
        self.check_range(start, stop)
        y = np.full(stop - start, np.nan)
        return Block(
            self._x.rows(start, stop, self.dtype),
            y if self._y is None else column_values(self._y, start, stop),
            {role: column_values(array, start, stop) for role, array in self._extras.items()},
        )

    def fingerprint(self) -> str:
        """Describe the files' sizes, the columns, the type and a sample of the bytes."""
        arrays = [self._x, *([self._y] if self._y else []), *self._extras.values()]
        files = {array.path: array.stamp for array in arrays}
        sizes = ", ".join(
            f"{stamp.size} bytes ({sample_digest(path, stamp)})" for path, stamp in files.items()
        )
        return (
            f"{sizes}, {self.n_samples} rows, {digest_of_names(self.columns)}, {self.dtype}, "
            f"target {self.target_name!r}{describe_roles(self.role_names)}"
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


def column_values(array: StoredArray, start: int, stop: int) -> NDArray[Any]:
    """Return an array's rows [start, stop), (stop - start,), as float64 or text."""
    found = array.header.dtype
    if found.kind not in "US":
        numbers = array.rows(start, stop, np.dtype(np.float64))
        # It is small: a copy of it is safe from what happens to the file.
        return np.array(numbers).reshape(-1)
    texts = np.array(array.rows(start, stop, found.newbyteorder("="))).reshape(-1)
    if found.kind == "S":
        return _decoded(array, texts, start)
    bad = first_bad_text(texts)
    if bad is not None:
        raise DataError(
            f"{array.locate(start + bad)}: a text has a character that is none in Unicode; save "
            "the array again"
        )
    return texts


def _decoded(array: StoredArray, texts: NDArray[Any], start: int) -> NDArray[Any]:
    """Decode byte strings; raises DataError for what is not UTF-8."""
    try:
        return np.strings.decode(texts, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{array.where}: row {start} or a later one: a text is not UTF-8 ({error}); save the "
            "array again as text (str)"
        ) from error


def _check_features(x: StoredArray) -> None:
    """Raise DataError if X is not (n, d) numbers with n, d >= 1."""
    shape, dtype = x.header.shape, x.header.dtype
    if dtype.kind in "US":
        raise DataError(f"{x.where}: got an array of text ({dtype}), expected numbers; encode it")
    if len(shape) != 2:
        hint = "; save X.reshape(-1, 1) if it is one feature" if len(shape) == 1 else ""
        raise DataError(f"{x.where}: got the shape {shape}, expected (rows, features){hint}")
    if 0 in shape:
        what = "rows" if shape[0] == 0 else "features"
        raise DataError(f"{x.where}: got the shape {shape}: no {what}; expected at least one")
    if shape[1] > _MOST_FEATURES:
        raise DataError(
            f"{x.where}: got {shape[1]} features, expected at most {_MOST_FEATURES}; if rows and "
            "features are the other way round, save X.T"
        )


def check_column(array: StoredArray, n_samples: int, where: str, role: str) -> None:
    """Raise DataError if an array is not (n,) or (n, 1), or has not as many rows as X, or text.

    X has `n_samples` rows, and is called `where`.
    """
    shape = array.header.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise DataError(
            f"{array.where}: got the shape {shape}, expected ({n_samples},): one {role}"
        )
    if array.header.dtype.kind in "US" and not (role == "target" or ROLES[role].is_text):
        raise DataError(
            f"{array.where}: got an array of text ({array.header.dtype}), expected numbers, as "
            f"data.{role} must be"
        )
    if shape[0] != n_samples:
        raise DataError(
            f"{array.where}: got {shape[0]} rows, expected {n_samples} as in {where}; "
            "save both from the same rows"
        )
