"""What data take on each node: memory, and seconds of a pass, by their headers and a stated rule.

The rule is no measurement: bytes a second that a core and a node read from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.data import Source

__all__ = ["CORE_SPEED", "NODE_SPEED", "Sizes", "size_up"]

CORE_SPEED, NODE_SPEED = 5e9, 50e9
# Python, NumPy and MPI.
_RANK_BYTES = 150e6
# What is parsed, converted and split off needs room beside the rows themselves.
_MARGIN = 1.25
# Square matrices of float64 that Newton's method has at a time; `auto` takes it up to so many
# parameters.
_HESSIANS, _MOST_NEWTON = 10, 1500
_INDEX_BYTES = 4
# Of a row: the target, z.
_ROW_BYTES = 16


@dataclass(frozen=True)
class Sizes:
    """What a job takes on each node, by the headers of its data."""

    rows: int
    columns: int
    data_bytes: float
    """Of X in memory, on all nodes together."""
    node_bytes: float
    pass_seconds: float


def size_up(source: Source, nodes: int, ranks: int) -> Sizes:
    """Estimate for `ranks` on each node; of a file without a count of rows by its first lines."""
    rows, columns = source.guess_rows(), source.n_features
    stored = source.n_stored or rows * columns
    # A sparse number has its column's beside it.
    each = source.dtype.itemsize + (_INDEX_BYTES if source.n_stored else 0)
    data = float(stored * each + _ROW_BYTES * rows)
    hessian = _HESSIANS * 8.0 * columns**2 if columns <= _MOST_NEWTON else 0.0
    node = _MARGIN * (data / nodes + ranks * (_RANK_BYTES + hessian))
    return Sizes(rows, columns, data, node, data / nodes / min(NODE_SPEED, ranks * CORE_SPEED))
