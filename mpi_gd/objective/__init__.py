"""The objective: a solver's questions answered from rows, loss, penalty and communicator."""

from mpi_gd.objective.binding import bind_penalty
from mpi_gd.objective.bycolumn import is_by_column
from mpi_gd.objective.certificate import Certificate, Certifier, find_certifier
from mpi_gd.objective.gram import Gram, GramPass, Squares, takes_moments
from mpi_gd.objective.objective import Objective, Reply
from mpi_gd.objective.rank import MOST_COLUMNS, Rank, find_rank
from mpi_gd.objective.rows import Rows
from mpi_gd.objective.scaling import Scaling, find_scaling, require_finite
from mpi_gd.objective.start import find_spread, find_start, weighted_means

__all__ = [
    "MOST_COLUMNS",
    "Certificate",
    "Certifier",
    "Gram",
    "GramPass",
    "Objective",
    "Rank",
    "Reply",
    "Rows",
    "Scaling",
    "Squares",
    "bind_penalty",
    "find_certifier",
    "find_rank",
    "find_scaling",
    "find_spread",
    "find_start",
    "is_by_column",
    "require_finite",
    "takes_moments",
    "weighted_means",
]
