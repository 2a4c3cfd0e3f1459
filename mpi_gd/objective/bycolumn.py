"""Sums over many columns of sparse rows: which columns travel, in which pieces, and their terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import ColumnSum, Reduction, Terms, World
from mpi_gd.data.grid import BY_COLUMN
from mpi_gd.matrix import STEP, Chunk, Columns
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["ColumnPlan", "is_by_column", "sum_moments"]


def is_by_column(rows: Rows) -> bool:
    """Whether sums over the rows are made column by column."""
    return rows.x.has_columns and rows.x.shape[1] >= BY_COLUMN


class ColumnPlan:
    """The columns in which any rank has a number: they alone travel, the others' sums are 0."""

    def __init__(self, is_used: NDArray[np.bool_], n_outputs: int) -> None:
        """Cut them into pieces, of at least STEP columns but for the last one."""
        self._n_outputs = n_outputs
        self._n_features = len(is_used)
        self._used = None if is_used.all() else np.flatnonzero(is_used)
        # The place of a column among those that are used.
        self._place = np.cumsum(is_used, dtype=np.int32) - 1
        self._place[~is_used] = -1
        self._blocks, self._bounds = [0], [0]
        for first in range(0, self._n_features, STEP):
            last = min(first + STEP, self._n_features)
            n_before = int(np.count_nonzero(is_used[:last]))
            if n_before - self._bounds[-1] >= STEP or last == self._n_features:
                self._blocks.append(first // STEP + 1)
                self._bounds.append(n_before)

    def sum(
        self, world: World, n_tiles: int, n_rest: int, mode: Reduction, extra: int = 0
    ) -> ColumnSum:
        """Plan a message of the used columns, and `n_rest` numbers of each tile."""
        return ColumnSum(world, n_tiles, self._bounds, self._n_outputs, n_rest, mode, extra)

    def terms(
        self, columns: Columns, times: Callable[[Chunk], Floats]
    ) -> Callable[[int], Iterator[Terms]]:
        """Return what yields the terms of a piece, of which `times` makes those of a chunk."""

        def piece(number: int) -> Iterator[Terms]:
            for block in range(self._blocks[number], self._blocks[number + 1]):
                for chunk in columns.block(block):
                    yield self._numbered(chunk, times(chunk), self._bounds[number])

        return piece

    def _numbered(self, chunk: Chunk, terms: Floats, first: int) -> Terms:
        """Return the terms with the places of their columns in a piece."""
        terms = terms.reshape(chunk.n_terms, -1)
        if self._used is None:
            return Terms(chunk.places - first, chunk.starts, chunk.counts, terms)
        places, counts = self._place[chunk.places], chunk.counts
        is_used = places >= 0
        if is_used.all():
            return Terms(places - first, chunk.starts, counts, terms)
        # Numbers in rows that do not count, all of whose terms are 0.
        terms = terms[np.repeat(is_used, counts)]
        counts = counts[is_used]
        return Terms(places[is_used] - first, np.cumsum(counts) - counts, counts, terms)

    def expanded(self, sums: Floats) -> Floats:
        """Return the sums of all columns, and the rest, from those of the used ones."""
        if self._used is None:
            return sums
        n_sent, k = len(self._used) * self._n_outputs, self._n_outputs
        end = self._n_features * k
        whole = np.zeros(end + len(sums) - n_sent)
        whole[:end].reshape(-1, k)[self._used] = sums[:n_sent].reshape(-1, k)
        whole[end:] = sums[n_sent:]
        return whole


def sum_moments(world: World, rows: Rows, reduction: Reduction) -> Floats:
    """Return sums over all ranks' rows: of each column, of its squares, the weight and the number.

    (2 n_features + 2,); collective.
    """
    pieces = list(rows.tiles())
    weight = np.ones(len(rows.x)) if rows.weight is None else rows.weight.astype(np.float64)
    rest = np.empty((len(pieces), 2))
    for sums, (start, stop) in zip(rest, pieces, strict=True):
        mine = weight[start:stop]
        sums[:] = np.add.reduce(mine), np.count_nonzero(mine)

    def times(chunk: Chunk) -> Floats:
        return np.column_stack([chunk.times(weight), chunk.squares_times(weight)])

    d = rows.x.shape[1]
    plan = ColumnPlan(np.ones(d, dtype=bool), 2)
    mode: Reduction = "fast" if reduction == "float32" else reduction
    piece = plan.terms(rows.x.by_columns(pieces), times)
    total = plan.sum(world, rows.grid.n_tiles, 2, mode).sum(piece, rest)
    return np.concatenate([total[:-2].reshape(d, 2).T.reshape(-1), total[-2:]])
