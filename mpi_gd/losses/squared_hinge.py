"""The squared hinge loss of two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats
from mpi_gd.losses.margin import Margin

__all__ = ["SquaredHinge"]


@dataclass(frozen=True)
class SquaredHinge(Margin):
    """loss(y, z) = max(0, 1 - s z)^2, s = 1 for the second label, -1 for the first.

    scikit-learn's LinearSVC(C=c) and LIBLINEAR's -s 2 have C sum loss + |w|^2 / 2: alpha is
    1 / (c n_samples) here. The derivative is continuous, the
    second one jumps from 0 to 2 at s z = 1.
    """

    curvature = 2.0

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes -2 s max(0, 1 - s z)."""
        violation = self._violation(z, target)
        np.multiply(violation, target, out=z)
        z *= -2.0
        np.square(violation, out=violation)
        return violation

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return 2 where s z < 1, else 0."""
        return np.where(target * z < 1.0, 2.0, 0.0)

    @staticmethod
    def _violation(z: Floats, target: Floats) -> Floats:
        """Return max(0, 1 - s z)."""
        violation = 1.0 - target * z
        return np.maximum(violation, 0.0, out=violation)
