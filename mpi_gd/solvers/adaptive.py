"""What AdaGrad and Adam have in common: steps that are lengths, each coordinate's its own."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mpi_gd.solvers.solver import GIVEN, Answer, Floats, Problem
from mpi_gd.solvers.stochastic import Stochastic, StochasticState

__all__ = ["Adaptive", "AdaptiveState"]


@dataclass
class AdaptiveState(StochasticState):
    """The last of the moments are those of squared gradients."""

    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Adaptive(Stochastic):
    """u_j <- u_j - step * m_j / sqrt(s_j), m of gradients and s of squared ones.

    A step is a distance: unless it is given, a share of a usual coordinate's distance to the
    minimum, as gradient and curvature at the start have it.
    """

    step: float = 0.0
    """First step, about what a coordinate moves by; 0: a share of how far a coefficient of usual
    scale has to go, as the gradient at the start has it."""

    memory = AdaptiveState
    share: ClassVar[float]
    """Of the distance, for a first step that is to be chosen."""

    def start(self, problem: Problem, u: Floats) -> AdaptiveState:
        """Begin at u."""
        return AdaptiveState(
            u=u.copy(),
            iteration=-1,
            step_size=self.step,
            n_backoffs=0,
            problem=problem,
            **self._fields(problem, u),
        )

    @abstractmethod
    def _move(self, state: Any, gradient: Floats, step: float) -> Floats:
        """Take a batch's gradient into the moments; return by how much u moves."""

    def _takes_for_step(self, state: AdaptiveState, answer: Answer) -> bool:
        """Choose the first step from the answer at the start, which is reported as well."""
        if not state.step_size and answer.is_finite:
            problem = state.problem
            usual = problem.coordinate_curvature
            curvature = usual() if usual else problem.mean_curvature
            distance = float(np.abs(answer.gradient).max()) / curvature
            state.step_size = self.share * (distance or 1.0)
        return False
