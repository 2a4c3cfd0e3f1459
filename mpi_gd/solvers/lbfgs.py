"""Limited-memory BFGS."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mpi_gd.solvers.search import SearchedState, begin_search, start_search, take_trial
from mpi_gd.solvers.solver import IDLE, Answer, Floats, Problem, Question, Solver, Step, diverged

__all__ = ["Lbfgs", "LbfgsState", "is_idle"]

# Steps in a row that lower the objective by less than rounding: after so many there is nothing to
# gain, unless the gradient still falls.
_MOST_IDLE = 50
_IDLE_SHARE = 1e-16
_GAIN = 0.5
# Pairs of less curvature than this, beside the gradient's change, would spoil the matrix.
_LEAST_CURVATURE = 1e-14


@dataclass
class LbfgsState(SearchedState):
    """The iterate, the pairs, and the line search along `direction`."""

    moves: list[Floats]
    """(memory_length, n_params): s_k = u_(k+1) - u_k, in a ring."""
    changes: list[Floats]
    """(memory_length, n_params): y_k = g_(k+1) - g_k."""
    n_pairs: int
    """Pairs ever stored since the memory was last cleared."""
    first_step: float
    n_idle: int
    least_norm: float
    """The smallest gradient, or subgradient, so far."""


@dataclass(frozen=True)
class Lbfgs(Solver):
    """u <- u - step * H grad F(u), H the BFGS matrix of the last pairs.

    Two-loop recursion (Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", Math.
    Comp. 35(151), 1980); steps satisfy the weak Wolfe conditions, found by bracketing with cubic
    interpolation. Step 1 is nearly always accepted, so that an iteration costs one gradient.
    """

    memory_length: int = 10
    """Number of pairs of moves and gradient changes that are kept."""

    memory: ClassVar[type[Any]] = LbfgsState

    def __post_init__(self) -> None:
        if self.memory_length < 1:
            raise ValueError(f"memory_length must be 1 or more, got {self.memory_length}")

    def start(self, problem: Problem, u: Floats) -> LbfgsState:
        """Begin at u with an empty memory."""
        return LbfgsState(
            **start_search(u),
            moves=[np.zeros(u.size) for _ in range(self.memory_length)],
            changes=[np.zeros(u.size) for _ in range(self.memory_length)],
            n_pairs=0,
            first_step=1.0 / problem.mean_curvature,
            n_idle=0,
            least_norm=math.inf,
        )

    def ask(self, state: LbfgsState) -> Question:
        """Ask at the trial point of the line search."""
        return Question(state.u + state.trial * state.direction)

    def tell(self, state: LbfgsState, answer: Answer) -> Step | None:
        """Accept the trial point, or move an end of the bracket to it."""
        if state.iteration < 0:
            if not answer.is_finite:
                raise diverged(state, answer, "rescale the columns or the target")
            return self._accept(state, answer)
        is_good = take_trial(state, answer)
        if is_good is None:
            return self._give_up(state)
        return self._accept(state, answer) if is_good else None

    def _give_up(self, state: LbfgsState) -> Step | None:
        """Drop the memory, or end where even the gradient leads nowhere."""
        if state.n_pairs:
            state.n_pairs = 0
            self._aim(state)
            return None
        last = Answer(state.value, state.gradient, state.residual)
        return Step(state.u, last, 0.0, IDLE)

    def _accept(self, state: LbfgsState, answer: Answer) -> Step:
        """Move to the point that was asked about, remember the pair, and aim anew."""
        used, before = state.trial, state.value
        move = used * state.direction
        self._remember(state, move, answer.gradient - state.gradient)
        state.u = state.u + move
        state.value, state.gradient, state.residual = answer.value, answer.gradient, answer.residual
        state.iteration += 1
        self._aim(state)
        step = Step(state.u, answer, used)
        return replace(step, end=IDLE) if is_idle(state, before, step.norm) else step

    def _remember(self, state: LbfgsState, move: Floats, change: Floats) -> None:
        """Store a pair, in the place of the oldest."""
        if float(np.dot(move, change)) > _LEAST_CURVATURE * float(np.dot(change, change)):
            place = state.n_pairs % self.memory_length
            state.moves[place], state.changes[place] = move, change
            state.n_pairs += 1

    def _steepest(self, state: LbfgsState) -> Floats:
        """Return the direction of steepest descent."""
        return -state.gradient

    def _aim(self, state: LbfgsState) -> None:
        """Begin a line search from the iterate."""
        state.direction = self._direction(state)
        steepest = self._steepest(state)
        state.slope = -float(np.dot(state.direction, steepest))
        if not state.slope < 0 and state.n_pairs:
            # Rounding has spoilt the matrix: begin again with the gradient.
            state.n_pairs = 0
            state.direction = steepest
            state.slope = -float(np.dot(steepest, steepest))
        begin_search(state, 1.0 if state.n_pairs else self._first_step(state))

    def _direction(self, state: LbfgsState) -> Floats:
        """Return -H g by the two-loop recursion."""
        q = self._steepest(state)
        last = state.n_pairs
        places = [k % self.memory_length for k in range(max(0, last - self.memory_length), last)]
        shares = []
        for k in reversed(places):
            s, y = state.moves[k], state.changes[k]
            curvature = float(np.dot(s, y))
            share = float(np.dot(s, q)) / curvature
            shares.append((k, share, curvature))
            q -= share * y
        q = self._first_matrix(state, q, shares[0][0] if places else -1)
        for k, share, curvature in reversed(shares):
            q += (share - float(np.dot(state.changes[k], q)) / curvature) * state.moves[k]
        return q

    def _first_step(self, state: LbfgsState) -> float:
        """Return the first step along a direction that knows of no pair."""
        return state.first_step

    def _first_matrix(self, state: LbfgsState, q: Floats, last: int) -> Floats:
        """Return H_0 q; `last` is the place of the last pair, -1 if there is none.

        H_0 = s.y / y.y, the scale of the last pair (Nocedal and Wright 2006, eq. 7.20).
        """
        if last < 0:
            return q
        s, y = state.moves[last], state.changes[last]
        return q * (float(np.dot(s, y)) / float(np.dot(y, y)))


def is_idle(state: LbfgsState, before: float, norm: float, most: int = _MOST_IDLE) -> bool:
    """Whether `most` steps have gained nothing, of objective or gradient; counts this one."""
    is_idle = not before - state.value > _IDLE_SHARE * abs(state.value)
    has_gained = norm < _GAIN * state.least_norm
    state.n_idle = 0 if has_gained or not is_idle else state.n_idle + 1
    state.least_norm = min(state.least_norm, norm)
    return state.n_idle >= most
