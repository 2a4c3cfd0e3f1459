"""Workers and changes: what questions about them are answered, on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import Diverged
from mpi_gd.losses import Logistic
from mpi_gd.matrix import Csr, Dense, Matrix
from mpi_gd.objective import Objective, Rows, find_scaling
from mpi_gd.penalties import L1, L2, Penalty
from mpi_gd.solvers import (
    Admm,
    Answer,
    Averaging,
    Batch,
    LocalSgd,
    Newton,
    Problem,
    Question,
    Solver,
    Svrg,
)
from mpi_gd.solvers.solver import Floats
from mpi_gd.trainer import N_VOTES, Ballot, Course, Outcome, train
from tests.simulated import CountingWorld, ThreadWorld, on_ranks

N, D = 5000, 4
RNG = np.random.default_rng(2)
X = RNG.normal(size=(N, D)) * np.array([1.0, 30.0, 0.1, 2.0])
Y = (X @ np.array([1.0, 0.05, 3.0, 0.2]) + RNG.logistic(size=N) > 0) * 1.0
WEIGHT = RNG.integers(0, 3, size=N) * 0.5
# The first workers' rows do not count at all.
WEIGHT[:1200] = 0.0
ZERO = np.zeros(D + 1)
SORTED = np.argsort(Y, kind="stable")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows to train on."""

    x: Any = None
    y: Any = None
    weight: Any = None
    n: int = N
    is_sparse: bool = False


TABLES = {
    "plain": Table(),
    "weights": Table(weight=WEIGHT),
    "sorted": Table(X[SORTED], Y[SORTED]),
    "few rows": Table(n=700),
    "sparse": Table(is_sparse=True),
}
WAYS: dict[str, Solver] = {
    "averaging": Averaging(workers=5),
    "local-sgd": LocalSgd(workers=5, rounds=4),
    "admm": Admm(workers=5),
}


def objective_of(
    world: World, n_workers: int, table: Table = TABLES["plain"], penalty: Penalty | None = None
) -> Objective:
    """Return the objective of the rank's part."""
    n = table.n
    x, y = (X if table.x is None else table.x)[:n], (Y if table.y is None else table.y)[:n]
    if table.is_sparse:
        x = np.where(np.abs(x) > 1.5 * x.std(axis=0), x, 0.0)
    n_stored = int(np.count_nonzero(x)) if table.is_sparse else 0
    grid = RowGrid(n, D, 8, n_stored, n_workers)
    own = slice(*grid.rows_of(world.rank, world.size))
    matrix: Matrix = Dense(x[own])
    if table.is_sparse:
        part = csr_array(x[own])
        matrix = Csr(part.data, part.indices, part.indptr, D)
    weight = None if table.weight is None else table.weight[own].copy()
    loss = Logistic()
    rows = Rows(grid, *grid.tiles_of(world.rank, world.size), matrix, loss.encode(y[own]), weight)
    names = tuple("abcd")
    scaling = find_scaling(
        world, rows, names, "exact", standardize=False, precondition=True, locate=str
    )
    bound = (penalty or L2(1e-2)).bind(names, scaling.penalty_scale)
    return Objective(world, rows, loss, bound, scaling, seed=3, n_votes=N_VOTES)


def outcome_of(
    world: World, solver: Solver, table: Table, penalty: Penalty | None = None, max_iter: int = 200
) -> Outcome:
    objective = objective_of(world, solver.divides, table, penalty)
    problem = objective.problem
    return train(
        objective,
        solver,
        Course(solver.start(problem, np.zeros(problem.n_params))),
        tol=1e-9,
        max_iter=max_iter,
        ballot=Ballot(world.is_root, lambda: False),
        on_step=lambda record: None,
        on_save=lambda: None,
    )


def told(outcome: Outcome) -> bytes:
    assert outcome.step is not None and outcome.record is not None
    text = f"{outcome.ending} {outcome.detail} {outcome.record.rows} {outcome.record.objective!r}"
    return outcome.step.u.tobytes() + text.encode()


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 50))
def test_a_rank_has_whole_workers_and_all_tiles_are_somebodys(
    n_tiles: int, n_workers: int, size: int
) -> None:
    grid = RowGrid(512 * n_tiles, 3, 8, n_workers=n_workers)
    ends = [grid.tiles_of(rank, size) for rank in range(size)]
    assert ends[0][0] == 0 and ends[-1][1] == grid.n_tiles
    assert all(one[1] == other[0] for one, other in pairwise(ends))
    for worker in range(n_workers):
        first, last = grid.worker_tiles(worker)
        owned = [range(max(first, start), min(last, stop)) for start, stop in ends]
        assert len(list(filter(None, owned))) == (1 if first < last else 0)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("way", WAYS)
def test_any_number_of_ranks_gives_the_same_bits(way: str, table: str) -> None:
    solver, rows = WAYS[way], TABLES[table]
    expected = told(outcome_of(SerialWorld(), solver, rows, max_iter=8))
    for size in (2, 3, 8):

        def on_one(world: ThreadWorld) -> bytes:
            return told(outcome_of(world, solver, rows, max_iter=8))

        assert set(on_ranks(size, on_one)) == {expected}, size


@pytest.mark.parametrize("table", TABLES)
def test_admm_finds_the_minimum_however_the_rows_are_divided(table: str) -> None:
    rows = TABLES[table]
    for penalty in (L2(1e-2), L1(1e-2)):
        best = outcome_of(SerialWorld(), Newton(), rows, penalty).step
        found = outcome_of(SerialWorld(), Admm(workers=5), rows, penalty).step
        assert best is not None and found is not None
        np.testing.assert_allclose(found.u, best.u, atol=1e-6)
        assert (found.u == 0).tolist() == (best.u == 0).tolist()


