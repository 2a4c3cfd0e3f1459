"""A certificate bounds what it says it bounds, at every iterate of every way there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import LOSSES
from mpi_gd.objective import Certifier, find_certifier
from mpi_gd.penalties import L1, L2, ElasticNet, GroupLasso, Mcp, NoPenalty, Penalty
from mpi_gd.solvers import Fista, GramSolver, Lbfgs, Newton, Solver, Step
from mpi_gd.solvers.solver import Answer, Question
from tests.fitting import Fitted, fit

N, D = 600, 5
PENALTIES: dict[str, Penalty] = {
    "l2": L2(alpha=0.02),
    "l1": L1(alpha=0.02),
    "l1 bounds": L1(alpha=0.01, lower=-0.1, upper=0.2),
    "elastic-net": ElasticNet(alpha=0.02, factors={"x1": 2.0}),
    "group-lasso": GroupLasso(alpha=0.02, groups=[["x1", "x2"]]),
}
LOSSES_HERE = ["squared", "logistic", "multinomial", "poisson", "squared-hinge"]


def data() -> tuple[Any, dict[str, Any]]:
    """Return columns away from 0, and a response for each loss."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + rng.normal(size=D)
    z = 0.3 * x @ rng.normal(size=D)
    labels = (rng.random(N) < 1 / (1 + np.exp(-z - 1))) * 1.0
    return x, {
        "squared": z + 2 * rng.normal(size=N) + 5,
        "logistic": labels,
        "squared-hinge": labels,
        "multinomial": np.digitize(z + rng.normal(size=N), [-1, 1]) * 1.0,
        "poisson": rng.poisson(np.exp(np.clip(0.3 * z + 0.5, -5, 3))) * 1.0,
    }


def fitted(loss: str, penalty: Penalty, solver: Solver, **options: Any) -> tuple[Fitted, Certifier]:
    """Fit, and return also what certifies."""
    x, responses = data()
    y, world = responses[loss], SerialWorld()
    found = fit(world, x, y, LOSSES[loss](), penalty, solver=solver, n_classes=3, **options)
    ours = found.fit
    bound = ours.objective._penalty
    squares = ours.objective.squares
    certifier = find_certifier(
        world, ours.rows, y, ours.loss, bound, ours.scaling, ours.free, squares
    )
    return found, certifier


def at(found: Fitted, u: Any) -> Step:
    """Return the step that a solver would report at u."""
    objective = found.fit.objective
    answer: Answer = objective.answer(Question(u)).answer
    rest = objective.problem.rest
    if rest is None:
        return Step(u, answer, 1.0)
    subgradient = rest.residual(u, answer.gradient)
    return Step(u, answer, 1.0, rest=rest.value(u), subgradient=subgradient)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES_HERE)
def test_it_bounds_the_gap_wherever_it_is_asked(loss: str, kind: str, intercept: bool) -> None:
    rng = np.random.default_rng(1)
    weight = None if intercept else 3 * rng.random(N) * (rng.random(N) > 0.2)
    options: dict[str, Any] = {"intercept": intercept, "weight": weight}
    found, certifier = fitted(loss, PENALTIES[kind], Newton(), tol=1e-14, **options)
    least = min(record.objective for record in found.records)
    assert found.outcome.step is not None
    minimum = found.outcome.step.u
    last = certifier.certify(found.outcome.step)
    assert last.bound and last.digits is not None and last.digits >= 6
    assert last.gap >= found.outcome.step.value - least
    rest = found.fit.objective.problem.rest
    for size in 10.0 ** -np.arange(0.0, 12.0, 1.5):
        u = minimum + size * rng.normal(size=len(minimum)) * found.fit.free
        step = at(found, u if rest is None else rest.prox(u, 1e-300))
        certificate = certifier.certify(step)
        assert certificate.gap >= step.value - least - 1e-16 * abs(least), size
        assert certificate.digits is not None


@pytest.mark.parametrize("kind", ["l2", "l1", "elastic-net", "group-lasso"])
def test_it_tightens_as_the_gap_closes(kind: str) -> None:
    """A bound that says nothing would be true as well."""
    digits = []
    for tol in (1e-2, 1e-6, 1e-10):
        found, certifier = fitted("logistic", PENALTIES[kind], Fista(), tol=tol)
        assert found.outcome.step is not None
        digits.append(certifier.certify(found.outcome.step).digits or 0)
    assert digits == sorted(digits) and digits[-1] >= 6


def test_moments_certify_least_squares_without_a_penalty() -> None:
    found, certifier = fitted("squared", NoPenalty(), GramSolver(), tol=1e-9)
    assert found.outcome.step is not None
    certificate = certifier.certify(found.outcome.step)
    assert certificate.bound == "strong convexity" and (certificate.digits or 0) >= 10


@pytest.mark.parametrize(
    ("loss", "penalty", "solver"),
    [
        ("logistic", NoPenalty(), Lbfgs()),
        ("logistic", L2(alpha=0.1, factors={"x0": 0.0}), Newton()),
        ("squared", Mcp(alpha=0.1), Fista()),
    ],
)
def test_where_there_is_no_bound_none_is_claimed(
    loss: str, penalty: Penalty, solver: Solver
) -> None:
    found, certifier = fitted(loss, penalty, solver, tol=1e-6)
    assert found.outcome.step is not None
    certificate = certifier.certify(found.outcome.step)
    assert not certificate.bound and certificate.digits is None and certificate.gap == np.inf


def test_a_poisson_rate_with_exposure() -> None:
    rng = np.random.default_rng(4)
    options = {"offset": rng.normal(size=N), "tol": 1e-13}
    found, certifier = fitted("poisson", L2(alpha=0.05), Newton(), **options)
    assert found.outcome.step is not None
    assert (certifier.certify(found.outcome.step).digits or 0) >= 8
    for size in (1.0, 1e-3, 1e-6):
        step = at(found, found.outcome.step.u + size * rng.normal(size=D + 1))
        assert certifier.certify(step).gap >= step.value - found.outcome.step.value
