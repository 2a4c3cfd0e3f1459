"""Penalties: functions of the coefficients, the intercepts excepted."""

from mpi_gd.penalties.elastic_net import ElasticNet
from mpi_gd.penalties.group_lasso import GroupLasso
from mpi_gd.penalties.l1 import L1
from mpi_gd.penalties.l2 import L2
from mpi_gd.penalties.mcp import Mcp
from mpi_gd.penalties.none import NoPenalty
from mpi_gd.penalties.penalty import Bound, Penalty
from mpi_gd.penalties.scad import Scad
from mpi_gd.penalties.separable import Separable

__all__ = [
    "L1",
    "L2",
    "PENALTIES",
    "Bound",
    "ElasticNet",
    "GroupLasso",
    "Mcp",
    "NoPenalty",
    "Penalty",
    "Scad",
    "Separable",
]

PENALTIES: dict[str, type[Penalty]] = {
    "none": NoPenalty,
    "l2": L2,
    "l1": L1,
    "elastic-net": ElasticNet,
    "group-lasso": GroupLasso,
    "mcp": Mcp,
    "scad": Scad,
}
