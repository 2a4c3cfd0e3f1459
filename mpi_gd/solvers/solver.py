"""What a solver is: it asks a question about the objective, and is told the answer.

A solver sees no data and no communicator. Who drives it answers each question with one Allreduce,
so that all ranks hear the same and ask the same next question:

    state = solver.start(problem, u)
    while True:
        step = solver.tell(state, answer(solver.ask(state)))
        if step is not None and enough(step): break

All that a solver remembers stands in its state: a dataclass of arrays and numbers, which is what a
checkpoint holds. Points u are (n_params,) float64, the intercept last, in coordinates in which
the columns have about the same scale.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import Diverged

__all__ = ["Answer", "Batch", "Floats", "Problem", "Question", "Solver", "State", "Step"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What a solver may know of the objective before it asks."""

    n_params: int
    mean_curvature: float
    """About the mean of the Hessian's eigenvalues: the scale of a first step."""
    max_curvature: float
    """An upper bound of the Hessian's eigenvalues anywhere; often several times too large."""
    n_batches: Callable[[int], int]
    """How many batches of a given size make one epoch."""


@dataclass(frozen=True)
class Batch:
    """A sample of about `size` rows: which ones is a function of the seed and `number` alone."""

    size: int
    number: int


@dataclass(frozen=True)
class Question:
    """Ask for the objective's value and gradient at u, over all rows or over a batch."""

    u: Floats
    batch: Batch | None = None


@dataclass(frozen=True)
class Answer:
    """The objective F(u), its gradient (n_params,), and the root mean square of dloss/dz."""

    value: float
    gradient: Floats
    residual: float

    @property
    def is_finite(self) -> bool:
        """Whether the value and the whole gradient are finite numbers."""
        return math.isfinite(self.value) and bool(np.logical_and.reduce(np.isfinite(self.gradient)))


@dataclass(frozen=True)
class Step:
    """A solver's iterate, with the objective over all rows there."""

    u: Floats
    answer: Answer
    step_size: float
    """The length parameter that led here; 0 for the starting point."""
    end: str = ""
    """Why the solver has no further question; empty while it has."""


@dataclass
class State:
    """A solver's memory: arrays, floats, integers and booleans; subclasses add theirs."""

    u: Floats
    iteration: int


@dataclass(frozen=True)
class Solver(ABC):
    """A method of minimization; an implementation is a frozen dataclass whose fields are keys."""

    memory: ClassVar[type[Any]]
    """The class of the state."""

    @abstractmethod
    def start(self, problem: Problem, u: Floats) -> Any:
        """Return the state before the first question, at the starting point u (n_params,)."""

    @abstractmethod
    def ask(self, state: Any) -> Question:
        """Return the question; the state stays as it is."""

    @abstractmethod
    def tell(self, state: Any, answer: Answer) -> Step | None:
        """Take the answer to what `ask` returned; return a new iterate, or None.

        Raises Diverged when the method cannot go on from numbers that are not finite.
        """


def diverged(state: State, answer: Answer, remedy: str) -> Diverged:
    """Return the error for an answer that is not finite."""
    what = "objective" if not np.isfinite(answer.value) else "gradient"
    if state.iteration < 0:
        # No step has been taken yet, so none can be too large.
        remedy = "rescale the columns or the target"
    return Diverged(
        f"the {what} is not a finite number at iteration {state.iteration + 1}, expected it to "
        f"fall; {remedy}"
    )
