"""Penalties: functions of the coefficients, the intercept excepted."""

from mpi_gd.penalties.l2 import L2
from mpi_gd.penalties.none import NoPenalty
from mpi_gd.penalties.penalty import Penalty

__all__ = ["L2", "PENALTIES", "NoPenalty", "Penalty"]

PENALTIES: dict[str, type[Penalty]] = {
    "none": NoPenalty,
    "l2": L2,
}
