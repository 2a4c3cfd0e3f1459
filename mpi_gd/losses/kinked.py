"""Losses with kinks, linear between them: what a bound of their minimum is made of."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from mpi_gd.losses.loss import Floats
from mpi_gd.losses.rowwise import Rowwise

__all__ = ["Kinked"]


@dataclass(frozen=True)
class Kinked(Rowwise):
    """A convex loss that is piecewise linear in z; `smoothed` rounds its kinks off."""

    is_smooth = False
    curvature = math.inf

    def second_derivative(self, z: Floats, target: Floats) -> Floats:
        """Return 0, what it is where it exists."""
        return np.zeros(len(z))

    @abstractmethod
    def slopes(self, target: Floats) -> tuple[Floats, Floats]:
        """Return the least and the largest slope of each row, (n,): where loss* is finite."""

    @abstractmethod
    def slack(self, z: Floats, target: Floats, r: Floats) -> Floats:
        """Return loss(y, z) + loss*(r) - r z (n,), r within `slopes`; 0 where r is a slope at z."""
