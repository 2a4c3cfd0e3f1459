"""Where the program runs: the scheduler's job, its time, and the cores that the ranks have.

Slurm tells its jobs by the environment. Nothing here is collective or needs MPI.
"""

from mpi_gd.allocation.job import Allocation, find_allocation, seconds_left
from mpi_gd.allocation.place import Place, complaints, own_place, usable_cores
from mpi_gd.allocation.time_limit import TimeLimit

__all__ = [
    "Allocation",
    "Place",
    "TimeLimit",
    "complaints",
    "find_allocation",
    "own_place",
    "seconds_left",
    "usable_cores",
]
