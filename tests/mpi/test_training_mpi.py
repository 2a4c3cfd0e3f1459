"""Every solver's training on many ranks has the bits of one process, and one Allreduce a question.

Each rank holds only its own rows, which differ; tiles do not divide by the number of ranks.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm import SerialWorld, World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import DataError, OutOfStep
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, find_scaling
from mpi_gd.penalties import L2, PENALTIES
from mpi_gd.solvers import (
    SOLVERS,
    Auto,
    BarzilaiBorwein,
    FiniteSmoothing,
    GradientDescent,
    Lbfgs,
    LeastSquares,
    LocalSgd,
    NewtonCg,
    Progressive,
    Question,
    Sgd,
    Solver,
    Stochastic,
    Svrg,
)
from mpi_gd.trainer import N_VOTES, Ballot, Course, Ending, train
from tests.fitting import fit
from tests.ranks import on_root

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
D = 7
# What these do is tried with the losses that they are for.
SPECIAL = (Auto, LeastSquares, FiniteSmoothing)
WAYS: dict[str, Solver] = {
    kind: solver() for kind, solver in SOLVERS.items() if solver not in SPECIAL
} | {
    "backtracking": GradientDescent(rule="backtracking"),
    "far": GradientDescent(rule="backtracking", step=1e12),
    "local-sgd": LocalSgd(workers=5, rounds=4),
    "svrg": Svrg(batch_size=100),
    "small batches": Sgd(batch_size=50, schedule="inverse", averaging=False),
    "monotone": BarzilaiBorwein(memory_length=1),
}
BY_BATCHES = (Stochastic, Svrg)
# These ask for all rows with work for the workers, or the Hessian, and without.
TWOFOLD = ("averaging", "local-sgd", "gram")


class CountingWorld(MpiWorld):
    """Counts what is sent."""

    n_sums = n_maxima = n_others = 0

    def allreduce_sum(self, buffer: Any) -> None:
        self.n_sums += 1
        super().allreduce_sum(buffer)

    def allreduce_max(self, buffer: Any) -> None:
        self.n_maxima += 1
        super().allreduce_max(buffer)

    def bcast_bytes(self, data: bytes | None, source: int = 0) -> bytes:
        self.n_others += 1
        return super().bcast_bytes(data, source)

    def gather_small(self, text: str) -> list[str]:
        self.n_others += 1
        return super().gather_small(text)

    def alltoallv(self, pieces: list[Any]) -> list[Any]:
        self.n_others += 1
        return super().alltoallv(pieces)


NAMES = tuple(f"x{j}" for j in range(D))


def table(n: int, loss: Loss) -> tuple[Any, Any, Any]:
    """Return X, y and mask of all rows, the same on all ranks."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, D)) * 10.0 ** np.arange(-3, 4) + np.arange(D)
    z = (x - x.mean(axis=0)) / 10.0 ** np.arange(-3, 4) @ rng.normal(size=D)
    z = z + rng.standard_cauchy(size=n)
    return x, (z > 0) * 1.0 if loss.is_classifier else z, rng.random(n) < 0.8


def rows_of(world: World, n: int, loss: Loss, n_workers: int = 0) -> Rows:
    """Return this rank's rows, in memory of their own."""
    x, y, mask = table(n, loss)
    grid = RowGrid(n, D, 8, n_workers=n_workers)
    own = slice(*grid.rows_of(world.rank, world.size))
    first, last = grid.tiles_of(world.rank, world.size)
    # The first row counts, so that one row is enough to train on.
    mask[0] = True
    # Aligned, as the program has it.
    mine = aligned_empty(x[own].shape, x.dtype)
    mine[:] = x[own]
    return Rows(grid, first, last, Dense(mine), loss.encode(y[own]), mask[own].copy())


