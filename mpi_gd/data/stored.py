"""Arrays in files, read by rows: mapped into memory, or decompressed in pieces."""

from __future__ import annotations

import dataclasses
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, cut_rows, narrow
from mpi_gd.data.npyheader import ArrayHeader, read_header
from mpi_gd.data.probe import Stamp, foreign_format, open_same, sample_digest, stamp
from mpi_gd.errors import DataError

__all__ = [
    "MappedArray",
    "PackedArray",
    "StoredArray",
    "describe_files",
    "explained",
    "open_array",
]

_SKIP_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredArray(ABC):
    """An array (n, ...) in a file."""

    path: Path
    stamp: Stamp
    header: ArrayHeader
    # Name for messages: the file's, and the member's if there are several.
    where: str

    @abstractmethod
    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return rows [start, stop) as C-contiguous `dtype`; raises DataError naming the row."""

    def whole(self) -> NDArray[Any]:
        """Return all of a small array, of any shape, as it is."""
        header = self.header
        flat = dataclasses.replace(header, shape=(math.prod(header.shape),), fortran_order=False)
        plain = dataclasses.replace(self, header=flat)
        found = plain.rows(0, flat.shape[0], header.dtype.newbyteorder("="))
        return np.array(found).reshape(header.shape)

    def sample(self) -> str:
        """Return what tells the file from most others: its size, and a digest of its ends."""
        return f"{self.stamp.size} bytes ({sample_digest(self.path, self.stamp)})"

    def locate(self, row: int) -> str:
        """Name the place of a row."""
        return f"{self.where}: row {row}"

    def _convert(self, source: NDArray[Any], out: NDArray[Any], first: int) -> None:
        """Copy rows, the first of which has the number `first`; raises DataError on overflow."""
        lost = narrow(source, out)
        if lost is not None:
            raise DataError(
                f"{self.locate(first + lost)}: a number is too large for {out.dtype}; set "
                'dtype = "float64" or rescale the column'
            )


@dataclass(frozen=True)
class MappedArray(StoredArray):
    """An array whose bytes lie in the file as they are, from byte `offset` on."""

    offset: int

    def lies_as(self, dtype: np.dtype[Any]) -> bool:
        """Whether the bytes can be used as C-contiguous rows of a type."""
        header = self.header
        is_type = header.dtype == dtype and header.dtype.isnative
        # A member of a zip lies at any byte; BLAS would copy it at each use.
        return is_type and not header.fortran_order and not self.offset % dtype.alignment

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a read-only map of the rows if their bytes can be used, else a copy."""
        header = self.header
        with open_same(self.path, self.stamp) as file:
            whole = self._map(file)
            if self.lies_as(dtype):
                return whole[start:stop]
            out = aligned_empty((stop - start, *header.shape[1:]), dtype)
            row_bytes = header.row_items * max(header.dtype.itemsize, dtype.itemsize)
            for first, last in cut_rows(start, stop, row_bytes):
                self._convert(whole[first:last], out[first - start : last - start], first)
        return out

    def _map(self, file: BinaryIO) -> NDArray[Any]:
        """Map the whole array; no page is read before it is touched."""
        header = self.header
        order: Literal["C", "F"] = "F" if header.fortran_order else "C"
        mapped = np.memmap(file, header.dtype, "r", self.offset, header.shape, order)
        # A plain array: the subclass costs time at every slice.
        return mapped.view(np.ndarray)


@dataclass(frozen=True)
class PackedArray(StoredArray):
    """An array that is a compressed member of a zip archive."""

    member: str

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a copy of the rows; the member is decompressed to its end, to check its CRC."""
        header = self.header
        out = aligned_empty((stop - start, *header.shape[1:]), dtype)
        with (
            open_same(self.path, self.stamp) as file,
            explained(self.where, self.path),
            ZipFile(file) as archive,
            archive.open(self.member) as packed,
        ):
            _skip(packed, header.length)
            if header.fortran_order and out.ndim == 2:
                for j in range(header.row_items):
                    self._take(packed, start, stop, out[:, j], 1)
            else:
                self._take(packed, start, stop, out, header.row_items)
            # zipfile compares the CRC when it meets the end.
            _skip(packed, 1 << 62)
        return out

    def _take(
        self, packed: IO[bytes], start: int, stop: int, out: NDArray[Any], row_items: int
    ) -> None:
        """Read `n` rows of `row_items` elements; keep [start, stop) of them."""
        row_bytes = row_items * self.header.dtype.itemsize
        _skip(packed, start * row_bytes)
        for first, last in cut_rows(start, stop, row_bytes):
            piece = packed.read((last - first) * row_bytes)
            if len(piece) < (last - first) * row_bytes:
                raise EOFError("it ends too early")
            rows = np.frombuffer(piece, self.header.dtype).reshape(last - first, *out.shape[1:])
            self._convert(rows, out[first - start : last - start], first)
        _skip(packed, (self.header.shape[0] - stop) * row_bytes)


def _skip(packed: IO[bytes], count: int) -> None:
    """Read and forget up to `count` bytes."""
    while count > 0:
        piece = packed.read(min(count, _SKIP_BYTES))
        if not piece:
            return
        count -= len(piece)


def open_array(path: Path) -> MappedArray:
    """Read the header of a .npy file and check the file's size; raises FileError, DataError."""
    mark = stamp(path)
    foreign_format(path, "npy")
    with open_same(path, mark) as file:
        header = read_header(file, str(path), mark.size)
    return MappedArray(path, mark, header, str(path), offset=header.length)


def describe_files(arrays: Iterable[StoredArray]) -> str:
    """Describe the files that arrays are in, each once, for a fingerprint."""
    files = {array.path: array for array in arrays}
    return ", ".join(array.sample() for array in files.values())


@contextmanager
def explained(where: str, path: Path) -> Iterator[None]:
    """Turn what zipfile raises on damaged or unusual archives into a DataError."""
    try:
        yield
    except DataError:
        raise
    except (BadZipFile, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: the archive is damaged ({error}); copy it again, or save it again with "
            "numpy.savez"
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{where}: cannot unpack the archive ({error}); save it again with numpy.savez"
        ) from error
