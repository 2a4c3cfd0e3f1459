"""Columns scaled by a sample: the same optimum, and no number that is not finite gets through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import DataError
from mpi_gd.losses import Logistic
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, Scaling, find_scaling, require_finite
from mpi_gd.penalties import L2
from mpi_gd.solvers import Question
from tests.simulated import on_ranks

N, D = 20_000, 3
RNG = np.random.default_rng(2)
X = RNG.normal(size=(N, D)) * [1.0, 1e3, 1e-3] + [0.0, 5e3, 0.0]
Y: Any = (RNG.random(N) < 0.4) * 1.0
WEIGHT = RNG.integers(0, 3, size=N) * 0.5
NAMES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what is large in the program for large here."""
    monkeypatch.setattr("mpi_gd.objective.scaling._ROUGH_ROWS", 2000)


def rows_of(world: World, x: Any, weight: Any = None) -> Rows:
    grid = RowGrid(N, D, 8)
    own = slice(*grid.rows_of(world.rank, world.size))
    target = Logistic().encode(Y[own])
    part = None if weight is None else weight[own]
    tiles = grid.tiles_of(world.rank, world.size)
    return Rows(grid, *tiles, Dense(np.ascontiguousarray(x[own])), target, part)


def scaling_of(world: World, x: Any, weight: Any = None, **options: Any) -> Scaling:
    given = {"standardize": False, "precondition": True, "rough": 3, **options}
    rows = rows_of(world, x, weight)
    return find_scaling(world, rows, NAMES, "exact", locate=lambda i: f"row {i}", **given)


def scaling_is_rough(x: Any) -> bool:
    """Whether the sample has seen nothing that is not finite."""
    try:
        return scaling_of(SerialWorld(), x).is_rough
    except DataError:
        return False


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_it_is_near_and_knows_the_weights_of_all(weight: Any) -> None:
    rough = scaling_of(SerialWorld(), X, weight)
    exact = scaling_of(SerialWorld(), X, weight, rough=None)
    assert rough.is_rough and not exact.is_rough
    np.testing.assert_allclose(rough.deviation, exact.deviation, rtol=0.1)
    assert (rough.weight, rough.n_rows) == (exact.weight, exact.n_rows)


@pytest.mark.parametrize(
    "options", [{"standardize": True}, {"precondition": False}, {"rough": None}], ids=str
)
def test_where_it_must_be_exact_it_is(options: Any) -> None:
    assert not scaling_of(SerialWorld(), X, **options).is_rough


def test_a_column_that_a_sample_shows_nothing_of_is_looked_at_in_all_rows() -> None:
    x = X.copy()
    x[:, 2] = 0.0
    x[300, 2] = 1.0
    found = scaling_of(SerialWorld(), x)
    assert not found.is_rough
    assert found.deviation[2] == pytest.approx(N**-0.5, rel=1e-3)


def test_any_number_of_ranks_finds_the_same_bits() -> None:
    def work(world: World) -> bytes:
        found = scaling_of(world, X, WEIGHT)
        return found.mean.tobytes() + found.deviation.tobytes()

    alone = work(SerialWorld())
    for size in (2, 5):
        assert on_ranks(size, work) == [alone] * size


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named_when_the_training_meets_it(bad: float) -> None:
    x = X.copy()
    # Where the sample does not look: it would have been found at once.
    for row in range(N - 1, 0, -1):
        x[row, 1] = bad
        if scaling_is_rough(x):
            break
        x[row, 1] = 0.0

    def work(world: World) -> None:
        rows, scaling = rows_of(world, x), scaling_of(world, x)

        def look() -> None:
            with world.phase("looking"):
                require_finite(rows, NAMES, lambda i: f"row {i}")

        penalty = L2().bind(NAMES, scaling.penalty_scale)
        objective = Objective(world, rows, Logistic(), penalty, scaling, on_not_finite=look)
        objective.answer(Question(np.zeros(D + 1)))

    for told in on_ranks(3, work):
        assert isinstance(told, DataError)
        assert f"row {row}, column 'b': got {bad}" in str(told)
