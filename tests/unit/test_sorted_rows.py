"""Rows in the worst order, all of one label first, are as good as shuffled ones for samples."""

from __future__ import annotations

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import Logistic
from mpi_gd.penalties import L2
from mpi_gd.solvers import SOLVERS
from tests.fitting import fit

N, D = 6_000, 6


@pytest.mark.parametrize("kind", ["sgd", "adagrad", "adam", "svrg", "progressive"])
def test_sorted_labels_cost_no_more_than_shuffled_ones(kind: str) -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((N, D))
    z = x @ rng.standard_normal(D) + rng.logistic(size=N)
    y = np.where(z > 0.5, 1.0, 0.0).astype(np.float64)
    loss, penalty = Logistic(), L2(alpha=1e-2)
    order = np.argsort(y, kind="stable")

    def value(rows: np.ndarray[tuple[int], np.dtype[np.int64]], max_iter: int, name: str) -> float:
        """Return the objective after so many steps."""
        solver = SOLVERS[name]()
        fitted = fit(
            SerialWorld(), x[rows], y[rows], loss, penalty, solver=solver, max_iter=max_iter
        )
        record = fitted.outcome.record
        assert record is not None
        return record.objective

    least = value(np.arange(N), 50, "newton")
    steps = 4
    shuffled, sorted_ = value(np.arange(N), steps, kind), value(order, steps, kind)
    start = np.log(2.0)
    assert least < 0.8 * start
    # Both have gone as far of the way, but for a fiftieth of it.
    assert abs(sorted_ - shuffled) < 0.02 * (start - least)
    assert sorted_ - least < 0.1 * (start - least)
