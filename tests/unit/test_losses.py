"""Each loss is what its formula says, at any z, with any link, in any division of the rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.losses import (
    LOSSES,
    Binomial,
    EpsilonInsensitive,
    Gamma,
    Hinge,
    Huber,
    InverseGaussian,
    Likelihood,
    Logistic,
    Loss,
    Multinomial,
    NegativeBinomial,
    Poisson,
    Quantile,
    Squared,
    Tweedie,
)
from mpi_gd.losses.epsilon_insensitive import SmoothedEpsilonInsensitive
from mpi_gd.losses.loss import Floats, Weight
from tests.exact_losses import exact_loss, exact_mean, exact_sum, second_difference, slope


def _cases() -> dict[str, Loss]:
    """Return every loss of the registry with every link, and with keys that change its shape."""
    cases: dict[str, Loss] = {}
    for kind, cls in LOSSES.items():
        hint = get_type_hints(cls).get("link")
        if get_origin(hint) is Literal:
            link: Any
            for link in get_args(hint):
                cases[f"{kind}, {link}"] = cls(link=link)  # type: ignore[call-arg]
        else:
            cases[kind] = cls()
    for power in (-0.5, 0.0, 1.0, 1.1, 1.9, 2.0, 2.5, 3.0):
        cases[f"tweedie {power:g}"] = Tweedie(power=power)
    cases["tweedie 1.2, identity"] = Tweedie(power=1.2, link="identity")
    cases["tweedie 0, identity"] = Tweedie(power=0.0, link="identity")
    cases["tweedie 2.5, identity"] = Tweedie(power=2.5, link="identity")
    cases["negative-binomial 0.05"] = NegativeBinomial(theta=0.05)
    cases["negative-binomial 1e6"] = NegativeBinomial(theta=1e6)
    cases["quantile 0.1"] = Quantile(quantile=0.1)
    cases["huber 0.2"] = Huber(delta=0.2)
    cases["epsilon-insensitive 0"] = EpsilonInsensitive(epsilon=0.0)
    return cases


CASES = _cases()
SMOOTHED = {
    f"{name} smoothed by {width:g}": loss.smoothed(width)
    for name, loss in CASES.items()
    if not loss.is_smooth
    for width in (0.5, 1e-3)
}
ALL = CASES | SMOOTHED
LIKELIHOODS = {name: loss for name, loss in CASES.items() if isinstance(loss, Likelihood)}
SIZES = [0, 1, 2, 15, 16, 17, 33, 200]
K = 4

each_case = pytest.mark.parametrize("name", CASES)
each_loss = pytest.mark.parametrize("name", ALL)
each_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


def has_edge(loss: Loss) -> bool:
    """Tell whether z must be positive."""
    link = getattr(loss, "link", "")
    return link in ("inverse", "inverse-squared", "sqrt") or (
        link == "identity" and not isinstance(loss, Squared)
    )


def responses(loss: Loss, n: int, rng: np.random.Generator, scale: float = 3.0) -> Floats:
    """Return y that are valid, zeros and ties among them."""
    if loss.task == "two classes":
        return rng.integers(0, 2, size=n).astype(np.float64)
    if loss.task == "classes":
        return rng.integers(0, K, size=n).astype(np.float64)
    normal = rng.normal(size=n) * scale
    if isinstance(loss, Binomial):
        return np.where(rng.random(n) < 0.5, np.rint(rng.random(n)), rng.random(n))
    if isinstance(loss, Poisson | NegativeBinomial):
        return rng.poisson(np.exp(np.minimum(normal, 6))).astype(np.float64)
    power = loss.power if isinstance(loss, Tweedie) else 0.0
    if isinstance(loss, Gamma | InverseGaussian) or power >= 2:
        return np.exp(np.clip(normal, -6, 6))
    if power >= 1:
        return np.where(rng.random(n) < 0.3, 0.0, np.exp(np.clip(normal, -6, 6)))
    return normal


def example(loss: Loss, n: int, seed: int = 0, scale: float = 3.0) -> tuple[Floats, Floats]:
    """Return z that has a mean, and y, of n rows."""
    rng = np.random.default_rng((n, seed))
    z = rng.normal(size=(n, K) if loss.task == "classes" else n) * scale
    if has_edge(loss):
        z = np.abs(z) + 0.02
    return z, responses(loss, n, rng, scale)


def kernel(loss: Loss, z: Floats, y: Floats, weight: Weight | None = None) -> tuple[float, Floats]:
    """Return the sum and the derivatives; z stays as it is."""
    out = z.copy()
    total = loss.sum_and_derivative(out, loss.encode(y), weight)
    assert isinstance(total, float)
    return total, out


def each_row(loss: Loss, z: Floats, y: Floats) -> Floats:
    """Return each row's loss, by the kernel on one row."""
    return np.array([kernel(loss, z[i : i + 1], y[i : i + 1])[0] for i in range(len(z))])


