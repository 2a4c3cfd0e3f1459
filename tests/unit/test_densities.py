"""Log likelihoods are those of the laws, with all constants, as R has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mpi_gd.losses import (
    LOSSES,
    Binomial,
    Gamma,
    InverseGaussian,
    Likelihood,
    Logistic,
    Multinomial,
    NegativeBinomial,
    Poisson,
    Squared,
    Tweedie,
)
from mpi_gd.losses.densities import deviance_part
from mpi_gd.losses.gamma_function import log_gamma, stirling_error
from mpi_gd.losses.loss import Floats

FAMILIES = {kind: cls() for kind, cls in LOSSES.items() if issubclass(cls, Likelihood)}
MEANS = np.array([0.7, 2.5, 2.0, 5.5])


def logs(
    loss: Likelihood, y: Any, mean: Any, weight: Any = None, dispersion: float = 1.0
) -> Floats:
    """Return the log densities."""
    y, mean = np.asarray(y, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    weight = None if weight is None else np.asarray(weight)
    found = loss.log_likelihood(y, mean, weight, dispersion)
    assert found is not None and found.shape == y.shape
    return found


# --- the gamma function ---


def test_log_gamma_is_that_of_the_standard_library() -> None:
    x = np.concatenate([np.geomspace(1e-12, 1e12, 500), np.linspace(0.01, 40, 800), [1, 2, 10]])
    expected = np.array([math.lgamma(a) for a in x])
    error = np.abs(log_gamma(x) - expected) / np.maximum(1.0, np.abs(expected))
    assert error.max() < 2e-15


def test_log_gamma_of_whole_and_half_numbers() -> None:
    n = np.arange(1, 150)
    factorials = np.array([math.log(math.factorial(k - 1)) for k in n.tolist()])
    np.testing.assert_allclose(log_gamma(n.astype(float)), factorials, rtol=1e-14, atol=1e-15)
    assert log_gamma(np.array([0.5]))[0] == pytest.approx(0.5 * math.log(math.pi), rel=1e-15)


def test_stirling_error_far_out_is_one_twelfth() -> None:
    x = np.array([1e5, 1e10, 1e200])
    np.testing.assert_allclose(stirling_error(x) * x * 12, 1, rtol=1e-11)
    # 1 - log(2 pi) / 2
    assert stirling_error(np.ones(1))[0] == pytest.approx(0.08106146679532726, rel=1e-14)


def test_deviance_part_near_and_far() -> None:
    """Of x = m (1 + e) it is m (e^2 / 2 - e^3 / 6 + ...), the plain formula noise."""
    m, e = 1e6, np.array([-1e-7, 1e-9, 1e-12])
    x = m * (1 + e)
    e = (x - m) / m
    np.testing.assert_allclose(
        deviance_part(x, np.full(3, m)), m * (e**2 / 2 - e**3 / 6), rtol=1e-12
    )
    x = np.array([1e-9, 0.5, 3.0, 700.0])
    np.testing.assert_allclose(deviance_part(x, np.ones(4)), x * np.log(x) + 1 - x, rtol=1e-14)
    assert deviance_part(np.ones(1), np.zeros(1))[0] == math.inf


# --- each law ---


def test_numbers_from_statsmodels() -> None:
    """`family.loglike_obs` of statsmodels 0.15; its alpha is 1 / theta."""
    y, counts, amounts = [0.5, 3.0, 2.0, 7.25], [0.0, 3.0, 2.0, 7.0], [0.0, 3.0, 2.0, 7.25]
    expected: dict[Likelihood, tuple[list[float], list[float]]] = {
        Squared(): (y, [-0.51079317, -0.77329317, -0.46079317, -4.28891817]),
        Gamma(): (y, [0.07229626, -1.63676444, -1.18710322, -2.57977861]),
        InverseGaussian(): (y, [0.37484597, -2.12537827, -1.50051394, -3.44975049]),
        Poisson(): (counts, [-0.7, -1.54288727, -1.30685282, -2.09192472]),
        NegativeBinomial(theta=1.7): (counts, [-0.58622883, -2.05350367, -1.7217362, -2.80079223]),
        Tweedie(power=1.1): (amounts, [-2.01504957, -1.18454213, -0.86076928, -2.08425513]),
        Tweedie(): (
            amounts,
            [-4.183300132670378, -1.3790812672157564, -1.008171624315544, -2.218006173946307],
        ),
        Tweedie(power=1.9): (amounts, [-24.12402738, -1.58481898, -1.15221989, -2.49709571]),
    }
    for loss, (values, numbers) in expected.items():
        dispersion = 0.4 if loss.dispersion is None else 1.0
        np.testing.assert_allclose(logs(loss, values, MEANS, None, dispersion), numbers, atol=6e-9)


@pytest.mark.parametrize("mean", [0.01, 1.0, 7.3, 40.0])
def test_probabilities_of_counts_add_up(mean: float) -> None:
    y = np.arange(4000.0)
    for loss in (Poisson(), NegativeBinomial(theta=0.7), NegativeBinomial(theta=30)):
        p = np.exp(logs(loss, y, np.full(len(y), mean)))
        assert p.sum() == pytest.approx(1, rel=1e-12)
        assert p @ y == pytest.approx(mean, rel=1e-12)
        variance = p @ np.square(y - mean)
        assert variance == pytest.approx(loss.variance(np.array([mean]))[0], rel=1e-11)


@pytest.mark.parametrize("n", [1, 2, 17, 400])
@pytest.mark.parametrize("p", [1e-9, 0.3, 0.5, 0.999])
def test_probabilities_of_shares_add_up(n: int, p: float) -> None:
    k = np.arange(n + 1.0)
    each = np.exp(logs(Binomial(), k / n, np.full(n + 1, p), np.full(n + 1, float(n))))
    assert each.sum() == pytest.approx(1, rel=1e-12)
    assert each @ k == pytest.approx(n * p, rel=1e-11)
    exact = [math.comb(n, int(i)) * p**i * (1 - p) ** (n - i) for i in k]
    np.testing.assert_allclose(each, exact, rtol=1e-11, atol=1e-220)


@pytest.mark.parametrize("dispersion", [0.05, 0.4, 1.3])
@pytest.mark.parametrize(
    "name", ["squared", "gamma", "inverse-gaussian", *map(str, (1.1, 1.5, 1.9))]
)
def test_densities_integrate_to_1(name: str, dispersion: float) -> None:
    loss: Likelihood = Tweedie(power=float(name)) if name[0] == "1" else FAMILIES[name]
    mean = 1.7
    # y = e^t (y = t for the normal law): the trapezoidal rule is exact but for rounding.
    t = np.linspace(*((-15, 20) if name == "squared" else (-250, 7)), 15_001)
    y, slope = (t, 1.0) if name == "squared" else (np.exp(t), np.exp(t))
    density = np.exp(logs(loss, y, np.full(len(y), mean), None, dispersion)) * slope * (t[1] - t[0])
    at_0 = math.exp(logs(loss, [0.0], [mean], None, dispersion)[0]) if name[0] == "1" else 0.0
    assert density.sum() + at_0 == pytest.approx(1, rel=1e-7)
    assert density @ y == pytest.approx(mean, rel=1e-8)
    variance = density @ np.square(y - mean) + at_0 * mean**2
    assert variance == pytest.approx(dispersion * loss.variance(np.array([mean]))[0], rel=1e-7)


@pytest.mark.parametrize("size", [1e4, 1e8, 1e12])
def test_large_counts_keep_their_digits(size: float) -> None:
    """Near the mean the law is nearly normal, with corrections of the order 1 / mean."""
    for deviations in (0.0, 1.0, -2.0):
        y = np.rint(size + deviations * math.sqrt(size))
        d = (y - size) / math.sqrt(size)
        normal = -0.5 * (math.log(2 * math.pi * size) + d * d)
        # Edgeworth's first term: the skewness is 1 / sqrt(mean).
        skewed = math.log1p((d**3 - 3 * d) / (6 * math.sqrt(size)))
        found = logs(Poisson(), [y], [size])[0]
        assert found == pytest.approx(normal + skewed, abs=2 / size + 1e-14 * abs(normal) * 10)


@pytest.mark.parametrize("power", [1.05, 1.5, 1.95])
def test_tweedie_series_of_many_terms_is_as_good_as_that_of_few(power: float) -> None:
    """Scaling y, mean and dispersion leaves the density's shape; few and many rows agree."""
    y = np.geomspace(1e-6, 1e6, 301)
    for dispersion in (1e-6, 1e-2, 1.0, 50.0):
        base = logs(Tweedie(power=power), y, y * 1.1, None, dispersion)
        c = 37.0
        scaled = logs(Tweedie(power=power), c * y, c * y * 1.1, None, dispersion * c ** (2 - power))
        assert np.isfinite(base).all()
        # The density of c y is 1 / c times that of y.
        np.testing.assert_allclose(scaled + math.log(c), base, rtol=1e-11, atol=1e-11)
        alone = [logs(Tweedie(power=power), [a], [a * 1.1], None, dispersion)[0] for a in y[::50]]
        np.testing.assert_allclose(alone, base[::50], rtol=1e-14, atol=1e-14)


