"""Wide sparse rows: the objective is the formula, and the same bytes on any number of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import Reduction, SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import DataError
from mpi_gd.losses import LOSSES, Logistic, Loss
from mpi_gd.matrix import Csr, Dense
from mpi_gd.objective import Objective, Rows, Scaling, bycolumn, find_scaling
from mpi_gd.penalties import L2
from mpi_gd.solvers import Batch, Lbfgs, Question, Solver
from mpi_gd.solvers.solver import Floats
from mpi_gd.trainer import N_VOTES, Ballot, Course, Ending, Outcome, train
from tests.simulated import CountingWorld, ThreadWorld, on_ranks

N, D = 2500, 40
# Some have no row at all, others few.
EMPTY = [3, 17, 18, 39]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few columns count as many, in blocks of a few."""
    monkeypatch.setattr(bycolumn, "BY_COLUMN", 1)
    monkeypatch.setattr(bycolumn, "STEP", 7)
    monkeypatch.setattr("mpi_gd.matrix.columns.STEP", 7)
    monkeypatch.setattr("mpi_gd.matrix.columns._CHUNK_TERMS", 9)


def table() -> tuple[Any, Floats]:
    """Return X, mostly zeros, and labels; most columns are rare, some are empty."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(N, D)) * (rng.random((N, D)) < rng.uniform(0, 0.3, size=D))
    x[:, EMPTY] = 0.0
    y = np.where(x @ rng.normal(size=D) + rng.normal(size=N) > 0, 1.0, 0.0)
    return x, y


def rows_of(x: Any, y: Floats, loss: Loss, weight: Any, world: World, dense: bool) -> Rows:
    """Return the rows that a rank owns, in the tiles of the sparse ones."""
    from scipy.sparse import csr_array

    whole = csr_array(x)
    grid = RowGrid(N, D, 8, whole.nnz)
    first, last = grid.tiles_of(world.rank, world.size)
    own = slice(*grid.rows_of(world.rank, world.size))
    part = whole[own]
    matrix = Dense(x[own].copy()) if dense else Csr(part.data, part.indices, part.indptr, D)
    mine = None if weight is None else weight[own]
    return Rows(grid, first, last, matrix, loss.encode(y[own]), mine)


def objective_of(
    world: World,
    loss: Loss,
    weight: Any = None,
    dense: bool = False,
    reduction: Reduction = "exact",
    k: int = 1,
) -> tuple[Objective, Scaling]:
    """Return the objective of the table, in scaled coordinates."""
    x, y = table()
    if k > 1:
        y = np.random.default_rng(4).integers(0, k, N).astype(np.float64)
    rows = rows_of(x, y, loss, weight, world, dense)
    names = tuple(f"c{j}" for j in range(D))
    scaling = find_scaling(
        world,
        rows,
        names,
        reduction,
        standardize=False,
        precondition=True,
        locate=str,
        n_outputs=k,
    )
    bound = L2(alpha=1e-3).bind(names, scaling.penalty_scale, k)
    objective = Objective(
        world, rows, loss, bound, scaling, reduction=reduction, seed=3, n_votes=N_VOTES
    )
    return objective, scaling


def points(k: int = 1) -> list[Floats]:
    return list(np.random.default_rng(6).normal(size=(3, (D + 1) * k)))


@pytest.mark.parametrize("kind", ["logistic", "squared", "multinomial"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_answers_are_those_of_full_rows(kind: str, weighted: bool) -> None:
    loss, k = LOSSES[kind](), 3 if kind == "multinomial" else 1
    weight: Any = np.random.default_rng(9).integers(0, 3, N) * 1.0 if weighted else None
    if weight is not None:
        # A column all of whose rows do not count.
        weight[table()[0][:, 5] != 0] = 0.0
    sparse, scaling = objective_of(SerialWorld(), loss, weight, k=k)
    dense, expected = objective_of(SerialWorld(), loss, weight, dense=True, k=k)
    np.testing.assert_allclose(scaling.mean, expected.mean, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scaling.deviation, expected.deviation, rtol=1e-12)
    for batch in (None, Batch(300, 1), Batch(300, 0)):
        for u in points(k):
            a, b = (each.answer(Question(u, batch)) for each in (sparse, dense))
            assert a.n_rows == b.n_rows
            assert a.answer.value == pytest.approx(b.answer.value, rel=1e-12)
            np.testing.assert_allclose(a.answer.gradient, b.answer.gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_same_bytes_on_any_number_of_ranks(k: int) -> None:
    loss = LOSSES["multinomial"]() if k > 1 else Logistic()

    def work(world: ThreadWorld) -> list[bytes]:
        objective, scaling = objective_of(world, loss, k=k)
        found = [scaling.mean.tobytes(), scaling.deviation.tobytes()]
        for batch in (None, Batch(400, 2), Batch(16, 3)):
            for u in points(k):
                answer = objective.answer(Question(u, batch)).answer
                found += [answer.gradient.tobytes(), np.float64(answer.value).tobytes()]
        return [*found, *(each.tobytes() for each in objective.exponents().values())]

    expected = on_ranks(1, work)[0]
    assert isinstance(expected, list), expected
    for size in (2, 3, 4, 8):
        assert on_ranks(size, work, size) == [expected] * size


def test_one_question_is_one_message() -> None:
    world = CountingWorld()
    objective, _ = objective_of(world, Logistic())
    objective.answer(Question(points()[0]))
    before = world.n_long, world.n_sums, world.n_maxima
    for u in points():
        objective.answer(Question(u))
    assert (world.n_long, world.n_sums) == (before[0] + 3, before[1] + 3)
    assert world.n_maxima == before[2]


def test_columns_without_numbers_do_not_travel() -> None:
    n_sent = []

    class Weighing(CountingWorld):
        def allreduce_pieces(self, pieces: Any) -> None:
            n_sent.append(sum(piece.size for piece in pieces))

    objective, _ = objective_of(Weighing(), Logistic())
    n_sent.clear()
    answer = objective.answer(Question(points()[0])).answer
    used = (table()[0] != 0).any(axis=0)
    assert n_sent == [2 * np.count_nonzero(used)]
    penalty = objective.answer(Question(np.zeros(D + 1))).answer.gradient
    np.testing.assert_array_equal(penalty[:-1][~used], 0.0)
    assert (answer.gradient[:-1][used] != 0).all()


def run_lbfgs(world: World, reduction: Reduction, solver: Solver, tol: float) -> Outcome:
    """Train, and count on an end."""
    objective, _ = objective_of(world, Logistic(), reduction=reduction)
    return train(
        objective,
        solver,
        Course(solver.start(objective.problem, np.zeros(D + 1))),
        tol=tol,
        max_iter=500,
        ballot=Ballot(world.is_root, lambda: False),
        on_step=lambda _: None,
        on_save=lambda: None,
    )


def test_float32_finds_the_optimum_to_the_digits_that_it_tells() -> None:
    def work(world: ThreadWorld) -> tuple[float, list[Outcome]]:
        objective, _ = objective_of(world, Logistic(), reduction="float32")
        exact = run_lbfgs(world, "exact", Lbfgs(), 1e-10)
        rough = run_lbfgs(world, "float32", Lbfgs(), objective.rounding)
        return objective.rounding, [exact, rough]

    for found in on_ranks(3, work):
        assert isinstance(found, tuple), found
        rounding, (exact, rough) = found
        assert rounding == pytest.approx(3 * 2.0**-24, rel=1e-6)
        assert exact.ending is rough.ending is Ending.CONVERGED
        assert exact.step and rough.step
        assert rough.step.value == pytest.approx(exact.step.value, rel=1e-9)
        np.testing.assert_allclose(rough.step.u, exact.step.u, atol=1e-4)
    assert objective_of(SerialWorld(), Logistic())[0].rounding == 0.0


def test_numbers_that_are_none_are_found() -> None:
    x, y = table()
    x[1234, 8] = np.inf
    rows = rows_of(x, y, Logistic(), None, SerialWorld(), dense=False)
    names = tuple(f"c{j}" for j in range(D))
    with pytest.raises(DataError, match="1234, column 'c8': got inf"):
        find_scaling(
            SerialWorld(), rows, names, "exact", standardize=False, precondition=True, locate=str
        )
