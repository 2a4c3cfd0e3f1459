"""No penalty."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.penalties.penalty import Floats, Penalty

__all__ = ["NoPenalty"]


@dataclass(frozen=True)
class NoPenalty(Penalty):
    """penalty(w) = 0."""

    def value(self, u: Floats, factor: Floats) -> float:
        """Return 0."""
        return 0.0

    def add_gradient(self, u: Floats, factor: Floats, out: Floats) -> None:
        """Add nothing."""

    def curvature(self, factor: Floats) -> float:
        """Return 0."""
        return 0.0
