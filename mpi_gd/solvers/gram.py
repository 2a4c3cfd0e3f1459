"""Least squares from its second moments: one pass over the rows, whatever the penalty."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

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

__all__ = ["GramSolver"]

# Where the moments leave the objective less certain than this share of it, it is asked for.
_UNCERTAIN = 1e-11
# A correction is kept where it leaves so little of the gradient, or less.
_GAIN = 0.5


@dataclass
class _State(State):
    """The iterate, the answer there, and the point to ask about."""

    value: float
    """The smooth part."""
    gradient: Floats
    residual: float
    norm: float
    """The largest component of the gradient, or of the smallest subgradient."""
    hessian: Floats
    """(n_params, n_params)."""
    trial: Floats
    """The point of the next question."""
    is_exact: bool
    """Whether the next question is answered from the rows."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class GramSolver(Solver):
    """u = argmin of least squares, from X'X and X'y: the rows are read once, scaling included.

    Ridge by Cholesky's factorization; lasso, elastic net, bounds (non-negative least squares) and
    groups by active sets or coordinate descent on the replicated X'X. The objective's digits are
    those of y'y, so that with an R2 of 1 - 10^-k they lose k; where what rounding may leave of the
    gradient is above `stop.tol`, or of the objective above 1e-11 of it, the rows are asked once
    more, and the solution is corrected by what they say (iterative refinement; Bjorck, "Numerical
    Methods for Least Squares Problems", 1996, section 2.9.2).
    """

    takes_rest = True
    memory = _State

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        if not problem.has_moments:
            return "is for the squared loss with up to 2000 columns"
        if problem.rest is not None and not problem.rest.is_convex:
            return "cannot handle a penalty that is not convex"
        return super().lacks(problem)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        begin = u.copy() if problem.rest is None else problem.rest.prox(u, 1.0)
        return _State(
            u=begin,
            iteration=-1,
            value=math.inf,
            gradient=np.zeros_like(u),
            residual=0.0,
            norm=math.inf,
            hessian=np.zeros((len(u), len(u))),
            trial=begin.copy(),
            is_exact=False,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask about the start and the minimum without reading rows; then, if need be, with."""
        if state.is_exact:
            return Question(state.trial)
        return Question(state.trial, hessian=True, moments=True)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Report the start, the minimum, and what the rows say of it."""
        if not answer.is_finite:
            raise diverged(state, answer, "rescale the columns or the target")
        step = _step(state, state.trial, answer)
        if state.is_exact and state.iteration > 1 and not step.norm <= _GAIN * state.norm:
            # The last correction was one of rounding errors.
            last = Answer(state.value, state.gradient, state.residual)
            return _step(state, state.u, last, 0.0, IDLE)
        if answer.hessian is not None and not state.is_exact:
            state.hessian = answer.hessian
        state.iteration += 1
        state.u, state.value, state.gradient = state.trial, answer.value, answer.gradient
        state.residual, state.norm = answer.residual, step.norm
        if state.iteration == 1:
            # Next: the same point, answered from the rows.
            state.is_exact = True
            unsure = answer.value_error > _UNCERTAIN * abs(step.value)
            return replace(step, step_size=1.0, is_sharpening=unsure)
        state.trial = _minimum(state)
        return replace(step, step_size=float(state.iteration > 0))


def _minimum(state: _State) -> Floats:
    """Return where the parabola at u, plus the rest, is least."""
    rest = state.problem.rest
    if rest is None:
        return state.u + least_squares_step(state.hessian, state.gradient, 1)
    return minimize_model(state.hessian, state.gradient, state.u, rest)


def _step(state: _State, u: Floats, answer: Answer, used: float = 0.0, end: str = "") -> Step:
    """Return an iterate."""
    rest = state.problem.rest
    return Step(
        u,
        replace(answer, hessian=None),
        used,
        end,
        rest=0.0 if rest is None else rest.value(u),
        subgradient=None if rest is None else rest.residual(u, answer.gradient),
    )
