"""The ridge penalty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.penalties.penalty import Floats, Penalty

__all__ = ["L2"]


@dataclass(frozen=True)
class L2(Penalty):
    """penalty(w) = alpha / 2 * |w|^2, beside a loss that is a mean over the rows."""

    alpha: float = 1e-4
    """Strength, 0 or more. scikit-learn's Ridge(alpha=a) is a / n_samples here, its
    LogisticRegression(C=c) is 1 / (c * n_samples)."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha must be a finite number, 0 or more, got {self.alpha}")

    def value(self, u: Floats, factor: Floats) -> float:
        """Return alpha / 2 * sum_j factor_j u_j^2."""
        return 0.5 * self.alpha * float(np.dot(u, factor * u))

    def add_gradient(self, u: Floats, factor: Floats, out: Floats) -> None:
        """Add alpha * factor_j * u_j."""
        out += self.alpha * (factor * u)

    def curvature(self, factor: Floats) -> float:
        """Return alpha * max_j factor_j."""
        return self.alpha * float(factor.max(initial=0.0))
