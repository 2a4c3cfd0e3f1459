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
from mpi_gd.evaluation import METRICS, evaluate
from mpi_gd.losses import LOSSES, Loss
from tests.scored import bits, score, score_on_ranks

LOGISTIC, SQUARED = LOSSES["logistic"](), LOSSES["squared"]()


def auc_by_pairs(y: list[int], z: list[float]) -> float:
    """Compare every positive row with every negative one."""
    pairs = [
        (p, n) for p, a in zip(z, y, strict=True) if a for n, b in zip(z, y, strict=True) if not b
    ]
    wins = sum(2 * (p > n) + (p == n) for p, n in pairs)
    return float(Fraction(wins, 2 * len(pairs)))


@settings(max_examples=80, deadline=None)
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


def test_auc_of_weights_that_are_no_counts() -> None:
    """Halves are exact; tenths are not, but all alike count as ones."""
    y, z = [1, 0, 1, 0, 0], [2, 1, 0, 0, 3]
    halves = score(LOGISTIC, y, z, [0.5, 1, 2, 1.5, 0.5])["auc"]
    assert halves == score(LOGISTIC, y, z, [1, 2, 4, 3, 1])["auc"]
    assert score(LOGISTIC, y, z, [0.1] * 5)["auc"] == score(LOGISTIC, y, z)["auc"]
    far = score(LOGISTIC, y, z, [1e300, 1e-300, 1e300, 1, 1])
    assert "class '0'" in far.omitted["auc"]


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
    r2 = 1 - squares / math.fsum(weight * (y - mean) ** 2)
    expected = {
        "n": 203,
        "rmse": math.sqrt(squares / total),
        "mae": math.fsum(weight * np.abs(y - z)) / total,
        "max_error": np.abs(y - z).max(),
        "r2": r2,
        "d2": r2,
        "deviance": squares,
        "mean_deviance": squares / total,
        "mean_loss": squares / total / 2,
    }
    residuals = scores.pop("residuals")
    assert scores == pytest.approx(expected, rel=1e-12)
    assert isinstance(residuals, list) and len(residuals) == 20
    assert scores.headlines == ["rmse", "mae", "r2"]


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
    same = score(loss, [y[i] for i in kept], [z[i] for i in kept])
    numbers = [name for name, value in same.items() if not isinstance(value, list)]
    assert [some[name] for name in numbers] == pytest.approx([same[name] for name in numbers])
    assert some.get("confusion") == same.get("confusion")
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
    assert scores.omitted == dict.fromkeys(["r2", "d2"], "all targets are the same")
    assert {"rmse", "mae"} <= scores.keys()
    assert scores.as_json()["omitted"] == scores.omitted


def test_no_rows_have_no_metrics() -> None:
    for y, weight in [([], None), ([1, 0], [0, 0])]:
        scores = score(LOGISTIC, y, y, weight)
        assert scores == {"n": 0}
        assert {"accuracy", "log_loss", "auc", "confusion"} <= set(scores.omitted)
        assert set(scores.omitted.values()) == {"there are no rows"}


def test_overflow_is_omitted_with_a_reason() -> None:
    scores = score(SQUARED, [1e280, 0], [-1e280, 0])
    assert scores["mae"] == 1e280
    assert scores["max_error"] == 2e280
    assert {"rmse", "r2", "deviance"} <= set(scores.omitted)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_are_an_error(value: float) -> None:
    with pytest.raises(DataError, match="1 of 3 rows"):
        score(LOGISTIC, [0, 1, 0], [0, value, 1])


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 2 targets and 3 predictors, expected 3"):
        evaluate(SerialWorld(), SQUARED, np.zeros(2), np.zeros(3), None, [3], 1)


def example(kind: str, n: int = 23) -> tuple[np.ndarray, np.ndarray]:
    """Return y and z that the loss is made for; scores are tied."""
    loss, rng = LOSSES[kind](), np.random.default_rng(7)
    if loss.task == "classes":
        return rng.integers(0, 4, size=n).astype(np.float64), np.round(rng.normal(size=(n, 4)), 1)
    z = np.round(rng.normal(size=n), 1)
    if loss.task == "two classes":
        return (z + rng.normal(size=n) > 0).astype(np.float64), z
    y = np.abs(np.round(z + rng.normal(size=n), 1))
    return np.where(loss.invalid(y), 0.25, y), z


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_has_metrics_that_are_json(kind: str) -> None:
    loss, (y, z) = LOSSES[kind](), example(kind)
    scores = score(loss, y, z)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    n_classes = {"numbers": 0, "two classes": 2, "classes": 4}[loss.task]
    fitting = [name for name, metric in METRICS.items() if metric.fits(loss, n_classes)]
    assert sorted([*scores, *scores.omitted]) == sorted(["n", *fitting])
    assert scores.omitted == {} and "mean_loss" in scores
    shown = [scores[name] for name in scores.headlines]
    assert 3 <= len(shown) <= 4 and not any(isinstance(value, list) for value in shown)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("weights", ["none", "whole", "any"])