def decimals(z: Any) -> Any:
    """Return a row's z as decimal numbers."""
    return Decimal(float(z)) if np.ndim(z) == 0 else [Decimal(float(a)) for a in z]


def exact(loss: Loss, z: Floats, y: Floats) -> list[Decimal]:
    """Return each row's loss to 90 digits."""
    return [exact_loss(loss, decimals(a), Decimal(float(b))) for a, b in zip(z, y, strict=True)]


def as_float(x: Decimal) -> float:
    """Return the nearest float; infinity where there is none."""
    return math.copysign(math.inf, x) if x.copy_abs() > Decimal("1.797e308") else float(x)


def assert_close(got: Any, expected: Any, tolerance: float = 1e-13, scale: float = 0.0) -> None:
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale)


# --- the formulas ---


@each_case
@pytest.mark.parametrize(("n", "scale"), [(0, 1), (1, 3), (16, 0.1), (17, 20), (33, 3), (99, 3)])
def test_sum_is_that_of_the_formula(name: str, n: int, scale: float) -> None:
    loss = CASES[name]
    z, y = example(loss, n, scale=scale)
    rows = exact(loss, z, y)
    total, size = as_float(exact_sum(rows)), as_float(exact_sum([row.copy_abs() for row in rows]))
    assert kernel(loss, z, y)[0] == pytest.approx(total, rel=1e-13, abs=1e-13 * size)


@each_case
@pytest.mark.parametrize("scale", [0.1, 3.0, 20.0])
def test_derivative_is_that_of_the_formula(name: str, scale: float) -> None:
    """To the last bits: by differences of decimal numbers."""
    loss = CASES[name]
    z, y = example(loss, 40, scale=scale)
    derivative = kernel(loss, z, y)[1]
    for i in range(len(z)):
        target = Decimal(float(y[i]))
        if z.ndim == 1:
            f = lambda a, target=target: exact_loss(loss, a, target)  # noqa: E731
            expected = [as_float(slope(f, decimals(z[i])))]
        else:
            expected = [
                as_float(
                    slope(
                        lambda a, i=i, k=k, target=target: exact_loss(  # type: ignore[misc]
                            loss, [*decimals(z[i][:k]), a, *decimals(z[i][k + 1 :])], target
                        ),
                        decimals(z[i, k]),
                    )
                )
                for k in range(K)
            ]
        # Where mean and y nearly agree their difference has the error of the mean.
        mean_size = max(1.0, float(np.abs(loss.inverse_link(z[i : i + 1])).max()))
        if loss.task != "numbers" or isinstance(loss, Binomial):
            mean_size = 0.0
        assert_close(derivative[i], expected if z.ndim > 1 else expected[0], 2e-13, mean_size)


def second_exact(loss: Loss, z: float, y: Decimal) -> float:
    """Return the second derivative of the formula."""
    return as_float(second_difference(lambda a: exact_loss(loss, a, y), Decimal(z)))


@each_case
def test_second_derivative_is_that_of_the_formula_or_the_expected_one(name: str) -> None:
    loss = CASES[name]
    if loss.task == "classes":
        return
    z, y = example(loss, 80, scale=2.0)
    second = loss.second_derivative(z, loss.encode(y))
    assert second.shape == z.shape and (second >= 0).all()
    if loss.is_convex:
        expected = [second_exact(loss, a, Decimal(b)) for a, b in zip(z, y, strict=True)]
    else:
        expected = list(loss.fisher(z, loss.encode(y)))
    assert_close(second, expected, 1e-12, 1e-3)


@each_likelihood
def test_fisher_is_the_second_derivative_where_y_is_its_mean(name: str) -> None:
    """All these losses are a y + b with y beside functions of z: y's mean gives the expectation."""
    loss = LIKELIHOODS[name]
    if loss.task == "classes":
        return
    z, y = example(loss, 80, scale=2.0)
    fisher = loss.fisher(z, loss.encode(y))
    link = getattr(loss, "link", "log")
    means = [exact_mean(link, Decimal(a)) for a in z]
    formula = Binomial(link=loss.link) if isinstance(loss, Logistic) else loss
    expected = [second_exact(formula, a, mean) for a, mean in zip(z, means, strict=True)]
    # Of (1 - p) below 1e-70 the hundred digits leave too few.
    assert_close(fisher, expected, 1e-12, 1e-50)


@each_case
def test_losses_are_convex_exactly_where_they_say_so(name: str) -> None:
    loss = CASES[name]
    z, y = example(loss, 100)
    if loss.task == "classes" or not loss.is_smooth:
        return
    bends = [second_exact(loss, a, Decimal(b)) for a, b in zip(z, y, strict=True)]
    assert (min(bends) >= -1e-25) == loss.is_convex


