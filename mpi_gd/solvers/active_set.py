"""The minimum of a parabola with kinks and bounds, by active sets: exact, in a few solutions.

    m(v) = g.(v - u) + (v - u).H.(v - u) / 2 + sum_j l1_j |v_j|,    lower <= v <= upper

Those coordinates move that are neither at a kink nor at a bound, and those that are pulled away
from theirs. Where signs stay as they are, m is a parabola: the way to its minimum ends there, or at
the kink on the way where m is lowest (Lee, Battle, Raina and Ng, "Efficient Sparse Coding
Algorithms", NIPS 2006, section 3). From the minimum for a penalty nearby it takes few steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.solvers.solver import Floats

__all__ = ["Kinks", "minimize_on_sets", "pull"]

Booleans = NDArray[np.bool_]

# The optimality conditions hold when no component is off by more than this share of their terms.
_ENOUGH = 1e-13
# What a solution of linear equations may leave, as a share, if they are to be trusted.
_UNSOLVED = 1e-6
_MOST_IDLE = 3


@dataclass(frozen=True, eq=False)
class Kinks:
    """The weights l1 and the bounds, (n_params,) each."""

    l1: Floats
    lower: Floats
    upper: Floats


def pull(slope: Floats, v: Floats, kinks: Kinks) -> Floats:
    """Return the smallest subgradient of m at v, for the parabola's gradient there."""
    size = np.abs(slope)
    at_zero = np.copysign(np.maximum(size - kinks.l1, 0.0), slope)
    found = np.where(v == 0, at_zero, slope + kinks.l1 * np.sign(v))
    outward = ((v <= kinks.lower) & (found > 0)) | ((v >= kinks.upper) & (found < 0))
    found[outward] = 0.0
    return np.asarray(found)


def minimize_on_sets(hessian: Floats, gradient: Floats, u: Floats, kinks: Kinks) -> Floats | None:
    """Return where m is least, beginning at u; None where equations cannot be solved as they are.

    H is symmetric, positive semidefinite; coordinates without curvature stay.
    """
    search = _Search(hessian, gradient, u, kinks)
    n_idle = 0
    for _ in range(20 + 3 * len(u)):
        pulled = pull(search.slope, search.v, kinks)
        pulled[~search.is_bent] = 0.0
        if float(np.abs(pulled).max(initial=0.0)) <= _ENOUGH * search.size():
            return search.v
        free = search.free()
        entering = ~free & (np.abs(pulled) > _ENOUGH * search.size())
        is_whole = search.move(free, entering, pulled)
        if is_whole is None:
            return None
        search.refresh()
        # What is left of the slope where nothing enters any more is rounding.
        n_idle = n_idle + 1 if is_whole and not entering.any() else 0
        if n_idle >= _MOST_IDLE:
            return search.v
    return None


class _Search:
    """A point on the way, and the parabola's slope there."""

    def __init__(self, hessian: Floats, gradient: Floats, u: Floats, kinks: Kinks) -> None:
        self._hessian, self._gradient, self._u, self._kinks = hessian, gradient, u, kinks
        self._diagonal = np.diag(hessian)
        self.is_bent: Booleans = self._diagonal > 0
        self.v = np.clip(u, kinks.lower, kinks.upper)
        self._scale = float(np.abs(gradient).max(initial=0.0))
        self.refresh()

    def refresh(self) -> None:
        """Find the slope anew."""
        self.slope = self._gradient + self._hessian @ (self.v - self._u)

    def size(self) -> float:
        """Return the size of the terms of which a slope is the sum."""
        return self._scale + float(np.abs(self._diagonal * self.v).max(initial=0.0))

    def free(self) -> Booleans:
        """Return which coordinates are neither at a kink nor at a bound."""
        v, kinks = self.v, self._kinks
        is_kink = (v == 0) & (kinks.l1 > 0)
        return np.asarray(~is_kink & (v > kinks.lower) & (v < kinks.upper) & self.is_bent)

    def move(self, free: Booleans, entering: Booleans, pulled: Floats) -> bool | None:
        """Move; return whether it was the whole way, None where the equations are singular."""
        signs = np.where(self.v != 0, np.sign(self.v), -np.sign(pulled))
        signed = self.slope + self._kinks.l1 * signs
        best = int(np.argmax(np.where(entering, np.abs(pulled), 0.0)))
        is_alone = False
        while True:
            places = np.flatnonzero(free | entering)
            part = self._hessian[np.ix_(places, places)]
            way = _solved(part, -signed[places])
            if way is None:
                return None
            wrong = places[entering[places] & (way * pulled[places] >= 0)]
            if not wrong.size:
                return self._walk(places, part, way, signed)
            # Pulled one way and sent the other: without those; in the end with one alone, which
            # from the minimum for the free ones goes the right way; first of all to that minimum.
            entering[wrong] = False
            if not entering.any():
                if is_alone and not (free & (np.abs(pulled) > 0)).any():
                    return None
                entering[best] = not is_alone
                is_alone = True

    def _walk(self, places: NDArray[np.int64], part: Floats, way: Floats, signed: Floats) -> bool:
        """Go to the end of the way, to its first bound, or to the lowest kink before."""
        kinks, start = self._kinks, self.v[places]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossings = np.where((kinks.l1[places] > 0) & (start != 0), -start / way, np.inf)
            ends = np.where(way > 0, kinks.upper[places] - start, kinks.lower[places] - start) / way
        ends = np.where(way == 0, np.inf, ends)
        longest = min(float(ends.min()), 1.0)
        steps = crossings[(crossings > 0) & (crossings < longest)]
        step = longest
        if steps.size:
            steps = np.append(steps, longest)
            bend = 0.5 * float(np.dot(way, part @ way))
            heights = steps * float(np.dot(self.slope[places], way)) + np.square(steps) * bend
            heights += np.abs(start + steps[:, None] * way) @ kinks.l1[places]
            step = float(steps[int(heights.argmin())])
        found = start + step * way
        found[crossings == step] = 0.0
        at_end = ends == step
        limits = np.where(way > 0, kinks.upper[places], kinks.lower[places])
        found[at_end] = limits[at_end]
        self.v[places] = np.clip(found, kinks.lower[places], kinks.upper[places])
        return step == 1.0


def _solved(matrix: Floats, right: Floats) -> Floats | None:
    """Return the solution, None where it is none."""
    try:
        found = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return None
    left = float(np.abs(matrix @ found - right).max(initial=0.0))
    if not left <= _UNSOLVED * float(np.abs(right).max(initial=0.0)):
        return None
    # A parabola that bends downward along the way is one of rounding errors.
    return np.asarray(found) if float(np.dot(found, right)) >= 0 else None
