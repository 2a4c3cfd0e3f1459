"""Weights become integers without loss where that can be, and rows come in order over the ranks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld
from mpi_gd.evaluation.integers import (
    TOTAL_BITS,
    Integers,
    as_integers,
    exact_dot,
    sum_integer,
)
from mpi_gd.evaluation.ranking import Ranking, rank_scores
from tests.simulated import ThreadWorld, on_ranks

WEIGHTS = st.lists(st.integers(0, 1000).map(float) | st.floats(0, 1e300), max_size=30)


def got(results: list[Any]) -> list[Any]:
    """Return what the ranks return; raise what they raise."""
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)), max_size=40))
def test_exact_dot(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    assert exact_dot(a, b) == sum(x * y for x, y in pairs)


def test_exact_dot_of_many() -> None:
    a = np.full(200_000, 2**61 - 1)
    assert exact_dot(a, a) == 200_000 * (2**61 - 1) ** 2


@given(WEIGHTS)
def test_integers_are_near(values: list[float]) -> None:
    """By 2^-60 of the sum, and exact where all are multiples of a power of two of enough size."""
    found = as_integers(SerialWorld(), np.array(values))
    exact = [Fraction(value) for value in values]
    total = sum(exact)
    assert sum(int(count) for count in found.counts) <= 2**TOTAL_BITS
    for value, count in zip(exact, found.counts, strict=True):
        assert abs(value - int(count) * Fraction(found.unit)) <= total / 2**60


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([1.0, 3.0, 1e9], 1.0),
        ([0.5, 0.25, 7.0], 0.25),
        ([0.1, 0.1], 0.1),
        ([0.0, 0.0], 1.0),
        ([], 1.0),
        ([5e-324, 1e-323], 5e-324),
        ([6.0, 12.0, 0.0], 2.0),
    ],
)
def test_integers_are_exact(values: list[float], unit: float) -> None:
    found = as_integers(SerialWorld(), np.array(values))
    assert found.unit == unit
    assert [found.value(int(count)) for count in found.counts] == values


@given(WEIGHTS, st.integers(2, 4))
@settings(max_examples=20)
def test_integers_do_not_depend_on_the_ranks(values: list[float], size: int) -> None:
    alone = as_integers(SerialWorld(), np.array(values))
    parts = np.array_split(np.array(values), size)

    def work(world: ThreadWorld) -> Integers:
        return as_integers(world, parts[world.rank])

    found = got(on_ranks(size, work))
    assert {integers.unit for integers in found} == {alone.unit}
    np.testing.assert_array_equal(
        np.concatenate([integers.counts for integers in found]), alone.counts
    )


def test_sum_of_large_integers() -> None:
    parts = [2**150 + 7, 0, 2**124 - 1]
    sums = on_ranks(3, lambda world: sum_integer(world, parts[world.rank]))
    assert sums == [sum(parts)] * 3


@given(st.lists(st.integers(-3, 3) | st.floats(allow_nan=False), max_size=30), st.integers(1, 4))
@settings(max_examples=40)
def test_ranking(scores: list[float], size: int) -> None:
    """Distinct scores ascend over the ranks; masses are those of all rows; so are those below."""
    z = np.array(scores, dtype=np.float64)
    masses = [np.arange(len(z)) % 4, np.full(len(z), 2**40)]
    parts = np.array_split(np.arange(len(z)), size)

    def work(world: ThreadWorld) -> Ranking:
        mine = parts[world.rank]
        return rank_scores(world, z[mine], [mass[mine] for mass in masses])

    found: list[Ranking] = got(on_ranks(size, work))
    ordered = np.unique(z)
    np.testing.assert_array_equal(np.concatenate([part.scores for part in found]), ordered)
    for column, mass in enumerate(masses):
        expected = [int(mass[z == s].sum()) for s in ordered]
        below = [int(mass[z < s].sum()) for s in ordered]
        assert np.concatenate([part.masses[column] for part in found]).tolist() == expected
        assert np.concatenate([part.below(column) for part in found]).tolist() == below
        assert {part.totals[column] for part in found} == {int(mass.sum())}
