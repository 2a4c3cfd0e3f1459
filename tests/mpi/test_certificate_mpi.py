"""Certificates take the ranks' rows together, and are the same number on any number of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.comm import SerialWorld, World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.losses import Hinge, Logistic, Loss, Quantile
from mpi_gd.objective import Certificate, find_certifier
from mpi_gd.penalties import L2, NoPenalty, Penalty
from mpi_gd.solvers import FiniteSmoothing, Newton
from tests.fitting import fit

pytestmark = pytest.mark.mpi

N, D = 500, 3


def certified(world: World, loss: Loss, penalty: Penalty) -> Certificate:
    """Fit, and certify."""
    rng = np.random.default_rng(3)
    x: Any = rng.normal(size=(N, D)) + 1.0
    z = x @ np.array([1.0, -0.5, 0.2]) + rng.logistic(size=N)
    y = z if isinstance(loss, Quantile) else (z > 0.5) * 1.0
    solver = Newton() if loss.is_smooth else FiniteSmoothing()
    found = fit(world, x, y, loss, penalty, solver=solver, tol=1e-9)
    ours = found.fit
    bound = ours.objective._penalty
    certifier = find_certifier(
        world, ours.rows, ours.y, loss, bound, ours.scaling, ours.free, ours.objective
    )
    assert found.outcome.step is not None
    return certifier.certify(found.outcome.step)


@pytest.mark.parametrize(
    ("loss", "penalty"),
    [(Logistic(), L2(alpha=0.1)), (Hinge(), L2(alpha=0.1)), (Quantile(), NoPenalty())],
    ids=["logistic", "hinge", "quantile"],
)
def test_a_certificate_is_that_of_one_rank(loss: Loss, penalty: Penalty) -> None:
    found = certified(MpiWorld(), loss, penalty)
    assert found == certified(SerialWorld(), loss, penalty)
    assert found.bound == "duality gap" and (found.digits or 0) >= 7