def test_same_bits_on_any_number_of_ranks(kind: str, weights: str) -> None:
    loss, (y, z) = LOSSES[kind](), example(kind, 83)
    rng = np.random.default_rng(8)
    weight = {
        "none": None,
        "whole": rng.integers(0, 3, size=83),
        "any": rng.lognormal(sigma=3, size=83),
    }[weights]
    exposure = rng.uniform(0.5, 2, size=83) if kind == "poisson" else None
    alone = bits(score(loss, y, z, weight, exposure=exposure))
    for size in (2, 5):
        for scores in score_on_ranks(size, loss, y, z, weight, exposure=exposure):
            assert bits(scores) == alone


def test_without_probabilities_there_are_no_scores_of_them() -> None:
    scores = score(LOSSES["hinge"](), [0, 1, 1, 0], [-1, 2, -0.5, 0.5])
    assert {"log_loss", "brier", "calibration", "deviance"}.isdisjoint(scores)
    assert scores.headlines == ["accuracy", "auc", "mean_loss"]
    assert scores["mean_loss"] == (0 + 0 + 1.5 + 1.5) / 4


@pytest.mark.parametrize(("y", "only"), [([1, 1, 1], "'0'"), ([0, 0, 0], "'1'")])
def test_one_class_only(y: list[int], only: str) -> None:
    scores = score(LOGISTIC, y, [0.5, -1, 2])
    missing = {"auc", "gini", "average_precision", "calibration_by_quantile", "d2", "roc_curve"}
    assert set(scores.omitted) == missing
    assert only in scores.omitted["auc"]
    assert scores["balanced_accuracy"] == scores["accuracy"]


