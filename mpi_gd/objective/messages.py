"""The sums that questions are answered by: one for each kind of question, made when first asked."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import ColumnSum, Reduction, TileSum, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.objective.bycolumn import ColumnPlan
from mpi_gd.objective.kernel import N_SUMS, Kernel
from mpi_gd.objective.sample import BatchPlan
from mpi_gd.solvers import Question

__all__ = ["Messages"]

# Sums are told apart by the batch's size, 0 for tiles, and this much more where the Hessian, or its
# factors, are asked for too, its product alone, the change from another point, or what so many
# workers do. Those of a sample's pieces of tiles are smaller, within what exponents spare.
_HESSIAN, _FACTORS, _PRODUCT, _CHANGE, _WORK = "h", "k", "v", "d", "w"
_KEY = re.compile(r"(\d+)([a-z]?)(\d*)")
# A change is small where the points are near each other, as at first, and grows from there.
_CHANGE_SPARE_BITS = 24


class Messages:
    """Plans the messages; their exponents are part of the training's state."""

    def __init__(
        self,
        world: World,
        grid: RowGrid,
        kernel: Kernel,
        reduction: Reduction,
        n_extra: int,
        columns: ColumnPlan | None,
        slots_of: Callable[[int], int],
    ) -> None:
        """Plan the sum over all rows. `n_extra` numbers ride along, and what workers come to.

        `columns` says which of them travel where sums are made column by column; `slots_of` how
        many numbers so many workers take.
        """
        self._world, self._grid, self._kernel, self._reduction = world, grid, kernel, reduction
        self._n_extra, self._columns, self._slots_of = n_extra, columns, slots_of
        self._sums: dict[str, TileSum | ColumnSum] = {"0": self._make("", grid.n_tiles)}

    @property
    def rounding(self) -> float:
        """Return the error of a sum, as a share of the ranks' sums without their signs."""
        return self._sums["0"].rounding

    def of(self, question: Question) -> TileSum | ColumnSum:
        """Return the sum that answers a question."""
        size = question.batch.size if question.batch else 0
        n_workers = question.work.n_workers if question.work else ""
        return self._named(f"{size}{_kind(question)}{n_workers}")

    def width(self, question: Question) -> int:
        """Return how many sums answer a question."""
        return self._width(_kind(question))

    def exponents(self) -> dict[str, NDArray[np.int64]]:
        """Return the exact sums' exponents."""
        return {key: each.exponents for key, each in self._sums.items()}

    def set_exponents(self, exponents: dict[str, NDArray[np.int64]]) -> None:
        """Take the exponents from a checkpoint."""
        for key, values in exponents.items():
            self._named(key).set_exponents(values)

    def hessian_sum(self) -> TileSum:
        """Plan a sum over all tiles of gradient and Hessian, which is no part of the state."""
        n_tiles, width = self._grid.n_tiles, self._width(_HESSIAN)
        return TileSum(self._world, n_tiles, width, self._reduction, self._n_extra)

    def _make(self, kind: str, n_terms: int, n_slots: int = 0) -> TileSum | ColumnSum:
        """Plan a message for sums of `n_terms` rows of partial sums, and for workers' slots."""
        more = {"spare_bits": _CHANGE_SPARE_BITS} if kind == _CHANGE else {}
        mode, n_extra = self._reduction, self._n_extra + n_slots
        if self._columns and kind not in (_HESSIAN, _FACTORS):
            n_rest = self._kernel.n_outputs + N_SUMS
            return self._columns.sum(self._world, n_terms, n_rest, mode, n_extra, **more)
        return TileSum(self._world, n_terms, self._width(kind), mode, n_extra, **more)

    def _named(self, key: str) -> TileSum | ColumnSum:
        """Return a sum by its name, made if it is not there."""
        if key in self._sums:
            return self._sums[key]
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise ValueError(f"got the sum {key!r}, expected one of this objective's")
        size, n_workers = int(parts[1]), int(parts[3] or 0)
        n_terms = BatchPlan(self._grid, size).n_lanes if size else self._grid.n_tiles
        n_slots = self._slots_of(n_workers) if n_workers else 0
        self._sums[key] = self._make(parts[2], n_terms, n_slots)
        return self._sums[key]

    def _width(self, kind: str) -> int:
        """Return how many sums answer a question of a kind."""
        kernel = self._kernel
        more = {_HESSIAN: kernel.hessian_width, _FACTORS: kernel.factors_width}
        return kernel.width + more.get(kind, 0)


def _kind(question: Question) -> str:
    """Return what tells the sums of such a question from those of others about the same rows."""
    if question.work:
        return _WORK
    if question.control is not None:
        return _CHANGE
    if question.along is not None:
        return _PRODUCT
    if question.hessian:
        return _FACTORS if question.kronecker else _HESSIAN
    return ""
