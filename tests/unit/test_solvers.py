"""Each solver finds minima, tells the same story twice, and can be stopped at any question."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpi_gd.checkpoint import Checkpoint, state_arrays, with_arrays
from mpi_gd.errors import Diverged, JobError
from mpi_gd.losses import Logistic
from mpi_gd.solvers import (
    SOLVERS,
    AdaGrad,
    Adam,
    Admm,
    Answer,
    Auto,
    Averaging,
    BarzilaiBorwein,
    FiniteSmoothing,
    GradientDescent,
    GramSolver,
    Lbfgs,
    LeastSquares,
    Local,
    LocalSgd,
    Nesterov,
    Problem,
    Question,
    Sgd,
    Solver,
    Step,
    Stochastic,
    Svrg,
)
from mpi_gd.solvers.solver import Floats

Function = Callable[[Question], Answer]

# Every solver, and every rule of it that takes another way through the code.
# Those that only choose, or need what a function of a point cannot tell, are tried elsewhere.
WAYS: dict[str, Solver] = {
    kind: solver()
    for kind, solver in SOLVERS.items()
    if solver not in (Auto, LeastSquares, FiniteSmoothing, GramSolver)
} | {
    "gd backtracking": GradientDescent(rule="backtracking"),
    "gd backtracking far": GradientDescent(rule="backtracking", step=1e6),
    "gd step": GradientDescent(step=0.2),
    "nesterov without restart": Nesterov(restart=False),
    "nesterov step": Nesterov(step=0.5),
    "barzilai-borwein monotone": BarzilaiBorwein(memory_length=1),
    "lbfgs short": Lbfgs(memory_length=2),
    "sgd plain": Sgd(momentum=0.0, averaging=False, schedule="constant", batch_size=32),
    "sgd inverse": Sgd(schedule="inverse", batch_size=7),
    "sgd sqrt": Sgd(schedule="sqrt", step=0.05),
    "adam last": Adam(averaging=False, batch_size=64),
    "adam step": Adam(step=0.5),
    "adagrad step": AdaGrad(step=2.0, schedule="cosine"),
    "svrg short": Svrg(batch_size=64, inner_epochs=0.5),
    "svrg step": Svrg(step=0.3),
    # Of fewer rows each, some of which a plane separates, the models lie too far out.
    "averaging": Averaging(workers=4),
    "local-sgd momentum": LocalSgd(momentum=0.5, local_epochs=0.5, rounds=60, workers=4),
    "local-sgd step": LocalSgd(step=0.9, schedule="sqrt"),
    "admm fixed": Admm(adapt=False, relaxation=1.0, workers=4),
}
SEARCHING = [
    name
    for name in WAYS
    if name.startswith(("barzilai", "fista", "gd backtracking", "lbfgs", "newton", "owl"))
    or name == "progressive"
]
FIXED = ["gd step", "nesterov step", "sgd sqrt", "adam step", "adagrad step", "svrg step"]
FIXED += ["local-sgd step"]
STEPLESS = [name for name in WAYS if name.startswith(("averaging", "admm"))]
CHOSEN = [name for name in WAYS if name not in SEARCHING + FIXED + STEPLESS]
# These end, after their epochs or their only round, near the minimum.
INEXACT = (Stochastic, LocalSgd, Averaging)
each_way = pytest.mark.parametrize("way", WAYS)


def complete(
    function: Function, problem: Problem, part: Callable[[int, int], Function]
) -> Function:
    """Return a function that gives workers k of n work on `part(k, n)`, and knows changes too."""

    def answer(question: Question) -> Answer:
        found = function(question)
        if question.control is not None:
            there = function(replace(question, u=question.control, control=None))
            found = replace(found, gradient=found.gradient - there.gradient)
        if question.work:
            n = question.work.n_workers
            points = [question.work.do(k, problem, part(k, n)) for k in range(n)]
            found = replace(found, local=Local(np.array(points), np.ones(n), 0))
        return found

    return answer


def quadratic(d: int = 6, seed: int = 0) -> tuple[Function, Problem, Floats]:
    """Return u.A.u / 2 - b.u, eigenvalues from 0.05 to 1; batches see it too; its minimum."""
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    a = (q * np.linspace(0.05, 1.0, d)) @ q.T
    b = rng.normal(size=d)

    def function(question: Question) -> Answer:
        u = question.u
        with np.errstate(all="ignore"):
            product = None if question.along is None else a @ question.along
            return Answer(float(0.5 * u @ a @ u - b @ u), a @ u - b, 1.0, a, product=product)

    problem = Problem(d, float(np.trace(a)) / d, float(np.trace(a)), lambda size: 8)
    whole = complete(function, problem, lambda k, n: function)
    return whole, problem, np.linalg.solve(a, b)


def logistic(n: int = 512, d: int = 5, seed: int = 1) -> tuple[Function, Problem, Floats]:
    """Return a logistic regression whose batches are strided samples, and where Newton ends."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=(n, d)), np.ones(n)])
    chance = 1 / (1 + np.exp(-x @ rng.normal(size=d + 1)))
    y = (rng.random(n) < chance).astype(np.float64)
    loss = Logistic()
    target = loss.encode(y)

    def function(question: Question, first: int = 0, stride: int = 1) -> Answer:
        rows = np.arange(first, n, stride)
        if question.batch:
            n_batches = problem.n_batches(question.batch.size)
            rows = rows[question.batch.number % n_batches :: n_batches]
        with np.errstate(all="ignore"):
            z = x[rows] @ question.u
            h = loss.second_derivative(z, target[rows])
            hessian = (x[rows].T * h) @ x[rows] / len(z)
            value = loss.sum_and_derivative(z, target[rows], None) / len(z)
            product = None if question.along is None else hessian @ question.along
            gradient, residual = z @ x[rows] / len(z), float(np.sqrt(z @ z / len(z)))
            return Answer(value, gradient, residual, hessian, product=product)

    problem = Problem(d + 1, 0.25, 0.25 * (d + 1) * 1.2, lambda size: max(1, n // size))
    u = np.zeros(d + 1)
    for _ in range(30):
        p = loss.inverse_link(x @ u)
        u = u - np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (p - y))
    part = lambda k, n: lambda question: function(question, k, n)  # noqa: E731
    return complete(function, problem, part), problem, u


def rosenbrock(question: Question) -> Answer:
    """Return 100 (b - a^2)^2 + (1 - a)^2: a bent valley, its minimum 0 at (1, 1)."""
    a, b = (float(number) for number in question.u)
    gradient = np.array([-400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)])
    return Answer(100 * (b - a * a) ** 2 + (1 - a) ** 2, gradient, 1.0)


