"""AdaGrad: steps that shrink with the gradients that a coordinate has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.solvers.adaptive import Adaptive, AdaptiveState
from mpi_gd.solvers.solver import Floats
from mpi_gd.solvers.stochastic import Schedule

__all__ = ["AdaGrad"]


@dataclass(frozen=True)
class AdaGrad(Adaptive):
    """s_j <- s_j + g_j^2;  u_j <- u_j - step * g_j / sqrt(s_j) (Duchi, Hazan and Singer 2011).

    "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 12, figure
    1, diagonal. The regret of k steps is O(sqrt(k)), so the mean gap falls like 1 / sqrt(k): with a
    smaller factor than SGD's where few columns are other than 0 at a time, for which it is made.
    """

    schedule: Schedule = "constant"

    n_moments = 1
    share = 0.3

    def _move(self, state: AdaptiveState, gradient: Floats, step: float) -> Floats:
        """Return the step over the root of the sum of squares; 0 where that is 0."""
        state.moments = state.moments + np.square(gradient)
        root = np.sqrt(state.moments[0])
        np.divide(-step * gradient, root, out=root, where=root > 0)
        return np.asarray(root)
