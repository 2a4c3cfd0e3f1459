"""Each penalty's gradient, curvature and keys."""

from __future__ import annotations

import numpy as np
import pytest

from mpi_gd.penalties import L2, PENALTIES

each_penalty = pytest.mark.parametrize("kind", PENALTIES)


@each_penalty
@pytest.mark.parametrize("d", [0, 1, 7])
def test_gradient_is_the_difference_quotient_and_is_added(kind: str, d: int) -> None:
    rng = np.random.default_rng(d)
    penalty = PENALTIES[kind]()
    u, factor, before = rng.normal(size=d), rng.random(d) * 5, rng.normal(size=d)
    out = before.copy()
    penalty.add_gradient(u, factor, out)
    h = 1e-5
    quotient = [
        (penalty.value(u + h * e, factor) - penalty.value(u - h * e, factor)) / (2 * h)
        for e in np.eye(d)
    ]
    np.testing.assert_allclose(out - before, np.array(quotient), atol=1e-9)


@each_penalty
def test_curvature_bounds_the_second_derivative(kind: str) -> None:
    rng = np.random.default_rng(3)
    penalty = PENALTIES[kind]()
    u, v, factor = rng.normal(size=9), rng.normal(size=9), rng.random(9) * 5
    ends = np.zeros((2, 9))
    penalty.add_gradient(u, factor, ends[0])
    penalty.add_gradient(u + v, factor, ends[1])
    bend = float(v @ (ends[1] - ends[0])) / float(v @ v)
    assert 0 <= bend <= penalty.curvature(factor) * (1 + 1e-12)


@each_penalty
def test_no_coefficient_no_penalty(kind: str) -> None:
    penalty = PENALTIES[kind]()
    assert penalty.value(np.zeros(4), np.ones(4)) == 0
    assert penalty.curvature(np.ones(0)) == 0


@each_penalty
def test_factor_is_the_square_of_the_coordinates_scale(kind: str) -> None:
    """The penalty of w asked in the coordinates u = w s is that of w itself."""
    rng = np.random.default_rng(4)
    penalty = PENALTIES[kind]()
    w, s = rng.normal(size=6), rng.random(6) + 0.1
    expected = penalty.value(w, np.ones(6))
    assert penalty.value(w * s, 1 / s**2) == pytest.approx(expected, rel=1e-14)


def test_l2_is_its_formula() -> None:
    penalty = L2(alpha=0.5)
    assert penalty.value(np.array([1.0, -2.0]), np.array([1.0, 3.0])) == 0.25 * (1 + 12)
    assert penalty.curvature(np.array([1.0, 3.0])) == 1.5


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.inf, -np.inf])
def test_l2_names_the_bad_key(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"^alpha must be .* got "):
        L2(alpha=alpha)
