"""Second moments with twice the digits of float64, the same bits on any division of the rows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.doubled import Doubled
from mpi_gd.matrix import Dense
from mpi_gd.objective import Rows
from mpi_gd.objective.moments import second_moments
from mpi_gd.objective.rows import Floats
from tests.simulated import on_ranks

N = 1300


def table() -> tuple[Floats, Floats]:
    """Return columns of different sizes, some far from 0, and a response."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 4)) * [1.0, 1e-12, 1e12, 1.0] + [1e8, 0, 0, -3]
    return x, rng.normal(size=N)


def moments(world: World, x: Floats, y: Floats, weight: Any = None) -> Doubled:
    """Return the moments of all ranks' rows."""
    grid = RowGrid(len(x), x.shape[1], 8)
    first, last = grid.tiles_of(world.rank, world.size)
    own = slice(*grid.rows_of(world.rank, world.size))
    weight = None if weight is None else weight[own]
    rows = Rows(grid, first, last, Dense(x[own]), y[own], weight)
    return second_moments(world, rows, y[own])


def exact(x: Floats, y: Floats, mask: Any = None) -> list[list[Fraction]]:
    """Return sum v v' of v = (x, 1, y)."""
    chosen = slice(None) if mask is None else mask
    table = np.column_stack([x, np.ones(len(y)), y])[chosen]
    columns = [[Fraction(float(v)) for v in column] for column in table.T]
    return [[sum(map(Fraction.__mul__, a, b), Fraction()) for b in columns] for a in columns]


def worst(found: Doubled, wanted: list[list[Fraction]]) -> Fraction:
    """Return the largest error, relative to the lengths of both columns."""
    p, errors = len(wanted), []
    for i in range(p):
        for j in range(p):
            error = Fraction(float(found.hi[i, j])) + Fraction(float(found.lo[i, j]))
            error -= wanted[i][j]
            errors.append(error**2 / (wanted[i][i] * wanted[j][j]))
    return max(errors)


@pytest.mark.parametrize("masked", [False, True])
def test_they_have_about_thirty_digits(masked: bool) -> None:
    x, y = table()
    mask = np.arange(N) % 3 > 0 if masked else None
    if mask is not None:
        # What a row that does not count holds is no matter.
        x[~mask, 3] = np.inf
    found = moments(SerialWorld(), x, y, mask)
    if mask is not None:
        x[~mask, 3] = 0.0
    # The errors are squared.
    assert worst(found, exact(x, y, mask)) < Fraction(1, 10**46)
    np.testing.assert_array_equal(found.hi, found.hi.T)
    np.testing.assert_array_equal(found.lo, found.lo.T)


def test_small_integers_are_exact() -> None:
    rng = np.random.default_rng(4)
    x = rng.integers(-(2**20), 2**20, size=(N, 3)).astype(np.float64)
    y = rng.integers(-9, 9, size=N).astype(np.float64)
    assert worst(moments(SerialWorld(), x, y), exact(x, y)) == 0


def test_a_weight_is_so_many_rows() -> None:
    x, y = table()
    weight = np.arange(N) % 4 * 4.0
    times = (weight / 4).astype(int)
    once = moments(SerialWorld(), x, y, weight)
    again = exact(np.repeat(x, times, axis=0), np.repeat(y, times))
    four = [[4 * value for value in row] for row in again]
    # The root of 8 and of 12 has 16 digits, and they are squared.
    assert worst(once, four) < Fraction(1, 10**30)


@pytest.mark.parametrize("weighted", [False, True])
def test_any_division_of_the_tiles_gives_the_same_bits(weighted: bool) -> None:
    x, y = table()
    weight = np.random.default_rng(6).random(N) if weighted else None

    def work(world: World) -> tuple[bytes, bytes]:
        found = moments(world, x, y, weight)
        return found.hi.tobytes(), found.lo.tobytes()

    expected = work(SerialWorld())
    # The last has more ranks than there are tiles.
    for size in (2, 3, 5):
        assert on_ranks(size, work) == [expected] * size