def objective_of(world: World, n: int, loss: Loss, n_workers: int = 0) -> Objective:
    """Return the objective as the program makes it."""
    rows = rows_of(world, n, loss, n_workers)
    scaling = find_scaling(
        world, rows, NAMES, "exact", standardize=False, precondition=True, locate=str
    )
    return Objective(
        world,
        rows,
        loss,
        L2(1e-3).bind(NAMES, scaling.penalty_scale),
        scaling,
        seed=11,
        n_votes=N_VOTES,
    )


def history(world: World, n: int, kind: str, solver: Solver) -> list[bytes]:
    """Return the bits of every iterate and its objective."""
    objective = objective_of(world, n, LOSSES[kind](), solver.divides)
    problem = objective.problem
    bits: list[bytes] = []
    outcome = train(
        objective,
        solver,
        Course(solver.start(problem, np.zeros(problem.n_params))),
        tol=1e-12,
        # Every epoch of many small batches is a hundred messages.
        max_iter=2 if isinstance(solver, BY_BATCHES) else 25,
        ballot=Ballot(world.is_root, lambda: False),
        on_step=lambda record: bits.append(
            np.array([record.objective, record.gradient_norm, record.step]).tobytes()
        ),
        on_save=lambda: None,
    )
    assert outcome.step is not None
    return [*bits, outcome.step.u.tobytes(), outcome.ending.value.encode()]


@pytest.mark.parametrize("n", [1, 3, 700, 5003])
@pytest.mark.parametrize("kind", ["squared", "logistic"])
@pytest.mark.parametrize("way", WAYS)
def test_same_bits_as_one_process(way: str, kind: str, n: int) -> None:
    expected = on_root(lambda: history(SerialWorld(), n, kind, WAYS[way]))
    together = history(MpiWorld(MPI.COMM_WORLD), n, kind, WAYS[way])
    assert together == expected


