"""What is left of a target when the prediction is subtracted, by the size of the prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric, Table
from mpi_gd.evaluation.quantiles import cut_by_mass
from mpi_gd.evaluation.ranking import rank_scores
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Residuals"]

_BINS = 20


@dataclass(frozen=True)
class Residuals(Metric):
    """Mean and root mean square of y - prediction in twenty bins of equal weight.

    The bins are of the predictions; rows with equal ones are in one bin.
    """

    title = "residuals by prediction"
    tasks = ("numbers",)
    is_curve = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Table:
        """Return a row a bin: to, predicted, mean, rms, support."""
        predicted = rows.prediction(world, loss)
        ranking = rank_scores(world, predicted, [rows.counts(world).counts])
        edges, _ = cut_by_mass(world, ranking, (0,), _BINS)

        def terms(tile: slice) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            bins = np.searchsorted(edges[:-1], predicted[tile], side="left")
            weight, left = rows.weight[tile], rows.y[tile] - predicted[tile]
            columns = (weight, weight * predicted[tile], weight * left, weight * left * left)
            return np.concatenate([np.bincount(bins, column, len(edges)) for column in columns])

        sums = rows.sum(world, 4 * len(edges), terms).reshape(4, len(edges))
        table: Table = []
        for edge, (weight, mean, left, square) in zip(edges.tolist(), sums.T.tolist(), strict=True):
            table.append(
                {
                    "to": edge,
                    "predicted": mean / weight,
                    "mean": left / weight,
                    "rms": math.sqrt(square / weight),
                    "support": int(weight) if weight.is_integer() else weight,
                }
            )
        return table
