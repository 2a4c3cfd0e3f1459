"""The largest eigenvalue of the Hessian, asked for by gradients alone.

Power iteration: v <- H v / |H v|, where H v = (grad F(t v) - grad F(0)) / t for a small t. At
u = 0 the Hessian of the squared and of the logistic loss is at its largest, so what is found
there bounds it everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpi_gd.solvers.solver import Answer, Floats, Problem, Question, State

__all__ = [
    "ProbedState",
    "SteppedState",
    "ask_probe",
    "back_off",
    "batch_curvature",
    "start_probe",
    "tell_probe",
]

# Length of the finite difference: in scaled coordinates rounding and curvature are both small.
_LENGTH = 1e-3
# Power iteration approaches the eigenvalue from below: the margin covers what is left.
_MARGIN = 1.05
_CHANGE = 0.01
_MOST_PROBES = 30
_SHRINK = 0.5
_MOST_BACKOFFS = 40


@dataclass
class SteppedState(State):
    """The state of a solver whose step is one number."""

    step_size: float
    """0 until it is known."""
    n_backoffs: int
    """How often the step was shortened because of numbers that were not finite."""


@dataclass
class ProbedState(SteppedState):
    """The state of a solver whose step is 1 / curvature unless the user gives one."""

    n_probes: int
    bound: float
    found: float
    direction: Floats
    origin: Floats
    """The gradient at 0."""


def start_probe(problem: Problem, u: Floats, step: float) -> dict[str, Any]:
    """Return the fields of a ProbedState; a positive `step` is taken as it is."""
    # Any vector that is orthogonal to nothing likely; the same on all ranks.
    random = np.random.Generator(np.random.Philox(problem.n_params))
    direction = random.standard_normal(problem.n_params)
    return {
        "u": u.copy(),
        "iteration": -1,
        "step_size": step,
        "n_probes": 0,
        "bound": problem.max_curvature,
        "found": 0.0,
        "direction": direction / np.sqrt(np.dot(direction, direction)),
        "origin": np.zeros_like(u),
        "n_backoffs": 0,
    }


def back_off(state: SteppedState, given: float) -> bool:
    """Halve a step that has led out of the finite numbers; False where that cannot help.

    A step that the user has given is not ours to change, and at the start no step is to blame.
    """
    if given or state.iteration < 0 or state.n_backoffs == _MOST_BACKOFFS:
        return False
    state.step_size *= _SHRINK
    state.n_backoffs += 1
    return True


def ask_probe(state: ProbedState) -> Question | None:
    """Return the next question of the probe; None when the step is known."""
    if state.step_size:
        return None
    return Question(state.direction * (_LENGTH if state.n_probes else 0.0))


def tell_probe(state: ProbedState, answer: Answer) -> None:
    """Take an answer; sets the step when the eigenvalue is known well enough."""
    state.n_probes += 1
    if state.n_probes == 1:
        state.origin = answer.gradient.copy()
        return
    product = (answer.gradient - state.origin) / _LENGTH
    length = float(np.sqrt(np.dot(product, product)))
    if not 0 < length < np.inf:
        # No curvature at all, or no number: the bound is what is left.
        state.step_size = 1.0 / state.bound or 1.0
        return
    if abs(length - state.found) <= _CHANGE * length or state.n_probes > _MOST_PROBES:
        state.step_size = 1.0 / min(state.bound, _MARGIN * length)
    state.direction = product / length
    state.found = length


def batch_curvature(state: ProbedState, batch_size: int) -> float:
    """Return what a batch's Hessian is below, where the probe has found that of all rows.

    It exceeds that by about the Hessian's trace / batch_size.
    """
    # Without a bound of the trace: as many eigenvalues as parameters, none above the largest.
    trace = state.bound if math.isfinite(state.bound) else state.u.size / state.step_size
    return 1.0 / state.step_size + trace / batch_size
