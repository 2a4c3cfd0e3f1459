"""The peers: how each is told to minimize a problem, and how tight its tolerance must be.

A contender's ladder are its settings from the loosest to the tightest: the first that reaches the
gap counts. Every fit gets rows that are in memory, and returns coefficients and intercept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.objective import alphas_of
from tests.benchmarks.problems import Problem

__all__ = ["PEERS", "Peer"]

Floats = NDArray[np.float64]
Settings = dict[str, float]
Found = tuple[Floats, Any]

N_THREADS = 2
# Snap ML's intercept is the coefficient of a column of this constant, and penalized like the
# others: the larger, the less of a penalty, and at 3 none that shows. Its `intercept_` is that
# coefficient, which the constant is still to be multiplied with.
_SNAP_CONSTANT = 3.0
_MOST_ITERATIONS = 10_000


@dataclass(frozen=True)
class Peer:
    """A contender on one problem."""

    package: str
    """What must be installed, as pip calls it."""
    fit: Callable[[Problem, Any, Floats, Settings], Found]
    ladder: tuple[Settings, ...]


def _tols(*tols: float) -> tuple[Settings, ...]:
    """Return a ladder of tolerances."""
    return tuple({"tol": tol} for tol in tols)


def _penalized(cls: Any, **fixed: Any) -> Callable[[Problem, Any, Floats, Settings], Found]:
    """Return the fit of a logistic regression whose penalty is 1 / C, beside a sum over rows."""

    def fit(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
        c = 1.0 / (problem.alpha * len(y))
        model = cls()(C=c, tol=settings["tol"], max_iter=_MOST_ITERATIONS, **fixed).fit(x, y)
        if problem.loss == "multinomial":
            return np.asarray(model.coef_).T, np.asarray(model.intercept_)
        return np.asarray(model.coef_[0]), float(model.intercept_[0])

    return fit


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression


def _intel_logistic() -> Any:
    from sklearnex.linear_model import LogisticRegression

    return LogisticRegression


def _snap(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
    from snapml import LogisticRegression

    model = LogisticRegression(
        regularizer=problem.alpha * len(y),
        dual=True,
        n_jobs=N_THREADS,
        max_iter=_MOST_ITERATIONS,
        tol=settings["tol"],
        fit_intercept=True,
        intercept_scaling=_SNAP_CONSTANT,
    ).fit(x, y)
    intercept = _SNAP_CONSTANT * float(np.ravel(model.intercept_)[0])
    return np.asarray(model.coef_).reshape(-1), intercept


def _glum(family: str) -> Callable[[Problem, Any, Floats, Settings], Found]:
    """Return the fit of glum's iteratively reweighted least squares."""

    def fit(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(
            family=family,
            alpha=problem.alpha,
            l1_ratio=0.0,
            gradient_tol=settings["tol"],
            max_iter=1000,
        ).fit(x, y)
        return np.asarray(model.coef_), float(model.intercept_)

    return fit


def _poisson(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
    from sklearn.linear_model import PoissonRegressor

    tol = settings["tol"]
    model = PoissonRegressor(alpha=problem.alpha, solver="newton-cholesky", tol=tol, max_iter=1000)
    model.fit(x, y)
    return np.asarray(model.coef_), float(model.intercept_)


def _ridge(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=problem.alpha * len(y), solver="cholesky").fit(x, y)
    return np.asarray(model.coef_), float(model.intercept_)


def _intel_ridge(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
    from sklearnex.linear_model import Ridge

    model = Ridge(alpha=problem.alpha * len(y)).fit(x, y)
    return np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])


def _lasso_path(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
    from sklearn.linear_model import lasso_path

    alphas = alphas_of(problem, x, y)
    _, coefs, _ = lasso_path(x, y, alphas=alphas, tol=settings["tol"], max_iter=_MOST_ITERATIONS)
    return np.asarray(coefs), 0.0


def _spark(problem: Problem, x: Any, y: Floats, settings: Settings) -> Found:
    """Fit rows that `spark.prepare` has put into Spark's memory."""
    from pyspark.ml.classification import LogisticRegression

    model = LogisticRegression(
        regParam=problem.alpha,
        elasticNetParam=0.0,
        standardization=False,
        tol=settings["tol"],
        maxIter=1000,
    ).fit(x)
    return np.asarray(model.coefficients.toArray()), float(model.intercept)


_LBFGS = _tols(1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
_NEWTON = _tols(1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
_SKLEARN, _INTEL = "scikit-learn", "scikit-learn-intelex"


def _entries() -> Iterable[tuple[str, str, Peer]]:
    """Yield problem, contender's name and contender."""
    cholesky = Peer(_SKLEARN, _penalized(_logistic, solver="newton-cholesky"), _NEWTON)
    lbfgs = Peer(_SKLEARN, _penalized(_logistic, solver="lbfgs"), _LBFGS)
    newton_cg = Peer(_SKLEARN, _penalized(_logistic, solver="newton-cg"), _NEWTON)
    intel = Peer(_INTEL, _penalized(_intel_logistic, solver="lbfgs"), _LBFGS)
    snap = Peer("snapml", _snap, _tols(1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8))
    yield "logistic", "Snap ML dual", snap
    yield "logistic", "glum irls", Peer("glum", _glum("binomial"), _NEWTON)
    yield "logistic", "scikit-learn-intelex lbfgs", intel
    yield "logistic", "scikit-learn newton-cholesky", cholesky
    yield "logistic", "scikit-learn lbfgs", lbfgs
    yield "logistic", "Spark", Peer("pyspark", _spark, _tols(1e-6, 1e-8, 1e-10, 1e-12))
    yield "ridge", "scikit-learn-intelex", Peer(_INTEL, _intel_ridge, _tols(0.0))
    yield "ridge", "scikit-learn cholesky", Peer(_SKLEARN, _ridge, _tols(0.0))
    yield "ridge", "glum irls", Peer("glum", _glum("normal"), _NEWTON)
    yield "lasso", "scikit-learn lasso_path", Peer(_SKLEARN, _lasso_path, _tols(1e-4, 1e-6, 1e-8))
    yield "multinomial", "scikit-learn newton-cg", newton_cg
    yield "multinomial", "scikit-learn lbfgs", lbfgs
    yield "multinomial", "scikit-learn newton-cholesky", cholesky
    yield "poisson", "glum irls", Peer("glum", _glum("poisson"), _NEWTON)
    yield "poisson", "scikit-learn newton-cholesky", Peer(_SKLEARN, _poisson, _NEWTON)
    yield "sparse", "Snap ML dual", snap
    yield "sparse", "scikit-learn newton-cg", newton_cg
    yield "sparse", "scikit-learn lbfgs", lbfgs


PEERS: dict[str, dict[str, Peer]] = {}
for _problem, _name, _peer in _entries():
    PEERS.setdefault(_problem, {})[_name] = _peer
