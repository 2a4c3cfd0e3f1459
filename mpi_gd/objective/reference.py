"""Dual points that no data are needed for: constants, that make up for what is left of a gradient.

A dual point is a number r_i for each row (K numbers, with K outputs). An intercept is free, so that
sum_i weight_i r_i must be 0 in each output; at an iterate it is W g_b, W the sum of weights. So the
iterate's r is mixed with a point c whose mean is -k g_b:

    (1 - tau) r + tau c,    tau = 1 / (1 + k),

and k is as large as the loss's domain lets it be. As conjugates are convex, the mixture's dual
value is at least the mixture of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.losses import (
    Hinge,
    Logistic,
    Loss,
    Multinomial,
    Poisson,
    SquaredHinge,
)
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.start import weighted_means

__all__ = ["Reference", "find_reference"]

# So many classes are counted with one message.
_TOGETHER = 16
# A change goes at most half the way to the domain's edge.
_HALF = 0.5


@dataclass(frozen=True)
class Reference:
    """A point c, for a certain g_b."""

    share: float
    """tau."""
    value: float
    """Its part of the dual: the mean of -loss*(c) + c offset."""
    size: float
    """The root of the mean of c^2."""


# What makes a reference of g_b (K,).
Maker = Callable[[Floats], Reference]


def find_reference(world: World, rows: Rows, y: Floats, loss: Loss, n_outputs: int) -> Maker | None:
    """Return what makes references for a loss; None where no way is known; collective."""
    if isinstance(loss, Poisson) and loss.link == "log":
        offset = np.zeros(len(y)) if rows.offset is None else rows.offset
        means = weighted_means(world, rows, np.stack([y, y * y, offset, y * offset]))
        return (lambda g: _poisson(g, *means)) if means[0] > 0 else None
    if rows.offset is not None:
        return None
    is_logistic = isinstance(loss, Logistic) and loss.link == "logit"
    if is_logistic or isinstance(loss, Hinge | SquaredHinge):
        (share,) = weighted_means(world, rows, y[None])
        if not 0 < share < 1:
            return None
        shares = np.array([1.0 - share, share])
        if is_logistic:
            return lambda g: _multinomial(np.append(-g, g), shares)
        return lambda g: _margin(g, shares, isinstance(loss, SquaredHinge))
    if isinstance(loss, Multinomial):
        found: list[float] = []
        for first in range(0, n_outputs, _TOGETHER):
            classes = np.arange(first, min(first + _TOGETHER, n_outputs))
            found += weighted_means(world, rows, (y == classes[:, None]) * 1.0)
        shares = np.array(found)
        return (lambda g: _multinomial(g, shares)) if (shares > 0).all() else None
    return None


def _multinomial(g: Floats, shares: Floats) -> Reference:
    """Return c_i = m - e_(y_i): one distribution m of the classes for all rows.

    loss* = sum m log m.
    """
    size = float((np.abs(g) / shares).max())
    factor = _HALF / size if size else 0.0
    m = shares - factor * g
    m /= m.sum()
    squares = float(np.dot(m, m) - 2.0 * np.dot(m, shares) + 1.0)
    return Reference(_share(factor, size), -float(np.dot(m, np.log(m))), np.sqrt(max(squares, 0.0)))


def _poisson(g: Floats, mean: float, square: float, offset: float, product: float) -> Reference:
    """Return c_i = m - y_i; loss* = m log m - m."""
    size = abs(float(g[0])) / mean
    factor = _HALF / size if size else 0.0
    m = mean - factor * float(g[0])
    squares = m * m - 2.0 * m * mean + square
    value = m - m * np.log(m) + m * offset - product
    return Reference(_share(factor, size), float(value), float(np.sqrt(max(squares, 0.0))))


def _margin(g: Floats, shares: Floats, is_squared: bool) -> Reference:
    """Return c_i = -s_i a, a number a for each class; -loss* = a, or a - a^2 / 4 if squared."""
    first, second = shares.tolist()
    room = _HALF * first * second
    size = abs(float(g[0])) / room
    factor = _HALF / size if size else 0.0
    # Means of both classes are room at first, with opposite signs.
    low = (room - _HALF * factor * float(g[0])) / first
    high = (room + _HALF * factor * float(g[0])) / second
    squares = first * low * low + second * high * high
    value = first * low + second * high - (0.25 * squares if is_squared else 0.0)
    return Reference(_share(factor, size), value, float(np.sqrt(squares)))


def _share(factor: float, size: float) -> float:
    """Return tau; 0 where there is nothing to make up for."""
    return 1.0 / (1.0 + factor) if size else 0.0