def run(
    solver: Solver,
    function: Function,
    state: Any,
    n_questions: int,
    *,
    tol: float = 0.0,
    between: Callable[[int, Any], Any] = lambda number, state: state,
) -> tuple[list[bytes], list[Step]]:
    """Ask so many questions; return the points asked about and the steps reported."""
    asked, steps = [], []
    for number in range(n_questions):
        state = between(number, state)
        question = solver.ask(state)
        asked.append(question.u.tobytes() + repr(question.batch).encode())
        step = solver.tell(state, function(question))
        if step is not None:
            steps.append(step)
            if step.end or np.abs(step.answer.gradient).max() <= tol:
                break
    return asked, steps


def through_a_file(solver: Solver, problem: Problem, state: Any) -> Any:
    """Return the state as a checkpoint's bytes give it back to another process."""
    saved = Checkpoint(state_arrays(state), {"0": np.arange(3)}, 1, 2, {}).to_bytes()
    fresh = solver.start(problem, np.zeros(problem.n_params))
    return with_arrays(fresh, Checkpoint.from_bytes(saved).state)


@each_way
def test_long_arrays_of_a_state_are_replaced_and_never_changed(way: str) -> None:
    """A checkpoint that is being written holds them, and no copies."""
    function, problem, _ = logistic(d=70)
    solver = WAYS[way]
    kept: list[tuple[Floats, bytes]] = []

    def between(number: int, state: Any) -> Any:
        long = [each for each in state_arrays(state).values() if each.size >= problem.n_params]
        kept.extend((each, each.tobytes()) for each in long)
        return state

    run(solver, function, solver.start(problem, np.zeros(problem.n_params)), 40, between=between)
    assert all(each.tobytes() == before for each, before in kept)


