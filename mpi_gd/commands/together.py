"""Write files of all ranks' rows: each its own at their place, whole or not at all.

The bytes are the same on any number of ranks.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.data.writing import Layout, Piece, Rows, Writer
from mpi_gd.data.writing.crc import joined_crc
from mpi_gd.files import discard, publish, reserve, write_at

__all__ = ["Read", "cut", "write_rows"]

Read = Callable[[int, int], Rows]

# Of a rank's rows so many bytes are read, made into pieces and written at a time.
_CHUNK_BYTES = 1 << 26


def write_rows(world: World, writer: Writer, layout: Layout, read: Read, *, unit: int = 1) -> int:
    """Write the rows that `read` gives; return how many numbers sparse rows store; collective.

    If those are not as many as `layout` says, nothing is written. The ranks take chunks of rows in
    turns, in multiples of `unit` rows.
    Raises on all ranks: FileError, and what reading raises; the files are then as they were.
    """
    what = f"writing {writer.files[0]}"
    names: list[str] = []
    with world.phase(what, by_root=True):
        if world.is_root:
            names = _reserve(writer)
    names = json.loads(world.bcast_text(json.dumps(names)))
    temporary = [Path(name) for name in names]
    try:
        stored, sizes, crcs = _write_chunks(world, writer, layout, read, unit, temporary)
        with world.phase(what, by_root=True):
            if world.is_root and stored == layout.n_stored:
                for file, offset, content in writer.frame(sizes, crcs):
                    write_at(temporary[file], offset, content, writer.files[file])
                for shared, path in zip(temporary, writer.files, strict=True):
                    publish(shared, path)
        return stored
    finally:
        if world.is_root:
            for shared in temporary:
                discard(shared)


def cut(layout: Layout, size: int, unit: int) -> int:
    """Return how many rows a chunk has: few MiB, and if it can be, one for each rank."""
    stored = layout.n_stored / max(1, layout.n_rows) if layout.n_stored else len(layout.columns)
    row_bytes = max(1.0, stored * max(layout.dtype.itemsize, 4))
    rows = int(min(_CHUNK_BYTES / row_bytes, -(-layout.n_rows // size)))
    return max(unit, -(-rows // unit) * unit)


def _reserve(writer: Writer) -> list[str]:
    """Make the empty temporary files; return their paths."""
    made: list[Path] = []
    try:
        for path in writer.files:
            made.append(reserve(path, 0))
    except BaseException:
        for temporary in made:
            discard(temporary)
        raise
    return [str(temporary) for temporary in made]


def _write_chunks(
    world: World, writer: Writer, layout: Layout, read: Read, unit: int, temporary: list[Path]
) -> tuple[int, list[int], list[int]]:
    """Write all rows' pieces; return the numbers stored, the streams' sizes and checksums."""
    n_streams = len(writer.streams)
    step, n_rows = cut(layout, world.size, unit), layout.n_rows
    written, stored, crcs = [0] * n_streams, 0, [0] * n_streams
    pending: list[tuple[int, int, Piece]] = []
    what = f"writing {writer.files[0]}"

    def write() -> None:
        for stream, offset, piece in pending:
            file = writer.streams[stream].file
            write_at(temporary[file], offset, piece, writer.files[file])

    for first in range(0, n_rows, step * world.size):
        start = min(first + world.rank * step, n_rows)
        counts = np.zeros(world.size, dtype=np.int64)
        with world.phase(what):
            write()
            rows = read(start, min(start + step, n_rows))
            counts[world.rank] = rows.n_stored
        world.allreduce_sum(counts)
        told = np.zeros((world.size, n_streams, 2), dtype=np.int64)
        with world.phase(what):
            before = stored + int(counts[: world.rank].sum())
            pieces: list[Piece] = [b""] * n_streams
            if len(rows):
                pieces = writer.encode(rows, before)
            for k, piece in enumerate(pieces):
                told[world.rank, k] = len(piece), zlib.crc32(piece)
        world.allreduce_sum(told)
        pending = _places(writer, written, told, world.rank, pieces)
        _account(told, written, crcs)
        stored += int(counts.sum())
    with world.phase(what):
        write()
    return stored, written, crcs


def _places(
    writer: Writer, written: list[int], told: NDArray[np.int64], rank: int, pieces: list[Piece]
) -> list[tuple[int, int, Piece]]:
    """Return stream, byte and piece of what this rank has to write."""
    before = told[:rank, :, 0].sum(axis=0)
    return [
        (k, stream.begin + written[k] + int(before[k]), piece)
        for k, (stream, piece) in enumerate(zip(writer.streams, pieces, strict=True))
        if len(piece)
    ]


def _account(told: NDArray[np.int64], written: list[int], crcs: list[int]) -> None:
    """Add the ranks' sizes and checksums to those of the streams, in the rows' order."""
    for ranks in told.tolist():
        for k, (size, crc) in enumerate(ranks):
            if size:
                crcs[k] = joined_crc(crcs[k], crc, size) if written[k] else crc
                written[k] += size
