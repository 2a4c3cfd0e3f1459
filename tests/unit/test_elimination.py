"""Least squares by elimination: the solution in fractions, ridge and inverse included."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mpi_gd.doubled import Doubled
from mpi_gd.objective.elimination import Elimination, eliminate
from mpi_gd.objective.rows import Floats

N, D = 30, 4


def table() -> tuple[Floats, Floats]:
    """Return integers, the third column nearly the sum of the first two, and a response."""
    rng = np.random.default_rng(2)
    x = rng.integers(-(2**15), 2**15, size=(N, D)).astype(np.float64)
    x[:, 2] = x[:, 0] + x[:, 1]
    x[3, 2] += 1
    return x, rng.integers(-50, 50, size=N).astype(np.float64)


def eliminated(x: Floats, y: Floats, intercept: bool, ridge: Floats | None = None) -> Elimination:
    """Return what is found from moments that are exact: those of integers."""
    v = np.column_stack([x, np.ones(len(y)), y])
    return eliminate(Doubled.of(v.T @ v), intercept, ridge)


def exact(
    x: Floats, y: Floats, intercept: bool, ridge: Floats | None
) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Return the solution of the normal equations, and the inverse of their matrix."""
    v = np.column_stack([x, np.ones(len(y))]) if intercept else x
    n = v.shape[1]
    table = [[Fraction(int(a)) for a in row] for row in (v.T @ np.column_stack([v, y])).tolist()]
    for j, value in enumerate([] if ridge is None else ridge):
        table[j][j] += Fraction(float(value))
    rows = [[*row, *(Fraction(i == k) for k in range(n))] for i, row in enumerate(table)]
    for j in range(n):
        rows[j] = [a / rows[j][j] for a in rows[j]]
        for i in range(n):
            if i != j:
                factor = rows[i][j]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    return [row[n] for row in rows], [row[n + 1 :] for row in rows]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("ridge", [None, np.array([0.5, 0.0, 3.0, 1e-3])])
def test_solution_and_inverse_are_right_to_the_last_digits(
    intercept: bool, ridge: Floats | None
) -> None:
    x, y = table()
    found = eliminated(x, y, intercept, ridge)
    solution, inverse = exact(x, y, intercept, ridge)
    assert found.kept.all() and found.combinations == {}
    wanted = np.array([float(value) for value in solution])
    np.testing.assert_allclose(found.coef, wanted[:D], rtol=4e-16)
    if intercept:
        assert found.intercept == pytest.approx(wanted[D], rel=1e-15)
    else:
        assert found.intercept == 0.0
    part = np.array([[float(value) for value in row[:D]] for row in inverse[:D]])
    np.testing.assert_allclose(found.inverse, part, rtol=1e-15)


def test_a_combination_leaves_the_others_as_if_it_were_not_there() -> None:
    x, y = table()
    fewer = eliminated(x, y, True)
    more = eliminated(np.insert(x, 1, 2 * x[:, 0] + 5, axis=1), y, True)
    assert more.kept.tolist() == [True, False, True, True, True]
    assert more.combinations == {1: [0]}
    np.testing.assert_array_equal(more.coef[more.kept], fewer.coef)
    assert more.coef[1] == 0.0 and more.intercept == fewer.intercept
    np.testing.assert_array_equal(more.inverse[np.ix_(more.kept, more.kept)], fewer.inverse)
    assert not more.inverse[1].any() and not more.inverse[:, 1].any()


def test_a_ridge_makes_dependent_columns_a_solution_of_their_own() -> None:
    """Two equal columns share a coefficient."""
    x, y = table()
    twice = np.column_stack([x[:, :1], x[:, :1]])
    assert eliminated(twice, y, True).combinations == {1: [0]}
    scale = float(np.square(x[:, 0]).sum())
    found = eliminated(twice, y, True, np.full(2, 0.1 * scale))
    assert found.kept.all()
    assert found.coef[0] == pytest.approx(found.coef[1], rel=1e-14)
    single = eliminated(x[:, :1], y, True, np.array([0.05 * scale]))
    assert found.coef.sum() == pytest.approx(single.coef[0], rel=1e-14)


def test_no_column_leaves_the_mean() -> None:
    _, y = table()
    found = eliminated(np.empty((N, 0)), y, True)
    assert found.intercept == pytest.approx(y.mean(), rel=1e-16)
    assert found.coef.shape == (0,)
