"""The objective: a solver's questions answered from rows, loss, penalty and communicator."""

from mpi_gd.objective.binding import bind_penalty
from mpi_gd.objective.bycolumn import is_by_column
from mpi_gd.objective.objective import Objective, Reply
from mpi_gd.objective.rank import MOST_COLUMNS, Rank, find_rank
from mpi_gd.objective.rows import Rows
from mpi_gd.objective.scaling import Scaling, find_scaling
from mpi_gd.objective.start import find_spread, find_start

__all__ = [
    "MOST_COLUMNS",
    "Objective",
    "Rank",
    "Reply",
    "Rows",
    "Scaling",
    "bind_penalty",
    "find_rank",
    "find_scaling",
    "find_spread",
    "find_start",
    "is_by_column",
]
