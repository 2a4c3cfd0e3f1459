"""The parts of a loss of a probability, for responses between 0 and 1."""

from __future__ import annotations

import numpy as np

from mpi_gd.links import PROBABILITY_LINKS
from mpi_gd.losses.loss import Floats

__all__ = ["bend_between", "fisher_information", "probability", "rows_between", "start_of_share"]

# A share of exactly 0 or 1 has no z; the nearest that is used is so far off.
_EDGE = 1e-10


def rows_between(link: str, z: Floats, y: Floats) -> Floats:
    """Return -y log p - (1 - y) log(1 - p) for y in [0, 1]; z becomes its derivative."""
    second, first, up, down = PROBABILITY_LINKS[link].costs_and_slopes(z)
    np.subtract(_mixed(y, 0.0, down), _mixed(y, up, 0.0), out=z)
    return _mixed(y, second, first)


def bend_between(link: str, z: Floats, y: Floats) -> Floats:
    """Return the second derivative of the same."""
    with np.errstate(all="ignore"):
        return _mixed(y, *PROBABILITY_LINKS[link].bends(z))


def fisher_information(link: str, z: Floats) -> Floats:
    """Return its expectation, p'^2 / (p (1 - p))."""
    with np.errstate(all="ignore"):
        up, down = PROBABILITY_LINKS[link].slopes(z)
        # Where one overflows the other has long been 0.
        return np.where(up == 0, 0.0, np.where(down == 0, 0.0, up * down))


def probability(link: str, z: Floats) -> Floats:
    """Return p."""
    return PROBABILITY_LINKS[link].mean(z)


def start_of_share(link: str, mean: float) -> float:
    """Return z of a mean share, that is moved off 0 and 1; 0 for NaN."""
    if not 0 <= mean <= 1:
        return 0.0
    return PROBABILITY_LINKS[link].link(min(max(mean, _EDGE), 1.0 - _EDGE))


def _mixed(y: Floats, one: Floats | float, zero: Floats | float) -> Floats:
    """Return y * one + (1 - y) * zero, where 0 times infinity is 0."""
    return np.where(y > 0, y * one, 0.0) + np.where(y < 1, (1.0 - y) * zero, 0.0)
