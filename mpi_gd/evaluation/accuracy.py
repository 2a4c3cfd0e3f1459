"""The share of rows whose class is predicted right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric, ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Accuracy"]


@dataclass(frozen=True)
class Accuracy(Metric):
    """sum_i weight_i [(z_i > 0) = y_i] / sum_i weight_i; whole numbers while the weights are."""

    for_classifiers = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the accuracy in [0, 1]; z = 0 predicts the first class."""

        def hits(tile: slice) -> NDArray[np.float64]:
            right: NDArray[np.bool_] = (rows.z[tile] > 0) == (rows.y[tile] > 0.5)
            return right.astype(np.float64)

        return rows.mean(world, hits)
