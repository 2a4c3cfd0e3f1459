"""Read an archive, believing nothing that has not been checked."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

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
from mpi_gd.errors import FileError
from mpi_gd.patient import PatientFile, patiently

__all__ = ["unpack"]

_SEAL_LENGTH = len(SEAL_TAG) + DIGEST_LENGTH
_CHUNK_BYTES = 1 << 20
# The one way in which the writer puts the header; NumPy's own reader evaluates it as Python.
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<|][biuf][1248])', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)


def unpack(
    source: bytes | str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Return the arrays and the metadata of an archive, given its bytes or its path.

    Raises FileError when the file cannot be read; ArchiveError, whose message does not name the
    file, when it is no such archive or is cut, changed or malformed.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source))
    path = Path(source)
    try:
        _require_regular(path)
        with io.BufferedReader(PatientFile(path)) as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except FileError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path}: cannot read: {reason} (check the path)") from error


def _require_regular(path: Path) -> None:
    """Refuse what is no file: opening a FIFO would wait for ever."""
    mode = patiently(path, path.stat).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise FileError(f"{path}: cannot read: it is {kind} (name the .npz file)")


def _read(file: BinaryIO, size: int) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Check the seal, then read every member."""
    _check_seal(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = _checked_members(archive, size)
            metadata = _parse_metadata(archive.read(members.pop(METADATA)))
            arrays = {
                name.removesuffix(".npy"): _parse_npy(name, archive.read(info))
                for name, info in members.items()
            }
    except ArchiveError:
        raise
    # What zipfile and json raise on malformed input that nevertheless carries the right digest.
    except (
        zipfile.BadZipFile, EOFError, struct.error, RuntimeError, ValueError, OverflowError
    ) as error:  # fmt: skip
        raise ArchiveError(f"malformed archive: {error}") from error
    return arrays, metadata


def _check_seal(file: BinaryIO, size: int) -> None:
    """Compare the digest at the file's end with that of all bytes before it."""
    file.seek(max(0, size - _SEAL_LENGTH))
    seal = file.read(_SEAL_LENGTH)
    if len(seal) < _SEAL_LENGTH or not seal.startswith(SEAL_TAG):
        raise ArchiveError("not a file that mpi_gd wrote, or one that was cut short or changed")
    digest = hashlib.sha256()
    file.seek(0)
    left = size - DIGEST_LENGTH
    while left:
        chunk = file.read(min(_CHUNK_BYTES, left))
        if not chunk:
            raise ArchiveError("the file shrank while it was read")
        digest.update(chunk)
        left -= len(chunk)
    if digest.hexdigest().encode("ascii") != seal[-DIGEST_LENGTH:]:
        raise ArchiveError("the content does not match its SHA-256 digest: the file is damaged")


def _checked_members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name: stored as they are, plainly named, once, and within `size`."""
    members: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in archive.infolist():
        name = info.filename
        if name in members:
            raise ArchiveError(f"two members are named {name!r}")
        plain = name.endswith(".npy") and NAME.fullmatch(name.removesuffix(".npy"))
        if not plain and name != METADATA:
            raise ArchiveError(f"unexpected member {name!r}")
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not stored or info.flag_bits:
            raise ArchiveError(f"member {name!r} is compressed or encrypted")
        total += info.file_size
        # Members that share bytes would let a small file claim any amount of memory.
        if total > size:
            raise ArchiveError(f"member {name!r} claims more bytes than the file has")
        members[name] = info
    if METADATA not in members:
        raise ArchiveError(f"the member {METADATA} is missing")
    return members


def _parse_npy(name: str, content: bytes) -> np.ndarray[Any, Any]:
    """Return a writable copy of the array; nothing larger than `content` is allocated."""
    begin = len(NPY_MAGIC) + 2
    end = begin + int.from_bytes(content[len(NPY_MAGIC) : begin], "little")
    header = _NPY_HEADER.fullmatch(content[begin:end])
    if not content.startswith(NPY_MAGIC) or header is None:
        raise ArchiveError(f"member {name!r} is not a C-ordered .npy file of numbers")
    try:
        dtype = np.dtype(header[1].decode("ascii"))
    except TypeError as error:
        raise ArchiveError(f"member {name!r}: {error}") from error
    shape = tuple(int(length) for length in header[2].split(b",") if length.strip())
    if not is_plain(dtype) or math.prod(shape) * dtype.itemsize != len(content) - end:
        raise ArchiveError(f"member {name!r} has the wrong size for shape {shape} of {dtype}")
    flat = np.frombuffer(content, dtype=dtype, offset=end)
    return flat.reshape(shape).astype(dtype.newbyteorder("="))


def _parse_metadata(content: bytes) -> dict[str, Any]:
    """Return the JSON object; raises ValueError for what is not JSON, NaN and Infinity included.

    A number that is none of int64 and float64 is refused too: who uses it would overflow.
    """

    def refuse(text: str) -> None:
        raise ArchiveError(f"{METADATA} holds {text}, which is not JSON")

    def number(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else too_large(text)

    def integer(text: str) -> int:
        value = int(text)
        return value if value.bit_length() < 64 else too_large(text)

    def too_large(text: str) -> NoReturn:
        raise ArchiveError(f"{METADATA} holds a number that is too large, {text:.60}")

    metadata = json.loads(
        content.decode("ascii"), parse_constant=refuse, parse_float=number, parse_int=integer
    )
    if not isinstance(metadata, dict):
        raise ArchiveError(f"{METADATA} holds a {type(metadata).__name__}; expected an object")
    return metadata
