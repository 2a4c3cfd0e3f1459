"""Each loss is what its formula says, at any z, in any division of the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_gd.losses import LOSSES, Logistic, Loss
from mpi_gd.losses.loss import Floats, Weight

each_loss = pytest.mark.parametrize("kind", LOSSES)
SIZES = [0, 1, 2, 15, 16, 17, 33, 1000]


def example(loss: Loss, n: int, seed: int = 0, scale: float = 3.0) -> tuple[Floats, Floats]:
    """Return z and y of n rows."""
    rng = np.random.default_rng((n, seed))
    z = rng.normal(size=n) * scale
    y = (
        rng.integers(0, 2, size=n).astype(np.float64)
        if loss.is_classifier
        else rng.normal(size=n) * scale
    )
    return z, y


def kernel(loss: Loss, z: Floats, y: Floats, weight: Weight | None = None) -> tuple[float, Floats]:
    """Return the sum and the derivatives; z stays as it is."""
    out = z.copy()
    with np.errstate(all="ignore"):
        total = loss.sum_and_derivative(out, loss.encode(y), weight)
    return total, out


def formula(loss: Loss, z: Floats, y: Floats) -> Floats:
    """Return each row's loss, from the formula in the book."""
    if loss.is_classifier:
        s = 2 * y - 1
        return np.array([softplus(-a * b) for a, b in zip(s, z, strict=True)])
    return 0.5 * (z - y) ** 2


def softplus(u: float) -> float:
    """Return log(1 + e^u) for any u, to the last bits."""
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


@each_loss
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("scale", [0.1, 3.0, 50.0])
def test_sum_is_that_of_the_formula(kind: str, n: int, scale: float) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, n, scale=scale)
    total, _ = kernel(loss, z, y)
    assert total == pytest.approx(math.fsum(formula(loss, z, y)), rel=1e-13)


@each_loss
def test_derivative_is_the_difference_quotient(kind: str) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, 200)
    _, derivative = kernel(loss, z, y)
    h = 1e-5
    quotient = (formula(loss, z + h, y) - formula(loss, z - h, y)) / (2 * h)
    np.testing.assert_allclose(derivative, quotient, atol=1e-8)


@each_loss
def test_curvature_bounds_the_second_derivative(kind: str) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, 2000)
    h = 1e-5
    second = (kernel(loss, z + h, y)[1] - kernel(loss, z - h, y)[1]) / (2 * h)
    assert second.max() <= loss.curvature * (1 + 1e-6)
    assert second.max() >= 0.99 * loss.curvature, "a bound so loose makes every step too short"


@each_loss
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("weighted", ["none", "mask", "float"])
def test_two_halves_make_the_whole(kind: str, n: int, weighted: str) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, n)
    rng = np.random.default_rng(n)
    weight: Weight | None = {
        "none": None,
        "mask": rng.random(n) < 0.6,
        "float": rng.random(n),
    }[weighted]
    total, derivative = kernel(loss, z, y, weight)
    cut = n // 3
    parts = [
        kernel(loss, z[rows], y[rows], None if weight is None else weight[rows])
        for rows in (slice(0, cut), slice(cut, n))
    ]
    assert sum(part[0] for part in parts) == pytest.approx(total, rel=1e-13)
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts]), derivative, rtol=1e-13)


@each_loss
@pytest.mark.parametrize("n", SIZES)
def test_weights_of_every_form_agree(kind: str, n: int) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, n)
    plain, ones = kernel(loss, z, y), kernel(loss, z, y, np.ones(n))
    truths = kernel(loss, z, y, np.ones(n, dtype=bool))
    for total, derivative in (ones, truths):
        assert total == pytest.approx(plain[0], rel=1e-13)
        np.testing.assert_allclose(derivative, plain[1], rtol=1e-13)
    mask = np.random.default_rng(n).random(n) < 0.5
    masked, floats = kernel(loss, z, y, mask), kernel(loss, z, y, mask.astype(np.float64))
    chosen = kernel(loss, z[mask], y[mask])
    for total, derivative in (masked, floats):
        assert total == pytest.approx(chosen[0], rel=1e-13)
        np.testing.assert_allclose(derivative[mask], chosen[1], rtol=1e-13)
        assert not derivative[~mask].any()


