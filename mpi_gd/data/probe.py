"""Look at a file from outside: is it a regular file, what do its first bytes say it is."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mpi_gd.errors import DataError, FileError
from mpi_gd.patient import PatientFile, patiently

__all__ = [
    "Stamp",
    "explained",
    "foreign_format",
    "guess_format",
    "is_packed",
    "is_zarr",
    "known_suffix",
    "open_same",
    "packing_of",
    "sample_digest",
    "stamp",
]

_SAMPLE_BYTES = 1 << 16
_STANDARD_INPUT = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/", "/dev/null", "/dev/tty")

# First bytes -> (format of ours or None, what it is, what to do).
_MAGIC: dict[bytes, tuple[str | None, str, str]] = {
    b"\x93NUMPY": ("npy", "a .npy file", 'set format = "npy"'),
    b"PK\x03\x04": ("npz", "a zip archive", 'set format = "npz", or unpack it first'),
    b"PK\x05\x06": ("npz", "a zip archive with nothing in it", "save the arrays again"),
    b"PAR1": ("parquet", "a Parquet file", 'set format = "parquet"'),
    b"PARE": (None, "an encrypted Parquet file", "decrypt it first"),
    b"ARROW1": ("arrow", "an Arrow file", 'set format = "arrow"'),
    b"FEA1": (None, "a Feather file of version 1", "save it again as version 2, Arrow's own"),
    b"\x89HDF\r\n\x1a\n": ("hdf5", "an HDF5 file", 'set format = "hdf5"'),
    b"\xd0\xcf\x11\xe0": (None, "an old Excel file", "save it as CSV first"),
    b"\xff\xfe": (None, "text in UTF-16", "convert it first: iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": (None, "text in UTF-16", "convert it first: iconv -f UTF-16 -t UTF-8"),
}
_SUFFIXES = {
    **dict.fromkeys([".csv", ".tsv", ".txt"], "csv"),
    **dict.fromkeys([".svm", ".libsvm", ".svmlight"], "libsvm"),
    **dict.fromkeys([".parquet", ".pq"], "parquet"),
    **dict.fromkeys([".arrow", ".feather", ".arrows", ".ipc"], "arrow"),
    ".npy": "npy",
    ".npz": "npz",
    **dict.fromkeys([".h5", ".hdf5", ".hdf", ".h5ad"], "hdf5"),
    ".safetensors": "safetensors",
    ".zarr": "zarr",
}
# Suffixes that say more than a first line does; .txt does not.
_TELLING = _SUFFIXES.keys() - {".txt"}
# First bytes of compressed text, and what people add to the name of what is in it.
_PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_UNPACK = {"gzip": "gunzip -k", "bzip2": "bunzip2 -k", "xz": "unxz -k", "zstd": "unzstd"}
# What may be compressed as a whole.
_PACKED_FORMATS = ("csv", "libsvm")
_PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
# A folder that has one of them is a Zarr group or array.
_ZARR = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


@dataclass(frozen=True)
class Stamp:
    """What must not change while a file is in use."""

    size: int
    modified_ns: int
    inode: int


def stamp(path: Path) -> Stamp:
    """Return the stamp of a regular file; raises FileError, never opening a FIFO."""
    if str(path).startswith(_STANDARD_INPUT):
        raise FileError(
            f"{path}: cannot read a stream: each rank reads its own part; save it to a file first"
        )
    with explained(path):
        status = patiently(path, path.stat)
        if stat.S_ISDIR(status.st_mode):
            raise FileError(f"{path}: got a folder, expected a file; name the file in it")
        if not stat.S_ISREG(status.st_mode):
            raise FileError(
                f"{path}: got a pipe, socket or device, expected a regular file: each rank reads "
                "its own part; save it to a file first"
            )
    if status.st_size == 0:
        raise DataError(f"{path}: the file is empty; check how it was made")
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


@contextmanager
def open_same(path: Path, expected: Stamp) -> Iterator[BinaryIO]:
    """Open a file for reading, unbuffered, provided that it still bears the same stamp.

    Raises FileError if it cannot be read, DataError if it was changed, also while it was open.
    """
    _require_same(path, expected)
    with explained(path), PatientFile(path) as file:
        try:
            yield file
        finally:
            # Also after an error: half a line that makes no sense is then not the file's fault.
            _require_same(path, expected)


def _require_same(path: Path, expected: Stamp) -> None:
    """Raise DataError if the file is no longer what it was."""
    with explained(path):
        status = patiently(path, path.stat)
    if Stamp(status.st_size, status.st_mtime_ns, status.st_ino) != expected:
        raise DataError(
            f"{path}: the file changed while it was being read (it had {expected.size} bytes, now "
            f"{status.st_size}); start again when nothing writes to it"
        )


def known_suffix(path: Path) -> str | None:
    """Return the format by the suffix, None if it tells nothing."""
    if path.suffix.lower() in _PACKED_SUFFIXES:
        path = path.with_suffix("")
    return _SUFFIXES.get(path.suffix.lower())


def is_packed(path: Path) -> bool:
    """Whether the name says that the file is compressed text."""
    return path.suffix.lower() in _PACKED_SUFFIXES


def _packing_in(head: bytes) -> str | None:
    """Return how what begins so is compressed; None if it is not."""
    return next((name for magic, name in _PACKINGS.items() if head.startswith(magic)), None)


def packing_of(path: Path) -> str | None:
    """Return how a file is compressed, by its first bytes; None if it is not."""
    with open_same(path, stamp(path)) as file:
        head = file.read(6) or b""
    return _packing_in(head)


def guess_format(path: Path) -> str:
    """Return the format by the first bytes, else by the suffix; raises DataError if neither says.

    A file that is called .npy but is not one keeps the format it claims: its reader will say more.
    """
    if is_zarr(path):
        return "zarr"
    kind = foreign_format(path, None)
    if kind == "npz" and _is_zarr_zip(path):
        return "zarr"
    if kind is None and path.suffix.lower() not in _TELLING and _is_libsvm(path):
        return "libsvm"
    kind = kind or known_suffix(path)
    if kind is None:
        raise DataError(
            f"{path}: cannot tell the format by its first bytes or its suffix {path.suffix!r}; "
            'set format, as in format = "csv"; `train --keys` lists the formats'
        )
    return kind


def _is_libsvm(path: Path) -> bool:
    """Whether the first line that is no comment is one of LIBSVM's: most such files have no suffix.

    Of a line that is longer than what is looked at the beginning counts.
    """
    from mpi_gd.data.formats.libsvm_parse import is_line

    with open_same(path, stamp(path)) as file:
        head: bytes = file.read(_SAMPLE_BYTES) or b""
    lines = [line for line in head.split(b"\n") if line.strip() and not line.startswith(b"#")]
    if not lines:
        return False
    first = lines[0]
    if len(head) == _SAMPLE_BYTES and len(lines) == 1:
        first = first[: max(first.rfind(b" "), 0)]
    return is_line(first)


def foreign_format(path: Path, wanted: str | None) -> str | None:
    """Return the format that the first bytes tell, None if they tell nothing.

    Raises DataError if they tell a format that is none of ours, or is not the one `wanted`.
    """
    expected = stamp(path)
    with open_same(path, expected) as file:
        head = file.read(9) or b""
    if _is_safetensors(head, expected.size):
        return _require(
            path, wanted, "safetensors", "a safetensors file", 'set format = "safetensors"'
        )
    packing = _packing_in(head)
    if packing and wanted not in _PACKED_FORMATS and known_suffix(path) not in _PACKED_FORMATS:
        what = f"compressed by {packing}"
        remedy = f"decompress it first: {_UNPACK[packing]} FILE; text alone is read as it is"
        return _require(path, wanted, None, what, remedy)
    for magic, (kind, what, remedy) in _MAGIC.items():
        if head.startswith(magic):
            return _require(path, wanted, kind, what, remedy)
    return None


def _require(path: Path, wanted: str | None, kind: str | None, what: str, remedy: str) -> str:
    """Return the format; raises DataError if it is none of ours, or not the one `wanted`."""
    if kind is None or (wanted is not None and kind != wanted):
        raise DataError(f"{path}: the file is {what}, expected {_wish(wanted)}; {remedy}")
    return kind


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins with the length of a JSON text that it has room for."""
    return head[8:] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder of Zarr's."""
    if not is_folder(path):
        return False
    with explained(path):
        return any(patiently(path, (path / name).is_file) for name in _ZARR)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; raises FileError where that cannot be told."""
    with explained(path):
        return patiently(path, path.is_dir)


def _wish(wanted: str | None) -> str:
    """Name a format in words."""
    words = {
        None: "data in a format that is read",
        "csv": "CSV text",
        "parquet": "a Parquet file",
        "arrow": "an Arrow file",
        "hdf5": "an HDF5 file",
        "libsvm": "LIBSVM text",
        "safetensors": "a safetensors file",
        "zarr": "a Zarr store",
    }
    return words.get(wanted, f"an .{wanted} file")


def sample_digest(path: Path, expected: Stamp) -> str:
    """Return a digest of the first and the last 64 KiB: tells most different files apart."""
    with open_same(path, expected) as file:
        digest = hashlib.sha256(file.read(_SAMPLE_BYTES))
        file.seek(max(0, expected.size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into a FileError that names the file."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        folder = os.fspath(path.parent)
        remedies = {
            FileNotFoundError: f"check the path; {_closest(path)}",
            PermissionError: "ask its owner for the right to read it",
        }
        remedy = remedies.get(type(error), f"check the folder {folder}")
        raise FileError(f"{path}: cannot read: {reason}; {remedy}") from error


def _closest(path: Path) -> str:
    """Say which part of a path is not there: the file or its folder."""
    folder = path.parent.absolute()
    if not folder.is_dir():
        return f"the folder {folder} is not there either"
    return f"the folder {folder} is there, the file is not"


def _is_zarr_zip(path: Path) -> bool:
    """Whether a zip archive is that of a Zarr store, and not of NumPy's arrays."""
    # Few look into one.
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            return bool({"zarr.json", ".zgroup"} & set(archive.namelist()))
    except (BadZipFile, ValueError, EOFError, NotImplementedError, OSError):
        return False
