"""The curves that a classifier of two classes is judged by: ROC, precision and recall."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.comm import World
from mpi_gd.evaluation.classes import class_ranking
from mpi_gd.evaluation.metric import Metric, Table
from mpi_gd.evaluation.quantiles import cut_by_mass
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["RocCurve"]

_POINTS = 100


@dataclass(frozen=True)
class RocCurve(Metric):
    """What is found, and what is taken for it by mistake, where rows above a threshold are chosen.

    A hundred thresholds that cut the rows into parts of equal weight, fewer where predictions are
    equal. The counts are exact; the area below the polygon is not quite the AUC.
    """

    title = "ROC curve"
    tasks = ("two classes",)
    is_curve = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Table:
        """Return a row a threshold: threshold, recall, false_positive_rate, precision.

        The threshold is a probability, or a decision value where there is none.
        """
        ranking = class_ranking(world, rows)
        edges, masses = cut_by_mass(world, ranking, (0, 1), _POINTS)
        n_second, n_first = ranking.totals
        shown = loss.inverse_link(edges)
        table: Table = []
        for threshold, second, first in zip(shown.tolist(), *masses.tolist(), strict=True):
            hits, mistakes = n_second - second, n_first - first
            chosen = hits + mistakes
            table.append(
                {
                    "threshold": threshold,
                    "recall": hits / n_second,
                    "false_positive_rate": mistakes / n_first,
                    "precision": hits / chosen if chosen else None,
                }
            )
        return table
