"""An iterate of the whole objective: what was answered, and the rest."""

from __future__ import annotations

from mpi_gd.solvers.solver import Answer, Floats, Problem, Step

__all__ = ["rest_value", "whole_start", "whole_step", "whole_value"]

# So short a step that only bounds move a point.
_NO_STEP = 1e-300


def whole_start(problem: Problem, u: Floats) -> Floats:
    """Return a copy of u, or the point nearest to it within bounds."""
    return u.copy() if problem.rest is None else problem.rest.prox(u, _NO_STEP)


def rest_value(problem: Problem, u: Floats) -> float:
    """Return the rest of the objective at u."""
    return 0.0 if problem.rest is None else problem.rest.value(u)


def whole_value(problem: Problem, u: Floats, answer: Answer) -> float:
    """Return the whole objective at u."""
    return answer.value + rest_value(problem, u)


def whole_step(
    problem: Problem, u: Floats, answer: Answer, step_size: float, end: str = ""
) -> Step:
    """Return an iterate at u, with the smallest subgradient where there is a rest."""
    rest = problem.rest
    if rest is None:
        return Step(u, answer, step_size, end)
    subgradient = rest.residual(u, answer.gradient)
    return Step(u, answer, step_size, end, rest=rest.value(u), subgradient=subgradient)
