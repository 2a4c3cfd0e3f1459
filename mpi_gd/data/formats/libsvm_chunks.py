"""LIBSVM files cut into chunks by their sizes alone, and what is counted of each.

A chunk owns the lines that begin in it, and is read on to the end of its last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.formats.libsvm_parse import plain, without_notes
from mpi_gd.data.probe import Stamp, is_packed, open_same, packing_of
from mpi_gd.data.text import open_text
from mpi_gd.errors import DataError

__all__ = ["COUNTS", "Chunk", "chunks_of", "count", "lines_of"]

# What is counted of a chunk: rows, numbers, one more than the largest index, rows with an index 0,
# lines.
COUNTS = 5

_LEAST_CHUNK = 1 << 22
_MOST_CHUNKS = 1 << 16
# Text that is read and parsed at a time.
_PIECE_BYTES = 1 << 20
_LONGEST_LINE = 1 << 30
_ZERO = re.compile(rb" 0+:")
# More digits are no index.
_MOST_DIGITS = 18
_TENS = 10 ** np.arange(_MOST_DIGITS, dtype=np.int64)


@dataclass(frozen=True)
class Chunk:
    """The lines that begin in the bytes [begin, end) of a file."""

    path: Path
    stamp: Stamp
    file: int
    """The file's number."""
    begin: int
    end: int
    is_packed: bool = False
    """Whether it is a whole compressed file, whose text ends who knows where."""


def chunks_of(files: Sequence[tuple[Path, Stamp]]) -> list[Chunk]:
    """Cut files into chunks of like sizes, of whole files where those are small."""
    total = sum(stamp.size for _, stamp in files)
    size = max(_LEAST_CHUNK, -(-total // _MOST_CHUNKS))
    found = []
    for number, (path, stamp) in enumerate(files):
        if is_packed(path) or (len(files) == 1 and packing_of(path)):
            found.append(Chunk(path, stamp, number, 0, stamp.size, is_packed=True))
            continue
        n = max(1, -(-stamp.size // size))
        bounds = [stamp.size * k // n for k in range(n + 1)]
        found += [Chunk(path, stamp, number, bounds[k], bounds[k + 1]) for k in range(n)]
    return found


def lines_of(chunk: Chunk) -> Iterator[bytes]:
    """Yield the chunk's lines, about a MiB of them at a time; raises DataError, FileError."""
    if chunk.is_packed:
        yield from _unpacked(chunk)
        return
    with open_same(chunk.path, chunk.stamp) as file:
        place = _line_start(file, chunk)
        file.seek(place)
        parts: list[bytes] = []
        held = 0
        while place < chunk.end or parts:
            # Beyond the chunk's end only its last line is missing.
            ask = min(_PIECE_BYTES, chunk.end - place) if place < chunk.end else _PIECE_BYTES
            piece = file.read(ask) or b""
            at_end = place >= chunk.end
            place += len(piece)
            if at_end:
                cut = piece.find(b"\n") + 1
                piece = piece[:cut] if cut else piece
                if cut or not piece:
                    yield b"".join([*parts, piece])
                    return
            else:
                cut = piece.rfind(b"\n") + 1
                if cut:
                    yield b"".join([*parts, piece[:cut]])
                    parts, held, piece = [], 0, piece[cut:]
            if piece:
                parts.append(piece)
                held += len(piece)
            if held > _LONGEST_LINE:
                raise _too_long(chunk)


def _unpacked(chunk: Chunk) -> Iterator[bytes]:
    """Yield the lines of a compressed file, some MiB at a time."""
    text = open_text(chunk.path)
    parts: list[bytes] = []
    for piece in text.pieces(0, text.size):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield b"".join([*parts, piece[:cut]])
            parts = []
        parts.append(piece[cut:])
        if sum(map(len, parts)) > _LONGEST_LINE:
            raise _too_long(chunk)
    if any(parts):
        yield b"".join(parts)


def _too_long(chunk: Chunk) -> DataError:
    """Return the error for a line without an end."""
    return DataError(
        f"{chunk.path}: a line is longer than {_LONGEST_LINE >> 20} MiB, expected text with a row "
        "a line; is it a file of another format?"
    )


def _line_start(file: BinaryIO, chunk: Chunk) -> int:
    """Return the byte at which the chunk's first line begins; its end if none does."""
    if chunk.begin == 0:
        return 0
    place = chunk.begin - 1
    file.seek(place)
    while place < chunk.end - 1:
        piece = file.read(min(_PIECE_BYTES, chunk.end - 1 - place))
        if not piece:
            break
        found = piece.find(b"\n")
        if found >= 0:
            return place + found + 1
        place += len(piece)
    return chunk.end


def count(piece: bytes) -> NDArray[np.int64]:
    """Count whole lines, (COUNTS,), which may be wrong: whoever reads them will say so."""
    n_lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
    text = without_notes(piece)
    if text[:1] in (b" ", b"\n") or b"\n\n" in text or b"\n " in text:
        # Lines that are empty, or may be.
        text = plain(text)
        while b"\n\n" in text:
            text = text.replace(b"\n\n", b"\n")
        text = text.lstrip(b"\n")
    if text and not text.endswith(b"\n"):
        text += b"\n"
    found = _ZERO.search(text) is not None
    most = _largest_last_index(np.frombuffer(text, dtype=np.uint8))
    return np.array([text.count(b"\n"), text.count(b":"), most + 1, found, n_lines])


def _largest_last_index(text: NDArray[np.uint8]) -> int:
    """Return the largest of the lines' last indices, -1 if there is none."""
    ends = np.flatnonzero(text == ord("\n"))
    colons = np.flatnonzero(text == ord(":"))
    if not len(colons):
        return -1
    last = np.searchsorted(colons, ends) - 1
    places = np.unique(colons[last[last >= 0]])
    values = np.zeros(len(places), dtype=np.int64)
    goes_on = np.ones(len(places), dtype=bool)
    for k, ten in enumerate(_TENS):
        before = places - 1 - k
        digits = text[np.maximum(before, 0)].astype(np.int64) - ord("0")
        goes_on &= (before >= 0) & (digits >= 0) & (digits <= 9)
        if not goes_on.any():
            break
        values += np.where(goes_on, digits * ten, 0)
    return int(values.max())
