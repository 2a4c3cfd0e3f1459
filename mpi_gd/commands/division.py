"""Which rank owns which tiles of a data set, and how even that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.data import DataSpec, Source
from mpi_gd.data.grid import RowGrid

__all__ = ["Division", "divide_stored", "divide_tiles"]

# A sparse number's column beside it, and what a row has besides its numbers: where they begin, the
# target, z.
_INDEX_BYTES = 4
_ROW_BYTES = 24
# The largest share is told where it is so many times the usual one, and not of small data.
_UNEVEN = 1.25
_FEW_BYTES = 16 << 20


@dataclass(frozen=True)
class Division:
    """The runs of tiles that the ranks own."""

    by: str
    """What they have alike: "rows", "bytes", "nonzeros"."""
    bounds: tuple[int, ...]
    """(size + 1,): each rank's first tile, and the number of tiles."""
    rows: tuple[int, ...]
    """(size,): each rank's rows."""
    stored: tuple[int, ...]
    """(size,): the numbers that they store."""
    itemsize: int
    is_sparse: bool

    @property
    def bytes(self) -> tuple[int, ...]:
        """Return the bytes of each rank's rows of X, (size,)."""
        each = self.itemsize + (_INDEX_BYTES if self.is_sparse else 0)
        more = 8 if self.is_sparse else 0
        pairs = zip(self.stored, self.rows, strict=True)
        return tuple(stored * each + more * rows for stored, rows in pairs)

    def as_json(self) -> dict[str, object]:
        """Return least, median and most of what the ranks have."""
        found: dict[str, object] = {"by": self.by}
        what = {"rows": self.rows, "bytes": self.bytes}
        if self.is_sparse:
            what["nonzeros"] = self.stored
        for name, values in what.items():
            found[name] = {
                "min": min(values),
                "median": int(np.median(values)),
                "max": max(values),
            }
        return found

    def remark(self) -> str:
        """Say which rank has much more than the others; empty if none has."""
        sizes = self.bytes
        usual, most = float(np.median(sizes)), max(sizes)
        if most < _FEW_BYTES:
            return ""
        n_idle = sum(first == last for first, last in pairwise(self.bounds))
        if n_idle:
            have = "1 rank has" if n_idle == 1 else f"{n_idle} ranks have"
            return (
                f"{have} no rows: the data are divided among {self.bounds[-1]} runs of rows at "
                "most; use fewer ranks."
            )
        if most <= _UNEVEN * usual:
            return ""
        rank = sizes.index(most)
        return (
            f"Uneven rows: rank {rank} has {self.rows[rank]:,} of them and {most / 2**20:.1f} MiB, "
            f'the median rank {usual / 2**20:.1f} MiB (data.balance = "{self.by}").'
        )


def divide_tiles(
    world: World,
    source: Source,
    grid: RowGrid,
    spec: DataSpec,
    shares: Sequence[int] | None = None,
) -> Division:
    """Divide the tiles as `spec` says, `shares` being what each rank is to have; collective."""
    stored = _count(world, source, grid) if source.n_stored else None
    return divide_stored(grid, world.size, stored, spec.balance, shares)


def divide_stored(
    grid: RowGrid,
    size: int,
    stored: NDArray[np.int64] | None,
    balance: str = "auto",
    shares: Sequence[int] | None = None,
) -> Division:
    """Divide tiles that store so many numbers each, (n_tiles,), or all of them: None."""
    is_sparse = stored is not None
    by = ("bytes" if is_sparse else "rows") if balance == "auto" else balance
    edges = _edges(grid)
    weights = None
    if stored is None:
        stored = np.diff(edges) * grid.n_features
    elif by == "bytes":
        weights = stored * (grid.itemsize + _INDEX_BYTES) + np.diff(edges) * _ROW_BYTES
    elif by == "nonzeros":
        weights = stored
    bounds = grid.divide(size, weights, shares)
    sums = np.append(0, np.cumsum(stored))
    return Division(
        by=by,
        bounds=tuple(bounds),
        rows=tuple(np.diff(edges[bounds]).tolist()),
        stored=tuple(np.diff(sums[bounds]).tolist()),
        itemsize=grid.itemsize,
        is_sparse=is_sparse,
    )


def _edges(grid: RowGrid) -> NDArray[np.int64]:
    """Return each tile's first row, and the number of rows, (n_tiles + 1,)."""
    return np.minimum(np.arange(grid.n_tiles + 1) * grid.tile_rows, grid.n_samples)


def _count(world: World, source: Source, grid: RowGrid) -> NDArray[np.int64]:
    """Return the numbers that each tile stores, (n_tiles,); a rank counts some; collective."""
    edges = _edges(grid)
    stored = np.zeros(grid.n_tiles, dtype=np.int64)
    first, last = grid.tiles_of(world.rank, world.size)
    with world.phase("counting the numbers of the rows"):
        if first < last:
            stored[first:last] = source.count_stored(edges[first : last + 1])
    world.allreduce_sum(stored)
    return stored
