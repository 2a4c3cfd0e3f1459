"""A model predicts what its coefficients say and refuses data that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from mpi_gd.errors import ModelError
from mpi_gd.losses import LOSSES
from mpi_gd.model import Model

LOGISTIC, SQUARED = LOSSES["logistic"](), LOSSES["squared"]()
COEF = np.array([1.0, -2.0, 0.5])
COLUMNS = ("a", "b", "c")


def classifier(classes: tuple[str, str] = ("no", "yes")) -> Model:
    return Model(COEF, 0.25, LOGISTIC, COLUMNS, "late", classes)


def regression() -> Model:
    return Model(COEF, 0.25, SQUARED, COLUMNS)


def test_regression_predicts_the_linear_predictor() -> None:
    x = np.array([[1.0, 0, 0], [0, 1, 2], [0, 0, 0]])
    assert regression().predict(x).tolist() == [1.25, -0.75, 0.25]
    assert regression().predict(x[:0]).shape == (0,)


def test_classifier_predicts_labels_and_probabilities() -> None:
    x = np.array([[1.0, 0, 0], [0, 1, 2], [-0.25, 0, 0]])
    assert classifier().predict(x).tolist() == ["yes", "no", "no"]
    probabilities = classifier().predict_proba(x)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp([-1.25, 0.75, 0.0])))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (("0", "1"), [0, 1]),
        (("-1", "1"), [-1, 1]),
        (("0.0", "1.0"), [0.0, 1.0]),
        (("0", "0.5"), [0.0, 0.5]),
        (("01", "1"), ["01", "1"]),
        (("1_0", "2"), ["1_0", "2"]),
        (("nan", "1.0"), ["nan", "1.0"]),
        (("0", "yes"), ["0", "yes"]),
        (("0", "9" * 30), ["0", "9" * 30]),
    ],
)
def test_labels_are_numbers_only_if_they_read_back_alike(
    classes: tuple[str, str], labels: list[object]
) -> None:
    found = classifier(classes).labels
    assert found.tolist() == labels
    assert found.dtype.kind == np.array(labels).dtype.kind


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "f2", "i8", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_type_is_taken(dtype: str, order: str) -> None:
    x = np.random.default_rng(0).integers(0, 2, size=(50, 3)).astype(dtype)
    x = np.asfortranarray(x) if order == "F" else x
    expected = x.astype(np.float64) @ COEF + 0.25
    np.testing.assert_array_equal(regression().decision(x), expected)


def test_float32_data_are_summed_in_float64() -> None:
    x = np.array([[1e8, 1, 0]], dtype=np.float32)
    model = Model(np.array([1.0, 1.0, 0.0]), 0.0, SQUARED, COLUMNS)
    assert model.predict(x)[0] == 1e8 + 1


def test_data_of_many_blocks_are_predicted_whole() -> None:
    """More rows than a block holds, and a number that no block divides."""
    rng = np.random.default_rng(1)
    x, coef = rng.normal(size=(4567, 300)), rng.normal(size=300)
    model = Model(coef, 1.5, SQUARED, tuple(f"x{j}" for j in range(300)))
    np.testing.assert_allclose(model.decision(x), x @ coef + 1.5, rtol=0, atol=1e-12)


def test_no_columns_leave_the_intercept() -> None:
    model = Model(np.empty(0), 2.0, SQUARED, ())
    assert model.predict(np.empty((3, 0))).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((2, 4)), r"shape \(2, 4\), expected \(n, 3\).* a, b, c"),
        (np.ones(3), r"shape \(3,\)"),
        (np.array([["a", "b", "c"]]), "expected numbers"),
        (np.array([[1, 2, 3], [1, np.nan, 3]]), "row 1 of X holds nan in column 'b'"),
        (np.array([[1, 2, -np.inf]]), "row 0 of X holds -inf in column 'c'"),
        (np.array([[0, -1e308, 1e308]]), "row 0 of X gives a sum that overflows"),
    ],
)
def test_data_that_do_not_fit_are_refused(x: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        regression().decision(x)


def test_a_bad_row_is_found_behind_a_zero_coefficient() -> None:
    model = Model(np.zeros(3), 0.0, SQUARED, COLUMNS)
    for bad in (np.nan, np.inf):
        with pytest.raises(ModelError, match="row 9 of X"):
            model.predict(np.array([[0.0, 0, 0]] * 9 + [[0, bad, 0]]))


def test_a_regression_has_no_labels_and_no_probabilities() -> None:
    with pytest.raises(ModelError, match="no probabilities"):
        regression().predict_proba(np.ones((1, 3)))
    with pytest.raises(ModelError, match="no labels"):
        _ = regression().labels


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coef": np.ones((3, 1))}, "shape"),
        ({"coef": np.ones(3, dtype=np.float32)}, "float32"),
        ({"coef": np.ones(2)}, "3 column names for 2"),
        ({"coef": np.array([1, np.nan, 2])}, "not a finite number"),
        ({"intercept": float("inf")}, "not a finite number"),
        ({"classes": None}, "expected labels"),
        ({"classes": ("a", "a")}, "different labels"),
        ({"classes": ("a", "b", "c")}, "got 3 labels, expected 2"),
        ({"loss": SQUARED}, "expected no labels"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], words: str) -> None:
    parts: dict[str, object] = {
        "coef": COEF, "intercept": 0.0, "loss": LOGISTIC, "columns": COLUMNS, "classes": ("0", "1")
    }  # fmt: skip
    with pytest.raises(ModelError, match=words):
        Model(**(parts | changes))  # type: ignore[arg-type]
