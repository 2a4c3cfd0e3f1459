"""The models for many strengths of a penalty, of which a model is the chosen one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import ModelError

__all__ = ["ModelPath"]

Floats = NDArray[np.float64]

_VERSION = 1
_PREFIX = "path_"
_ARRAYS = ("alphas", "coef", "intercept", "explained", "criterion", "score", "error")
_NEEDED = 5


@dataclass(frozen=True, eq=False)
class ModelPath:
    """The K models of a path, from the strongest penalty to the weakest.

    Raises ModelError when the parts do not fit together.
    """

    alphas: Floats
    """(K,), falling."""
    coef: Floats
    """(K, d), or (K, d, L) with L outputs, on the scale of the data as they were read."""
    intercept: Floats
    """(K,), or (K, L)."""
    explained: Floats
    """(K,): the share of the deviance, beyond that of the model without penalized coefficients."""
    criterion: Floats
    """(K,): what was left of the gradient on the way along, as a share, which `stop.tol` limits."""
    chosen: int
    """Which of them is the model."""
    score: Floats | None = None
    """(K,): what it was chosen by."""
    error: Floats | None = None
    """(K,): the score's standard error, of a cross-validation."""
    metric: str = ""
    """The score's name; empty where there is none, and the last one was chosen."""
    alpha_min: float | None = None
    """The strength with the best score: glmnet's lambda.min."""
    alpha_1se: float | None = None
    """The largest strength within one standard error of it: glmnet's lambda.1se."""
    ended: str = ""
    """Why the path ended before its last strength."""

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        n = len(self.alphas)
        lengths = {len(each) for each in (self.coef, self.intercept)}
        lengths |= {len(self.explained), len(self.criterion)}
        lengths |= {len(each) for each in (self.score, self.error) if each is not None}
        if n < 1 or lengths != {n} or not 0 <= self.chosen < n:
            raise ModelError(f"path: got {n} strengths and arrays of {sorted(lengths)} models")
        if self.alphas.ndim != 1 or bool((np.diff(self.alphas) >= 0).any()):
            raise ModelError("path: the strengths are not falling")
        if not (np.isfinite(self.coef).all() and np.isfinite(self.intercept).all()):
            raise ModelError("path: a coefficient is not a finite number")

    @property
    def alpha(self) -> float:
        """Return the strength that was chosen."""
        return float(self.alphas[self.chosen])

    @property
    def n_nonzero(self) -> NDArray[np.int64]:
        """Return how many coefficients of each model are not 0, (K,)."""
        flat = self.coef.reshape(len(self.coef), -1)
        return np.asarray(np.count_nonzero(flat, axis=1), dtype=np.int64)

    def at(self, alpha: float) -> tuple[Floats, float | Floats]:
        """Return coefficients and intercept for a strength; between two of the path's, a mixture.

        Linear in alpha, as glmnet's `predict` does it; above the first strength the first model.
        Raises ModelError below the last one.
        """
        first, last = float(self.alphas[0]), float(self.alphas[-1])
        if not alpha >= last:
            raise ModelError(f"alpha: got {alpha}, expected {last!r} or more: the path ends there")
        k = int(np.searchsorted(-self.alphas, -min(alpha, first)))
        coef, intercept = self.coef[k], self.intercept[k]
        if self.alphas[k] != min(alpha, first):
            upper, lower = self.alphas[k - 1], self.alphas[k]
            share = (alpha - lower) / (upper - lower)
            coef = share * self.coef[k - 1] + (1.0 - share) * coef
            intercept = share * self.intercept[k - 1] + (1.0 - share) * intercept
        return coef, float(intercept) if np.ndim(intercept) == 0 else intercept

    def with_chosen(self, coef: Floats, intercept: float | Floats) -> ModelPath:
        """Return the path with the chosen model as it was trained in the end."""
        coefs, intercepts = self.coef.copy(), self.intercept.copy()
        coefs[self.chosen], intercepts[self.chosen] = coef, intercept
        return replace(self, coef=coefs, intercept=intercepts)

    def summary(self) -> dict[str, Any]:
        """Return what is to be known of it at a glance, as JSON."""
        return {
            "strengths": len(self.alphas),
            "alpha": self.alpha,
            "alpha_max": float(self.alphas[0]),
            "alpha_last": float(self.alphas[-1]),
            "alpha_min": self.alpha_min,
            "alpha_1se": self.alpha_1se,
            "chosen_by": self.metric or "the last strength",
            "score": None if self.score is None else float(self.score[self.chosen]),
            "explained": float(self.explained[self.chosen]),
            "n_nonzero": int(self.n_nonzero[self.chosen]),
            "ended": self.ended,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a model's file."""
        named = {name: getattr(self, name) for name in (*_ARRAYS, "n_nonzero")}
        return {_PREFIX + name: each for name, each in named.items() if each is not None}

    def document(self) -> dict[str, Any]:
        """Return what a model's file says of it beside the arrays."""
        return {
            "version": _VERSION,
            "chosen": self.chosen,
            "metric": self.metric,
            "alpha_min": self.alpha_min,
            "alpha_1se": self.alpha_1se,
            "ended": self.ended,
        }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], document: Any) -> ModelPath | None:
        """Return the path of a file's arrays and document, if it has one. Raises ModelError.

        One of a later version is passed over: the model itself can be used without it.
        """
        if not isinstance(document, dict) or document.get("version") != _VERSION:
            return None
        parts = {name: arrays.get(_PREFIX + name) for name in _ARRAYS}
        needed = [parts[name] for name in _ARRAYS[:_NEEDED]]
        if any(each is None or each.dtype != np.float64 for each in needed):
            raise ModelError("path: its arrays of float64 are not all there")
        names = ("chosen", "metric", "alpha_min", "alpha_1se", "ended")
        told: dict[str, Any] = {name: document.get(name) for name in names}
        if type(told["chosen"]) is not int:
            raise ModelError(f"path: chosen: got {told['chosen']!r:.60}, expected a number")
        made: dict[str, Any] = {**parts, **told}
        return cls(**made)
