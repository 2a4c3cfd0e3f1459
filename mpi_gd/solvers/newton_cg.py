"""Newton's method without the Hessian: its products with directions are enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mpi_gd.solvers.search import SearchedState, begin_search, start_search, take_trial
from mpi_gd.solvers.solver import (
    GIVEN,
    IDLE,
    Answer,
    Floats,
    Problem,
    Question,
    Solver,
    Step,
    diverged,
)

__all__ = ["NewtonCg"]

# Eisenstat and Walker's choice 2, with its safeguard: gamma (|g| / |g before|)^alpha.
_GAMMA, _ALPHA = 0.9, 1.618
_SAFEGUARD = 0.1
_FIRST_FORCING, _LEAST_FORCING = 0.5, 1e-4
# A direction along which the curvature is below this share of what is usual has none.
_NO_CURVATURE = 1e-12


@dataclass
class _State(SearchedState):
    """The iterate, conjugate gradients there, and the line search along what they have found."""

    norm: float
    """The length of the gradient."""
    forcing: float
    """To what share of it the model's gradient is to be brought."""
    is_searching: bool
    """Whether the direction is found, and the next question is about a trial point."""
    n_products: int
    rest: Floats
    """The model's negative gradient at the direction's end."""
    conjugate: Floats
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class NewtonCg(Solver):
    """u <- u + step * p, with H p = -grad F(u) solved roughly by conjugate gradients.

    A product with the Hessian costs a gradient, in time and in messages, and nothing is stored but
    a few vectors. How exactly each system is solved follows from how well the last model fitted, so
    that convergence is superlinear: Eisenstat and Walker, "Choosing the Forcing Terms in an Inexact
    Newton Method", SIAM J. Sci. Comput. 17(1), 1996, choice 2; Nocedal and Wright 2006, algorithm
    7.1. The steps satisfy the weak Wolfe conditions. For more columns than a matrix of them can be
    held of, where L-BFGS needs many iterations: strong correlations, or many digits. The columns
    are scaled, which is the preconditioner.
    """

    most_products: int = 50
    """Products with the Hessian that one step may take."""

    memory = _State

    def __post_init__(self) -> None:
        if self.most_products < 1:
            raise ValueError(f"most_products must be 1 or more, got {self.most_products}")

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(
            **start_search(u),
            norm=0.0,
            forcing=_FIRST_FORCING,
            is_searching=True,
            n_products=0,
            rest=np.zeros_like(u),
            conjugate=np.zeros_like(u),
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask at the trial point, or for the Hessian times the conjugate direction."""
        if state.is_searching:
            return Question(state.u + state.trial * state.direction)
        # Of length 1, so that the products are of the same size from first to last.
        return Question(state.u, along=state.conjugate / _length(state.conjugate))

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Take a step of conjugate gradients, or accept the trial point, or move the bracket."""
        if not state.is_searching:
            self._take_product(state, answer)
            return None
        if state.iteration < 0:
            if not answer.is_finite:
                raise diverged(state, answer, "rescale the columns or the target")
            return self._accept(state, answer)
        is_good = take_trial(state, answer)
        if is_good is None:
            last = Answer(state.value, state.gradient, state.residual)
            return Step(state.u, last, 0.0, IDLE)
        return self._accept(state, answer) if is_good else None

    def _take_product(self, state: _State, answer: Answer) -> None:
        """Take a step of conjugate gradients; where they are done, begin the line search."""
        if answer.product is None:
            raise ValueError("Newton-CG has asked for a product")
        length = _length(state.conjugate)
        unit = state.conjugate / length
        bend = float(np.dot(unit, answer.product))
        state.n_products += 1
        square = float(np.dot(state.rest, state.rest))
        if not bend > _NO_CURVATURE * state.problem.mean_curvature:
            # The objective is a straight line along it, or what the model says is no number.
            if not state.direction.any():
                state.direction = state.conjugate / state.problem.mean_curvature
            self._begin_search(state)
            return
        far = square / (bend * length)
        state.direction = state.direction + far * unit
        state.rest = state.rest - far * answer.product
        left = float(np.dot(state.rest, state.rest))
        is_done = math.sqrt(left) <= state.forcing * state.norm
        if is_done or state.n_products >= self.most_products:
            self._begin_search(state)
            return
        state.conjugate = state.rest + left / square * state.conjugate

    def _begin_search(self, state: _State) -> None:
        """Begin a line search along the direction."""
        state.slope = float(np.dot(state.direction, state.gradient))
        if not state.slope < 0:
            state.direction = -state.gradient / state.problem.mean_curvature
            state.slope = float(np.dot(state.direction, state.gradient))
        state.is_searching = True
        begin_search(state, 1.0)

    def _accept(self, state: _State, answer: Answer) -> Step:
        """Move to the trial point, and begin conjugate gradients there."""
        used, before = state.trial, state.norm
        state.u = state.u + used * state.direction
        state.value, state.gradient, state.residual = answer.value, answer.gradient, answer.residual
        state.norm = math.sqrt(float(np.dot(answer.gradient, answer.gradient)))
        state.iteration += 1
        if state.iteration:
            state.forcing = _next_forcing(state.forcing, state.norm, before)
        state.is_searching, state.n_products = False, 0
        state.direction = np.zeros_like(state.u)
        state.rest, state.conjugate = -state.gradient, -state.gradient
        if state.norm:
            return Step(state.u, answer, used)
        return Step(state.u, answer, used, "the gradient is 0", is_optimal=True)


def _next_forcing(forcing: float, norm: float, before: float) -> float:
    """Return to what share of its gradient the next model is to be solved."""
    wanted = _GAMMA * math.pow(norm / before, _ALPHA)
    # It must not fall at once when a step has been lucky.
    kept = _GAMMA * math.pow(forcing, _ALPHA)
    wanted = max(wanted, kept) if kept > _SAFEGUARD else wanted
    return min(max(wanted, _LEAST_FORCING), _FIRST_FORCING)


def _length(vector: Floats) -> float:
    """Return the Euclidean length, 1 of a vector of zeros."""
    return math.sqrt(float(np.dot(vector, vector))) or 1.0
