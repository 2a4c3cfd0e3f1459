"""Sparse rows in the .npz archive that scipy.sparse.save_npz writes."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.data.formats.npz import Members
from mpi_gd.data.roles import Purpose
from mpi_gd.data.sparsesource import SparseSource, sparse_parts
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import find_roles
from mpi_gd.data.stored import StoredArray
from mpi_gd.errors import DataError

__all__ = ["SparseNpzSource", "is_sparse"]

_PARTS = {"data", "indices", "indptr", "format", "shape"}
_AGAIN = "save it again: scipy.sparse.save_npz(path, X.tocsr())"


def is_sparse(path: Path) -> bool:
    """Whether an .npz archive holds a sparse matrix, and not arrays of rows."""
    return {"data", "indptr"} <= set(Members(path).names)


class SparseNpzSource(SparseSource):
    """Compressed sparse rows; y and the rest are further arrays of the archive, or .npy files."""

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> SparseNpzSource:
        """Read the archive's table, the shape, and the headers of the arrays."""
        members = Members(path)
        lacking = _PARTS - set(members.names)
        if lacking:
            raise DataError(f"{path}: a sparse matrix without the array {min(lacking)!r}; {_AGAIN}")
        kind = _one_text(members.find("format"))
        parts = sparse_parts(members, "", kind, _shape(members.find("shape")), _AGAIN)
        roles = find_roles(members, spec, base, purpose)
        return cls(parts, roles, members.names_of_columns("", parts.shape[1]))


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
    return rows, features
