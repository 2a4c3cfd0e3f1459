"""Dual points that make up for what is left of the intercepts' gradients.

A dual point is a number r_i for each row (K numbers, with K outputs). An intercept is free, so that
sum_i weight_i r_i must be 0 in each output; at an iterate it is W g_b, W the sum of weights. So the
iterate's r is mixed with a point c whose mean is -k g_b:

    (1 - tau) r + tau c,    tau = 1 / (1 + k).

c are the derivatives at a model that is intercepts alone: what they are worth follows from value
and gradient there, as at any iterate. As conjugates are convex, the mixture's dual value is at
least the mixture of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import World
from mpi_gd.losses import Loss, Multinomial
from mpi_gd.losses.residual import Residual
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.start import find_spread, weighted_means
from mpi_gd.solvers import Answer

__all__ = ["Reference", "References"]

# So many classes are counted with one message.
_TOGETHER = 16
# A change of the classes' shares goes at most half the way to the domain's edge.
_HALF = 0.5
_MOST_TRIALS = 40


@dataclass(frozen=True)
class Reference:
    """A point c, for a certain g_b."""

    share: float
    """tau."""
    value: float
    """Its part of the dual: the mean of -loss*(c) + c offset."""
    gradient: Floats
    """(n_params - K,): the mean of c x, x in the solver's coordinates."""


class References:
    """Finds references; what has been asked about is remembered."""

    def __init__(
        self,
        world: World,
        rows: Rows,
        y: Floats,
        loss: Loss,
        n_params: int,
        n_outputs: int,
        ask: Callable[[Floats], Answer],
    ) -> None:
        """Take the rows; `ask` returns the objective at a point (n_params,), collectively."""
        self._world, self._rows, self._y, self._loss = world, rows, y, loss
        self._n_params, self._k, self._ask = n_params, n_outputs, ask
        self._found: dict[float, Reference | None] = {}
        self._classes: tuple[Floats, Floats, Floats] | None = None

    def of(self, g: Floats) -> Reference | None:
        """Return a reference for the intercepts' gradients (K,); None if none is known; collective.

        Not all of g are 0.
        """
        if self._k > 1:
            return self._of_classes(g)
        sign = -1.0 if g[0] > 0 else 1.0
        if sign not in self._found:
            self._found[sign] = self._beside(sign)
        found = self._found[sign]
        if found is None:
            return None
        # found.share is the mean of c until here.
        size = abs(float(g[0]))
        return Reference(size / (size + abs(found.share)), found.value, found.gradient)

    def _beside(self, sign: float) -> Reference | None:
        """Return the reference whose mean has this sign, with that mean in place of tau."""
        intercept = self._intercept(sign)
        if intercept is None:
            return None
        u = np.zeros(self._n_params)
        u[-1] = intercept
        answer = self._ask(u)
        mean = float(answer.gradient[-1])
        if not answer.is_finite or not mean * sign > 0:
            return None
        return Reference(mean, answer.value - mean * intercept, answer.gradient[:-1])

    def _intercept(self, sign: float) -> float | None:
        """Return an intercept at which the mean derivative has this sign; reads y alone."""
        rows, y = self._rows, self._y
        offset = np.zeros(len(y)) if rows.offset is None else rows.offset
        mean, mean_offset = weighted_means(self._world, rows, np.stack([y, offset]))
        step = find_spread(self._world, rows, y) if isinstance(self._loss, Residual) else 1.0
        used = np.ones(len(y), dtype=bool) if rows.weight is None else rows.weight > 0
        for _ in range(_MOST_TRIALS):
            intercept = self._loss.start(mean) - mean_offset + sign * step
            z = intercept + offset
            with np.errstate(all="ignore"):
                total = self._loss.sum_and_derivative(z, rows.target, used)
            is_out = np.full(len(y), float(not np.isfinite(total)))
            slope, out = weighted_means(self._world, rows, np.stack([z, is_out]))
            if not out and slope * sign > 0:
                return intercept
            # There is no loss so far away; or it is not far enough.
            step *= 0.5 if out else 2.0
        return None

    def _of_classes(self, g: Floats) -> Reference | None:
        """Return c_i = m - e_(y_i): one distribution m of the classes for all rows.

        loss* = sum m log m; the mean of c x is linear in m.
        """
        if self._classes is None:
            if not isinstance(self._loss, Multinomial) or self._rows.offset is not None:
                return None
            self._classes = self._count_classes()
        shares, even, mean = self._classes
        if not (shares > 0).all():
            return None
        size = float((np.abs(g) / shares).max())
        factor = _HALF / size
        m = shares - factor * g
        m /= m.sum()
        gradient = even + np.outer(mean, m - 1.0 / self._k).reshape(-1)
        return Reference(1.0 / (1.0 + factor), -float(np.dot(m, np.log(m))), gradient)

    def _count_classes(self) -> tuple[Floats, Floats, Floats]:
        """Return the classes' shares, the mean of c x for equal m, and the columns' means."""
        shares: list[float] = []
        for first in range(0, self._k, _TOGETHER):
            classes = np.arange(first, min(first + _TOGETHER, self._k))
            of = (self._y == classes[:, None]) * 1.0
            shares += weighted_means(self._world, self._rows, of)
        u = np.zeros(self._n_params)
        even = self._ask(u).gradient[: -self._k]
        # The first class as likely as all others together.
        u[-self._k] = np.log(self._k - 1.0) if self._k > 2 else 1.0
        m = np.exp(u[-self._k :])
        m /= m.sum()
        other = self._ask(u).gradient[: -self._k]
        mean = (other - even)[:: self._k] / (m[0] - 1.0 / self._k)
        return np.array(shares), even, mean
