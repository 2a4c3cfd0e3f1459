"""Problems made up: rows of known coefficients, the same on any number of ranks."""

from mpi_gd.synthetic.problem import Problem
from mpi_gd.synthetic.source import SyntheticSource

__all__ = ["Problem", "SyntheticSource"]
