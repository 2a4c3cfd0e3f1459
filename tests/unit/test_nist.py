"""Least squares to the digits that are certified, or that the data have as float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld
from mpi_gd.inference import infer
from mpi_gd.losses import Squared
from mpi_gd.penalties import NoPenalty
from mpi_gd.solvers import LeastSquares
from tests.fitting import fit
from tests.unit.nist import SETS

Floats = NDArray[np.float64]

# Digits of coefficients and of standard deviations. Filip's powers of x, rounded to float64, are
# other data: their exact solution has 7.6 digits in common with what is certified.
DIGITS = {"Filip": (7.5, 7.5)}
USUAL = (9.5, 9.5)


def digits(found: Floats, certified: Floats) -> float:
    """Return the logarithm of the relative error, as NIST defines it."""
    error = np.abs(found - certified) / np.where(certified == 0, 1.0, np.abs(certified))
    return float(-np.log10(error.max() + 1e-17))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("solver", ["auto", "least-squares"])
def test_certified_values(name: str, solver: str) -> None:
    reference = SETS[name]
    found = fit(
        SerialWorld(),
        reference.x,
        reference.y,
        Squared(),
        NoPenalty(),
        solver=None if solver == "auto" else LeastSquares(),
        intercept=reference.has_intercept,
        tol=0.0,
    )
    wanted, wanted_errors = DIGITS.get(name, USUAL)
    estimates = np.append(found.intercept, found.coef)[not reference.has_intercept :]
    assert digits(estimates, reference.coef) >= wanted
    if not reference.residual:
        return
    inference = infer(SerialWorld(), found.fit, "fisher")
    errors = np.sqrt(np.diag(inference.covariance))
    errors = np.append(errors[-1], errors[:-1])[not reference.has_intercept :]
    assert digits(errors, reference.errors) >= wanted_errors
    assert np.sqrt(inference.measures["dispersion"]) == pytest.approx(
        reference.residual, rel=10**-wanted_errors
    )
