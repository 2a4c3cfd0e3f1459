"""The mean precision over the rows of the second class, from the highest score down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.classes import class_ranking
from mpi_gd.evaluation.integers import exact_dot, sum_integer
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["AveragePrecision"]

# A precision in [0, 1] is an integer multiple of 2^-62.
_PRECISION_BITS = 62


@dataclass(frozen=True)
class AveragePrecision(Metric):
    """sum over distinct scores s of (recall at s - recall above s) * precision at s.

    At s counts all rows with scores of at least s, so ties count together; nothing is interpolated
    (scikit-learn's definition). It is the weighted mean over the second class's rows of the
    precision at their score; these are rounded to float64 and summed without further error.
    """

    title = "average precision"
    tasks = ("two classes",)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return it in (0, 1], to 2^-52 of itself or 2^-62. Raises Undefined for one class only."""
        ranking = class_ranking(world, rows)
        # Of the rows at s or above.
        positives, negatives = (ranking.totals[column] - ranking.below(column) for column in (0, 1))
        precision = positives.astype(np.float64) / (positives + negatives).astype(np.float64)
        fixed = np.rint(np.ldexp(precision, _PRECISION_BITS)).astype(np.int64)
        total = sum_integer(world, exact_dot(ranking.masses[0], fixed))
        return total / (ranking.totals[0] << _PRECISION_BITS)
