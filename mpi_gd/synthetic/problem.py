"""What is made up, and its true coefficients.

z = x.w + b has, over the rows, the deviation `signal` around b. Columns are normal; dense ones are
an AR(1) process along the row, so that columns j and k are correlated by correlation^|j - k|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpi_gd.losses import Loss

__all__ = ["Floats", "Problem"]

Floats = NDArray[np.float64]

# Where z must be above 0, its mean is so many deviations above.
_FAR = 8.0
# Streams of random numbers that are no tile's.
_COEFFICIENTS, _SCALES = 1 << 62, (1 << 62) + 1


@dataclass(frozen=True)
class Problem:
    """The rows' shape, and the law of the response."""

    n_rows: int
    n_columns: int
    loss: Loss
    density: float = 1.0
    """Share of the numbers that are not 0; below 1 rows are sparse."""
    correlation: float = 0.0
    decades: float = 0.0
    """Powers of ten from the smallest column's scale to the largest's."""
    n_classes: int = 3
    """Of a multinomial loss."""
    noise: float = 1.0
    """Deviation of a response that is a number; the square root of the dispersion of amounts."""
    signal: float = 1.0
    n_informative: int = 0
    """Columns with a coefficient; 0: all."""
    trials: int = 20
    """Most trials of a row with the binomial loss."""
    seed: int = 0

    @property
    def row_numbers(self) -> int:
        """Return how many numbers a row stores; 0 if it stores all."""
        if self.density >= 1:
            return 0
        return max(1, round(self.density * self.n_columns))

    @property
    def n_outputs(self) -> int:
        """Return how many coefficients a column has."""
        return self.loss.n_outputs(self.n_classes)

    @property
    def needs_positive(self) -> bool:
        """Whether the link takes only z above 0."""
        link = getattr(self.loss, "link", "")
        return link in ("inverse", "inverse-squared", "sqrt") or (
            link == "identity" and getattr(self.loss, "lowest_mean", -math.inf) >= 0
        )

    @cached_property
    def intercept(self) -> Floats:
        """Return b (n_outputs,)."""
        if self.n_outputs > 1:
            return np.zeros(self.n_outputs)
        return np.array([_FAR * self.signal if self.needs_positive else 0.5])

    @cached_property
    def scales(self) -> Floats:
        """Return the columns' deviations (n_columns,), where they are not 0."""
        spread = np.linspace(-0.5, 0.5, self.n_columns) if self.n_columns > 1 else np.zeros(1)
        return 10.0 ** (self.decades * self._random(_SCALES).permutation(spread))

    @cached_property
    def coef(self) -> Floats:
        """Return w (n_columns, n_outputs)."""
        random, d, k = self._random(_COEFFICIENTS), self.n_columns, self.n_outputs
        n = min(self.n_informative or d, d)
        chosen = np.sort(random.permutation(d)[:n])
        w = np.zeros((d, k))
        w[chosen] = random.standard_normal((n, k))
        if k > 1:
            # Adding the same to all classes changes nothing: the least of such coefficients.
            w -= w.mean(axis=1, keepdims=True)
        for output in range(k):
            w[:, output] *= self.signal / math.sqrt(self._variance(w[:, output]))
        if k > 1:
            w -= w.mean(axis=1, keepdims=True)
        return w / self.scales[:, np.newaxis]

    def _variance(self, w: Floats) -> float:
        """Return the variance of x.w for columns of deviation 1."""
        if self.row_numbers:
            return self.row_numbers / self.n_columns * float(w @ w)
        rho, before, total = self.correlation, 0.0, float(w @ w)
        if rho:
            # sum over i < j of w_i w_j rho^(j - i), from left to right.
            for weight in w.tolist():
                total += 2.0 * weight * before
                before = rho * (before + weight)
        return total

    def _random(self, stream: int) -> np.random.Generator:
        """Return the generator of a stream."""
        return np.random.Generator(np.random.Philox(key=[self.seed, stream]))
