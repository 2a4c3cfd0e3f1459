"""The objective is the formula, whatever the coordinates, the type, the mask and the ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import DataError, OutOfStep
from mpi_gd.losses import LOSSES, Logistic, Loss, Squared
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, Scaling, find_scaling
from mpi_gd.objective.kernel import Kernel
from mpi_gd.penalties import L2, PENALTIES, NoPenalty, Penalty
from mpi_gd.solvers import Answer, Batch, Question
from mpi_gd.solvers.solver import Floats
from tests.simulated import CountingWorld, ThreadWorld, on_ranks

N, D = 1700, 5
SCALE = np.array([1.0, 1e-3, 50.0, 2.0, 0.1])
NAMES = tuple("abcde")
# Of one output, with a derivative everywhere.
SMOOTH = [k for k, loss in LOSSES.items() if loss.is_smooth and loss.task != "classes"]
# (standardize, precondition)
COORDINATES = [(False, False), (False, True), (True, True), (True, False)]


def table(dtype: Any = np.float64, far: float = 3.0) -> tuple[Any, Floats]:
    """Return X, of columns with different units and means `far` deviations off, and 0/1 labels."""
    rng = np.random.default_rng(5)
    x = ((rng.normal(size=(N, D)) + far * np.array([1, -1, 0.5, 0, 1])) * SCALE).astype(dtype)
    z = (x - x.mean(axis=0, dtype=np.float64)) / SCALE @ np.array([1, -2, 0.5, 0, 1.5])
    return x, (z + rng.normal(size=N) > 0) * 1.0


def rows_of(x: Any, y: Floats, loss: Loss, mask: Any = None, rank: int = 0, size: int = 1) -> Rows:
    """Return the rows that a rank owns."""
    grid = RowGrid(len(x), x.shape[1], x.dtype.itemsize)
    first, last = grid.tiles_of(rank, size)
    own = slice(*grid.rows_of(rank, size))
    target = loss.encode(y[own])
    return Rows(grid, first, last, Dense(x[own]), target, None if mask is None else mask[own])


def scaling_of(world: World, rows: Rows, standardize: bool, precondition: bool) -> Scaling:
    """Return the scaling as the program finds it."""
    return find_scaling(
        world,
        rows,
        tuple(f"c{j}" for j in range(rows.x.shape[1])),
        "exact",
        standardize=standardize,
        precondition=precondition,
        locate=lambda row: f"file: row {row}",
    )


def objective_of(
    world: World, rows: Rows, loss: Loss, penalty: Penalty, standardize: bool, precondition: bool
) -> tuple[Objective, Scaling]:
    """Return the objective and its coordinates."""
    scaling = scaling_of(world, rows, standardize, precondition)
    bound = penalty.bind(tuple(f"c{j}" for j in range(rows.x.shape[1])), scaling.penalty_scale)
    return Objective(world, rows, loss, bound, scaling, seed=3), scaling


def plain_value(
    x: Any, y: Floats, mask: Any, loss: Loss, penalty: Penalty, w: Floats, b: float, factor: Floats
) -> float:
    """Return the objective by one NumPy line a term; the penalty is on w^2 * factor."""
    x = x.astype(np.float64)
    chosen = slice(None) if mask is None else mask
    z = x[chosen] @ w + b
    total = loss.sum_and_derivative(z, loss.encode(y[chosen]), None)
    bound = penalty.bind(tuple(f"c{j}" for j in range(len(w))), np.sqrt(factor))
    return total / len(z) + bound.value(w)


@pytest.mark.parametrize(
    ("kind", "penalty_kind"),
    # Each loss, and each penalty.
    [(kind, "l2") for kind in SMOOTH] + [("logistic", kind) for kind in PENALTIES if kind != "l2"],
)
@pytest.mark.parametrize(("dtype", "masked"), [(np.float64, True), (np.float32, False)])
@pytest.mark.parametrize(("standardize", "precondition"), COORDINATES)
def test_value_and_gradient_are_those_of_the_formula(
    kind: str, penalty_kind: str, dtype: Any, masked: bool, standardize: bool, precondition: bool
) -> None:
    loss, penalty = LOSSES[kind](), PENALTIES[penalty_kind]()
    if isinstance(penalty, L2):
        penalty = L2(alpha=0.3)
    x, y = table(dtype)
    mask = np.random.default_rng(1).random(N) < 0.7 if masked else None
    rows = rows_of(x, y, loss, mask)
    objective, scaling = objective_of(SerialWorld(), rows, loss, penalty, standardize, precondition)
    # The penalty is on w, or on w times the deviations of the training rows.
    kept = x.astype(np.float64) if mask is None else x[mask].astype(np.float64)
    factor = kept.var(axis=0) if standardize else np.ones(D)

    def value(u: Floats) -> float:
        w, b = scaling.to_original(u)
        return plain_value(x, y, mask, loss, penalty, w, float(b), factor)

    u = np.random.default_rng(2).normal(size=D + 1) * 0.4
    if not (standardize or precondition):
        u[:D] *= [1, 1e3, 0.02, 0.5, 10]
    answer = objective.answer(Question(u)).answer
    assert answer.value == pytest.approx(value(u), rel=1e-12)
    h = 1e-5
    # In the data's own coordinates a step is small where the column is large.
    steps = h * (np.ones(D + 1) if standardize or precondition else np.append(1 / SCALE, 1.0))
    quotient = [(value(u + e) - value(u - e)) / (2 * e.sum()) for e in np.diag(steps)]
    size = float(np.abs(answer.gradient).max())
    np.testing.assert_allclose(answer.gradient, np.array(quotient), atol=1e-7 * size + 1e-8)


@pytest.mark.parametrize(("standardize", "precondition"), COORDINATES)
def test_original_coefficients_predict_the_same(standardize: bool, precondition: bool) -> None:
    x, y = table()
    rows = rows_of(x, y, Squared())
    scaling = scaling_of(SerialWorld(), rows, standardize, precondition)
    u = np.random.default_rng(2).normal(size=D + 1)
    coef, intercept = scaling.to_original(u)
    z = Kernel(rows, Squared()).predictor(*scaling.to_kernel(u))
    np.testing.assert_allclose(z, x @ coef + intercept, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
def test_scaled_columns_have_mean_0_and_deviation_1(masked: bool) -> None:
    x, y = table()
    mask = np.arange(N) % 3 > 0 if masked else None
    scaling = scaling_of(SerialWorld(), rows_of(x, y, Logistic(), mask), False, True)
    kept = x if mask is None else x[mask]
    np.testing.assert_allclose(scaling.mean, kept.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(scaling.deviation, kept.std(axis=0), rtol=1e-12)
    assert scaling.weight == len(kept)


def test_columns_far_from_zero_keep_their_digits() -> None:
    """Mean 1e9, deviation 1: the textbook's variance has no right digit there."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 2)) + np.array([1e9, -1e9])
    # The first tile lies elsewhere, so that a guess from it is bad.
    x[:512, 0] += 1e6
    y = (x[:, 1] + 1e9 > 0) * 1.0
    rows = rows_of(x, y, Logistic())
    objective, scaling = objective_of(SerialWorld(), rows, Logistic(), NoPenalty(), False, True)
    center = np.array([1e9, -1e9])
    # A mean of 1e9 is itself rounded to 1e-7.
    np.testing.assert_allclose(scaling.mean - center, (x - center).mean(axis=0), atol=2e-7)
    np.testing.assert_allclose(scaling.deviation, (x - center).std(axis=0), rtol=1e-9)
    assert scaling.is_shifted
    standard = (x - center - (x - center).mean(axis=0)) / (x - center).std(axis=0)
    u = np.array([0.5, -1.5, 0.25])
    z = standard @ u[:2] + u[2]
    kernel = Kernel(rows, Logistic(), shift=scaling.mean)
    np.testing.assert_allclose(kernel.predictor(*scaling.to_kernel(u)), z, atol=1e-6)
    loss = Logistic()
    derivative = z.copy()
    value = loss.sum_and_derivative(derivative, loss.encode(y), None) / N
    answer = objective.answer(Question(u)).answer
    assert answer.value == pytest.approx(value, rel=1e-7)
    gradient = np.append(derivative @ standard, derivative.sum()) / N
    np.testing.assert_allclose(answer.gradient, gradient, atol=1e-7)


