"""Metrics have the values of scikit-learn 1.9 on the same rows, with weights and ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.evaluation import Scores
from mpi_gd.losses import LOSSES
from tests.scored import score

I = np.arange(60)  # noqa: E741
WEIGHT = (1 + I * 37 % 8) / 4 + 0.1 * (I % 3)
Z = (I * 29 % 31 - 15) / 5.0


def close(scores: Scores, expected: dict[str, float]) -> None:
    found = {name: scores[name] for name in expected}
    assert found == pytest.approx(expected, rel=1e-13)


def column(scores: Scores, table: str, name: str) -> list[Any]:
    rows = scores[table]
    assert isinstance(rows, list)
    return [row[name] for row in rows]


def cells(scores: Scores, name: str) -> np.ndarray:
    """Return a table of numbers without its first column."""
    table = scores[name]
    assert isinstance(table, list)
    return np.array([list(row.values())[1:] for row in table], dtype=np.float64)


def test_two_classes() -> None:
    y = (I * 17 % 13 / 3.0 + Z > 2) * 1.0
    scores = score(LOSSES["logistic"](), y, Z, WEIGHT)
    close(
        scores,
        {
            "accuracy": 0.8448979591836736,
            "balanced_accuracy": 0.8447763518160467,
            "log_loss": 0.3552269053915514,
            "brier": 0.1090811488699435,
            "auc": 0.9366492350414596,
            "gini": 2 * 0.9366492350414596 - 1,
            "average_precision": 0.9416752182900713,
            "d2": 0.48697871707673823,
            "mean_deviance": 2 * 0.3552269053915514,
            "deviance": 2 * 0.3552269053915514 * WEIGHT.sum(),
            "mean_loss": 0.3552269053915514,
        },
    )
    np.testing.assert_allclose(cells(scores, "confusion"), [[29.75, 5.6], [5.8, 32.35]], rtol=1e-13)
    expected = [
        [0.8368495077355835, 0.8415841584158413, 0.8392101551480958, 35.35],
        [0.852437417654809, 0.8479685452162515, 0.8501971090670171, 38.15],
    ]
    np.testing.assert_allclose(cells(scores, "per_class"), expected, rtol=1e-13)


def test_calibration_of_two_classes() -> None:
    y = (I * 17 % 13 / 3.0 + Z > 2) * 1.0
    scores = score(LOSSES["logistic"](), y, Z)
    observed = [0, 0.125, 0.25, 0.25, 1 / 3, 0.5, 0.75, 0.5, 1, 1]
    predicted = (
        "0.06809180007546849 0.15671292830752478 0.2502083189354887 0.33218460632329605 "
        "0.4504927808583567 0.574260828712465 0.667815393676704 0.7497916810645112 "
        "0.8432870716924752 0.928637668993322"
    )
    assert column(scores, "calibration", "observed") == pytest.approx(observed, rel=1e-14)
    assert column(scores, "calibration", "predicted") == pytest.approx(
        [float(number) for number in predicted.split()], rel=1e-14
    )
    assert sum(column(scores, "calibration", "support")) == 60


def test_four_classes() -> None:
    z = np.stack([(I * (7 + 4 * j) % 23 - 11) / 4.0 for j in range(4)], axis=1)
    y = np.where(I % 2 == 0, z.argmax(axis=1), (I * I + I // 7) % 4)
    scores = score(LOSSES["multinomial"](), y, z, WEIGHT, labels=tuple("abcd"))
    close(
        scores,
        {
            "accuracy": 0.5510204081632654,
            "balanced_accuracy": 0.5423976508608994,
            "log_loss": 1.3059746726998311,
            "brier": 0.6474699990545989,
            "auc_ovr": 0.7374869432797964,
            "f1_macro": 0.5426167047760354,
            "f1_weighted": 0.5502958920133402,
            "top_2_accuracy": 0.7496598639455783,
            "top_3_accuracy": 0.8680272108843538,
            "d2": 0.05217416625491478,
        },
    )
    assert "top_5_accuracy" not in scores
    confusion = [
        [12.05, 3.6, 3.2, 0.7],
        [4.4, 13.0, 2.0, 2.3],
        [3.8, 0.6, 6.3, 5.0],
        [4.3, 2.1, 1.0, 9.15],
    ]
    np.testing.assert_allclose(cells(scores, "confusion"), confusion, rtol=1e-13)
    expected = [
        [0.49083503054989813, 0.6163682864450127, 0.546485260770975, 19.55],
        [0.6735751295336788, 0.599078341013825, 0.6341463414634146, 21.7],
        [0.504, 0.4012738853503186, 0.446808510638298, 15.7],
        [0.5335276967930028, 0.552870090634441, 0.543026706231454, 16.55],
    ]
    np.testing.assert_allclose(cells(scores, "per_class"), expected, rtol=1e-13)
    assert column(scores, "per_class", "class") == list("abcd")
    table = scores["confusion"]
    assert isinstance(table, list)
    assert list(table[0]) == ["class", "as a", "as b", "as c", "as d"]


def test_counts() -> None:
    y = np.floor((I * 17 % 13) / 3.0 * np.exp(Z / 3))
    scores = score(LOSSES["poisson"](), y, Z / 3, WEIGHT)
    close(
        scores,
        {
            "rmse": 1.893010704683997,
            "mae": 1.3937790955239941,
            "max_error": 7.281718171540955,
            "r2": 0.16521904684929878,
            "d2": 0.20890450666698868,
            "mean_deviance": 1.826364781557915,
            # The Lorenz curve of scikit-learn's example on insurance claims, ties averaged.
            "gini": 0.6889410302426892,
        },
    )
    gamma = score(LOSSES["gamma"](), y + 0.5, Z / 3, WEIGHT)
    close(gamma, {"d2": -0.38782113097810944, "mean_deviance": 1.0957962056603678})
    quantile = score(LOSSES["quantile"](quantile=0.3), y, Z, WEIGHT)  # type: ignore[call-arg]
    close(quantile, {"mean_loss": 0.726013605442177})
    assert {"deviance", "d2", "gini"}.isdisjoint(quantile)


def test_an_exposure_is_the_weight_of_a_rate() -> None:
    """A count with an offset log(exposure), or a rate with the exposure as weight: one model."""
    rng = np.random.default_rng(1)
    exposure = rng.uniform(0.1, 3, size=100)
    z = np.round(rng.normal(size=100), 1)
    y = rng.poisson(np.exp(z) * exposure).astype(np.float64)
    loss = LOSSES["poisson"]()
    counts = score(loss, y, z + np.log(exposure), exposure=exposure)
    rates = score(loss, y / exposure, z, exposure)
    for name in ("gini", "d2", "deviance"):
        assert counts[name] == pytest.approx(rates[name], rel=1e-12)
    for name in ("observed", "predicted"):
        assert column(counts, "calibration_by_quantile", name) == pytest.approx(
            column(rates, "calibration_by_quantile", name), rel=1e-12
        )
