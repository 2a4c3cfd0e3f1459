"""Write rows as an .npz archive: stored, not compressed, each array at a multiple of 64 bytes.

So the trainer maps dense ones into memory as they lie in the file. Sparse rows are written as
scipy.sparse.save_npz writes them, with the target, the rest and the names beside them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.names import default_names
from mpi_gd.data.writing.crc import joined_crc
from mpi_gd.data.writing.layout import Layout, Piece, Rows, Stream, Writer
from mpi_gd.data.writing.npy import bytes_of, dense_of, npy_head, vector_piece
from mpi_gd.errors import JobError

__all__ = ["NpzWriter"]

_ALIGNMENT = 64
# Of ZIP archives beyond 4 GiB, which readers of all archives know (APPNOTE 6.3.10, 4.5.3).
_LARGE, _VERSION, _PADDING_FIELD = 0xFFFFFFFF, 45, 0xD935
_MOST = 1 << 31
# January 1, 1980, at midnight.
_DATE = 33

Make = Callable[[Rows, int], Piece]


@dataclass(frozen=True)
class _Member:
    """An array of the archive."""

    name: str
    head: bytes
    """The array's header, and what stands before the first row's numbers."""
    size: int
    """Bytes of the rows' pieces."""
    make: Make | None
    """Makes a piece; None if `head` is all there is."""


class NpzWriter(Writer):
    """X, y and the rest as members of one archive."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Lay out the archive; raises JobError if two arrays would have the same name."""
        members = _sparse(layout) if layout.n_stored else _dense(layout)
        members += _vectors(layout)
        names = [member.name for member in members]
        for name in names:
            if names.count(name) > 1:
                raise JobError(f"{path}: two arrays would be called {name!r}; rename the column")
        self._members, self._layout = members, layout
        self.files = [path]
        self._offsets: list[int] = []
        end = 0
        for member in members:
            self._offsets.append(end)
            end += len(_local(member, end, 0)) + len(member.head) + member.size
        self._end = end
        self.streams = [
            Stream(0, self._begin(k)) for k, member in enumerate(members) if member.make
        ]

    def encode(self, rows: Rows, stored_before: int) -> list[Piece]:
        """Return the arrays' bytes."""
        return [member.make(rows, stored_before) for member in self._members if member.make]

    def frame(self, sizes: Sequence[int], crcs: Sequence[int]) -> list[tuple[int, int, bytes]]:
        """Return the local headers, with the arrays', and the table at the end."""
        rest = iter(zip(sizes, crcs, strict=True))
        found, table = [], b""
        for member, offset in zip(self._members, self._offsets, strict=True):
            crc = zlib.crc32(member.head)
            if member.make:
                size, rows_crc = next(rest)
                crc = joined_crc(crc, rows_crc, size)
            found.append((0, offset, _local(member, offset, crc) + member.head))
            table += _entry(member, offset, crc)
        found.append((0, self._end, table + _tail(len(self._members), self._end, len(table))))
        return found

    def job_lines(self) -> dict[str, str]:
        """Return the archive, and the arrays by role."""
        roles = {role: self._layout.name_of(role) for role in self._layout.vectors}
        return {"path": self.files[0].name, **roles}

    def _begin(self, k: int) -> int:
        """Return the byte of the first row's piece."""
        member, offset = self._members[k], self._offsets[k]
        return offset + len(_local(member, offset, 0)) + len(member.head)


def _dense(layout: Layout) -> list[_Member]:
    """Return X, and the names if they are any."""
    dtype, shape = layout.dtype, (layout.n_rows, len(layout.columns))
    size = shape[0] * shape[1] * dtype.itemsize
    x = _Member(
        "X", npy_head(dtype, shape), size, lambda rows, _: bytes_of(dense_of(rows.x), dtype)
    )
    return [x, *_names(layout)]


