"""Gradient descent with the step of Barzilai and Borwein."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING, SUFFICIENT
from mpi_gd.solvers.solver import (
    IDLE,
    Answer,
    Floats,
    Problem,
    Question,
    Solver,
    State,
    Step,
    diverged,
)

__all__ = ["BarzilaiBorwein"]

_SHRINK = 0.25
_MOST_TRIALS = 30
_STEP_RANGE = 1e-10, 1e10


@dataclass
class _State(State):
    """The iterate, the step to the trial point, and the last values."""

    gradient: Floats
    residual: float
    trial: float
    n_trials: int
    scale: float
    """The step before anything is known."""
    recent: Floats
    """The objective of the last `memory_length` iterates; -inf where there is none yet."""


@dataclass(frozen=True)
class BarzilaiBorwein(Solver):
    """u <- u - step * grad F(u); the step is a secant estimate of the inverse curvature.

    With s = u_k - u_(k-1) and y = g_k - g_(k-1) the step is s.s / s.y and s.y / y.y in turn
    (Barzilai and Borwein, "Two-Point Step Size Gradient Methods", IMA J. Numer. Anal. 8(1), 1988).
    A step is shortened when the objective exceeds the largest of the last few (Raydan, "The
    Barzilai and Borwein Gradient Method for the Large Scale Unconstrained Minimization Problem",
    SIAM J. Optim. 7(1), 1997).
    """

    memory_length: int = 10
    """Number of iterates whose largest objective a new one must not exceed."""

    memory = _State

    def __post_init__(self) -> None:
        if self.memory_length < 1:
            raise ValueError(f"memory_length must be 1 or more, got {self.memory_length}")

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(
            u=u.copy(),
            iteration=-1,
            gradient=np.zeros_like(u),
            residual=0.0,
            trial=0.0,
            n_trials=0,
            scale=1.0 / problem.mean_curvature,
            recent=np.full(self.memory_length, -np.inf),
        )

    def ask(self, state: _State) -> Question:
        """Ask at the trial point."""
        return Question(state.u - state.trial * state.gradient)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Accept the point, or shorten the step."""
        if state.iteration < 0:
            if not answer.is_finite:
                raise diverged(state, answer, "rescale the columns or the target")
            return self._accept(state, answer)
        if answer.is_finite and self._falls(state, answer):
            return self._accept(state, answer)
        state.n_trials += 1
        state.trial *= _SHRINK
        if state.n_trials < _MOST_TRIALS:
            return None
        last = Answer(self._value(state), state.gradient, state.residual)
        return Step(state.u, last, 0.0, IDLE)

    def _value(self, state: _State) -> float:
        """Return the objective at the iterate."""
        return float(state.recent[state.iteration % self.memory_length])

    def _falls(self, state: _State, answer: Answer) -> bool:
        """Whether the trial point is low enough beside the largest recent value."""
        largest = float(state.recent.max())
        promised = state.trial * float(np.dot(state.gradient, state.gradient))
        return answer.value <= largest - SUFFICIENT * promised + ROUNDING * abs(largest)

    def _accept(self, state: _State, answer: Answer) -> Step:
        """Move to the point that was asked about, and choose the next step."""
        used = state.trial
        s = -used * state.gradient
        y = answer.gradient - state.gradient
        state.u = state.u + s
        state.iteration += 1
        state.trial = state.scale if not used else _secant_step(s, y, state.iteration, used)
        state.gradient, state.residual, state.n_trials = answer.gradient, answer.residual, 0
        state.recent[state.iteration % self.memory_length] = answer.value
        return Step(state.u, answer, used)


def _secant_step(s: Floats, y: Floats, iteration: int, last: float) -> float:
    """Return s.s / s.y or s.y / y.y; four times the last step where there is no curvature."""
    curvature = float(np.dot(s, y))
    if not curvature > 0:
        return min(4.0 * last, _STEP_RANGE[1])
    long = iteration % 2 == 1
    step = float(np.dot(s, s)) / curvature if long else curvature / float(np.dot(y, y))
    return min(max(step, _STEP_RANGE[0]), _STEP_RANGE[1])
