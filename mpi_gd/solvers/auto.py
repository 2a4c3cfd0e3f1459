"""The choice among the solvers."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.solvers.finite_smoothing import FiniteSmoothing
from mpi_gd.solvers.fista import Fista
from mpi_gd.solvers.gram import GramSolver
from mpi_gd.solvers.lbfgs import Lbfgs
from mpi_gd.solvers.least_squares import LeastSquares
from mpi_gd.solvers.newton import Newton
from mpi_gd.solvers.owl_qn import OwlQn
from mpi_gd.solvers.progressive import Progressive, has_stages
from mpi_gd.solvers.solver import Answer, Floats, Problem, Question, Solver, State, Step

__all__ = ["Auto"]

# A Hessian of more parameters costs more than the iterations it saves.
_MOST_NEWTON = 1500
# Where finding a Hessian takes so many multiplications, some 70 milliseconds of a core, samples are
# worth their questions: with less, Newton's method is as fast, and gives more digits.
_LEAST_WORK = 2e9


@dataclass(frozen=True)
class Auto(Solver):
    """The choice that fits: Newton's method for few parameters and rows, samples first where there
    are many more rows than parameters, else L-BFGS; with kinks in the penalty Newton's method,
    OWL-QN or FISTA.
    """

    memory = State

    def resolve(self, problem: Problem) -> Solver:
        """Return the choice."""
        return self.choose(problem)[0]

    def choose(self, problem: Problem) -> tuple[Solver, str]:
        """Return the choice, and why."""
        if problem.is_ill_conditioned and problem.has_closed_form:
            return LeastSquares(), "the columns are nearly dependent"
        if not GramSolver().lacks(problem):
            return GramSolver(), "least squares takes one pass over the rows"
        if problem.has_kinks:
            return FiniteSmoothing(), "the loss has kinks"
        n_params = f"{problem.n_params:,} parameters"
        if _is_sampled(problem):
            why = f"there are {problem.n_rows:,} rows for {n_params}: solved on samples first"
            return Progressive(), why
        if problem.n_params <= _MOST_NEWTON and not Newton().lacks(problem):
            return Newton(), f"there are only {n_params}"
        if problem.rest is None:
            return Lbfgs(), f"there are {n_params}"
        if not problem.rest.is_convex:
            return Fista(), "the penalty is not convex"
        if not OwlQn().lacks(problem):
            return OwlQn(), f"there are {n_params} and the penalty has an L1 part"
        return Fista(), f"there are {n_params} and the penalty has kinks"

    def start(self, problem: Problem, u: Floats) -> State:
        """Refuse: it is another solver that works."""
        raise NotImplementedError("resolve chooses the solver that works")

    def ask(self, state: State) -> Question:
        """Refuse."""
        raise NotImplementedError("resolve chooses the solver that works")

    def tell(self, state: State, answer: Answer) -> Step | None:
        """Refuse."""
        raise NotImplementedError("resolve chooses the solver that works")


def _is_sampled(problem: Problem) -> bool:
    """Whether there are so many rows that most of the work is best done on some of them."""
    n_numbers = problem.n_rows * problem.row_numbers
    work = n_numbers * problem.n_params * problem.n_outputs
    return not Progressive().lacks(problem) and has_stages(problem) and work >= _LEAST_WORK
