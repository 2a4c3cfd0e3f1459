"""All metrics of one set of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.errors import DataError
from mpi_gd.evaluation.metric import Score
from mpi_gd.evaluation.registry import METRICS
from mpi_gd.evaluation.rows import ScoredRows, Undefined
from mpi_gd.losses import Loss

__all__ = ["Scores", "evaluate"]

Floats = NDArray[np.float64]


class Scores(dict[str, Score]):
    """The metrics by name, with `n`, the number of rows that count; every number is finite.

    A value is a number, or a table: a list of rows, dicts of the same keys.
    """

    def __init__(self) -> None:
        """Begin with no metric."""
        super().__init__()
        self.omitted: dict[str, str] = {}
        """Why a metric has no value, by its name."""
        self.headlines: list[str] = []
        """The names that a line which sums up should have, with a value or without."""

    def as_json(self) -> dict[str, Any]:
        """Return all as JSON has it, with the reasons of what is omitted, if anything is."""
        return {**self, "omitted": self.omitted} if self.omitted else dict(self)


def evaluate(
    world: World,
    loss: Loss,
    y: Floats,
    z: Floats,
    weight: Floats | None,
    tile_sizes: Sequence[int],
    n_tiles: int,
    *,
    exposure: Floats | None = None,
    labels: Sequence[str] = (),
) -> Scores:
    """Return the metrics that fit `loss` over all ranks' rows; collective.

    y (n_local,) is a regression's target, or a classifier's class: 0, ..., K - 1. z (n_local,), or
    (n_local, K) for a loss of several classes, is the linear predictor. weight (n_local,) is None
    for all ones, else finite and not negative; rows with 0 do not count, whatever else they hold.
    exposure (n_local,), more than 0, is what y was counted over, where log(exposure) is a part of
    z; None where y is per unit. labels are the names of the K classes, by default their numbers.
    The local rows are `len(tile_sizes)` whole tiles of the `n_tiles` of all ranks. The result has
    the same bits on any number of ranks.

    Raises ValueError when lengths differ (a mistake in the program, on that rank alone), DataError
    on all ranks when a row that counts has no finite z, or a y that the loss is not made for.
    """
    n_local = sum(tile_sizes)
    if not len(y) == len(z) == n_local:
        raise ValueError(f"got {len(y)} targets and {len(z)} predictors, expected {n_local}")
    n_classes = _n_classes(loss, z)
    if labels and len(labels) != n_classes:
        raise ValueError(f"got {len(labels)} labels, expected {n_classes}")
    names = tuple(labels) or tuple(str(k) for k in range(n_classes))
    ones = np.broadcast_to(np.float64(1.0), n_local)  # takes no memory
    given = ScoredRows(y, z, ones, tuple(tile_sizes), n_tiles, exposure, names)
    rows = _counted(given, weight)
    n = _checked(world, loss, rows)
    # A sum that overflows is reported as such below; NumPy's warning would come from each rank.
    with np.errstate(all="ignore"):
        return _scores(world, loss, rows, n)


def _n_classes(loss: Loss, z: Floats) -> int:
    """Return K, 0 for numbers."""
    if loss.task == "classes":
        return int(z.shape[1])
    return 2 if loss.task == "two classes" else 0


def _counted(rows: ScoredRows, weight: Floats | None) -> ScoredRows:
    """Return the rows whose weight is not 0, in tiles that lost the others."""
    if weight is None:
        return rows
    counted = weight > 0
    if counted.all():
        return replace(rows, weight=weight)
    kept = np.concatenate([[0], np.cumsum(counted)])
    bounds = np.cumsum([0, *rows.tile_sizes])
    return replace(
        rows,
        y=rows.y[counted],
        z=rows.z[counted],
        weight=weight[counted],
        exposure=None if rows.exposure is None else rows.exposure[counted],
        tile_sizes=tuple(np.diff(kept[bounds]).tolist()),
    )


def _checked(world: World, loss: Loss, rows: ScoredRows) -> int:
    """Return the number of all ranks' rows; collective. Raises DataError for a row that is none."""
    finite = np.isfinite(rows.z).all(axis=tuple(range(1, rows.z.ndim)))
    invalid = loss.invalid(rows.y)
    if loss.task == "classes":
        invalid = invalid | (rows.y >= len(rows.labels))
    counts = np.array(
        [len(rows.y), np.count_nonzero(~finite), np.count_nonzero(invalid)], dtype=np.int64
    )
    world.allreduce_sum(counts)
    n, n_bad, n_invalid = (int(count) for count in counts)
    if n_bad:
        raise DataError(
            f"{n_bad} of {n} rows have a prediction that is not a finite number: "
            "the features are too large for these coefficients (rescale them)"
        )
    if n_invalid:
        raise DataError(
            f"{n_invalid} of {n} rows have a target that the model's loss is not made for: "
            f"expected {loss.expected}; remove the rows or correct them"
        )
    return n


def _scores(world: World, loss: Loss, rows: ScoredRows, n: int) -> Scores:
    """Ask every metric that fits the loss."""
    scores = Scores()
    scores["n"] = n
    for name, metric in METRICS.items():
        if not metric.fits(loss, len(rows.labels)):
            continue
        if metric.is_headline(loss):
            scores.headlines.append(name)
        try:
            if n == 0:
                raise Undefined("there are no rows")
            value = metric(world, loss, rows)
            if not _is_finite(value):
                raise Undefined("the sum is too large for a float64 number")
            scores[name] = value
        except Undefined as reason:
            scores.omitted[name] = str(reason)
    return scores


def _is_finite(value: Score) -> bool:
    """Whether a number, or each in a table, is finite."""
    if isinstance(value, list):
        cells = [cell for row in value for cell in row.values()]
        return all(not isinstance(cell, float) or math.isfinite(cell) for cell in cells)
    return math.isfinite(value)