@each_way
@pytest.mark.parametrize("make", [quadratic, logistic])
def test_finds_the_minimum(way: str, make: Callable[[], tuple[Function, Problem, Floats]]) -> None:
    function, problem, minimum = make()
    state = WAYS[way].start(problem, np.zeros(problem.n_params))
    _, steps = run(WAYS[way], function, state, 3000, tol=1e-9)
    least = function(Question(minimum)).value
    first, last = steps[0].answer.value, steps[-1].answer.value
    share = 0.25 if isinstance(WAYS[way], INEXACT) else 1e-14
    assert last - least <= share * (first - least)
    if not isinstance(WAYS[way], INEXACT):
        np.testing.assert_allclose(steps[-1].u, minimum, atol=1e-6)


@each_way
def test_a_step_reports_the_objective_where_it_says(way: str) -> None:
    function, problem, _ = logistic()
    state = WAYS[way].start(problem, np.full(problem.n_params, 0.3))
    _, steps = run(WAYS[way], function, state, 200, tol=1e-9)
    for step in steps:
        there = function(Question(step.u))
        assert there.value == pytest.approx(step.answer.value, rel=1e-14)
        np.testing.assert_allclose(there.gradient, step.answer.gradient, atol=1e-14)


@each_way
def test_the_first_step_is_the_start(way: str) -> None:
    function, problem, _ = quadratic()
    start = np.arange(6.0)
    state = WAYS[way].start(problem, start)
    _, steps = run(WAYS[way], function, state, 40)
    assert steps[0].u.tobytes() == np.arange(6.0).tobytes()
    assert steps[0].step_size == 0
    assert start.tobytes() == np.arange(6.0).tobytes(), "the caller's array is not ours"


@each_way
def test_iterations_count_the_steps(way: str) -> None:
    function, problem, _ = quadratic()
    state = WAYS[way].start(problem, np.zeros(6))
    assert state.iteration == -1
    expected = -1
    for _ in range(60):
        step = WAYS[way].tell(state, function(WAYS[way].ask(state)))
        expected += step is not None
        assert state.iteration == expected or (step is not None and step.end)
        if step is not None and step.end:
            break


@each_way
@pytest.mark.parametrize("make", [quadratic, logistic])
def test_taken_up_at_any_question_it_goes_on_with_the_same_bits(
    way: str, make: Callable[[], tuple[Function, Problem, Floats]]
) -> None:
    function, problem, _ = make()
    solver = WAYS[way]

    def fresh() -> Any:
        return solver.start(problem, np.full(problem.n_params, 0.1))

    asked, _ = run(solver, function, fresh(), 90)
    again, _ = run(solver, function, fresh(), 90)
    assert asked == again, "the same twice"

    def always(number: int, state: Any) -> Any:
        return through_a_file(solver, problem, state)

    assert run(solver, function, fresh(), 90, between=always)[0] == asked
    for place in (0, 1, 2, 5, 17, 40, len(asked) - 1):

        def once(number: int, state: Any, place: int = place) -> Any:
            return through_a_file(solver, problem, state) if number == place else state

        assert run(solver, function, fresh(), 90, between=once)[0] == asked, place


@each_way
def test_a_saved_state_is_not_changed_by_going_on(way: str) -> None:
    """A checkpoint may be written while the solver goes on: what was taken must stay."""
    function, problem, _ = logistic()
    solver = WAYS[way]
    state = solver.start(problem, np.zeros(problem.n_params))
    for number in range(60):
        if number % 7 == 0:
            back = through_a_file(solver, problem, state)
            for name, array in state_arrays(back).items():
                old = state_arrays(state)[name]
                assert array.dtype == old.dtype and array.tobytes() == old.tobytes(), name
                field = name.partition(".")[0]
                assert type(getattr(back, field)) is type(getattr(state, field)), name
        solver.ask(state)
        before = {name: array.tobytes() for name, array in state_arrays(state).items()}
        question = solver.ask(state)
        assert before == {name: array.tobytes() for name, array in state_arrays(state).items()}
        step = solver.tell(state, function(question))
        if step is not None and step.end:
            break


