"""Arrays in memory: aligned, and converted without silent loss."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import DataError

__all__ = ["LINE", "aligned_empty", "cut_rows", "first_bad_text", "narrow", "storage_type"]

# A cache line: what BLAS kernels and the reproducible sum want the first element to start at.
LINE = 64
# Conversions work on pieces of this size, so that they need no second block.
_PIECE_BYTES = 1 << 22
# What X may be kept in.
_STORED = tuple(map(np.dtype, (np.float64, np.float32, np.float16)))
# Less is not worth asking for.
_MUCH_BYTES = 1 << 30


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return uninitialized C-contiguous memory that starts at a multiple of 64 bytes.

    Raises DataError if there is not so much.
    """
    size = math.prod(shape) * dtype.itemsize
    try:
        if size > _MUCH_BYTES:
            _require_memory(size)
        memory = np.empty(size + LINE, dtype=np.uint8)
    # NumPy's ValueError: more than can be addressed.
    except (MemoryError, ValueError) as error:
        raise DataError(
            f"one rank's rows, {shape[0]} of them, need {size / 2**30:.1f} GiB of memory, more "
            'than is free; use more ranks on more nodes, memory = "stream", or dtype = "float32"'
        ) from error
    first = -memory.ctypes.data % LINE
    return memory[first : first + size].view(dtype).reshape(shape)


def _require_memory(size: int) -> None:
    """Raise MemoryError if Linux knows that `size` bytes are not there; it kills who uses them."""
    with contextlib.suppress(OSError):
        pairs = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
        free = {pair[0]: int(pair[1]) << 10 for pair in pairs}
        if size > free.get("MemAvailable:", size) + free.get("SwapFree:", 0):
            raise MemoryError


def cut_rows(start: int, stop: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges of rows that cover [start, stop), of a few MiB each."""
    step = max(1, _PIECE_BYTES // max(1, row_bytes))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def narrow(source: NDArray[Any], out: NDArray[Any]) -> int | None:
    """Copy `source` into `out`, converting; return the first row with a number too large for it.

    NaN and infinity are copied as they are.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        out[...] = source
    if not _may_overflow(source.dtype, out.dtype):
        return None
    lost = np.isinf(out)
    if lost.any():
        lost &= np.isfinite(source)
        if lost.any():
            return int(np.flatnonzero(lost.reshape(len(lost), -1).any(axis=1))[0])
    return None


def _may_overflow(found: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether a finite number of one type may be infinite in another."""
    if found.kind == "f":
        return found.itemsize > wanted.itemsize
    # float16 ends at 65504.
    return found.kind in "iu" and wanted == np.float16 and found.itemsize > 1


def storage_type(wanted: str, found: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type X is kept in: what the job wants, else the file's own, else float64."""
    if wanted != "auto":
        return np.dtype(wanted)
    own = found.newbyteorder("=")
    return own if own in _STORED else np.dtype(np.float64)


def first_bad_text(texts: NDArray[Any]) -> int | None:
    """Return the first of the texts (n,) with a code that no character has, or a surrogate's."""
    codes = texts.view(np.uint32).reshape(len(texts), texts.dtype.itemsize // 4)
    # Python refuses to make a text of codes beyond the last; half a pair cannot be written.
    bad = (codes > sys.maxunicode) | ((codes & 0xFFFFF800) == 0xD800)
    rows = np.flatnonzero(bad.any(axis=1))
    return int(rows[0]) if rows.size else None
