"""What a link is: a monotone function g with g(mean) = z.

Arrays are (n,) float64. Nothing is raised or warned of: where z has no mean, `has_mean` is False
and the other functions give what they give.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["Booleans", "Floats", "Link", "ProbabilityLink"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


class Link(ABC):
    """A link by its inverse, mean(z), and the slope of that."""

    @abstractmethod
    def link(self, mean: float) -> float:
        """Return z of a mean; raises ValueError or ZeroDivisionError where there is none."""

    @abstractmethod
    def mean_and_slope(self, z: Floats) -> tuple[Floats, Floats]:
        """Return mean(z) and its derivative, two new arrays."""

    def mean(self, z: Floats) -> Floats:
        """Return the mean alone."""
        return self.mean_and_slope(z)[0]

    def has_mean(self, z: Floats) -> Booleans:
        """Return where z has a mean: everywhere, unless overridden."""
        return np.ones(len(z), dtype=bool)


class ProbabilityLink(Link):
    """A link of a probability p: z is any number, p rises with z from 0 to 1.

    All parts keep their relative accuracy in both tails, where p or 1 - p round to 0 and 1.
    """

    @abstractmethod
    def costs(self, z: Floats) -> tuple[Floats, Floats]:
        """Return -log p and -log(1 - p)."""

    @abstractmethod
    def slopes(self, z: Floats) -> tuple[Floats, Floats]:
        """Return dlog p/dz and -dlog(1 - p)/dz, both positive.

        Their product is p'^2 / (p (1 - p)), the Fisher information of a trial.
        """

    @abstractmethod
    def bends(self, z: Floats) -> tuple[Floats, Floats]:
        """Return the second derivatives of -log p and -log(1 - p), both positive."""

    def costs_and_slopes(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return both, for links that share work between them."""
        return (*self.costs(z), *self.slopes(z))
