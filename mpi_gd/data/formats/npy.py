""".npy files of X, y and the rows' further columns, mapped into memory."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.roles import NEEDED, Purpose, require_different
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.stored import StoredArray, open_array
from mpi_gd.errors import JobError

__all__ = ["NpySource"]


class NpySource(ArraySource):
    """X in one .npy file, y in another, and so on.

    Each rank touches the pages of its own rows only.
    """

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> NpySource:
        """Read all headers; raises FileError, DataError, or JobError if y is not named."""
        x = open_array(path)
        files = {role: name for role, name in spec.roles.items() if role in NEEDED[purpose]}
        paths = {role: base / _file_name(role, name, path) for role, name in files.items()}
        if "target" not in NEEDED[purpose]:
            extras = _extras(path, paths)
            return cls(x, None, dtype=spec.dtype, target_name="", extras=extras)
        if not isinstance(spec.target, str) or not spec.target:
            raise JobError(
                f"data.target is {spec.target!r}: {path} holds X only, expected the path of a "
                '.npy file with y; set target = "y.npy"'
            )
        extras = _extras(path, {"target": base / spec.target, **paths})
        y = open_array(base / spec.target)
        return cls(x, y, dtype=spec.dtype, target_name=y.path.stem, extras=extras)


def _file_name(role: str, name: str | int, path: Path) -> str:
    """Return the file that a role names; raises JobError for a column's number."""
    if isinstance(name, int):
        raise JobError(
            f"data.{role} is {name}: {path} holds X only, expected the path of a .npy file; set "
            f'{role} = "{role}.npy"'
        )
    return name


def _extras(path: Path, paths: dict[str, Path]) -> dict[str, tuple[str, StoredArray]]:
    """Open the files of all roles but the target."""
    require_different(paths, str(path))
    return {role: (file.stem, open_array(file)) for role, file in paths.items() if role != "target"}
