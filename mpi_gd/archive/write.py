"""Turn arrays and metadata into the bytes of an archive."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import stat
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from mpi_gd.archive.layout import (
    DIGEST_LENGTH,
    METADATA,
    NAME,
    NPY_MAGIC,
    SEAL_TAG,
    ArchiveError,
    is_plain,
)

__all__ = ["pack", "pack_into"]

_ALIGNMENT = 64
_CHUNK_BYTES = 1 << 20
# The padding field of zip headers that Android's zipalign made customary.
_PADDING_FIELD = 0xD935


def pack(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, object]) -> bytes:
    """Return the archive's bytes: the same content gives the same bytes on any machine.

    Arrays are of bool, integer or float type (at most 8 bytes an item) and of any shape; metadata
    is JSON (NumPy scalars are taken as numbers). Raises ArchiveError for anything else.
    """
    buffer = io.BytesIO()
    pack_into(buffer, arrays, metadata)
    return buffer.getvalue()


def pack_into(
    file: BinaryIO,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    metadata: Mapping[str, object],
) -> None:
    """Write what `pack` returns to an empty file, open for writing and reading.

    Nothing of an array is copied that is little-endian and C-ordered.
    """
    members: dict[str, tuple[Any, ...]] = {
        f"{name}.npy": _npy_parts(name, array) for name, array in arrays.items()
    }
    members[METADATA] = (_json_bytes(metadata),)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            member = _member(name, file.tell())
            member.file_size = sum(len(part) for part in members[name])
            with archive.open(member, "w") as out:
                for part in members[name]:
                    out.write(part)
        archive.comment = SEAL_TAG + bytes(DIGEST_LENGTH)
    _seal(file)


def _seal(file: BinaryIO) -> None:
    """Put the digest of all bytes before it at the file's end."""
    left = file.seek(-DIGEST_LENGTH, io.SEEK_END)
    file.seek(0)
    digest = hashlib.sha256()
    while left:
        chunk = file.read(min(_CHUNK_BYTES, left))
        if not chunk:
            raise OSError(errno.EIO, "the file shrank while it was written")
        digest.update(chunk)
        left -= len(chunk)
    # Also where the read has come to this place: a file is told of a change from reading.
    file.seek(-DIGEST_LENGTH, io.SEEK_END)
    file.write(digest.hexdigest().encode("ascii"))


def _npy_parts(name: str, array: np.ndarray[Any, Any]) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Return header and bytes of `array` as a little-endian, C-ordered .npy file of version 1.0."""
    if not NAME.fullmatch(name):
        raise ArchiveError(f"array name {name!r}: expected letters, digits, '_', '.' or '-'")
    array = np.asarray(array)
    if not is_plain(array.dtype):
        raise ArchiveError(
            f"array {name!r} has dtype {array.dtype}; expected bool, int or float of up to 8 bytes"
        )
    # Not ascontiguousarray, which turns a 0-d array into a 1-d one.
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    # Written here rather than by NumPy, whose padding has changed between versions.
    header = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {array.shape}, }}"
    padding = -(len(NPY_MAGIC) + 2 + len(header) + 1) % _ALIGNMENT
    line = header.encode("ascii") + b" " * padding + b"\n"
    head = b"".join((NPY_MAGIC, struct.pack("<H", len(line)), line))
    return head, array.reshape(-1).view(np.uint8)


def _json_bytes(metadata: Mapping[str, object]) -> bytes:
    """Return sorted ASCII JSON; ASCII, because names from the outside may hold lone surrogates."""

    def number(value: object) -> object:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"{type(value).__name__} is not a JSON type")

    try:
        text = json.dumps(metadata, sort_keys=True, indent=1, allow_nan=False, default=number)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArchiveError(f"metadata cannot be written as JSON: {error}") from error
    return text.encode("ascii") + b"\n"


def _member(name: str, offset: int) -> zipfile.ZipInfo:
    """Describe a member at `offset`, padded so that its data begin at a multiple of 64 bytes."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3  # Unix, on every host
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    # 30 bytes of local header, the name, then the 4 bytes that begin the padding field.
    padding = -(offset + 30 + len(name) + 4) % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_FIELD, padding) + bytes(padding)
    return info
