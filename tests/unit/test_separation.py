"""Labels that features tell apart: found where they are, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld
from mpi_gd.inference import find_separation
from mpi_gd.losses import Logistic, Loss, Multinomial
from mpi_gd.penalties import NoPenalty
from mpi_gd.solvers import Lbfgs, Newton, Solver
from tests.fitting import Fitted, fit

N = 400
RNG = np.random.default_rng(11)
NOISE = RNG.normal(size=(N, 3))
FEW = np.arange(N) < 15
# Three columns that tell nothing for certain, and one that is 1 in fifteen rows.
X = np.column_stack([NOISE, FEW])
MIXED = np.digitize(NOISE[:, 0] + 0.7 * RNG.normal(size=N), [-0.5, 0.5]).astype(float)


def found(fitted: Fitted, y: NDArray[np.float64]) -> list[int] | None:
    """Return the columns that are named."""
    step = fitted.outcome.step
    assert step is not None
    columns = find_separation(
        SerialWorld(), fitted.fit.objective, fitted.fit.rows, step.u, y.astype(np.int64)
    )
    return None if columns is None else columns.tolist()


def fitted(loss: Loss, y: Any, solver: Solver, weight: Any = None) -> Fitted:
    """Fit without a penalty."""
    return fit(
        SerialWorld(), X, y, loss, NoPenalty(), solver=solver, tol=1e-8, n_classes=3, weight=weight
    )


@pytest.mark.parametrize("solver", [Newton(), Lbfgs()], ids=["newton", "lbfgs"])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_column_whose_rows_have_one_label_is_named(solver: Solver, label: int) -> None:
    y = np.where(FEW, float(label), MIXED)
    assert found(fitted(Multinomial(), y, solver), y) == [3]
    two = np.minimum(y, 1.0)
    assert found(fitted(Logistic(), two, solver), two) == [3]


@pytest.mark.parametrize("loss", [Logistic(), Multinomial()], ids=["two", "three"])
def test_a_strong_effect_is_no_separation(loss: Loss) -> None:
    """Margins are wide, and yet there is an optimum."""
    y = np.digitize(NOISE[:, 0] + 0.02 * NOISE[:, 1] ** 3, [-0.5, 0.5]).astype(float)
    y[:3] = 2.0 - y[:3]
    y = np.minimum(y, 1.0) if isinstance(loss, Logistic) else y
    for weight in (None, np.where(np.arange(N) < 200, 1.0, 2.0)):
        assert found(fitted(loss, y, Newton(), weight), y) is None


def test_rows_without_weight_do_not_speak_against_it() -> None:
    y = np.where(FEW, 1.0, np.minimum(MIXED, 1.0))
    y[:3] = 0.0
    assert found(fitted(Logistic(), y, Newton()), y) is None
    weight = np.where(np.arange(N) < 3, 0.0, 1.0)
    assert found(fitted(Logistic(), y, Newton(), weight), y) == [3]
