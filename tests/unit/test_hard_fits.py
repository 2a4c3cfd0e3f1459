"""Data that make solvers stumble: columns that are seldom other than 0, margins without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import Logistic, Multinomial, Poisson, Squared
from mpi_gd.penalties import L1, L2, ElasticNet, NoPenalty, Penalty
from mpi_gd.solvers import Lbfgs, Newton, Solver
from mpi_gd.trainer import Ending
from tests.fitting import Fitted, fit

N = 3000
RNG = np.random.default_rng(2)
# Columns that are 1 in half, a tenth, ... of the rows, down to four rows.
SHARES = np.repeat(0.5 ** np.arange(1, 10), 4)
RARE = (RNG.random((N, len(SHARES))) < SHARES) * 1.0
RARE[:4] = 1.0
Z = RARE @ RNG.normal(size=len(SHARES)) * 2.0 - 4.0
LABELS = (RNG.random(N) < 1 / (1 + np.exp(-Z))) * 1.0
THREE = np.digitize(Z + RNG.logistic(size=N), [-5.0, -2.0]).astype(np.float64)


def fitted(y: NDArray[Any], loss: Any, penalty: Penalty, solver: Solver, **options: Any) -> Fitted:
    """Fit the columns that are seldom 1."""
    options = {"x": RARE, "tol": 1e-8, "n_classes": 3, **options}
    x = options.pop("x")
    return fit(SerialWorld(), x, y, loss, penalty, solver=solver, **options)


@pytest.mark.parametrize("penalty", [L2(alpha=1e-2), L2(alpha=1.0)], ids=["weak", "strong"])
def test_lbfgs_needs_few_iterations_where_the_penalty_outweighs_the_loss(penalty: L2) -> None:
    """In coordinates that suit the loss alone there would be hundreds."""
    found = fitted(LABELS, Logistic(), penalty, Lbfgs())
    assert found.outcome.ending is Ending.CONVERGED
    assert len(found.records) < 40
    plain = fitted(LABELS, Logistic(), penalty, Newton())
    np.testing.assert_allclose(found.coef, plain.coef, atol=1e-6)


@pytest.mark.parametrize("penalty", [L2(alpha=0.3), ElasticNet(alpha=0.3), NoPenalty()])
@pytest.mark.parametrize("standardize", [False, True])
def test_loss_and_penalty_bend_alike_along_all_columns(penalty: Penalty, standardize: bool) -> None:
    found = fitted(LABELS, Squared(), penalty, Newton(), standardize=standardize)
    objective = found.fit.objective
    gram = objective.gram(found.fit.u, lambda z, y, w: np.ones(len(z)))
    bends = np.diag(gram)[:-1] / N + found.fit.penalty_hessian[:-1]
    np.testing.assert_allclose(bends, 1.0, rtol=1e-12)
    if not isinstance(penalty, ElasticNet):
        # The objective is still the same function of the coefficients.
        x = (RARE - RARE.mean(axis=0)) / (RARE.std(axis=0) if standardize else 1.0)
        ridge = N * (penalty.alpha if isinstance(penalty, L2) else 0.0) * np.eye(x.shape[1])
        coef = np.linalg.solve(x.T @ x + ridge, x.T @ (LABELS - LABELS.mean()))
        coef /= RARE.std(axis=0) if standardize else 1.0
        np.testing.assert_allclose(found.coef, coef, rtol=1e-9, atol=1e-12)


def test_newton_does_not_lose_itself_where_rows_are_nearly_told_apart() -> None:
    """A full step makes some rows so sure, and wrong, that the next model knows nothing of them."""
    sure = np.where(RARE[:, 33] > 0, 1.0, LABELS)
    found = fitted(sure, Logistic(), NoPenalty(), Newton())
    assert found.outcome.ending is Ending.CONVERGED
    last = found.records[-1]
    assert last.questions <= last.iteration + 12 and last.iteration < 45
    objectives = [record.objective for record in found.records]
    assert objectives == sorted(objectives, reverse=True)


def test_held_columns_stay_exactly_0() -> None:
    x = np.column_stack([RARE, RARE[:, 3], 1.0 - RARE[:, 20], np.ones(N)])
    sure = np.where(RARE[:, 33] > 0, 1.0, LABELS)
    found = fitted(sure, Logistic(), NoPenalty(), Newton(), x=x)
    assert found.coef[-3:].tolist() == [0.0, 0.0, 0.0]
    assert np.count_nonzero(found.coef) == RARE.shape[1]


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_few_of_many_coefficients_of_three_labels(l1_ratio: float) -> None:
    """The Hessian is blind for what the outputs have in common; the penalty is not."""
    penalty = ElasticNet(alpha=0.01, l1_ratio=l1_ratio) if l1_ratio < 1 else L1(alpha=0.01)
    found = fitted(THREE, Multinomial(), penalty, Newton(), tol=1e-10)
    assert found.outcome.ending is Ending.CONVERGED
    assert found.records[-1].iteration < 25
    coef = found.coef
    assert 10 < np.count_nonzero(coef) < coef.size - 10
    z = RARE @ coef + found.intercept
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    slope = RARE.T @ (p - (THREE[:, None] == np.arange(3))) / N + 0.01 * (1 - l1_ratio) * coef
    limit = 0.01 * l1_ratio
    np.testing.assert_allclose(slope[coef != 0], -limit * np.sign(coef[coef != 0]), atol=1e-9)
    assert np.abs(slope[coef == 0]).max() < limit + 1e-9


def test_newton_goes_on_while_the_digits_double() -> None:
    """At tol the next step is worth its question: rare columns have few digits by then."""
    counts = np.random.default_rng(1).poisson(np.exp(0.2 * Z)).astype(np.float64)
    rough = fitted(counts, Poisson(), NoPenalty(), Newton(), tol=1e-4)
    exact = fitted(counts, Poisson(), NoPenalty(), Newton(), tol=1e-13)
    np.testing.assert_allclose(rough.coef, exact.coef, rtol=1e-8)
