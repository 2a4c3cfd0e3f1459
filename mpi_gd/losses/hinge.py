"""The hinge loss of two classes: the linear support vector machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.kinked import Kinked
from mpi_gd.losses.loss import Floats, Loss
from mpi_gd.losses.margin import Margin
from mpi_gd.losses.softening import soft_bend, soft_positive

__all__ = ["Hinge", "SmoothedHinge"]


@dataclass(frozen=True)
class Hinge(Margin, Kinked):
    """loss(y, z) = max(0, 1 - s z), s = 1 for the second label, -1 for the first.

    scikit-learn's LinearSVC(loss="hinge", C=c) is alpha = 1 / (c n_samples) here.
    """

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes -s where they are positive, else 0 (a subgradient)."""
        losses = _violation(z, target)
        np.multiply(losses > 0, -target, out=z)
        np.maximum(losses, 0.0, out=losses)
        return losses

    def slopes(self, target: Floats) -> tuple[Floats, Floats]:
        """Return -1 and 0 of the second label, 0 and 1 of the first."""
        return np.minimum(-target, 0.0), np.maximum(-target, 0.0)

    def slack(self, z: Floats, target: Floats, r: Floats) -> Floats:
        """Return max(0, t) + s r t, t = 1 - s z."""
        violation = _violation(z, target)
        return np.maximum(violation, 0.0) + target * r * violation

    def smoothed(self, width: float) -> Loss:
        """Return a loss that is larger by at most width log 2."""
        return SmoothedHinge(width) if width > 0 else self


@dataclass(frozen=True)
class SmoothedHinge(Margin):
    """loss(y, z) = width log(1 + e^((1 - s z) / width)): above the hinge by 0 to width log 2."""

    width: float

    @property
    def curvature(self) -> float:
        """Return 1 / (4 width)."""
        return 0.25 / self.width

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return the losses; z becomes their derivatives."""
        losses, slope = soft_positive(_violation(z, target), self.width)
        np.multiply(slope, -target, out=z)
        return losses

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return the second derivative."""
        return soft_bend(_violation(z, target), self.width)


def _violation(z: Floats, target: Floats) -> Floats:
    """Return 1 - s z."""
    return np.asarray(1.0 - target * z)
