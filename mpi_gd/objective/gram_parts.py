"""Second moments of parts of the rows, all from one read: what cross-validated least squares needs.

In each block the rows are sorted by part, while they are in the cache, and each part's are
multiplied by themselves: together that is the work of one Gram matrix. The moments of a training
set are the sum of its parts'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.objective.gram import Gram, target_pilot, unpacked, weights_and_targets
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["find_gram_parts", "joined"]

# Sums of more numbers than that, for all parts, would fill too much of each rank's memory.
MOST_NUMBERS = 1 << 25


def find_gram_parts(
    world: World,
    rows: Rows,
    parts: NDArray[np.int64],
    n_parts: int,
    center: Floats,
    reduction: Reduction,
) -> list[Gram]:
    """Return the sums over the rows of each part, about one center (d,); collective.

    `parts` (n_rows,) says which part a local row is in; those of -1 are in none.
    """
    tiles = _PartTiles(rows, parts, n_parts, center, target_pilot(world, rows))
    total = TileSum(world, rows.grid.n_tiles, tiles.width, reduction).sum_stream(
        tiles.all, tiles.pilot
    )
    return [unpacked(sums, center, tiles.target_center) for sums in total.reshape(n_parts, -1)]


def joined(grams: Sequence[Gram]) -> Gram:
    """Return the sums over all rows of several parts, in their order."""
    return reduce(_added, grams)


def _added(one: Gram, other: Gram) -> Gram:
    """Return the sums over the rows of both."""
    shared = ("center", "target_center")
    sums = {
        item.name: getattr(one, item.name) + getattr(other, item.name)
        for item in dataclasses.fields(Gram)
        if item.name not in shared
    }
    return dataclasses.replace(one, **sums)


class _PartTiles:
    """The tiles' terms, part by part: each as those of the whole (see gram.py)."""

    def __init__(
        self,
        rows: Rows,
        parts: NDArray[np.int64],
        n_parts: int,
        center: Floats,
        target_center: float,
    ) -> None:
        d = len(center)
        self._rows, self._parts, self._n_parts = rows, parts, n_parts
        self.target_center = target_center
        self._n_pairs = d * (d + 1) // 2
        self.width = n_parts * (self._n_pairs + 2 * d + 4)
        self._terms = np.empty((n_parts, self._n_pairs + 2 * d + 4))
        upper = np.triu_indices(d)
        self._upper = upper[0] * (d + 2) + upper[1]
        self._sums = np.empty((n_parts, d + 2, d + 2))
        self._part = np.empty((d + 2, d + 2))
        self._step = max(16, rows.grid.block_rows)
        self._reader = rows.x.reader(self._step, center if center.any() else None)
        self._v, self._sorted = np.empty((2, self._step, d + 2))

    def all(self) -> Iterator[Floats]:
        """Yield each local tile's terms."""
        pulse.doing("computing the Gram matrices of the folds")
        for start, stop in self._rows.tiles():
            yield self._tile(start, stop)
        pulse.waiting()

    def pilot(self) -> Floats:
        """Return what the terms of the first tile of all are below, zeros where it is not.

        A part's rows there may be few, or none: those of the whole tile are taken for its own.
        """
        found = np.zeros_like(self._terms)
        first = next(self._rows.tiles(), None)
        if self._rows.first_tile == 0 and first is not None:
            terms = self._tile(*first).reshape(self._n_parts, -1)
            found[:, -2:] = terms[:, -2:].sum(axis=0)
            # By Cauchy and Schwarz.
            whole = self._sums.sum(axis=0)
            lengths = np.sqrt(np.diag(whole))
            d = len(lengths) - 2
            most = np.outer(lengths, lengths)
            found[:, : self._n_pairs] = most.reshape(-1)[self._upper]
            found[:, self._n_pairs : -4] = most[d:, :d].reshape(-1)
            found[:, -4:-2] = most[d:, d + 1]
        pulse.waiting()
        return found.reshape(-1)

    def _tile(self, start: int, stop: int) -> Floats:
        """Return the terms of the local rows [start, stop)."""
        terms, d = self._terms, self._v.shape[1] - 2
        self._sums[:] = terms[:] = 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            for begin in range(start, stop, self._step):
                self._add(begin, min(begin + self._step, stop), d)
        flat = self._sums.reshape(self._n_parts, -1)
        terms[:, : self._n_pairs] = flat[:, self._upper]
        terms[:, self._n_pairs : -4] = self._sums[:, d:, :d].reshape(self._n_parts, -1)
        terms[:, -4:-2] = self._sums[:, d:, d + 1]
        return terms.reshape(-1)

    def _add(self, begin: int, end: int, d: int) -> None:
        """Add a block's products to those of its rows' parts."""
        v = self._v[: end - begin]
        self._reader.put(begin, end, v[:, :d])
        weight, t = weights_and_targets(self._rows, begin, end, self.target_center)
        v[:, d], v[:, d + 1] = 1.0, t
        part = self._parts[begin:end]
        numbers = part[part >= 0]
        self._terms[:, -2] += np.bincount(numbers, weight[part >= 0], self._n_parts)
        used = (part >= 0) & (weight != 0)
        self._terms[:, -1] += np.bincount(part[used], minlength=self._n_parts)
        if self._rows.weight is not None and not (weight == 1.0).all():
            v *= np.sqrt(weight)[:, None]
        order = np.argsort(part, kind="stable")
        by_part = np.take(v, order, axis=0, out=self._sorted[: end - begin], mode="clip")
        bounds = np.searchsorted(part[order], np.arange(self._n_parts + 1))
        for number, total in enumerate(self._sums):
            own = by_part[bounds[number] : bounds[number + 1]]
            if len(own):
                np.dot(own.T, own, out=self._part)
                total += self._part
