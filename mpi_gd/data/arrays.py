"""Arrays in memory: aligned, and converted without silent loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["aligned_empty", "cut_rows", "narrow", "storage_type"]

# A cache line: what BLAS kernels and the reproducible sum want the first element to start at.
_ALIGNMENT = 64
# Conversions work on pieces of this size, so that they need no second block.
_PIECE_BYTES = 1 << 22


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return uninitialized C-contiguous memory that starts at a multiple of 64 bytes."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)


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
    if source.dtype.kind != "f" or source.dtype.itemsize <= out.dtype.itemsize:
        return None
    lost = np.isinf(out)
    if lost.any():
        lost &= np.isfinite(source)
        if lost.any():
            return int(np.flatnonzero(lost.reshape(len(lost), -1).any(axis=1))[0])
    return None


def storage_type(wanted: str, found: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type X is kept in: what the job wants, else the file's own, else float64."""
    if wanted != "auto":
        return np.dtype(wanted)
    own = found.newbyteorder("=")
    return own if own in (np.dtype(np.float64), np.dtype(np.float32)) else np.dtype(np.float64)
