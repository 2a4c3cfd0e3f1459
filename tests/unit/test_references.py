"""Every loss, beside what other programs find: the coefficients agree to 1e-8."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import LOSSES
from tests.fitting import fit
from tests.unit.reference_fits import REFERENCES

N = 240
ROW = np.arange(N, dtype=np.float64)
X = np.column_stack(
    [
        np.sin(12.9898 * ROW),
        3.0 * np.cos(78.233 * ROW) + 1.0,
        np.floor(ROW % 7),
        np.sin(0.37 * ROW) ** 3,
    ]
)
NOISE = np.modf(np.abs(43758.5453 * np.sin(4.898 * ROW + 1.0)))[0]
Z = X @ np.array([0.8, -0.3, 0.15, 0.5]) - 0.4
P = 1 / (1 + np.exp(-Z))
RESPONSES: dict[str, NDArray[Any]] = {
    "number": np.round(Z + 3.0 * (NOISE - 0.5) + 2.0 * (NOISE > 0.95), 6),
    "label": (NOISE < P) * 1.0,
    "three": (NOISE < P) * 1.0 + (NOISE < 0.5 * P),
    "share": np.round(np.clip(P + 0.3 * (NOISE - 0.5), 0.0, 1.0), 4),
    "count": np.floor(2.0 * NOISE * np.exp(0.7 * Z) + NOISE),
    "amount": np.round(np.exp(0.4 * Z) * (0.3 + 1.5 * NOISE), 6),
    "claim": np.where(NOISE < 0.4, 0.0, np.round(np.exp(0.4 * Z) * 3.0 * NOISE, 6)),
}


def test_every_loss_has_a_reference() -> None:
    assert {type(case[0]) for case in REFERENCES.values()} == set(LOSSES.values())


@pytest.mark.parametrize("name", REFERENCES)
def test_coefficients_are_those_of_the_reference(name: str) -> None:
    loss, penalty, response, coef, intercept, _ = REFERENCES[name]
    found = fit(
        SerialWorld(),
        X,
        RESPONSES[response],
        loss,
        penalty,
        intercept=intercept is not None,
        n_classes=3,
    )
    np.testing.assert_allclose(found.coef, coef, rtol=1e-8, atol=1e-10)
    if intercept is not None:
        np.testing.assert_allclose(found.intercept, intercept, rtol=1e-8, atol=1e-10)
