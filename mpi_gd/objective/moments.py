"""The second moments of the columns, to twice the digits of float64.

A Gram matrix in float64 loses what columns differ by where they are alike to eight digits; solving
with it squares the condition of the problem. Here each number is cut into four slices of so few
bits that all products and sums of slices within a tile are exact (Ozaki, Ogita, Oishi and Rump,
"Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", Numerical Algorithms 59, 2012), BLAS multiplies the slices,
and the tiles' sums are added exactly. So the result has some 30 digits, and the same bits whoever
owns which tiles; it costs about ten Gram matrices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.doubled import Doubled
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["second_moments"]

_MANTISSA_BITS = 53
# Slices a and b of two columns meet on level a + b; level 7 is below 2^-100 of the largest.
_SLICES = 4
_LEVELS = (2, 3, 4, 5, 6)


def second_moments(world: World, rows: Rows, y: Floats) -> Doubled:
    """Return sum weight v v' (d + 2, d + 2) over all ranks' rows, v = (x, 1, y); collective.

    A number counts to 2^-80 of the largest in its column.
    """
    d = rows.x.shape[1]
    p = d + 2
    exponents = _exponents(world, rows, y, p)
    grid = rows.grid
    bits = (_MANTISSA_BITS - 1 - max(1, grid.tile_rows - 1).bit_length()) // 2
    upper = np.triu_indices(p)
    n = len(upper[0])
    tile_sum = TileSum(world, grid.n_tiles, n * len(_LEVELS))
    # On level l the products are below 2^-(l - 2) bits, and a tile adds tile_rows of them, twice.
    room = grid.tile_rows.bit_length() + 2
    levels = np.repeat([room - (level - 2) * bits for level in _LEVELS], n)
    tile_sum.set_exponents(np.append(levels, 0))

    def tiles() -> Iterator[Floats]:
        for start, stop in rows.tiles():
            sums = np.zeros((len(_LEVELS), p, p))
            for block in _blocks(rows, y, start, stop):
                _add_products(np.ldexp(block, -exponents), bits, sums)
            yield sums[:, upper[0], upper[1]].reshape(-1)

    tile_sum.sum_stream(tiles, lambda: np.zeros(n * len(_LEVELS)))
    hi, lo = tile_sum.limbs()
    total = Doubled.of(np.zeros(n))
    for level in range(len(_LEVELS)):
        part = slice(level * n, (level + 1) * n)
        total = total + Doubled.sum_of(hi[part], lo[part])
    moments = Doubled(np.empty((p, p)), np.empty((p, p)))
    moments[upper] = total
    moments[upper[1], upper[0]] = total
    scale = exponents[:, None] + exponents
    return Doubled(np.ldexp(moments.hi, scale), np.ldexp(moments.lo, scale))


def _blocks(rows: Rows, y: Floats, start: int, stop: int) -> Iterator[Floats]:
    """Yield v (n, d + 2) of each block of a tile, times the root of weight."""
    reader = rows.x.reader(rows.grid.block_rows)
    d = rows.x.shape[1]
    for first, last in rows.blocks(start, stop):
        block = np.empty((last - first, d + 2))
        block[:, :d] = reader.block(first, last).dense()
        block[:, d] = 1.0
        block[:, d + 1] = y[first:last]
        if rows.weight is not None:
            weight = rows.weight[first:last]
            # First, for they may hold anything: 0 times infinity is a warning.
            block[~(weight > 0)] = 0.0
            block *= np.sqrt(weight)[:, None]
        yield block


def _exponents(world: World, rows: Rows, y: Floats, p: int) -> NDArray[np.int64]:
    """Return e so that all numbers of a column are below 2^e; collective."""
    largest = np.zeros(p)
    for start, stop in rows.tiles():
        for block in _blocks(rows, y, start, stop):
            np.maximum(largest, np.abs(block).max(axis=0, initial=0.0), out=largest)
    world.allreduce_max(largest)
    return np.frexp(largest)[1].astype(np.int64)


def _add_products(block: Floats, bits: int, sums: Floats) -> None:
    """Add the products of the slices of numbers below 1, by level."""
    slices = []
    rest = block
    for number in range(1, _SLICES + 1):
        unit = 2.0 ** (-bits * number)
        slices.append(np.rint(rest / unit) * unit)
        rest = rest - slices[-1]
    for a in range(_SLICES):
        for b in range(a, _SLICES):
            level = (a + 1) + (b + 1) - _LEVELS[0]
            if level < len(_LEVELS):
                product = slices[a].T @ slices[b]
                sums[level] += product if a == b else product + product.T
