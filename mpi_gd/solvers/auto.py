"""The choice among the solvers."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.solvers.finite_smoothing import FiniteSmoothing
from mpi_gd.solvers.fista import Fista
from mpi_gd.solvers.gram import GramSolver
from mpi_gd.solvers.lbfgs import Lbfgs
from mpi_gd.solvers.least_squares import LeastSquares
from mpi_gd.solvers.newton import Newton
from mpi_gd.solvers.solver import Answer, Floats, Problem, Question, Solver, State, Step

__all__ = ["Auto"]

# A Hessian of more parameters costs more than the iterations it saves.
_MOST_NEWTON = 1500


@dataclass(frozen=True)
class Auto(Solver):
    """The choice that fits: Newton's method for few parameters, else L-BFGS or FISTA."""

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
        if problem.n_params <= _MOST_NEWTON and not Newton().lacks(problem):
            return Newton(), f"there are only {problem.n_params} parameters"
        if problem.rest is None:
            return Lbfgs(), f"there are {problem.n_params:,} parameters"
        if not problem.rest.is_convex:
            return Fista(), "the penalty is not convex"
        return Fista(), f"there are {problem.n_params:,} parameters and the penalty has kinks"

    def start(self, problem: Problem, u: Floats) -> State:
        """Refuse: it is another solver that works."""
        raise NotImplementedError("resolve chooses the solver that works")

    def ask(self, state: State) -> Question:
        """Refuse."""
        raise NotImplementedError("resolve chooses the solver that works")

    def tell(self, state: State, answer: Answer) -> Step | None:
        """Refuse."""
        raise NotImplementedError("resolve chooses the solver that works")