@each_loss
@settings(max_examples=15)
@given(st.floats(0.01, 20), st.floats(0.01, 20), st.floats(0, 1), st.integers(0, 1000))
def test_a_convex_loss_lies_below_its_chords(
    name: str, a: float, b: float, share: float, seed: int
) -> None:
    loss = ALL[name]
    if not loss.is_convex:
        return
    if not has_edge(loss):
        a, b = a - 10, b - 10
    y = responses(loss, 1, np.random.default_rng(seed))
    ends = np.array([a, b, share * a + (1 - share) * b])
    if loss.task == "classes":
        ends = ends[:, np.newaxis] * np.array([1.0, -1.0, 2.0, 0.5])
    left, right, between = each_row(loss, ends, np.repeat(y, 3))
    chord = share * left + (1 - share) * right
    assert between <= chord + 1e-11 * (abs(left) + abs(right))


@each_loss
def test_curvature_bounds_the_second_derivative(name: str) -> None:
    loss = ALL[name]
    n = 4000
    rng = np.random.default_rng(0)
    z = np.linspace(-30, 30, n) if not has_edge(loss) else np.linspace(0.01, 30, n)
    if loss.task == "classes":
        z = rng.normal(size=(n, K)) * [8, 8, 20, 20] + [0, 0, -50, -50]
    y = responses(loss, n, rng, scale=1.0)
    second: Any = loss.second_derivative(z, loss.encode(y))
    if second.ndim > 1:
        second = np.linalg.eigvalsh(second)
    if math.isfinite(loss.curvature):
        assert second.max() <= loss.curvature * (1 + 1e-9)
        # A bound so loose makes every step too short. The two bends of a tube add up at epsilon 0.
        share = 0.49 if isinstance(loss, SmoothedEpsilonInsensitive) else 0.98
        if getattr(loss, "width", 1) > 0.01:
            assert second.max() >= share * loss.curvature


# --- rows and weights ---


