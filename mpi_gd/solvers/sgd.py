"""Minibatch stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.solvers.probe import (
    ProbedState,
    ask_probe,
    batch_curvature,
    start_probe,
    tell_probe,
)
from mpi_gd.solvers.solver import Answer, Floats, Problem, Question
from mpi_gd.solvers.stochastic import Stochastic, StochasticState

__all__ = ["Sgd", "safe_step"]

# A first step so many times what a constant one should be: the schedule lowers it.
_BOLDNESS = 4.0


def safe_step(state: ProbedState, batch_size: int, momentum: float) -> float:
    """Return a first step for batches of this size, where the probe has found that for all rows.

    Momentum makes a move 1 / (1 - momentum) as long in the end.
    """
    return min(1.0, _BOLDNESS * (1.0 - momentum)) / batch_curvature(state, batch_size)


@dataclass
class _State(ProbedState, StochasticState):
    """The moments are the velocity."""


@dataclass(frozen=True)
class Sgd(Stochastic):
    """v <- momentum * v - step * grad F_batch(u);  u <- u + v (Robbins and Monro 1951).

    The objective's gap falls like 1 / k with the steps k. For a first good model of many rows; the
    last digits are other methods' work. An iteration is an epoch.
    """

    step: float = 0.0
    """First step; 0: chosen from the Hessian's largest eigenvalue, which a few gradients are spent
    to find, and from what a batch can exceed it by."""

    momentum: float = 0.9
    """Share of the last move that is kept, in [0, 1)."""

    n_moments = 1
    memory = _State

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(**start_probe(problem, u, self.step), **self._fields(problem, u))

    def ask(self, state: _State) -> Question:
        """Ask for the step, then batch by batch."""
        return ask_probe(state) or super().ask(state)

    def _takes_for_step(self, state: _State, answer: Answer) -> bool:
        """Probe for the first step."""
        if state.step_size:
            return False
        tell_probe(state, answer)
        if state.step_size:
            state.step_size = safe_step(state, self.batch_size, self.momentum)
        return True

    def _move(self, state: _State, gradient: Floats, step: float) -> Floats:
        """Return the velocity."""
        state.moments = self.momentum * state.moments - step * gradient
        return np.asarray(state.moments[0])

    def _remedy(self, step: float) -> str:
        """Say what to do about a divergence."""
        return f"{super()._remedy(step)}, or solver.momentum"
