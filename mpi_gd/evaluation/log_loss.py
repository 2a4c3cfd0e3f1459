"""The mean loss of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric, ScoredRows
from mpi_gd.losses import Loss

__all__ = ["LogLoss"]


@dataclass(frozen=True)
class LogLoss(Metric):
    """sum_i weight_i loss(y_i, z_i) / sum_i weight_i, in nats for the logistic loss."""

    for_classifiers = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean of the loss's own pointwise form, which is stable at large |z|."""

        def terms(tile: slice) -> list[float]:
            weight = rows.weight[tile]
            z = rows.z[tile].copy()  # the kernel overwrites it with the derivative
            target = loss.encode(rows.y[tile])
            return [float(loss.sum_and_derivative(z, target, weight)), float(weight.sum())]

        total, weight_total = rows.sum(world, 2, terms)
        return float(total / weight_total)
