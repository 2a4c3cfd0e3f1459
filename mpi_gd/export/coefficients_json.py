"""Coefficients as JSON, each number with all its digits."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from mpi_gd.losses import LOSSES
from mpi_gd.model import Model

__all__ = ["contents"]


def contents(model: Model) -> bytes:
    """Return an object: loss, target, classes, intercept, coefficients by name.

    With K > 1 predictors intercept and coefficients are lists of K, in the order of the classes.
    """
    kind = next(kind for kind, cls in LOSSES.items() if type(model.loss) is cls)
    coef = model.coef.tolist()
    document = {
        "loss": {"kind": kind, **dataclasses.asdict(model.loss)},
        "target": model.target_name,
        "classes": model.classes,
        "intercept": np.asarray(model.intercept).tolist(),
        "coefficients": dict(zip(model.columns, coef, strict=True)),
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8")
