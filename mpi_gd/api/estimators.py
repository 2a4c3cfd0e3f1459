"""scikit-learn's interface: a classifier and a regressor with any loss, penalty and solver.

They need scikit-learn, which checks what they are given: pip install "mpi_gd[sklearn]".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.api.fitting import IN_MEMORY, run, world_of
from mpi_gd.api.rows import take_rows
from mpi_gd.comm import World
from mpi_gd.config import Job, StopSpec
from mpi_gd.data import DataSpec
from mpi_gd.errors import JobError
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.penalties import PENALTIES
from mpi_gd.prepare.exactsum import ExactSum, mean_of_limbs
from mpi_gd.solvers import SOLVERS

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        f"mpi_gd's estimators need scikit-learn 1.6 or newer ({error}): "
        'pip install "mpi_gd[sklearn]"; mpi_gd.fit does without'
    ) from error

__all__ = ["LinearClassifier", "LinearRegressor"]

_HERE = Path()
_FLOATS = [np.float64, np.float32]
# Losses whose response is no negative number.
_POSITIVE = ("poisson", "gamma", "inverse-gaussian", "negative-binomial", "tweedie")


def _has_probabilities(estimator: Any) -> bool:
    """Whether the loss gives probabilities; raises AttributeError as scikit-learn wants it."""
    if not _made("loss", LOSSES, estimator.loss).has_probabilities:
        raise AttributeError(f"the loss {estimator.loss!r} gives no probabilities")
    return True


class _Linear(BaseEstimator):  # type: ignore[misc]
    """What a classifier and a regressor have in common."""

    def _run(self, world: World, x: Any, y: NDArray[np.float64], weight: Any, loss: Loss) -> None:
        """Fit to numbers, or to places of classes; collective."""
        fields = {"alpha": self.alpha, "l1_ratio": self.l1_ratio}
        job = Job(
            data=DataSpec(path=IN_MEMORY),
            loss=loss,
            penalty=_made("penalty", PENALTIES, self.penalty, **fields),
            solver=_made("solver", SOLVERS, self.solver),
            stop=StopSpec(max_iter=self.max_iter, tol=self.tol),
            intercept=self.fit_intercept,
            seed=self.random_state,
        )
        extras = {} if weight is None else {"weight": _weights(weight, x)}
        names = [str(name) for name in getattr(self, "feature_names_in_", ())]
        data = take_rows(world, x, y, extras, names, n_workers=job.solver.divides)
        found = run(world, job, _HERE, data, self.callback)
        self.model_ = found.model
        self.n_iter_ = max(1, len(found.history) - 1)
        self.ending_, self.converged_ = found.ending, found.converged
        self.certificate_, self.history_ = found.certificate, found.history

    def _decision(self, x: Any) -> NDArray[np.float64]:
        """Return z of new rows, (n,) or (n, K)."""
        check_is_fitted(self)
        x = validate_data(self, x, accept_sparse="csr", dtype=_FLOATS, reset=False)
        if hasattr(x, "tocsr"):
            return np.asarray(x @ self.model_.coef + self.model_.intercept)
        return self.model_.decision(x)

    def __sklearn_tags__(self) -> Any:
        """Say what the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class LinearClassifier(ClassifierMixin, _Linear):  # type: ignore[misc]
    """Classify by linear predictors: logistic regression, support vector machines and others.

    The objective is the weighted mean of the losses plus the penalty, the intercept free of it, so
    that scikit-learn's C is 1 / (alpha n). In a program of several ranks each gives its own rows,
    and all call `fit` together; the result is the same on all, bit for bit for any number of them.

    Parameters: `loss`: "logistic", which is multinomial for more than two classes, "hinge",
    "squared-hinge", or an object of mpi_gd.losses; `penalty`: "none", "l2", "l1", "elastic-net" or
    another name, or an object of mpi_gd.penalties; `alpha`, `l1_ratio`: its strength, and the share
    of L1; `solver`: a name, or an object of mpi_gd.solvers; `fit_intercept`; `max_iter`, `tol`: as
    stop.max_iter and stop.tol in a job (`python -m mpi_gd train --keys`); `class_weight`: None,
    "balanced" or a mapping of classes; `random_state`: the seed; `comm`: None for this process
    alone, "world", or a communicator of mpi4py's; `callback`: is called with each iteration's
    record.

    Attributes: `classes_`; `coef_` (1, d), or (K, d); `intercept_` (1,), or (K,); `n_iter_`;
    `ending_`, `converged_`, `certificate_`, `history_`; `model_`, an mpi_gd.model.Model, whose
    classes are places in `classes_`.
    """

    def __init__(
        self,
        loss: str | Loss = "logistic",
        penalty: Any = "l2",
        *,
        alpha: float = 1e-4,
        l1_ratio: float = 0.5,
        solver: Any = "auto",
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-8,
        class_weight: Any = None,
        random_state: int = 0,
        comm: Any = None,
        callback: Any = None,
    ) -> None:
        """Keep the parameters."""
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight
        self.random_state = random_state
        self.comm = comm
        self.callback = callback

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> LinearClassifier:
        """Fit to X (n, d), an array or sparse, and classes y (n,); collective over `comm`."""
        x, y = validate_data(self, x, y, accept_sparse="csr", dtype=_FLOATS)
        check_classification_targets(y)
        world = world_of(self.comm)
        # A row of weight 0 teaches no class.
        used = slice(None) if sample_weight is None else _weights(sample_weight, x) > 0
        self.classes_ = _all_classes(world, np.unique(y[used]))
        if len(self.classes_) < 2:
            raise ValueError(f"y: got 1 class, {self.classes_[0]!r}, expected two or more")
        loss = _made("loss", LOSSES, self.loss)
        if loss.task == "two classes" and len(self.classes_) > 2:
            if loss != LOSSES["logistic"]():
                raise ValueError(
                    f"Only binary classification is supported with this loss. The type of the "
                    f"target is multiclass: y has {len(self.classes_)} classes; use loss logistic"
                )
            loss = LOSSES["multinomial"]()
        places = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        weight = sample_weight
        if self.class_weight is not None:
            weight = _weights(sample_weight, x)
            weight = weight * self._class_weights(world, places, weight)[places]
        self._run(world, x, places.astype(np.float64), weight, loss)
        coef = self.model_.coef
        self.coef_ = coef.reshape(len(coef), -1).T
        self.intercept_ = np.atleast_1d(self.model_.intercept)
        return self

    def _class_weights(
        self, world: World, places: NDArray[np.intp], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the weight of each class, (K,); collective where they are balanced."""
        n_classes = len(self.classes_)
        if isinstance(self.class_weight, dict):
            given = self.class_weight
            return np.array([given.get(label, 1.0) for label in self.classes_.tolist()])
        if self.class_weight != "balanced":
            raise ValueError(
                f'class_weight: got {self.class_weight!r}, expected None, "balanced" or a mapping'
            )
        sums = [ExactSum() for _ in range(n_classes)]
        for k, own in enumerate(sums):
            own.add(weights[places == k])
        limbs = np.stack([own.limbs() for own in sums])
        world.allreduce_sum(limbs)
        totals = np.array([mean_of_limbs(each, 1) for each in limbs])
        return np.asarray(totals.sum() / (n_classes * totals))

    def decision_function(self, x: Any) -> NDArray[np.float64]:
        """Return the linear predictors of X: (n,) of two classes, (n, K) of more."""
        return self._decision(x)

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the classes (n,) of X (n, d)."""
        z = self._decision(x)
        places = z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)
        return np.asarray(self.classes_[places])

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, x: Any) -> NDArray[np.float64]:
        """Return the classes' probabilities, (n, K)."""
        z = self._decision(x)
        mean = np.asarray(self.model_.loss.inverse_link(z))
        return mean if mean.ndim == 2 else np.column_stack([1.0 - mean, mean])

    def __sklearn_tags__(self) -> Any:
        """Say what the classifier takes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.loss in ("logistic", "multinomial")
        return tags


class LinearRegressor(RegressorMixin, _Linear):  # type: ignore[misc]
    """Estimate numbers by a linear predictor: least squares, counts, amounts, quantiles and others.

    Parameters and attributes are those of LinearClassifier, but for `loss`: "squared", "huber",
    "quantile", "poisson", "gamma", "tweedie" or another name of a loss for numbers, or an object of
    mpi_gd.losses, as Quantile(0.9). `coef_` is (d,), `intercept_` a number.
    """

    def __init__(
        self,
        loss: str | Loss = "squared",
        penalty: Any = "none",
        *,
        alpha: float = 1e-4,
        l1_ratio: float = 0.5,
        solver: Any = "auto",
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-8,
        random_state: int = 0,
        comm: Any = None,
        callback: Any = None,
    ) -> None:
        """Keep the parameters."""
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.comm = comm
        self.callback = callback

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> LinearRegressor:
        """Fit to X (n, d), an array or sparse, and numbers y (n,); collective over `comm`."""
        x, y = validate_data(self, x, y, accept_sparse="csr", dtype=_FLOATS, y_numeric=True)
        loss = _made("loss", LOSSES, self.loss)
        if loss.is_classifier:
            raise JobError(f"loss: {self.loss!r} is for classes; use LinearClassifier")
        y = np.asarray(y, dtype=np.float64)
        self._run(world_of(self.comm), x, y, sample_weight, loss)
        self.coef_, self.intercept_ = self.model_.coef, self.model_.intercept
        return self

    def predict(self, x: Any) -> NDArray[np.float64]:
        """Return the means, or what the loss estimates, (n,), of X (n, d)."""
        z = self._decision(x)
        return np.asarray(self.model_.loss.inverse_link(z))

    def __sklearn_tags__(self) -> Any:
        """Say what the regressor takes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss in _POSITIVE
        return tags


def _made(name: str, registry: Any, given: Any, **fields: Any) -> Any:
    """Return an entry of a registry by its name, or the object that is given.

    Of `fields` it gets those that it has. Raises JobError for a name that is none.
    """
    if not isinstance(given, str):
        return given
    if given not in registry:
        raise JobError(f"{name}: got {given!r}, expected {', '.join(registry)}, or an object")
    kind = registry[given]
    return kind(**{key: value for key, value in fields.items() if key in kind.__dataclass_fields__})


def _weights(given: Any, x: Any) -> NDArray[np.float64]:
    """Return the weights of rows, (n,), ones where none are given; raises ValueError."""
    return np.asarray(_check_sample_weight(given, x, dtype=np.float64), dtype=np.float64)


def _all_classes(world: World, own: NDArray[Any]) -> NDArray[Any]:
    """Return the classes of all ranks' rows, sorted; collective."""
    if world.size == 1:
        return own
    texts = world.gather_small(json.dumps(own.tolist()))
    return np.unique(np.array([label for text in texts for label in json.loads(text)]))
