"""Solved on samples of the tiles first: the optimum is that of all rows, hard data or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.errors import Diverged
from mpi_gd.losses import Gamma, Logistic, Loss, Multinomial, Poisson, Squared, SquaredHinge
from mpi_gd.matrix import Csr
from mpi_gd.penalties import L1, L2, NoPenalty, Penalty
from mpi_gd.solvers import (
    Answer,
    Auto,
    Lbfgs,
    Newton,
    NewtonCg,
    Problem,
    Progressive,
    Sample,
    Sgd,
    Solver,
    Svrg,
)
from mpi_gd.trainer import Ending
from tests.fitting import Fitted, fit
from tests.simulated import CountingWorld, on_ranks

N, D = 40_000, 6
RNG = np.random.default_rng(4)
X = RNG.normal(size=(N, D))
for _j in range(1, D):
    X[:, _j] += 1.5 * X[:, _j - 1]
X *= 10.0 ** np.linspace(-2, 2, D)
X += 3.0
# In order, as files often are.
X = X[np.argsort(X[:, 0])]
Z = ((X - 3.0) / X.std(axis=0)) @ np.linspace(-0.6, 0.8, D) - 0.5
LABELS = (RNG.random(N) < 1 / (1 + np.exp(-Z))) * 1.0
THREE = np.digitize(Z + RNG.logistic(size=N), [-1.0, 1.0]).astype(np.float64)
COUNTS = RNG.poisson(np.exp(Z)).astype(np.float64)
RESPONSES: dict[str, tuple[Loss, Any]] = {
    "logistic": (Logistic(), LABELS),
    "probit": (Logistic(link="probit"), LABELS),
    "poisson": (Poisson(), COUNTS),
    "gamma": (Gamma(), COUNTS + 0.5),
    "squared": (Squared(), Z + COUNTS),
    "squared hinge": (SquaredHinge(), LABELS),
    "multinomial": (Multinomial(), THREE),
}


def fitted(
    name: str, penalty: Penalty, solver: Solver, *, world: World | None = None, **options: Any
) -> Fitted:
    loss, y = RESPONSES[name]
    options = {"tol": 1e-10, "n_classes": 3, "x": X, "y": y, **options}
    x, y = options.pop("x"), options.pop("y")
    return fit(world or SerialWorld(), x, y, loss, penalty, solver=solver, **options)


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("penalty", [NoPenalty(), L2(alpha=0.1)], ids=["free", "l2"])
def test_the_optimum_is_newtons(name: str, penalty: Penalty) -> None:
    found = fitted(name, penalty, Progressive())
    plain = fitted(name, penalty, Newton())
    assert found.outcome.ending is Ending.CONVERGED
    if name == "multinomial":
        # Without a penalty coefficients are determined up to what is added to all outputs.
        found.coef[:] -= found.coef.mean(axis=1, keepdims=True)
        plain.coef[:] -= plain.coef.mean(axis=1, keepdims=True)
    size = X.std(axis=0) if found.coef.ndim == 1 else X.std(axis=0)[:, None]
    np.testing.assert_allclose(found.coef * size, plain.coef * size, atol=2e-9)


def test_weights_and_offsets_count() -> None:
    weight = RNG.integers(0, 3, size=N) * 1.0
    offset = RNG.normal(size=N) * 0.3
    given: dict[str, Any] = {"weight": weight, "offset": offset}
    found = fitted("poisson", NoPenalty(), Progressive(), **given)
    plain = fitted("poisson", NoPenalty(), Newton(), **given)
    np.testing.assert_allclose(found.coef, plain.coef, rtol=1e-8)


def test_without_an_intercept() -> None:
    found = fitted("logistic", L2(alpha=1e-3), Progressive(), intercept=False)
    plain = fitted("logistic", L2(alpha=1e-3), Newton(), intercept=False)
    assert found.intercept == plain.intercept
    np.testing.assert_allclose(found.coef, plain.coef, rtol=1e-7)


def test_most_of_the_work_is_done_on_samples() -> None:
    """What is asked of all rows: the point where the samples lead, and a few steps from there."""
    found = fitted("logistic", NoPenalty(), Progressive(), tol=1e-6)
    first, last = found.records[0], found.records[-1]
    assert first.questions >= 4 and first.rows < 2.5 * N
    assert last.iteration <= 4
    assert first.criterion < 0.05
    objectives = [record.objective for record in found.records]
    assert objectives == sorted(objectives, reverse=True)


def test_the_last_digits_are_to_be_had_and_their_end_is_said() -> None:
    found = fitted("logistic", L2(alpha=1e-3), Progressive(), tol=1e-13)
    assert found.outcome.ending is Ending.CONVERGED
    for solver in (Progressive(), Lbfgs()):
        found = fitted("logistic", L2(alpha=1e-3), solver, tol=0.0)
        assert found.outcome.ending in (Ending.STALLED, Ending.CONVERGED)
        assert found.records[-1].criterion < 1e-13


def test_one_allreduce_a_question() -> None:
    world = CountingWorld()
    found = fitted("logistic", NoPenalty(), Progressive(), world=world, tol=1e-6)
    kinds = 2
    # And what the set-up needs: moments, their pilot, the rank of the columns, the mean response.
    assert world.n_sums <= found.records[-1].questions + 5
    assert world.n_maxima <= kinds + 4


@pytest.mark.parametrize("name", ["logistic", "multinomial"])
def test_any_number_of_ranks_finds_the_same_bits(name: str) -> None:
    def work(world: World) -> bytes:
        found = fitted(name, L2(alpha=1e-3), Progressive(), world=world, tol=1e-5)
        return found.coef.tobytes() + np.asarray(found.intercept).tobytes()

    alone = work(SerialWorld())
    for size in (3, 50):
        assert on_ranks(size, work) == [alone] * size


def test_a_column_that_a_sample_has_not_seen() -> None:
    rare = np.zeros((N, 2))
    rare[RNG.choice(N, 30, replace=False), 0] = 1.0
    rare[-400:, 1] = RNG.normal(size=400)
    x = np.column_stack([X, rare])
    found = fitted("logistic", L2(alpha=1e-5), Progressive(), x=x, tol=1e-9)
    plain = fitted("logistic", L2(alpha=1e-5), Newton(), x=x, tol=1e-9)
    assert found.outcome.ending is Ending.CONVERGED
    np.testing.assert_allclose(found.coef, plain.coef, rtol=1e-5, atol=1e-7)
    assert found.records[-1].iteration < 30


def test_dependent_columns_stay_at_0() -> None:
    x = np.column_stack([X, X[:, 1] - X[:, 2], np.ones(N)])
    found = fitted("logistic", NoPenalty(), Progressive(), x=x)
    assert found.coef[-2:].tolist() == [0.0, 0.0]
    plain = fitted("logistic", NoPenalty(), Newton())
    np.testing.assert_allclose(found.coef[:-2], plain.coef, rtol=1e-7)


def test_dependent_columns_under_a_penalty() -> None:
    x = np.column_stack([X, X[:, 1]])
    found = fitted("logistic", L2(alpha=1e-6), Progressive(), x=x)
    plain = fitted("logistic", L2(alpha=1e-6), Newton(), x=x)
    np.testing.assert_allclose(found.records[-1].objective, plain.records[-1].objective, rtol=1e-13)


def test_labels_that_are_told_apart() -> None:
    """There is no optimum: the objective falls towards 0, and no number is lost on the way."""
    found = fitted("logistic", NoPenalty(), Progressive(), y=(Z > 0) * 1.0, max_iter=40, tol=1e-9)
    objectives = [record.objective for record in found.records]
    assert objectives[-1] < 1e-3
    assert objectives == sorted(objectives, reverse=True)


def test_a_sample_that_leads_astray_is_left() -> None:
    """Where its optimum makes no sense of other rows, the training begins anew with all of them."""
    x = np.exp(0.5 * (X[:, :2] - X[:, :2].mean(axis=0)) / X[:, :2].std(axis=0))
    mean = 1.0 + x @ np.array([0.2, 0.5])
    y = RNG.poisson(mean).astype(np.float64)
    found = fit(
        SerialWorld(), x, y, Poisson(link="identity"), NoPenalty(), solver=Progressive(), tol=1e-8
    )
    plain = fit(
        SerialWorld(), x, y, Poisson(link="identity"), NoPenalty(), solver=Newton(), tol=1e-8
    )
    np.testing.assert_allclose(found.coef, plain.coef, rtol=1e-5)


def test_sparse_rows_of_many_columns_need_no_matrix() -> None:
    d = 1200
    columns = np.sort(RNG.integers(0, d, size=(N, 4)), axis=1)
    x = Csr(RNG.normal(size=4 * N), columns.ravel(), np.arange(N + 1) * 4, d)
    z = np.asarray(x.rows @ RNG.normal(size=d))
    y = (RNG.random(N) < 1 / (1 + np.exp(-z))) * 1.0
    ends = []
    for solver in (Progressive(), NewtonCg()):
        found = fit(SerialWorld(), x, y, Logistic(), L2(alpha=1e-4), solver=solver, tol=1e-9)
        assert found.outcome.ending is Ending.CONVERGED
        ends.append(found.coef)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


def problem(**known: Any) -> Problem:
    """Return what is known of a million rows of 100 columns."""
    usual = {"n_rows": 1_000_000, "tile_rows": 2048, "row_numbers": 100.0, "n_params": 101}
    return Problem(mean_curvature=1.0, max_curvature=9.0, n_batches=int, **{**usual, **known})


def test_auto_samples_where_rows_are_many() -> None:
    solver, why = Auto().choose(problem())
    assert isinstance(solver, Progressive)
    assert why == "there are 1,000,000 rows for 101 parameters: solved on samples first"
    assert isinstance(Auto().choose(problem(n_rows=100_000, tile_rows=1024))[0], Newton)
    few = problem(n_params=3, row_numbers=2.0, n_rows=100_000, tile_rows=2048)
    assert isinstance(Auto().choose(few)[0], Newton)


def test_auto_takes_a_penalty_with_kinks_elsewhere() -> None:
    rest: Any = L1(alpha=0.1).bind(("a",), np.ones(1))
    assert isinstance(Auto().choose(problem(rest=rest))[0], Newton)


def test_rows_of_a_sample() -> None:
    known = problem(n_rows=10_000, tile_rows=1000)
    assert known.n_tiles == 10
    assert known.rows_of(None) == 10_000
    assert known.rows_of(Sample(4)) == 3000
    assert known.rows_of(Sample(4, 48)) == 144
    assert known.rows_of(Sample(1, 5000)) == 10_000


def staged(function: Any, n_questions: int = 60) -> tuple[list[Sample | None], list[Any], Any]:
    """Ask of a function of (point, sample) in one variable; return samples asked and steps."""
    solver, known = Progressive(), problem(n_params=2, row_numbers=1.0)
    state = solver.start(known, np.array([1.0, 0.0]))
    asked: list[Sample | None] = []
    steps = []
    for _ in range(n_questions):
        question = solver.ask(state)
        asked.append(question.sample)
        step = solver.tell(state, function(question.u, question.sample))
        if step:
            steps.append(step)
            if step.end or step.norm < 1e-10:
                break
    return asked, steps, state


def parabola(u: Any, center: float) -> Answer:
    """Return |u - (center, 0)|^2 / 2."""
    v = u - np.array([center, 0.0])
    return Answer(0.5 * float(v @ v), v, 1.0, np.eye(2))


def test_stages_ask_of_more_and_more_rows() -> None:
    asked, steps, _ = staged(lambda u, sample: parabola(u, 3.0))
    known = problem(n_params=2, row_numbers=1.0)
    rows = [known.rows_of(sample) for sample in asked]
    shares = [n / 1_000_000 for n in rows]
    assert {round(1 / share) for share in shares} >= {64, 16, 4, 1}
    assert steps[0].u.tolist() == pytest.approx([3.0, 0.0])


@pytest.mark.parametrize("bad", [50.0, np.nan])
def test_where_a_sample_leads_astray_the_next_stage_begins_where_it_began(bad: float) -> None:
    """All rows disagree with the samples: they see another minimum, or no number there."""

    def function(u: Any, sample: Sample | None) -> Answer:
        if sample and problem(n_params=2).rows_of(sample) < 10**6 / 10:
            return parabola(u, 9.0)
        answer = parabola(u, 1.5)
        is_far = u[0] > 5.0
        return Answer(answer.value + bad, answer.gradient, 1.0, np.eye(2)) if is_far else answer

    _, steps, _ = staged(function)
    assert [step.u[0] for step in steps if step.u[0] > 5.0] == []
    assert steps[-1].u.tolist() == pytest.approx([1.5, 0.0])


def test_no_number_at_the_start_is_the_datas_fault() -> None:
    with pytest.raises(Diverged, match="rescale the columns"):
        staged(lambda u, sample: parabola(u, np.nan))


def test_a_trial_too_far_on_a_sample_is_taken_back() -> None:
    """A few rows far out make the first step overflow, or raise the objective without end."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(16_384, 2))
    x[:, 0] = np.clip(rng.standard_t(1.5, size=len(x)), -30, 30)
    y = rng.poisson(np.exp(0.3 * x[:, 0])).astype(np.float64)
    found = fit(SerialWorld(), x, y, Poisson(), NoPenalty(), solver=Progressive(), tol=1e-9)
    plain = fit(SerialWorld(), x, y, Poisson(), NoPenalty(), solver=Newton(), tol=1e-9)
    assert found.outcome.ending is Ending.CONVERGED
    np.testing.assert_allclose(found.coef, plain.coef, rtol=1e-7)


@pytest.mark.parametrize("solver", [Sgd(batch_size=64, epochs=3), Svrg(batch_size=64)])
def test_losses_without_a_bounded_curvature_have_a_first_step_too(solver: Solver) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(500, 3))
    y = rng.poisson(np.exp(0.3 * x[:, 0])).astype(np.float64)
    found = fit(SerialWorld(), x, y, Poisson(), L2(1e-3), solver=solver, tol=1e-9, max_iter=3)
    assert [record.iteration for record in found.records] == [0, 1, 2, 3]
    assert found.records[-1].objective < found.records[0].objective
