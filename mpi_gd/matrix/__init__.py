"""How rows of X are stored, and the products with them; a way is one file here."""

from mpi_gd.matrix.beside import Beside
from mpi_gd.matrix.columns import STEP, Chunk, Columns
from mpi_gd.matrix.csr import Csr
from mpi_gd.matrix.dense import Dense
from mpi_gd.matrix.matrix import Block, Matrix, Reader

__all__ = ["STEP", "Beside", "Block", "Chunk", "Columns", "Csr", "Dense", "Matrix", "Reader"]
