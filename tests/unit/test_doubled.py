"""Arithmetic of two float64 a number, against exact fractions."""

from __future__ import annotations

import operator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mpi_gd.doubled import Doubled

# The module promises a few 2^-104.
FEW = Fraction(16, 2**104)

parts = st.floats(-1e60, 1e60).filter(lambda x: x == 0 or abs(x) > 1e-60)
pairs = st.tuples(parts, st.floats(-1, 1)).map(lambda p: doubled(p[0], p[1] * p[0] * 2.0**-54))


def doubled(hi: float, lo: float = 0.0) -> Doubled:
    """Return one number, normalized."""
    return Doubled.sum_of(np.array([hi]), np.array([lo]))


def exact(number: Doubled, place: int = 0) -> Fraction:
    """Return what the number stands for."""
    return Fraction(float(number.hi.flat[place])) + Fraction(float(number.lo.flat[place]))


def is_normal(number: Doubled) -> bool:
    """Whether the high part is the number rounded."""
    return bool((number.hi + number.lo == number.hi).all())


@given(parts, parts)
def test_the_sum_of_two_floats_is_exact(a: float, b: float) -> None:
    total = Doubled.sum_of(np.array([a]), np.array([b]))
    assert exact(total) == Fraction(a) + Fraction(b)
    assert is_normal(total)


@given(pairs, pairs)
def test_sums_and_differences_are_as_good_as_their_terms(a: Doubled, b: Doubled) -> None:
    """Relative to the result, also where the leading digits cancel."""
    for do in (operator.add, operator.sub):
        found, wanted = do(a, b), do(exact(a), exact(b))
        assert abs(exact(found) - wanted) <= FEW * abs(wanted)
        assert is_normal(found)


@given(parts, st.integers(1, 50))
def test_what_cancels_leaves_the_low_part(a: float, k: int) -> None:
    assume(a != 0)
    low = a * 2.0 ** -(60 + k)
    left = doubled(a, low) - doubled(a)
    assert exact(left) == Fraction(low)


@given(pairs, pairs)
def test_products_and_quotients(a: Doubled, b: Doubled) -> None:
    wanted = exact(a) * exact(b)
    assert abs(exact(a * b) - wanted) <= FEW * abs(wanted)
    if exact(b):
        wanted = exact(a) / exact(b)
        assert abs(exact(a / b) - wanted) <= FEW * abs(wanted)
        assert is_normal(a / b)


@given(pairs)
def test_the_square_of_the_root(a: Doubled) -> None:
    assume(exact(a) > 0)
    root = exact(a.sqrt())
    assert abs(root * root - exact(a)) <= 2 * FEW * exact(a)


@given(pairs, pairs)
def test_the_order_of_two_does_not_matter(a: Doubled, b: Doubled) -> None:
    for do in (operator.add, operator.mul):
        one, other = do(a, b), do(b, a)
        assert (one.hi, one.lo) == (other.hi, other.lo)
    assert exact(-a) == -exact(a)


def solve(matrix: list[list[Any]], right: list[Any]) -> list[Any]:
    """Return the solution by Gauss's elimination, in whatever arithmetic the numbers have."""
    n = len(right)
    rows = [[*row, last] for row, last in zip(matrix, right, strict=True)]
    for j in range(n):
        for i in range(n):
            if i != j:
                factor = rows[i][j] / rows[j][j]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[j], strict=True)]
    return [row[n] / row[j] for j, row in enumerate(rows)]


@pytest.mark.parametrize("n", [3, 6, 10])
def test_a_solve_of_a_hilbert_matrix_keeps_its_digits(n: int) -> None:
    """The condition number of n = 10 is 1e13: float64 would leave three digits."""
    rows = [[Fraction(1, i + j + 1) for j in range(n)] for i in range(n)]
    # The matrix as two float64 a number is another one: its exact solution is what counts.
    hi = np.array([[float(x) for x in row] for row in rows])
    lo = np.array([[float(x - Fraction(float(x))) for x in row] for row in rows])
    matrix = Doubled.sum_of(hi, lo)
    shown = [[exact(matrix, i * n + j) for j in range(n)] for i in range(n)]
    wanted = solve(shown, [Fraction(1)] * n)
    found = solve(
        [[matrix[i, j] for j in range(n)] for i in range(n)],
        [Doubled.of(1.0) for _ in range(n)],
    )
    for x, y in zip(found, wanted, strict=True):
        assert abs(exact(x) - y) <= Fraction(1, 10**16) * abs(y)
    if n == 10:
        plain = np.linalg.solve(hi, np.ones(n))
        errors = [abs(Fraction(float(x)) / y - 1) for x, y in zip(plain, wanted, strict=True)]
        assert max(errors) > Fraction(1, 10**9), "float64 would have done"


def test_parts_are_read_and_written_and_copies_are_apart() -> None:
    table = Doubled.sum_of(np.arange(6.0).reshape(2, 3), np.full((2, 3), 2.0**-60))
    other = table.copy()
    other[0, 1] = doubled(7.0, 2.0**-70)[0]
    assert exact(other[0, 1]) == 7 + Fraction(1, 2**70)
    assert exact(table[0, 1]) == 1 + Fraction(1, 2**60)
    assert table.shape == (2, 3) and table[0].shape == (3,)
    np.testing.assert_array_equal(table.rounded(), table.hi + table.lo)
