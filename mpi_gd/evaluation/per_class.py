"""What becomes of the rows of each class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.classes import count_classes, predicted_class
from mpi_gd.evaluation.metric import Cell, Metric, Table
from mpi_gd.evaluation.rows import ScoredRows, Undefined
from mpi_gd.losses import Loss

__all__ = ["ConfusionMatrix", "MacroF1", "PerClass", "WeightedF1"]

# A matrix has the square of so many cells.
_MOST_CLASSES = 100


@dataclass(frozen=True)
class PerClass(Metric):
    """Of each class: precision, recall, F1 and support (the weight of its rows).

    With R the weight of rows rightly predicted to be of the class, A of the rows that are, P of the
    rows predicted to be: precision R / P, recall R / A, F1 2 R / (A + P); none where that is 0 / 0.
    """

    title = "classes"
    tasks = ("two classes", "classes")

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Table:
        """Return a row a class."""
        counts = count_classes(world, rows)
        return [
            {
                "class": label,
                "precision": counts.precision(k),
                "recall": counts.recall(k),
                "f1": counts.f1(k),
                "support": counts.weights.value(counts.actual[k]),
            }
            for k, label in enumerate(rows.labels)
        ]


@dataclass(frozen=True)
class MacroF1(Metric):
    """The mean of the classes' F1; a class that no row has or is predicted for is left out."""

    title = "macro F1"
    tasks = ("classes",)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean in [0, 1]."""
        counts = count_classes(world, rows)
        of_classes = [counts.f1(k) for k in range(len(rows.labels))]
        known = [f1 for f1 in of_classes if f1 is not None]
        return math.fsum(known) / len(known)


@dataclass(frozen=True)
class WeightedF1(Metric):
    """The mean of the classes' F1, each with its support as weight."""

    title = "weighted F1"
    tasks = ("classes",)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean in [0, 1]."""
        counts = count_classes(world, rows)
        terms = [(counts.f1(k) or 0.0) * (counts.actual[k] / counts.total) for k in counts.present]
        return math.fsum(terms)


@dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """The weight of rows of each class (a row) that are predicted to be of each (a column)."""

    title = "confusion matrix (a row: the class, a column: what is predicted)"
    tasks = ("two classes", "classes")

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Table:
        """Return a row a class. Raises Undefined for more than 100 classes: 10,000 cells."""
        n = len(rows.labels)
        if n > _MOST_CLASSES:
            raise Undefined(f"{n} classes: it is kept for at most {_MOST_CLASSES}")
        weights = rows.counts(world)
        cells = np.zeros(n * n, dtype=np.int64)
        places = rows.y.astype(np.intp) * n + predicted_class(rows.z)
        np.add.at(cells, places, weights.counts)
        world.allreduce_sum(cells)
        return [
            _row(rows.labels, label, [weights.value(count) for count in counts])
            for label, counts in zip(rows.labels, cells.reshape(n, n).tolist(), strict=True)
        ]


def _row(labels: tuple[str, ...], label: str, weights: list[int | float]) -> dict[str, Cell]:
    """Return a row of the matrix; a column's name says more than its label, that may be any."""
    found: dict[str, Cell] = {"class": label}
    for predicted, weight in zip(labels, weights, strict=True):
        found[f"as {predicted}"] = weight
    return found
