"""Newton's method, proximal where the penalty has kinks, on a path where the loss has."""

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
_GAIN = 0.5
# A decrease that the model promises, relative to the objective, which float64 can hardly show.
_PRECISION = 1e-15
# Widths of smoothing: each so much smaller than the last, down to this share of the first one. The
# factor becomes bolder where few steps were enough, and its root where the first one went too far.
_NARROW = 0.2
_LEAST_FACTOR = 0.02
_MOST_FACTOR = 0.8
_BOLDER = 1.3
_FEW_STEPS = 2
_FAR_TRIALS = 3
_LEAST_WIDTH = 1e-11
# A width is done when the model promises less than this share of it.
_WIDTH_DONE = 1e-3


@dataclass
class _State(State):
    """The iterate, the answer there, and the trial point."""

    value: float
    """The whole objective, smoothed."""
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
    width: float
    """Of the smoothing; 0 where the loss is smooth."""
    is_fresh: bool
    """Whether the next answer is the first one about this objective: of the start or of a width."""
    is_last: bool
    """Whether the next answer is about the loss itself, at the minimum of the smoothed one."""
    n_steps: int
    """Steps that were taken with this width, its beginning among them."""
    factor: float
    """How much smaller the next width is."""
    minima: Floats
    """(2, n_params): the minima at the last two widths that are done."""
    widths: Floats
    """(2,): these widths, infinite where there is none yet."""
    least_norm: float
    """The smallest gradient, or subgradient, of this objective so far."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Newton(Solver):
    """u <- u + t d, d from the exact Hessian: quadratic convergence, a few passes over the data.

    Also known as iteratively reweighted least squares where the loss is a likelihood (McCullagh and
    Nelder, "Generalized Linear Models", 1989, section 2.5). With a rest d minimizes the quadratic
    model plus the rest (Lee, Sun and Saunders, "Proximal Newton-type Methods for Minimizing
    Composite Functions", SIAM J. Optim. 24(3), 2014). A loss with kinks is minimized smoothed, with
    less and less width, each time from the last minimum, to within 1e-11 of its scale: the path of
    an interior point method (Nesterov, "Smooth Minimization of Non-smooth Functions", Mathematical
    Programming 103, 2005, for the error of smoothing). t is halved until the objective falls. Each
    rank holds and solves with the Hessian: for up to a few thousand parameters.
    """

    takes_rest = True
    takes_kinks = True
    needs_hessian = True
    memory = _State

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        if problem.rest is not None and not problem.rest.is_convex:
            return "cannot handle a penalty that is not convex"
        return ""

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        width = problem.kink_width if problem.has_kinks else 0.0
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
            width=width,
            is_fresh=True,
            is_last=False,
            n_steps=0,
            factor=_NARROW,
            minima=np.zeros((2, u.size)),
            widths=np.full(2, math.inf),
            least_norm=math.inf,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the trial point."""
        if state.is_last:
            return Question(state.u)
        return Question(_trial_point(state), hessian=True, smoothing=state.width)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Accept the trial point, or halve the step."""
        if state.is_last:
            return self._end(state, answer)
        u = _trial_point(state)
        value = answer.value + _rest(state, u)
        is_finite = answer.is_finite and math.isfinite(value)
        if state.is_fresh and not is_finite:
            raise diverged(state, answer, "rescale the columns or the target")
        if state.is_fresh or (is_finite and self._falls(state, answer, value)):
            return self._accept(state, answer, u, value)
        state.n_trials += 1
        state.trial *= _SHRINK
        is_too_far = state.n_steps == 1 and state.n_trials == _FAR_TRIALS
        if state.width and is_too_far and _LEAST_FACTOR <= state.factor < _MOST_FACTOR:
            # The minimum of the last width is no good place to begin this one: go less far.
            state.factor = math.sqrt(state.factor)
            self._go_on(state)
            return None
        if state.n_trials < _MOST_TRIALS:
            return None
        if state.width:
            self._narrow(state)
            return None
        return self._give_up(state)

    def _falls(self, state: _State, answer: Answer, value: float) -> bool:
        """Whether the trial point is low enough."""
        if state.problem.rest is None:
            slope = float(np.dot(state.direction, answer.gradient))
            return falls_enough(state.value, value, state.trial, state.promise, slope)
        enough = SUFFICIENT * state.trial * state.promise
        # Where the promise drowns in rounding, so does the comparison.
        return value <= state.value + enough + ROUNDING * abs(state.value)

    def _accept(self, state: _State, answer: Answer, u: Floats, value: float) -> Step | None:
        """Move to the point that was asked about, and aim at the minimum of the model there."""
        used, problem = state.trial, state.problem
        state.u, state.value, state.smooth = u, value, answer.value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.iteration += 1
        state.n_steps += 1
        state.is_fresh, state.n_trials, state.trial = False, 0, 1.0
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
        if state.width and (is_idle or -state.promise <= _WIDTH_DONE * state.width):
            self._narrow(state)
        elif state.n_idle >= _MOST_IDLE:
            return self._step(state, used, "no step lowers the objective any more")
        return step

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
            is_smoothed=bool(state.width),
        )

    def _give_up(self, state: _State) -> Step:
        """End where float64 shows no decrease."""
        return self._step(state, 0.0, "no step lowers the objective any more")

    def _narrow(self, state: _State) -> None:
        """Go on with a smaller width, or ask for the loss itself."""
        minimum = _trial_point(state)
        state.is_fresh, state.n_trials = True, 0
        if state.width <= _LEAST_WIDTH * state.problem.kink_width:
            state.is_last = True
            return
        if state.n_steps <= _FEW_STEPS:
            state.factor = max(_LEAST_FACTOR, state.factor**_BOLDER)
        state.minima = np.stack([state.minima[1], minimum])
        state.widths = np.array([state.widths[1], state.width])
        self._go_on(state)

    def _go_on(self, state: _State) -> None:
        """Begin a width, so much smaller than the last one that is done.

        In the end the minimum moves in proportion to the width, and with it the rows within the
        kink: so does the point where the next width begins.
        """
        before, last = state.minima
        state.width = state.factor * state.widths[1]
        on = last
        if math.isfinite(state.widths[0]):
            share = (state.widths[1] - state.width) / (state.widths[0] - state.widths[1])
            on = last + share * (last - before)
            rest = state.problem.rest
            if rest is not None:
                on = np.where(last == 0, 0.0, on)
                if rest.lower is not None and rest.upper is not None:
                    on = np.clip(on, rest.lower, rest.upper)
        state.u, state.direction, state.trial = last, on - last, 1.0
        state.is_fresh, state.n_trials, state.n_idle, state.n_steps = True, 0, 0, 0
        state.least_norm = math.inf

    def _end(self, state: _State, answer: Answer) -> Step:
        """Report the loss itself at the minimum; the gradient is that of the smoothed one."""
        rest = state.problem.rest
        state.iteration += 1
        residual = state.gradient if rest is None else rest.residual(state.u, state.gradient)
        return Step(
            state.u,
            answer,
            0.0,
            f"smoothed over a width of {state.width:.0e} in the end",
            rest=_rest(state, state.u),
            subgradient=residual,
            is_optimal=True,
        )


def _trial_point(state: _State) -> Floats:
    """Return the point that is asked about."""
    return np.asarray(state.u + state.trial * state.direction)


def _rest(state: _State, u: Floats) -> float:
    """Return the rest at u."""
    return 0.0 if state.problem.rest is None else state.problem.rest.value(u)
