"""Dependent columns are found and named, and columns that only look dependent are kept."""

from __future__ import annotations

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.matrix import Dense
from mpi_gd.objective import Rank, Rows, find_rank, find_scaling
from mpi_gd.objective.elimination import Elimination, eliminate
from mpi_gd.objective.moments import second_moments
from mpi_gd.objective.rows import Floats
from tests.simulated import on_ranks

N = 1100


def columns() -> Floats:
    """Return four independent columns."""
    shifts = np.array([0.0, 1.0, -2.0, 0.5])
    return np.asarray(np.random.default_rng(8).normal(size=(N, 4)) + shifts)


def dummies() -> Floats:
    """Return one column for each of three levels."""
    return np.asarray((np.arange(N)[:, None] * 7 % 3 == np.arange(3)) * 1.0)


def rows_of(world: World, x: Floats) -> tuple[Rows, Floats]:
    """Return the rows of a rank and their response."""
    grid = RowGrid(len(x), x.shape[1], 8)
    first, last = grid.tiles_of(world.rank, world.size)
    own = slice(*grid.rows_of(world.rank, world.size))
    y = np.cos(np.arange(len(x)))[own]
    return Rows(grid, first, last, Dense(np.ascontiguousarray(x[own])), y), y


def rank_of(x: Floats, intercept: bool = True, world: World | None = None) -> Rank:
    """Return what is found, as the program asks for it."""
    world = world or SerialWorld()
    rows, y = rows_of(world, x)
    scaling = find_scaling(
        world,
        rows,
        tuple(f"x{j}" for j in range(x.shape[1])),
        "exact",
        standardize=False,
        precondition=True,
        locate=str,
        intercept=intercept,
    )
    return find_rank(world, rows, y, scaling, has_intercept=intercept)


def elimination_of(x: Floats, intercept: bool = True, ridge: Floats | None = None) -> Elimination:
    """Return the solution of least squares."""
    rows, y = rows_of(SerialWorld(), x)
    return eliminate(second_moments(SerialWorld(), rows, y), intercept, ridge)


X = columns()
ONE = np.ones(N)
# The columns, whether there is an intercept, and what is to be found.
DEPENDENT: dict[str, tuple[Floats, bool, dict[int, list[int]]]] = {
    "constant": (np.column_stack([X[:, 0], 3.0 * ONE, X[:, 1]]), True, {1: []}),
    "zero": (np.column_stack([X[:, 0], 0.0 * ONE, X[:, 1]]), False, {1: []}),
    "constant, no intercept": (np.column_stack([X[:, 0], 3.0 * ONE]), False, {}),
    "twice": (np.column_stack([X, X[:, 2]]), True, {4: [2]}),
    "twice, first": (np.column_stack([X[:, 2], X]), True, {3: [0]}),
    "sum of two": (np.column_stack([X, X[:, 0] - 2 * X[:, 3]]), True, {4: [0, 3]}),
    "shifted": (np.column_stack([X, 4 * X[:, 1] + 7]), True, {4: [1]}),
    "shifted, no intercept": (np.column_stack([X, 4 * X[:, 1] + 7]), False, {}),
    "dummies": (np.column_stack([X[:, 0], dummies()]), True, {3: [1, 2]}),
    "dummies, no intercept": (np.column_stack([X[:, 0], dummies()]), False, {}),
    "two of them": (np.column_stack([X, X[:, 1], X[:, 0] + X[:, 1]]), True, {4: [1], 5: [0, 1]}),
    "1e-12 of another": (np.column_stack([X, 1e-12 * X[:, 3]]), True, {4: [3]}),
    "1e12 of another": (np.column_stack([1e12 * X[:, 3], X]), True, {4: [0]}),
    "1e-12 beside 1e12": (X * [1e-12, 1.0, 1e12, 1.0], True, {}),
    "1e-9 new": (np.column_stack([X, X[:, 2] + 1e-9 * np.sin(np.arange(N))]), True, {}),
    "1e-11 new": (np.column_stack([X, X[:, 2] + 1e-11 * np.sin(np.arange(N))]), True, {}),
    "far from 0": (X + 1e6, True, {}),
}
each = pytest.mark.parametrize("case", DEPENDENT)


@each
def test_what_is_dependent_is_named(case: str) -> None:
    x, intercept, wanted = DEPENDENT[case]
    found = rank_of(x, intercept)
    assert found.combinations == wanted
    assert np.flatnonzero(~found.kept).tolist() == sorted(wanted)
    # Where the screening in float64 sees nothing, the elimination sees nothing either.
    precise = elimination_of(x, intercept)
    assert precise.combinations == wanted
    np.testing.assert_array_equal(precise.kept, found.kept)


@pytest.mark.parametrize("case", ["1e-9 new", "1e-11 new"])
def test_nearly_dependent_columns_are_told_from_others(case: str) -> None:
    assert rank_of(DEPENDENT[case][0]).is_ill_conditioned
    assert not rank_of(X).is_ill_conditioned
    assert not rank_of(DEPENDENT["twice"][0]).is_ill_conditioned, "what is left is well apart"


@each
def test_all_ranks_find_the_same(case: str) -> None:
    x, intercept, wanted = DEPENDENT[case]
    results = on_ranks(3, lambda world: rank_of(x, intercept, world))
    assert all(isinstance(found, Rank) and found.combinations == wanted for found in results)


def test_a_row_without_weight_makes_no_column_new() -> None:
    x = np.column_stack([X, X[:, 0]])
    x[5, 4] += 1.0
    rows, y = rows_of(SerialWorld(), x)
    mask = np.arange(N) != 5
    masked = Rows(rows.grid, rows.first_tile, rows.last_tile, rows.x, rows.target, mask)
    assert eliminate(second_moments(SerialWorld(), rows, y), True).combinations == {}
    assert eliminate(second_moments(SerialWorld(), masked, y), True).combinations == {4: [0]}
