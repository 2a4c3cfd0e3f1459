"""Many files of one format as one source: its rows are theirs, file after file.

Nobody opens all files. The ranks open a share of them each, large text files by the share of their
bytes, and hold them against the first; from the sum of what they count every rank knows which file
a row is in, and opens those that hold its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.listing import Shard, digest_of_shards
from mpi_gd.data.probe import is_packed, sample_digest, stamp
from mpi_gd.data.shares import Share, cut_shares, rooms_of
from mpi_gd.data.source import Block, Features, Source
from mpi_gd.data.uniform import require_alike
from mpi_gd.errors import DataError, NoRowsError
from mpi_gd.matrix import Csr

if TYPE_CHECKING:
    from mpi_gd.data.rowfiles import RowsInFile

__all__ = ["ShardedSource"]

# Files that are kept open to be read again.
_MOST_OPEN = 64
# What BLAS kernels and the reproducible sum want the first element to start at.
_ALIGNMENT = 64


class ShardedSource(Source):
    """The rows of several files, in the files' order."""

    def __init__(
        self,
        shards: Sequence[Shard],
        open_one: Callable[[int], Source],
        by_file: frozenset[str] = frozenset(),
    ) -> None:
        """Open the first shard that has rows; `open_one` opens any of them by its number.

        `by_file` are the roles whose names are those of files, and differ.
        Raises what opening raises, and NoRowsError if no shard has rows.
        """
        self._shards = shards
        self.files = [f"{shard.name} ({shard.size:,} bytes)" for shard in shards]
        self._by_file = by_file
        self._open_one = open_one
        self._sources: OrderedDict[int, Source] = OrderedDict()
        self._first, self._model = self._find_first()
        model = self._model
        self.n_features, self.columns, self.dtype = model.n_features, model.columns, model.dtype
        self.target_name, self.role_names = model.target_name, model.role_names
        self.texts = model.texts
        sizes = [shard.size for shard in shards]
        self._rooms = rooms_of(type(model), sizes)
        self._growth = sum(sizes) / max(1, sizes[self._first]) if sum(sizes) else len(shards)
        self.n_stored = round(model.n_stored * self._growth)
        # Number of the first row of each shard, and of all; known when settled.
        self._starts = np.zeros(len(shards) + 1, dtype=np.int64)
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def _find_first(self) -> tuple[int, Source]:
        """Open the first shard that has rows."""
        for number in range(len(self._shards)):
            try:
                return number, self._open_same(number)
            except NoRowsError:
                if number + 1 == len(self._shards):
                    raise
        raise NoRowsError("there are no files, expected some")

    def _open_same(self, number: int) -> Source:
        """Open a shard, provided that it is what was listed."""
        shard = self._shards[number]
        source = self._open_one(number)
        if shard.stamp and stamp(shard.path) != shard.stamp:
            raise DataError(
                f"{shard.path}: the file changed since it was listed; start again when nothing "
                "writes to it"
            )
        return source

    def _open_alike(self, number: int) -> Source:
        """Open a shard, provided that it has the columns and types of the first one."""
        source = self._open_same(number)
        first, path = self._shards[self._first].path, self._shards[number].path
        require_alike(self._model, first, source, path, self._by_file)
        return source

    def survey(self, part: int, parts: int) -> NDArray[np.int64]:
        """Open this part's shards, and count their rows; (2 n_shards + room,).

        First the rows of each shard, then the numbers that each stores, then their own counts.
        """
        n = len(self._shards)
        total = np.zeros(2 * n + int(self._rooms[-1]), dtype=np.int64)
        weights = [max(1, shard.size) for shard in self._shards]
        # A compressed file is unpacked from its beginning, whatever part of it is wanted.
        whole = [is_packed(shard.path) for shard in self._shards]
        for share in cut_shares(weights, np.diff(self._rooms), whole, part, parts):
            try:
                source = self._open_alike(share.shard)
            except NoRowsError:
                continue
            self._count(source, share, total)
        return total

    def _count(self, source: Source, share: Share, total: NDArray[np.int64]) -> None:
        """Count a share of a shard's rows."""
        n, number = len(self._shards), share.shard
        counts = source.survey(share.part, share.parts)
        if self._rooms[number + 1] == self._rooms[number]:
            # It is looked through by whoever reads it, too: nobody keeps what is not ours to sum.
            source.settle(counts)
            total[number] = source.n_samples
        else:
            begin = 2 * n + self._rooms[number]
            total[begin : begin + len(counts)] += counts
            total[number] += source.rows_counted(counts, share.part)
        if share.part == 0:
            total[n + number] = source.n_stored

    def settle(self, total: NDArray[np.int64]) -> None:
        """Take all shards' rows."""
        n = len(self._shards)
        self._starts = np.concatenate([[0], np.cumsum(total[:n])])
        self.n_samples = int(self._starts[-1])
        self.n_stored = int(total[n : 2 * n].sum())
        self._counts = total[2 * n :].copy()

    def guess_rows(self) -> int:
        """Return how many there are if all shards are as the first one."""
        return max(1, round(self._model.guess_rows() * self._growth))

    def shard_of(self, row: int) -> tuple[int, int]:
        """Return the shard that holds a global row, and the row's number in it."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, row - int(self._starts[number])

    def pieces(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Return the shards that hold the global rows [start, stop), each with rows of its own."""
        self.check_range(start, stop)
        found = []
        while start < stop:
            number, first = self.shard_of(start)
            last = min(first + stop - start, int(np.diff(self._starts)[number]))
            found.append((number, first, last))
            start += last - first
        # No rows, and what is there has its type all the same.
        return found or [(self._first, 0, 0)]

    def opened(self, number: int) -> Source:
        """Return a shard that is ready to be read; raises DataError if it is another than known."""
        if number in self._sources:
            self._sources.move_to_end(number)
            return self._sources[number]
        source = self._open_alike(number)
        begin, end = self._rooms[number : number + 2]
        source.settle(self._counts[begin:end] if begin < end else source.survey(0, 1))
        expected = int(self._starts[number + 1] - self._starts[number])
        if source.n_samples != expected:
            raise DataError(
                f"{self._shards[number].path}: got {source.n_samples} rows, expected {expected} "
                "as the rank found that counted them; give all ranks the same files"
            )
        self._sources[number] = source
        while len(self._sources) > _MOST_OPEN:
            self._sources.popitem(last=False)
        return source

    def read(self, start: int, stop: int) -> Block:
        """Read the shards' rows one after another."""
        pieces = self.pieces(start, stop)
        blocks = (self.opened(number).read(first, last) for number, first, last in pieces)
        first = next(blocks)
        if len(pieces) == 1:
            return Block(_aligned(first.x), first.y, first.extras)
        others = [first]
        if isinstance(first.x, Csr):
            others += blocks
            x: Features = _stacked([block.x for block in others], first.x.shape[1])
        else:
            x = aligned_empty((stop - start, first.x.shape[1]), self.dtype)
            x[: len(first.x)] = first.x
            row = len(first.x)
            for block in blocks:
                x[row : row + len(block.x)] = block.x
                row += len(block.x)
                others.append(Block(None, block.y, block.extras))
        return Block(
            x,
            np.concatenate([block.y for block in others]),
            {
                role: np.concatenate([block.extras[role] for block in others])
                for role in first.extras
            },
        )

    def count_stored(self, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many numbers the rows between the bounds store."""
        found = np.zeros(len(bounds) - 1, dtype=np.int64)
        for number, first, last in self.pieces(int(bounds[0]), int(bounds[-1])):
            start = int(self._starts[number])
            inside = bounds[(bounds > start + first) & (bounds < start + last)]
            edges = np.concatenate([[first], inside - start, [last]])
            counts = self.opened(number).count_stored(edges)
            places = np.searchsorted(bounds, start + edges[:-1], side="right") - 1
            np.add.at(found, np.minimum(places, len(found) - 1), counts)
        return found

    def in_files(self, start: int, stop: int) -> Sequence[RowsInFile]:
        """Return the places in the shards; in memory the rows begin where those of one file do."""
        found: list[RowsInFile] = []
        for number, first, last in self.pieces(start, stop):
            files = self.opened(number).in_files(first, last)
            if not files:
                return ()
            found += (replace(file, in_line=0) for file in files)
        return found

    def fingerprint(self) -> str:
        """Describe the files' names and sizes, the first one, and a sample of two more."""
        others = sorted({len(self._shards) // 2, len(self._shards) - 1} - {self._first})
        samples = "".join(
            f", {sample_digest(shard.path, shard.stamp)}"
            for shard in (self._shards[number] for number in others)
            if shard.stamp
        )
        return f"{digest_of_shards(self._shards)}{samples}; the first: {self._model.fingerprint()}"

    def locate(self, row: int) -> str:
        """Name the file and the place in it."""
        if not self.n_samples:
            return self._model.locate(row)
        number, own = self.shard_of(row)
        return self.opened(number).locate(own)

    def locate_target(self, row: int) -> str:
        """Name the place of a row's target."""
        number, own = self.shard_of(row)
        return self.opened(number).locate_target(own)

    def locate_extra(self, role: str, row: int) -> str:
        """Name the place of a row's value in another role."""
        number, own = self.shard_of(row)
        return self.opened(number).locate_extra(role, own)


def _aligned(x: Features) -> Features:
    """Return rows that begin where those of one file would: a shard begins at any row."""
    if isinstance(x, Csr) or x.ctypes.data % _ALIGNMENT == 0:
        return x
    copy = aligned_empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def _stacked(parts: Sequence[Any], n_features: int) -> Csr:
    """Return sparse rows one after another."""
    rows = [part.rows for part in parts]
    ends = np.cumsum([each.nnz for each in rows])
    indptr = [rows[0].indptr.astype(np.int64)]
    indptr += [
        each.indptr[1:].astype(np.int64) + end for each, end in zip(rows[1:], ends, strict=False)
    ]
    return Csr(
        np.concatenate([each.data for each in rows]),
        np.concatenate([each.indices for each in rows]),
        np.concatenate(indptr),
        n_features,
    )
