"""The next trial step of a line search that has a bracket, or is looking for one."""

from __future__ import annotations

import math

from mpi_gd.solvers.solver import Floats

__all__ = ["next_step"]

_GROW_LEAST, _GROW_MOST = 2.0, 10.0
# A trial keeps this share of the bracket away from its ends.
_EDGE = 0.1


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
