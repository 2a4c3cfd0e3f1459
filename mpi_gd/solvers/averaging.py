"""One-shot averaging: every worker minimizes alone, and the mean of their models is the result."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mpi_gd.errors import Diverged
from mpi_gd.solvers.local import Minimize, lacks_room, require_workers
from mpi_gd.solvers.quadratic import least_squares_step
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
from mpi_gd.solvers.whole import whole_start, whole_step

__all__ = ["Averaging"]

# With so many parameters a Hessian costs little, and from it the gap of the mean is known.
_MOST_MEASURED = 500


@dataclass
class _State(State):
    """The start, then the mean."""

    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Averaging(Solver):
    """u = sum_k share_k argmin F_k, F_k the objective of worker k's rows: one round.

    Zinkevich, Weimer, Smola and Li, "Parallelized Stochastic Gradient Descent", NIPS 2010; Zhang,
    Duchi and Wainwright, "Communication-Efficient Algorithms for Statistical Optimization", JMLR
    14, 2013, theorem 1: of N rows in random order and m workers, the mean squared error is
    O(1 / N + (m / N)^2), about that of the minimum of the whole as long as every worker has many
    more rows than there are workers and parameters. It is not that minimum, and says so. Rows in
    an order that matters, of one class at a time, make it useless: shuffle them first.
    """

    workers: int = 16
    """Into how many runs of tiles the rows are divided, whatever the number of ranks: no more ranks
    than this have work."""

    tol: float = 1e-8
    """Where each worker ends: as stop.tol, for its own rows."""

    local_iter: int = 500
    """Iterations after which a worker ends."""

    takes_rest = True
    takes_kinks = True
    memory = _State

    def __post_init__(self) -> None:
        require_workers(self.workers)
        if not self.tol >= 0:
            raise ValueError(f"tol must be 0 or more, got {self.tol}")
        if self.local_iter < 1:
            raise ValueError(f"local_iter must be 1 or more, got {self.local_iter}")

    @property
    def divides(self) -> int:
        """Return the number of workers."""
        return self.workers

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        return lacks_room(self.workers, problem) or super().lacks(problem)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(u=whole_start(problem, u), iteration=-1, problem=problem)

    def ask(self, state: _State) -> Question:
        """Ask for all workers' minima and the objective at the start, then for that at the mean."""
        if state.iteration < 0:
            work = Minimize(self.workers, state.u, self.tol, self.local_iter)
            return Question(state.u, work=work)
        return Question(state.u, hessian=_is_measured(state.problem))

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Report the start, then the mean."""
        if not answer.is_finite:
            raise diverged(state, answer, "rescale the columns or the target")
        here = state.u
        state.iteration += 1
        if answer.local is None:
            return whole_step(state.problem, here, answer, 1.0, self._end(state.problem, answer))
        state.u = answer.local.mean()
        if not np.isfinite(state.u).all():
            raise Diverged(
                "the objective of one worker's own rows has no finite minimum near the start; set "
                'solver.workers lower, or kind = "lbfgs"'
            )
        return whole_step(state.problem, here, answer, 0.0)

    def _end(self, problem: Problem, answer: Answer) -> str:
        """Say what the mean is, and how far from the minimum of the whole."""
        end = f"the mean of {self.workers} workers' models, which is not the minimum of the whole"
        if answer.hessian is None:
            return end
        # Newton's decrement: what a quadratic model of the whole promises.
        step = least_squares_step(answer.hessian, answer.gradient, problem.n_outputs)
        return f"{end}: that is about {-0.5 * float(np.dot(step, answer.gradient)):.2g} lower"


def _is_measured(problem: Problem) -> bool:
    """Whether the gap of the mean can be known at little cost."""
    is_smooth = problem.rest is None and not problem.has_kinks
    return is_smooth and problem.n_params <= _MOST_MEASURED
