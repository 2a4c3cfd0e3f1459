"""Adam: momentum, over the root of the mean square of the gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.solvers.adaptive import Adaptive, AdaptiveState
from mpi_gd.solvers.solver import Floats

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam(Adaptive):
    """u_j <- u_j - step * m_j / sqrt(s_j), m and s running means of g_j and g_j^2.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, with their
    correction of the means' bias. No rate is proved for it, and with a constant step it can miss
    the minimum (Reddi, Kale and Kumar, ICLR 2018): the cosine schedule takes the step to 0. For
    columns whose scales are unknown or very different, where `precondition` is off.
    """

    beta1: float = 0.9
    """Share of the mean of gradients that is kept at each step, in [0, 1)."""

    beta2: float = 0.999
    """Share of the mean of squared gradients that is kept, in [0, 1)."""

    n_moments = 2
    share = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")

    def _move(self, state: AdaptiveState, gradient: Floats, step: float) -> Floats:
        """Return the step times mean over root mean square; 0 where that is 0."""
        mean = self.beta1 * state.moments[0] + (1.0 - self.beta1) * gradient
        square = self.beta2 * state.moments[1] + (1.0 - self.beta2) * np.square(gradient)
        state.moments = np.stack([mean, square])
        count = state.number + 1
        mean = mean / (1.0 - self.beta1**count)
        root = np.sqrt(square / (1.0 - self.beta2**count))
        return np.asarray(np.divide(-step * mean, root, out=np.zeros_like(root), where=root > 0))
