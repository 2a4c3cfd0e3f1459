"""The header of a .npy array, alone in a file or as a member of an .npz archive."""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from mpi_gd.errors import DataError

__all__ = ["ArrayHeader", "read_header"]

# Reader and form of the length that stands before the header.
_READERS = {
    (1, 0): (npy_format.read_array_header_1_0, struct.Struct("<H")),
    (2, 0): (npy_format.read_array_header_2_0, struct.Struct("<I")),
}
# What NumPy parses too; the header of an array of numbers has about a hundred bytes.
_MOST_HEADER_BYTES = 10_000
# NumPy's own limit.
_MOST_DIMENSIONS = 64
_MOST_ITEMS = 1 << 63


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of a .npy array announces."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    # Bytes of the header: the data follow.
    length: int

    @property
    def data_bytes(self) -> int:
        """Bytes of data that must follow the header."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_items(self) -> int:
        """Elements of one row."""
        return math.prod(self.shape[1:])


def read_header(file: IO[bytes], where: str, size: int) -> ArrayHeader:
    """Read the header at the file's position; `size` bytes are there, header included.

    Raises DataError, beginning with `where`, if it is no .npy header, if the array holds objects
    (they would be unpickled: that runs code) or records, or if `size` does not match.
    """
    start = file.tell()
    try:
        version = npy_format.read_magic(file)
        # Version 3 exists for the names of records' fields only.
        if version not in _READERS:
            raise DataError(
                f"{where}: got a .npy array of version {version[0]}.{version[1]}, expected 1.0 or "
                "2.0; save it again with numpy.save, as an array of numbers"
            )
        shape, fortran_order, dtype = _parse(file, *_READERS[version])
    except DataError:
        raise
    # EOFError, struct.error, SyntaxError, ... : what NumPy's reader raises on damaged headers.
    except Exception as error:
        raise DataError(
            f"{where}: not a readable .npy array ({error!s:.200}); save it again with numpy.save"
        ) from error
    _check_shape(shape, where)
    header = ArrayHeader(tuple(shape), bool(fortran_order), dtype, file.tell() - start)
    _check(header, where, size)
    return header


def _parse(file: IO[bytes], reader: Callable[[IO[bytes]], Any], form: struct.Struct) -> Any:
    """Return shape, order and type; read no more than a header may have, whatever it claims."""
    length = file.read(form.size)
    (claimed,) = form.unpack(length)
    if claimed > _MOST_HEADER_BYTES:
        raise ValueError(f"its header claims {claimed} bytes")
    with warnings.catch_warnings():
        # Python's, about the odd header text that is evaluated as a literal.
        warnings.simplefilter("ignore")
        return reader(io.BytesIO(length + file.read(claimed)))


def _check_shape(shape: tuple[int, ...], where: str) -> None:
    """Raise DataError for a shape that no array has: its numbers may be too long to print."""
    if len(shape) > _MOST_DIMENSIONS:
        raise DataError(f"{where}: the header announces {len(shape)} dimensions; save it again")
    if not all(type(length) is int and 0 <= length < _MOST_ITEMS for length in shape):
        shown = ", ".join(
            f"{length}" if abs(length) < _MOST_ITEMS else "a number of more than 63 bits"
            for length in shape
        )
        raise DataError(f"{where}: the header announces the shape ({shown}); save it again")


def _check(header: ArrayHeader, where: str, size: int) -> None:
    """Raise DataError for arrays that cannot be data, and for a wrong size."""
    dtype = header.dtype
    if dtype.hasobject:
        raise DataError(
            f"{where}: got an array of Python objects, expected numbers; objects are never "
            "unpickled; save it again after X.astype(float)"
        )
    if dtype.kind not in "biufUS":
        what = "records" if dtype.names else str(dtype)
        raise DataError(f"{where}: got an array of {what}, expected numbers; convert it first")
    if dtype.itemsize == 0:
        raise DataError(f"{where}: got texts of no characters ({dtype}), expected some; save again")
    expected = header.length + header.data_bytes
    if size < expected:
        raise DataError(
            f"{where}: the file is cut short: its header announces {expected} bytes (shape "
            f"{header.shape} of {dtype}), got {size}; copy or save it again"
        )
    if size > expected:
        raise DataError(
            f"{where}: got {size} bytes, expected {expected} by the header (shape {header.shape} "
            f"of {dtype}); the file must hold one array and nothing else; save it again"
        )
