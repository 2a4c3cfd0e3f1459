"""Rows that the ranks have in memory, as a data set: each rank gives its own, in rank order.

The row grid is of all rows together, so a rank may own rows that its neighbour was given: they are
exchanged, and the fit does not depend on who was given what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.division import Division, divide_stored
from mpi_gd.commands.load import Loaded, require_same
from mpi_gd.data.arrays import aligned_empty, narrow
from mpi_gd.data.grid import RowGrid
from mpi_gd.data.memory import MemorySource
from mpi_gd.data.names import check_names
from mpi_gd.data.source import Block
from mpi_gd.errors import DataError
from mpi_gd.matrix import Csr, Dense, Matrix

__all__ = ["take_rows"]

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
# Where X begins decides how BLAS goes through it, and so the last bits.
_ALIGNMENT = 64


def take_rows(
    world: World,
    x: Any,
    y: NDArray[Any],
    extras: Mapping[str, NDArray[Any]],
    columns: Sequence[str] = (),
    *,
    n_workers: int = 0,
) -> Loaded:
    """Return this rank's rows of the data set; collective.

    `x` (n, d) is an array, or a sparse matrix of SciPy's; `y` (n,) numbers or text; `extras` (n,)
    each by role; n differs between ranks, and may be 0. What can be used as it is, is not copied.
    Raises DataError, on all ranks, for shapes that do not fit together.
    """
    with world.phase("looking at the rows"):
        x = _checked(x, y, extras, columns)
    kind = "an array" if isinstance(x, np.ndarray) else "sparse rows"
    names = f"columns {', '.join(columns)}" if columns else "no names"
    text = "text" if y.dtype.kind == "U" else "numbers"
    shared = f"X is {kind} of {x.shape[1]} columns of {x.dtype}, {names}, y is {text}"
    require_same(world, "the arrays", f"{shared}, and there is {', '.join(extras) or 'no more'}")
    counts = np.zeros(world.size, dtype=np.int64)
    counts[world.rank] = len(y)
    n_stored = np.array([0 if isinstance(x, np.ndarray) else x.nnz], dtype=np.int64)
    world.allreduce_sum(counts)
    world.allreduce_sum(n_stored)
    n_samples = int(counts.sum())
    if not n_samples:
        raise DataError("X has no rows, on no rank; give at least one")
    grid = RowGrid(n_samples, x.shape[1], x.dtype.itemsize, int(n_stored[0]), n_workers)
    begin = int(counts[: world.rank].sum())
    division = _divide(world, grid, x, begin)
    exchange = _Exchange(world, grid, division, begin, len(y))
    y = exchange.numbers(y)
    extras = {role: exchange.numbers(values) for role, values in extras.items()}
    first, last = division.bounds[world.rank : world.rank + 2]
    start, _ = grid.rows_between(first, last)
    matrix = _matrix(exchange, x)
    block = Block(matrix, y, extras)
    source = MemorySource(block, start, n_samples, columns=columns, n_stored=int(n_stored[0]))
    with world.phase("looking at the rows"):
        source.check_extras(block, start)
    return Loaded(
        source=source,
        grid=grid,
        first_tile=first,
        last_tile=last,
        start=start,
        x=matrix,
        y=y,
        extras=extras,
        columns=source.columns,
        fingerprint=source.fingerprint(),
        division=division,
    )


def _checked(
    x: Any, y: NDArray[Any], extras: Mapping[str, NDArray[Any]], columns: Sequence[str]
) -> Any:
    """Return X as an array of floats, or as sparse rows of float64; raises DataError."""
    is_sparse = hasattr(x, "tocsr")
    x = x if is_sparse else np.asarray(x)
    if x.ndim != 2 or not x.shape[1]:
        raise DataError(f"X: got the shape {x.shape}, expected (rows, features), features above 0")
    if x.dtype.kind not in "biuf":
        raise DataError(f"X: got {x.dtype}, expected numbers; encode text and categories first")
    for name, values in {"y": y, **extras}.items():
        if values.shape != (x.shape[0],):
            raise DataError(
                f"{name}: got the shape {values.shape}, expected ({x.shape[0]},): one for each row"
            )
    if columns:
        check_names(columns, "X", "name each column once")
        if len(columns) != x.shape[1]:
            raise DataError(f"X: got {len(columns)} names for {x.shape[1]} columns")
    if is_sparse:
        return x.tocsr().astype(np.float64)
    return x if x.dtype in _FLOATS else x.astype(np.float64)


def _divide(world: World, grid: RowGrid, x: Any, begin: int) -> Division:
    """Divide the tiles among the ranks, for the rows that this one has from `begin` on."""
    if isinstance(x, np.ndarray):
        return divide_stored(grid, world.size, None)
    tiles = (begin + np.arange(x.shape[0])) // grid.tile_rows
    stored = np.zeros(grid.n_tiles, dtype=np.int64)
    np.add.at(stored, tiles, np.diff(x.indptr))
    world.allreduce_sum(stored)
    return divide_stored(grid, world.size, stored)


class _Exchange:
    """Who sends which rows to whom: those given begin at `begin`, those owned are `division`'s."""

    def __init__(
        self, world: World, grid: RowGrid, division: Division, begin: int, n_rows: int
    ) -> None:
        self._world = world
        bounds = [grid.rows_between(*tiles) for tiles in pairwise(division.bounds)]
        self._cuts = [
            (min(max(start - begin, 0), n_rows), min(max(stop - begin, 0), n_rows))
            for start, stop in bounds
        ]
        start, stop = bounds[world.rank]
        is_here = begin == start and begin + n_rows == stop
        flag = np.array([0 if is_here else 1], dtype=np.int64)
        world.allreduce_max(flag)
        self.is_needed = bool(flag[0])

    def numbers(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the owned rows' values (n,), of numbers or text; collective."""
        if not self.is_needed:
            return values
        if values.dtype.kind == "U":
            return self._texts(values)
        return np.concatenate(self._world.alltoallv([values[i:j] for i, j in self._cuts]))

    def _texts(self, values: NDArray[np.str_]) -> NDArray[np.str_]:
        """Return texts, which travel as codes of characters, as many as the longest has."""
        width = np.array([max(1, values.dtype.itemsize // 4)], dtype=np.int64)
        self._world.allreduce_max(width)
        n = int(width[0])
        codes = np.ascontiguousarray(values.astype(f"U{n}")).view(np.uint32).reshape(-1, n)
        return np.ascontiguousarray(self.rows(codes)).view(f"U{n}").reshape(-1)

    def rows(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the owned rows (n, d); collective."""
        pieces = [np.ascontiguousarray(x[i:j]).reshape(-1) for i, j in self._cuts]
        return np.concatenate(self._world.alltoallv(pieces)).reshape(-1, x.shape[1])

    def sparse(self, x: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Return data, indices and indptr of the owned rows; collective."""
        indptr = x.indptr.astype(np.int64)
        cuts = [(int(indptr[i]), int(indptr[j])) for i, j in self._cuts]
        data = self._world.alltoallv([x.data[i:j] for i, j in cuts])
        indices = self._world.alltoallv([x.indices[i:j].astype(np.int64) for i, j in cuts])
        lengths = self.numbers(np.diff(indptr))
        bounds = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        return np.concatenate(data), np.concatenate(indices), bounds


def _matrix(exchange: _Exchange, x: Any) -> Matrix:
    """Return the owned rows as a matrix; collective."""
    if isinstance(x, np.ndarray):
        if exchange.is_needed:
            x = exchange.rows(x)
        if x.flags.c_contiguous and x.ctypes.data % _ALIGNMENT == 0:
            # Read only: a matrix that may be written is taken for the program's own.
            view = x.view()
            view.flags.writeable = False
            return Dense(view)
        aligned = aligned_empty(x.shape, x.dtype)
        narrow(x, aligned)
        return Dense(aligned)
    if exchange.is_needed:
        data, indices, indptr = exchange.sparse(x)
    else:
        data, indices, indptr = x.data, x.indices, x.indptr.astype(np.int64)
    if x.shape[1] < 1 << 31:
        indices = indices.astype(np.int32)
    # Csr puts rows in order and adds duplicates up, in place: not in the caller's arrays.
    return Csr(data.copy(), indices.copy(), indptr, x.shape[1])
