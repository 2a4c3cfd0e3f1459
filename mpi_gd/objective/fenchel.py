"""What a penalty's conjugate says of a dual point: Fenchel's and Young's inequality.

p_j(u) = l1_j |u| + l2_j / 2 u^2 within bounds; all arrays are (n,).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mpi_gd.objective.rows import Floats

__all__ = ["conjugate_gap"]

_PART = 1 << 20


def conjugate_gap(
    kept: NDArray[np.bool_],
    u: Floats,
    q: Floats,
    off: Floats,
    l1: Floats,
    l2: Floats,
    lower: Floats,
    upper: Floats,
) -> tuple[float, float]:
    """Return s, and sum_j p_j(u_j) + p_j*(-s q_j) + s q_j u_j for the worst q within `off`.

    Over the coordinates `kept` (n,). s is 1, or so much less that the conjugate is finite.
    """

    def parts() -> Iterator[list[Floats]]:
        """Yield the coordinates part by part: there may be ten million."""
        for first in range(0, len(u), _PART):
            own = slice(first, first + _PART)
            yield [each[own][kept[own]] for each in (u, q, off, l1, l2, lower, upper)]

    shrink = min((_shrink(*part[1:]) for part in parts()), default=1.0)
    return shrink, sum(_worst(shrink, *part) for part in parts())


def _shrink(q: Floats, off: Floats, l1: Floats, l2: Floats, lower: Floats, upper: Floats) -> float:
    """Return the largest s, 1 at most, for which p_j*(-s q_j) is finite."""
    size = np.abs(q) + off
    # Without curvature, and without a bound on the side to which -q pulls.
    open_up = (l2 == 0) & np.isinf(upper) & (q - off < 0)
    open_down = (l2 == 0) & np.isinf(lower) & (q + off > 0)
    unbounded = (open_up | open_down) & (size > l1)
    return float((l1[unbounded] / size[unbounded]).min(initial=1.0))


def _worst(
    shrink: float,
    u: Floats,
    q: Floats,
    off: Floats,
    l1: Floats,
    l2: Floats,
    lower: Floats,
    upper: Floats,
) -> float:
    """Return the sum for the worst q: it is convex in q, so that the ends are."""
    worst = np.zeros(len(u))
    for sign in (-1.0, 1.0):
        part = shrink * (q + sign * off)
        worst = np.maximum(worst, _fenchel_young(u, part, l1, l2, lower, upper))
    return float(worst.sum())


def _fenchel_young(
    u: Floats, q: Floats, l1: Floats, l2: Floats, lower: Floats, upper: Floats
) -> Floats:
    """Return p(u) + p*(-q) + q u, (n,): 0 where -q is a subgradient of p at u."""
    # v is where -q v - p(v) is largest.
    over = np.copysign(np.maximum(np.abs(q) - l1, 0.0), -q)
    far = np.where(over > 0, upper, lower)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        v = np.where(l2 > 0, over / l2, np.where(over == 0, 0.0, far))
    v = np.clip(v, lower, upper)
    v = np.where(np.isfinite(v), v, 0.0)
    return np.asarray((u - v) * (0.5 * l2 * (u + v) + q) + l1 * (np.abs(u) - np.abs(v)))
