"""The bytes of a text file, by their places; those of a compressed one are unpacked on the way."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.probe import Stamp, open_same, packing_of, stamp
from mpi_gd.errors import DataError, JobError

__all__ = ["PIECE_BYTES", "PackedText", "PlainText", "Text", "line_ends", "open_text"]

# What is read at a time.
PIECE_BYTES = 1 << 22
_TAIL_BYTES = 1 << 16
_END = ord("\n")


def line_ends(piece: bytes) -> int:
    """Return how many there are; `bytes.count` stops at each, and takes four times as long."""
    return int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8) == _END))


class Text:
    """A text file that must not change; `size` is that of the text, in bytes."""

    size: int
    # Of each piece of PIECE_BYTES, if all of it has been seen: its line ends.
    line_ends: NDArray[np.int64] | None = None

    def __init__(self, path: Path, mark: Stamp) -> None:
        """Take a file and its stamp."""
        self.path, self.stamp = path, mark

    def head(self, n_bytes: int) -> bytes:
        """Return the first bytes."""
        return b"".join(self.pieces(0, min(n_bytes, self.size)))

    def tail(self, n_bytes: int) -> bytes:
        """Return the last bytes, at most 64 KiB."""
        return b"".join(self.pieces(max(0, self.size - n_bytes), self.size))

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [begin, end), some MiB at a time; raises DataError, FileError."""
        raise NotImplementedError


class PlainText(Text):
    """A file whose bytes are the text."""

    def __init__(self, path: Path, mark: Stamp) -> None:
        """Take a file and its stamp."""
        super().__init__(path, mark)
        self.size = mark.size

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [begin, end), some MiB at a time."""
        with open_same(self.path, self.stamp) as file:
            file.seek(begin)
            while begin < end:
                piece = file.read(min(PIECE_BYTES, end - begin))
                if not piece:
                    return
                begin += len(piece)
                yield piece


class PackedText(Text):
    """A compressed file, which can be unpacked from its beginning only.

    It is looked through once when it is opened, so that damage is found before anything else.
    Whoever then reads it from front to back unpacks it once more, and keeps its place in between.
    """

    def __init__(self, path: Path, mark: Stamp, packing: str) -> None:
        """Unpack the file to its end; raises DataError if that cannot be done."""
        super().__init__(path, mark)
        self._packing = packing
        self._stream: Any = None
        self._file: Any = None
        # The bytes that were unpacked last, and the place of the first of them.
        self._window, self._at = b"", 0
        self._head = self._tail = b""
        counts: list[int] = []
        self.size = 0
        while piece := self._next():
            self._head = self._head or piece
            self._tail = (self._tail + piece)[-_TAIL_BYTES:]
            counts.append(line_ends(piece))
            self.size += len(piece)
        self.line_ends = np.array(counts, dtype=np.int64)
        self._close()
        if not self.size:
            raise DataError(
                f"{path}: there is nothing in the compressed file; check how it was made"
            )

    def head(self, n_bytes: int) -> bytes:
        """Return the first bytes, at most those of a piece."""
        return self._head[:n_bytes]

    def tail(self, n_bytes: int) -> bytes:
        """Return the last bytes."""
        return self._tail[-n_bytes:]

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [begin, end), going on from where the last reading ended if it can."""
        if begin < self._at:
            self._close()
        while begin < end:
            last = self._at + len(self._window)
            if begin < last:
                piece = self._window[begin - self._at : end - self._at]
                begin += len(piece)
                yield piece
                continue
            if not (window := self._next()):
                return
            self._at, self._window = last, window

    def _next(self) -> bytes:
        """Unpack a piece; all are of one size but the last, and nothing comes after the end."""
        with self._explained():
            if self._stream is None:
                with open_same(self.path, self.stamp):
                    self._file = self.path.open("rb")
                self._stream = _unpacker(self._file, self._packing)
            parts, wanted = [], PIECE_BYTES
            while wanted and (part := self._stream.read(wanted)):
                parts.append(part)
                wanted -= len(part)
            return b"".join(parts)

    def _close(self) -> None:
        """Go back to the beginning."""
        for file in (self._stream, self._file):
            if file is not None:
                file.close()
        self._stream = self._file = None
        self._window, self._at = b"", 0

    def __del__(self) -> None:
        """Close what is open: a reading may end anywhere."""
        if getattr(self, "_file", None) is not None:
            self._close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what unpackers raise into a DataError."""
        try:
            yield
        except (DataError, JobError):
            raise
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            self._close()
            raise DataError(
                f"{self.path}: cannot be decompressed as {self._packing} ({str(error)[:200]}): "
                "it is cut short or damaged; copy it again"
            ) from error


def open_text(path: Path) -> Text:
    """Open a text file, compressed or not, as its first bytes tell; raises FileError, DataError."""
    mark = stamp(path)
    packing = packing_of(path)
    return PackedText(path, mark, packing) if packing else PlainText(path, mark)


def _unpacker(file: BinaryIO, packing: str) -> Any:
    """Return a file of the unpacked bytes; raises JobError without the package for it."""
    if packing == "zstd":
        try:
            import pyarrow as pa
        except ImportError as error:
            raise JobError(
                f'{file.name}: text compressed by zstd needs pyarrow: pip install "mpi_gd[csv]"'
            ) from error
        return pa.CompressedInputStream(pa.PythonFile(file), "zstd")
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if packing == "bzip2" else lzma.LZMAFile(file)
