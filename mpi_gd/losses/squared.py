"""The squared loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats, Loss, Weight

__all__ = ["Squared"]


@dataclass(frozen=True)
class Squared(Loss):
    """loss(y, z) = (z - y)^2 / 2, for a target that is a number: linear regression."""

    is_classifier = False
    curvature = 1.0

    def encode(self, y: Floats) -> Floats:
        """Return y itself."""
        return np.asarray(y, dtype=np.float64)

    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum weight (z - y)^2 / 2; z becomes weight (z - y)."""
        np.subtract(z, target, out=z)
        if weight is None or weight.dtype == bool:
            if weight is not None:
                np.multiply(z, weight, out=z)
            return 0.5 * float(np.dot(z, z))
        residual = z.copy()
        np.multiply(z, weight, out=z)
        return 0.5 * float(np.dot(residual, z))

    def inverse_link(self, z: Floats) -> Floats:
        """Return z: the identity."""
        return np.asarray(z)
