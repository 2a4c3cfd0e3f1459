"""X, y and the rows' further columns as arrays of one .npz archive.

They are mapped where they are stored, unpacked where they are compressed.

A member called "columns" (d,) of text names the features.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from mpi_gd.data.arrays import first_bad_text
from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.names import check_names, suggest
from mpi_gd.data.npyheader import read_header
from mpi_gd.data.probe import Stamp, foreign_format, open_same, stamp
from mpi_gd.data.roles import NEEDED, Purpose, require_different, way_without
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.stored import MappedArray, PackedArray, StoredArray, explained
from mpi_gd.errors import DataError, JobError

__all__ = ["Members", "NpzSource"]

_NAMES = "columns"
# Local header of a zip's member: 26 bytes, then the lengths of its name and its extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1
# zlib packs at most 1032 bytes into one: what claims more is damaged, or made to fill the memory.
_MOST_PACKED = 1032
# Four bytes a character.
_MOST_NAME_BYTES = 4000


class NpzSource(ArraySource):
    """X, y and the rest as members of an .npz archive.

    A stored member is mapped, and copied if it lies at an odd byte, as most do; its CRC is not
    checked, since each rank reads its own rows only. A compressed one is unpacked to its end by
    each rank, which checks its CRC.
    """

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> NpzSource:
        """Read the archive's table and the headers of its members."""
        given = {**spec.named_columns, "target": "y" if spec.target == "" else spec.target}
        given = {role: name for role, name in given.items() if role in NEEDED[purpose]}
        for role, name in given.items():
            if isinstance(name, int):
                raise JobError(
                    f"data.{role} is {name}, expected the name of an array in {path}; set "
                    f'{role} = "{"y" if role == "target" else role}"'
                )
        names = {role: str(name) for role, name in given.items()}
        require_different({"features": spec.features, **names}, str(path))
        members = Members(path)
        x = members.array(spec.features, "features")
        found = {
            role: (name, members.array(name, role, way_without(role, purpose)))
            for role, name in names.items()
        }
        target, y = found.pop("target", ("", None))
        columns = members.names_of_columns(x.header.shape) if _NAMES in members.names else ()
        return cls(x, y, dtype=spec.dtype, target_name=target, columns=columns, extras=found)


class Members:
    """The arrays of an archive, by name."""

    def __init__(self, path: Path) -> None:
        """Read the table at the archive's end."""
        self._path = path
        self._stamp: Stamp = stamp(path)
        foreign_format(path, "npz")
        with (
            open_same(path, self._stamp) as file,
            explained(str(path), path),
            ZipFile(file) as archive,
        ):
            infos = archive.infolist()
        self._infos: dict[str, ZipInfo] = {}
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if name in self._infos:
                raise DataError(
                    f"{path}: two arrays are called {name!r:.60}; save it again with numpy.savez"
                )
            self._infos[name] = info
        self.names = tuple(self._infos)

    def array(self, name: str, key: str, remedy: str = "") -> StoredArray:
        """Return the member called `name`, which the job's `key` asks for."""
        if name not in self._infos:
            raise DataError(
                f"{self._path}: no array is called {name!r} (data.{key}); "
                f"{suggest(name, self.names)}{remedy}"
            )
        info = self._infos[name]
        where = f"{self._path}: array {name!r}"
        if info.flag_bits & _ENCRYPTED:
            raise DataError(f"{where}: it is encrypted; save it without a password")
        self._check(info, where)
        with open_same(self._path, self._stamp) as file, explained(where, self._path):
            if info.compress_type != ZIP_STORED:
                with ZipFile(file) as archive, archive.open(info) as packed:
                    header = read_header(packed, where, info.file_size)
                return PackedArray(self._path, self._stamp, header, where, member=info.filename)
            begin = _begin_of_data(file, info)
            if begin + info.file_size > self._stamp.size:
                raise EOFError("it is cut short")
            file.seek(begin)
            header = read_header(file, where, info.file_size)
        offset = begin + header.length
        return MappedArray(self._path, self._stamp, header, where, offset=offset)

    def _check(self, info: ZipInfo, where: str) -> None:
        """Raise DataError for a member that NumPy does not write, or that claims too much."""
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise DataError(
                f"{where}: it is compressed in a way that NumPy does not use; save it again with "
                "numpy.savez_compressed"
            )
        most = 1 if info.compress_type == ZIP_STORED else _MOST_PACKED
        packed = info.compress_size
        if info.file_size > packed * most or info.header_offset + packed > self._stamp.size:
            raise DataError(
                f"{where}: the archive is damaged: its table claims {info.file_size} bytes, too "
                f"many for {packed} in the file; copy it again, or save it again with numpy.savez"
            )

    def names_of_columns(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Return the names of the features; raises DataError if they do not fit X's `shape`."""
        names = self.array(_NAMES, "features")
        found = names.header
        if found.dtype.kind != "U" or len(found.shape) != 1 or found.shape != shape[1:]:
            raise DataError(
                f"{names.where}: got the shape {found.shape} of {found.dtype}, expected "
                f"{shape[1:]} of text: a name for each feature"
            )
        if found.dtype.itemsize > _MOST_NAME_BYTES:
            raise DataError(f"{names.where}: got {found.dtype}, expected shorter names")
        values = names.rows(0, found.shape[0], np.dtype(found.dtype.newbyteorder("=")))
        if first_bad_text(values) is not None:
            raise DataError(f"{names.where}: a character is none in Unicode; save it again")
        columns = tuple(str(name).strip() for name in values)
        check_names(columns, names.where, "name each feature once")
        return columns


def _begin_of_data(file: BinaryIO, info: ZipInfo) -> int:
    """Return the byte at which a stored member begins; its local header has its own lengths."""
    file.seek(info.header_offset)
    content = file.read(_LOCAL_HEADER.size)
    if len(content) < _LOCAL_HEADER.size:
        raise EOFError("it is cut short")
    magic, name_length, extra_length = _LOCAL_HEADER.unpack(content)
    if magic != b"PK\x03\x04":
        raise EOFError(f"no member begins at byte {info.header_offset}")
    return int(info.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
