"""How well predictions put rows in the order of their targets: Gini's index of the ordering.

Rows come in the order of what is predicted for a unit of exposure, the lowest first. The Lorenz
(concentration) curve is the share of the target's total in the first rows, over the rows' share of
exposure; rows with equal predictions are one straight piece of it. With e_g and c_g the sums of
weight * exposure and of weight * y of group g, W and C those of all rows,

    Gini = 1 - 2 * area = 1 - sum_g e_g (2 (c_1 + ... + c_(g-1)) + c_g) / (W C),

and this divided by the Gini of the best order, that of y itself, is the normalised one: 1 for the
best order, 0 for none (all predictions equal), negative for a wrong one. Of two classes, with y 0
or 1, it is 2 AUC - 1. Sums are of integers, divided once.

Source: Frees, Meyers and Cummings, "Summarizing insurance scores using a Gini index", Journal of
the American Statistical Association 106 (2011), section 2; Lorenz (1905).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.amounts import amount_ranking, amounts, amounts_of_unit
from mpi_gd.evaluation.auc import doubled_wins
from mpi_gd.evaluation.classes import class_ranking
from mpi_gd.evaluation.integers import exact_dot, sum_integer
from mpi_gd.evaluation.metric import Metric, is_of_amounts
from mpi_gd.evaluation.ranking import Ranking, rank_scores
from mpi_gd.evaluation.rows import ScoredRows, Undefined
from mpi_gd.losses import Loss

__all__ = ["Gini"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gini(Metric):
    """The normalised Gini index of the ordering; 2 AUC - 1 for two classes."""

    title = "Gini"
    tasks = ("numbers", "two classes")

    def fits(self, loss: Loss, n_classes: int) -> bool:
        """Whether targets are classes or amounts, which have a sum to share."""
        return super().fits(loss, n_classes) and (loss.is_classifier or is_of_amounts(loss))

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return loss.task == "numbers"

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return it in [-1, 1]. Raises Undefined when there is nothing to order."""
        if loss.task == "two classes":
            ranking = class_ranking(world, rows)
            pairs = ranking.totals[0] * ranking.totals[1]
            return (doubled_wins(world, ranking) - pairs) / pairs
        reached = _excess(world, amount_ranking(world, loss, rows))
        best = _excess(world, rank_scores(world, amounts_of_unit(rows), amounts(world, rows)))
        if not best:
            raise Undefined("all targets are the same")
        return reached / best


def _excess(world: World, ranking: Ranking) -> int:
    """Return W C times the Gini, an integer of any size; collective."""
    total_exposure, total = ranking.totals
    if not total:
        raise Undefined("all targets are 0")
    exposure, mass = ranking.masses
    twice_area = sum_integer(world, exact_dot(exposure, 2 * ranking.below(1) + mass))
    return total_exposure * total - twice_area