def test_a_bad_pilot_costs_no_digits() -> None:
    """The first tile is held out, so that nothing is known of the mean beforehand."""
    noise = np.random.default_rng(0).normal(size=(N, 1))
    x = 1e8 + noise
    mask = np.arange(N) >= 512
    scaling = scaling_of(SerialWorld(), rows_of(x, np.zeros(N), Squared(), mask), False, True)
    assert scaling.deviation[0] == pytest.approx((x[mask] - 1e8).std(), rel=1e-9)
    assert scaling.mean[0] - 1e8 == pytest.approx((x[mask] - 1e8).mean(), abs=1e-7)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -7e8, 1e-300])
@pytest.mark.parametrize(("standardize", "precondition"), COORDINATES)
def test_a_constant_column_is_harmless(
    constant: float, standardize: bool, precondition: bool
) -> None:
    x, y = table()
    x[:, 2] = constant
    objective, scaling = objective_of(
        SerialWorld(), rows_of(x, y, Logistic()), Logistic(), NoPenalty(), standardize, precondition
    )
    u = np.array([0.3, 0.1, 0.2, -0.4, 0.1, 0.5])
    reply = objective.answer(Question(u))
    assert reply.answer.is_finite
    if standardize or precondition:
        assert scaling.deviation[2] == 1
        assert abs(reply.answer.gradient[2]) <= 1e-9
        assert scaling.mean_squares[2] == 0
    else:
        assert scaling.deviation[2] == 1 and scaling.mean[2] == 0