def test_a_state_of_another_shape_is_refused() -> None:
    _, problem, _ = quadratic()
    solver = Lbfgs()
    arrays = state_arrays(solver.start(problem, np.zeros(6)))
    with pytest.raises(JobError, match="does not fit"):
        with_arrays(Lbfgs(memory_length=3).start(problem, np.zeros(6)), arrays)
    del arrays["slope"]
    with pytest.raises(JobError, match=r"does not fit.*slope"):
        with_arrays(solver.start(problem, np.zeros(6)), arrays)


@pytest.mark.parametrize("way", FIXED)
@pytest.mark.parametrize("what", ["objective", "gradient"])
def test_a_fixed_step_that_is_too_long_diverges_by_name(way: str, what: str) -> None:
    function, problem, _ = quadratic()
    solver = WAYS[way]
    state = solver.start(problem, np.zeros(6))
    run(solver, function, state, 60)
    answer = function(solver.ask(state))
    bad = (
        Answer(np.nan, answer.gradient, 1.0)
        if what == "objective"
        else Answer(answer.value, np.full(6, np.inf), 1.0)
    )
    expected = rf"the {what} .* iteration {state.iteration + 1}, .*too large: set solver\.step"
    with pytest.raises(Diverged, match=expected) as caught:
        solver.tell(state, bad)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("way", CHOSEN)
def test_a_chosen_step_is_halved_where_there_are_no_numbers(way: str) -> None:
    function, problem, minimum = logistic()
    solver = WAYS[way]
    state = solver.start(problem, np.zeros(6))
    run(solver, function, state, 60)
    step, iteration = state.step_size, state.iteration
    for k in range(1, 4):
        bad = Answer(np.nan, np.full(6, np.nan), np.nan)
        assert solver.tell(state, bad) is None
        assert state.step_size == step / 2**k
        assert state.iteration == iteration
        assert np.isfinite(function(solver.ask(state)).value)
    _, steps = run(solver, function, state, 4000, tol=1e-8)
    if isinstance(solver, INEXACT):
        # Its epochs are counted: with an eighth of the step it does not get all the way.
        assert steps[-1].answer.value < function(Question(np.zeros(6))).value - 0.1
    else:
        np.testing.assert_allclose(steps[-1].u, minimum, atol=1e-5)


@pytest.mark.parametrize("way", CHOSEN)
def test_numbers_that_stay_away_end_the_run(way: str) -> None:
    function, problem, _ = quadratic()
    solver = WAYS[way]
    state = solver.start(problem, np.zeros(6))
    run(solver, function, state, 60)
    with pytest.raises(Diverged, match="too large"):
        for _ in range(100):
            solver.tell(state, Answer(np.inf, np.full(6, np.nan), np.nan))


@pytest.mark.parametrize("way", WAYS)
def test_a_start_that_is_not_finite_is_the_datas_fault(way: str) -> None:
    """No step has been taken yet: to blame the step would send people the wrong way."""
    _, problem, _ = quadratic()
    solver = WAYS[way]
    state = solver.start(problem, np.zeros(6))
    with pytest.raises(Diverged, match=r"iteration 0, .*rescale the columns"):
        for _ in range(100):
            solver.tell(state, Answer(np.inf, np.full(6, np.nan), np.nan))


@pytest.mark.parametrize("way", ["gd step", "nesterov without restart", "sgd plain"])
def test_a_real_divergence_is_found(way: str) -> None:
    function, problem, _ = quadratic()
    solver = {
        "gd step": GradientDescent(step=50.0),
        "nesterov without restart": Nesterov(step=50.0),
        "sgd plain": Sgd(step=50.0, schedule="constant", epochs=10**6),
    }[way]
    with pytest.raises(Diverged, match="the step 50 is too large"):
        run(solver, function, solver.start(problem, np.ones(6)), 10_000)


def walled(function: Function, radius: float) -> Function:
    """Return a function that is no number beyond a sphere."""

    def inside(question: Question) -> Answer:
        if float(np.linalg.norm(question.u)) < radius:
            return function(question)
        return Answer(np.nan, np.full(len(question.u), np.nan), np.nan)

    return inside


