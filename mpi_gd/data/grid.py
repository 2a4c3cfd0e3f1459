"""The row grid: where a data set is cut, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.division import divide

__all__ = ["BY_COLUMN", "RowGrid"]

# A block is what is worked on at a time: X_t @ w, the loss, r @ X_t while it stays in the cache.
_BLOCK_BYTES = 1_638_400
_MOST_BLOCK_ROWS = 8192
# Block bounds are multiples of this many rows, so that every block begins at a multiple of 64
# bytes, and BLAS and NumPy go through all of them in the same way.
_ROWS_UNIT = 128
_FEW_ROWS_UNIT = 16
# A tile is what is owned and summed exactly: so many rows that the sum costs little beside it.
_TILE_ROWS = 1024
_FEWEST_TILE_ROWS = 512
# A small data set is cut into about so many tiles, enough for so many ranks.
_WANTED_TILES = 64
# A sparse tile has so many numbers for each column, unless there would be fewer tiles than that.
# Rows that are wider are summed column by column, where the sum costs as much as the numbers.
_SPARSE_SHARE = 4
_FEWEST_TILES = 16
BY_COLUMN = 1 << 18
_INDEX_BYTES = 4
# Beyond this many tiles they grow, to leave the exact sum its bits.
_MOST_TILES = 1 << 17


@dataclass(frozen=True)
class RowGrid:
    """Tiles and blocks of `n_samples` rows, from the data's shape and type alone.

    Tile t is the rows [t * tile_rows, (t + 1) * tile_rows), the last one shorter; blocks divide a
    tile in the same way. A rank owns a contiguous run of whole tiles.
    """

    n_samples: int
    n_features: int
    itemsize: int
    """Bytes of one number as it is stored."""
    n_stored: int = 0
    """Numbers that a sparse data set stores; 0 if it stores all."""
    n_workers: int = 0
    """Workers whose tiles must be on one rank, each a run of tiles; 0: every tile for itself."""

    @cached_property
    def block_rows(self) -> int:
        """Return the rows of a block: about 1.6 MB, at most 8192."""
        rows = _BLOCK_BYTES // max(1, self._row_bytes())
        unit = _ROWS_UNIT if rows >= _ROWS_UNIT else _FEW_ROWS_UNIT
        return min(max(rows // unit * unit, unit), self._small_tile(), _MOST_BLOCK_ROWS)

    @cached_property
    def tile_rows(self) -> int:
        """Return the rows of a tile, a multiple of the block's."""
        block = self.block_rows
        rows = max(block, min(_TILE_ROWS, self._small_tile()), -(-self.n_samples // _MOST_TILES))
        if self.n_stored and self.n_features < BY_COLUMN:
            # A tile's sums are as long as a row is wide: it should have more numbers than they.
            dense_enough = _SPARSE_SHARE * self.n_features * self.n_samples // self.n_stored
            rows = max(rows, min(dense_enough, self.n_samples // _FEWEST_TILES))
        return -(-rows // block) * block

    @cached_property
    def n_tiles(self) -> int:
        """Return the number of tiles."""
        return -(-self.n_samples // self.tile_rows)

    @property
    def row_numbers(self) -> float:
        """Return how many numbers an average row stores."""
        return self.n_stored / max(1, self.n_samples) if self.n_stored else float(self.n_features)

    def _row_bytes(self) -> int:
        """Return the bytes of an average row."""
        if self.n_stored:
            return -(-self.n_stored // self.n_samples) * (self.itemsize + _INDEX_BYTES)
        return self.n_features * self.itemsize

    def _small_tile(self) -> int:
        """Return the rows of a tile when `n_samples` is small."""
        rows = -(-self.n_samples // (_WANTED_TILES * _ROWS_UNIT)) * _ROWS_UNIT
        return max(_FEWEST_TILE_ROWS, rows)

    def divide(
        self,
        size: int,
        weights: NDArray[np.int64] | None = None,
        shares: Sequence[int] | None = None,
    ) -> list[int]:
        """Return the first tile of each of `size` ranks, and n_tiles, (size + 1,).

        `weights` (n_tiles,) is what the tiles cost, None: all the same; rank r is to have about
        `shares[r]` parts of it, None: all the same. Where there are workers a rank has whole ones,
        and some ranks none if there are too few.
        """
        if not self.n_workers:
            return divide(self.n_tiles, size, weights, shares)
        firsts = [self.worker_tiles(worker)[0] for worker in range(self.n_workers + 1)]
        if weights is not None:
            sums = np.append(0, np.cumsum(weights))[firsts]
            weights = np.diff(sums)
        return [firsts[worker] for worker in divide(self.n_workers, size, weights, shares)]

    def tiles_of(self, rank: int, size: int) -> tuple[int, int]:
        """Return the first tile of `rank`, and that of the next rank, if all tiles cost the same.

        Sizes differ by one.
        """
        bounds = self.divide(size)
        return bounds[rank], bounds[rank + 1]

    def worker_tiles(self, worker: int, n_workers: int = 0) -> tuple[int, int]:
        """Return the first tile of a worker, and that of the next one; sizes differ by one."""
        n_workers = n_workers or self.n_workers
        return self.n_tiles * worker // n_workers, self.n_tiles * (worker + 1) // n_workers

    def tile_bounds(self, tile: int) -> tuple[int, int]:
        """Return the rows [start, stop) of a tile."""
        start = tile * self.tile_rows
        return start, min(start + self.tile_rows, self.n_samples)

    def rows_of(self, rank: int, size: int) -> tuple[int, int]:
        """Return the rows [start, stop) that `rank` owns, if all tiles cost the same."""
        return self.rows_between(*self.tiles_of(rank, size))

    def rows_between(self, first_tile: int, last_tile: int) -> tuple[int, int]:
        """Return the rows [start, stop) of the tiles [first_tile, last_tile)."""
        return (
            min(first_tile * self.tile_rows, self.n_samples),
            min(last_tile * self.tile_rows, self.n_samples),
        )