def test_tweedie_with_a_small_dispersion_is_nearly_normal() -> None:
    """The saddle point: phi V(y) 2 pi, to the power -1/2, times e^(-D / (2 phi))."""
    for power in (1.2, 1.5, 1.8):
        loss = Tweedie(power=power)
        y, mean, phi = np.array([2.0, 3.0]), np.array([2.0, 2.98]), 1e-7
        deviance = np.array(
            [
                2
                * (
                    loss.sum_and_derivative(np.log([b]), np.array([a]), None)
                    - loss.least(np.array([a]))[0]
                )
                for a, b in zip(y, mean, strict=True)
            ]
        )
        saddle = -0.5 * np.log(2 * math.pi * phi * loss.variance(y)) - deviance / (2 * phi)
        np.testing.assert_allclose(logs(loss, y, mean, None, phi), saddle, rtol=1e-8, atol=1e-6)


def test_tweedie_powers_without_a_computed_density() -> None:
    y = np.array([1.0, 2.0])
    for power in (-1.0, 2.5, 3.5):
        assert Tweedie(power=power).log_likelihood(y, y, None, 1.0) is None
    assert Tweedie(power=1.0).log_likelihood(y, y, None, 0.5) is None
    for power, family in ((1.0, Poisson()), (2.0, Gamma()), (3.0, InverseGaussian())):
        np.testing.assert_array_equal(logs(Tweedie(power=power), y, y + 1), logs(family, y, y + 1))


