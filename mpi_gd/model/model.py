"""The linear model itself, apart from its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import ModelError
from mpi_gd.losses import Loss
from mpi_gd.model.labels import as_labels
from mpi_gd.model.path import ModelPath

if TYPE_CHECKING:
    from mpi_gd.prepare.recipe import Recipe

__all__ = ["Model"]

# A block of rows in float64 that stays in the cache between its conversion and its product.
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Model:
    """A linear predictor z = X @ coef + intercept and the loss it was trained with.

    Where the loss has a predictor for each of K classes, `coef` is (d, K), `intercept` and z have K
    columns. An offset that the training added to z is not part of it: add it to `decision`.

    Raises ModelError when the parts do not fit together or a coefficient is not finite.
    """

    coef: NDArray[np.float64]
    """(d,) or (d, K), on the scale of the data as they were read."""
    intercept: float | NDArray[np.float64]
    """A number, or (K,)."""
    loss: Loss
    columns: Sequence[str]
    """The d features' names, in the order of `coef`."""
    target_name: str = "y"
    classes: tuple[str, ...] | None = None
    """A classifier's labels as text; of two, the second is the one whose probability is given."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the training run recorded, as JSON."""
    path: ModelPath | None = None
    """The models for other strengths of the penalty, where a path of them was trained."""

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        coef, classes = np.asarray(self.coef), self.classes
        n_outputs = self.loss.n_outputs(len(classes or ()))
        expected = ("d",) if n_outputs == 1 else ("d", n_outputs)
        if coef.ndim != len(expected) or coef.dtype != np.float64 or coef.shape[1:] != expected[1:]:
            raise ModelError(
                f"coef: got {coef.dtype} of shape {coef.shape}, expected float64 of shape "
                f"({', '.join(map(str, expected))})"
            )
        if np.shape(self.intercept) != coef.shape[1:]:
            raise ModelError(
                f"intercept: got the shape {np.shape(self.intercept)}, expected {coef.shape[1:]}"
            )
        if len(self.columns) != len(coef):
            raise ModelError(f"got {len(self.columns)} column names for {len(coef)} coefficients")
        if not (np.isfinite(coef).all() and np.isfinite(self.intercept).all()):
            raise ModelError("a coefficient is not a finite number: the training has diverged")
        if self.path and self.path.coef.shape[1:] != coef.shape:
            raise ModelError(f"path: got coefficients of shape {self.path.coef.shape[1:]}")
        if (classes is not None) != self.loss.is_classifier:
            wanted = "labels" if self.loss.is_classifier else "no labels"
            raise ModelError(f"classes: got {classes!r}, expected {wanted} with this loss")
        if classes is None:
            return
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise ModelError(f"classes: got {classes!r:.200}, expected different labels")
        if len(classes) > 2 and self.loss.task == "two classes":
            raise ModelError(f"classes: got {len(classes)} labels, expected 2 with this loss")

    def at(self, alpha: float) -> Model:
        """Return the model for another strength of the penalty, from the path.

        Raises ModelError where it has none, or none that weak.
        """
        if self.path is None:
            raise ModelError(
                'alpha: this model has no path of strengths; train one with penalty.alpha = "path"'
            )
        coef, intercept = self.path.at(alpha)
        return replace(self, coef=coef, intercept=intercept, path=None)

    @property
    def n_features(self) -> int:
        """Return d, the number of coefficients without the intercept."""
        return len(self.coef)

    @property
    def labels(self) -> NDArray[Any]:
        """Return the labels, (K,): int64 or float64 if they are numbers, else text."""
        if self.classes is None:
            raise ModelError("this model predicts numbers and has no labels")
        return as_labels(self.classes)

    @property
    def recipe(self) -> Recipe | None:
        """Return what makes X of columns as they are in a file; None if these are X.

        `model.predict(model.recipe.apply(columns))`, for columns by name: `mpi_gd.data.columns`.
        Raises ModelError when it is damaged.
        """
        if "prepare" not in self.metadata:
            return None
        # Most models have none.
        from mpi_gd.prepare.recipe import Recipe

        return Recipe.from_json(self.metadata["prepare"])

    def decision(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return z = X @ coef + intercept, (n,) or (n, K), for X (n, d) of any number type.

        X is converted block by block, so memory beyond z stays at about 1 MiB. The bits of z
        depend on where X begins: give whole tiles of the row grid to have the same bits anywhere.
        Raises ModelError for another number of columns and for a value that is not finite.
        """
        x = self._checked(x)
        z = np.empty((len(x), *self.coef.shape[1:]))
        # Multiples of 8 rows keep the matrix product's own blocks whole.
        step = max(8, _BLOCK_BYTES // (8 * max(1, self.n_features)) // 8 * 8)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below, with the row
            for start in range(0, len(x), step):
                block = np.asarray(x[start : start + step], dtype=np.float64, order="C")
                np.dot(block, self.coef, out=z[start : start + step])
            z += self.intercept
        # A NaN or an infinity in a row of X always shows in its z (infinity times 0 is NaN).
        finite = np.isfinite(z) if z.ndim == 1 else np.isfinite(z).all(axis=1)
        if not finite.all():
            raise ModelError(self._not_finite(x, int(np.argmin(finite))))
        return z

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the predicted labels or values, (n,), for X (n, d). Raises as `decision` does."""
        return self.predict_from_decision(self.decision(x))

    def predict_from_decision(self, z: NDArray[np.float64]) -> NDArray[Any]:
        """Return labels or values, (n,), for z (n,) or (n, K).

        Of two labels the second one where z > 0, of more the one with the largest z.
        """
        if z.ndim == 2:
            return np.asarray(self.labels[z.argmax(axis=1)])
        if self.loss.is_classifier:
            return self.labels[(z > 0).astype(np.intp)]
        return np.asarray(self.loss.inverse_link(z))

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities of the labels, (n, K), for X (n, d).

        Raises as `decision` does, and ModelError when the model has none.
        """
        if not self.loss.is_classifier:
            raise ModelError("this model predicts numbers and has no probabilities; use predict")
        if not self.loss.has_probabilities:
            raise ModelError("this loss gives no probabilities; use decision, or loss logistic")
        mean = np.asarray(self.loss.inverse_link(self.decision(x)))
        return mean if mean.ndim == 2 else np.column_stack([1.0 - mean, mean])

    def _checked(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return X as an array if it has the model's columns and holds numbers."""
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.n_features:
            names = ", ".join(self.columns[:5]) + (", ..." if self.n_features > 5 else "")
            raise ModelError(
                f"got X of shape {x.shape}, expected (n, {self.n_features}): "
                f"the model was trained on the columns {names or '(none)'}"
            )
        if x.dtype.kind not in "biuf":
            raise ModelError(f"got X of dtype {x.dtype}, expected numbers")
        return x

    def _not_finite(self, x: NDArray[Any], row: int) -> str:
        """Say what is wrong with row `row` of X (n, d), whose z is not finite."""
        bad = np.flatnonzero(~np.isfinite(x[row].astype(np.float64)))
        what = "gives a sum that overflows"
        if bad.size:
            what = f"holds {x[row, bad[0]]} in column {self.columns[bad[0]]!r}"
        return f"row {row} of X {what}; expected finite numbers (repair or remove the row)"
