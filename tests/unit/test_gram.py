"""Least squares from one pass: right, the same on any ranks, and honest about its digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import DataError
from mpi_gd.losses import Logistic, Squared
from mpi_gd.matrix import Csr, Dense
from mpi_gd.objective import GramPass, Rows, find_scaling
from mpi_gd.penalties import L1, L2, ElasticNet, GroupLasso, Mcp, NoPenalty, Penalty
from mpi_gd.solvers import Auto, GramSolver, LeastSquares, Newton
from mpi_gd.trainer import Ending
from tests.fitting import Fitted, fit
from tests.simulated import on_ranks

N, D = 1500, 6
PENALTIES: dict[str, Penalty] = {
    "none": NoPenalty(),
    "l2": L2(alpha=0.1),
    "l2 factors": L2(alpha=0.1, factors={"x0": 0.0, "x2": 3.0}),
    "l1": L1(alpha=0.3),
    "l1 bounds": L1(alpha=0.1, lower={"x1": -0.2}, upper=0.5),
    "elastic-net": ElasticNet(alpha=0.3, factors={"x1": 0.0}),
    "non-negative": NoPenalty(lower=0.0),
    "group-lasso": GroupLasso(alpha=0.2, groups=[["x0", "x3"], ["x1", "x2"]]),
}


def data(seed: int = 0, noise: float = 2.0, far: float = 3.0) -> tuple[Any, Any]:
    """Return correlated columns away from 0, and a response."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) * 10.0 ** np.arange(-2, D - 2)
    x += far * x.std(axis=0)
    y = (x / x.std(axis=0)) @ np.array([1.0, -1, 0, 0.5, 0, 2]) + noise * rng.normal(size=N) + 50
    return x, y


def fitted(penalty: Penalty = PENALTIES["l2"], **options: Any) -> Fitted:
    """Fit the data by the moments."""
    x, y = options.pop("data", None) or data()
    world = options.pop("world", None) or SerialWorld()
    options.setdefault("solver", GramSolver())
    return fit(world, x, y, Squared(), penalty, **{"tol": 1e-9} | options)


@pytest.mark.parametrize("weighted", [False, True, "mask"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("kind", PENALTIES)
def test_it_finds_what_newtons_method_finds(
    kind: str, intercept: bool, weighted: bool | str
) -> None:
    rng = np.random.default_rng(1)
    weight = {
        False: None,
        True: rng.random(N) * (rng.random(N) > 0.3),
        "mask": rng.random(N) > 0.3,
    }[weighted]
    offset = rng.normal(size=N) if weighted is True else None
    options = {"intercept": intercept, "weight": weight, "offset": offset}
    ours = fitted(PENALTIES[kind], **options)
    reference = fitted(PENALTIES[kind], solver=Newton(), **options, tol=1e-13)
    assert ours.outcome.ending is Ending.CONVERGED
    objective = reference.records[-1].objective
    assert ours.records[-1].objective == pytest.approx(objective, rel=1e-10)
    scale = np.abs(reference.coef).max()
    np.testing.assert_allclose(ours.coef / scale, reference.coef / scale, atol=1e-7)


def test_one_pass_is_all() -> None:
    """Scaling, the start and the minimum come from one read of the rows."""
    found = fitted(L1(alpha=0.3))
    assert found.records[-1].rows == N and len(found.records) == 2


def test_auto_takes_it_for_least_squares_alone() -> None:
    x, y = data()
    world = SerialWorld()
    assert isinstance(fitted(solver=Auto()).solver, GramSolver)
    assert not isinstance(fitted(Mcp(alpha=0.1), solver=Auto(), tol=1e-4).solver, GramSolver)
    logistic = fit(world, x, (y > 50) * 1.0, Logistic(), L2(alpha=0.1), solver=Auto(), tol=1e-6)
    assert not isinstance(logistic.solver, GramSolver)
    assert "squared" in GramSolver().lacks(logistic.fit.objective.problem)


@pytest.mark.parametrize("kind", ["l2", "l1"])
def test_the_same_bits_on_any_number_of_ranks(kind: str) -> None:
    def work(world: World) -> bytes:
        found = fitted(PENALTIES[kind], world=world)
        return bytes(found.coef.tobytes() + np.float64(found.intercept).tobytes())

    (alone,) = on_ranks(1, work)
    for size in (2, 3, 5):
        assert on_ranks(size, work, seed=size) == [alone] * size


def test_a_claim_that_the_moments_cannot_make_is_checked_with_the_rows() -> None:
    """With an R2 of 1 - 1e-12 the objective from y'y has lost twelve digits."""
    found = fitted(NoPenalty(), data=data(noise=1e-6))
    assert len(found.records) > 2 and found.records[-1].rows > N
    reference = fitted(NoPenalty(), data=data(noise=1e-6), solver=LeastSquares())
    objective = reference.records[-1].objective
    assert found.records[-1].objective == pytest.approx(objective, rel=1e-9)
    scale = data()[0].std(axis=0)
    np.testing.assert_allclose(found.coef * scale, reference.coef * scale, atol=1e-9)


def test_means_far_from_zero_cost_no_digits() -> None:
    """Means of 1e7 deviations, which squares in float64 would hide."""
    near, far = fitted(), fitted(data=data(far=1e7))
    np.testing.assert_allclose(far.coef, near.coef, rtol=1e-6)


def test_what_it_says_of_the_gradient_is_true() -> None:
    """The criterion of an unconfirmed iterate bounds what the rows say."""
    for seed in range(5):
        found = fitted(L2(alpha=1e-3), data=data(seed))
        claimed = found.records[-1].criterion
        told = fitted(L2(alpha=1e-3), data=data(seed), tol=0.0, max_iter=2)
        assert told.records[1].criterion == claimed
        assert told.records[2].criterion <= claimed


def test_sparse_rows() -> None:
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(3)
    dense = rng.normal(size=(N, D)) * (rng.random((N, D)) < 0.2)
    y = dense @ np.arange(D) + rng.normal(size=N)
    rows = scipy_sparse.csr_array(dense)
    sparse = fitted(data=(Csr(rows.data, rows.indices, rows.indptr.astype(np.int64), D), y))
    np.testing.assert_allclose(sparse.coef, fitted(data=(dense, y)).coef, rtol=1e-9)


def test_a_number_that_is_none_is_named() -> None:
    x, y = data()
    x[700, 2] = np.nan
    with pytest.raises(DataError, match="column 'x2'"):
        fitted(data=(x, y))


def test_the_sums_are_those_of_the_rows() -> None:
    x, y = data()
    grid = RowGrid(N, D, 8)
    rows = Rows(grid, 0, grid.n_tiles, Dense(x), y)
    reading = GramPass(SerialWorld(), rows, "exact")
    scaling = find_scaling(
        SerialWorld(),
        rows,
        tuple("abcdef"),
        "exact",
        standardize=False,
        precondition=True,
        locate=str,
        measure=reading.measure,
    )
    np.testing.assert_allclose(scaling.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(scaling.deviation, x.std(axis=0), rtol=1e-12)
    squares = reading.gram().squares(scaling, has_intercept=True)
    u = np.arange(D + 1.0)
    z = (x - x.mean(axis=0)) / x.std(axis=0) @ u[:-1] + u[-1]
    value, gradient = squares.at(u)
    assert value == pytest.approx(np.square(z - y).mean() / 2, rel=1e-12)
    assert gradient[-1] == pytest.approx((z - y).mean(), rel=1e-10)
