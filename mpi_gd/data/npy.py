"""A pair of .npy files, X and y, mapped into memory."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.npyheader import read_header
from mpi_gd.data.probe import foreign_format, open_same, stamp
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.stored import MappedArray
from mpi_gd.errors import JobError

__all__ = ["NpySource"]


class NpySource(ArraySource):
    """X in one .npy file, y in another: each rank touches the pages of its own rows only."""

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), labelled: bool = True
    ) -> NpySource:
        """Read both headers; raises FileError, DataError, or JobError if y is not named."""
        x = _open_array(path)
        if not spec.target and not labelled:
            return cls(x, None, dtype=spec.dtype, target_name="")
        if not isinstance(spec.target, str) or not spec.target:
            raise JobError(
                f"data.target is {spec.target!r}: {path} holds X only, expected the path of a "
                '.npy file with y; set target = "y.npy"'
            )
        y = _open_array(base / spec.target)
        return cls(x, y, dtype=spec.dtype, target_name=y.path.stem)


def _open_array(path: Path) -> MappedArray:
    """Read the header of a .npy file and check the file's size."""
    mark = stamp(path)
    foreign_format(path, "npy")
    with open_same(path, mark) as file:
        header = read_header(file, str(path), mark.size)
    return MappedArray(path, mark, header, str(path), offset=header.length)
