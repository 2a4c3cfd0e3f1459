"""Sparse rows in the .npz archive that scipy.sparse.save_npz writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arraysource import check_column, column_values
from mpi_gd.data.formats.npy import open_array
from mpi_gd.data.formats.npz import Members
from mpi_gd.data.names import default_names, describe_roles, digest_of_names
from mpi_gd.data.probe import sample_digest
from mpi_gd.data.roles import NEEDED, Purpose, require_different
from mpi_gd.data.source import Block, Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.stored import StoredArray
from mpi_gd.errors import DataError, JobError
from mpi_gd.matrix import Csr

__all__ = ["SparseSource", "is_sparse"]

_PARTS = {"data", "indices", "indptr", "format", "shape"}
_MOST_FEATURES = 1 << 24
_AGAIN = "save it again: scipy.sparse.save_npz(path, X.tocsr())"


def is_sparse(path: Path) -> bool:
    """Whether an .npz archive holds a sparse matrix, and not arrays of rows."""
    return {"data", "indptr"} <= set(Members(path).names)


class SparseSource(Source):
    """Compressed sparse rows; y and the rest are further arrays of the archive, or .npy files.

    A rank reads the numbers of its own rows; of a compressed archive it unpacks those before too.
    """

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> SparseSource:
        """Read the archive's table, the shape, and the headers of the arrays."""
        if importlib.util.find_spec("scipy") is None:
            raise JobError(f'{path}: sparse rows need SciPy: pip install "mpi_gd[sparse]"')
        members = Members(path)
        lacking = _PARTS - set(members.names)
        if lacking:
            raise DataError(f"{path}: a sparse matrix without the array {min(lacking)!r}; {_AGAIN}")
        given = {**spec.named_columns, "target": "y" if spec.target == "" else spec.target}
        names = {role: str(name) for role, name in given.items() if role in NEEDED[purpose]}
        require_different(names, str(path))
        return cls(path, members, names, base)

    def __init__(self, path: Path, members: Members, names: dict[str, str], base: Path) -> None:
        """Check the arrays against each other; raises DataError."""
        self._path = path
        kind = _one_text(members.array("format", "features"))
        if kind != "csr":
            raise DataError(
                f"{path}: a sparse matrix of the format {kind!r}, expected csr; {_AGAIN}"
            )
        self.n_samples, self.n_features = _shape(members.array("shape", "features"))
        self._data = _vector(members.array("data", "features"), "iuf")
        self._indices = _vector(members.array("indices", "features"), "iu")
        self._indptr = _vector(members.array("indptr", "features"), "iu")
        self.n_stored = self._data.header.shape[0]
        for array, wanted in ((self._indices, self.n_stored), (self._indptr, self.n_samples + 1)):
            if array.header.shape[0] != wanted:
                raise DataError(
                    f"{array.where}: got {array.header.shape[0]} numbers, expected {wanted}; "
                    f"{_AGAIN}"
                )
        self.dtype = np.dtype(np.float64)
        self.columns = default_names(self.n_features)
        if "columns" in members.names:
            self.columns = members.names_of_columns((self.n_samples, self.n_features))
        self._extras = {}
        for role, name in names.items():
            is_file = name.endswith(".npy")
            array = open_array(base / name) if is_file else members.array(name, role)
            check_column(array, self.n_samples, str(path), role)
            self._extras[role] = array
        self._y = self._extras.pop("target", None)
        self.target_name = Path(names["target"]).stem if self._y else ""
        self.role_names = {role: Path(names[role]).stem for role in self._extras}

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
                f"{self.n_features - 1}; {_AGAIN}"
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
                f"rise; {_AGAIN}"
            )
        first_is_wrong = start == 0 and indptr[0] != 0
        last_is_wrong = stop == self.n_samples and indptr[-1] != self.n_stored
        if first_is_wrong or last_is_wrong or indptr[0] < 0 or indptr[-1] > self.n_stored:
            raise DataError(
                f"{self._indptr.where}: got bounds from {indptr[0]} to {indptr[-1]}, expected them "
                f"within 0 and {self.n_stored}, and to reach both; {_AGAIN}"
            )

    def fingerprint(self) -> str:
        """Describe the files' sizes, the columns, and a sample of the bytes."""
        arrays = [self._data, *([self._y] if self._y else []), *self._extras.values()]
        files = {array.path: array.stamp for array in arrays}
        sizes = ", ".join(
            f"{stamp.size} bytes ({sample_digest(path, stamp)})" for path, stamp in files.items()
        )
        return (
            f"{sizes}, {self.n_samples} rows with {self.n_stored} numbers, "
            f"{digest_of_names(self.columns)}, target {self.target_name!r}"
            f"{describe_roles(self.role_names)}"
        )

    def locate(self, row: int) -> str:
        """Name the file and the row, counted from 0."""
        return f"{self._path}: row {row}"

    def locate_target(self, row: int) -> str:
        """Name the target's array and the row."""
        return self._y.locate(row) if self._y else self.locate(row)

    def locate_extra(self, role: str, row: int) -> str:
        """Name the role's array and the row."""
        return self._extras[role].locate(row)


def _one_text(array: StoredArray) -> str:
    """Return the text that an array of one is; raises DataError."""
    dtype = array.header.dtype
    if dtype.kind not in "SU" or array.header.shape not in ((), (1,)) or dtype.itemsize > 400:
        raise DataError(
            f"{array.where}: got {array.header.shape} of {dtype}, expected text; {_AGAIN}"
        )
    value = array.whole().reshape(-1)[0]
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _shape(array: StoredArray) -> tuple[int, int]:
    """Return rows and features; raises DataError."""
    if array.header.shape != (2,) or array.header.dtype.kind not in "iu":
        raise DataError(
            f"{array.where}: got {array.header.shape} of {array.header.dtype}, expected the two "
            f"numbers of rows and features; {_AGAIN}"
        )
    rows, features = (int(number) for number in array.whole())
    if rows < 1 or not 1 <= features <= _MOST_FEATURES:
        raise DataError(
            f"{array.where}: got {rows} rows and {features} features, expected at least one of "
            f"each, and at most {_MOST_FEATURES} features; {_AGAIN}"
        )
    return rows, features


def _vector(array: StoredArray, kinds: str) -> StoredArray:
    """Return the array if it is (n,) of numbers of these kinds; raises DataError."""
    if len(array.header.shape) != 1 or array.header.dtype.kind not in kinds:
        what = "numbers" if "f" in kinds else "whole numbers"
        raise DataError(
            f"{array.where}: got {array.header.shape} of {array.header.dtype}, expected {what} in "
            f"one row; {_AGAIN}"
        )
    return array
