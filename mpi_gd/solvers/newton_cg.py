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
# All pairs are so many numbers at most.
_MOST_NUMBERS = 1 << 27


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
    square: float
    """rest.M.rest, M the preconditioner."""
    moves: list[Floats]
    """(2 memory_length, n_params): directions of length 1 that products are known of; in the first
    half those that M is made of, in the second those of this system."""
    changes: list[Floats]
    """(2 memory_length, n_params): the Hessian times them."""
    n_pairs: int
    """Pairs of the first half."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class NewtonCg(Solver):
    """u <- u + step * p, with H p = -grad F(u) solved roughly by conjugate gradients.

    A product with the Hessian costs a gradient, in time and in messages, and nothing is stored but
    a few vectors. How exactly each system is solved follows from how well the last model fitted, so
    that convergence is superlinear: Eisenstat and Walker, "Choosing the Forcing Terms in an Inexact
    Newton Method", SIAM J. Sci. Comput. 17(1), 1996, choice 2; Nocedal and Wright 2006, algorithm
    7.1. The steps satisfy the weak Wolfe conditions. For more columns than a matrix of them can be
    held of, where L-BFGS needs many iterations: strong correlations, or many digits. Beside the
    columns' scaling the preconditioner is the BFGS matrix of the last system's products, which
    costs no further ones: Morales and Nocedal, "Automatic Preconditioning by Limited Memory
    Quasi-Newton Updating", SIAM J. Optim. 10(4), 2000.
    """

    most_products: int = 50
    """Products with the Hessian that one step may take."""

    memory_length: int = 10
    """Products of the last system that precondition the next, 0 for none: four vectors of all
    parameters each; fewer where they would take more than a GiB."""

    memory = _State

    def __post_init__(self) -> None:
        if self.most_products < 1:
            raise ValueError(f"most_products must be 1 or more, got {self.most_products}")
        if self.memory_length < 0:
            raise ValueError(f"memory_length must be 0 or more, got {self.memory_length}")

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        length = min(self.memory_length, _MOST_NUMBERS // (4 * u.size))
        return _State(
            **start_search(u),
            norm=0.0,
            forcing=_FIRST_FORCING,
            is_searching=True,
            n_products=0,
            rest=np.zeros_like(u),
            conjugate=np.zeros_like(u),
            square=0.0,
            moves=[np.zeros(u.size) for _ in range(2 * length)],
            changes=[np.zeros(u.size) for _ in range(2 * length)],
            n_pairs=0,
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
        if not bend > _NO_CURVATURE * state.problem.mean_curvature:
            # The objective is a straight line along it, or what the model says is no number.
            if not state.direction.any():
                state.direction = -state.gradient / state.problem.mean_curvature
            self._begin_search(state)
            return
        _remember(state, unit, answer.product)
        state.n_products += 1
        far = state.square / (bend * length)
        state.direction = state.direction + far * unit
        state.rest = state.rest - far * answer.product
        left = float(np.dot(state.rest, state.rest))
        is_done = math.sqrt(left) <= state.forcing * state.norm
        if is_done or state.n_products >= self.most_products:
            self._begin_search(state)
            return
        smoothed, before = _preconditioned(state), state.square
        state.square = float(np.dot(state.rest, smoothed))
        state.conjugate = smoothed + state.square / before * state.conjugate

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
        _renew(state)
        state.is_searching, state.n_products = False, 0
        state.direction = np.zeros_like(state.u)
        state.rest = -state.gradient
        state.conjugate = _preconditioned(state)
        state.square = float(np.dot(state.rest, state.conjugate))
        if state.norm:
            return Step(state.u, answer, used)
        return Step(state.u, answer, used, "the gradient is 0", is_optimal=True)


def _remember(state: _State, unit: Floats, product: Floats) -> None:
    """Keep a pair for the next system, in the place of the oldest of this one."""
    half = len(state.moves) // 2
    if half:
        place = half + state.n_products % half
        state.moves[place], state.changes[place] = unit, product


def _renew(state: _State) -> None:
    """Let the next system's preconditioner be of the last pairs, in the order of their age."""
    half = len(state.moves) // 2
    n_new = min(state.n_products, half)
    last = [half + k % half for k in range(state.n_products - n_new, state.n_products)]
    kept = [*range(state.n_pairs), *last][-half:] if half else []
    for pairs in (state.moves, state.changes):
        pairs[: len(kept)] = [pairs[place] for place in kept]
    state.n_pairs = len(kept)


def _preconditioned(state: _State) -> Floats:
    """Return M rest, by L-BFGS's two loops."""
    q = state.rest.copy()
    pairs = list(zip(state.moves, state.changes, strict=True))[: state.n_pairs]
    shares = []
    for s, y in reversed(pairs):
        shares.append(float(np.dot(s, q)) / float(np.dot(s, y)))
        q -= shares[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= float(np.dot(s, y)) / float(np.dot(y, y))
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        q += (share - float(np.dot(y, q)) / float(np.dot(s, y))) * s
    return q


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