def test_classes_have_the_log_of_their_probability() -> None:
    y = np.array([0.0, 1.0, 1.0])
    np.testing.assert_allclose(
        logs(Logistic(), y, [0.2, 0.3, 0.0]), [math.log(0.8), math.log(0.3), -math.inf]
    )
    mean = np.array([[0.5, 0.2, 0.3], [0.1, 0.9, 0.0], [0.0, 1.0, 0.0]])
    found = Multinomial().log_likelihood(
        np.array([2.0, 0.0, 1.0]), mean, np.array([2.0, 1, 1]), 1.0
    )
    np.testing.assert_allclose(found, [2 * math.log(0.3), math.log(0.1), 0.0])


@pytest.mark.parametrize("kind", FAMILIES)
def test_weights_and_rows_of_weight_0(kind: str) -> None:
    loss = FAMILIES[kind]
    y = np.array([1.0, 0.0, 1.0]) if loss.task != "numbers" else np.array([0.4, 0.7, 0.2])
    mean = np.array([0.3, 0.6, 0.5])
    if loss.task == "classes":
        mean = np.column_stack([1 - mean, mean])
    plain = loss.log_likelihood(y, mean, np.ones(3), 0.8)
    assert plain is not None
    y[1] = np.nan
    for weight in (np.array([3.0, 0.0, 1.0]), np.array([True, False, True])):
        found = loss.log_likelihood(y, mean, weight, 0.8)
        assert found is not None and found[1] == 0
        assert found[2] == pytest.approx(plain[2], rel=1e-14)
        if weight.dtype == bool or kind in ("squared", "binomial"):
            continue
        assert found[0] == pytest.approx(3 * plain[0], rel=1e-14)


def test_squared_divides_the_variance_by_the_weight() -> None:
    """R: y is a mean of `weight` observations."""
    found = logs(Squared(), [1.0], [0.0], [4.0], 2.0)[0]
    assert found == pytest.approx(-0.5 * (math.log(2 * math.pi * 0.5) + 2.0))


def test_binomial_weights_are_trials() -> None:
    found = logs(Binomial(), [0.25, 1.0, 0.0], [0.3, 0.3, 0.3], [4.0, 2.0, 2.0])
    expected = [4 * 0.3 * 0.7**3, 0.09, 0.49]
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-14)
    # A share that was rounded is still a whole number of successes.
    third = logs(Binomial(), [1 / 3], [0.5], [3.0])[0]
    assert math.exp(third) == pytest.approx(3 / 8, rel=1e-14)


