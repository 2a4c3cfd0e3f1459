"""Minibatch methods at their defaults: no step needs tuning, whatever the columns are like."""

from __future__ import annotations

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import Logistic
from mpi_gd.penalties import L2
from mpi_gd.solvers import SOLVERS, AdaGrad, Adam, LocalSgd, Newton, Sgd, Solver, Svrg
from tests.fitting import fit

N, D = 8_000, 8
FAMILY: dict[str, Solver] = {
    "sgd": Sgd(epochs=10),
    "adagrad": AdaGrad(epochs=10),
    "adam": Adam(epochs=10),
    "svrg": Svrg(),
    "local-sgd": LocalSgd(rounds=10),
}


def gap(solver: Solver, scales: object, correlation: float, precondition: bool) -> float:
    """Return how much of the start's distance to the minimum is left, at most 10 epochs later."""
    rng = np.random.default_rng(4)
    common = rng.normal(size=(N, 1))
    x = np.sqrt(1 - correlation) * rng.normal(size=(N, D)) + np.sqrt(correlation) * common
    y = (x @ rng.normal(size=D) + rng.logistic(size=N) > 0).astype(np.float64)
    ends = []
    for each, n in ((solver, 10), (Newton(), 0), (Newton(), 30)):
        fitted = fit(
            SerialWorld(),
            x * scales,
            y,
            Logistic(),
            L2(alpha=1e-5),
            solver=each,
            precondition=precondition,
            max_iter=4 if isinstance(each, Svrg) else n,
        )
        record = fitted.outcome.record
        assert record is not None
        ends.append(record.objective)
    end, start, least = ends
    return (end - least) / (start - least)


@pytest.mark.parametrize("kind", FAMILY)
def test_columns_of_any_scale(kind: str) -> None:
    assert gap(FAMILY[kind], np.logspace(-3, 3, D), 0.0, True) < 5e-3


@pytest.mark.parametrize("kind", FAMILY)
def test_correlated_columns(kind: str) -> None:
    # Condition number 35: plain gradients without momentum, in few batches, come less far.
    enough = 0.25 if kind in ("svrg", "local-sgd") else 0.02
    assert gap(FAMILY[kind], 1.0, 0.8, True) < enough


@pytest.mark.parametrize("kind", ["adagrad", "adam"])
def test_steps_of_each_coordinate_bear_scales_of_three_decades(kind: str) -> None:
    assert kind in SOLVERS
    assert gap(FAMILY[kind], np.logspace(-1.5, 1.5, D), 0.0, False) < 0.05


@pytest.mark.parametrize("kind", ["sgd", "svrg", "local-sgd"])
def test_other_steps_only_fall_short_then(kind: str) -> None:
    """The condition number is a million: what plain gradients can do is to go down."""
    assert gap(FAMILY[kind], np.logspace(-1.5, 1.5, D), 0.0, False) < 1.0