def test_a_class_that_no_row_has() -> None:
    """It has no recall, and no part in means over classes; its AUC is not asked for."""
    z = [[2, 1, 0], [0, 1, 2], [1, 0, 0], [0, 0, 3]]
    scores = score(LOSSES["multinomial"](), [0, 2, 0, 0], z, labels=("a", "b", "c"))
    assert scores["per_class"] == [
        {"class": "a", "precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3},
        {"class": "b", "precision": None, "recall": None, "f1": None, "support": 0},
        {"class": "c", "precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1},
    ]
    assert scores["balanced_accuracy"] == (2 / 3 + 1) / 2
    assert scores["f1_macro"] == (0.8 + 2 / 3) / 2
    assert scores["auc_ovr"] == 2 / 3
    assert scores["top_2_accuracy"] == 1.0


def test_ties_among_classes_go_to_the_first() -> None:
    scores = score(LOSSES["multinomial"](), [0, 1, 2], [[1, 1, 1]] * 3)
    assert scores["accuracy"] == 1 / 3
    assert scores["top_2_accuracy"] == 2 / 3


def test_average_precision_by_its_definition() -> None:
    """The sum of recall steps times precision, thresholds one by one, in fractions."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        n = int(rng.integers(2, 30))
        y, z, w = rng.integers(0, 2, n), rng.integers(-3, 4, n), rng.integers(1, 5, n)
        if 0 < y.sum() < n:
            expected = Fraction(0)
            for s in np.unique(z):
                step = Fraction(int(w[(z == s) & (y == 1)].sum()), int(w[y == 1].sum()))
                above = z >= s
                expected += step * Fraction(int(w[above & (y == 1)].sum()), int(w[above].sum()))
            found = score(LOGISTIC, y, z, w)["average_precision"]
            assert found == pytest.approx(float(expected), rel=1e-15)


def test_gini_of_amounts_that_are_0_or_1_is_that_of_classes() -> None:
    """The normalised Lorenz curve of two classes is 2 AUC - 1, with ties too."""
    y, z = example("logistic", 60)
    numbers, classes = score(LOSSES["poisson"](), y, z), score(LOGISTIC, y, z)
    assert numbers["gini"] == pytest.approx(classes["gini"], rel=1e-15)
    perfect = score(LOSSES["poisson"](), [0, 1, 2, 3, 3], [-2, -1, 0, 1, 1])
    assert perfect["gini"] == 1.0
    assert score(LOSSES["poisson"](), [0, 1, 2, 3], [1, 0, -1, -2])["gini"] == -1.0
    assert score(LOSSES["poisson"](), [0, 1, 2, 3], [0.5] * 4)["gini"] == 0.0
    assert score(LOSSES["poisson"](), [0, 0], [1, 2]).omitted["gini"] == "all targets are 0"
    assert score(LOSSES["poisson"](), [2, 2], [1, 2]).omitted["gini"] == "all targets are the same"


def test_bins_of_equal_weight_keep_ties_together() -> None:
    y, z = np.arange(100) % 3 == 0, np.arange(100) / 50.0 - 1
    rows = score(LOGISTIC, y, z)["calibration_by_quantile"]
    assert isinstance(rows, list)
    assert [row["support"] for row in rows] == [10] * 10
    assert [row["observed"] for row in rows[:3]] == [0.4, 0.3, 0.3]
    tied = score(LOGISTIC, y, np.where(z < 0.5, -1.0, z))["calibration_by_quantile"]
    assert isinstance(tied, list)
    assert [row["support"] for row in tied] == [75, 5, 10, 10]


def test_a_curve_counts_the_rows_above_each_threshold() -> None:
    y, z = example("logistic", 300)
    weight = np.random.default_rng(1).integers(1, 4, size=300)
    table = score(LOGISTIC, y, z, weight)["roc_curve"]
    assert isinstance(table, list)
    thresholds = {
        p: z for z, p in zip(np.unique(z), LOGISTIC.inverse_link(np.unique(z)), strict=True)
    }
    assert len(table) > 20 and table[-1]["recall"] == 0.0
    for row in table:
        threshold = thresholds[row["threshold"]]
        chosen = z > threshold
        hits = weight[chosen & (y == 1)].sum()
        assert row["recall"] == hits / weight[y == 1].sum()
        assert row["false_positive_rate"] == weight[chosen & (y == 0)].sum() / weight[y == 0].sum()
        assert row["precision"] == (hits / weight[chosen].sum() if chosen.any() else None)


def test_residuals_are_those_of_bins_of_predictions() -> None:
    rng = np.random.default_rng(2)
    z, weight = rng.normal(size=400), np.ones(400)
    y = z + z * z + rng.normal(size=400)
    table = score(SQUARED, y, z, weight)["residuals"]
    assert isinstance(table, list)
    order = np.argsort(z).reshape(20, 20)
    left = (y - z)[order]
    for row, own, places in zip(table, left, order, strict=True):
        assert row["support"] == 20
        assert row["to"] == z[places].max()
        assert row["mean"] == pytest.approx(own.mean(), rel=1e-12)
        assert row["rms"] == pytest.approx(np.sqrt(np.mean(own**2)), rel=1e-12)


def test_calibration_error_is_that_of_its_table() -> None:
    scores = score(LOGISTIC, *example("logistic", 70))
    table = scores["calibration"]
    assert isinstance(table, list)
    gaps = [row["support"] * abs(row["predicted"] - row["observed"]) for row in table]  # type: ignore[operator]
    assert scores["calibration_error"] == pytest.approx(sum(gaps) / 70, rel=1e-14)


def test_a_predictor_without_a_mean_is_named() -> None:
    loss = LOSSES["poisson"](link="identity")  # type: ignore[call-arg]
    scores = score(loss, [1, 2, 3], [1, -1, 2])
    assert set(scores.omitted.values()) == {"1 of 3 rows have a predictor without a mean"}
    assert "n" in scores and len(scores) == 1


def test_targets_that_the_loss_is_not_made_for_are_an_error() -> None:
    with pytest.raises(DataError, match="1 of 3 rows have a target"):
        score(LOSSES["poisson"](), [1, -1, 0], [0, 0, 0])
    with pytest.raises(DataError, match="1 of 2 rows have a target"):
        score(LOSSES["multinomial"](), [1, 3], [[0, 0, 0], [0, 0, 0]])


def test_many_classes_have_no_matrix_and_no_sorts() -> None:
    z = np.eye(101)
    scores = score(LOSSES["multinomial"](), np.arange(101), z, tile=50)
    assert scores["accuracy"] == 1.0
    assert set(scores.omitted) == {"confusion", "auc_ovr"}
