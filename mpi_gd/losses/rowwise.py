"""Losses that are computed row by row, then weighted and added."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats, Loss, Weight

__all__ = ["Rowwise", "weighted_sum"]


@dataclass(frozen=True)
class Rowwise(Loss):
    """A loss given by `rows`."""

    @abstractmethod
    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return each row's loss (n,), a new array; overwrite z with the derivatives."""

    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum weight loss; z becomes weight times the derivative."""
        with np.errstate(all="ignore"):
            return weighted_sum(self.rows(z, target), z, weight)


def weighted_sum(losses: Floats, derivative: Floats, weight: Weight | None) -> float:
    """Return sum weight loss; multiply `derivative` by the weight. `losses` is overwritten.

    A row of weight 0 counts nothing, whatever stands there.
    """
    if weight is None:
        return float(np.add.reduce(losses))
    if weight.dtype == bool:
        out = np.logical_not(weight)
        np.copyto(losses, 0.0, where=out)
        np.copyto(derivative, 0.0, where=out)
        return float(np.add.reduce(losses))
    out = weight == 0
    np.multiply(derivative, weight, out=derivative)
    np.copyto(derivative, 0.0, where=out)
    total = float(np.dot(losses, weight))
    if not math.isfinite(total):
        np.copyto(losses, 0.0, where=out)
        total = float(np.dot(losses, weight))
    return total
