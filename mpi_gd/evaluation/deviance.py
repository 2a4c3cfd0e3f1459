"""Twice the log likelihood that a model lacks to one that has each y as its mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.evaluation.classes import count_classes
from mpi_gd.evaluation.mean_loss import loss_sums
from mpi_gd.evaluation.metric import Metric, is_of_amounts
from mpi_gd.evaluation.r2 import require_variation
from mpi_gd.evaluation.rows import ScoredRows, Undefined
from mpi_gd.losses import Likelihood, Loss

__all__ = ["D2", "Deviance", "MeanDeviance"]


@dataclass(frozen=True)
class Deviance(Metric):
    """sum_i weight_i 2 (loss(y_i, z_i) - min_z loss(y_i, z)): unscaled, as R has it."""

    title = "deviance"
    tasks = ("numbers", "two classes", "classes")

    def fits(self, loss: Loss, n_classes: int) -> bool:
        """Whether the loss is a likelihood."""
        return super().fits(loss, n_classes) and isinstance(loss, Likelihood)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the sum over all rows."""
        total, least, _ = loss_sums(world, loss, rows)
        return float(2.0 * (total - least))


@dataclass(frozen=True)
class MeanDeviance(Deviance):
    """The deviance divided by the sum of weights (scikit-learn's mean_*_deviance)."""

    title = "mean deviance"

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the weighted mean over all rows."""
        total, least, weight = loss_sums(world, loss, rows)
        return float(2.0 * (total - least) / weight)


@dataclass(frozen=True)
class D2(Deviance):
    """1 - deviance / deviance of the null model, the share of deviance explained.

    The null model predicts the rows' own weighted mean for each of them, or their classes' shares
    (scikit-learn's d2_*_score); with an exposure, the sum of y over that of exposures, a unit.
    """

    title = "D2"

    def is_headline(self, loss: Loss) -> bool:
        """Whether it belongs in a line that sums up: R2 is it for the squared loss."""
        return is_of_amounts(loss)

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return D2, at most 1. Raises Undefined when the null model cannot be bettered."""
        total, least, weight = loss_sums(world, loss, rows)
        if loss.task == "numbers":
            null = _null_loss(world, loss, rows)
        else:
            null = weight * _entropy(world, rows)
        if not null > least:
            raise Undefined("a model without features cannot be bettered on these rows")
        return float(1.0 - (total - least) / (null - least))


def _entropy(world: World, rows: ScoredRows) -> float:
    """Return the mean log loss of the classes' own shares; collective."""
    counts = count_classes(world, rows)
    if len(counts.present) < 2:
        label = rows.labels[counts.present[0]]
        raise Undefined(f"all rows of any weight are of the class {label!r}")
    shares = [counts.actual[k] / counts.total for k in counts.present]
    return -math.fsum(share * math.log(share) for share in shares)


def _null_loss(world: World, loss: Loss, rows: ScoredRows) -> float:
    """Return the sum of the loss when every row has the mean of all; collective."""
    require_variation(world, rows)

    def unit(tile: slice) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        weight = rows.weight[tile]
        return weight if rows.exposure is None else weight * rows.exposure[tile]

    def moments(tile: slice) -> list[float]:
        return [float((rows.weight[tile] * rows.y[tile]).sum()), float(unit(tile).sum())]

    total, units = rows.sum(world, 2, moments)
    start = loss.start(float(total / units))

    def terms(tile: slice) -> list[float]:
        z = np.full(tile.stop - tile.start, start)
        if rows.exposure is not None:
            z += np.log(rows.exposure[tile])
        return [loss.sum_and_derivative(z, loss.encode(rows.y[tile]), rows.weight[tile])]

    return float(rows.sum(world, 1, terms)[0])
