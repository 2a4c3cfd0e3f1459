"""Arrays that are stored in chunks: pieces that hold whole chunks, and texts of any length."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.npyheader import ArrayHeader
from mpi_gd.errors import DataError

__all__ = ["cut_chunks", "texts_of"]

_PIECE_BYTES = 1 << 22
# An array of text is as wide as the longest.
_MOST_CHARACTERS = 1000


def cut_chunks(
    start: int, stop: int, header: ArrayHeader, chunks: tuple[int, ...]
) -> Iterator[tuple[slice, tuple[slice, ...]]]:
    """Yield rows and columns of pieces that cover the rows [start, stop), each chunk in one.

    A piece is some MiB of an array (n,) or (n, d), unless a chunk is more.
    """
    widths = header.shape[1:]
    row_bytes = max(1, header.row_items * header.dtype.itemsize)
    # Whole rows of chunks, if they are small, else one chunk at a time.
    is_small = chunks[0] * row_bytes <= _PIECE_BYTES
    height = max(1, _PIECE_BYTES // (row_bytes * chunks[0])) * chunks[0] if is_small else chunks[0]
    sides = [
        [slice(0, width)]
        if is_small
        else [slice(a, min(a + chunk, width)) for a in range(0, width, chunk)]
        for width, chunk in zip(widths, chunks[1:], strict=True)
    ]
    for first in range(start // height * height, stop, height):
        rows = slice(max(first, start), min(first + height, stop))
        for columns in itertools.product(*sides):
            yield rows, columns


def texts_of(found: Any, shape: tuple[int, ...], where: str) -> NDArray[np.str_]:
    """Return texts of any length as an array of text; raises DataError for one that is none."""
    texts = list(np.asarray(found, dtype=object).reshape(-1))
    longest = max((len(text) for text in texts), default=0)
    if longest > _MOST_CHARACTERS:
        raise DataError(
            f"{where}: got a text of {longest} characters, expected at most {_MOST_CHARACTERS}; "
            "save short labels"
        )
    flat = np.asarray(texts, dtype=np.str_)
    # An array of no texts, or of empty ones, has no width.
    return flat.astype("U1").reshape(shape) if flat.dtype.itemsize == 0 else flat.reshape(shape)
