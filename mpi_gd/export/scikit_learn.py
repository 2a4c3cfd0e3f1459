"""A model as a fitted estimator of scikit-learn's own, which predicts without this package."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from mpi_gd.errors import JobError
from mpi_gd.losses import LOSSES
from mpi_gd.model import Model
from mpi_gd.numbered import NumberedNames

__all__ = ["contents", "to_scikit_learn"]

# By loss and link, where it has one: the class in sklearn.linear_model or sklearn.svm.
_CLASSES = {
    ("squared", "identity"): "LinearRegression",
    ("huber", ""): "LinearRegression",
    ("quantile", ""): "LinearRegression",
    ("epsilon-insensitive", ""): "LinearSVR",
    ("squared-epsilon-insensitive", ""): "LinearSVR",
    ("logistic", "logit"): "LogisticRegression",
    ("multinomial", ""): "LogisticRegression",
    ("hinge", ""): "LinearSVC",
    ("squared-hinge", ""): "LinearSVC",
    ("poisson", "log"): "PoissonRegressor",
    ("gamma", "log"): "GammaRegressor",
    ("tweedie", "log"): "TweedieRegressor",
}


def contents(model: Model) -> bytes:
    """Return the bytes that joblib.load reads: a pickle, for those who trust its source."""
    estimator = to_scikit_learn(model)
    import joblib

    file = io.BytesIO()
    joblib.dump(estimator, file)
    return file.getvalue()


def to_scikit_learn(model: Model) -> Any:
    """Return a fitted estimator that predicts what the model does.

    Raises JobError without scikit-learn, and for a loss or link that has no estimator there.
    """
    try:
        from sklearn import linear_model, svm
    except ImportError as error:
        raise JobError(
            f'this needs scikit-learn ({error}): pip install "mpi_gd[sklearn]"'
        ) from error
    kind = next(kind for kind, cls in LOSSES.items() if type(model.loss) is cls)
    link = getattr(model.loss, "link", "")
    name = _CLASSES.get((kind, link))
    if name is None:
        known = sorted({f"{loss} {link}".strip() for loss, link in _CLASSES})
        raise JobError(
            f"scikit-learn has no estimator for the loss {kind!r} with the link {link!r}, expected "
            f"one of {', '.join(known)}; export to .onnx or .json"
        )
    estimator = getattr(svm if name.startswith("LinearSV") else linear_model, name)()
    if name == "TweedieRegressor":
        estimator.set_params(power=model.loss.power, link="log")  # type: ignore[attr-defined]
    if hasattr(estimator, "_get_loss"):
        # What its `fit` makes and its `predict` needs.
        estimator._base_loss = estimator._get_loss()
    _fill(estimator, model)
    return estimator


def _fill(estimator: Any, model: Model) -> None:
    """Give an estimator what its `fit` would."""
    estimator.n_features_in_ = model.n_features
    if not isinstance(model.columns, NumberedNames) and not _are_numbered(model):
        estimator.feature_names_in_ = np.array(model.columns, dtype=object)
    estimator.n_iter_ = np.array([model.metadata.get("iterations", 0)], dtype=np.int32)
    if model.classes is None:
        estimator.coef_, estimator.intercept_ = model.coef.copy(), model.intercept
        return
    estimator.classes_ = model.labels
    estimator.coef_ = model.coef.reshape(model.n_features, -1).T.copy()
    estimator.intercept_ = np.atleast_1d(model.intercept).copy()


def _are_numbered(model: Model) -> bool:
    """Whether the columns have no names of their own."""
    return all(name == f"x{j}" for j, name in enumerate(model.columns))
