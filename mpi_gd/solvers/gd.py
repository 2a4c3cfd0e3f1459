"""Gradient descent, with a fixed step or a backtracking one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.solvers.armijo import falls_enough, require_step
from mpi_gd.solvers.probe import ProbedState, ask_probe, back_off, start_probe, tell_probe
from mpi_gd.solvers.solver import IDLE, Answer, Floats, Problem, Question, Solver, Step, diverged

__all__ = ["GradientDescent"]

_SHRINK = 0.5
_GROW = 2.0
# Halvings after which the objective cannot be told from its neighbours in float64.
_MOST_TRIALS = 40


@dataclass
class _State(ProbedState):
    """The iterate, and the trial point of a backtracking step."""

    value: float
    gradient: Floats
    residual: float
    trial: float
    """Step of the point asked for; 0 when it is the iterate itself."""
    n_trials: int


@dataclass(frozen=True)
class GradientDescent(Solver):
    """u <- u - step * grad F(u) (Cauchy 1847; Nocedal and Wright 2006, chapter 3)."""

    step: float = 0.0
    """Step, or the first trial step when backtracking; 0: 1 / the largest eigenvalue of the
    Hessian, which a few gradients are spent to find."""

    rule: Literal["fixed", "backtracking"] = "fixed"
    """"backtracking" halves the step until the objective falls enough (Armijo 1966), and tries
    twice the last step next time."""

    memory = _State

    def __post_init__(self) -> None:
        require_step(self.step)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u; backtracking needs no probe, its first step is a guess."""
        step = self.step
        if not step and self.rule == "backtracking":
            step = 1.0 / problem.mean_curvature
        fields = start_probe(problem, u, step)
        return _State(
            **fields,
            value=np.inf,
            gradient=np.zeros_like(u),
            residual=0.0,
            trial=0.0,
            n_trials=0,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the next point."""
        probe = ask_probe(state)
        return probe or Question(state.u - state.trial * state.gradient)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Accept the point, or shorten the step."""
        if not state.step_size:
            tell_probe(state, answer)
            return None
        is_start = state.iteration < 0
        if not answer.is_finite and (self.rule == "fixed" or is_start):
            if back_off(state, self.step):
                state.trial = state.step_size
                return None
            raise diverged(
                state,
                answer,
                f"the step {state.trial:g} is too large: set solver.step lower, "
                'rule = "backtracking", or kind = "lbfgs"',
            )
        if self.rule == "backtracking" and not is_start and not self._falls(state, answer):
            state.n_trials += 1
            state.trial *= _SHRINK
            if state.n_trials < _MOST_TRIALS:
                return None
            return Step(
                state.u,
                Answer(state.value, state.gradient, state.residual),
                0.0,
                IDLE,
            )
        return self._accept(state, answer)

    def _falls(self, state: _State, answer: Answer) -> bool:
        """Whether the trial point lowers the objective as the slope promises."""
        slope = -float(np.dot(state.gradient, state.gradient))
        return answer.is_finite and falls_enough(
            state.value,
            answer.value,
            state.trial,
            slope,
            -float(np.dot(state.gradient, answer.gradient)),
        )

    def _accept(self, state: _State, answer: Answer) -> Step:
        """Move to the point that was asked about."""
        used = state.trial
        state.u = state.u - state.trial * state.gradient
        state.value, state.gradient, state.residual = answer.value, answer.gradient, answer.residual
        state.iteration += 1
        if self.rule == "fixed" or not used:
            state.trial = state.step_size
        else:
            # Grow only after a step that was accepted at once: else every step is tried twice.
            state.trial = used * (_GROW if not state.n_trials else 1.0)
        state.n_trials = 0
        return Step(state.u, answer, used)
