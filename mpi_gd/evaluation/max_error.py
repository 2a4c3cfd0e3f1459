"""The largest absolute error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["MaxError"]


@dataclass(frozen=True)
class MaxError(Metric):
    """max_i |y_i - prediction_i| over rows of any weight, in the target's unit."""

    title = "largest error"
    tasks = ("numbers",)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the largest error."""
        errors = np.abs(rows.y - rows.prediction(world, loss))
        largest = np.array([errors.max(initial=0.0)])
        world.allreduce_max(largest)
        return float(largest[0])
