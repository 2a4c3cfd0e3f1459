"""What a loss is.

Conventions: y is the target as users know it, `target` what `encode` makes of it for the kernel;
z = x.w + b is the linear predictor; all arrays are (n_rows,) float64. A loss is smooth and convex
in z. Its kernel works on a few thousand rows at a time, that stay in the cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Loss", "Weight"]

Floats = NDArray[np.float64]
Weight = NDArray[np.float64] | NDArray[np.bool_]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss; an implementation is a frozen dataclass whose fields are its keys in a job file."""

    is_classifier: ClassVar[bool]
    """Whether y is one of two labels, 0 and 1, and z > 0 predicts 1."""
    curvature: ClassVar[float]
    """An upper bound of the second derivative in z, for the step of first-order methods."""

    @abstractmethod
    def encode(self, y: Floats) -> Floats:
        """Return the kernel's target for y; raises ValueError for a y the loss is not made for."""

    @abstractmethod
    def sum_and_derivative(self, z: Floats, target: Floats, weight: Weight | None) -> float:
        """Return sum_i weight_i loss(y_i, z_i); overwrite z_i with weight_i dloss/dz(y_i, z_i).

        `weight` is None for all ones; booleans are a mask, for which there is a faster way.
        A weight of 0 takes its row out, unless its z is not finite.
        """

    @abstractmethod
    def inverse_link(self, z: Floats) -> Floats:
        """Return the mean of y that the predictor z stands for: a value or a probability."""
