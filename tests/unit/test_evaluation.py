"""Metrics are right, exact where they count, and honest where they have no value."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.comm import SerialWorld
from mpi_gd.errors import DataError
from mpi_gd.evaluation import METRICS, Scores, evaluate
from mpi_gd.evaluation.auc import _exact_dot
from mpi_gd.losses import LOSSES, Loss

LOGISTIC, SQUARED = LOSSES["logistic"](), LOSSES["squared"]()


def score(loss: Loss, y: object, z: object, weight: object = None, tile: int = 5) -> Scores:
    """Evaluate on one rank, in tiles of `tile` rows."""
    y, z = np.array(y, dtype=np.float64), np.array(z, dtype=np.float64)
    weight = None if weight is None else np.array(weight, dtype=np.float64)
    sizes = [min(tile, len(y) - start) for start in range(0, len(y), tile)]
    return evaluate(SerialWorld(), loss, y, z, weight, sizes, len(sizes))


def auc_by_pairs(y: list[int], z: list[float]) -> float:
    """Compare every positive row with every negative one."""
    pairs = [
        (p, n) for p, a in zip(z, y, strict=True) if a for n, b in zip(z, y, strict=True) if not b
    ]
    wins = sum(2 * (p > n) + (p == n) for p, n in pairs)
    return float(Fraction(wins, 2 * len(pairs)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3) | st.floats(-1e6, 1e6)), min_size=2))
def test_auc_counts_pairs(rows: list[tuple[bool, float]]) -> None:
    y, z = [int(row[0]) for row in rows], [float(row[1]) for row in rows]
    scores = score(LOGISTIC, y, z)
    if 0 < sum(y) < len(y):
        assert scores["auc"] == auc_by_pairs(y, z)
    else:
        assert "auc" not in scores and "class" in scores.omitted["auc"]


def test_auc_knows_no_sign_of_zero() -> None:
    assert score(LOGISTIC, [1, 0, 1, 0], [0.0, -0.0, -0.0, 0.0])["auc"] == 0.5


def test_auc_is_exact_where_int64_would_overflow() -> None:
    y, z, weight = [1, 0, 1, 0], [3, 2, 1, 0], [2**44 + 1, 2**43 + 3, 2**42 + 1, 2**41 + 7]
    wins = weight[0] * (weight[1] + weight[3]) + weight[2] * weight[3]
    pairs = (weight[0] + weight[2]) * (weight[1] + weight[3])
    assert pairs > 2**64
    assert score(LOGISTIC, y, z, weight)["auc"] == float(Fraction(wins, pairs))


@given(st.lists(st.tuples(st.integers(0, 2**52), st.integers(0, 2**54)), max_size=40))
def test_exact_dot(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    assert _exact_dot(a, b) == sum(x * y for x, y in pairs)


def test_auc_of_weights_that_are_no_counts_is_omitted() -> None:
    for weight, words in [([1, 0.5, 1], "whole"), ([1, 2**53, 1], "large")]:
        scores = score(LOGISTIC, [0, 1, 0], [0, 1, 2], weight)
        assert "auc" not in scores and words in scores.omitted["auc"]
        assert "accuracy" in scores


def test_accuracy_predicts_the_first_class_at_zero() -> None:
    scores = score(LOGISTIC, [0, 0, 1, 1, 1, 0, 1], [0.0, -0.0, 0.0, 2, 1, 3, -1])
    assert scores["accuracy"] == 4 / 7
    assert scores["n"] == 7


def test_log_loss_is_that_of_the_formula_and_stable_far_out() -> None:
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=101) * 5, rng.integers(0, 2, size=101)
    terms = [math.log1p(math.exp(-abs(a))) + max(a, 0) - b * a for a, b in zip(z, y, strict=True)]
    assert score(LOGISTIC, y, z)["log_loss"] == pytest.approx(math.fsum(terms) / 101, rel=1e-14)
    assert score(LOGISTIC, [1, 0], [-1000, 1000])["log_loss"] == 1000
    assert score(LOGISTIC, [1, 0], [1000, -1000])["log_loss"] == 0


def test_regression_metrics_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(2)
    y = 1e6 + rng.normal(size=203)
    z = y + 0.1 * rng.normal(size=203)
    weight = rng.uniform(0.5, 2, size=203)
    scores = score(SQUARED, y, z, weight)
    total = math.fsum(weight)
    squares = math.fsum(weight * (y - z) ** 2)
    mean = math.fsum(weight * y) / total
    expected = {
        "rmse": math.sqrt(squares / total),
        "mae": math.fsum(weight * np.abs(y - z)) / total,
        "r2": 1 - squares / math.fsum(weight * (y - mean) ** 2),
    }
    assert scores.pop("n") == 203
    assert scores == pytest.approx(expected, rel=1e-12)


def test_inputs_are_left_alone() -> None:
    """The loss's kernel overwrites z; the caller's z must stay."""
    y, z = np.array([0.0, 1.0]), np.array([0.5, -0.5])
    evaluate(SerialWorld(), LOGISTIC, y, z, None, [2], 1)
    assert z.tolist() == [0.5, -0.5] and y.tolist() == [0, 1]


@pytest.mark.parametrize("loss", [LOGISTIC, SQUARED])
def test_a_row_of_weight_zero_is_no_row(loss: Loss) -> None:
    y, z = [0, 1, 0, 1, 1, 0, 1], [0.3, 0.2, -1, np.nan, 0.1, np.inf, 2]
    some = score(loss, y, z, [1, 1, 1, 0, 1, 0, 1], tile=3)
    kept = [0, 1, 2, 4, 6]
    assert some == pytest.approx(score(loss, [y[i] for i in kept], [z[i] for i in kept]))
    assert some["n"] == 5


def test_a_weight_of_k_counts_as_k_rows() -> None:
    y, z, weight = [0, 1, 0, 1, 1], [0.3, 0.2, -1, 0.3, 2], [1, 3, 2, 1, 2]
    repeated = score(LOGISTIC, np.repeat(y, weight), np.repeat(z, weight))
    weighted = score(LOGISTIC, y, z, weight)
    assert weighted["auc"] == repeated["auc"]
    assert weighted["accuracy"] == repeated["accuracy"]
    assert weighted["log_loss"] == pytest.approx(repeated["log_loss"], rel=1e-15)


def test_r2_of_equal_targets_is_omitted() -> None:
    """The mean of three 0.1 is not 0.1: the rounded variation must not pass for a real one."""
    scores = score(SQUARED, [0.1] * 3, [0.1, 0.2, 0.3])
    assert scores.omitted == {"r2": "all targets are the same"}
    assert {"rmse", "mae"} <= scores.keys()


def test_no_rows_have_no_metrics() -> None:
    for y, weight in [([], None), ([1, 0], [0, 0])]:
        scores = score(LOGISTIC, y, y, weight)
        assert scores == {"n": 0}
        assert set(scores.omitted) == {"accuracy", "log_loss", "auc"}


def test_overflow_is_omitted_with_a_reason() -> None:
    scores = score(SQUARED, [1e280, 0], [-1e280, 0])
    assert scores["mae"] == 1e280
    assert set(scores.omitted) == {"rmse", "r2"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_are_an_error(value: float) -> None:
    with pytest.raises(DataError, match="1 of 3 rows"):
        score(LOGISTIC, [0, 1, 0], [0, value, 1])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 2 targets and 3 predictors, expected 3"):
        evaluate(SerialWorld(), SQUARED, np.zeros(2), np.zeros(3), None, [3], 1)


@pytest.mark.parametrize("kind", [kind for kind in LOSSES if LOSSES[kind].task != "classes"])
def test_every_loss_has_metrics_that_are_json(kind: str) -> None:
    loss = LOSSES[kind]()
    scores = score(loss, [0, 1, 1, 0, 1], [0.5, 0.2, 0.1, -0.3, 2])
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    fitting = [name for name, m in METRICS.items() if m.for_classifiers == loss.is_classifier]
    assert [*scores] == ["n", *fitting] and fitting
