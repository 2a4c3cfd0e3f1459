"""A certificate bounds what it says it bounds, at every iterate of every way there."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import LOSSES, EpsilonInsensitive, Hinge, Quantile
from mpi_gd.losses.kinked import Kinked
from mpi_gd.objective import Certifier, find_certifier
from mpi_gd.penalties import L1, L2, ElasticNet, GroupLasso, Mcp, NoPenalty, Penalty
from mpi_gd.solvers import FiniteSmoothing, Fista, GramSolver, Lbfgs, Newton, Solver, Step
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
KINKED = ["hinge", "quantile", "epsilon-insensitive"]
LOSSES_HERE = [
    *("squared", "logistic", "multinomial", "poisson", "squared-hinge", "huber", "gamma"),
    *("squared-epsilon-insensitive", "binomial", "negative-binomial", *KINKED),
]


def data() -> tuple[Any, dict[str, Any]]:
    """Return columns away from 0, and a response for each loss."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + rng.normal(size=D)
    z = 0.3 * x @ rng.normal(size=D)
    labels = (rng.random(N) < 1 / (1 + np.exp(-z - 1))) * 1.0
    numbers, counts = z + 2 * rng.normal(size=N) + 5, rng.poisson(np.exp(np.clip(0.3 * z, -5, 3)))
    return x, {
        "squared": numbers,
        "huber": numbers,
        "quantile": numbers,
        "epsilon-insensitive": numbers,
        "squared-epsilon-insensitive": numbers,
        "hinge": labels,
        "gamma": np.exp(0.3 * z) * rng.gamma(2.0, size=N),
        "binomial": rng.binomial(4, 1 / (1 + np.exp(-z))) / 4.0,
        "negative-binomial": counts * 1.0,
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
    certifier = find_certifier(
        world, ours.rows, y, ours.loss, bound, ours.scaling, ours.free, ours.objective
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
    solver = FiniteSmoothing() if loss in KINKED else Newton()
    found, certifier = fitted(loss, PENALTIES[kind], solver, tol=1e-14, **options)
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


@pytest.mark.parametrize("loss", ["quantile", "epsilon-insensitive", "hinge"])
def test_kinks_without_a_penalty_against_a_linear_program(loss: str) -> None:
    """All columns are free then: their gradients are made 0, which mean slopes would not be."""
    x, responses = data()
    found, certifier = fitted(loss, NoPenalty(), FiniteSmoothing(), tol=1e-12)
    y = responses[loss]
    ones = np.ones((N, 1))
    if loss == "hinge":
        # min sum t, t >= 1 - s (x.w + b), t >= 0
        s = 2 * y[:, None] - 1
        rows, right, slopes = [np.hstack([-s * x, -s, -np.eye(N)])], [-np.ones(N)], [1.0]
    else:
        # up - down = x.w + b - y, beyond epsilon.
        wide = 0.1 if loss == "epsilon-insensitive" else 0.0
        rows = [np.hstack([sign * x, sign * ones, -np.eye(N)]) for sign in (1.0, -1.0)]
        right = [sign * y + wide for sign in (1.0, -1.0)]
        slopes = [1.0, 1.0] if wide else [0.5, 0.5]
    if len(rows) == 2:
        rows = [
            np.hstack([rows[0], np.zeros((N, N))]),
            np.hstack([rows[1][:, : D + 1], np.zeros((N, N)), -np.eye(N)]),
        ]
    cost = np.concatenate([np.zeros(D + 1), *(np.full(N, slope / N) for slope in slopes)])
    bounds = [(None, None)] * (D + 1) + [(0, None)] * (len(cost) - D - 1)
    best = linprog(cost, np.vstack(rows), np.concatenate(right), bounds=bounds).fun
    step = found.outcome.step
    assert step is not None
    certificate = certifier.certify(step)
    assert certificate.bound == "duality gap" and (certificate.digits or 0) >= 7
    assert certificate.gap >= step.value - best - 1e-12
    assert step.value <= best + certificate.gap


@pytest.mark.parametrize("loss", [Hinge(), Quantile(quantile=0.3), EpsilonInsensitive()])
def test_slack_is_that_of_the_conjugate(loss: Kinked) -> None:
    rng = np.random.default_rng(5)
    target = loss.encode(np.array([0.0, 1.0, 1.0, 0.0]))
    low, high = loss.slopes(target)
    assert np.all(low < high)
    far = np.linspace(-50, 50, 100_001)
    for share in (0.0, 0.3, 1.0):
        r, z = low + share * (high - low), 3 * rng.normal(size=4)
        for i in range(4):
            at = np.full(len(far), target[i])
            conjugate = np.max(r[i] * far - loss.rows(far.copy(), at))
            of = loss.rows(z[i : i + 1].copy(), target[i : i + 1])[0]
            slack = loss.slack(z, target, r)[i]
            np.testing.assert_allclose(slack, of + conjugate - r[i] * z[i], atol=2e-3)
            assert slack >= 0


@pytest.mark.parametrize("loss", ["logistic", "multinomial", "huber"])
def test_a_sample_of_the_moments_does_not_spoil_the_bound(loss: str) -> None:
    """The coordinates of many rows are those of a sample: columns are not quite of mean 0 then."""
    found, certifier = fitted(loss, L2(alpha=0.02), Newton(), tol=1e-14)
    rough = dataclasses.replace(
        certifier, scaling=dataclasses.replace(certifier.scaling, is_rough=True)
    )
    step = found.outcome.step
    assert step is not None
    for size in (1.0, 1e-3, 1e-6):
        other = at(found, step.u + size * np.arange(len(step.u)))
        certificate = rough.certify(other)
        assert step.value < other.value <= step.value + certificate.gap + 1e-16
        assert certificate.bound == "duality gap"
    assert (rough.certify(step).digits or 0) >= 9


def test_the_certificate_leaves_no_trace_in_the_training() -> None:
    found, certifier = fitted("logistic", L2(alpha=0.02), Lbfgs(), tol=1e-3)
    objective = found.fit.objective
    before = {name: each.copy() for name, each in objective.exponents().items()}
    assert found.outcome.step is not None
    certifier.certify(found.outcome.step)
    for name, each in objective.exponents().items():
        np.testing.assert_array_equal(each, before[name])
