"""Cubic B-splines: a column of numbers as smooth bumps, whose weighted sum is a smooth curve.

With k features there are k - 3 inner knots, at the quantiles 1/(k - 2), 2/(k - 2), ...; the basis
has one more function, the first, which is left out: all of them together add up to 1, as the
intercept does (de Boor, A Practical Guide to Splines, 2001, chapter IX; the same basis as R's
splines::bs(x, df = k)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "MOST", "basis", "full_knots", "probabilities"]

Floats = NDArray[np.float64]

_DEGREE = 3
FEWEST, MOST = _DEGREE, 200


def probabilities(df: int) -> list[float]:
    """Return where, among the sorted numbers, the inner knots of `df` features are."""
    pieces = df - _DEGREE + 1
    return [k / pieces for k in range(1, pieces)]


def full_knots(low: float, high: float, inner: Sequence[float]) -> tuple[float, ...]:
    """Return the knots with the ends, each different inner one once: quantiles may coincide."""
    between = sorted({knot for knot in inner if low < knot < high})
    return (low, *between, high)


def basis(x: Floats, knots: Sequence[float]) -> Floats:
    """Return the basis at x (n,) without its first function, (n, len(knots) + 1).

    Beyond the first and the last knot it is what it is there. Computed number by number, so that a
    row's values do not depend on the rows it is among.
    """
    low, high = knots[0], knots[-1]
    x = np.clip(x, low, high)
    t = np.array([low] * _DEGREE + list(knots) + [high] * _DEGREE)
    last = len(t) - _DEGREE - 2
    # The interval that x is in: t[place] <= x < t[place + 1], the last one closed.
    place = np.clip(np.searchsorted(t, x, side="right") - 1, _DEGREE, last)
    found = np.zeros((len(x), len(t) - _DEGREE - 1))
    for k, values in enumerate(_four(x, t, place)):
        found[np.arange(len(x)), place - _DEGREE + k] = values
    return found[:, 1:]


def _four(x: Floats, t: Floats, place: NDArray[np.intp]) -> list[Floats]:
    """Return the four functions that are not 0 at x, by de Boor's algorithm (page 111)."""
    values = [np.ones_like(x)]
    for degree in range(1, _DEGREE + 1):
        saved = np.zeros_like(x)
        raised = []
        for k, value in enumerate(values):
            right = t[place + k + 1]
            left = t[place + k + 1 - degree]
            share = value / (right - left)
            raised.append(saved + (right - x) * share)
            saved = (x - left) * share
        values = [*raised, saved]
    return values
