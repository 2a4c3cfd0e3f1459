"""The ridge penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.penalties.penalty import Bound, Floats
from mpi_gd.penalties.separable import (
    Separable,
    SeparableBound,
    Strength,
    require_strength,
    strength_of,
)

__all__ = ["L2"]


@dataclass(frozen=True)
class L2(Separable):
    """penalty(w) = alpha / 2 * |w|^2, beside a loss that is a mean over the rows."""

    alpha: Strength = 1e-4
    """Strength, 0 or more. scikit-learn's Ridge(alpha=a) is a / n_samples here, its
    LogisticRegression(C=c) is 1 / (c * n_samples). "path": chosen along a path, as the table
    [path] says."""

    def __post_init__(self) -> None:
        require_strength(self.alpha)
        super().__post_init__()

    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return the squares' weights alpha factor scale^2."""
        l2 = strength_of(self.alpha) * factor * np.square(scale)
        return SeparableBound(np.zeros_like(l2), l2, lower, upper)
