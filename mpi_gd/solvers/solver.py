"""What a solver is: it asks a question about the objective, and is told the answer.

A solver sees no data and no communicator. Who drives it answers each question with one Allreduce,
so that all ranks hear the same and ask the same next question:

    state = solver.start(problem, u)
    while True:
        step = solver.tell(state, answer(solver.ask(state)))
        if step is not None and enough(step): break

All that a solver remembers stands in its state: a dataclass of arrays and numbers, which is what a
checkpoint holds. Points u are (n_params,) float64, coefficients first, as (n_features, n_outputs)
row by row, then the intercepts, in coordinates in which the columns have about the same scale.

What is minimized is F(u) = smooth(u) + rest(u). Answers are about the smooth part: the loss, and a
penalty that has derivatives. The rest, of a penalty with kinks or bounds, has a proximal map; it is
known to the solver without a question.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import Diverged

__all__ = [
    "GIVEN",
    "IDLE",
    "Answer",
    "Batch",
    "Floats",
    "Local",
    "Problem",
    "Question",
    "Rest",
    "Sample",
    "Solver",
    "State",
    "Step",
    "Work",
    "diverged",
]

Floats = NDArray[np.float64]
GIVEN = {"given": True}
IDLE = "no step lowers the objective any more"
"""The end of a solver that is as near as float64 lets it come, or believes so."""


class Rest(Protocol):
    """The part of the objective that has no derivative everywhere; u is (n_params,)."""

    blocks: tuple[NDArray[np.int64], ...] | None
    """The coordinates that the proximal map couples, block by block; None if it couples none."""
    is_convex: bool
    l1: Floats | None
    """(n_params,): where rest(u) = sum_j l1_j |u_j| within bounds, its weights; else None."""
    lower: Floats | None
    upper: Floats | None
    """(n_params,): the bounds that go with `l1`, infinite where there are none."""

    def value(self, u: Floats) -> float:
        """Return rest(u); infinite out of bounds."""

    def prox(self, v: Floats, step: float | Floats) -> Floats:
        """Return argmin_u |u - v|^2 / (2 step) + rest(u); `step` may be (n_params,)."""

    def residual(self, u: Floats, gradient: Floats) -> Floats:
        """Return the smallest element of gradient + subdifferential of rest at u (n_params,)."""


@dataclass(frozen=True)
class Problem:
    """What a solver may know of the objective before it asks."""

    n_params: int
    mean_curvature: float
    """About the mean of the Hessian's eigenvalues: the scale of a first step."""
    max_curvature: float
    """An upper bound of the Hessian's eigenvalues anywhere, often several times too large; or
    infinite."""
    n_batches: Callable[[int], int]
    """How many batches of a given size make one epoch."""
    rest: Rest | None = None
    """None where the objective is smooth, or has the kinks of its loss alone."""
    coordinate_curvature: Callable[[], float] | None = None
    """Finds the root of the Hessian's largest diagonal element times their lower quartile, of those
    that are not 0: the gradient's largest component over it is about how far coordinates have to
    go, also where their scales differ. None: about the mean."""
    has_kinks: bool = False
    """Whether the loss has no derivative in places: solvers ask for it smoothed, less and less."""
    kink_width: float = 1.0
    """A width within which the smoothed loss has hardly a kink left: that of the residuals."""
    n_outputs: int = 1
    has_closed_form: bool = False
    """Whether the minimum can be asked for: of least squares."""
    is_ill_conditioned: bool = False
    """Whether columns are so nearly dependent that a Hessian in float64 costs digits."""
    has_moments: bool = False
    """Whether the second moments are known, so that questions of least squares need no rows."""
    n_rows: int = 0
    """Rows of all ranks; 0 where nothing is known of them."""
    tile_rows: int = 1
    """Rows of a tile, of which samples are made."""
    row_numbers: float = 0.0
    """Numbers that are stored of an average row: n_features where X is dense."""

    @property
    def n_tiles(self) -> int:
        """Return the number of tiles."""
        return -(-self.n_rows // self.tile_rows)

    def rows_of(self, sample: Sample | None) -> int:
        """Return about how many rows a sample has; None is all of them."""
        if sample is None:
            return self.n_rows
        n_tiles = -(-self.n_tiles // sample.stride)
        return min(n_tiles * min(sample.rows or self.tile_rows, self.tile_rows), self.n_rows)


class Work(Protocol):
    """What each worker does with rows of its own: a description, the same on all ranks.

    A worker is a run of tiles that is the same on any number of ranks; a rank does the work of
    those whose rows it has. Nothing is sent meanwhile.
    """

    @property
    def n_workers(self) -> int:
        """Return into how many workers the rows are divided; some may have none."""

    def do(self, worker: int, problem: Problem, ask: Callable[[Question], Answer]) -> Floats:
        """Return the point (n_params,) to which a worker comes.

        `problem` and `ask` are about the objective over the worker's rows alone: their mean loss,
        and the penalty.
        """


@dataclass(frozen=True)
class Local:
    """What the workers have come to."""

    points: Floats
    """(n_workers, n_params); zeros of a worker without rows."""
    weight: Floats
    """(n_workers,): the sum of the weights of each worker's rows."""
    n_rows: int
    """The rows that all have read, each as often as it was."""

    def mean(self, points: Floats | None = None) -> Floats:
        """Return the mean of the workers' points, or of others (n_workers, n_params), by weight."""
        share = self.weight / (float(np.add.reduce(self.weight)) or 1.0)
        return np.asarray(share @ (self.points if points is None else points))


@dataclass(frozen=True)
class Batch:
    """A sample of about `size` rows: which ones is a function of the seed and `number` alone."""

    size: int
    number: int


@dataclass(frozen=True)
class Sample:
    """One tile of every `stride` consecutive ones, or a piece of it: a function of the seed alone.

    The tiles of a stride are among those of every stride that divides it, and a piece is within
    every one that is so many times as long. The rows are `Problem.rows_of` at most: the last tile
    may be shorter, and rows may have no weight.
    """

    stride: int
    rows: int = 0
    """Of each tile so many consecutive rows; 0: all of them."""


@dataclass(frozen=True)
class Question:
    """Ask for the smooth part's value and gradient at u, over all rows, a batch or a sample."""

    u: Floats
    batch: Batch | None = None
    hessian: bool = False
    """Whether to ask for the Hessian too."""
    sample: Sample | None = None
    """The rows, where they are neither all of them nor a batch."""
    kronecker: bool = False
    """With `hessian` and K outputs: ask for the factors of a Kronecker product that is like it."""
    along: Floats | None = None
    """(n_params,): ask for the Hessian times this, instead of value and gradient."""
    control: Floats | None = None
    """(n_params,): ask for the gradient at u less that here; both with one read of the rows."""
    work: Work | None = None
    """What the workers are to do beside; their points come with the same message."""
    smoothing: float = 0.0
    """Width in z within which a loss's kinks are rounded off; 0: the loss itself, whose gradient is
    then one of the subgradients."""
    optimum: bool = False
    """Whether to ask for the minimum itself, where that has a closed form."""
    moments: bool = False
    """Whether the answer, the Hessian with it, may come from the second moments alone."""


@dataclass(frozen=True)
class Answer:
    """The smooth part's value, its gradient (n_params,), and the root mean square of dloss/dz."""

    value: float
    gradient: Floats
    residual: float
    hessian: Floats | None = None
    """(n_params, n_params), symmetric and positive semidefinite: where a loss is not convex in z,
    its expectation. Where its Kronecker factors are asked for, the one (n_params / K,) square."""
    coupling: Floats | None = None
    """(K, K): the other factor; the Hessian is about H_jk C_lm for coefficients (j, l), (k, m)."""
    optimum: Floats | None = None
    """(n_params,): where the whole objective is least."""
    product: Floats | None = None
    """(n_params,): the Hessian times `along`; value and gradient are then nan and empty."""
    error: float = 0.0
    """What rounding may have done to a component of the gradient; 0 where next to nothing."""
    value_error: float = 0.0
    """The same of the value."""
    local: Local | None = None
    """What the workers have come to, where they had work."""

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
    is_optimal: bool = False
    """Whether the end is the minimum, as far as float64 can tell."""
    rest: float = 0.0
    """The rest of the objective at u."""
    subgradient: Floats | None = None
    """(n_params,): the smallest subgradient of the whole objective, where there is a rest."""
    is_smoothed: bool = False
    """Whether the answer is about an objective that is smoother than what is to be minimized."""
    softened: tuple[tuple[Floats, float], ...] = ()
    """Of a loss with kinks: points (n_params,), and widths of smoothing with which they are nearly
    minima."""
    is_sharpening: bool = False
    """Whether the next iterate will have many more digits right, so that it is worth a question
    even if this one is good enough."""

    @property
    def value(self) -> float:
        """Return the whole objective."""
        return self.answer.value + self.rest

    @property
    def norm(self) -> float:
        """Return the largest component of the gradient, or of the smallest subgradient."""
        gradient = self.answer.gradient if self.subgradient is None else self.subgradient
        return float(np.maximum.reduce(np.abs(gradient))) + self.answer.error


@dataclass
class State:
    """A solver's memory: arrays, lists of them, numbers and booleans; subclasses add theirs.

    Arrays as long as u are replaced, never changed in place: a checkpoint that is being written
    holds them, and no copies. A field with the metadata GIVEN holds what `start` was given, and is
    in no checkpoint.
    """

    u: Floats
    iteration: int


@dataclass(frozen=True)
class Solver(ABC):
    """A method of minimization; an implementation is a frozen dataclass whose fields are keys."""

    memory: ClassVar[type[Any]]
    """The class of the state."""
    takes_rest: ClassVar[bool] = False
    """Whether it minimizes an objective with a rest."""
    takes_kinks: ClassVar[bool] = False
    """Whether it minimizes a loss with kinks to full precision."""

    @property
    def divides(self) -> int:
        """Return the number of workers whose rows must not be divided among ranks; 0: none."""
        return 0

    def resolve(self, problem: Problem) -> Solver:
        """Return the solver that does the work: this one, unless it chooses among others."""
        return self

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective; empty if nothing does."""
        if problem.rest is not None and not self.takes_rest:
            return "cannot handle a penalty with kinks or bounds"
        if problem.has_kinks and not self.takes_kinks:
            return "cannot minimize a loss with kinks"
        return ""

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
