"""Arrays that ranks have in memory give the same bits however their rows are divided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from scipy.sparse import csr_array

import mpi_gd
from mpi_gd.errors import DataError
from tests.ranks import on_root

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
N = 5000


def divided(seed: int) -> slice:
    """Return this rank's rows: as many as chance gives it, of some ranks none."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, N, SIZE - 1))
    bounds = [0, *cuts.tolist(), N]
    if SIZE > 2:
        bounds[1] = 0
    return slice(bounds[RANK], bounds[RANK + 1])


def rows(sparse: bool = False) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(N, 6))
    y = np.where(x @ np.arange(6) + rng.logistic(size=N) > 0, "yes", "perhaps not")
    if sparse:
        x[rng.random(x.shape) < 0.7] = 0.0
    return (csr_array(x) if sparse else x), y, rng.integers(0, 3, N).astype(float)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_fit_does_not_depend_on_who_was_given_which_rows(sparse: bool) -> None:
    x, y, weight = rows(sparse)
    job = {"loss": {"kind": "logistic"}, "penalty": {"kind": "l2", "alpha": 1e-3}}
    alone = on_root(lambda: mpi_gd.fit(job, x, y, sample_weight=weight).model.coef)
    for seed in (0, 1):
        own = divided(seed)
        found = mpi_gd.fit(job, x[own], y[own], sample_weight=weight[own], comm="world")
        assert found.model.coef.tobytes() == alone.tobytes()
        assert found.model.classes == ("perhaps not", "yes")


@pytest.mark.skipif(SIZE not in (2, 3), reason="each rank imports scikit-learn, which takes long")
def test_an_estimator_learns_the_classes_of_all_ranks() -> None:
    x, y, _ = rows()
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    # scikit-learn refuses arrays without rows.
    own = slice(N * RANK // SIZE, N * (RANK + 1) // SIZE)
    # Weights that add up to other bits in another order.
    weight = np.random.default_rng(4).random(N)
    found = mpi_gd.LinearClassifier(comm=MPI.COMM_WORLD, class_weight="balanced")
    found.fit(x[own], y[own], weight[own])
    alone = mpi_gd.LinearClassifier(class_weight="balanced").fit(x, y, weight).coef_
    assert found.classes_.tolist() == ["perhaps not", "yes"]
    assert found.coef_.tobytes() == alone.tobytes()


def test_a_mistake_on_one_rank_is_raised_on_all() -> None:
    x, y, _ = rows()
    own = divided(0)
    mine = y[own][: -1 if RANK == SIZE - 1 else None]
    with pytest.raises(DataError, match="one for each row"):
        mpi_gd.fit({"loss": {"kind": "logistic"}}, x[own], mine, comm="world")
    other = x[own][:, : 5 if RANK == SIZE - 1 else 6]
    if SIZE > 1:
        with pytest.raises(DataError, match="differ from rank 0's"):
            mpi_gd.fit({"loss": {"kind": "logistic"}}, other, y[own], comm="world")
        with pytest.raises(DataError, match="the job and the packages differ from rank 0's"):
            mpi_gd.fit({"loss": {"kind": "logistic"}, "seed": RANK}, x[own], y[own], comm="world")
    weight: Any = "heavy" if RANK == SIZE - 1 else np.ones(len(y[own]))
    with pytest.raises(DataError, match="weight: got what is no number"):
        mpi_gd.fit(
            {"loss": {"kind": "logistic"}}, x[own], y[own], sample_weight=weight, comm="world"
        )