def _sparse(layout: Layout) -> list[_Member]:
    """Return what SciPy's archives of compressed sparse rows have, and the names."""
    n_stored, n_rows = layout.n_stored, layout.n_rows
    width = "<i4" if max(n_stored, len(layout.columns)) < _MOST else "<i8"
    whole, dtype = np.dtype(width), layout.dtype

    def indptr(rows: Rows, before: int) -> Piece:
        return bytes_of(rows.x.rows.indptr[1:].astype(np.int64) + before, whole)

    zero = bytes_of(np.zeros(1), whole)
    return [
        _Member("format", npy_head(np.dtype("S3"), ()) + b"csr", 0, None),
        _whole("shape", np.array([n_rows, len(layout.columns)], dtype="<i8")),
        _Member(
            "data",
            npy_head(dtype, (n_stored,)),
            n_stored * dtype.itemsize,
            lambda rows, _: bytes_of(rows.x.rows.data, dtype),
        ),
        _Member(
            "indices",
            npy_head(whole, (n_stored,)),
            n_stored * whole.itemsize,
            lambda rows, _: bytes_of(rows.x.rows.indices, whole),
        ),
        _Member(
            "indptr",
            npy_head(whole, (n_rows + 1,)) + bytes(zero),
            n_rows * whole.itemsize,
            indptr,
        ),
        *_names(layout),
    ]


def _vectors(layout: Layout) -> list[_Member]:
    """Return the target and the rest."""

    def member(role: str, dtype: np.dtype[Any]) -> _Member:
        return _Member(
            layout.name_of(role),
            npy_head(dtype, (layout.n_rows,)),
            layout.n_rows * dtype.itemsize,
            lambda rows, _: vector_piece(rows, role, dtype),
        )

    return [member(role, dtype) for role, dtype in layout.vectors.items()]


def _names(layout: Layout) -> list[_Member]:
    """Return the array that names the columns; nothing if they are x0, x1, ..."""
    if layout.columns == default_names(len(layout.columns)):
        return []
    return [_whole("columns", np.array(list(layout.columns), dtype="<U"))]


def _whole(name: str, array: NDArray[Any]) -> _Member:
    """Return a small array."""
    return _Member(name, npy_head(array.dtype, array.shape) + array.tobytes(), 0, None)


def _local(member: _Member, offset: int, crc: int) -> bytes:
    """Return the header before a member, padded so that the array begins at 64 bytes."""
    name = f"{member.name}.npy".encode()
    size = len(member.head) + member.size
    large = struct.pack("<HHQQ", 1, 16, size, size)
    padding = -(offset + 30 + len(name) + len(large) + 4) % _ALIGNMENT
    extra = large + struct.pack("<HH", _PADDING_FIELD, padding) + bytes(padding)
    return (
        b"PK\x03\x04"
        + struct.pack(
            "<HHHHHLLLHH",
            _VERSION,
            _flags(name),
            0,
            0,
            _DATE,
            crc,
            _LARGE,
            _LARGE,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def _entry(member: _Member, offset: int, crc: int) -> bytes:
    """Return a member's entry in the table at the end."""
    name = f"{member.name}.npy".encode()
    size = len(member.head) + member.size
    extra = struct.pack("<HHQQQ", 1, 24, size, size, offset)
    # Made on Unix (3), a file that all may read.
    made_by, mode = 3 << 8 | _VERSION, 0o100644 << 16
    return (
        b"PK\x01\x02"
        + struct.pack(
            "<HHHHHHLLLHHHHHLL",
            made_by,
            _VERSION,
            _flags(name),
            0,
            0,
            _DATE,
            crc,
            _LARGE,
            _LARGE,
            len(name),
            len(extra),
            0,
            0,
            0,
            mode,
            _LARGE,
        )
        + name
        + extra
    )


def _flags(name: bytes) -> int:
    """Return the flag that says a name is UTF-8, where it is no ASCII."""
    return 0 if name.isascii() else 1 << 11


def _tail(count: int, begin: int, size: int) -> bytes:
    """Return the end of the archive: where the table is."""
    end = struct.pack("<QHHLLQQQQ", 44, _VERSION, _VERSION, 0, 0, count, count, size, begin)
    locator = struct.pack("<LQL", 0, begin + size, 1)
    few = min(count, 0xFFFF)
    old = struct.pack("<HHHHLLH", 0, 0, few, few, min(size, _LARGE), min(begin, _LARGE), 0)
    return b"PK\x06\x06" + end + b"PK\x06\x07" + locator + b"PK\x05\x06" + old