def test_one_row_is_enough() -> None:
    x, y = table()
    objective, scaling = objective_of(
        SerialWorld(), rows_of(x[:1], y[:1], Logistic()), Logistic(), NoPenalty(), False, True
    )
    assert objective.answer(Question(np.zeros(D + 1))).answer.value == pytest.approx(np.log(2))
    np.testing.assert_array_equal(scaling.deviation, np.ones(D))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 3])
def test_what_is_not_finite_is_named_by_row_and_column_on_all_ranks(bad: float, size: int) -> None:
    x, y = table()
    x[N - 3, 3] = bad
    x[N - 1, 1] = bad

    def work(world: ThreadWorld) -> None:
        scaling_of(world, rows_of(x, y, Logistic(), None, world.rank, size), False, True)

    results = on_ranks(size, work)
    assert all(isinstance(result, DataError) for result in results), results
    assert len({str(result) for result in results}) == 1
    message = str(results[0])
    assert f"file: row {N - 3}, column 'c3': got {bad}, expected a finite number" in message
    assert (f"rank {size - 1}: " in message) == (size > 1)


def test_numbers_too_large_to_square_are_named() -> None:
    x, y = table()
    x[3, 2] = 1e200
    with pytest.raises(DataError, match="column 'c2': its squares are too large"):
        scaling_of(SerialWorld(), rows_of(x, y, Logistic()), False, True)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_numbers_too_small_to_square_are_named(masked: bool, size: int) -> None:
    """They would pass for a constant column, and the model be wrong without a word."""
    x, y = table()
    mask = np.arange(N) % 3 > 0 if masked else None
    x[:, 1] = 7.0
    x[:, 3] *= 1e-165

    def work(world: ThreadWorld) -> Scaling:
        rows = rows_of(x, y, Logistic(), mask, world.rank, world.size)
        return scaling_of(world, rows, False, True)

    for error in on_ranks(size, work):
        assert isinstance(error, DataError)
        assert "column 'c3'" in str(error) and "multiply" in str(error)


def test_a_column_that_varies_in_held_out_rows_alone_is_constant() -> None:
    x, y = table()
    mask = np.arange(N) % 3 > 0
    x[mask, 2] = 1.0
    scaling = scaling_of(SerialWorld(), rows_of(x, y, Logistic(), mask), False, True)
    assert scaling.deviation[2] == 1.0


def test_no_training_row_is_an_error() -> None:
    x, y = table()
    with pytest.raises(DataError, match="no row is left to train on"):
        scaling_of(SerialWorld(), rows_of(x, y, Logistic(), np.zeros(N, bool)), False, True)


QUESTIONS = [None, Batch(100, 0), Batch(100, 7), Batch(33, 2), Batch(10_000, 1)]


@pytest.mark.parametrize("far", [3.0, 1e5])
@pytest.mark.parametrize("masked", [False, True])
def test_any_number_of_ranks_gives_the_same_bits(far: float, masked: bool) -> None:
    x, y = table(far=far)
    mask = np.arange(N) % 4 > 0 if masked else None

    def work(world: ThreadWorld) -> list[bytes]:
        rows = rows_of(x, y, Logistic(), mask, world.rank, world.size)
        objective, scaling = objective_of(world, rows, Logistic(), L2(), False, True)
        bits = [scaling.mean.tobytes(), scaling.deviation.tobytes()]
        for scale in (0.1, 1.0, 1e4):
            u = np.arange(D + 1.0) * scale
            for batch in QUESTIONS:
                answer = objective.answer(Question(u, batch)).answer
                numbers = [answer.value, *answer.gradient, answer.residual]
                bits.append(np.array(numbers).tobytes())
        return bits

    expected = on_ranks(1, work)[0]
    assert isinstance(expected, list)
    for size in (2, 3, 7):
        assert on_ranks(size, work) == [expected] * size