@pytest.mark.parametrize("way", SEARCHING)
def test_a_line_search_comes_back_from_where_there_are_no_numbers(way: str) -> None:
    function, problem, minimum = quadratic()
    # First steps a thousand times too long.
    bold = Problem(6, problem.mean_curvature * 1e-3, problem.max_curvature, problem.n_batches)
    inside = walled(function, 1.5 * float(np.linalg.norm(minimum)))
    _, steps = run(WAYS[way], inside, WAYS[way].start(bold, np.zeros(6)), 2000, tol=1e-9)
    np.testing.assert_allclose(steps[-1].u, minimum, atol=1e-6)


@pytest.mark.parametrize("way", SEARCHING)
def test_a_line_search_ends_where_nothing_falls(way: str) -> None:
    """A gradient that is a lie: the solver must end, not search for ever."""

    def lie(question: Question) -> Answer:
        value = float(np.linalg.norm(question.u))
        return Answer(value, np.ones(3), 1.0, np.eye(3), product=question.along)

    solver = WAYS[way]
    state = solver.start(Problem(3, 1.0, 3.0, lambda size: 1), np.zeros(3))
    _, steps = run(solver, lie, state, 500)
    assert "no step lowers" in steps[-1].end
    assert steps[-1].u.tobytes() == np.zeros(3).tobytes()
    assert steps[-1].answer.value == 0.0


@pytest.mark.parametrize(
    ("way", "n_questions"), [("lbfgs", 80), ("barzilai-borwein", 300), ("gd backtracking", 40_000)]
)
def test_a_bent_valley(way: str, n_questions: int) -> None:
    state = WAYS[way].start(Problem(2, 500.0, 2000.0, lambda size: 1), np.array([-1.2, 1.0]))
    _, steps = run(WAYS[way], rosenbrock, state, n_questions, tol=1e-6)
    np.testing.assert_allclose(steps[-1].u, [1, 1], atol=1e-4)


def test_lbfgs_comes_down_an_exponential_wall() -> None:
    """Steep on one side, flat on the other: brackets from both ends."""

    def function(question: Question) -> Answer:
        u = question.u
        with np.errstate(all="ignore"):
            e = np.exp(u)
            return Answer(float(e.sum() - 1e-3 * u.sum()), e - 1e-3, 1.0)

    state = Lbfgs().start(Problem(3, 1e-3, 1.0, lambda size: 1), np.array([3.0, 0.0, -9.0]))
    _, steps = run(Lbfgs(), function, state, 150, tol=1e-12)
    np.testing.assert_allclose(steps[-1].u, math.log(1e-3), rtol=1e-6)


def test_lbfgs_needs_one_gradient_an_iteration() -> None:
    for make in (quadratic, logistic):
        function, problem, _ = make()
        state = Lbfgs().start(problem, np.zeros(problem.n_params))
        asked, steps = run(Lbfgs(), function, state, 200, tol=1e-10)
        assert steps[-1].answer.gradient == pytest.approx(0, abs=1e-10)
        assert len(asked) <= 1.25 * len(steps) + 2
        assert len(steps) <= 40


def test_lbfgs_of_a_whole_memory_ends_a_quadratic_in_few_steps() -> None:
    function, problem, minimum = quadratic(d=20)
    state = Lbfgs(memory_length=20).start(problem, np.zeros(20))
    _, steps = run(Lbfgs(memory_length=20), function, state, 60, tol=1e-9)
    assert len(steps) < 45
    np.testing.assert_allclose(steps[-1].u, minimum, atol=1e-6)


@pytest.mark.parametrize("solver", [GradientDescent(), Nesterov(), Sgd(momentum=0.0)])
def test_the_probe_finds_the_largest_eigenvalue(solver: Solver) -> None:
    function, problem, _ = quadratic(d=12)
    state = solver.start(problem, np.zeros(12))
    steps: list[Step] = []
    n_probes = 0
    while not steps:
        step = solver.tell(state, function(solver.ask(state)))
        n_probes += 1
        steps += [step] if step else []
    assert n_probes <= 33
    assert 0.8 <= 1 / state.step_size <= problem.max_curvature