@each_loss
def test_two_halves_make_the_whole(name: str) -> None:
    loss = ALL[name]
    for n in SIZES:
        z, y = example(loss, n)
        size = float(np.abs(each_row(loss, z, y)).sum())
        rng = np.random.default_rng(n)
        weights: list[Weight | None] = [None, rng.random(n) < 0.6, rng.random(n)]
        for weight in weights:
            total, derivative = kernel(loss, z, y, weight)
            parts = [
                kernel(loss, z[rows], y[rows], None if weight is None else weight[rows])
                for rows in (slice(0, n // 3), slice(n // 3, n))
            ]
            both = sum(part[0] for part in parts)
            assert both == pytest.approx(total, rel=1e-13, abs=1e-13 * size)
            assert_close(np.concatenate([part[1] for part in parts]), derivative)


@each_loss
def test_weights_of_every_form_agree(name: str) -> None:
    loss = ALL[name]
    for n in SIZES:
        z, y = example(loss, n)
        size = 1e-13 * float(np.abs(each_row(loss, z, y)).sum())
        plain, ones = kernel(loss, z, y), kernel(loss, z, y, np.ones(n))
        truths = kernel(loss, z, y, np.ones(n, dtype=bool))
        for total, derivative in (ones, truths):
            assert total == pytest.approx(plain[0], rel=1e-13, abs=size)
            assert_close(derivative, plain[1])
        mask = np.random.default_rng(n).random(n) < 0.5
        masked, floats = kernel(loss, z, y, mask), kernel(loss, z, y, mask.astype(np.float64))
        chosen = kernel(loss, z[mask], y[mask])
        for total, derivative in (masked, floats):
            assert total == pytest.approx(chosen[0], rel=1e-13, abs=size)
            assert_close(derivative[mask], chosen[1])
            assert not derivative[~mask].any()


@each_loss
def test_weights_multiply_value_and_derivative(name: str) -> None:
    loss = ALL[name]
    z, y = example(loss, 100)
    weight = np.random.default_rng(1).random(100) * 5
    weight[::7] = 0.0
    total, derivative = kernel(loss, z, y, weight)
    rows = each_row(loss, z, y)
    size = 1e-13 * float(np.abs(rows).sum())
    assert total == pytest.approx(math.fsum(weight * rows), rel=1e-13, abs=size)
    assert_close(derivative, (kernel(loss, z, y)[1].T * weight).T)


@each_loss
@pytest.mark.parametrize("bad_z", [np.nan, np.inf, -np.inf, 1e308, -1e308, 0.0, -1.0, 800.0])
def test_a_row_of_weight_0_counts_nothing_whatever_it_holds(name: str, bad_z: float) -> None:
    loss = ALL[name]
    z, y = example(loss, 40)
    target = loss.encode(y)
    mask = np.ones(40, dtype=bool)
    mask[7] = False
    rest, derivative = kernel(loss, z[mask], y[mask])
    z[7] = bad_z
    for bad_y in (np.nan, np.inf, -1.0, 0.5, 1e300, 7.0):
        # The encoded labels of the logistic loss are checked: they are 1, -1 or nothing at all.
        target[7] = -1.0 if isinstance(loss, Logistic) and bad_y == bad_y else bad_y
        for weight in (mask, mask.astype(np.float64), 2.5 * mask):
            out = z.copy()
            total = loss.sum_and_derivative(out, target, weight)
            factor = float(weight.max())
            assert total == pytest.approx(factor * rest, rel=1e-12)
            assert_close(out[mask], factor * derivative)
            assert not out[7].any()


@each_case
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_does_not_disappear(name: str, bad: float) -> None:
    """For some responses an infinite z has a finite loss: those are not taken."""
    loss = CASES[name]
    if math.isinf(bad) and limit_is_finite(loss, bad):
        return
    for n in (1, 16, 40):
        z, y = example(loss, n)
        z[n // 2] = bad
        y[n // 2] = 1.0
        if loss.is_classifier or isinstance(loss, Binomial):
            y[n // 2] = 0.0 if bad > 0 else 1.0
        weights: list[Weight | None] = [None, np.ones(n, bool), np.ones(n)]
        for weight in weights:
            assert not math.isfinite(kernel(loss, z, y, weight)[0])


def limit_is_finite(loss: Loss, z: float) -> bool:
    """Tell whether the loss of y = 1 has a finite limit at an infinite z."""
    if isinstance(loss, Squared):
        return loss.link == "inverse" or (loss.link == "log" and z < 0)
    if isinstance(loss, InverseGaussian):
        return z > 0 and loss.link != "inverse-squared"
    if isinstance(loss, Tweedie):
        return (loss.power > 2 and z > 0) or (loss.power <= 0 and loss.link == "log" and z < 0)
    return False


@each_case
@pytest.mark.parametrize("size", [30.0, 700.0, 1e3, 1e6])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_extreme_z_is_right_or_infinite(name: str, size: float, sign: int) -> None:
    loss = CASES[name]
    if has_edge(loss) and sign < 0:
        size = 1 / size
    z, y = example(loss, 30)
    z[0] = sign * size if not has_edge(loss) else size
    if z.ndim > 1:
        z[0, 1:] *= [0.5, -1, -3]
    rows = exact(loss, z[:1], y[:1])
    total, derivative = kernel(loss, z[:1], y[:1])
    expected = as_float(rows[0])
    assert total == pytest.approx(expected, rel=2e-12, abs=1e-300)
    if math.isfinite(expected):
        assert np.isfinite(derivative).all()
        assert np.isfinite(loss.second_derivative(z[:1], loss.encode(y[:1]))).all()
    # And amid others: the fast way for many rows must notice.
    others = exact(loss, z[1:], y[1:])
    whole = as_float(exact_sum([*others, *rows]))
    size = as_float(exact_sum([row.copy_abs() for row in (*others, *rows)]))
    assert kernel(loss, z, y)[0] == pytest.approx(whole, rel=2e-12, abs=1e-13 * min(size, 1e300))


@pytest.mark.parametrize("name", [name for name, loss in CASES.items() if has_edge(loss)])
@pytest.mark.parametrize("z_bad", [0.0, -1e-300, -1.0, -1e6])
def test_z_without_a_mean_is_infinitely_bad(name: str, z_bad: float) -> None:
    loss = CASES[name]
    if isinstance(loss, Squared) and z_bad:
        return  # the inverse of a negative z is a mean
    z, y = example(loss, 40)
    z[11] = z_bad
    for weight in (None, np.ones(40), np.ones(40, dtype=bool)):
        total, derivative = kernel(loss, z, y, weight)
        assert total == math.inf
        assert np.isfinite(derivative).all() and derivative[11] == 0
    assert (
        np.isnan(loss.inverse_link(z)[11])
        and np.isfinite(np.delete(loss.inverse_link(z), 11)).all()
    )


# --- what else a loss tells ---


@each_case
def test_least_is_the_least(name: str) -> None:
    loss = CASES[name]
    z, y = example(loss, 40)
    least = loss.least(loss.encode(y))
    if loss.task == "classes":
        assert not least.any() and (each_row(loss, z, y) > 0).all()
        return
    candidates = np.linspace(0.01 if has_edge(loss) else -20, 20, 60)
    for target, lowest in zip(y, least, strict=True):
        own = candidates
        if isinstance(loss, Likelihood) and loss.task == "numbers":
            own = np.append(
                own, [loss.start(target), 1e-30, 1e12] if has_edge(loss) else loss.start(target)
            )
            own = own if has_edge(loss) else np.append(own, [-700.0, 36.0])
        elif loss.task == "numbers":
            own = np.append(own, target)
        else:
            own = np.append(own, [-500.0, 6.0, 500.0])
        found = each_row(loss, own, np.full(len(own), target))
        assert found.min() >= lowest - 1e-12 * abs(lowest) - 1e-15
        if isinstance(loss, Squared) and target <= 0:
            continue  # a positive mean does not reach it: least is that of any mean
        assert found.min() == pytest.approx(lowest, rel=1e-9, abs=1e-8)


@each_likelihood
def test_start_is_the_optimum_of_an_intercept_alone(name: str) -> None:
    loss = LIKELIHOODS[name]
    if loss.task == "classes":
        return
    _, y = example(loss, 300)
    if isinstance(loss, Squared | Tweedie):
        y += 5.0 - min(0.0, float(y.mean()))
    z = loss.start(float(y.mean()))
    derivative = kernel(loss, np.full(300, z), y)[1]
    assert abs(derivative.sum()) <= 1e-11 * np.abs(derivative).sum()


@each_loss
@pytest.mark.parametrize("mean", [0.0, 1.0, 1e-300, 1e300, 0.5, np.nan])
def test_start_is_finite_and_has_a_loss(name: str, mean: float) -> None:
    loss = ALL[name]
    if mean != mean and isinstance(loss, Squared) and loss.link == "identity":
        return
    z = loss.start(mean)
    assert isinstance(z, float)
    if mean == mean:
        assert math.isfinite(z)
    if has_edge(loss) and mean == mean:
        assert z > 0


INVALID: dict[str, tuple[list[float], list[float]]] = {
    "squared, identity": ([-1e300, 0, 1e300], [np.nan, np.inf, -np.inf]),
    "logistic, probit": ([0, 1], [0.5, 2, -1, np.nan, np.inf]),
    "hinge": ([0, 1], [0.5, 2, -1, np.nan]),
    "multinomial": ([0, 1, 7], [-1, 0.5, np.nan, np.inf]),
    "binomial, logit": ([0, 0.3, 1], [-1e-9, 1.0000001, np.nan, np.inf]),
    "poisson, log": ([0, 2.5, 1e9], [-1, -1e-300, np.nan, np.inf]),
    "negative-binomial": ([0, 3], [-1, np.nan, np.inf]),
    "gamma, log": ([1e-300, 1], [0, -1, np.nan, np.inf]),
    "inverse-gaussian, log": ([1e-300, 1], [0, -1, np.nan, np.inf]),
    "tweedie 1.9": ([0, 1], [-1, np.nan, np.inf]),
    "tweedie 1": ([0, 1], [-1, np.nan]),
    "tweedie 2": ([0.1, 1], [0, -1, np.nan]),
    "tweedie 2.5": ([0.1, 1], [0, -1, np.nan]),
    "tweedie -0.5": ([-3, 0, 1], [np.nan, np.inf]),
    "quantile": ([-3, 0, 1], [np.nan, np.inf]),
    "huber": ([-3, 0, 1], [np.nan, np.inf]),
    "epsilon-insensitive": ([-3, 0, 1], [np.nan, np.inf]),
}


@pytest.mark.parametrize("name", INVALID)
def test_responses_outside_the_range_are_found(name: str) -> None:
    loss = CASES[name]
    good, bad = INVALID[name]
    assert loss.invalid(np.array([*good, *bad])).tolist() == [False] * len(good) + [True] * len(bad)
    assert loss.expected


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Tweedie(power=0.5), "power"),
        (lambda: Tweedie(power=math.nan), "power"),
        (lambda: NegativeBinomial(theta=0), "theta"),
        (lambda: NegativeBinomial(theta=math.inf), "theta"),
        (lambda: Huber(delta=0), "delta"),
        (lambda: Quantile(quantile=1.0), "quantile"),
        (lambda: Quantile(quantile=0.0), "quantile"),
        (lambda: EpsilonInsensitive(epsilon=-1e-9), "epsilon"),
        (lambda: LOSSES["squared-epsilon-insensitive"](epsilon=math.nan), "epsilon"),  # type: ignore[call-arg]
    ],
)
def test_keys_out_of_range_are_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field} must be .*, got "):
        make()


@each_loss
def test_is_a_frozen_dataclass_of_plain_keys(name: str) -> None:
    loss = ALL[name]
    assert dataclasses.replace(loss) == loss and hash(loss) == hash(dataclasses.replace(loss))
    assert (loss.task == "numbers") == (not loss.is_classifier)
    assert loss.n_outputs(7) == (7 if loss.task == "classes" else 1)


def test_probabilities_are_those_of_classifiers_that_have_them() -> None:
    having = {kind for kind, cls in LOSSES.items() if cls.has_probabilities}
    assert having == {"logistic", "multinomial"}
    z = np.array([-3.0, 0.5, 4.0])
    for kind in ("hinge", "squared-hinge"):
        assert LOSSES[kind]().inverse_link(z).tolist() == z.tolist()


@each_likelihood
def test_derivative_vanishes_at_the_mean(name: str) -> None:
    """inverse_link is the inverse of the link that the loss is made with."""
    loss = LIKELIHOODS[name]
    z, _ = example(loss, 60, scale=1.0)
    mean = loss.inverse_link(z)
    if loss.task != "numbers":
        total = mean.sum(axis=1) if mean.ndim > 1 else np.ones(60)
        assert_close(total, np.ones(60))
        assert ((mean > 0) & (mean < 1)).all()
        return
    derivative = kernel(loss, z, mean)[1]
    fisher = loss.fisher(z, mean)
    assert (np.abs(derivative) <= 1e-13 * (fisher + np.sqrt(fisher))).all()


@each_likelihood
def test_variance_is_that_of_the_family(name: str) -> None:
    loss = LIKELIHOODS[name]
    mean = np.array([0.1, 0.5, 0.9])
    expected: dict[str, Callable[[float], float]] = {
        "squared": lambda m: 1.0,
        "logistic": lambda m: m * (1 - m),
        "binomial": lambda m: m * (1 - m),
        "multinomial": lambda m: m * (1 - m),
        "poisson": lambda m: m,
        "gamma": lambda m: m**2,
        "inverse-gaussian": lambda m: m**3,
        "negative-binomial": lambda m: m + m**2 / loss.theta,  # type: ignore[attr-defined]
        "tweedie": lambda m: m**loss.power,  # type: ignore[attr-defined]
    }
    kind = next(kind for kind, cls in LOSSES.items() if type(loss) is cls)
    assert_close(loss.variance(mean), [expected[kind](m) for m in mean])
    is_fixed = kind in ("logistic", "binomial", "multinomial", "poisson", "negative-binomial")
    assert loss.dispersion == (1.0 if is_fixed else None)


# --- smoothed kinks ---

KINKED = {name: loss for name, loss in CASES.items() if not loss.is_smooth}


@pytest.mark.parametrize("name", KINKED)
@given(
    st.floats(-1e6, 1e6) | st.floats(-5, 5),
    st.floats(-1e3, 1e3),
    st.floats(1e-12, 1e4) | st.sampled_from([1e-300, 5e-324, 1e300]),
)
def test_smoothed_is_above_by_no_more_than_it_says(
    name: str, z: float, y: float, width: float
) -> None:
    loss = KINKED[name]
    smooth = loss.smoothed(width)
    if loss.is_classifier:
        y = float(y > 0)
    value = each_row(loss, np.array([z]), np.array([y]))[0]
    above = each_row(smooth, np.array([z]), np.array([y]))[0] - value
    factor = 2 if isinstance(loss, EpsilonInsensitive) else 1
    rounding = 1e-15 * (abs(value) + 1e3 * (abs(z) + abs(y) + 1) * 1e-3)
    assert -rounding <= above <= factor * width * math.log(2) * (1 + 1e-12) + rounding
    assert smooth.is_smooth and smooth.curvature > 0
    assert smooth.task == loss.task and type(smooth) not in LOSSES.values()
    assert smooth.inverse_link(np.array([z])).tolist() == [z]


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothed_derivatives_are_those_of_its_values(name: str) -> None:
    loss = SMOOTHED[name]
    width = loss.width  # type: ignore[attr-defined]
    z, y = example(loss, 200, scale=3 * width)
    z += 1.0 if loss.is_classifier else y
    h = 1e-4 * width
    target = loss.encode(y)
    quotient = (each_row(loss, z + h, y) - each_row(loss, z - h, y)) / (2 * h)
    assert_close(kernel(loss, z, y)[1], quotient, 1e-7, 1)
    second = (kernel(loss, z + h, y)[1] - kernel(loss, z - h, y)[1]) / (2 * h)
    assert_close(loss.second_derivative(z, target), second, 1e-6, 1 / width)
    assert (loss.second_derivative(z, target) >= 0).all()
    lowest = loss.least(target)
    assert (each_row(loss, z, y) >= lowest * (1 - 1e-12)).all()


@pytest.mark.parametrize("name", CASES)
def test_smooth_losses_are_their_own_smoothed(name: str) -> None:
    loss = CASES[name]
    assert (loss.smoothed(0.1) is loss) == loss.is_smooth
    assert loss.smoothed(0.0) is loss


@pytest.mark.parametrize("width", [0.2, 1.0])
@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_least_of_the_smoothed_quantile_is_reached(width: float, q: float) -> None:
    loss = Quantile(quantile=q).smoothed(width)
    r = width * math.log(q / (1 - q))
    total, derivative = kernel(loss, np.array([2.0 + r]), np.array([2.0]))
    assert derivative[0] == pytest.approx(0, abs=1e-15)
    assert total == pytest.approx(loss.least(np.zeros(1))[0], rel=1e-14)


@pytest.mark.parametrize("name", KINKED)
def test_a_subgradient_supports_the_loss(name: str) -> None:
    """loss(b) >= loss(a) + g(a) (b - a), at the kinks too."""
    loss = KINKED[name]
    y = np.ones(1)
    corners = [-2.0, 0.0, 0.9, 0.95, 1.0, 1.05, 1.1, 3.0]
    for a in corners:
        value, g = kernel(loss, np.array([a]), y)
        for b in corners:
            assert kernel(loss, np.array([b]), y)[0] >= value + g[0] * (b - a) - 1e-15


# --- relations between losses ---


def same(one: Loss, other: Loss, z: Floats, y: Floats, factor: float = 1.0) -> None:
    """Require that `one` is `factor` times `other`, derivatives too."""
    a, b = kernel(one, z, y), kernel(other, z, y)
    assert a[0] == pytest.approx(factor * b[0], rel=1e-12)
    assert_close(a[1], factor * b[1], 1e-12, 1)
    h, k = (loss.second_derivative(z, loss.encode(y)) for loss in (one, other))
    assert_close(h, factor * k, 1e-12, 1e-3)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_binomial_of_labels_is_logistic(link: Any) -> None:
    z, y = example(Logistic(), 300, scale=4)
    same(Binomial(link=link), Logistic(link=link), z, y)


@pytest.mark.parametrize(
    ("power", "family"), [(1.0, Poisson()), (2.0, Gamma()), (3.0, InverseGaussian())]
)
def test_tweedie_of_whole_powers_is_the_family(power: float, family: Loss) -> None:
    z, y = example(family, 200)
    if power == 3:
        # mean^-1 / -1 - y mean^-2 / -2: term by term the same.
        assert not Tweedie(power=3.0).is_convex
    same(Tweedie(power=power), family, z, y)


def test_tweedie_of_power_0_is_squared_but_for_a_constant() -> None:
    z, y = example(Squared(), 100)
    z = np.abs(z) + 0.1
    loss = Tweedie(power=0.0, link="identity")
    shifted = kernel(loss, z, y)[0] + 0.5 * float(np.square(y).sum())
    assert shifted == pytest.approx(kernel(Squared(), z, y)[0], rel=1e-12)
    assert_close(kernel(loss, z, y)[1], kernel(Squared(), z, y)[1], 1e-13, 10)


def test_two_classes_of_multinomial_are_logistic() -> None:
    z, y = example(Logistic(), 300, scale=5)
    pair = np.column_stack([-0.25 * z, 0.75 * z])
    total, derivative = kernel(Multinomial(), pair, y)
    expected, slopes = kernel(Logistic(), z, y)
    assert total == pytest.approx(expected, rel=1e-13)
    assert_close(derivative[:, 1], slopes)
    assert_close(derivative[:, 0], -slopes)


def test_other_limits() -> None:
    z, y = example(Squared(), 100)
    same(Huber(delta=1e9), Squared(), z, y)
    assert kernel(Quantile(), z, y)[0] == pytest.approx(
        0.5 * kernel(EpsilonInsensitive(epsilon=0), z, y)[0]
    )
    z, y = example(Poisson(), 100, scale=1)
    value = kernel(NegativeBinomial(theta=1e12), z, y)[0]
    assert value == pytest.approx(kernel(Poisson(), z, y)[0], rel=1e-8)


# --- multinomial ---


def test_multinomial_second_derivative_is_the_difference_quotient() -> None:
    loss = Multinomial()
    z, y = example(loss, 50, scale=1)
    second = loss.second_derivative(z, y)
    h = 1e-6
    for k in range(K):
        step = h * np.eye(K)[k]
        quotient = (kernel(loss, z + step, y)[1] - kernel(loss, z - step, y)[1]) / (2 * h)
        assert_close(second[:, :, k], quotient, 1e-8, 1)
    assert_close(second, np.swapaxes(second, 1, 2))
    assert np.linalg.eigvalsh(second).min() > -1e-15
    assert_close(second.sum(axis=2), np.zeros((50, K)), 1e-15, 1)


@pytest.mark.parametrize("size", [0.0, 5.0, 689.0, 691.0, 1e6, 1e300])
def test_multinomial_shifted_by_a_constant_is_the_same(size: float) -> None:
    loss = Multinomial()
    z, y = example(loss, 40)
    z = np.rint(z * 8) / 8
    with np.errstate(all="ignore"):
        shifted = kernel(loss, z + min(size, 1e6), y)
    base = kernel(loss, z, y)
    assert shifted[0] == base[0]
    assert shifted[1].tobytes() == base[1].tobytes()
    z[3, 2] = size
    total, derivative = kernel(loss, z, y)
    assert math.isfinite(total) and np.isfinite(derivative).all()
    assert_close(derivative.sum(axis=1), np.zeros(40), 1e-15, 1)


@pytest.mark.parametrize("margin", [5, 20, 40, 200, 700])
@pytest.mark.parametrize("careful", [False, True])
def test_multinomial_of_nearly_separated_rows_keeps_its_digits(margin: int, careful: bool) -> None:
    z = np.zeros((20, 3))
    z[:, 1] = margin
    if careful:
        z = np.vstack([z, [[0.0, 1000.0, -1000.0]]])
    y = np.ones(len(z))
    y[20:] = 0
    total, derivative = kernel(Multinomial(), z, y)
    expected = 20 * math.log1p(2 * math.exp(-margin)) + (1000.0 if careful else 0.0)
    assert total == pytest.approx(expected, rel=1e-13, abs=0)
    assert_close(derivative[0, 0], math.exp(-margin) / (1 + 2 * math.exp(-margin)))
    assert_close(derivative[0, 1], -2 * math.exp(-margin) / (1 + 2 * math.exp(-margin)))


# --- logistic ---


def softplus(u: float) -> float:
    """Return log(1 + e^u) for any u, to the last bits."""
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


@given(st.lists(st.tuples(st.floats(-800, 800), st.booleans()), min_size=1, max_size=70))
def test_logistic_at_any_mixture_of_sizes(rows: list[tuple[float, bool]]) -> None:
    """Products of factors overflow at some sizes: none may be lost."""
    loss = Logistic()
    z, y = np.array([row[0] for row in rows]), np.array([row[1] * 1.0 for row in rows])
    total, derivative = kernel(loss, z, y)
    expected = math.fsum(softplus(-a if b else a) for a, b in rows)
    assert total == pytest.approx(expected, rel=1e-12, abs=1e-300)
    np.testing.assert_allclose(derivative, loss.inverse_link(z) - y, atol=1e-15)


@pytest.mark.parametrize("margin", [5, 7, 8, 20, 36, 40, 200, 700])
@pytest.mark.parametrize("n", [1, 16, 1000])
def test_logistic_of_nearly_separated_rows_keeps_its_digits(margin: int, n: int) -> None:
    """1 + e^u rounds to 1 there, but the loss is still e^u."""
    z = margin + np.random.default_rng(n).random(n)
    total, derivative = kernel(Logistic(), z, np.ones(n))
    expected = math.fsum(math.log1p(math.exp(-a)) for a in z)
    # approx would let 1e-12 pass, which is all of the loss.
    assert total == pytest.approx(expected, rel=1e-12, abs=0)
    np.testing.assert_allclose(derivative, [-1 / (1 + math.exp(a)) for a in z], rtol=1e-14)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_probability_of_both_tails(link: Any) -> None:
    z = np.array([-1e308, -800.0, -30.0, 0.0, 30.0, 800.0, 1e308])
    for loss in (Logistic(link=link), Binomial(link=link)):
        p = loss.inverse_link(z)
        middle = {"logit": 0.5, "probit": 0.5, "cloglog": -math.expm1(-1)}[link]
        assert p[3] == pytest.approx(middle, rel=3e-16)
        tail = {
            "logit": math.exp(-30) / (1 + math.exp(-30)),
            "probit": 0.5 * math.erfc(30 / math.sqrt(2)),
            "cloglog": -math.expm1(-math.exp(-30)),
        }
        assert p[2] == pytest.approx(tail[link], rel=1e-12, abs=0)
        assert (p[0], p[-1]) == (0.0, 1.0)
        assert np.isnan(loss.inverse_link(np.array([np.nan]))).all()


@pytest.mark.parametrize("size", [1e150, 1e308])
@pytest.mark.parametrize("n", [1, 16, 40])
def test_huge_z_of_the_fused_losses(size: float, n: int) -> None:
    for sign in (1, -1):
        z, y = example(Logistic(), n)
        z[0] = sign * size
        total, derivative = kernel(Logistic(), z, y)
        assert total == pytest.approx(
            math.fsum(softplus(-a if b else a) for a, b in zip(z, y, strict=True)), rel=1e-13
        )
        assert_close(derivative, Logistic().inverse_link(z) - y, 1e-15, 1)
        total, derivative = kernel(Squared(), z, y)
        assert total == math.inf or size < 1e154
        assert np.isfinite(derivative).all()


@pytest.mark.parametrize("bad", [2.0, -1.0, 0.5, np.nan, np.inf])
def test_logistic_refuses_what_is_no_label(bad: float) -> None:
    with pytest.raises(ValueError, match=r"place 3, expected 0 or 1"):
        Logistic().encode(np.array([0.0, 1.0, 1.0, bad, bad]))


# --- numbers from elsewhere ---


def test_hinge_by_hand() -> None:
    total, derivative = kernel(
        Hinge(), np.array([0.5, 2.0, -1.0, 0.25]), np.array([1.0, 1.0, 1.0, 0.0])
    )
    assert total == 0.5 + 0.0 + 2.0 + 1.25
    assert derivative.tolist() == [-1.0, 0.0, -1.0, 1.0]


def test_huber_by_hand() -> None:
    loss = Huber(delta=2.0)
    total, derivative = kernel(loss, np.array([1.0, 5.0, -4.0]), np.zeros(3))
    assert total == 0.5 + 2 * (5 - 1) + 2 * (4 - 1)
    assert derivative.tolist() == [1.0, 2.0, -2.0]
