"""What a classifier predicts, counted by class: whole sums, the same for any number of ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.integers import Counts, Integers
from mpi_gd.evaluation.ranking import Ranking, rank_scores
from mpi_gd.evaluation.rows import ScoredRows, Undefined

__all__ = [
    "ClassCounts",
    "class_ranking",
    "count_classes",
    "place_of_class",
    "predicted_class",
    "rank_one_class",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassCounts:
    """How much weight rows of each class have, all ranks' rows together, in the weights' unit."""

    actual: tuple[int, ...]
    """Of the rows that are of the class."""
    predicted: tuple[int, ...]
    """Of the rows that are predicted to be."""
    right: tuple[int, ...]
    """Of the rows that are both."""
    weights: Integers

    @property
    def total(self) -> int:
        """Return the weight of all rows."""
        return sum(self.actual)

    @property
    def present(self) -> list[int]:
        """Return the classes that rows are of."""
        return [k for k, count in enumerate(self.actual) if count]

    def recall(self, k: int) -> float | None:
        """Return the share of the class's rows that are predicted right; None without rows."""
        return self.right[k] / self.actual[k] if self.actual[k] else None

    def precision(self, k: int) -> float | None:
        """Return the share of right ones among rows predicted to be of the class, if any."""
        return self.right[k] / self.predicted[k] if self.predicted[k] else None

    def f1(self, k: int) -> float | None:
        """Return the harmonic mean of both, 2 right / (actual + predicted); None without rows."""
        rows = self.actual[k] + self.predicted[k]
        return 2 * self.right[k] / rows if rows else None


def predicted_class(z: Floats) -> NDArray[np.intp]:
    """Return the second of two classes where z (n,) > 0; the first largest of z (n, K)."""
    return np.argmax(z, axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)


def place_of_class(z: Floats, y: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many classes are predicted before y (n,): larger in z (n, K), or equal and first.

    0 is where the predicted class is y.
    """
    own = np.take_along_axis(z, y[:, None], axis=1)
    is_tied_before = (z == own) & (np.arange(z.shape[1]) < y[:, None])
    place: NDArray[np.intp] = np.count_nonzero((z > own) | is_tied_before, axis=1)
    return place


def count_classes(world: World, rows: ScoredRows) -> ClassCounts:
    """Return the counts of all ranks' rows; collective."""

    def count() -> ClassCounts:
        weights = rows.counts(world)
        y, predicted = rows.y.astype(np.intp), predicted_class(rows.z)
        right = y == predicted
        sums = np.zeros((3, len(rows.labels)), dtype=np.int64)
        np.add.at(sums[0], y, weights.counts)
        np.add.at(sums[1], predicted, weights.counts)
        np.add.at(sums[2], y[right], weights.counts[right])
        world.allreduce_sum(sums)
        actual, by_prediction, hits = (tuple(row) for row in sums.tolist())
        return ClassCounts(actual, by_prediction, hits, weights)

    return rows.once("class counts", count)


def class_ranking(world: World, rows: ScoredRows) -> Ranking:
    """Rank two classes' rows by z; masses: the weight of the second class, of the first.

    Collective. Raises Undefined unless both classes have rows.
    """
    ranking = rows.once("class ranking", lambda: rank_one_class(world, rows, rows.z, 1))
    for k, total in enumerate(reversed(ranking.totals)):
        if not total:
            raise Undefined(f"no row of any weight is of the class {rows.labels[k]!r}")
    return ranking


def rank_one_class(world: World, rows: ScoredRows, scores: Floats, k: int) -> Ranking:
    """Rank rows by scores; masses: the weight of class k, of all other classes; collective."""
    counts = rows.counts(world).counts
    is_of_class: NDArray[Any] = rows.y == k
    masses: list[Counts] = [counts * is_of_class, counts * ~is_of_class]
    return rank_scores(world, scores, masses)
