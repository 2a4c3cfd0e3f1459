"""What a worker can do with its own rows: minimize, or take steps by minibatches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mpi_gd.solvers.auto import Auto
from mpi_gd.solvers.lbfgs import Lbfgs
from mpi_gd.solvers.solver import Answer, Batch, Floats, Problem, Question, Step

__all__ = ["Descend", "Minimize", "lacks_room", "require_workers"]

_MOST_WORKERS = 1 << 16
# The points of all workers travel in one message, and lie on every rank: 512 MB of them.
_MOST_NUMBERS = 1 << 26
# A gradient that has fallen so far: of rows of one class it never gets small beside dloss/dz.
_ALL_DIGITS = 1e-10


def require_workers(workers: int) -> None:
    """Raise ValueError for a number of workers that is none."""
    if not 1 <= workers <= _MOST_WORKERS:
        raise ValueError(f"workers must be from 1 to {_MOST_WORKERS}, got {workers}")


def lacks_room(workers: int, problem: Problem) -> str:
    """Say if the workers' points are too many numbers for a message; empty if they are not."""
    if workers * problem.n_params <= _MOST_NUMBERS:
        return ""
    most = _MOST_NUMBERS // problem.n_params
    return (
        f"sends the points of all workers, {workers} x {problem.n_params:,} numbers, in one "
        f"message of {_MOST_NUMBERS:,} at most: set solver.workers to {most} or less"
        if most
        else f"sends more than {_MOST_NUMBERS:,} numbers for {problem.n_params:,} parameters"
    )


@dataclass(frozen=True, eq=False)
class Minimize:
    """Minimize the worker's objective, plus rho / 2 |u - anchor|^2 where there is an anchor."""

    n_workers: int
    u: Floats
    """(n_params,): where to begin."""
    tol: float
    """Where to end: the largest component of the gradient over the root mean square of dloss/dz."""
    max_iter: int
    anchors: Floats | None = None
    """(n_workers, n_params)."""
    rho: float = 0.0
    share: float = _ALL_DIGITS
    """Where to end as well: the gradient as a share of that at the beginning."""

    def do(self, worker: int, problem: Problem, ask: Callable[[Question], Answer]) -> Floats:
        """Return the minimum, as near as the tolerances have it."""
        anchor = None if self.anchors is None else self.anchors[worker]
        if anchor is not None:
            problem = replace(
                problem,
                mean_curvature=problem.mean_curvature + self.rho,
                max_curvature=problem.max_curvature + self.rho,
                rest=None,
                has_closed_form=False,
            )
        # With an anchor the objective is well conditioned: gradients are the cheaper way.
        solver = Auto().resolve(problem) if anchor is None else Lbfgs()
        state = solver.start(problem, self.u)
        least, best = math.inf, self.u
        first = -1.0
        while True:
            question = solver.ask(state)
            answer = ask(question)
            if anchor is not None:
                answer = self._anchored(question, answer, anchor)
            step = solver.tell(state, answer)
            if step is None:
                continue
            first = step.norm if first < 0 else first
            if not step.is_smoothed and step.value <= least:
                least, best = step.value, step.u
            if step.end or self._is_enough(step, first) or state.iteration >= self.max_iter:
                return step.u if step.is_smoothed else best

    def _is_enough(self, step: Step, first: float) -> bool:
        """Whether the gradient is small enough."""
        if step.is_smoothed:
            return False
        return step.norm <= max(self.tol * step.answer.residual, self.share * first)

    def _anchored(self, question: Question, answer: Answer, anchor: Floats) -> Answer:
        """Add rho / 2 |u - anchor|^2."""
        move = question.u - anchor
        return replace(
            answer,
            value=answer.value + 0.5 * self.rho * float(np.dot(move, move)),
            gradient=answer.gradient + self.rho * move,
        )


@dataclass(frozen=True, eq=False)
class Descend:
    """Take steps of stochastic gradient descent with momentum, over minibatches of own rows."""

    n_workers: int
    u: Floats
    """(n_params,): where to begin."""
    batch_size: int
    epoch: float
    """How many epochs have been done before."""
    epochs: float
    """How many to do."""
    step: float
    momentum: float
    shrink: Callable[[float], float]
    """The share of the step that is left after so many epochs."""

    def do(self, worker: int, problem: Problem, ask: Callable[[Question], Answer]) -> Floats:
        """Return the last iterate."""
        n_batches = problem.n_batches(self.batch_size)
        first, last = (round(each * n_batches) for each in (self.epoch, self.epoch + self.epochs))
        u, velocity = self.u, np.zeros_like(self.u)
        for number in range(first, max(last, first + 1)):
            answer = ask(Question(u, Batch(self.batch_size, number)))
            step = self.step * self.shrink(number / n_batches)
            velocity = self.momentum * velocity - step * answer.gradient
            u = u + velocity
        return u
