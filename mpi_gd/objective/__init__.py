"""The objective: a solver's questions answered from rows, loss, penalty and communicator."""

from mpi_gd.objective.binding import bind_penalty
from mpi_gd.objective.bycolumn import is_by_column
from mpi_gd.objective.certificate import Certificate, Certifier, find_certifier
from mpi_gd.objective.gram import Gram, GramPass, Squares, center_of, takes_moments
from mpi_gd.objective.gram_parts import find_gram_parts, joined
from mpi_gd.objective.lanes import LanePass, lane_deviations, lane_losses
from mpi_gd.objective.objective import Objective, Reply
from mpi_gd.objective.rank import MOST_COLUMNS, Rank, find_rank
from mpi_gd.objective.rows import Rows
from mpi_gd.objective.scaling import (
    ColumnMoments,
    Scaling,
    find_pilot,
    find_scaling,
    is_off,
    require_finite,
    scaling_of,
)
from mpi_gd.objective.start import find_spread, find_start, weighted_means

__all__ = [
    "MOST_COLUMNS",
    "Certificate",
    "Certifier",
    "ColumnMoments",
    "Gram",
    "GramPass",
    "LanePass",
    "Objective",
    "Rank",
    "Reply",
    "Rows",
    "Scaling",
    "Squares",
    "bind_penalty",
    "center_of",
    "find_certifier",
    "find_gram_parts",
    "find_pilot",
    "find_rank",
    "find_scaling",
    "find_spread",
    "find_start",
    "is_by_column",
    "is_off",
    "joined",
    "lane_deviations",
    "lane_losses",
    "require_finite",
    "scaling_of",
    "takes_moments",
    "weighted_means",
]
