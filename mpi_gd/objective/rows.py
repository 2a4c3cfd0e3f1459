"""The rows a rank owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.grid import RowGrid
from mpi_gd.matrix import Matrix

__all__ = ["Floats", "Rows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """A contiguous run of whole tiles; row numbers in here are local, from 0."""

    grid: RowGrid
    first_tile: int
    last_tile: int
    """One past the last tile that is owned."""
    x: Matrix
    """(n_rows, n_features); may be a map of a file."""
    target: Floats
    """(n_rows,): what the loss's `encode` made of y."""
    weight: Floats | NDArray[np.bool_] | None = None
    """(n_rows,): how much a row counts, or a mask of the rows that do; None for all alike."""
    offset: Floats | None = None
    """(n_rows,): what is added to the linear predictor; None for nothing."""

    @property
    def n_tiles(self) -> int:
        """Return the number of tiles owned."""
        return self.last_tile - self.first_tile

    def tiles(self) -> Iterator[tuple[int, int]]:
        """Yield the local rows [start, stop) of each tile."""
        offset = self.first_tile * self.grid.tile_rows
        for tile in range(self.first_tile, self.last_tile):
            start, stop = self.grid.tile_bounds(tile)
            yield start - offset, stop - offset

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the local rows of each block of the tile [start, stop)."""
        step = self.grid.block_rows
        for first in range(start, stop, step):
            yield first, min(first + step, stop)
