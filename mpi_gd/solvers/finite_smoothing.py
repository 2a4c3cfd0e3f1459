"""Newton's method for losses with kinks, which are rounded off less and less."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING, SUFFICIENT
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
from mpi_gd.solvers.whole import rest_value

__all__ = ["FiniteSmoothing"]

# Each width is so much smaller than the last; where the path to the minimum has been straight, so
# much; and none is smaller than this share of the first.
_FACTOR = 0.2
_BOLD_FACTOR = 1e-3
_LEAST_WIDTH = 1e-10
_SMALL_WIDTH = 1e-6
# A width is done when the gradient is so small beside the residuals, or nothing falls any more, or
# after so many steps.
_DONE = 1e-12
_MOST_STEPS = 100
_MOST_TRIALS = 40
# Where the next width begins, the gradient is that small if the path is straight.
_STRAIGHT = 1e-7
_PRECISION = 1e-15
# Share of the mean curvature that is added: in directions in which no row is within its kink there
# is a slope and no curvature.
_DAMPING = 1e-7


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
    width: float
    n_steps: int
    """Points that were accepted with this width."""
    n_straight: int
    """Widths at whose beginning the gradient vanished already, in a row."""
    soft: Floats
    """(2, n_params): the minima with the last width that is not small, and with the first one that
    is: at kinks z / width has more digits there than in the end."""
    soft_widths: Floats
    """(2,): these widths, infinite where there is none yet."""
    minima: Floats
    """(2, n_params): the minima at the last two widths that are done."""
    widths: Floats
    """(2,): these widths, infinite where there is none yet."""
    is_last: bool
    """Whether the next answer is about the loss itself."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class FiniteSmoothing(Solver):
    """u = argmin, for quantile regression, support vector machines and the like, to full precision.

    Within a width of its kinks the loss is replaced by a parabola, and Newton's method minimizes
    that; then the width is reduced. The minimum is a piecewise linear function of the width: where
    a width begins with a vanishing gradient on the line through the last two minima, the line
    leads to the minimum of the loss itself. So the end is reached in finitely many steps.
    Madsen and Nielsen, "A Finite Smoothing Algorithm for Linear l1 Estimation", SIAM J. Optim.
    3(2), 1993; Chen, "A Finite Smoothing Algorithm for Quantile Regression", J. Comput. Graph.
    Stat. 16(1), 2007. With a rest the steps are proximal ones. Each rank holds the Hessian: for up
    to a few thousand parameters.
    """

    takes_rest = True
    takes_kinks = True
    memory = _State

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        if not problem.has_kinks:
            return "is for losses with kinks"
        if problem.rest is not None and not problem.rest.is_convex:
            return "cannot handle a penalty that is not convex"
        return ""

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
            width=problem.kink_width,
            n_steps=0,
            n_straight=0,
            soft=np.zeros((2, u.size)),
            soft_widths=np.full(2, math.inf),
            minima=np.zeros((2, u.size)),
            widths=np.full(2, math.inf),
            is_last=False,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the trial point; in the end, about the loss itself."""
        if state.is_last:
            return Question(state.u)
        u = state.u + state.trial * state.direction
        return Question(u, hessian=True, smoothing=state.width)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Accept the trial point, or shorten the step; where a width is done, begin the next."""
        if state.is_last:
            return self._end(state, answer)
        u = state.u + state.trial * state.direction
        value = answer.value + rest_value(state.problem, u)
        is_finite = answer.is_finite and math.isfinite(value)
        is_first = state.n_steps == 0
        if is_first and not is_finite:
            raise diverged(state, answer, "rescale the columns or the target")
        enough = state.value + SUFFICIENT * state.trial * state.promise
        if is_first or (is_finite and value <= enough + ROUNDING * abs(state.value)):
            return self._accept(state, answer, u, value)
        state.n_trials += 1
        if state.n_trials >= _MOST_TRIALS:
            state.direction = np.zeros_like(u)
            self._finish_width(state, is_straight=False)
            return None
        # Where the parabola through both values and the slope is least, within reason.
        excess = value - state.value - state.trial * state.promise
        share = -state.trial * state.promise / (2.0 * excess) if is_finite and excess > 0 else 0.0
        state.trial *= min(max(share, 0.1), 0.5)
        return None

    def _accept(self, state: _State, answer: Answer, u: Floats, value: float) -> Step:
        """Move to the point that was asked about, and aim at the minimum of the model there."""
        if answer.hessian is None:
            raise ValueError("Newton's method has asked for a Hessian")
        used, rest = state.trial, state.problem.rest
        state.u, state.value, state.smooth = u, value, answer.value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.iteration += 1
        state.n_steps += 1
        state.n_trials, state.trial = 0, 1.0
        self._keep_soft(state)
        damping = _DAMPING * float(np.trace(answer.hessian)) / len(u)
        hessian = answer.hessian + (damping or 1.0) * np.eye(len(u))
        if rest is None:
            state.direction = least_squares_step(hessian, answer.gradient, 1)
            state.promise = float(np.dot(state.direction, answer.gradient))
        else:
            lowest = minimize_model(hessian, answer.gradient, u, rest)
            state.direction = lowest - u
            change = rest.value(lowest) - rest.value(u)
            state.promise = float(np.dot(state.direction, answer.gradient)) + change
        step = self._step(state, used)
        is_straight = state.n_steps == 1 and step.norm <= _STRAIGHT * state.residual
        is_done = step.norm <= _DONE * state.residual or state.n_steps >= _MOST_STEPS
        if is_done or is_straight or not -state.promise > _PRECISION * abs(value):
            self._finish_width(state, is_straight)
        return step

    def _keep_soft(self, state: _State) -> None:
        """Remember the iterate, if its width is one of the two that are to be remembered."""
        is_small = state.width < _SMALL_WIDTH * state.problem.kink_width
        if not is_small or state.soft_widths[1] in (state.width, math.inf):
            state.soft[int(is_small)], state.soft_widths[int(is_small)] = state.u, state.width

    def _softened(self, state: _State) -> tuple[tuple[Floats, float], ...]:
        """Return the minima of smoothed losses that are remembered."""
        pairs = zip(state.soft, state.soft_widths.tolist(), strict=True)
        return tuple((u.copy(), width) for u, width in pairs if math.isfinite(width))

    def _step(self, state: _State, used: float) -> Step:
        """Return the iterate, which is that of another objective."""
        rest = state.problem.rest
        return Step(
            state.u,
            Answer(state.smooth, state.gradient, state.residual),
            used,
            rest=rest_value(state.problem, state.u),
            subgradient=None if rest is None else rest.residual(state.u, state.gradient),
            is_smoothed=True,
            softened=((state.u, state.width),),
        )

    def _finish_width(self, state: _State, is_straight: bool) -> None:
        """Begin the next width on the line through the last two minima, or end at width 0."""
        is_known = math.isfinite(state.widths[1])
        state.n_straight = state.n_straight + 1 if is_straight and is_known else 0
        state.minima = np.stack([state.minima[1], state.u + state.trial * state.direction])
        state.widths = np.array([state.widths[1], state.width])
        is_least = state.width <= _LEAST_WIDTH * state.problem.kink_width
        # Straight over a long way, not by chance over a short one.
        state.is_last = state.n_straight >= 2 or is_least
        if state.is_last:
            state.u = self._on_the_line(state, 0.0)
            return
        state.width *= _BOLD_FACTOR if state.n_straight else _FACTOR
        begin = self._on_the_line(state, state.width)
        state.direction, state.trial = begin - state.u, 1.0
        state.n_steps = state.n_trials = 0

    def _on_the_line(self, state: _State, width: float) -> Floats:
        """Return where the line through the last two minima is at this width."""
        before, last = state.minima
        if not math.isfinite(state.widths[0]):
            return np.array(last)
        share = (state.widths[1] - width) / (state.widths[0] - state.widths[1])
        on = last + share * (last - before)
        rest = state.problem.rest
        if rest is None:
            return np.asarray(on)
        # What the rest holds at a kink or at a bound stays there.
        on = np.where(last == 0, 0.0, on)
        if rest.lower is not None and rest.upper is not None:
            on = np.clip(on, rest.lower, rest.upper)
        return np.asarray(on)

    def _end(self, state: _State, answer: Answer) -> Step:
        """Report the loss itself; the gradient is that of the last smoothed one."""
        rest = state.problem.rest
        state.iteration += 1
        shown = state.gradient if rest is None else rest.residual(state.minima[1], state.gradient)
        return Step(
            state.u,
            answer,
            0.0,
            f"the kinks smoothed over {state.width:.0e} in the end",
            is_optimal=True,
            rest=rest_value(state.problem, state.u),
            subgradient=shown,
            softened=self._softened(state),
        )
