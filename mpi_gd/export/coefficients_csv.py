"""Coefficients as a table: a line for each column, the intercept first."""

from __future__ import annotations

import csv
import io

import numpy as np

from mpi_gd.model import Model

__all__ = ["contents"]


def contents(model: Model) -> bytes:
    """Return lines of name and coefficient; with K predictors a coefficient for each class."""
    coef = model.coef.reshape(len(model.columns), -1)
    heads = ["coefficient"]
    if coef.shape[1] > 1:
        heads = [f"coefficient of {label}" for label in model.classes or ()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["column", *heads])
    writer.writerow(["(intercept)", *map(repr, np.atleast_1d(model.intercept).tolist())])
    for name, row in zip(model.columns, coef.tolist(), strict=True):
        writer.writerow([name, *map(repr, row)])
    return text.getvalue().encode("utf-8")
