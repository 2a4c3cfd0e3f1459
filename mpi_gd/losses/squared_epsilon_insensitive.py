"""The squared epsilon-insensitive loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.epsilon_insensitive import require_tube
from mpi_gd.losses.loss import Floats
from mpi_gd.losses.residual import Residual

__all__ = ["SquaredEpsilonInsensitive"]


@dataclass(frozen=True)
class SquaredEpsilonInsensitive(Residual):
    """loss(y, z) = max(0, |z - y| - epsilon)^2, LIBLINEAR's -s 11.

    The derivative is continuous, the second one jumps from 0 to 2 at the tube's edge.
    """

    epsilon: float = 0.1
    """Residuals up to this size cost nothing; 0 or more, in units of y."""

    curvature = 2.0

    def __post_init__(self) -> None:
        require_tube(self.epsilon)

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes twice what is outside the tube."""
        z -= target
        inside = np.clip(z, -self.epsilon, self.epsilon)
        z -= inside
        losses = np.square(z)
        z *= 2.0
        return losses

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return 2 outside the tube, 0 in it."""
        return np.where(np.abs(z - target) > self.epsilon, 2.0, 0.0)
