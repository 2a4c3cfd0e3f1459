"""Sparse rows: three stored arrays, named as SciPy does, and those of y and the rest."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.names import default_names, describe_roles, digest_of_names
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Block, Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import ArrayStore, Roles, find_roles
from mpi_gd.data.stored import StoredArray, describe_files
from mpi_gd.data.vectors import check_column, column_values, roles_of_text
from mpi_gd.errors import DataError, JobError, NoRowsError
from mpi_gd.matrix import Csr

__all__ = ["SparseParts", "SparseSource", "is_sparse", "sparse_parts"]

_MOST_FEATURES = 1 << 24
_AGAIN = "save it again as compressed rows: anndata.AnnData(X.tocsr()).write(path)"


@dataclass(frozen=True)
class SparseParts:
    """Compressed sparse rows: those of row i are data[indptr[i]:indptr[i + 1]]."""

    where: str
    shape: tuple[int, int]
    data: StoredArray
    indices: StoredArray
    indptr: StoredArray
    again: str
    """How to save them again, in the words of a message."""


def sparse_parts(
    store: ArrayStore, folder: str, kind: str, shape: Sequence[int], again: str
) -> SparseParts:
    """Find the three arrays in a store's folder, or in the store; raises DataError, JobError.

    `kind` must be "csr".
    """
    where = f"{store.path}: {folder!r}" if folder else str(store.path)
    if importlib.util.find_spec("scipy") is None:
        raise JobError(f'{store.path}: sparse rows need SciPy: pip install "mpi_gd[sparse]"')
    if kind != "csr":
        raise DataError(f"{where}: a sparse matrix of the format {kind!r}, expected csr; {again}")
    if len(shape) != 2:
        raise DataError(
            f"{where}: got the shape {tuple(shape)}, expected the two numbers of rows and features;"
            f" {again}"
        )
    if shape[0] < 1 or not 1 <= shape[1] <= _MOST_FEATURES:
        error = NoRowsError if shape[0] == 0 and 1 <= shape[1] <= _MOST_FEATURES else DataError
        raise error(
            f"{where}: got {shape[0]} rows and {shape[1]} features, expected at least one of each, "
            f"and at most {_MOST_FEATURES} features; {again}"
        )
    inside = f"{folder}/" if folder else ""
    parts = SparseParts(
        where,
        (shape[0], shape[1]),
        _vector(store.array(f"{inside}data", "features"), "iuf", again),
        _vector(store.array(f"{inside}indices", "features"), "iu", again),
        _vector(store.array(f"{inside}indptr", "features"), "iu", again),
        again,
    )
    n_stored = parts.data.header.shape[0]
    for array, wanted in ((parts.indices, n_stored), (parts.indptr, shape[0] + 1)):
        if array.header.shape[0] != wanted:
            raise DataError(
                f"{array.where}: got {array.header.shape[0]} numbers, expected {wanted}; {again}"
            )
    return parts


def is_sparse(store: ArrayStore, name: str) -> bool:
    """Whether a name is that of a folder with compressed sparse rows in it."""
    return store.has(f"{name}/indptr")


class SparseSource(Source):
    """Compressed sparse rows; y and the rest are further arrays.

    A rank reads the numbers of its own rows; of a compressed archive it unpacks those before too.
    """

    def __init__(self, parts: SparseParts, roles: Roles, columns: Sequence[str]) -> None:
        """Check the arrays against each other; raises DataError."""
        self._parts = parts
        self.n_samples, self.n_features = parts.shape
        self._data, self._indices, self._indptr = parts.data, parts.indices, parts.indptr
        self.n_stored = parts.data.header.shape[0]
        self.dtype = np.dtype(np.float64)
        self.columns = columns or default_names(self.n_features)
        self._y, self.target_name = roles.target, roles.target_name
        self._extras = {role: array for role, (_, array) in roles.extras.items()}
        self.role_names = {role: name for role, (name, _) in roles.extras.items()}
        self.texts = roles_of_text(self._y, self._extras)
        for role, array in [("target", self._y), *self._extras.items()]:
            if array is not None:
                check_column(array, self.n_samples, parts.where, role)

    @classmethod
    def of_store(cls, store: ArrayStore, spec: DataSpec, base: Path, purpose: Purpose) -> Self:
        """Find X, as AnnData writes it, y and the rest in `store`; raises DataError, JobError."""
        about = store.attributes(spec.features)
        kind = str(about.get("encoding-type", about.get("h5sparse_format", "unknown")))
        shape = about.get("shape", about.get("h5sparse_shape"))
        if not isinstance(shape, list) or not all(type(length) is int for length in shape):
            shape = []
        parts = sparse_parts(store, spec.features, kind.removesuffix("_matrix"), shape, _AGAIN)
        roles = find_roles(store, spec, base, purpose)
        return cls(parts, roles, store.names_of_columns(spec.features, parts.shape[1]))

    def read(self, start: int, stop: int) -> Block:
        """Return the rows [start, stop); raises DataError for what is no sparse matrix."""
        self.check_range(start, stop)
        whole = np.dtype(np.int64)
        indptr = np.array(self._indptr.rows(start, stop + 1, whole))
        self._check_indptr(indptr, start, stop)
        begin, end = int(indptr[0]), int(indptr[-1])
        indices = np.array(self._indices.rows(begin, end, whole))
        bad = np.flatnonzero((indices < 0) | (indices >= self.n_features))
        if bad.size:
            row = start + int(np.searchsorted(indptr, begin + bad[0], side="right")) - 1
            raise DataError(
                f"{self.locate(row)}: got the column {indices[bad[0]]}, expected 0 to "
                f"{self.n_features - 1}; {self._parts.again}"
            )
        if self.n_features < 1 << 31:
            indices = indices.astype(np.int32)
        data = np.array(self._data.rows(begin, end, self.dtype))
        y = np.full(stop - start, np.nan)
        return Block(
            Csr(data, indices, indptr - begin, self.n_features),
            y if self._y is None else column_values(self._y, start, stop),
            {role: column_values(array, start, stop) for role, array in self._extras.items()},
        )

    def count_stored(self, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many numbers the rows between the bounds store."""
        first, last = int(bounds[0]), int(bounds[-1])
        indptr = self._indptr.rows(first, last + 1, np.dtype(np.int64))
        return np.maximum(np.diff(indptr[bounds - first]), 0)

    def _check_indptr(self, indptr: NDArray[np.int64], start: int, stop: int) -> None:
        """Raise DataError unless the rows' bounds rise from 0 to the number of numbers."""
        falls = np.flatnonzero(np.diff(indptr) < 0)
        if falls.size:
            raise DataError(
                f"{self._indptr.where}: it falls after row {start + int(falls[0])}, expected it to "
                f"rise; {self._parts.again}"
            )
        first_is_wrong = start == 0 and indptr[0] != 0
        last_is_wrong = stop == self.n_samples and indptr[-1] != self.n_stored
        if first_is_wrong or last_is_wrong or indptr[0] < 0 or indptr[-1] > self.n_stored:
            raise DataError(
                f"{self._indptr.where}: got bounds from {indptr[0]} to {indptr[-1]}, expected them "
                f"within 0 and {self.n_stored}, and to reach both; {self._parts.again}"
            )

    def fingerprint(self) -> str:
        """Describe the files' sizes, the columns, and a sample of the bytes."""
        arrays = [self._data, *([self._y] if self._y else []), *self._extras.values()]
        return (
            f"{describe_files(arrays)}, {self.n_samples} rows with {self.n_stored} numbers, "
            f"{digest_of_names(self.columns)}, target {self.target_name!r}"
            f"{describe_roles(self.role_names)}"
        )

    def locate(self, row: int) -> str:
        """Name the file and the row, counted from 0."""
        return f"{self._parts.where}: row {row}"

    def locate_target(self, row: int) -> str:
        """Name the target's array and the row."""
        return self._y.locate(row) if self._y else self.locate(row)

    def locate_extra(self, role: str, row: int) -> str:
        """Name the role's array and the row."""
        return self._extras[role].locate(row)


def _vector(array: StoredArray, kinds: str, again: str) -> StoredArray:
    """Return the array if it is (n,) of numbers of these kinds; raises DataError."""
    if len(array.header.shape) != 1 or array.header.dtype.kind not in kinds:
        what = "numbers" if "f" in kinds else "whole numbers"
        raise DataError(
            f"{array.where}: got {array.header.shape} of {array.header.dtype}, expected {what} in "
            f"one row; {again}"
        )
    return array
