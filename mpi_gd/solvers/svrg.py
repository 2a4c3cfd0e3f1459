"""Stochastic variance reduced gradient, by minibatches; proximal where the penalty has kinks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from mpi_gd.solvers.armijo import ROUNDING, require_step
from mpi_gd.solvers.probe import (
    ProbedState,
    ask_probe,
    batch_curvature,
    start_probe,
    tell_probe,
)
from mpi_gd.solvers.solver import (
    GIVEN,
    IDLE,
    Answer,
    Batch,
    Floats,
    Problem,
    Question,
    Solver,
    Step,
    diverged,
)
from mpi_gd.solvers.whole import whole_start, whole_step, whole_value

__all__ = ["Svrg"]

_SHRINK = 0.5
_MOST_BACKOFFS = 40
_GAIN = 0.5
_MOST_IDLE = 10


@dataclass
class _State(ProbedState):
    """The iterate between two snapshots; `iteration` counts snapshots."""

    snapshot: Floats
    value: float
    """The whole objective at the snapshot."""
    gradient: Floats
    """Of the smooth part there, over all rows."""
    residual: float
    number: int
    """Batches told so far."""
    n_left: int
    """Batches until the next snapshot."""
    n_idle: int
    least_norm: float
    """The smallest gradient, or subgradient, so far."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Svrg(Solver):
    """u <- prox(u - step * (grad F_batch(u) - grad F_batch(s) + grad F(s))), s a snapshot of u.

    Johnson and Zhang, "Accelerating Stochastic Gradient Descent using Predictive Variance
    Reduction", NIPS 2013; Xiao and Zhang, "A Proximal Stochastic Gradient Method with Progressive
    Variance Reduction", SIAM J. Optim. 24(4), 2014, for penalties with kinks or bounds. The noise
    of the batches falls with the distance from the minimum, so the step need not: linear
    convergence, after O((N + L / mu) log 1 / eps) gradients of rows, where gradient descent takes
    N L / mu. An iteration is a snapshot, with one gradient over all rows, and some epochs of
    batches. For ill-conditioned problems of many rows and a network that is fast: a message each
    batch. A snapshot whose objective is higher is taken back and the step halved.
    """

    batch_size: int = 1024
    """Rows of a minibatch over all ranks, or a few less. A batch takes the
    time of some vectors of all parameters: with very many of them more rows a batch are better."""

    inner_epochs: float = 2.0
    """Epochs between two snapshots."""

    step: float = 0.0
    """Step; 0: chosen from the Hessian's largest eigenvalue, which a few gradients are spent to
    find, and from what a batch can exceed it by."""

    takes_rest = True
    memory = _State

    def __post_init__(self) -> None:
        require_step(self.step)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")
        if not 0 < self.inner_epochs <= 1e6:
            raise ValueError(f"inner_epochs must be above 0, got {self.inner_epochs}")

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u, the first snapshot."""
        begin = whole_start(problem, u)
        return _State(
            **start_probe(problem, begin, self.step),
            snapshot=begin.copy(),
            value=math.inf,
            gradient=np.zeros_like(u),
            residual=0.0,
            number=0,
            n_left=0,
            n_idle=0,
            least_norm=math.inf,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask about a batch at iterate and snapshot, or about all rows at the iterate."""
        probe = ask_probe(state)
        if probe:
            return probe
        if not state.n_left:
            return Question(state.u)
        return Question(state.u, Batch(self.batch_size, state.number), control=state.snapshot)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Take a batch's step, or a new snapshot."""
        if not state.step_size:
            tell_probe(state, answer)
            if state.step_size:
                state.step_size = 1.0 / batch_curvature(state, self.batch_size)
            return None
        if not state.n_left:
            return self._look(state, answer)
        if not answer.is_finite:
            return self._go_back(state, answer)
        state.u = self._moved(state, answer.gradient + state.gradient)
        state.number += 1
        state.n_left -= 1
        return None

    def _look(self, state: _State, answer: Answer) -> Step | None:
        """Make the iterate the snapshot, unless the objective has risen."""
        value = whole_value(state.problem, state.u, answer)
        is_finite = answer.is_finite and math.isfinite(value)
        highest = state.value + ROUNDING * abs(state.value)
        if not is_finite or (not value <= highest and state.iteration >= 0 and not self.step):
            return self._go_back(state, answer)
        has_fallen = value < state.value
        state.snapshot, state.value = state.u, value
        state.gradient, state.residual = answer.gradient, answer.residual
        state.iteration += 1
        state.n_backoffs = 0
        self._begin(state)
        used = state.step_size if state.iteration else 0.0
        step = whole_step(state.problem, state.snapshot, answer, used)
        has_gained = step.norm < _GAIN * state.least_norm
        state.n_idle = 0 if has_gained or has_fallen else state.n_idle + 1
        state.least_norm = min(state.least_norm, step.norm)
        return replace(step, end=IDLE) if state.n_idle >= _MOST_IDLE else step

    def _begin(self, state: _State) -> None:
        """Begin the batches after a snapshot, where no batch need be asked for the first step."""
        n_batches = state.problem.n_batches(self.batch_size)
        state.n_left = max(1, round(self.inner_epochs * n_batches))
        state.u = state.snapshot
        state.u = self._moved(state, state.gradient)

    def _moved(self, state: _State, gradient: Floats) -> Floats:
        """Return where a step along a gradient of the smooth part leads."""
        moved = state.u - state.step_size * gradient
        rest = state.problem.rest
        return moved if rest is None else rest.prox(moved, state.step_size)

    def _go_back(self, state: _State, answer: Answer) -> Step | None:
        """Halve the step and begin at the snapshot again; end where that does not help."""
        state.n_backoffs += 1
        is_last = state.n_backoffs > _MOST_BACKOFFS
        if self.step or state.iteration < 0 or (is_last and not answer.is_finite):
            remedy = f"the step {state.step_size:g} is too large: set solver.step lower"
            raise diverged(state, answer, remedy)
        if is_last:
            last = Answer(state.value, state.gradient, state.residual)
            return whole_step(state.problem, state.snapshot, last, 0.0, IDLE)
        state.step_size *= _SHRINK
        self._begin(state)
        return None
