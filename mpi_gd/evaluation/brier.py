"""The mean squared error of probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Brier"]


@dataclass(frozen=True)
class Brier(Metric):
    """sum_i weight_i (p_i - y_i)^2 / sum_i weight_i for two classes, in [0, 1].

    For K classes the sum over them all, sum_k (p_ik - [y_i = k])^2, in [0, 2]: Brier's own form
    (1950), which for K = 2 is twice the other.
    """

    title = "Brier score"
    tasks = ("two classes", "classes")
    needs_probabilities = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the score; smaller is better."""

        def squared(tile: slice) -> NDArray[np.float64]:
            y, p = rows.y[tile], loss.inverse_link(rows.z[tile])
            if p.ndim == 1:
                return np.square(p - y)
            is_class = y[:, None] == np.arange(p.shape[1])
            total: NDArray[np.float64] = np.square(p - is_class).sum(axis=1)
            return total

        return rows.mean(world, squared)
