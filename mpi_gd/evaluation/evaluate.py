"""All metrics of one set of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.errors import DataError
from mpi_gd.evaluation.metric import ScoredRows, Undefined
from mpi_gd.evaluation.registry import METRICS
from mpi_gd.losses import Loss

__all__ = ["Scores", "evaluate"]

Floats = NDArray[np.float64]


class Scores(dict[str, float | int]):
    """The metrics by name, with `n`, the number of rows that count; every value is finite."""

    def __init__(self) -> None:
        """Begin with no metric."""
        super().__init__()
        self.omitted: dict[str, str] = {}
        """Why a metric has no value, by its name."""


def evaluate(
    world: World,
    loss: Loss,
    y: Floats,
    z: Floats,
    weight: Floats | None,
    tile_sizes: Sequence[int],
    n_tiles: int,
) -> Scores:
    """Return the metrics that fit `loss` over all ranks' rows; collective.

    y (n_local,) is a regression's target, or 1 for a classifier's second class and 0 for its first.
    z (n_local,) is the linear predictor. weight (n_local,) is None for all ones, else not negative;
    rows with 0 do not count, whatever else they hold. The local rows are `len(tile_sizes)` whole
    tiles of the `n_tiles` of all ranks. The result has the same bits on any number of ranks.

    Raises ValueError when lengths differ (a mistake in the program, on that rank alone), DataError
    on all ranks when a row that counts has no finite z.
    """
    n_local = sum(tile_sizes)
    if not len(y) == len(z) == n_local:
        raise ValueError(f"got {len(y)} targets and {len(z)} predictors, expected {n_local}")
    rows = _counted(y, z, weight, tile_sizes, n_tiles)
    n, n_bad = _totals(world, len(rows.z), np.count_nonzero(~np.isfinite(rows.z)))
    if n_bad:
        raise DataError(
            f"{n_bad} of {n} rows have a prediction that is not a finite number: "
            "the features are too large for these coefficients (rescale them)"
        )
    # A sum that overflows is reported as such below; NumPy's warning would come from each rank.
    with np.errstate(over="ignore", invalid="ignore"):
        return _scores(world, loss, rows, n)


def _counted(
    y: Floats, z: Floats, weight: Floats | None, tile_sizes: Sequence[int], n_tiles: int
) -> ScoredRows:
    """Return the rows whose weight is not 0, in tiles that lost the others."""
    if weight is None:
        ones = np.broadcast_to(np.float64(1.0), len(y))  # takes no memory
        return ScoredRows(y, z, ones, tuple(tile_sizes), n_tiles)
    counted = weight > 0
    if counted.all():
        return ScoredRows(y, z, weight, tuple(tile_sizes), n_tiles)
    kept = np.concatenate([[0], np.cumsum(counted)])
    bounds = np.cumsum([0, *tile_sizes])
    sizes = np.diff(kept[bounds]).tolist()
    return ScoredRows(y[counted], z[counted], weight[counted], tuple(sizes), n_tiles)


def _scores(world: World, loss: Loss, rows: ScoredRows, n: int) -> Scores:
    """Ask every metric that fits the loss."""
    scores = Scores()
    scores["n"] = n
    for name, metric in METRICS.items():
        if metric.for_classifiers != loss.is_classifier:
            continue
        try:
            if n == 0:
                raise Undefined("there are no rows")
            value = metric()(world, loss, rows)
            if not np.isfinite(value):
                raise Undefined("the sum is too large for a float64 number")
            scores[name] = value
        except Undefined as reason:
            scores.omitted[name] = str(reason)
    return scores


def _totals(world: World, *counts: int | np.intp) -> list[int]:
    """Return the sum over ranks of each count; collective."""
    totals = np.array(counts, dtype=np.int64)
    world.allreduce_sum(totals)
    return [int(total) for total in totals]
