"""What a loss is.

Conventions: y is the response as users know it, `target` what `encode` makes of it for the kernel;
z = x.w + b is the linear predictor. With one output all arrays are (n_rows,) float64; with K
outputs (the multinomial loss) z and derivatives in z are (n_rows, K). Losses are pointwise: they
know neither places of rows nor communicators. Kernels work on a few thousand rows at a time, that
stay in the cache.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Booleans", "Floats", "Likelihood", "Loss", "Task", "Weight"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Weight = Floats | Booleans
Task = Literal["numbers", "two classes", "classes"]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss; an implementation is a frozen dataclass whose fields are its keys in a job file."""

    task: ClassVar[Task] = "numbers"
    """What y is. Two classes: y is 0 or 1, and z > 0 predicts 1; classes: y is 0, ..., K - 1."""
    expected: ClassVar[str] = "a finite number"
    """Which responses are valid, in the words of a message."""
    is_smooth: ClassVar[bool] = True
    """Whether there is a derivative everywhere; if not, `smoothed` has one."""
    has_probabilities: ClassVar[bool] = False
    """Whether `inverse_link` gives probabilities of classes."""

    @property
    def is_classifier(self) -> bool:
        """Whether y is a class."""
        return self.task != "numbers"

    @property
    def is_convex(self) -> bool:
        """Whether the loss is convex in z."""
        return True

    @property
    @abstractmethod
    def curvature(self) -> float:
        """An upper bound of the second derivative in z (of its eigenvalues); inf without one."""

    @property
    def usual_curvature(self) -> float:
        """Return the second derivative's scale: its bound, or 1 where it has none."""
        return self.curvature if math.isfinite(self.curvature) else 1.0

    def n_outputs(self, n_classes: int) -> int:
        """Return K, the linear predictors of a row."""
        return 1

    def invalid(self, y: Floats) -> Booleans:
        """Return which responses (n,) the loss is not made for; the caller names them."""
        return ~np.isfinite(y)

    def encode(self, y: Floats) -> Floats:
        """Return the kernel's target (n,) for valid y; a row of weight 0 may hold anything."""
        return np.asarray(y, dtype=np.float64)

    @abstractmethod
    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum_i weight_i loss(y_i, z_i); overwrite z_i with weight_i dloss/dz(y_i, z_i).

        `weight` is None for all ones; booleans are a mask, for which there is a faster way.
        A row of weight 0 counts nothing, whatever it holds. Where z has no mean (as z <= 0 of a
        count's mean with the identity link) the sum is inf, the row's derivative 0.
        """

    @abstractmethod
    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return d2loss/dz2 (n,), or (n, K, K), not weighted and never negative (semidefinite).

        A loss that is not convex in z gives the expected one, `fisher`, instead.
        """

    def bend(self, z: Floats, target: Floats, along: Floats) -> Floats:
        """Return d2loss/dz2 times `along`, (n,) or (n, K)."""
        h = self.second_derivative(z, target)
        return h * along if h.ndim == 1 else np.einsum("ijk,ik->ij", h, along)

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return the expectation of the second derivative over y of the mean that z stands for.

        Losses that are no likelihood give `second_derivative`.
        """
        return self.second_derivative(z, target)

    @abstractmethod
    def inverse_link(self, z: Floats) -> Floats:
        """Return the mean of y that the predictor z stands for: a value or a probability.

        Losses that estimate no mean give what they do estimate (a quantile, a centre), and those
        that separate two classes without probabilities z itself: see `has_probabilities`.
        """

    def start(self, mean: float) -> float:
        """Return z of the model that is an intercept alone, for the mean response; finite."""
        return 0.0

    def smoothed(self, width: float) -> Loss:
        """Return a smooth convex loss that is above this one by at most a multiple of `width`."""
        return self

    def least(self, target: Floats) -> Floats:
        """Return the loss (n,) of a model that has y itself as mean: the least there is.

        The deviance is 2 (sum loss - sum least).
        """
        return np.zeros(len(target))


@dataclass(frozen=True)
class Likelihood(Loss):
    """A loss that is dispersion * -log density, up to terms without z."""

    dispersion: ClassVar[float | None] = None
    """1.0 where the density has no such parameter; None where it has one, to be estimated."""

    @abstractmethod
    def variance(self, mean: Floats) -> Floats:
        """Return V(mean): the variance of y is dispersion / weight * V."""

    @abstractmethod
    def log_likelihood(
        self, y: Floats, mean: Floats, weight: Weight | None, dispersion: float
    ) -> Floats | None:
        """Return each row's log density (n,) with all constants, as R's `logLik` has it.

        None where no accurate way is known. A row of weight 0 has 0.
        """