def test_nesterov_is_faster_than_plain_descent() -> None:
    function, problem, _ = quadratic(d=40)
    counts = {}
    for name in ("gd", "nesterov"):
        state = WAYS[name].start(problem, np.zeros(40))
        counts[name] = len(run(WAYS[name], function, state, 5000, tol=1e-8)[0])
    assert counts["nesterov"] < 0.6 * counts["gd"]


def test_sgd_asks_for_every_batch_once_and_then_for_all_rows() -> None:
    function, problem, _ = logistic()
    solver = Sgd(batch_size=64, epochs=3, step=0.1)
    state = solver.start(problem, np.zeros(problem.n_params))
    numbers: list[int | None] = []
    ends: list[str] = []
    while not any(ends):
        question = solver.ask(state)
        numbers.append(question.batch.number if question.batch else None)
        assert question.batch is None or question.batch.size == 64
        step = solver.tell(state, function(question))
        ends += [step.end] if step else []
    epochs = [list(range(8 * epoch, 8 * epoch + 8)) for epoch in range(3)]
    assert numbers == [None, *epochs[0], None, *epochs[1], None, *epochs[2], None]
    assert len(ends) == 4 and "last epoch" in ends[-1]


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [1, 1, 1]),
        ("inverse", [1, 1 / 2, 1 / 3]),
        ("sqrt", [1, 2**-0.5, 3**-0.5]),
        ("cosine", [1, 0.5, 0]),
    ],
)
def test_sgd_step_schedules(schedule: Any, shares: list[float]) -> None:
    function, problem, _ = quadratic()
    solver = Sgd(schedule=schedule, step=0.1, epochs=2, momentum=0.5)
    state = solver.start(problem, np.zeros(6))
    _, steps = run(solver, function, state, 100)
    expected = [0.0, *(0.1 * share for share in shares[1:])]
    assert [step.step_size for step in steps] == pytest.approx(expected, abs=1e-12)


def test_sgd_averages_the_late_iterates() -> None:
    """On noisy batches the average is nearer to the minimum than the last iterate."""
    function, problem, minimum = logistic()
    ends = {}
    for averaging in (True, False):
        solver = Sgd(batch_size=8, schedule="constant", step=0.5, momentum=0.0, averaging=averaging)
        state = solver.start(problem, np.zeros(problem.n_params))
        ends[averaging] = run(solver, function, state, 5000)[1][-1].answer.value
    least = function(Question(minimum)).value
    assert ends[True] - least < 0.2 * (ends[False] - least)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: GradientDescent(step=-1.0), "step"),
        (lambda: GradientDescent(step=math.nan), "step"),
        (lambda: Nesterov(step=math.inf), "step"),
        (lambda: Sgd(step=-0.1), "step"),
        (lambda: Sgd(batch_size=0), "batch_size"),
        (lambda: Sgd(momentum=1.0), "momentum"),
        (lambda: Sgd(momentum=-0.1), "momentum"),
        (lambda: Sgd(epochs=0), "epochs"),
        (lambda: AdaGrad(step=-1.0), "step"),
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Adam(beta2=-0.1), "beta2"),
        (lambda: Adam(batch_size=0), "batch_size"),
        (lambda: Svrg(step=-1.0), "step"),
        (lambda: Svrg(batch_size=0), "batch_size"),
        (lambda: Svrg(inner_epochs=0.0), "inner_epochs"),
        (lambda: Averaging(workers=0), "workers"),
        (lambda: Averaging(tol=-1.0), "tol"),
        (lambda: Averaging(local_iter=0), "local_iter"),
        (lambda: LocalSgd(workers=0), "workers"),
        (lambda: LocalSgd(local_epochs=0.0), "local_epochs"),
        (lambda: LocalSgd(rounds=0), "rounds"),
        (lambda: LocalSgd(batch_size=0), "batch_size"),
        (lambda: LocalSgd(momentum=1.0), "momentum"),
        (lambda: Admm(workers=1 << 20), "workers"),
        (lambda: Admm(rho=-1.0), "rho"),
        (lambda: Admm(relaxation=2.0), "relaxation"),
        (lambda: Lbfgs(memory_length=0), "memory_length"),
        (lambda: BarzilaiBorwein(memory_length=0), "memory_length"),
    ],
)
def test_a_bad_field_is_named_first(make: Callable[[], Solver], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got "):
        make()
