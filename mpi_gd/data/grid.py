"""The row grid: where a data set is cut, whatever the number of ranks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
_SPARSE_SHARE = 2
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

    def _row_bytes(self) -> int:
        """Return the bytes of an average row."""
        if self.n_stored:
            return -(-self.n_stored // self.n_samples) * (self.itemsize + _INDEX_BYTES)
        return self.n_features * self.itemsize

    def _small_tile(self) -> int:
        """Return the rows of a tile when `n_samples` is small."""
        rows = -(-self.n_samples // (_WANTED_TILES * _ROWS_UNIT)) * _ROWS_UNIT
        return max(_FEWEST_TILE_ROWS, rows)

    def tiles_of(self, rank: int, size: int) -> tuple[int, int]:
        """Return the first tile of `rank`, and that of the next rank; sizes differ by one."""
        return self.n_tiles * rank // size, self.n_tiles * (rank + 1) // size

    def tile_bounds(self, tile: int) -> tuple[int, int]:
        """Return the rows [start, stop) of a tile."""
        start = tile * self.tile_rows
        return start, min(start + self.tile_rows, self.n_samples)

    def rows_of(self, rank: int, size: int) -> tuple[int, int]:
        """Return the rows [start, stop) that `rank` owns."""
        first, last = self.tiles_of(rank, size)
        return (
            min(first * self.tile_rows, self.n_samples),
            min(last * self.tile_rows, self.n_samples),
        )
