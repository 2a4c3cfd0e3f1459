"""Newton's method, proximal where the penalty has kinks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING, SUFFICIENT, falls_enough
from mpi_gd.solvers.quadratic import least_squares_step, minimize_model
from mpi_gd.solvers.solver import (
    GIVEN,
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
from mpi_gd.solvers.whole import rest_value

__all__ = ["Newton"]

_MOST_TRIALS = 12
# Damping: the first, the one below which there is none, and how it changes after a step that falls
# short of what the model promises, or keeps it; trial after trial it grows faster.
_FIRST, _LEAST = 1e-2, 1e-8
_MORE, _LESS = 10.0, 0.1
_POOR, _GOOD = 0.25, 0.75
# Steps that lower the objective by less than rounding: after so many there is nothing to gain.
_MOST_IDLE = 3
# A decrease that the model promises, relative to the objective, which float64 can hardly show.
_PRECISION = 1e-15
_GAIN = 0.5
# The promises of two steps are so far apart where convergence is quadratic, until the second is
# below so little of the objective that no digit is left to win.
_QUADRATIC = 1e-3
_EXACT = 1e-22


@dataclass
class _State(State):
    """The iterate, the answer there, and the trial point."""

    value: float
    """The whole objective."""
    smooth: float
    """Its smooth part."""
    gradient: Floats
    residual: float
    hessian: Floats
    """(n_params, n_params), at u."""
    size: Floats
    """(n_params,): the largest diagonal of the Hessian so far, in which the damping is measured."""
    damping: float
    direction: Floats
    """From u to the trial point."""
    slope: float
    """The objective's along it, not positive."""
    promise: float
    """The decrease that the model promises there, positive."""
    n_trials: int
    n_idle: int
    least_norm: float
    """The smallest gradient, or subgradient, so far."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Newton(Solver):
    """u <- u + d, d from the exact Hessian: quadratic convergence, a few passes over the data.

    Also known as iteratively reweighted least squares where the loss is a likelihood (McCullagh and
    Nelder, "Generalized Linear Models", 1989, section 2.5). With a rest d minimizes the quadratic
    model plus the rest (Lee, Sun and Saunders, "Proximal Newton-type Methods for Minimizing
    Composite Functions", SIAM J. Optim. 24(3), 2014). Where the objective does not fall, or by less
    than the model promises, the next model is damped: a multiple of the largest diagonal so far is
    added to the Hessian (More, "The Levenberg-Marquardt Algorithm: Implementation and Theory",
    1978), which shortens the step most where the objective is flat and the model knows least. Each
    rank holds and solves with the Hessian: for up to a few thousand parameters.
    """

    takes_rest = True
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
            hessian=np.zeros((len(u), len(u))),
            size=np.zeros_like(u),
            damping=0.0,
            direction=np.zeros_like(u),
            slope=0.0,
            promise=0.0,
            n_trials=0,
            n_idle=0,
            least_norm=math.inf,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the trial point."""
        return Question(state.u + state.direction, hessian=True)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Accept the trial point, or take a shorter step."""
        u = state.u + state.direction
        value = answer.value + rest_value(state.problem, u)
        is_finite = answer.is_finite and math.isfinite(value)
        is_start = state.iteration < 0
        if is_start and not is_finite:
            raise diverged(state, answer, "rescale the columns or the target")
        if is_start or (is_finite and self._falls(state, answer, value)):
            return self._accept(state, answer, u, value)
        state.n_trials += 1
        state.damping = max(_FIRST, state.damping * _MORE**state.n_trials)
        if state.n_trials < _MOST_TRIALS:
            self._aim(state)
            return None
        return self._step(state, 0.0, IDLE)

    def _falls(self, state: _State, answer: Answer, value: float) -> bool:
        """Whether the trial point is low enough."""
        if state.problem.rest is None:
            slope = float(np.dot(state.direction, answer.gradient))
            return falls_enough(state.value, value, 1.0, state.slope, slope)
        # Where the promise drowns in rounding, so does the comparison.
        return value <= state.value + SUFFICIENT * state.slope + ROUNDING * abs(state.value)

    def _accept(self, state: _State, answer: Answer, u: Floats, value: float) -> Step:
        """Move to the point that was asked about, and aim at the minimum of the model there."""
        if answer.hessian is None:
            raise ValueError("Newton's method has asked for a Hessian")
        is_start = state.iteration < 0
        before = state.promise
        if not is_start:
            state.damping = _next_damping(state, value)
        state.u, state.value, state.smooth = u, value, answer.value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.hessian = answer.hessian
        # Alike in all outputs, so that what they have in common stays apart.
        diagonal = np.diag(answer.hessian).reshape(-1, state.problem.n_outputs).max(axis=1)
        state.size = np.maximum(state.size, np.repeat(diagonal, state.problem.n_outputs))
        state.iteration += 1
        state.n_trials = 0
        self._aim(state)
        is_sharpening = _EXACT * abs(value) < state.promise < _QUADRATIC * before
        is_idle = not state.promise > _PRECISION * abs(value)
        step = replace(self._step(state, 0.0 if is_start else 1.0), is_sharpening=is_sharpening)
        # What the objective does not show any more, the gradient may.
        has_gained = step.norm < _GAIN * state.least_norm
        state.n_idle = 0 if has_gained or not is_idle else state.n_idle + 1
        state.least_norm = min(state.least_norm, step.norm)
        return self._step(state, 1.0, IDLE) if state.n_idle >= _MOST_IDLE else step

    def _aim(self, state: _State) -> None:
        """Aim at the minimum of the damped model."""
        problem, hessian = state.problem, state.hessian
        if state.damping:
            hessian = hessian + np.diag(state.damping * state.size)
        if problem.rest is None:
            state.direction = least_squares_step(hessian, state.gradient, problem.n_outputs)
            change = 0.0
        else:
            lowest = minimize_model(
                hessian, state.gradient, state.u, problem.rest, problem.n_outputs
            )
            state.direction = lowest - state.u
            change = problem.rest.value(lowest) - problem.rest.value(state.u)
        state.slope = float(np.dot(state.direction, state.gradient)) + change
        bend = float(np.dot(state.direction, state.hessian @ state.direction))
        state.promise = -(state.slope + bend / 2.0)

    def _step(self, state: _State, used: float, end: str = "") -> Step:
        """Return the iterate."""
        rest = state.problem.rest
        return Step(
            state.u,
            Answer(state.smooth, state.gradient, state.residual),
            used,
            end,
            rest=rest_value(state.problem, state.u),
            subgradient=None if rest is None else rest.residual(state.u, state.gradient),
        )


def _next_damping(state: _State, value: float) -> float:
    """Return the damping after a step to where the objective is `value`."""
    # Where both drown in rounding the model is as good as it can be.
    slack = ROUNDING * abs(state.value)
    share = (state.value - value + slack) / (state.promise + slack) if state.promise > 0 else 1.0
    if share < _POOR:
        return max(_FIRST, state.damping * _MORE)
    damping = state.damping * _LESS if share > _GOOD else state.damping
    return damping if damping >= _LEAST else 0.0
