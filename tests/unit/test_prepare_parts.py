"""What recipes are made of: exact sums, exact quantiles, splines."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.prepare.exactsum import ExactSum, mean_of_limbs
from mpi_gd.prepare.quantiles import Bisection, quantile, ranks_of
from mpi_gd.prepare.splines import basis, full_knots, probabilities

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, min_size=1, max_size=40), st.integers(0, 40))
@settings(deadline=None)
def test_a_mean_is_that_of_exact_fractions(values: list[float], cut: int) -> None:
    limbs = []
    for part in (values[:cut], values[cut:]):
        total = ExactSum()
        total.add(np.array(part, dtype=np.float64))
        limbs.append(total.limbs())
    exact = sum(map(Fraction, values), Fraction(0)) / len(values)
    assert mean_of_limbs(limbs[0] + limbs[1], len(values)) == float(exact)


@given(st.lists(st.lists(FINITE, max_size=20), min_size=1, max_size=5), st.data())
@settings(max_examples=40, deadline=None)
def test_quantiles_are_those_of_the_sorted_numbers(
    parts: list[list[float]], data: st.DataObject
) -> None:
    """However they are divided; the largest numbers there are, and zeros, are among them."""
    whole = np.sort(np.concatenate([np.array(part) + 0.0 for part in parts]))
    if not whole.size:
        return
    wanted = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=4))
    orders = [order for p in wanted for order in ranks_of(p, len(whole))]
    sorted_ = [np.sort(np.array(part) + 0.0) for part in parts]
    ends = np.full(len(orders), whole[0]), np.full(len(orders), whole[-1])
    search = Bisection([0] * len(orders), orders, *ends)
    rounds = 0
    while not search.is_done:
        search.take(np.sum([search.count([part]) for part in sorted_], axis=0))
        rounds += 1
    assert rounds <= 64
    found = search.found()
    np.testing.assert_array_equal(found, whole[orders])
    for k, p in enumerate(wanted):
        value = quantile(p, len(whole), float(found[2 * k]), float(found[2 * k + 1]))
        assert found[2 * k] <= value <= found[2 * k + 1]
        if np.abs(whole).max() < 1e300:
            assert math.isclose(
                value, np.quantile(whole, p), rel_tol=1e-9, abs_tol=1e-12 * np.abs(whole).max()
            )


def test_a_spline_is_a_smooth_partition_of_one() -> None:
    knots = full_knots(0.0, 10.0, [2.0, 2.5, 7.0, 7.0])
    assert knots == (0.0, 2.0, 2.5, 7.0, 10.0)
    x = np.linspace(0, 10, 1001)
    b = basis(x, knots)
    assert b.shape == (1001, len(knots) + 1) and (b >= 0).all()
    # The function that is left out is (1 - x / 2)^3 up to the first inner knot, then 0.
    np.testing.assert_allclose(1 - b.sum(axis=1), np.clip(1 - x / 2, 0, 1) ** 3, atol=1e-14)
    # Two derivatives are continuous: the third differences stay small.
    assert np.abs(np.diff(b, n=3, axis=0)).max() < 1e-4
    # Cubic polynomials are among the sums.
    design = np.column_stack([np.ones(len(x)), b])
    for power in range(4):
        residual = np.linalg.lstsq(design, x**power, rcond=None)[1]
        assert residual.max() < 1e-15 * 10 ** (2 * power + 3)


def test_a_spline_is_constant_beyond_its_ends() -> None:
    knots = full_knots(-1.0, 1.0, [0.0])
    ends = basis(np.array([-1.0, 1.0]), knots)
    np.testing.assert_array_equal(basis(np.array([-9.0, 9.0]), knots), ends)
    assert probabilities(5) == [1 / 3, 2 / 3]
