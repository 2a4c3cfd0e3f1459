"""Newton's method, proximal where the penalty has kinks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING, SUFFICIENT, falls_enough
from mpi_gd.solvers.quadratic import least_squares_step, minimize_model
from mpi_gd.solvers.solver import (
    GIVEN,
    Answer,
    Floats,
    Problem,
    Question,
    Solver,
    State,
    Step,
    diverged,
)

__all__ = ["Newton"]

_SHRINK = 0.5
_MOST_TRIALS = 40
# Steps that lower the objective by less than rounding: after so many there is nothing to gain.
_MOST_IDLE = 3
_IDLE = "no step lowers the objective any more"
# A decrease that the model promises, relative to the objective, which float64 can hardly show.
_PRECISION = 1e-15
_GAIN = 0.5


@dataclass
class _State(State):
    """The iterate, the answer there, and the trial point."""

    value: float
    """The whole objective."""
    smooth: float
    """Its smooth part."""
    gradient: Floats
    residual: float
    direction: Floats
    promise: float
    """The decrease that the whole step promises, not positive."""
    trial: float
    n_trials: int
    n_idle: int
    least_norm: float
    """The smallest gradient, or subgradient, so far."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Newton(Solver):
    """u <- u + t d, d from the exact Hessian: quadratic convergence, a few passes over the data.

    Also known as iteratively reweighted least squares where the loss is a likelihood (McCullagh and
    Nelder, "Generalized Linear Models", 1989, section 2.5). With a rest d minimizes the quadratic
    model plus the rest (Lee, Sun and Saunders, "Proximal Newton-type Methods for Minimizing
    Composite Functions", SIAM J. Optim. 24(3), 2014). t is halved until the objective falls. Each
    rank holds and solves with the Hessian: for up to a few thousand parameters.
    """

    takes_rest = True
    needs_hessian = True
    memory = _State

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        if problem.rest is not None and not problem.rest.is_convex:
            return "cannot handle a penalty that is not convex"
        return super().lacks(problem)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(
            u=u.copy() if problem.rest is None else problem.rest.prox(u, 1.0),
            iteration=-1,
            value=math.inf,
            smooth=math.inf,
            gradient=np.zeros_like(u),
            residual=0.0,
            direction=np.zeros_like(u),
            promise=0.0,
            trial=0.0,
            n_trials=0,
            n_idle=0,
            least_norm=math.inf,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the trial point."""
        return Question(state.u + state.trial * state.direction, hessian=True)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Accept the trial point, or halve the step."""
        u = state.u + state.trial * state.direction
        value = answer.value + _rest(state, u)
        is_finite = answer.is_finite and math.isfinite(value)
        is_start = state.iteration < 0
        if is_start and not is_finite:
            raise diverged(state, answer, "rescale the columns or the target")
        if is_start or (is_finite and self._falls(state, answer, value)):
            return self._accept(state, answer, u, value)
        state.n_trials += 1
        state.trial *= _SHRINK
        if state.n_trials < _MOST_TRIALS:
            return None
        return self._step(state, 0.0, _IDLE)

    def _falls(self, state: _State, answer: Answer, value: float) -> bool:
        """Whether the trial point is low enough."""
        if state.problem.rest is None:
            slope = float(np.dot(state.direction, answer.gradient))
            return falls_enough(state.value, value, state.trial, state.promise, slope)
        enough = SUFFICIENT * state.trial * state.promise
        # Where the promise drowns in rounding, so does the comparison.
        return value <= state.value + enough + ROUNDING * abs(state.value)

    def _accept(self, state: _State, answer: Answer, u: Floats, value: float) -> Step:
        """Move to the point that was asked about, and aim at the minimum of the model there."""
        used, problem = state.trial, state.problem
        state.u, state.value, state.smooth = u, value, answer.value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.iteration += 1
        state.n_trials, state.trial = 0, 1.0
        if answer.hessian is None:
            raise ValueError("Newton's method has asked for a Hessian")
        if problem.rest is None:
            state.direction = least_squares_step(answer.hessian, answer.gradient, problem.n_outputs)
            state.promise = float(np.dot(state.direction, answer.gradient))
        else:
            lowest = minimize_model(answer.hessian, answer.gradient, u, problem.rest)
            state.direction = lowest - u
            change = problem.rest.value(lowest) - problem.rest.value(u)
            state.promise = float(np.dot(state.direction, answer.gradient)) + change
        is_idle = not -state.promise > _PRECISION * abs(value)
        step = self._step(state, used)
        # What the objective does not show any more, the gradient may.
        has_gained = step.norm < _GAIN * state.least_norm
        state.n_idle = 0 if has_gained or not is_idle else state.n_idle + 1
        state.least_norm = min(state.least_norm, step.norm)
        return self._step(state, used, _IDLE) if state.n_idle >= _MOST_IDLE else step

    def _step(self, state: _State, used: float, end: str = "") -> Step:
        """Return the iterate."""
        rest = state.problem.rest
        return Step(
            state.u,
            Answer(state.smooth, state.gradient, state.residual),
            used,
            end,
            rest=_rest(state, state.u),
            subgradient=None if rest is None else rest.residual(state.u, state.gradient),
        )


def _rest(state: _State, u: Floats) -> float:
    """Return the rest at u."""
    return 0.0 if state.problem.rest is None else state.problem.rest.value(u)
