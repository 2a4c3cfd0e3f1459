"""Where a rank's rows are: in memory, in a map of their file, or on a disk, to be streamed."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.division import Division
from mpi_gd.data import DataSpec, Source
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.grid import BY_COLUMN
from mpi_gd.data.source import Block
from mpi_gd.errors import JobError
from mpi_gd.matrix import Beside, Csr, Dense, Matrix
from mpi_gd.prepare.refused import Refused

__all__ = ["Storage", "choose_storage", "read_stored"]

# Data so small that nobody looks whether there is memory for them.
_SMALL_BYTES = 64 << 20
# What a rank takes besides its rows: target, weights and predictors of each row, and the rest.
_ROW_BYTES = 48
_OTHER_BYTES = 64 << 20
# Rows are put aside, or read into memory, so many bytes at a time.
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class Storage:
    """How this rank keeps its rows."""

    is_streamed: bool
    is_copied: bool
    """Whether rows that lie in a file are read into memory, not mapped."""
    scratch: Path


def choose_storage(
    world: World, source: Source, spec: DataSpec, base: Path, division: Division
) -> tuple[Storage, int]:
    """Return where this rank's rows are to be, and how many ranks stream theirs; collective.

    The ranks need not do the same. Raises JobError, on all of them.
    """
    can = not source.n_stored or source.n_features < BY_COLUMN
    is_streamed = spec.memory == "stream"
    if is_streamed and not can:
        raise JobError(
            f'data.memory = "stream": sparse rows of {BY_COLUMN:,} columns or more, of which there '
            f"are {source.n_features:,}, are sorted by column in memory; use more ranks on more "
            'hosts, and memory = "auto"'
        )
    n_streaming = world.size if is_streamed else 0
    if max(division.bytes) >= _SMALL_BYTES:
        # BLAS takes its memory with the first product of this size, and ends the program where
        # there is none left: before the rows, so that it is they of which it is said.
        np.dot(np.ones((300, 300)), np.ones((300, 300)))
    if spec.memory == "auto" and can and max(division.bytes) >= _SMALL_BYTES:
        # Small data do not need it.
        from mpi_gd.allocation.memory import available_memory

        hosts = world.gather_small(socket.gethostname())
        n_here = hosts.count(socket.gethostname())
        needed = division.bytes[world.rank] + _ROW_BYTES * division.rows[world.rank] + _OTHER_BYTES
        first, last = (sum(division.rows[: world.rank + more]) for more in (0, 1))
        with world.phase(f"opening {spec.shown_path}"):
            is_mapped = bool(source.in_files(first, last))
        is_streamed = needed > available_memory(n_here, is_mapped=is_mapped)
        count = np.array([is_streamed], dtype=np.int64)
        world.allreduce_sum(count)
        n_streaming = int(count[0])
    scratch = base / spec.scratch if spec.scratch else Path(tempfile.gettempdir())
    return Storage(is_streamed, spec.memory == "keep", scratch), n_streaming


def read_stored(source: Source, storage: Storage, start: int, stop: int) -> Block:
    """Return the rows [start, stop), their targets, and the rest; raises FileError, DataError."""
    if storage.is_streamed:
        return _streamed(source, storage, start, stop)
    files = source.in_files(start, stop) if storage.is_copied else ()
    if not files:
        return source.read(start, stop)
    from mpi_gd.data.rowfiles import RowFiles

    x = _room(source, stop - start, files[0].in_line)
    memory = x.reshape(-1).view(np.uint8)
    lies = RowFiles(files, source.n_features * source.dtype.itemsize)
    for first in range(0, memory.size, _PIECE_BYTES):
        lies.read_into(first, memory[first : first + _PIECE_BYTES])
    return Block(x, *_rest(_pieces(source, start, stop)))


def _room(source: Source, n: int, base: int) -> NDArray[Any]:
    """Return memory for `n` rows that begins `base` bytes into a cache line, as a map would."""
    more = -(-base // (source.n_features * source.dtype.itemsize))
    whole = aligned_empty((n + more, source.n_features), source.dtype).reshape(-1)
    first = base // source.dtype.itemsize
    return whole[first : first + n * source.n_features].reshape(n, source.n_features)


def _pieces(source: Source, start: int, stop: int) -> Iterator[Block]:
    """Yield the rows a few at a time; at least once."""
    stored = source.n_stored * 12 // max(1, source.n_samples)
    row_bytes = stored or source.n_features * source.dtype.itemsize
    step = max(1, _PIECE_BYTES // max(1, row_bytes))
    refused: list[Refused] = []
    for first in range(start, max(stop, start + 1), step):
        try:
            yield source.read(first, min(first + step, stop))
        except Refused as error:
            # They are counted to the end.
            refused.append(error)
    if refused:
        raise Refused(str(refused[0]), [each for error in refused for each in error.found])


def _rest(blocks: Iterable[Block]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return the targets and the rest of blocks that follow each other; X may go."""
    found = [Block(None, block.y, block.extras) for block in blocks]
    extras = {
        role: np.concatenate([block.extras[role] for block in found]) for role in found[0].extras
    }
    return np.concatenate([block.y for block in found]), extras


