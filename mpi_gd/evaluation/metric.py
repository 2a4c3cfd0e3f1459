"""What a metric is, and the rows it is asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.losses import Loss

__all__ = ["Metric", "ScoredRows", "Undefined"]

Floats = NDArray[np.float64]


class Undefined(Exception):
    """A metric has no value on these rows; the message says why. Raised on all ranks alike."""


@dataclass(frozen=True)
class ScoredRows:
    """The local rows that count, whole tiles one after another, and the model's answer."""

    y: Floats
    """(n_local,): a regression's target; 1 for a classifier's second class, 0 for its first."""
    z: Floats
    """(n_local,): the linear predictor."""
    weight: Floats
    """(n_local,): how often a row counts, more than 0."""
    tile_sizes: tuple[int, ...]
    """The number of rows of each local tile; the sum is n_local."""
    n_tiles: int
    """The number of tiles of all ranks."""

    def tiles(self) -> Iterator[slice]:
        """Yield the local rows of each local tile."""
        start = 0
        for size in self.tile_sizes:
            yield slice(start, start + size)
            start += size

    def sum(self, world: World, width: int, tile_terms: Callable[[slice], list[float]]) -> Floats:
        """Return the sum over all ranks' tiles of `width` terms a tile, (width,); collective."""
        partials = np.array([tile_terms(tile) for tile in self.tiles()], dtype=np.float64)
        return TileSum(world, self.n_tiles, width).sum(partials.reshape(-1, width))

    def mean(self, world: World, values: Callable[[slice], Floats]) -> float:
        """Return the weighted mean of `values(tile)`, one a row, over all rows; collective."""

        def terms(tile: slice) -> list[float]:
            weight = self.weight[tile]
            # NumPy's pairwise sum, not a BLAS dot: its order depends on the length alone.
            return [float((weight * values(tile)).sum()), float(weight.sum())]

        total, weight_total = self.sum(world, 2, terms)
        return float(total / weight_total)


class Metric(ABC):
    """A number that says how good the predictions are."""

    for_classifiers: ClassVar[bool]
    """Whether it judges a classifier's predictions or a regression's."""

    @abstractmethod
    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the metric over all ranks' rows; collective.

        The sum of all weights is positive and every z is finite. Raises Undefined, on all ranks.
        """
