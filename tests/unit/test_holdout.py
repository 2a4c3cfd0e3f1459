"""Held-out rows: a share of all, chosen by seed and row number alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_gd.data.holdout import held_out

N = 20_000


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_about_the_fraction_everywhere(fraction: float, seed: int) -> None:
    held = held_out(0, N, fraction, seed)
    for part in (held, held[: N // 2], held[::2], held[1::7]):
        deviation = (fraction * (1 - fraction) / len(part)) ** 0.5
        assert abs(part.mean() - fraction) < 4.5 * deviation


@given(st.lists(st.integers(0, 1000), max_size=6), st.integers(0, 2**63 - 1))
def test_any_cut_gives_the_same_rows(cuts: list[int], seed: int) -> None:
    bounds = [0, *sorted(cuts), 1000]
    pieces = [held_out(a, b, 0.3, seed) for a, b in itertools.pairwise(bounds)]
    np.testing.assert_array_equal(np.concatenate(pieces), held_out(0, 1000, 0.3, seed))


def test_seeds_choose_independently() -> None:
    masks = [held_out(0, N, 0.5, seed) for seed in range(6)]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 4.5 * 0.5 / N**0.5
        assert abs((a[1:] == a[:-1]).mean() - 0.5) < 4.5 * 0.5 / N**0.5


def test_a_larger_fraction_holds_out_the_same_rows_and_more() -> None:
    few, many = held_out(0, N, 0.1, 3), held_out(0, N, 0.2, 3)
    assert many[few].all()


@pytest.mark.parametrize("start", [0, 10**12])
def test_edges(start: int) -> None:
    assert not held_out(start, start + 100, 0.0, 1).any()
    assert held_out(start, start, 0.5, 1).shape == (0,)
    assert held_out(start, start + 100, 1.0 - 2.0**-53, 1).all()
    assert held_out(start, start + 100, 0.5, 1).dtype == bool


def test_the_rule_is_for_ever() -> None:
    """A model is trained anew on other rows when this changes: raise the version then."""
    bits = "".join("01"[int(held)] for held in held_out(0, 24, 0.5, 42))
    assert bits == "011101110100011011101101"