@pytest.mark.parametrize("kind", FAMILIES)
def test_agrees_with_scipy(kind: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(4)
    mean = np.exp(rng.normal(size=200))
    counts, y = rng.poisson(mean).astype(float), mean * rng.gamma(2, 0.5, size=200)
    n, share = np.full(200, 20.0), mean / (1 + mean)
    k = rng.binomial(20, share).astype(float)
    phi = 0.6
    pairs: dict[str, tuple[Floats, Floats]] = {
        "squared": (logs(Squared(), y, mean, None, phi), stats.norm.logpdf(y, mean, phi**0.5)),
        "binomial": (logs(Binomial(), k / n, share, n), stats.binom.logpmf(k, n, share)),
        "poisson": (logs(Poisson(), counts, mean), stats.poisson.logpmf(counts, mean)),
        "negative-binomial": (
            logs(NegativeBinomial(theta=1.3), counts, mean),
            stats.nbinom.logpmf(counts, 1.3, 1.3 / (1.3 + mean)),
        ),
        "gamma": (
            logs(Gamma(), y, mean, None, phi),
            stats.gamma.logpdf(y, 1 / phi, scale=mean * phi),
        ),
        "inverse-gaussian": (
            logs(InverseGaussian(), y, mean, None, phi),
            stats.invgauss.logpdf(y, mean * phi, scale=1 / phi),
        ),
    }
    if kind in pairs:
        np.testing.assert_allclose(*pairs[kind], rtol=1e-11, atol=1e-12)


# --- known fits ---


def test_dobson_counts() -> None:
    """R's ?glm: Poisson regression of 9 counts on outcome and treatment.

    A. J. Dobson, An Introduction to Generalized Linear Models (1990). The treatments' totals are
    equal, so the fitted means are those of the outcomes. R prints: null deviance 10.5814,
    residual deviance 5.1291, AIC 56.76 with 5 parameters.
    """
    y = np.array([18.0, 17, 15, 20, 10, 20, 25, 13, 12])
    mean = np.tile([21.0, 40 / 3, 47 / 3], 3)
    loss = Poisson()
    least = loss.least(y).sum()
    deviance = 2 * (loss.sum_and_derivative(np.log(mean), y, None) - least)
    assert deviance == pytest.approx(5.1291, abs=5e-5)
    null = 2 * (loss.sum_and_derivative(np.full(9, loss.start(float(y.mean()))), y, None) - least)
    assert null == pytest.approx(10.5814, abs=5e-5)
    assert -2 * logs(loss, y, mean).sum() + 2 * 5 == pytest.approx(56.76, abs=5e-3)


def test_clotting_times() -> None:
    """R's ?glm: gamma regression with the inverse link of clotting times on log(u).

    P. McCullagh and J. A. Nelder, Generalized Linear Models (1989), pp. 300-302. R prints the
    coefficients -0.01655438 and 0.01534311, null deviance 3.51283, residual deviance 0.01673,
    AIC 37.99 (dispersion deviance / n, counted as a parameter), dispersion 0.002446059 (with the
    weights of its last iteration but one).
    """
    u = np.array([5.0, 10, 15, 20, 30, 40, 60, 80, 100])
    y = np.array([118.0, 58, 42, 35, 27, 25, 21, 19, 18])
    loss = Gamma(link="inverse")
    z = -0.01655438 + 0.01534311 * np.log(u)
    mean = loss.inverse_link(z)
    least = loss.least(y).sum()
    deviance = 2 * (loss.sum_and_derivative(z.copy(), y, None) - least)
    assert deviance == pytest.approx(0.01673, abs=5e-6)
    null = 2 * (loss.sum_and_derivative(np.full(9, loss.start(float(y.mean()))), y, None) - least)
    assert null == pytest.approx(3.51283, abs=5e-6)
    assert np.square((y - mean) / mean).sum() / 7 == pytest.approx(0.002446059, rel=2e-5)
    log_likelihood = logs(loss, y, mean, None, deviance / 9).sum()
    assert -2 * log_likelihood + 2 * 3 == pytest.approx(37.99, abs=5e-3)
    # At R's rounded optimum the gradient is small beside its terms.
    derivative = z.copy()
    loss.sum_and_derivative(derivative, y, None)
    assert abs(derivative.sum()) < 2e-5 * np.abs(derivative).sum()
