"""The share of rows whose class is predicted right."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mpi_gd.comm import World
from mpi_gd.evaluation.classes import count_classes, place_of_class
from mpi_gd.evaluation.integers import sum_integer
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Accuracy", "BalancedAccuracy", "TopAccuracy"]


@dataclass(frozen=True)
class Accuracy(Metric):
    """sum_i weight_i [predicted_i = y_i] / sum_i weight_i.

    z > 0 predicts the second of two classes; the largest z that of several, the first of equal.
    """

    title = "accuracy"
    tasks = ("two classes", "classes")

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the accuracy in [0, 1]."""
        counts = count_classes(world, rows)
        return sum(counts.right) / counts.total


@dataclass(frozen=True)
class BalancedAccuracy(Metric):
    """The mean over classes of the accuracy among the class's rows (its recall).

    A class that no row has is left out.
    """

    title = "balanced accuracy"
    tasks = ("two classes", "classes")

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return loss.task == "classes"

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the balanced accuracy in [0, 1]."""
        counts = count_classes(world, rows)
        recalls = [counts.right[k] / counts.actual[k] for k in counts.present]
        return math.fsum(recalls) / len(recalls)


@dataclass(frozen=True)
class TopAccuracy(Metric):
    """The weighted share of rows whose class is among the k with the largest z.

    Equal z come in the order of the classes, as for the prediction.
    """

    k: int
    """How many classes are looked at."""
    tasks = ("classes",)

    @property
    def title(self) -> str:
        """Return its name for people."""
        return f"top-{self.k} accuracy"

    def fits(self, loss: Loss, n_classes: int) -> bool:
        """Whether there are more than k classes: of fewer, all are among the k."""
        return super().fits(loss, n_classes) and n_classes > self.k

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the share in [0, 1]."""
        places = rows.once(
            "places",
            lambda: rows.by_tile(
                lambda tile: place_of_class(rows.z[tile], rows.y[tile].astype(int)).astype(float)
            ),
        )
        counts = rows.counts(world).counts
        hits = sum_integer(world, int(counts[places < self.k].sum()))
        return hits / count_classes(world, rows).total