def test_batches_of_an_epoch_add_up_to_all_rows() -> None:
    x, y = table()
    objective, _ = objective_of(
        SerialWorld(), rows_of(x, y, Squared()), Squared(), NoPenalty(), False, True
    )
    u = np.linspace(-1, 1, D + 1)
    whole = objective.answer(Question(u)).answer
    n_batches = objective.problem.n_batches(64)
    answers = [
        objective.answer(Question(u, Batch(64, n_batches + number))).answer
        for number in range(n_batches)
    ]
    mean = np.mean([answer.gradient for answer in answers], axis=0)
    # Batches differ a little in size: the mean is not weighted.
    np.testing.assert_allclose(mean, whole.gradient, atol=0.1)
    assert np.std([answer.value for answer in answers]) > 0


def test_one_sum_a_question_and_one_agreement_a_plan() -> None:
    x, y = table()
    world = CountingWorld()
    rows = rows_of(x, y, Logistic())
    scaling = scaling_of(SerialWorld(), rows, False, True)
    objective = Objective(
        world, rows, Logistic(), L2().bind(NAMES, scaling.penalty_scale), scaling, seed=3
    )
    for number in range(1, 8):
        objective.answer(Question(np.full(D + 1, number / 10)))
        assert (world.n_sums, world.n_maxima) == (number, 1)
    for number in range(8, 15):
        objective.answer(Question(np.full(D + 1, number / 10), Batch(64, number)))
        assert (world.n_sums, world.n_maxima) == (number, 2)


def test_votes_and_seconds_ride_along() -> None:
    x, y = table()

    def work(world: ThreadWorld) -> tuple[list[float], int, bool, int]:
        rows = rows_of(x, y, Logistic(), None, world.rank, world.size)
        scaling = scaling_of(world, rows, False, True)
        objective = Objective(
            world, rows, Logistic(), L2().bind(NAMES, scaling.penalty_scale), scaling, n_votes=2
        )
        votes = np.array([1.0, world.rank])
        for _ in range(2):
            reply = objective.answer(Question(np.zeros(D + 1)), votes)
        reply_is_sane = bool((reply.compute > 0).all()) and reply.reduce_seconds >= 0
        return reply.votes.tolist(), reply.compute.size, reply_is_sane, reply.n_rows

    assert on_ranks(3, work) == [([3.0, 3.0], 3, True, N)] * 3


def test_ranks_that_ask_different_points_are_out_of_step() -> None:
    x, y = table()

    def work(world: ThreadWorld) -> Answer:
        rows = rows_of(x, y, Logistic(), None, world.rank, world.size)
        objective, _ = objective_of(world, rows, Logistic(), L2(), False, True)
        u = np.full(D + 1, 0.1)
        objective.answer(Question(u))
        if world.rank == 1:
            # The last bit of one number.
            u[2] = np.nextafter(u[2], 1)
        return objective.answer(Question(u)).answer

    results = on_ranks(3, work)
    assert all(isinstance(result, OutOfStep) for result in results), results
    assert "no longer compute the same numbers" in str(results[0])


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize(("standardize", "precondition"), COORDINATES)
def test_curvatures_told_to_solvers_bound_the_hessian(
    kind: str, standardize: bool, precondition: bool
) -> None:
    loss = LOSSES[kind]()
    x, y = table()
    objective, _ = objective_of(
        SerialWorld(), rows_of(x, y, loss), loss, L2(alpha=0.1), standardize, precondition
    )
    # Of a quadratic, or of the logistic loss near 0, the difference of gradients is the Hessian.
    h = 1e-4
    origin = objective.answer(Question(np.zeros(D + 1))).answer.gradient
    hessian = [
        (objective.answer(Question(h * e)).answer.gradient - origin) / h for e in np.eye(D + 1)
    ]
    largest = float(np.linalg.norm(np.array(hessian), 2))
    problem = objective.problem
    assert largest <= problem.max_curvature * (1 + 1e-3)
    assert problem.n_params == D + 1
    assert problem.mean_curvature <= problem.max_curvature


def test_float32_data_are_computed_in_float64() -> None:
    x, y = table(np.float32)
    u = np.linspace(-1, 1, D + 1)
    answers = []
    for kind in (np.float32, np.float64):
        rows = rows_of(x.astype(kind), y, Logistic())
        objective, _ = objective_of(SerialWorld(), rows, Logistic(), L2(), False, True)
        answers.append(objective.answer(Question(u)).answer)
    np.testing.assert_allclose(answers[0].gradient, answers[1].gradient, rtol=1e-12, atol=1e-14)
