"""The closed form of least squares."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.solvers.solver import Answer, Floats, Problem, Question, Solver, State, Step

__all__ = ["LeastSquares"]


@dataclass
class _State(State):
    """The point; `is_solved` once it is the minimum."""

    is_solved: bool


@dataclass(frozen=True)
class LeastSquares(Solver):
    """u = argmin, from second moments with 30 digits: to the last digit that the data determine.

    For the squared loss, without a penalty or with an L2 one, and columns however nearly dependent:
    iterations in float64 would take for ever there, and normal equations in float64 fail. A pass
    costs ten times a Hessian's; solving, 30 d^3 operations on each rank.
    """

    memory = _State

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        return "" if problem.has_closed_form else "solves least squares alone, without kinks"

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(u=u.copy(), iteration=-1, is_solved=False)

    def ask(self, state: _State) -> Question:
        """Ask for the minimum, then for the objective there."""
        return Question(state.u, optimum=not state.is_solved)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Report the start and the minimum."""
        state.iteration += 1
        if answer.optimum is None:
            return Step(state.u, answer, 1.0, "solved in closed form", is_optimal=True)
        start = state.u
        state.u, state.is_solved = answer.optimum, True
        return Step(start, answer, 0.0)
