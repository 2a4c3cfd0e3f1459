"""Standard errors, tests and measures of a fit, beside R's and the formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld, World
from mpi_gd.inference import Coefficient, Inference, as_json, as_text, coefficients, infer
from mpi_gd.losses import Gamma, Logistic, Loss, Multinomial, Poisson, Squared
from mpi_gd.penalties import L2, NoPenalty, Penalty
from tests.fitting import Fitted, fit
from tests.simulated import on_ranks

Floats = NDArray[np.float64]

N = 700
RNG = np.random.default_rng(21)
X = RNG.normal(size=(N, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, 1.0]
Z = X @ [0.8, -0.05, 2.0] - 1.5
LABELS = (RNG.random(N) < 1 / (1 + np.exp(-Z))) * 1.0
THREE = np.digitize(Z + RNG.logistic(size=N), [-0.5, 1.0]).astype(np.float64)
COUNTS = RNG.poisson(np.exp(0.3 * Z)).astype(np.float64)
CLUSTERS = RNG.integers(0, 40, N).astype(np.float64)
WEIGHT = RNG.integers(1, 4, N).astype(np.float64)
ONES = np.column_stack([X, np.ones(N)])


def inferred(
    x: NDArray[Any],
    y: NDArray[Any],
    loss: Loss,
    kind: str = "fisher",
    *,
    penalty: Penalty | None = None,
    world: World | None = None,
    **options: Any,
) -> tuple[Fitted, Inference, list[Coefficient]]:
    """Fit; return also the inference, and the table's lines, the intercept last."""
    world = world or SerialWorld()
    fitted = fit(world, x, y, loss, penalty or NoPenalty(), n_classes=3, **options)
    found = infer(world, fitted.fit, kind)
    estimates = np.append(fitted.coef.reshape(-1), fitted.intercept)
    names = [f"b{j}" for j in range(len(estimates))]
    return fitted, found, coefficients(found, estimates, names, 0.95)


def errors_of(lines: list[Coefficient]) -> Floats:
    """Return the standard errors."""
    return np.array([np.nan if line.std_error is None else line.std_error for line in lines])


def test_counts_are_those_of_r() -> None:
    """Dobson's trial, the first example of R's help page of glm."""
    counts = np.array([18.0, 17, 15, 20, 10, 20, 25, 13, 12])
    outcome, treatment = np.tile([1, 2, 3], 3), np.repeat([1, 2, 3], 3)
    x = np.column_stack([outcome == 2, outcome == 3, treatment == 2, treatment == 3]) * 1.0
    _, found, lines = inferred(x, counts, Poisson())
    told = [round(line.estimate, 4) for line in lines]
    assert told == pytest.approx([-0.4543, -0.2930, 0.0, 0.0, 3.0445], abs=1e-12)
    assert errors_of(lines).round(4).tolist() == [0.2022, 0.1927, 0.2, 0.2, 0.1709]
    assert [f"{line.statistic:.3f} {line.p_value:.4f}" for line in lines[:2]] == [
        "-2.247 0.0246",
        "-1.520 0.1285",
    ]
    measures = found.measures
    assert round(measures["null_deviance"], 4) == 10.5814 and measures["df_null"] == 8
    assert round(measures["deviance"], 4) == 5.1291 and found.df_residual == 4
    assert round(measures["aic"], 2) == 56.76
    assert not found.uses_t


def test_clotting_times_are_those_of_r() -> None:
    """McCullagh and Nelder 1989, page 300, also in R's help page of glm."""
    pytest.importorskip("scipy")
    u = np.log([5.0, 10, 15, 20, 30, 40, 60, 80, 100])
    lot = np.array([118.0, 58, 42, 35, 27, 25, 21, 19, 18])
    _, found, lines = inferred(u[:, None], lot, Gamma(link="inverse"))
    told = [round(line.estimate, 8) for line in lines]
    assert told == pytest.approx([0.01534311, -0.01655438], abs=1e-12)
    assert errors_of(lines).round(8).tolist() == pytest.approx([0.00041496, 0.00092754], abs=2e-8)
    assert [f"{line.statistic:.2f} {line.p_value:.2e}" for line in lines] == [
        "36.97 2.75e-09",
        "-17.85 4.28e-07",
    ]
    assert found.uses_t
    measures = found.measures
    # R's 0.002446059 is of the iterate before its last.
    assert measures["dispersion"] == pytest.approx(0.002446059, abs=3e-8)
    assert round(measures["null_deviance"], 5) == 3.51283
    assert round(measures["deviance"], 5) == 0.01673
    assert round(measures["aic"], 2) == 37.99


