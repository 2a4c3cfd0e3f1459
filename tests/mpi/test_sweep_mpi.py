"""A sweep on many ranks: each sees the same losses, bit for bit, and suggests the same step."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm import SerialWorld, World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.data.grid import RowGrid
from mpi_gd.losses import Logistic
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, find_scaling
from mpi_gd.penalties import L2
from mpi_gd.solvers import Adam, Answer, Question, Sgd, Svrg
from mpi_gd.solvers.sweep import Swept, Tunable, own_step, sweep

N, D = 9001, 4


def swept(here: World, solver: Tunable) -> tuple[Swept, float]:
    """Return the sweep of a logistic regression, and the solver's own step."""
    rng = np.random.default_rng(2)
    x, noise = rng.normal(size=(N, D)), rng.logistic(size=N)
    y = np.where(x[:, 0] + noise > 0, 1.0, 0.0)
    grid, names = RowGrid(N, D, 8), tuple("abcd")
    own = slice(*grid.rows_of(here.rank, here.size))
    first, last = grid.tiles_of(here.rank, here.size)
    matrix = Dense(np.ascontiguousarray(x[own]))
    rows = Rows(grid, first, last, matrix, Logistic().encode(y[own]))
    scaling = find_scaling(
        here, rows, names, "exact", standardize=False, precondition=True, locate=str
    )
    penalty = L2(alpha=1e-3).bind(names, scaling.penalty_scale)
    objective = Objective(here, rows, Logistic(), penalty, scaling)

    def ask(question: Question) -> Answer:
        return objective.answer(question).answer

    u = np.zeros(D + 1)
    chosen = own_step(solver, objective.problem, u, ask)
    low, high = chosen / 100.0, chosen * 1000.0
    return sweep(solver, objective.problem, u, ask, low, high, 40), chosen


@pytest.mark.parametrize("solver", [Sgd(), Adam(), Svrg()], ids=["sgd", "adam", "svrg"])
def test_a_sweep_has_the_same_bits(solver: Tunable) -> None:
    found = swept(MpiWorld(MPI.COMM_WORLD), solver)
    assert found == swept(SerialWorld(), solver)
    assert found[0].suggestion
