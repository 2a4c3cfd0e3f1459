"""The elastic net."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.penalties.penalty import Bound, Floats
from mpi_gd.penalties.separable import (
    Separable,
    SeparableBound,
    Strength,
    require_share,
    require_strength,
    strength_of,
)

__all__ = ["ElasticNet"]


@dataclass(frozen=True)
class ElasticNet(Separable):
    """penalty(w) = alpha * (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2) (Zou and Hastie 2005)."""

    alpha: Strength = 1e-4
    """Strength, 0 or more; glmnet's lambda for standardized columns, scikit-learn's
    ElasticNet(alpha). "path": chosen along a path, as the table [path] says."""

    l1_ratio: float = 0.5
    """Share of the absolute values, in [0, 1]: glmnet's alpha."""

    def __post_init__(self) -> None:
        require_strength(self.alpha)
        require_share(self.l1_ratio)
        super().__post_init__()

    def bind_arrays(self, factor: Floats, scale: Floats, lower: Floats, upper: Floats) -> Bound:
        """Return both weights."""
        l1 = strength_of(self.alpha) * self.l1_ratio * factor * scale
        l2 = strength_of(self.alpha) * (1.0 - self.l1_ratio) * factor * np.square(scale)
        return SeparableBound(l1, l2, lower, upper)