def bread_and_scores(
    loss: Loss, y: Floats, fitted: Fitted, weight: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the inverse Hessian and each row's gradient, parameters as in the table."""
    coef = fitted.coef.reshape(3, -1)
    z = X @ coef + fitted.intercept
    k = coef.shape[1]
    if k == 1:
        z = z[:, 0]
    target = loss.encode(y)
    r = z.copy()
    loss.sum_and_derivative(r, target, None)
    h = loss.second_derivative(z, target).reshape(N, k, k)
    scores = np.einsum("ij,ik->ijk", ONES, r.reshape(N, k)).reshape(N, -1) * weight[:, None]
    hessian = np.einsum("i,ij,il,ikm->jklm", weight, ONES, ONES, h)
    return np.linalg.pinv(hessian.reshape(4 * k, 4 * k), rcond=1e-13, hermitian=True), scores


CASES: dict[str, tuple[Loss, NDArray[Any]]] = {
    "logistic": (Logistic(), LABELS),
    "probit": (Logistic(link="probit"), LABELS),
    "Poisson": (Poisson(), COUNTS),
    "three labels": (Multinomial(), THREE),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["fisher", "hc0", "hc1", "cluster"])
def test_covariances_are_those_of_the_formulas(kind: str, name: str, weighted: bool) -> None:
    loss, y = CASES[name]
    weight = WEIGHT if weighted else np.ones(N)
    fitted, found, lines = inferred(
        X, y, loss, kind, weight=weight if weighted else None, clusters=CLUSTERS
    )
    bread, scores = bread_and_scores(loss, y, fitted, weight)
    k = fitted.coef.size // 3
    n_params = 4 * (k - 1 if k > 1 else 1)
    assert found.df_residual == N - n_params
    if kind == "fisher" and name == "probit":
        # The expected information is another matrix than the Hessian.
        z = X @ fitted.coef + fitted.intercept
        assert isinstance(loss, Logistic)
        fisher = loss.fisher(z, y) * weight
        bread = np.linalg.inv((ONES.T * fisher) @ ONES)
    if kind == "fisher":
        wanted = bread
    elif kind == "cluster":
        sums = np.array([scores[group == CLUSTERS].sum(axis=0) for group in range(40)])
        wanted = bread @ sums.T @ sums @ bread * (40 / 39 * (N - 1) / (N - n_params))
    else:
        wanted = bread @ scores.T @ scores @ bread
        wanted *= N / (N - n_params) if kind == "hc1" else 1.0
    if k > 1:
        # What all outputs have in common is not determined: their differences are.
        difference = np.kron(np.eye(4), np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]]))
        covariance = difference @ found.covariance @ difference.T
        wanted = difference @ wanted @ difference.T
    else:
        covariance = found.covariance
        np.testing.assert_allclose(errors_of(lines), np.sqrt(np.diag(wanted)), rtol=1e-7)
    np.testing.assert_allclose(covariance, wanted, rtol=1e-6, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("kind", ["fisher", "hc1", "cluster"])
@pytest.mark.parametrize("name", ["Poisson", "three labels"])
def test_the_bits_do_not_depend_on_the_ranks(name: str, kind: str, size: int) -> None:
    loss, y = CASES[name]

    def covariance(world: World) -> Floats:
        return inferred(X, y, loss, kind, world=world, clusters=CLUSTERS)[1].covariance

    alone = covariance(SerialWorld())
    for found in on_ranks(size, covariance):
        assert isinstance(found, np.ndarray), found
        assert found.tobytes() == alone.tobytes()


def test_least_squares_has_the_usual_table() -> None:
    stats = pytest.importorskip("scipy.stats")
    y = Z + RNG.normal(size=N)
    _, found, lines = inferred(X, y, Squared())
    coef, rss, *_ = np.linalg.lstsq(ONES, y, rcond=None)
    variance = float(rss[0]) / (N - 4)
    wanted = np.sqrt(np.diag(np.linalg.inv(ONES.T @ ONES)) * variance)
    np.testing.assert_allclose(errors_of(lines), wanted, rtol=1e-9)
    assert found.measures["dispersion"] == pytest.approx(variance, rel=1e-10)
    total = float(np.square(y - y.mean()).sum())
    assert found.measures["pseudo_r2_deviance"] == pytest.approx(1 - rss[0] / total, rel=1e-10)
    likelihood = -N / 2 * (np.log(2 * np.pi * rss[0] / N) + 1)
    assert found.measures["log_likelihood"] == pytest.approx(likelihood, rel=1e-12)
    assert found.measures["aic"] == pytest.approx(2 * 5 - 2 * likelihood, rel=1e-12)
    assert found.measures["bic"] == pytest.approx(5 * np.log(N) - 2 * likelihood, rel=1e-12)
    half = float(stats.t.ppf(0.975, N - 4)) * wanted[0]
    assert lines[0].lower == pytest.approx(coef[0] - half, rel=1e-9)
    assert lines[0].upper == pytest.approx(coef[0] + half, rel=1e-9)


def test_a_column_that_is_held_has_no_standard_error() -> None:
    _, found, lines = inferred(np.column_stack([X, X[:, 0] - X[:, 2]]), LABELS, Logistic())
    _, plain, wanted = inferred(X, LABELS, Logistic())
    assert found.free.tolist() == [True, True, True, False, True]
    assert lines[3].estimate == 0.0 and lines[3].std_error is None
    assert found.df_residual == plain.df_residual == N - 4
    np.testing.assert_allclose(np.delete(errors_of(lines), 3), errors_of(wanted), rtol=1e-8)
    assert "x" not in as_text(found, lines, 0.95, "").split("\n")[0]


def test_a_penalty_narrows_the_errors_of_the_estimates() -> None:
    _, _, free = inferred(X, LABELS, Logistic())
    _, found, held = inferred(X, LABELS, Logistic(), penalty=L2(alpha=0.05))
    assert (errors_of(held)[:3] < errors_of(free)[:3]).all()
    told = as_json(found, held, 0.95, "the penalty draws")
    assert "the penalty draws" in str(told)
