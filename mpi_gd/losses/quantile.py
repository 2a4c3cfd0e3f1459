"""The quantile (pinball) loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.kinked import Kinked
from mpi_gd.losses.loss import Floats, Loss
from mpi_gd.losses.residual import Residual
from mpi_gd.losses.softening import soft_bend, soft_positive

__all__ = ["Quantile", "SmoothedQuantile"]


@dataclass(frozen=True)
class Quantile(Residual, Kinked):
    """loss(y, z) = q (y - z) for y >= z, (1 - q) (z - y) else: z estimates the q-quantile of y.

    R. Koenker and G. Bassett, "Regression Quantiles", Econometrica 46 (1978) 33-50.
    """

    quantile: float = 0.5
    """q, between 0 and 1; 0.5 is the median, the least sum of |y - z|."""

    def __post_init__(self) -> None:
        _require_share(self.quantile)

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes 1 - q where z > y, -q where z < y, 0 at y."""
        z -= target
        losses = self._of(z)
        slope = np.where(z > 0, 1.0 - self.quantile, np.where(z < 0, -self.quantile, 0.0))
        np.copyto(z, slope)
        return losses

    def slopes(self, target: Floats) -> tuple[Floats, Floats]:
        """Return -q and 1 - q."""
        return np.full(len(target), -self.quantile), np.full(len(target), 1.0 - self.quantile)

    def slack(self, z: Floats, target: Floats, r: Floats) -> Floats:
        """Return loss - r (z - y)."""
        residual = z - target
        return self._of(residual) - r * residual

    def _of(self, residual: Floats) -> Floats:
        """Return the losses of z - y."""
        return np.maximum((1.0 - self.quantile) * residual, -self.quantile * residual)

    def smoothed(self, width: float) -> Loss:
        """Return a loss that is larger by at most width log 2."""
        return SmoothedQuantile(width, self.quantile) if width > 0 else self


@dataclass(frozen=True)
class SmoothedQuantile(Residual):
    """loss(y, z) = -q r + width log(1 + e^(r / width)), r = z - y.

    It is above the quantile loss by 0 to width log 2.
    """

    width: float
    quantile: float

    def __post_init__(self) -> None:
        _require_share(self.quantile)

    @property
    def curvature(self) -> float:
        """Return 1 / (4 width)."""
        return 0.25 / self.width

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes their derivatives."""
        z -= target
        size = np.abs(z)
        # max((1 - q) r, -q r) plus what the softplus function has more than max(r, 0).
        excess = soft_positive(-size, self.width)[0]
        losses = np.maximum((1.0 - self.quantile) * z, -self.quantile * z) + excess
        np.subtract(soft_positive(z, self.width)[1], self.quantile, out=z)
        return losses

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return the second derivative."""
        return soft_bend(z - target, self.width)

    def least(self, target: Floats) -> Floats:
        """Return width (-q log q - (1 - q) log(1 - q)), the loss at e^(r / width) = q / (1 - q)."""
        q = self.quantile
        entropy = -q * math.log(q) - (1.0 - q) * math.log1p(-q)
        return np.full(len(target), self.width * entropy)


def _require_share(quantile: float) -> None:
    """Raise ValueError for what is not between 0 and 1."""
    if not 0 < quantile < 1:
        raise ValueError(f"quantile must be between 0 and 1, got {quantile}")