def _streamed(source: Source, storage: Storage, start: int, stop: int) -> Block:
    """Return the rows as what is read when it is needed, from where they lie or are put aside."""
    # Needed by few, and it brings threads.
    from mpi_gd.data.rowfiles import RowFiles
    from mpi_gd.matrix.streamed import DenseRows, Streamed

    n, d = stop - start, source.n_features
    blocks = _pieces(source, start, stop)
    files = source.in_files(start, stop)
    if files:
        lies = RowFiles(files, d * source.dtype.itemsize)
        content = DenseRows(lies, n, d, source.dtype, files[0].in_line)
        return Block(Streamed(content, d), *_rest(blocks))
    aside = _Aside(storage.scratch, d, source.dtype)
    y, extras = _rest(map(aside.added, blocks))
    return Block(aside.matrix(n), y, extras)


class _Aside:
    """Rows that are put aside on a disk, a few at a time."""

    def __init__(self, folder: Path, n_features: int, dtype: np.dtype[Any]) -> None:
        """Make files for them; raises FileError."""
        from mpi_gd.data.rowfiles import Scratch

        self._n_features, self._dtype = n_features, dtype
        self._dense, self._numbers, self._places = (Scratch(folder) for _ in range(3))
        self._counts = [np.zeros(1, dtype=np.int64)]
        self._is_sparse, self._width = False, 0

    def added(self, block: Block) -> Block:
        """Put a block's rows aside, and return the block."""
        self.add(block.x)
        return block

    def add(self, x: Any) -> None:
        """Put rows aside, which come in the same form every time; raises FileError."""
        if isinstance(x, Beside):
            self.add(x.dense)
            self.add(x.sparse)
        elif isinstance(x, Csr):
            self._is_sparse = True
            self._numbers.write(x.rows.data)
            self._places.write(x.rows.indices.astype(np.int32, copy=False))
            self._counts.append(np.diff(x.rows.indptr).astype(np.int64))
        else:
            rows = x.x if isinstance(x, Dense) else x
            self._width = rows.shape[1]
            self._dense.write(rows)

    def matrix(self, n: int) -> Matrix:
        """Return the `n` rows."""
        from mpi_gd.matrix.streamed import DenseRows, Streamed
        from mpi_gd.matrix.streamed_csr import CsrRows, StreamedCsr

        width = self._width
        dense = Streamed(DenseRows(self._dense, n, width, self._dtype), width)
        if not self._is_sparse:
            return dense
        indptr = np.cumsum(np.concatenate(self._counts))
        d = self._n_features - width
        sparse = StreamedCsr(CsrRows(self._numbers, self._places, indptr, d, np.dtype(np.int32)))
        return Beside(dense, sparse) if width else sparse
