"""The mean absolute error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Mae"]


@dataclass(frozen=True)
class Mae(Metric):
    """sum_i weight_i |y_i - prediction_i| / sum_i weight_i, in the target's unit."""

    title = "MAE"
    tasks = ("numbers",)

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up."""
        return True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the mean absolute error."""
        predicted = rows.prediction(world, loss)

        def absolute(tile: slice) -> NDArray[np.float64]:
            return np.abs(rows.y[tile] - predicted[tile])

        return rows.mean(world, absolute)
