"""Folds: a function of seed and row alone, whoever has the rows; and the candidates of a search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld, World
from mpi_gd.config.tune import Range
from mpi_gd.errors import JobError
from mpi_gd.selection.candidates import draw, grid, rounds
from mpi_gd.selection.folds import Plan, make_plan
from mpi_gd.selection.ranking import Result, choose, ranked
from tests.simulated import on_ranks

N = 700
LABELS = (np.arange(N) % 7 == 0).astype(np.int64) + (np.arange(N) % 50 == 0)
GROUPS = np.array([f"g{k}" for k in (np.arange(N) * 7919) % 61])
USED = np.arange(N) % 11 != 3
RULES = ("random", "stratified", "grouped", "time", "fixed")


def plan(
    world: World, rule: Any, start: int = 0, stop: int = N, seed: int = 0, **options: Any
) -> Plan:
    """Divide some of the rows."""
    own = slice(start, stop)
    options = {"folds": 5, "fraction": 0.25, **options}
    return make_plan(
        world, rule, start, stop - start, seed=seed, used=USED[own], labels=LABELS[own],
        groups=GROUPS[own], **options,
    )  # fmt: skip


@given(
    rule=st.sampled_from(RULES), seed=st.integers(0, 2**63 - 1), folds=st.integers(2, 8),
    repeat=st.integers(0, 3),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_each_row_judges_once_and_never_where_it_was_trained_on(
    rule: Any, seed: int, folds: int, repeat: int
) -> None:
    found = plan(SerialWorld(), rule, seed=seed, folds=folds, repeat=repeat)
    assert (found.parts[~USED] == -1).all() and (found.parts[USED] >= 0).all()
    times = np.zeros(N, dtype=int)
    for split in found.splits:
        trained, tested = found.trained(split), found.tested(split)
        assert trained.any() and tested.any() and not (trained & tested).any()
        assert not (trained | tested)[~USED].any()
        times += tested
        if rule == "time":
            assert np.flatnonzero(trained).max() < np.flatnonzero(tested).min()
        if rule == "grouped":
            assert not set(GROUPS[trained]) & set(GROUPS[tested])
    assert times[USED].max() == 1
    if rule in ("random", "stratified", "grouped"):
        assert (times[USED] == 1).all()
    if rule == "stratified":
        for label in range(3):
            own = found.parts[USED & (label == LABELS)]
            counts = np.bincount(own, minlength=folds)
            assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cuts", [(0, 100, 700), (0, 3, 3, 400, 700)])
def test_the_number_of_ranks_makes_no_difference(rule: Any, cuts: tuple[int, ...]) -> None:
    alone = plan(SerialWorld(), rule, seed=4)

    def work(world: World) -> Any:
        return plan(world, rule, cuts[world.rank], cuts[world.rank + 1], seed=4).parts

    parts: Any = np.concatenate(on_ranks(len(cuts) - 1, work))  # type: ignore[arg-type]
    np.testing.assert_array_equal(parts, alone.parts)


def test_seeds_and_repeats_divide_anew() -> None:
    one, other = plan(SerialWorld(), "random"), plan(SerialWorld(), "random", seed=1)
    again = plan(SerialWorld(), "random", repeat=1)
    assert 0.1 < (one.parts == other.parts).mean() < 0.4
    assert 0.1 < (one.parts == again.parts).mean() < 0.4


def test_a_part_without_rows_is_named() -> None:
    with pytest.raises(JobError, match=r"tune\.folds: part \d+ of 9 has no row of the 5"):
        make_plan(SerialWorld(), "random", 0, 5, folds=9, fraction=0.2, seed=0)
    with pytest.raises(JobError, match=r"data\.cluster"):
        make_plan(SerialWorld(), "grouped", 0, 50, folds=2, fraction=0.2, seed=0)


def test_a_grid_has_all_and_draws_have_each_once() -> None:
    space: Any = {"a": [1, 2, 3], "b": Range(1e-3, 1.0, log=True, steps=4)}
    every = grid(space)
    assert len(every) == 12 and every[0] == {"a": 1, "b": 1e-3}
    np.testing.assert_allclose([v["b"] for v in every[:4]], [1e-3, 1e-2, 1e-1, 1.0])
    drawn = draw(space, 50, seed=3)
    assert len({repr(values) for values in drawn}) == 50 and drawn == draw(space, 50, seed=3)
    assert all(1e-3 <= values["b"] <= 1.0 for values in drawn)
    assert draw({"a": [1, 2, 3]}, 50, seed=0) == [{"a": 1}, {"a": 2}, {"a": 3}]
    whole = draw({"a": Range(1, 4, whole=True)}, 4, seed=0)
    assert sorted(values["a"] for values in whole) == [1, 2, 3, 4]


def test_halving_ends_with_all_rows() -> None:
    assert rounds(27, 3.0) == [(27, 1 / 9), (9, 1 / 3), (3, 1.0)]
    assert rounds(1, 3.0) == [(1, 1.0)]


def result(number: int, alpha: float, *scores: float, failed: str = "") -> Result:
    return Result(number, {"penalty.alpha": alpha}, scores, failed)


def test_the_best_and_the_simplest_that_is_as_good() -> None:
    results = [
        result(0, 1.0, 2.0, 2.2),
        result(1, 0.1, 1.05, 1.25),
        result(2, 0.01, 1.0, 1.2),
        result(3, 0.001, failed="it has diverged"),
    ]
    assert [each.number for each in ranked(results, "loss")] == [2, 1, 0, 3]
    assert [each.number for each in ranked(results, "auc")] == [0, 1, 2, 3]
    best, simplest = choose(results, "loss", "best"), choose(results, "loss", "1se")
    assert best is not None and best.number == 2
    assert simplest is not None and simplest.number == 1
    assert choose(results[3:], "loss", "best") is None
