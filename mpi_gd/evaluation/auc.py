"""The area under the ROC curve, exact with ties, over rows that no rank holds together.

AUC = P(z of a positive row > z of a negative row) + P(equal) / 2. Doubled, to have no halves, and
times the number of pairs it is an integer,

    U2 = sum over distinct scores s of positives(s) * (2 * negatives(below s) + negatives(s)),

which is summed exactly and divided once, so every number of ranks gives the same bits. Weights
count as so many rows, in the unit of integers.py.

Source: Mann and Whitney (1947), the U statistic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.classes import class_ranking, count_classes, rank_one_class
from mpi_gd.evaluation.integers import exact_dot, sum_integer
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.ranking import Ranking
from mpi_gd.evaluation.rows import ScoredRows, Undefined
from mpi_gd.losses import Loss

__all__ = ["Auc", "OneVsRestAuc", "doubled_wins"]

Floats = NDArray[np.float64]

# Each class takes a sort of all rows.
_MOST_CLASSES = 20


@dataclass(frozen=True)
class Auc(Metric):
    """The area under the ROC curve; a weight of k counts as k equal rows."""

    title = "AUC"
    tasks = ("two classes",)

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the AUC in [0, 1]. Raises Undefined for one class only."""
        ranking = class_ranking(world, rows)
        positives, negatives = ranking.totals
        # Python divides integers of any size with one rounding.
        return doubled_wins(world, ranking) / (2 * positives * negatives)


def doubled_wins(world: World, ranking: Ranking) -> int:
    """Return U2, of the first column's mass over the second's; collective."""
    positives, negatives = ranking.masses
    return sum_integer(world, exact_dot(positives, 2 * ranking.below(1) + negatives))


@dataclass(frozen=True)
class OneVsRestAuc(Metric):
    """The mean over classes of the AUC of the class against all others.

    Rows are ordered by the class's probability (scikit-learn's "ovr", "macro"). A class that no row
    has is left out. It takes a sort of all rows for each class and the memory of z: up to
    20 classes.
    """

    title = "one-vs-rest AUC"
    tasks = ("classes",)
    needs_probabilities = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean in [0, 1]. Raises Undefined for one class only, and for too many."""
        if len(rows.labels) > _MOST_CLASSES:
            raise Undefined(f"{len(rows.labels)} classes: it is known for at most {_MOST_CLASSES}")
        present = count_classes(world, rows).present
        if len(present) < 2:
            raise Undefined(f"all rows of any weight are of the class {rows.labels[present[0]]!r}")
        probabilities = np.empty(rows.z.shape)
        for tile in rows.tiles():
            probabilities[tile] = loss.inverse_link(rows.z[tile])
        return math.fsum(_one_vs_rest(world, rows, probabilities[:, k], k) for k in present) / len(
            present
        )


def _one_vs_rest(world: World, rows: ScoredRows, probability: Floats, k: int) -> float:
    """Return the AUC of class k against the rest; collective."""
    ranking = rank_one_class(world, rows, probability, k)
    positives, negatives = ranking.totals
    return doubled_wins(world, ranking) / (2 * positives * negatives)
