"""The epsilon-insensitive loss: linear support vector regression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.kinked import Kinked
from mpi_gd.losses.loss import Floats, Loss
from mpi_gd.losses.residual import Residual
from mpi_gd.losses.softening import soft_bend, soft_positive

__all__ = ["EpsilonInsensitive", "SmoothedEpsilonInsensitive", "require_tube"]


@dataclass(frozen=True)
class EpsilonInsensitive(Residual, Kinked):
    """loss(y, z) = max(0, |z - y| - epsilon)."""

    epsilon: float = 0.1
    """Residuals up to this size cost nothing; 0 or more, in units of y."""

    def __post_init__(self) -> None:
        require_tube(self.epsilon)

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes the sign of z - y outside the tube, 0 in it."""
        z -= target
        losses = np.abs(z)
        losses -= self.epsilon
        np.sign(z, out=z)
        np.multiply(z, losses > 0, out=z)
        return np.maximum(losses, 0.0, out=losses)

    def slopes(self, target: Floats) -> tuple[Floats, Floats]:
        """Return -1 and 1."""
        return np.full(len(target), -1.0), np.ones(len(target))

    def slack(self, z: Floats, target: Floats, r: Floats) -> Floats:
        """Return loss + epsilon |r| - r (z - y)."""
        residual = z - target
        losses = np.maximum(np.abs(residual) - self.epsilon, 0.0)
        return losses + self.epsilon * np.abs(r) - r * residual

    def smoothed(self, width: float) -> Loss:
        """Return a loss that is larger by at most 2 width log 2."""
        return SmoothedEpsilonInsensitive(width, self.epsilon) if width > 0 else self


@dataclass(frozen=True)
class SmoothedEpsilonInsensitive(Residual):
    """loss(y, z) = s(r - epsilon) + s(-r - epsilon), r = z - y, s(t) = width log(1 + e^(t/width)).

    It is above the epsilon-insensitive loss by 0 to 2 width log 2 (reached for epsilon = 0 at 0).
    """

    width: float
    epsilon: float

    def __post_init__(self) -> None:
        require_tube(self.epsilon)

    @property
    def curvature(self) -> float:
        """Return 1 / (2 width), reached for epsilon = 0."""
        return 0.5 / self.width

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes their derivatives."""
        z -= target
        above, up = soft_positive(z - self.epsilon, self.width)
        below, down = soft_positive(-z - self.epsilon, self.width)
        np.subtract(up, down, out=z)
        above += below
        return above

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return the second derivative."""
        r = z - target
        return soft_bend(r - self.epsilon, self.width) + soft_bend(-r - self.epsilon, self.width)

    def least(self, target: Floats) -> Floats:
        """Return the loss at z = y."""
        edge = np.full(len(target), -self.epsilon)
        return 2.0 * soft_positive(edge, self.width)[0]


def require_tube(epsilon: float) -> None:
    """Raise ValueError for what is no width of a tube."""
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be a finite number, 0 or more, got {epsilon}")
