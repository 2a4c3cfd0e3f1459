"""The bytes of rows where they lie: in files as they are, or put aside on a disk."""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.probe import Stamp, open_same
from mpi_gd.errors import DataError, FileError
from mpi_gd.patient import patiently

__all__ = ["RowFiles", "RowsInFile", "Scratch"]


@dataclass(frozen=True)
class RowsInFile:
    """Rows whose bytes lie in a file one row after another."""

    path: Path
    stamp: Stamp
    offset: int
    """The place of the first byte."""
    n_rows: int
    in_line: int = 0
    """How far into a cache line the first one begins where it is used without being streamed."""


class RowFiles:
    """The bytes of rows in files that follow each other."""

    def __init__(self, files: Sequence[RowsInFile], row_bytes: int) -> None:
        """Open the files; raises FileError, and DataError if one was changed."""
        self._files: list[tuple[int, RowsInFile]] = []
        for file in files:
            with open_same(file.path, file.stamp) as opened:
                # The file stays open, whatever becomes of its name.
                number = os.dup(opened.fileno())
            weakref.finalize(self, os.close, number)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(number, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            self._files.append((number, file))
        self._begins = [0, *accumulate(file.n_rows * row_bytes for file in files)]

    def read_into(self, place: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` from byte `place` of the rows on; raises FileError, DataError."""
        which = bisect_right(self._begins, place) - 1
        done = 0
        while done < len(out):
            number, file = self._files[which]
            here = place + done - self._begins[which]
            end = min(len(out), done + self._begins[which + 1] - (place + done))
            _read(number, file.offset + here, out[done:end], str(file.path))
            self._require_same(number, file)
            done, which = end, which + 1

    def _require_same(self, number: int, file: RowsInFile) -> None:
        """Raise DataError if the file is no longer what it was."""
        status = os.fstat(number)
        if (status.st_size, status.st_mtime_ns) != (file.stamp.size, file.stamp.modified_ns):
            raise DataError(
                f"{file.path}: the file changed while it was being read (it had {file.stamp.size} "
                f"bytes, now {status.st_size}); start again when nothing writes to it"
            )


class Scratch:
    """Bytes that are put aside in a folder; nothing is left of them, however the program ends."""

    def __init__(self, folder: Path) -> None:
        """Make a file without a name; raises FileError."""
        self._folder = folder
        try:
            self._file: Any = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise FileError(
                f"{folder}: rows that do not fit into memory cannot be put aside there "
                f"({error.strerror}); name another folder: data.scratch"
            ) from error
        weakref.finalize(self, self._file.close)
        self.size = 0

    def write(self, values: NDArray[Any]) -> None:
        """Append the bytes of a C-contiguous array; raises FileError."""
        rest = values.reshape(-1).view(np.uint8).data
        try:
            while rest:
                written = self._file.write(rest)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> FileError:
        """Return what to say of it."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return FileError(f"{self._folder}: {error.strerror} (check the file system)")
        return FileError(
            f"{self._folder}: no room there for the rows that do not fit into memory "
            f"({error.strerror.lower() if error.strerror else error}, after {self.size} bytes of "
            "this rank's); name a folder with more: data.scratch, or use more nodes"
        )

    def read_into(self, place: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` from byte `place` on; raises FileError."""
        _read(self._file.fileno(), place, out, f"{self._folder}: what was put aside")


def _read(number: int, place: int, out: NDArray[np.uint8], where: str) -> None:
    """Fill `out` from a place of an open file; raises FileError, DataError if it is too short."""
    done = 0
    while done < len(out):
        attempt = partial(os.preadv, number, [out[done:].data], place + done)
        try:
            got = patiently(where, attempt)
        except OSError as error:
            raise FileError(f"{where}: {error.strerror} (check the file system)") from error
        if not got:
            raise DataError(
                f"{where}: it ends at byte {place + done}, where rows are expected; it was cut "
                "while it was read: start again when nothing writes to it"
            )
        done += got
