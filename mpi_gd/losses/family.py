"""Families of generalized linear models whose mean may have one of several links.

P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd edition, Chapman and Hall 1989.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mpi_gd.links import LINKS, Link
from mpi_gd.losses.loss import Booleans, Floats, Likelihood
from mpi_gd.losses.rowwise import Rowwise

__all__ = ["Family"]


@dataclass(frozen=True)
class Family(Rowwise, Likelihood):
    """A likelihood whose derivative in the mean is (mean - y) / V(mean)."""

    link: str
    """How the mean depends on z."""

    lowest_mean: ClassVar[float] = 0.0
    """The mean lies above it."""

    @property
    def curvature(self) -> float:
        """No bound, unless overridden."""
        return math.inf

    @abstractmethod
    def of_mean(self, mean: Floats, y: Floats) -> Floats:
        """Return each row's loss for a mean above `lowest_mean`."""

    def rows(self, z: Floats, target: Floats) -> Floats:
        """Return each row's loss through the link; z becomes (mean - y) / V(mean) dmean/dz.

        Families override it for the log link, which deserves fewer passes.
        """
        mean, slope = self._link.mean_and_slope(z)
        outside = ~self._inside(z, mean)
        losses = self.of_mean(mean, target)
        np.subtract(mean, target, out=z)
        z /= self.variance(mean)
        z *= slope
        if outside.any():
            losses[outside] = math.inf
            z[outside] = 0.0
        return losses

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return `fisher`, to be overridden where the loss is convex and another thing."""
        return self.fisher(z, target)

    def fisher(self, z: Floats, target: Floats) -> Floats:
        """Return (dmean/dz)^2 / V(mean)."""
        with np.errstate(all="ignore"):
            mean, slope = self._link.mean_and_slope(z)
            return np.square(slope) / self.variance(mean)

    def inverse_link(self, z: Floats) -> Floats:
        """Return the mean; NaN where z has none."""
        with np.errstate(all="ignore"):
            mean = self._link.mean(z)
        return np.where(self._inside(z, mean), mean, math.nan) if self.link != "log" else mean

    def start(self, mean: float) -> float:
        """Return z of the mean; of 1 where the mean has none, as 0 with the log link."""
        try:
            z = self._link.link(mean if mean > self.lowest_mean else 1.0)
        except (ValueError, ZeroDivisionError, OverflowError):
            z = math.nan
        is_good = math.isfinite(z) and bool(self._link.has_mean(np.array([z]))[0])
        return z if is_good else self._link.link(1.0)

    @property
    def _link(self) -> Link:
        """Return the link itself."""
        return LINKS[self.link]

    def _inside(self, z: Floats, mean: Floats) -> Booleans:
        """Return where z has a mean, and one that the family can have."""
        return self._link.has_mean(z) & (mean > self.lowest_mean)