def test_averaging_says_how_far_it_is() -> None:
    best = outcome_of(SerialWorld(), Newton(), TABLES["plain"]).step
    outcome = outcome_of(SerialWorld(), Averaging(workers=5), TABLES["plain"])
    assert best is not None and outcome.step is not None
    gap = outcome.step.value - best.value
    assert 0 < gap < 1e-3 * best.value
    assert float(outcome.detail.split()[-2]) == pytest.approx(gap, rel=0.2)


def test_rows_in_order_make_an_average_useless_and_it_is_said() -> None:
    outcome = outcome_of(SerialWorld(), Averaging(workers=5), TABLES["sorted"])
    assert "not the minimum of the whole" in outcome.detail
    assert float(outcome.detail.split()[-2]) > 0.01


def test_one_message_a_question_and_the_rows_are_counted() -> None:
    world = CountingWorld()
    solver = LocalSgd(workers=4, rounds=2, local_epochs=2.0, step=0.1)
    objective = objective_of(world, 4)
    before = world.n_sums
    state = solver.start(objective.problem, np.zeros(D + 1))
    reply = objective.answer(solver.ask(state))
    assert world.n_sums == before + 1
    assert reply.n_rows == N + 2 * N
    assert reply.compute.shape == (1,)
    assert reply.answer.local is not None
    assert float(reply.answer.local.weight.sum()) == N


def test_a_worker_on_two_ranks_is_refused() -> None:
    def on_one(world: ThreadWorld) -> Any:
        objective = objective_of(world, 0)
        return objective.answer(Admm(workers=3).ask(Admm(workers=3).start(objective.problem, ZERO)))

    assert any("n_workers = 3" in str(each) for each in on_ranks(2, on_one))


@dataclass(frozen=True)
class Failing:
    """Work at which one worker fails."""

    n_workers: int = 4

    def do(self, worker: int, problem: Problem, ask: Callable[[Question], Answer]) -> Floats:
        if worker == 2:
            raise Diverged("no")
        return np.full(problem.n_params, float(worker))


def test_a_workers_failure_comes_to_all_as_numbers() -> None:
    def on_one(world: ThreadWorld) -> bytes:
        local = objective_of(world, 4).answer(Question(ZERO, work=Failing())).answer.local
        assert local is not None
        return local.points.tobytes()

    (result,) = set(on_ranks(3, on_one))
    assert isinstance(result, bytes)
    points = np.frombuffer(result).reshape(4, D + 1)
    assert np.isnan(points[2]).all()
    assert points[[0, 1, 3], 0].tolist() == [0.0, 1.0, 3.0]


def test_work_goes_on_from_a_checkpoint_with_the_same_bits() -> None:
    one, other = objective_of(SerialWorld(), 5), objective_of(SerialWorld(), 5)
    solver = Admm(workers=5)
    state = solver.start(one.problem, ZERO)
    for _ in range(4):
        solver.tell(state, one.answer(solver.ask(state)).answer)
    other.set_exponents(one.exponents())
    question = solver.ask(state)
    ours, theirs = one.answer(question).answer, other.answer(question).answer
    assert ours.gradient.tobytes() == theirs.gradient.tobytes()
    assert ours.local is not None and theirs.local is not None
    assert ours.local.points.tobytes() == theirs.local.points.tobytes()


@pytest.mark.parametrize("batch", [None, Batch(300, 2)])
@pytest.mark.parametrize("table", ["plain", "weights", "sparse"])
def test_a_change_is_the_difference_of_two_gradients(table: str, batch: Batch | None) -> None:
    u, v = RNG.normal(size=(2, D + 1))

    def on_one(world: ThreadWorld) -> Answer:
        return objective_of(world, 0, TABLES[table]).answer(Question(u, batch, control=v)).answer

    objective = objective_of(SerialWorld(), 0, TABLES[table])
    at_u, at_v = (objective.answer(Question(w, batch)).answer for w in (u, v))
    found = [each for size in (1, 3) for each in on_ranks(size, on_one)]
    assert all(isinstance(each, Answer) for each in found)
    answers = [each for each in found if isinstance(each, Answer)]
    np.testing.assert_allclose(answers[0].gradient, at_u.gradient - at_v.gradient, atol=1e-14)
    assert answers[0].value == pytest.approx(at_u.value, rel=1e-14)
    assert len({each.gradient.tobytes() for each in answers}) == 1


def test_svrg_has_the_bits_of_one_process_and_converges_with_a_kink() -> None:
    for penalty in (L2(1e-2), L1(1e-2)):
        solver = Svrg(batch_size=200)
        expected = outcome_of(SerialWorld(), solver, TABLES["plain"], penalty)
        assert expected.record is not None and expected.record.criterion < 1e-9
        bits = told(expected)

        def on_one(world: ThreadWorld, penalty: Penalty = penalty) -> bytes:
            return told(outcome_of(world, Svrg(batch_size=200), TABLES["plain"], penalty))

        assert set(on_ranks(3, on_one)) == {bits}


def test_too_many_numbers_for_a_message_are_refused_by_name() -> None:
    problem = Problem(10**6, 1.0, 1.0, lambda size: 1)
    for solver in (Averaging(workers=100), LocalSgd(workers=100), Admm(workers=100)):
        assert "solver.workers to 67 or less" in solver.lacks(problem)
