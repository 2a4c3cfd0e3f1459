"""The rows that metrics are asked about, and what several metrics need of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.evaluation.integers import Integers, as_integers
from mpi_gd.losses import Loss

__all__ = ["ScoredRows", "Undefined"]

Floats = NDArray[np.float64]
T = TypeVar("T")


class Undefined(Exception):
    """A metric has no value on these rows; the message says why. Raised on all ranks alike."""


@dataclass(frozen=True)
class ScoredRows:
    """The local rows that count, whole tiles one after another, and the model's answer."""

    y: Floats
    """(n_local,): a regression's target; a classifier's class, 0, ..., K - 1."""
    z: Floats
    """(n_local,) or (n_local, K): the linear predictor."""
    weight: Floats
    """(n_local,): how often a row counts, more than 0."""
    tile_sizes: tuple[int, ...]
    """The number of rows of each local tile; the sum is n_local."""
    n_tiles: int
    """The number of tiles of all ranks."""
    exposure: Floats | None = None
    """(n_local,): what a count or a total was observed over; None: y is per unit already."""
    labels: tuple[str, ...] = ()
    """A classifier's K classes, as people know them."""
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What metrics share: see `once`."""

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returns, and make it but once; collective where `make` is."""
        if name not in self.kept:
            self.kept[name] = make()
        made: T = self.kept[name]
        return made

    def tiles(self) -> Iterator[slice]:
        """Yield the local rows of each local tile."""
        start = 0
        for size in self.tile_sizes:
            yield slice(start, start + size)
            start += size

    def by_tile(self, values: Callable[[slice], Floats]) -> Floats:
        """Return `values(tile)`, one a row, of all local rows, (n_local,).

        A tile's values are always computed together, so that no bit depends on its neighbours.
        """
        found = np.empty(len(self.y))
        for tile in self.tiles():
            found[tile] = values(tile)
        return found

    def sum(self, world: World, width: int, tile_terms: Callable[[slice], Any]) -> Floats:
        """Return the sum over all ranks' tiles of `width` terms a tile, (width,); collective."""
        partials = np.empty((len(self.tile_sizes), width))
        for row, tile in zip(partials, self.tiles(), strict=True):
            row[:] = tile_terms(tile)
        return TileSum(world, self.n_tiles, width).sum(partials)

    def mean(self, world: World, values: Callable[[slice], Floats]) -> float:
        """Return the weighted mean of `values(tile)`, one a row, over all rows; collective."""

        def terms(tile: slice) -> list[float]:
            weight = self.weight[tile]
            # NumPy's pairwise sum, not a BLAS dot: its order depends on the length alone.
            return [float((weight * values(tile)).sum()), float(weight.sum())]

        total, weight_total = self.sum(world, 2, terms)
        return float(total / weight_total)

    def counts(self, world: World) -> Integers:
        """Return the weights as integers; collective."""
        return self.once("counts", lambda: as_integers(world, self.weight))

    def prediction(self, world: World, loss: Loss) -> Floats:
        """Return the predicted mean of y (n_local,), a probability for two classes; collective.

        Raises Undefined where a row's z has no mean.
        """

        def predict() -> Floats:
            found = self.by_tile(lambda tile: loss.inverse_link(self.z[tile]))
            bad = np.array([np.count_nonzero(np.isnan(found)), len(found)], dtype=np.int64)
            world.allreduce_sum(bad)
            if bad[0]:
                raise Undefined(f"{bad[0]} of {bad[1]} rows have a predictor without a mean")
            return found

        return self.once("prediction", predict)
