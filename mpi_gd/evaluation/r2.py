"""The share of the target's variance that the predictions explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric, is_of_amounts
from mpi_gd.evaluation.rows import ScoredRows, Undefined
from mpi_gd.losses import Loss

__all__ = ["R2", "require_variation"]


@dataclass(frozen=True)
class R2(Metric):
    """1 - sum_i weight_i (y_i - prediction_i)^2 / sum_i weight_i (y_i - mean(y))^2."""

    title = "R2"
    tasks = ("numbers",)

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return not is_of_amounts(loss)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return R2, at most 1. Raises Undefined when all targets are the same."""
        require_variation(world, rows)
        predicted = rows.prediction(world, loss)
        # Two passes: the one-pass form, mean(y^2) - mean(y)^2, cancels when the mean is large.
        mean = rows.mean(world, lambda tile: rows.y[tile])

        def terms(tile: slice) -> list[float]:
            y, weight = rows.y[tile], rows.weight[tile]
            left = np.square(y - predicted[tile])
            return [float((weight * left).sum()), float((weight * np.square(y - mean)).sum())]

        left, variation = rows.sum(world, 2, terms)
        if variation == 0:
            raise Undefined("the targets' variation is too small for a float64 number")
        return float(1.0 - left / variation)


def require_variation(world: World, rows: ScoredRows) -> None:
    """Raise Undefined on all ranks when all targets are the same.

    Asked of the targets themselves: the variation around a rounded mean is seldom exactly 0.
    """
    extremes = np.array([rows.y.max(initial=-np.inf), (-rows.y).max(initial=-np.inf)])
    world.allreduce_max(extremes)
    if extremes[0] == -extremes[1]:
        raise Undefined("all targets are the same")
