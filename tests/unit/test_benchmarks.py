"""The comparison with other programs measures what it says: objectives, gaps, data, table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.objective import alphas_of, gap, objectives
from tests.benchmarks.peers import PEERS
from tests.benchmarks.problems import PROBLEMS, Problem, make, read
from tests.benchmarks.report import markdown

SMALL = {
    name: dataclasses.replace(
        problem,
        n_rows=300,
        n_columns=7,
        n_stored=3 if problem.n_stored else 0,
        n_classes=min(problem.n_classes, 3),
        n_alphas=4 if problem.n_alphas else 0,
    )
    for name, problem in PROBLEMS.items()
}


def by_hand(problem: Problem, x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
    """Return the objective row by row."""
    total = 0.0
    for row, target in zip(x, y, strict=True):
        z = row @ w + b
        if problem.loss == "multinomial":
            total -= np.log(np.exp(z[int(target)]) / np.exp(z).sum())
        elif problem.loss == "logistic":
            total += np.log1p(np.exp(-z[0] if target else z[0]))
        elif problem.loss == "poisson":
            total += np.exp(z[0]) - target * z[0]
        else:
            total += (target - z[0]) ** 2 / 2
    return float(total / len(y) + problem.alpha / 2 * (w**2).sum())


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name != "lasso"])
def test_objectives_are_those_of_the_definition(name: str, tmp_path: Path) -> None:
    problem = SMALL[name]
    make(problem, tmp_path)
    x, y = read(problem, tmp_path)
    rng = np.random.default_rng(0)
    w = rng.normal(size=(7, problem.n_classes)) * 0.1
    b = rng.normal(size=problem.n_classes)
    flat = w if problem.n_classes > 1 else w[:, 0]
    dense = x.toarray() if problem.n_stored else x
    (value,) = objectives(problem, x, y, flat, b if problem.n_classes > 1 else float(b[0]))
    assert value == pytest.approx(by_hand(problem, dense, y, w, b), rel=1e-12)


def test_a_path_begins_where_the_first_coefficient_leaves_0(tmp_path: Path) -> None:
    problem = SMALL["lasso"]
    make(problem, tmp_path)
    x, y = read(problem, tmp_path)
    alphas = alphas_of(problem, x, y)
    assert alphas[-1] == pytest.approx(alphas[0] * problem.alpha)
    # At 0 the objective grows with every coefficient, by the slope |x_j.y| / n against alpha.
    zeros = np.zeros((7, 4))
    at_zero = objectives(problem, x, y, zeros, 0.0)
    assert at_zero == pytest.approx(np.full(4, np.square(y).mean() / 2))
    j = int(np.abs(y @ x).argmax())
    zeros[j] = np.sign((y @ x)[j]) * 1e-9
    moved = objectives(problem, x, y, zeros, 0.0) - at_zero
    assert moved[-1] < 0 < moved[0] + 1e-15


def test_the_gap_of_a_path_is_its_worst() -> None:
    assert gap(np.array([1.0, 2.2, 3.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(0.1)


def test_data_are_made_once_and_the_same(tmp_path: Path) -> None:
    for name, problem in SMALL.items():
        make(problem, tmp_path / "a" / name)
        made = (tmp_path / "a" / name / "y.npy").stat().st_mtime_ns
        make(problem, tmp_path / "a" / name)
        assert (tmp_path / "a" / name / "y.npy").stat().st_mtime_ns == made
        make(problem, tmp_path / "b" / name)
        file = "x.npz" if problem.n_stored else "x.npy"
        one, other = (np.load(tmp_path / part / name / file) for part in ("a", "b"))
        if problem.n_stored:
            one, other = one["data"], other["data"]
        assert np.array_equal(one, other)


def test_every_problem_has_peers_and_ladders_tighten() -> None:
    assert set(PEERS) == set(PROBLEMS)
    for peers in PEERS.values():
        for peer in peers.values():
            tols = [settings["tol"] for settings in peer.ladder]
            assert tols == sorted(tols, reverse=True)


def test_the_table_says_who_failed_and_how_much_faster_ours_is() -> None:
    row = {"problem": "ridge", "gap": 0.0, "whole_seconds": [1.0], "failure": ""}
    rows = [
        {
            **row,
            "contender": "mpi_gd",
            "seconds": [0.5, 0.7, 0.6],
            "passes": 1.0,
            "sums": 7,
            "calls": 30,
        },
        {**row, "contender": "quick", "seconds": [1.2]},
        {**row, "contender": "lame", "seconds": [], "failure": "not done after 120 s"},
    ]
    facts = {"date": "", "cpu": "", "cores": 2, "load": 0.0, "versions": ""}
    text = markdown([PROBLEMS["ridge"]], rows, {"spark": "no Java"}, facts)
    assert "2.00 times" in text
    assert "7 (30 calls in all)" in text
    assert "1.2 (one round)" in text
    assert "not done after 120 s" in text
    assert "Not installed: spark: no Java" in text