@pytest.mark.parametrize("way", ["l2", "l1", "none"])
@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_has_the_bits_of_one_process(kind: str, way: str) -> None:
    loss = LOSSES[kind]()
    rng = np.random.default_rng(3)
    n, n_classes = 1303, 3
    x = rng.normal(size=(n, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 3.0, 0.0, 1.0]
    mean = np.exp(0.3 * x[:, 0] - 0.1 * x[:, 3])
    y = rng.integers(0, {"numbers": 2, "two classes": 2, "classes": 3}[loss.task], n).astype(float)
    if loss.task == "numbers" and not loss.invalid(np.array([7.5]))[0]:
        y = rng.gamma(2.0, mean / 2.0)
    weight = rng.integers(0, 4, n).astype(float)

    def bits(world: World) -> list[bytes]:
        penalty = PENALTIES[way]()
        found = fit(
            world, x, y, loss, penalty, weight=weight, n_classes=n_classes, tol=1e-9, max_iter=12
        )
        assert found.outcome.step is not None
        assert not found.outcome.step.answer.value > found.records[0].objective
        return [
            *(np.array([r.objective, r.gradient_norm]).tobytes() for r in found.records),
            found.outcome.step.u.tobytes(),
        ]

    expected = on_root(lambda: bits(SerialWorld()))
    assert bits(MpiWorld(MPI.COMM_WORLD)) == expected


def test_other_rows_on_another_rank_are_noticed() -> None:
    """The comparison above can fail: each rank's rows count."""
    world = MpiWorld(MPI.COMM_WORLD)
    u = np.linspace(-1, 1, D + 1)
    rows = rows_of(world, 5003, LOSSES["squared"]())
    assert rows.weight is not None
    rows.weight[:1] = True
    scaling = find_scaling(
        world, rows, ("x",) * D, "exact", standardize=False, precondition=True, locate=str
    )
    values = []
    for culprit in (None, 0, SIZE - 1):
        if culprit == RANK:
            rows.target[0] += 1.0
        objective = Objective(
            world, rows, LOSSES["squared"](), L2().bind(NAMES, scaling.penalty_scale), scaling
        )
        values.append(objective.answer(Question(u)).answer.value)
    assert len(set(values)) == 3


@pytest.mark.parametrize("way", WAYS)
def test_one_allreduce_a_question(way: str) -> None:
    world = CountingWorld(MPI.COMM_WORLD)
    solver = WAYS[way]
    objective = objective_of(world, 5003, LOSSES["logistic"](), solver.divides)
    world.n_sums = world.n_maxima = world.n_others = 0
    problem = objective.problem
    questions: list[int] = []
    train(
        objective,
        solver,
        Course(solver.start(problem, np.zeros(problem.n_params))),
        tol=1e-10,
        max_iter=2 if isinstance(solver, BY_BATCHES) else 30,
        ballot=Ballot(world.is_root, lambda: False),
        on_step=lambda record: questions.append(record.questions),
        on_save=lambda: None,
    )
    # A kind of question, of all rows or batches, of a gradient alone, with the Hessian or of its
    # product, is calibrated once. A trial point so far away that
    # sums overflow what was agreed on costs two messages more.
    is_twofold = isinstance(solver, (*BY_BATCHES, NewtonCg, Progressive)) or way in TWOFOLD
    plans = 2 if is_twofold else 1
    n_again = world.n_maxima - plans
    assert world.n_sums == questions[-1] + n_again
    assert n_again > 0 if way == "far" else n_again == 0
    assert world.n_others == 0


def test_one_rank_in_another_state_is_found_out() -> None:
    world = MpiWorld(MPI.COMM_WORLD)
    objective = objective_of(world, 5003, LOSSES["logistic"]())
    u = np.zeros(D + 1)
    u[0] = 5e-324 if RANK == SIZE - 1 and SIZE > 1 else 0.0
    if SIZE == 1:
        objective.answer(Question(u))
        return
    with pytest.raises(OutOfStep):
        objective.answer(Question(u))


@pytest.mark.parametrize("culprit", range(SIZE))
def test_a_nan_in_one_ranks_rows_is_everybodys_error(culprit: int) -> None:
    world = MpiWorld(MPI.COMM_WORLD)
    rows = rows_of(world, 512 * SIZE + 3, LOSSES["squared"]())
    start = rows.grid.rows_of(culprit, SIZE)[0]
    if culprit == RANK:
        assert isinstance(rows.x, Dense)
        rows.x.x[5, 2] = np.nan
    with pytest.raises(DataError) as caught:
        find_scaling(
            world,
            rows,
            tuple("abcdefg"),
            "exact",
            standardize=False,
            precondition=True,
            locate=lambda row: f"f.csv: row {row}",
        )
    assert f"f.csv: row {start + 5}, column 'c': got nan, expected" in str(caught.value)
    messages = MPI.COMM_WORLD.allgather(str(caught.value))
    assert len(set(messages)) == 1
    assert SIZE == 1 or messages[0].startswith(f"rank {culprit}: ")


@pytest.mark.parametrize("culprit", range(SIZE))
def test_one_ranks_signal_stops_all_at_the_same_question(culprit: int) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    world = MpiWorld(MPI.COMM_WORLD)
    objective = objective_of(world, 700, LOSSES["logistic"]())
    problem, solver = objective.problem, Lbfgs()
    seen: list[int] = []
    saved: list[tuple[int, int]] = []

    def on_step(record: Any) -> None:
        seen.append(record.iteration)
        if record.iteration == 3 and culprit == RANK:
            os.kill(os.getpid(), signal.SIGUSR1)

    try:
        course = Course(solver.start(problem, np.zeros(problem.n_params)))
        outcome = train(
            objective,
            solver,
            course,
            tol=0.0,
            max_iter=20,
            ballot=Ballot(world.is_root, lambda: bool(received)),
            on_step=on_step,
            on_save=lambda: saved.append((course.state.iteration, course.questions)),
        )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert outcome.ending is Ending.STOPPED
    assert len(saved) == 1
    assert len(set(MPI.COMM_WORLD.allgather((tuple(seen), tuple(saved))))) == 1
    assert seen == [0, 1, 2, 3, 4] or seen == [0, 1, 2, 3]
