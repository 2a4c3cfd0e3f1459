"""The root of the mean squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Rmse"]


@dataclass(frozen=True)
class Rmse(Metric):
    """sqrt(sum_i weight_i (y_i - prediction_i)^2 / sum_i weight_i), in the target's unit."""

    title = "RMSE"
    tasks = ("numbers",)

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the root mean squared error."""
        predicted = rows.prediction(world, loss)

        def squared(tile: slice) -> NDArray[np.float64]:
            return np.square(rows.y[tile] - predicted[tile])

        return math.sqrt(rows.mean(world, squared))
