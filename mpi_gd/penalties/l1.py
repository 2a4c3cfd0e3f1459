"""The lasso penalty."""

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

__all__ = ["L1"]


@dataclass(frozen=True)
class L1(Separable):
    """penalty(w) = alpha * |w|_1 (Tibshirani 1996), beside a loss that is a mean over the rows."""

    alpha: Strength = 1e-4
    """Strength, 0 or more. scikit-learn's Lasso(alpha=a) is a here, its LogisticRegression(C=c,
    penalty="l1") is 1 / (c * n_samples). "path": chosen along a path, as the table [path] says."""

    def __post_init__(self) -> None:
        require_strength(self.alpha)
        super().__post_init__()

    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return the weights alpha factor scale."""
        l1 = strength_of(self.alpha) * factor * scale
        return SeparableBound(l1, np.zeros_like(l1), lower, upper)
