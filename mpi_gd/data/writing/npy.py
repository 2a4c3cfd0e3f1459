"""Write X, y and the rest as .npy files, as the trainer maps them into memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.writing.layout import Layout, Piece, Rows, Stream, Writer, role_file
from mpi_gd.errors import JobError

__all__ = ["NpyWriter", "bytes_of", "dense_of", "npy_head", "vector_piece"]

_ALIGNMENT = 64
_HEAD_BYTES = 10


class NpyWriter(Writer):
    """X in PATH, the target and the rest beside it; names of columns are not kept."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Lay out the files; raises JobError for sparse rows."""
        if layout.n_stored:
            raise JobError(
                f"{path}: sparse rows would fill a .npy file with zeros; give a name that ends in "
                ".npz"
            )
        self._layout = layout
        self.files = [path, *(role_file(path, role) for role in layout.vectors)]
        shape = (layout.n_rows, len(layout.columns))
        self._heads = [
            npy_head(layout.dtype, shape),
            *(npy_head(dtype, (layout.n_rows,)) for dtype in layout.vectors.values()),
        ]
        self.streams = [Stream(k, len(head)) for k, head in enumerate(self._heads)]

    def encode(self, rows: Rows, stored_before: int) -> list[Piece]:
        """Return the numbers' bytes."""
        vectors = self._layout.vectors.items()
        return [
            bytes_of(dense_of(rows.x), self._layout.dtype),
            *(vector_piece(rows, role, dtype) for role, dtype in vectors),
        ]

    def frame(self, sizes: Sequence[int], crcs: Sequence[int]) -> list[tuple[int, int, bytes]]:
        """Return the headers."""
        return [(k, 0, head) for k, head in enumerate(self._heads)]

    def job_lines(self) -> dict[str, str]:
        """Return the files by role."""
        roles = dict(zip(self._layout.vectors, self.files[1:], strict=True))
        return {"path": self.files[0].name, **{role: file.name for role, file in roles.items()}}


def npy_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the header of a C-ordered array, a multiple of 64 bytes (version 1.0)."""
    # Written here rather than by NumPy, whose padding has changed between versions.
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(_HEAD_BYTES + len(text) + 1) % _ALIGNMENT
    line = text.encode("ascii") + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line


def vector_piece(rows: Rows, role: str, dtype: np.dtype[Any]) -> Piece:
    """Return the bytes of a role's values."""
    return bytes_of(rows.vectors[role], dtype)


def bytes_of(array: NDArray[Any], dtype: np.dtype[Any]) -> Piece:
    """Return an array's bytes, C-ordered."""
    plain = np.ascontiguousarray(array, dtype)
    return plain.reshape(-1).view(np.uint8).data if plain.size else b""


def dense_of(x: Any) -> NDArray[Any]:
    """Return rows as an array."""
    return x.rows.toarray() if hasattr(x, "rows") else np.asarray(x)
