"""Train generalized linear models with MPI and NumPy: `mpirun -n 8 python -m mpi_gd`.

Importing the package imports nothing else: environment variables such as OPENBLAS_NUM_THREADS
and the signal handlers have to be set before NumPy and MPI are loaded.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
