"""X, y and the rows' further columns as arrays of one .npz archive.

They are mapped where they are stored, unpacked where they are compressed.

A member called "columns" (d,) of text names the features.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.npyheader import read_header
from mpi_gd.data.probe import Stamp, foreign_format, open_same, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import ArrayStore
from mpi_gd.data.stored import MappedArray, PackedArray, StoredArray, explained
from mpi_gd.errors import DataError

__all__ = ["Members", "NpzSource"]

# Local header of a zip's member: 26 bytes, then the lengths of its name and its extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1
# zlib packs at most 1032 bytes into one: what claims more is damaged, or made to fill the memory.
_MOST_PACKED = 1032


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
        return cls.of_store(Members(path), spec, base, purpose)


class Members(ArrayStore):
    """The arrays of an archive, by name."""

    def __init__(self, path: Path) -> None:
        """Read the table at the archive's end."""
        super().__init__(path)
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

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the members, without .npy."""
        return tuple(self._infos)

    def has(self, name: str) -> bool:
        """Whether there is a member of this name."""
        return name in self._infos

    def find(self, name: str) -> StoredArray:
        """Read the header of a member."""
        info = self._infos[name]
        where = f"{self.path}: array {name!r}"
        if info.flag_bits & _ENCRYPTED:
            raise DataError(f"{where}: it is encrypted; save it without a password")
        self._check(info, where)
        with open_same(self.path, self._stamp) as file, explained(where, self.path):
            if info.compress_type != ZIP_STORED:
                with ZipFile(file) as archive, archive.open(info) as packed:
                    header = read_header(packed, where, info.file_size)
                return PackedArray(self.path, self._stamp, header, where, member=info.filename)
            begin = _begin_of_data(file, info)
            if begin + info.file_size > self._stamp.size:
                raise EOFError("it is cut short")
            file.seek(begin)
            header = read_header(file, where, info.file_size)
        offset = begin + header.length
        return MappedArray(self.path, self._stamp, header, where, offset=offset)

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
