"""What scripts and notebooks call: fits of jobs and arrays, and estimators as scikit-learn's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import mpi_gd
from mpi_gd.errors import DataError, JobError
from mpi_gd.losses import Quantile
from mpi_gd.penalties import L2

Floats = NDArray[np.float64]

ESTIMATORS = [
    mpi_gd.LinearClassifier(),
    mpi_gd.LinearClassifier("squared-hinge"),
    mpi_gd.LinearRegressor(),
    mpi_gd.LinearRegressor("poisson", solver="lbfgs"),
    mpi_gd.LinearRegressor("huber", "elastic-net"),
]


@pytest.fixture
def labelled() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(700, 5))
    y = (x @ [1.0, -2.0, 0.5, 0.0, 1.0] + rng.logistic(size=700) > 0.3).astype(float)
    return x, y


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_an_estimator_is_as_scikit_learn_wants_it(estimator: Any) -> None:
    done = check_estimator(estimator, on_skip=None)
    assert len(done) > 50
    # The one that is skipped is for arrays that are not NumPy's.
    skipped = {each["check_name"] for each in done if each["status"] != "passed"}
    assert skipped <= {"check_array_api_input"}


def test_a_classifier_is_the_logistic_regression_of_scikit_learn(
    labelled: tuple[Floats, Floats],
) -> None:
    x, y = labelled
    names = np.array(["no", "yes"])[y.astype(int)]
    own = mpi_gd.LinearClassifier(alpha=1e-2).fit(x, names)
    other = LogisticRegression(C=1 / (1e-2 * len(y)), tol=1e-10, max_iter=1000).fit(x, names)
    np.testing.assert_allclose(own.coef_, other.coef_, rtol=1e-6)
    np.testing.assert_allclose(own.intercept_, other.intercept_, rtol=1e-6)
    np.testing.assert_allclose(own.predict_proba(x), other.predict_proba(x), rtol=1e-6)
    assert own.predict(x).tolist() == other.predict(x).tolist()
    sparse = mpi_gd.LinearClassifier(alpha=1e-2).fit(csr_array(x), names)
    np.testing.assert_allclose(sparse.coef_, own.coef_, rtol=1e-6)


def test_classes_have_weights(labelled: tuple[Floats, Floats]) -> None:
    x, y = labelled
    balanced = mpi_gd.LinearClassifier(class_weight="balanced").fit(x, y)
    counts = np.bincount(y.astype(int))
    table = {label: len(y) / (2 * count) for label, count in enumerate(counts.tolist())}
    given = mpi_gd.LinearClassifier(class_weight=table).fit(x, y)
    np.testing.assert_allclose(balanced.coef_, given.coef_, rtol=1e-9)
    assert not np.allclose(balanced.coef_, mpi_gd.LinearClassifier().fit(x, y).coef_, rtol=1e-3)


def test_estimators_stand_in_pipelines_and_cross_validation() -> None:
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), mpi_gd.LinearClassifier(alpha=1e-3))
    assert cross_val_score(model, x, y).mean() > 0.95
    assert model.fit(x, y)[-1].coef_.shape == (3, 4)


def test_a_loss_may_be_an_object() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1))
    y = x[:, 0] + rng.exponential(size=2000)
    model = mpi_gd.LinearRegressor(Quantile(quantile=0.9), L2(alpha=1e-6)).fit(x, y)
    assert np.mean(y <= model.predict(x)) == pytest.approx(0.9, abs=0.01)


def test_a_hinge_is_for_two_classes_and_has_no_probabilities() -> None:
    x, y = make_classification(n_classes=3, n_informative=4, random_state=0)
    with pytest.raises(ValueError, match="Only binary"):
        mpi_gd.LinearClassifier("hinge").fit(x, y)
    assert not hasattr(mpi_gd.LinearClassifier("hinge"), "predict_proba")
    with pytest.raises(JobError, match="expected squared, logistic"):
        mpi_gd.LinearClassifier("logit").fit(x, y)
    with pytest.raises(JobError, match="LinearClassifier"):
        mpi_gd.LinearRegressor("logistic").fit(x, y)


def test_arrays_give_the_bits_of_files(tmp_path: Path, labelled: tuple[Floats, Floats]) -> None:
    x, y = labelled
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    data: dict[str, Any] = {"standardize": True, "test_fraction": 0.2}
    job: dict[str, Any] = {
        "loss": {"kind": "logistic"},
        "penalty": {"kind": "l2", "alpha": 1e-3},
        "data": data,
    }
    files = {"path": str(tmp_path / "x.npy"), "target": str(tmp_path / "y.npy")}
    seen: list[float] = []
    read = mpi_gd.fit(job | {"data": data | files})
    given = mpi_gd.fit(job, x, y, callback=lambda record: seen.append(record.objective))
    assert given.model.coef.tobytes() == read.model.coef.tobytes()
    assert given.model.intercept == read.model.intercept
    assert seen == [record.objective for record in given.history]
    assert given.converged
    assert given.certificate.gap < 1e-8
    assert given.scores["held-out"].as_json() == read.scores["held-out"].as_json()
    assert np.array_equal(x, np.load(tmp_path / "x.npy")), "the rows that were given are changed"


def test_a_job_file_is_fitted_with_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 3},{i}\n" for i in range(40)))
    path = tmp_path / "job.toml"
    path.write_text('[data]\npath = "rows.csv"\ntarget = "y"\n[loss]\nkind = "squared"\n')
    found = mpi_gd.fit(path)
    np.testing.assert_allclose(found.model.coef, [1.0, 0.0], atol=1e-9)
    assert found.remarks[0].startswith("Solver: gram")


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (np.ones((3, 2)), None, "without y"),
        (None, np.ones(3), "without x"),
        (np.ones(3), np.ones(3), r"expected \(rows, features\)"),
        (np.ones((3, 2)), np.ones(2), r"expected \(3,\)"),
        (np.array([["a", "b"]]), np.ones(1), "expected numbers"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), np.ones(2), "row 0"),
        (np.ones((0, 2)), np.ones(0), "no rows"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(x: Any, y: Any, told: str) -> None:
    with pytest.raises((JobError, DataError), match=told):
        mpi_gd.fit({"loss": {"kind": "squared"}}, x, y)


def test_a_bad_job_or_communicator_is_refused() -> None:
    x, y = np.ones((4, 1)), np.arange(4.0)
    with pytest.raises(JobError, match="loss"):
        mpi_gd.fit({"loss": {"kind": "square"}}, x, y)
    with pytest.raises(ValueError, match="expected None"):
        mpi_gd.fit({"loss": {"kind": "squared"}}, x, y, comm="all")
    with pytest.raises(DataError, match="weight 'weight': got -1"):
        mpi_gd.fit({"loss": {"kind": "squared"}}, x, y, sample_weight=[1, 1, -1, 1])
    with pytest.raises(DataError, match="2 names for 1 columns"):
        mpi_gd.fit({"loss": {"kind": "squared"}}, x, y, columns=["a", "b"])
    assert not hasattr(mpi_gd, "Ridge")
