"""Minibatches and samples: which rows belong to them, from the seed and their numbers alone.

The tiles are cut into chunks of consecutive rows, and the chunks divided into as many strata as a
batch has lanes; a batch takes one chunk from each stratum, in a random order that is drawn anew
for every epoch. Where the strata do not all have one for each batch, every batch lacks about as
many: a small one, with the same step, would have too large a say. So each row is in one batch of an
epoch, a batch touches few places of the memory, and every rank finds its own part of it without a
message.

A sample takes one tile of every `stride` consecutive ones, or a piece of it, so that rows in some
order are as well as shuffled ones, and all ranks have their share. A tile has two random numbers:
the tile whose first is the least of the stride's is taken, so the tiles of a stride are among those
of every stride that divides it; the other says where in the tile the piece is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.grid import RowGrid

__all__ = ["BatchPlan", "BatchRows", "sampled_rows"]

# A chunk has at least so many rows, for the sake of the matrix product, and a batch at most so
# many lanes.
_LEAST_CHUNK = 16
_MOST_LANES = 64
# The stream of the tiles' random numbers: no batch's, whose epochs and lanes are below 2^32.
_TILES = (1 << 64) - 1


def sampled_rows(grid: RowGrid, stride: int, piece: int, seed: int) -> list[tuple[int, int, int]]:
    """Return the tiles of a sample, and of each the global rows [start, stop), in order.

    `piece` is how many rows of each tile there are; 0: all.
    """
    n_tiles = grid.n_tiles
    n_strata = -(-n_tiles // stride)
    numbers = np.full((2, n_strata * stride), np.inf)
    key = np.array([seed, _TILES], dtype=np.uint64)
    numbers[:, :n_tiles] = np.random.Generator(np.random.Philox(key=key)).random((2, n_tiles))
    chosen = np.argmin(numbers[0].reshape(n_strata, stride), axis=1) + np.arange(n_strata) * stride
    found = []
    for tile in chosen.tolist():
        start, stop = grid.tile_bounds(tile)
        if piece:
            start += int(numbers[1, tile] * max(1, (stop - start) // piece)) * piece
            stop = min(start + piece, stop)
        found.append((tile, start, stop))
    return found


@dataclass(frozen=True)
class BatchPlan:
    """How the row grid is divided for batches of `size` rows."""

    grid: RowGrid
    size: int

    @property
    def n_lanes(self) -> int:
        """Return the number of strata, and of chunks in a batch."""
        chunk = max(_LEAST_CHUNK, -(-self.size // _MOST_LANES))
        return max(1, self.size // chunk)

    @property
    def chunk_rows(self) -> int:
        """Return the rows of a chunk."""
        return min(max(1, self.size // self.n_lanes), self.grid.tile_rows)

    @property
    def chunks_of_tile(self) -> int:
        """Return the number of chunks of a whole tile."""
        return -(-self.grid.tile_rows // self.chunk_rows)

    @property
    def n_chunks(self) -> int:
        """Return the number of chunks of all tiles, the last of which may be a shorter one."""
        last = self.grid.n_tiles - 1
        start, stop = self.grid.tile_bounds(last)
        return last * self.chunks_of_tile + -(-(stop - start) // self.chunk_rows)

    def stratum(self, lane: int) -> tuple[int, int]:
        """Return the first and one past the last chunk of a stratum; sizes differ by one."""
        n_chunks = self.n_chunks
        return n_chunks * lane // self.n_lanes, n_chunks * (lane + 1) // self.n_lanes

    @property
    def n_batches(self) -> int:
        """Return the number of batches of an epoch."""
        return -(-self.n_chunks // self.n_lanes)

    def passed_over(self, lane: int) -> int:
        """Return the batch of an epoch in which a stratum has no chunk; `n_batches` if in none."""
        n_batches = self.n_batches
        start, stop = self.stratum(lane)
        if stop - start == n_batches:
            return n_batches
        # Of so many strata that pass over a batch, those before this one.
        n_before = lane * n_batches - start
        return n_before * n_batches // (self.n_lanes * n_batches - self.n_chunks)


class BatchRows:
    """The rows of each batch that lie in a run of tiles."""

    def __init__(self, plan: BatchPlan, seed: int, first_tile: int, last_tile: int) -> None:
        """Find the strata that have rows here."""
        self._plan, self._seed = plan, seed
        self._tiles = first_tile, last_tile
        self._n_batches = plan.n_batches
        self._epoch = -1
        self._orders: list[NDArray[np.int64]] = []
        """Of each lane the chunks of an epoch's batches, -1 where it has none."""
        per_tile = plan.chunks_of_tile
        self._lanes = [
            lane
            for lane in range(plan.n_lanes)
            if plan.stratum(lane)[0] < last_tile * per_tile
            and plan.stratum(lane)[1] > first_tile * per_tile
        ]

    def of(self, number: int) -> list[tuple[int, int]]:
        """Return the local rows [start, stop) of each chunk of batch `number`."""
        epoch, place = divmod(number, self._n_batches)
        if epoch != self._epoch:
            self._draw(epoch)
        plan, (first_tile, last_tile) = self._plan, self._tiles
        tile_rows, per_tile = plan.grid.tile_rows, plan.chunks_of_tile
        chunks = []
        for order in self._orders:
            if order[place] < 0:
                continue
            tile, chunk = divmod(int(order[place]), per_tile)
            if first_tile <= tile < last_tile:
                start = (tile - first_tile) * tile_rows + chunk * plan.chunk_rows
                end = plan.grid.tile_bounds(tile)[1] - first_tile * tile_rows
                chunks.append((start, min(start + plan.chunk_rows, end)))
        return chunks

    def _draw(self, epoch: int) -> None:
        """Draw the order of the chunks of each stratum."""
        self._epoch = epoch
        self._orders = []
        for lane in self._lanes:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch << 32 | lane]))
            order = random.permutation(np.arange(*self._plan.stratum(lane)))
            if len(order) < self._n_batches:
                order = np.insert(order, self._plan.passed_over(lane), -1)
            self._orders.append(order)
