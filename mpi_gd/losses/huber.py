"""The Huber loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats
from mpi_gd.losses.residual import Residual

__all__ = ["Huber"]


@dataclass(frozen=True)
class Huber(Residual):
    """loss(y, z) = r^2 / 2 for |r| <= delta, else delta (|r| - delta / 2); r = z - y.

    P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35
    (1964) 73-101.
    """

    delta: float = 1.345
    """Where the loss becomes linear, positive, in units of y: it is fixed, not estimated. 1.345
    deviations of the noise give 95 % of the efficiency of least squares under normal noise."""

    curvature = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.delta < math.inf:
            raise ValueError(f"delta must be a positive finite number, got {self.delta}")

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes r, clipped to [-delta, delta]."""
        r = z - target
        np.clip(r, -self.delta, self.delta, out=z)
        # With a = clip(r) both cases are a (r - a / 2).
        r -= 0.5 * z
        r *= z
        return r

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return 1 where |r| <= delta, else 0."""
        return np.where(np.abs(z - target) <= self.delta, 1.0, 0.0)
