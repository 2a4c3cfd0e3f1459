"""The mean of what the training has minimised, but for the penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Likelihood, Loss

__all__ = ["LogLoss", "MeanLoss", "loss_sums"]


def loss_sums(world: World, loss: Loss, rows: ScoredRows) -> NDArray[np.float64]:
    """Return the weighted sums of the loss and of the least loss, and the weight; collective.

    Raises Undefined where a row's z has no mean.
    """
    if loss.task == "numbers":
        rows.prediction(world, loss)

    def terms(tile: slice) -> list[float]:
        weight = rows.weight[tile]
        z = rows.z[tile].copy()  # the kernel overwrites it with the derivative
        target = loss.encode(rows.y[tile])
        total = loss.sum_and_derivative(z, target, weight)
        return [total, float((weight * loss.least(target)).sum()), float(weight.sum())]

    return rows.once("loss sums", lambda: rows.sum(world, 3, terms))


@dataclass(frozen=True)
class LogLoss(Metric):
    """-sum_i weight_i log(probability of y_i) / sum_i weight_i, in nats."""

    title = "log loss"
    tasks = ("two classes", "classes")
    needs_probabilities = True

    def fits(self, loss: Loss, n_classes: int) -> bool:
        """Whether the loss is the logarithm of probabilities."""
        return super().fits(loss, n_classes) and isinstance(loss, Likelihood)

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean of the loss's own pointwise form, which is stable at large |z|."""
        total, _, weight = loss_sums(world, loss, rows)
        return float(total / weight)


@dataclass(frozen=True)
class MeanLoss(Metric):
    """sum_i weight_i loss(y_i, z_i) / sum_i weight_i; for the quantile loss, the pinball loss."""

    title = "mean loss"
    tasks = ("numbers", "two classes", "classes")

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up: where nothing else measures this loss."""
        return not isinstance(loss, Likelihood)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean loss."""
        total, _, weight = loss_sums(world, loss, rows)
        return float(total / weight)
