"""OWL-QN and Newton-CG, for more columns than a Hessian can be held of, beside Newton's method."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.losses import Logistic, Loss, Multinomial, Poisson
from mpi_gd.penalties import L1, L2, ElasticNet, Mcp, NoPenalty, Penalty
from mpi_gd.solvers import Auto, Fista, Newton, NewtonCg, OwlQn, Problem, Solver
from mpi_gd.trainer import Ending
from tests.fitting import Fitted, fit
from tests.simulated import on_ranks

N, D = 2500, 12
RNG = np.random.default_rng(8)
X = RNG.normal(size=(N, D)) * 10.0 ** np.linspace(-1, 1, D) + 1.0
Z = (X - 1.0) / X.std(axis=0) @ np.where(np.arange(D) % 3, 0.0, 0.8) - 0.7
RESPONSES: dict[str, tuple[Loss, Any]] = {
    "logistic": (Logistic(), (RNG.random(N) < 1 / (1 + np.exp(-Z))) * 1.0),
    "poisson": (Poisson(), RNG.poisson(np.exp(0.5 * Z)).astype(np.float64)),
    "multinomial": (Multinomial(), np.digitize(Z + RNG.logistic(size=N), [-1.5, 0.5]) * 1.0),
}
each_response = pytest.mark.parametrize("name", RESPONSES)


def fitted(
    name: str, penalty: Penalty, solver: Solver, world: World | None = None, **options: Any
) -> Fitted:
    loss, y = RESPONSES[name]
    options = {"tol": 1e-10, "n_classes": 3, **options}
    return fit(world or SerialWorld(), X, y, loss, penalty, solver=solver, **options)


@each_response
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "penalty",
    [L1(alpha=0.02), ElasticNet(alpha=0.05, l1_ratio=0.6), L2(alpha=0.1)],
    ids=["l1", "elastic net", "l2"],
)
def test_owl_qn_finds_newtons_optimum(name: str, penalty: Penalty, intercept: bool) -> None:
    found = fitted(name, penalty, OwlQn(), intercept=intercept)
    plain = fitted(name, penalty, Newton(), intercept=intercept)
    assert found.outcome.ending in (Ending.CONVERGED, Ending.SOLVER)
    assert found.records[-1].criterion < 1e-8
    size = X.std(axis=0) if found.coef.ndim == 1 else X.std(axis=0)[:, None]
    np.testing.assert_allclose(found.coef * size, plain.coef * size, atol=1e-7)
    # What is 0 is so exactly.
    np.testing.assert_array_equal(found.coef == 0, plain.coef == 0)
    objectives = [record.objective for record in found.records]
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(objectives))


def test_owl_qn_says_what_it_cannot() -> None:
    rest: Any = fitted("logistic", L1(alpha=0.1), Newton()).fit.objective.problem.rest
    assert not OwlQn().lacks(Problem(3, 1.0, 1.0, int, rest=rest))
    rest.lower = np.zeros(D + 1)
    assert "bounds" in OwlQn().lacks(Problem(3, 1.0, 1.0, int, rest=rest))
    mcp: Any = fitted("logistic", Mcp(alpha=0.1), Fista(), tol=1e-2).fit.objective.problem.rest
    assert "L1" in OwlQn().lacks(Problem(3, 1.0, 1.0, int, rest=mcp))


def test_auto_takes_owl_qn_for_an_l1_part_and_many_parameters() -> None:
    rest: Any = fitted("logistic", L1(alpha=0.1), Newton()).fit.objective.problem.rest
    solver, why = Auto().choose(Problem(2000, 1.0, 1.0, int, rest=rest))
    assert isinstance(solver, OwlQn)
    assert why == "there are 2,000 parameters and the penalty has an L1 part"


@each_response
@pytest.mark.parametrize("penalty", [NoPenalty(), L2(alpha=1e-3)], ids=["free", "l2"])
def test_newton_cg_finds_newtons_optimum(name: str, penalty: Penalty) -> None:
    found = fitted(name, penalty, NewtonCg())
    plain = fitted(name, penalty, Newton())
    assert found.outcome.ending is Ending.CONVERGED
    assert found.records[-1].iteration < 15
    if name == "multinomial":
        found.coef[:] -= found.coef.mean(axis=1, keepdims=True)
        plain.coef[:] -= plain.coef.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.coef, plain.coef, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("solver", [OwlQn(), NewtonCg()], ids=["owl-qn", "newton-cg"])
def test_any_number_of_ranks_finds_the_same_bits(solver: Solver) -> None:
    penalty = L1(alpha=0.02) if isinstance(solver, OwlQn) else L2(alpha=0.1)

    def work(world: World) -> bytes:
        return fitted("multinomial", penalty, solver, world, tol=1e-6).coef.tobytes()

    alone = work(SerialWorld())
    assert on_ranks(3, work) == [alone] * 3


def test_products_must_be_allowed() -> None:
    with pytest.raises(ValueError, match=r"^most_products must be 1 or more, got 0"):
        NewtonCg(most_products=0)
    with pytest.raises(ValueError, match="memory_length"):
        NewtonCg(memory_length=-1)


def test_the_last_systems_products_precondition_the_next() -> None:
    rng = np.random.default_rng(0)
    x: Any = rng.normal(size=(1500, 100))
    for j in range(1, 100):
        x[:, j] = 0.99 * x[:, j - 1] + 0.14 * x[:, j]
    y = (rng.random(1500) < 1 / (1 + np.exp(-x @ rng.normal(size=100) / 10))) * 1.0
    questions = {}
    for length in (0, 10):
        solver = NewtonCg(memory_length=length)
        found = fit(SerialWorld(), x, y, Logistic(), L2(alpha=1e-6), solver=solver, tol=1e-9)
        assert found.outcome.ending is Ending.CONVERGED
        questions[length] = found.records[-1].questions
    assert questions[10] < 0.9 * questions[0]


def test_few_pairs_are_kept_of_very_many_parameters() -> None:
    problem = Problem(1 << 22, 1.0, 1.0, lambda size: 1)
    state = NewtonCg().start(problem, np.zeros(problem.n_params))
    assert len(state.moves) == len(state.changes) == 16
