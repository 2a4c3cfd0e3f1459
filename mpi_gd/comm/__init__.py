"""Communication: the world of ranks, and sums over tiles that do not depend on their order.

`mpi_gd.comm.mpi` starts MPI when it is imported, so it is not imported here.
"""

from mpi_gd.comm.columnsum import ColumnSum, Terms
from mpi_gd.comm.serial import SerialWorld
from mpi_gd.comm.tilesum import Reduction, TileSum
from mpi_gd.comm.world import World

__all__ = ["ColumnSum", "Reduction", "SerialWorld", "Terms", "TileSum", "World"]
