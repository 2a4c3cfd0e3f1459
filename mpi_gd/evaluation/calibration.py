"""Whether what is predicted is what happens, bin by bin of predictions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.amounts import amount_ranking, predicted_of_unit
from mpi_gd.evaluation.classes import class_ranking, predicted_class
from mpi_gd.evaluation.metric import Cell, Metric, Table, is_of_amounts
from mpi_gd.evaluation.quantiles import cut_by_mass
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["Calibration", "CalibrationByQuantile", "CalibrationError"]

Floats = NDArray[np.float64]
# Of a tile's rows: their bins, what is predicted, and what has happened.
Binned = tuple[NDArray[np.intp], Floats, Floats]

_BINS = 10


@dataclass(frozen=True)
class Calibration(Metric):
    """The mean probability and the share of rows it came true for, in ten bins of equal width.

    Of two classes: the probability of the second one. Of several: that of the predicted class, and
    the share of rows that are of it (Guo et al., "On calibration of modern neural networks", 2017).
    A bin has its upper edge, not its lower one; the first has both. Empty bins are left out.
    """

    title = "calibration"
    tasks = ("two classes", "classes")
    needs_probabilities = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Table:
        """Return a row a bin: from, to, predicted, observed, support."""
        table = []
        for k, sums in enumerate(_bins_of_width(world, loss, rows).T):
            if sums[0] > 0:
                edges: dict[str, Cell] = {"from": k / _BINS, "to": (k + 1) / _BINS}
                table.append(edges | _means(sums))
        return table


@dataclass(frozen=True)
class CalibrationError(Metric):
    """sum over bins of weight(bin) |predicted - observed| / sum of weights.

    The expected calibration error (Naeini, Cooper and Hauskrecht 2015), in the bins of Calibration.
    """

    title = "calibration error"
    tasks = ("two classes", "classes")
    needs_probabilities = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the error in [0, 1]."""
        weight, _, predicted, observed = _bins_of_width(world, loss, rows)
        return math.fsum(np.abs(predicted - observed)) / math.fsum(weight)


@dataclass(frozen=True)
class CalibrationByQuantile(Metric):
    """The mean of what is predicted and of what is observed, in ten bins of equal weight.

    Of two classes: probabilities of the second one; of amounts: y for a unit of exposure, in bins
    of equal exposure. Rows with equal predictions are in one bin: with many of them there are fewer
    bins. `to` is the largest prediction in the bin.
    """

    title = "calibration by quantiles"
    tasks = ("numbers", "two classes")
    needs_probabilities = True

    def fits(self, loss: Loss, n_classes: int) -> bool:
        """Whether predictions are probabilities or means of amounts."""
        return super().fits(loss, n_classes) and (loss.is_classifier or is_of_amounts(loss))

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> Table:
        """Return a row a bin: to, predicted, observed, support."""
        predicted = rows.prediction(world, loss)
        if loss.task == "numbers":
            ranking = amount_ranking(world, loss, rows)
            edges, _ = cut_by_mass(world, ranking, (0,), _BINS)
            scores, shown = predicted_of_unit(world, loss, rows), edges
        else:
            edges, _ = cut_by_mass(world, class_ranking(world, rows), (0, 1), _BINS)
            scores, shown = rows.z, loss.inverse_link(edges)

        def binned(tile: slice) -> Binned:
            bins = np.searchsorted(edges[:-1], scores[tile], side="left")
            return bins, predicted[tile], rows.y[tile]

        sums = _sums(world, rows, len(edges), binned)
        return [
            {"to": float(edge), **_means(of_bin)}
            for edge, of_bin in zip(shown, sums.T, strict=True)
        ]


def _bins_of_width(world: World, loss: Loss, rows: ScoredRows) -> Floats:
    """Return the sums of bins of equal width; collective."""
    edges = np.arange(1, _BINS) / _BINS

    def binned(tile: slice) -> Binned:
        z, y = rows.z[tile], rows.y[tile]
        p = loss.inverse_link(z)
        if p.ndim == 2:
            p, y = p.max(axis=1), (predicted_class(z) == y).astype(np.float64)
        return np.searchsorted(edges, p, side="left"), p, y

    return rows.once("bins of width", lambda: _sums(world, rows, _BINS, binned))


def _sums(world: World, rows: ScoredRows, n_bins: int, binned: Callable[[slice], Binned]) -> Floats:
    """Return sums of weight, weight * exposure, weight * predicted and weight * y, (4, n_bins)."""

    def terms(tile: slice) -> Floats:
        bins, predicted, y = binned(tile)
        weight = rows.weight[tile]
        unit = weight if rows.exposure is None else weight * rows.exposure[tile]
        columns = (weight, unit, weight * predicted, weight * y)
        return np.concatenate([np.bincount(bins, column, n_bins) for column in columns])

    return rows.sum(world, 4 * n_bins, terms).reshape(4, n_bins)


def _means(sums: Floats) -> dict[str, Cell]:
    """Return a bin's means and its weight."""
    weight, unit, predicted, observed = (float(value) for value in sums)
    support = int(weight) if weight.is_integer() else weight
    return {"predicted": predicted / unit, "observed": observed / unit, "support": support}
