"""Accelerated proximal gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING
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

__all__ = ["Fista"]

_SHRINK = 0.5
# A step that was accepted at once is tried a little longer the next time.
_GROW = 1.1
_MOST_TRIALS = 60
_MOST_IDLE = 30
# Decreases of the objective below this share of it are rounding errors.
_IDLE_SHARE = 1e-16
# Changes below this share of it say little of the curvature.
_DROWNED = 1e-9


@dataclass
class _State(State):
    """The iterate, the point with momentum, and the trial point from there."""

    value: float
    """The whole objective at u; infinite before it is known."""
    smooth: float
    gradient: Floats
    """Of the smooth part at u."""
    residual: float
    point: Floats
    """u, moved on by momentum: where the gradient step begins."""
    point_smooth: float
    point_gradient: Floats
    step_size: float
    momentum: float
    """Nesterov's t."""
    is_known: bool
    """Whether the gradient at `point` is."""
    n_trials: int
    n_idle: int
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Fista(Solver):
    """u <- prox(v - step grad(v)), v = u moved on by momentum (Beck and Teboulle, "A Fast Iterative
    Shrinkage-Thresholding Algorithm for Linear Inverse Problems", SIAM J. Imaging Sci. 2, 2009).

    The objective falls like 1 / k^2, faster where it is strongly convex: the momentum is dropped
    where it leads uphill (O'Donoghue and Candes, "Adaptive Restart for Accelerated Gradient
    Schemes", Found. Comput. Math. 15, 2015). The step is halved until the quadratic bound holds,
    and grows again. For penalties with kinks and more parameters than Newton's method can hold; a
    penalty that is not convex is brought to a stationary point. Two gradients an iteration.
    """

    takes_rest = True
    memory = _State

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u, or at the point nearest to it within bounds."""
        begin = u.copy() if problem.rest is None else problem.rest.prox(u, 1e-300)
        return _State(
            u=begin,
            iteration=-1,
            value=math.inf,
            smooth=math.inf,
            gradient=np.zeros_like(u),
            residual=0.0,
            point=begin.copy(),
            point_smooth=math.inf,
            point_gradient=np.zeros_like(u),
            step_size=1.0 / problem.mean_curvature,
            momentum=1.0,
            is_known=False,
            n_trials=0,
            n_idle=0,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the point with momentum, or at the trial point from there."""
        return Question(self._trial(state) if state.is_known else state.point)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Take the gradient at the point, or accept the trial point, or shorten the step."""
        if not state.is_known:
            return self._take_point(state, answer)
        trial = self._trial(state)
        value = answer.value + rest_value(state.problem, trial)
        if not (answer.is_finite and self._is_bounded(state, trial, answer)):
            state.n_trials += 1
            state.step_size *= _SHRINK
            return None if state.n_trials < _MOST_TRIALS else self._step(state, 0.0, IDLE)
        has_moved_on = state.momentum > 1.0
        if value > state.value + ROUNDING * abs(state.value) and has_moved_on:
            self._restart(state)
            return None
        return self._accept(state, trial, answer, value)

    def _take_point(self, state: _State, answer: Answer) -> Step | None:
        """Take the answer at the point with momentum; the first one is at the start."""
        if not answer.is_finite:
            if state.iteration < 0:
                raise diverged(state, answer, "rescale the columns or the target")
            self._restart(state)
            return None
        state.point_smooth, state.point_gradient = answer.value, answer.gradient
        state.is_known = True
        if state.iteration >= 0:
            return None
        state.iteration = 0
        state.smooth, state.gradient, state.residual = (
            answer.value,
            answer.gradient,
            answer.residual,
        )
        state.value = answer.value + rest_value(state.problem, state.u)
        return self._step(state, 0.0)

    def _trial(self, state: _State) -> Floats:
        """Return the proximal gradient step from the point."""
        moved = state.point - state.step_size * state.point_gradient
        rest = state.problem.rest
        return moved if rest is None else rest.prox(moved, state.step_size)

    def _is_bounded(self, state: _State, trial: Floats, answer: Answer) -> bool:
        """Whether the smooth part is below the parabola that the step stands for.

        Where that drowns in rounding, the gradients tell the curvature.
        """
        move = trial - state.point
        bound = (
            state.point_smooth
            + float(np.dot(state.point_gradient, move))
            + float(np.dot(move, move)) / (2.0 * state.step_size)
        )
        if answer.value > bound + ROUNDING * abs(bound):
            return False
        if abs(answer.value - state.point_smooth) > _DROWNED * abs(bound):
            return True
        change = answer.gradient - state.point_gradient
        return float(np.dot(change, move)) <= float(np.dot(move, move)) / state.step_size

    def _restart(self, state: _State) -> None:
        """Drop the momentum: begin from the iterate, whose gradient is known."""
        state.point, state.momentum = state.u.copy(), 1.0
        state.point_smooth, state.point_gradient = state.smooth, state.gradient
        state.is_known = True

    def _accept(self, state: _State, trial: Floats, answer: Answer, value: float) -> Step:
        """Move to the trial point, and on by momentum."""
        used, last = state.step_size, state.u
        is_idle = not state.value - value > _IDLE_SHARE * abs(value)
        state.n_idle = state.n_idle + 1 if is_idle else 0
        # The gradient step and the move disagree: the momentum leads uphill.
        is_uphill = float(np.dot(state.point - trial, trial - last)) > 0
        state.u, state.value, state.smooth = trial, value, answer.value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.iteration += 1
        if not state.n_trials:
            state.step_size *= _GROW
        state.n_trials = 0
        if is_uphill or is_idle:
            self._restart(state)
        else:
            momentum = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * state.momentum**2))
            state.point = trial + (state.momentum - 1.0) / momentum * (trial - last)
            state.momentum = momentum
            state.is_known = False
        return self._step(state, used, IDLE if state.n_idle >= _MOST_IDLE else "")

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
