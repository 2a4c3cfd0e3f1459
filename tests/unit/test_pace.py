"""Slow ranks are told from noise, and get as much less to do as they are slower."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_gd.pace import Pace

LOADS = [100, 100, 100, 100]


def after(pace: Pace, n: int, speeds: list[float], loads: list[int] = LOADS) -> Pace:
    """Let the ranks answer `n` questions at these speeds, with some noise, seconds of 10 ms."""
    rng = np.random.default_rng(4)
    for _ in range(n):
        noise = 1.0 + 0.05 * rng.random(len(loads))
        pace.add(1e-4 * np.array(loads) / np.array(speeds) * noise)
    return pace


def test_a_rank_at_half_speed_is_slow_and_gets_half() -> None:
    pace = after(Pace(LOADS), 20, [1, 1, 0.5, 1])
    assert list(pace.slow_ranks()) == [2]
    assert pace.slow_ranks()[2] == pytest.approx(2.0, rel=0.1)
    shares = pace.shares()
    assert shares is not None
    assert shares[2] / max(shares) == pytest.approx(0.5, rel=0.1)


def test_of_two_ranks_the_slower_is_known() -> None:
    pace = after(Pace([50, 50]), 20, [0.4, 1.0], [50, 50])
    assert list(pace.slow_ranks()) == [0]


@given(st.integers(2, 9), st.integers(0, 8))
def test_even_ranks_and_passing_trouble_change_nothing(size: int, hit: int) -> None:
    loads = [100] * size
    pace = after(Pace(loads), 30, [1.0] * size, loads)
    # One question in ten takes ten times as long.
    for number in range(40):
        seconds = np.full(size, 1e-2)
        if number % 10 == 0:
            seconds[hit % size] *= 10
        pace.add(seconds)
        assert pace.shares() is None
    assert not pace.wasted and not pace.is_worth_a_word()


def test_short_questions_say_nothing() -> None:
    pace = Pace([1, 1, 1])
    for _ in range(50):
        pace.add(np.array([1e-5, 1e-5, 9e-5]))
    assert not pace.slow_ranks()


def test_it_waits_until_it_has_cost_as_much() -> None:
    pace = after(Pace(LOADS, cost=10.0), 20, [1, 1, 0.5, 1])
    assert pace.shares() is None
    after(pace, 2000, [1, 1, 0.5, 1])
    assert pace.wasted > 10.0 and pace.shares() is not None


def test_who_has_got_less_is_not_slow_any_more() -> None:
    loads = [114, 114, 57, 114]
    pace = after(Pace(loads), 20, [1, 1, 0.5, 1], loads)
    # It is as slow as before for each row, but nobody waits for it.
    assert pace.shares() is None


def test_a_rank_that_has_recovered_gets_its_rows_back() -> None:
    loads = [114, 114, 57, 114]
    pace = after(Pace(loads), 20, [1, 1, 1, 1], loads)
    assert not pace.slow_ranks()


def test_it_is_told_once_and_ranks_without_rows_are_as_usual() -> None:
    loads = [100, 0, 100]
    pace = after(Pace(loads), 300, [1, 1, 0.4], loads)
    assert pace.is_worth_a_word() and not pace.is_worth_a_word()
    shares = pace.shares()
    assert shares is not None and shares[1] == max(shares)
