"""L-BFGS for penalties with an L1 part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING, SUFFICIENT
from mpi_gd.solvers.lbfgs import Lbfgs, LbfgsState, is_idle
from mpi_gd.solvers.solver import GIVEN, IDLE, Answer, Floats, Problem, Question, Step, diverged
from mpi_gd.solvers.whole import rest_value

__all__ = ["OwlQn"]

_SHRINK = 0.5
_MOST_TRIALS = 30
_MOST_IDLE = 20


@dataclass
class _State(LbfgsState):
    """L-BFGS's, whose value is that of the whole objective and whose gradient the smooth part's."""

    smooth: float
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class OwlQn(Lbfgs):
    """u <- project(u + step * p), p from L-BFGS on the smallest subgradient, within an orthant.

    Within an orthant |u|_1 is linear: the matrix is that of the smooth part alone, components of p
    that lead against the subgradient are dropped, and a coefficient that would change its sign
    stops at 0. Andrew and Gao, "Scalable Training of L1-Regularized Log-Linear Models", ICML 2007.
    Usually linear convergence, one gradient an iteration: for L1 and elastic-net penalties and more
    parameters than Newton's method can hold. What is not penalized, as the intercept, is in no
    orthant.
    """

    takes_rest = True
    memory = _State

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        rest = problem.rest
        if rest is None:
            return super().lacks(problem)
        if rest.l1 is None or rest.lower is None or rest.upper is None:
            return "takes no penalty but L1 and elastic net"
        if np.isfinite(rest.lower).any() or np.isfinite(rest.upper).any():
            return "cannot handle bounds"
        return super().lacks(problem)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u with an empty memory."""
        plain = super().start(problem, u)
        return _State(
            **{each.name: getattr(plain, each.name) for each in fields(plain)},
            smooth=math.inf,
            problem=problem,
        )

    def ask(self, state: Any) -> Question:
        """Ask at the trial point, within the orthant."""
        return Question(_trial(state))

    def tell(self, state: Any, answer: Answer) -> Step | None:
        """Accept the trial point, or take a shorter step."""
        trial = _trial(state)
        value = answer.value + rest_value(state.problem, trial)
        is_finite = answer.is_finite and math.isfinite(value)
        if state.iteration < 0:
            if not is_finite:
                raise diverged(state, answer, "rescale the columns or the target")
            return self._move(state, answer, trial, value)
        promised = float(np.dot(_subgradient(state), trial - state.u))
        enough = state.value + SUFFICIENT * promised + ROUNDING * abs(state.value)
        if is_finite and value <= enough:
            return self._move(state, answer, trial, value)
        state.n_trials += 1
        state.trial *= _SHRINK
        if state.n_trials < _MOST_TRIALS:
            return None
        if state.n_pairs:
            state.n_pairs = 0
            self._aim(state)
            return None
        return self._step(state, 0.0, IDLE)

    def _move(self, state: _State, answer: Answer, trial: Floats, value: float) -> Step:
        """Move to the trial point, remember the pair, and aim anew."""
        used, before = state.trial, state.value
        self._remember(state, trial - state.u, answer.gradient - state.gradient)
        state.u, state.value, state.smooth = trial, value, answer.value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.iteration += 1
        self._aim(state)
        step = self._step(state, used)
        return (
            self._step(state, used, IDLE) if is_idle(state, before, step.norm, _MOST_IDLE) else step
        )

    def _steepest(self, state: Any) -> Floats:
        """Return the direction of steepest descent: against the smallest subgradient."""
        return -_subgradient(state)

    def _direction(self, state: Any) -> Floats:
        """Return -H g without what leads against the subgradient."""
        direction = super()._direction(state)
        l1 = _weights(state)
        if l1 is not None:
            direction[(l1 > 0) & (direction * self._steepest(state) <= 0)] = 0.0
        return direction

    def _step(self, state: _State, used: float, end: str = "") -> Step:
        """Return the iterate."""
        return Step(
            state.u,
            Answer(state.smooth, state.gradient, state.residual),
            used,
            end,
            rest=rest_value(state.problem, state.u),
            subgradient=None if state.problem.rest is None else _subgradient(state),
        )


def _trial(state: _State) -> Floats:
    """Return the trial point: coefficients do not change their signs, but become 0."""
    moved = state.u + state.trial * state.direction
    l1 = _weights(state)
    if l1 is None or not state.trial:
        return moved
    orthant = np.where(state.u != 0, np.sign(state.u), np.sign(state.direction))
    moved[(l1 > 0) & (np.sign(moved) != orthant)] = 0.0
    return moved


def _weights(state: _State) -> Floats | None:
    """Return the weights of |u_j|; None where there are none."""
    return None if state.problem.rest is None else state.problem.rest.l1


def _subgradient(state: _State) -> Floats:
    """Return the smallest subgradient at the iterate."""
    rest = state.problem.rest
    return state.gradient if rest is None else rest.residual(state.u, state.gradient)