@each_loss
def test_weights_multiply_value_and_derivative(kind: str) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, 100)
    weight = np.random.default_rng(1).random(100) * 5
    total, derivative = kernel(loss, z, y, weight)
    assert total == pytest.approx(math.fsum(weight * formula(loss, z, y)), rel=1e-13)
    np.testing.assert_allclose(derivative, weight * kernel(loss, z, y)[1], rtol=1e-13)


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weighted", ["none", "mask", "float"])
@pytest.mark.parametrize("n", [1, 16, 40])
def test_what_is_not_finite_does_not_disappear(
    kind: str, bad: float, weighted: str, n: int
) -> None:
    """In one of the two labels an infinite z has the loss 0, in the other infinity."""
    loss = LOSSES[kind]()
    weight: Weight | None = {"none": None, "mask": np.ones(n, bool), "float": np.ones(n)}[weighted]
    z, y = example(loss, n)
    z[n // 2] = bad
    if loss.is_classifier:
        y[n // 2] = 0.0 if bad > 0 else 1.0
    assert not math.isfinite(kernel(loss, z, y, weight)[0])


@each_loss
@pytest.mark.parametrize("n", [1, 16, 40])
@pytest.mark.parametrize("size", [1e3, 1e150, 1e308])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_z_is_right_or_infinite(kind: str, n: int, size: float, sign: int) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, n)
    z[0] = sign * size
    total, derivative = kernel(loss, z, y)
    with np.errstate(over="ignore"):
        expected = formula(loss, z, y).sum()
    assert total == pytest.approx(expected, rel=1e-13)
    assert np.isfinite(derivative).all()
    if not loss.is_classifier:
        return
    p = loss.inverse_link(z)
    np.testing.assert_allclose(derivative, p - y, atol=1e-15)


@each_loss
@pytest.mark.parametrize("far", [1e3, 1e150, 1e308])
def test_a_masked_row_counts_nothing_however_large(kind: str, far: float) -> None:
    loss = LOSSES[kind]()
    z, y = example(loss, 40)
    z[7], y[7] = far, 0.0
    mask = np.ones(40, dtype=bool)
    mask[7] = False
    rest = kernel(loss, z[mask], y[mask])
    for weight in (mask, mask.astype(np.float64)):
        total, derivative = kernel(loss, z, y, weight)
        assert total == pytest.approx(rest[0], rel=1e-13)
        assert derivative[7] == 0


@given(st.lists(st.tuples(st.floats(-800, 800), st.booleans()), min_size=1, max_size=70))
def test_logistic_at_any_mixture_of_sizes(rows: list[tuple[float, bool]]) -> None:
    """Products of factors overflow at some sizes: none may be lost."""
    loss = Logistic()
    z, y = np.array([row[0] for row in rows]), np.array([row[1] * 1.0 for row in rows])
    total, derivative = kernel(loss, z, y)
    assert total == pytest.approx(math.fsum(formula(loss, z, y)), rel=1e-12, abs=1e-300)
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


def test_logistic_probability_of_both_tails() -> None:
    z = np.array([-1e308, -800.0, -30.0, 0.0, 30.0, 800.0, 1e308])
    p = Logistic().inverse_link(z)
    assert p[3] == 0.5
    assert p[2] == pytest.approx(math.exp(-30) / (1 + math.exp(-30)), rel=1e-14)
    assert (p[0], p[-1]) == (0.0, 1.0)
    assert np.isnan(Logistic().inverse_link(np.array([np.nan]))).all()


@pytest.mark.parametrize("bad", [2.0, -1.0, 0.5, np.nan, np.inf])
def test_logistic_refuses_what_is_no_label(bad: float) -> None:
    with pytest.raises(ValueError, match=r"place 3, expected 0 or 1"):
        Logistic().encode(np.array([0.0, 1.0, 1.0, bad, bad]))
