"""Line searches: a bracket, the next trial step in it, and when a step is good enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpi_gd.solvers.armijo import falls_enough
from mpi_gd.solvers.solver import Answer, Floats, State

__all__ = ["SearchedState", "begin_search", "next_step", "start_search", "take_trial"]

_GROW_LEAST, _GROW_MOST = 2.0, 10.0
# A trial keeps this share of the bracket away from its ends.
_EDGE = 0.1
# Slope at the accepted point, as a share of that at the iterate (Nocedal and Wright 2006, p. 34).
_SLOPE_SHARE = 0.9
_MOST_TRIALS = 30


@dataclass
class SearchedState(State):
    """The iterate, and a line search from it."""

    value: float
    gradient: Floats
    residual: float
    direction: Floats
    slope: float
    """The objective's along the direction, at the iterate."""
    trial: float
    """The step that is asked about."""
    n_trials: int
    low: Floats
    """(3,): step, value and slope of the search's lower end."""
    high: Floats
    """(3,): the same of its upper end; the step is infinite while there is none."""


def start_search(u: Floats) -> dict[str, Any]:
    """Return the fields of a SearchedState at its start."""
    return {
        "u": u.copy(),
        "iteration": -1,
        "value": math.inf,
        "gradient": np.zeros_like(u),
        "residual": 0.0,
        "direction": np.zeros_like(u),
        "slope": 0.0,
        "trial": 0.0,
        "n_trials": 0,
        "low": np.zeros(3),
        "high": np.zeros(3),
    }


def begin_search(state: SearchedState, trial: float) -> None:
    """Begin a search along the state's direction, whose slope is known."""
    state.trial, state.n_trials = trial, 0
    state.low[:] = 0.0, state.value, state.slope
    state.high[:] = np.inf, np.nan, np.nan


def take_trial(state: SearchedState, answer: Answer) -> bool | None:
    """Tell whether the trial step satisfies the weak Wolfe conditions; None after too many.

    Where it does not, an end of the bracket is moved to it, and the next trial is between them.
    """
    slope = float(np.dot(state.direction, answer.gradient)) if answer.is_finite else math.nan
    is_low = answer.is_finite and falls_enough(
        state.value, answer.value, state.trial, state.slope, slope
    )
    if is_low and slope >= _SLOPE_SHARE * state.slope:
        return True
    (state.low if is_low else state.high)[:] = state.trial, answer.value, slope
    state.n_trials += 1
    state.trial = next_step(state.low, state.high)
    return False if state.n_trials < _MOST_TRIALS else None


def next_step(low: Floats, high: Floats) -> float:
    """Return a step between the ends, (step, value, slope) each, or beyond an open bracket's.

    The minimum of the cubic through both ends' values and slopes (Nocedal and Wright 2006,
    equation 3.59), kept away from the ends. An upper end whose value is no number is halved.
    """
    a, value_a, slope_a = (float(number) for number in low)
    b, value_b, slope_b = (float(number) for number in high)
    if math.isinf(b):
        return a * _grow(a) if a else math.inf
    width = b - a
    if not (math.isfinite(value_b) and math.isfinite(slope_b)):
        return a + _EDGE * width
    step = _cubic_minimum(width, value_a, slope_a, value_b, slope_b)
    return a + min(max(step, _EDGE * width), (1.0 - _EDGE) * width)


def _grow(step: float) -> float:
    """Return by how much an accepted but too short step is lengthened."""
    return _GROW_MOST if step < 1.0 else _GROW_LEAST


def _cubic_minimum(
    width: float, value_a: float, slope_a: float, value_b: float, slope_b: float
) -> float:
    """Return the distance from end a of the cubic's minimum; the middle if there is none."""
    d1 = slope_a + slope_b - 3.0 * (value_b - value_a) / width
    square = d1 * d1 - slope_a * slope_b
    if not 0 <= square < math.inf:
        return 0.5 * width
    d2 = math.sqrt(square)
    bottom = slope_b - slope_a + 2.0 * d2
    return width * (1.0 - (slope_b + d2 - d1) / bottom) if bottom else 0.5 * width
