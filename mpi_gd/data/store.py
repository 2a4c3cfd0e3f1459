"""Places that hold arrays by name: an archive, an HDF5 file, a Zarr group, a safetensors file.

What a job asks of them is the same: X, y and the roles' arrays by name, and names of the features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi_gd.data.names import check_names, suggest
from mpi_gd.data.roles import NEEDED, Purpose, is_file, require_different, way_without
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.stored import StoredArray, open_array
from mpi_gd.data.vectors import column_values
from mpi_gd.errors import DataError, JobError

__all__ = ["ATTRIBUTES", "ArrayStore", "Roles", "find_roles"]

# An array, or an attribute of X, that names the features.
_NAMES = "columns"
# What may be written beside an array or a group, and is asked for.
ATTRIBUTES = (_NAMES, "encoding-type", "shape", "h5sparse_format", "h5sparse_shape")
# Four bytes a character.
_MOST_NAME_BYTES = 4000


class ArrayStore(ABC):
    """Arrays by name; where the place has folders of its own, by path, as "group/X"."""

    def __init__(self, path: Path) -> None:
        """Take the file or folder that the arrays are in."""
        self.path = path

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return the names of all arrays; for messages, it may take a while."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""

    @abstractmethod
    def find(self, name: str) -> StoredArray:
        """Return an array that is there; raises DataError for one that cannot be read."""

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return which of ATTRIBUTES there are beside an array or group: texts, numbers, lists."""
        return {}

    def array(self, name: str, key: str, remedy: str = "") -> StoredArray:
        """Return the array called `name`, which the job's `key` asks for."""
        if not self.has(name):
            raise DataError(
                f"{self.path}: no array is called {name!r} (data.{key}); "
                f"{suggest(name, self.names)}{remedy}"
            )
        return self.find(name)

    def names_of_columns(self, features: str, n_features: int) -> tuple[str, ...]:
        """Return the names of the columns of the array `features`; none if there are none.

        Raises DataError if they are not as many, or no names.
        """
        where = f"{self.path}: attribute {_NAMES!r} of {features!r}"
        listed = self.attributes(features).get(_NAMES)
        if listed is None:
            folder = features.rpartition("/")[0]
            beside = f"{folder}/{_NAMES}" if folder else _NAMES
            if not self.has(beside):
                return ()
            array = self.find(beside)
            where, listed = array.where, _texts(array, n_features)
        is_list = isinstance(listed, list) and all(isinstance(name, str) for name in listed)
        if not is_list or len(listed) != n_features:
            got = f"{len(listed)} of them" if is_list else f"{listed!r:.60}"
            raise DataError(f"{where}: got {got}, expected {n_features} texts: a name for each")
        columns = tuple(str(name).strip() for name in listed)
        check_names(columns, where, "name each feature once")
        return columns


def _texts(names: StoredArray, n_features: int) -> list[str]:
    """Return the texts of an array (n_features,)."""
    shape, dtype = names.header.shape, names.header.dtype
    if dtype.kind not in "US" or shape != (n_features,):
        raise DataError(
            f"{names.where}: got the shape {shape} of {dtype}, expected ({n_features},) of text: a "
            "name for each feature"
        )
    if dtype.itemsize > _MOST_NAME_BYTES:
        raise DataError(f"{names.where}: got {dtype}, expected shorter names")
    return [str(name) for name in column_values(names, 0, n_features)]


@dataclass(frozen=True)
class Roles:
    """The arrays (n,) that a job names besides X."""

    target: StoredArray | None
    target_name: str
    extras: Mapping[str, tuple[str, StoredArray]]
    """Names and arrays of the others, by role."""


def find_roles(store: ArrayStore, spec: DataSpec, base: Path, purpose: Purpose) -> Roles:
    """Find the target ("y" if the job names none) and what else `purpose` needs.

    What ends in .npy is a file of its own, relative to `base`. Raises DataError, FileError, and
    JobError for a column's number.
    """
    given = {**spec.named_columns, "target": "y" if spec.target == "" else spec.target}
    given = {role: name for role, name in given.items() if role in NEEDED[purpose]}
    for role, name in given.items():
        if isinstance(name, int):
            raise JobError(
                f"data.{role} is {name}, expected the name of an array in {store.path}; set "
                f'{role} = "{"y" if role == "target" else role}"'
            )
    names = {role: str(name) for role, name in given.items()}
    require_different({"features": spec.features, **names}, str(store.path))
    found: dict[str, tuple[str, StoredArray]] = {}
    for role, name in names.items():
        if is_file(name):
            found[role] = Path(name).stem, open_array(base / name)
        else:
            found[role] = name, store.array(name, role, way_without(role, purpose))
    target, y = found.pop("target", ("", None))
    return Roles(y, target, found)
