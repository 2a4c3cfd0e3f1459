"""A model and the data it is applied to: what predict and evaluate have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.load import Loaded, load
from mpi_gd.config import change_data, parse_job
from mpi_gd.data import DataSpec, open_source
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.errors import DataError
from mpi_gd.matrix import Dense
from mpi_gd.model import Model, load_model
from mpi_gd.objective import Rows
from mpi_gd.objective.kernel import Kernel

__all__ = ["load_data", "load_shared_model", "predictor", "require_columns"]


def load_shared_model(world: World, path: str) -> Model:
    """Read the model on every rank; collective, the same error on all ranks."""
    with world.phase("reading the model"):
        return load_model(path)


def load_data(
    world: World, model: Model, path: str, overrides: tuple[str, ...], *, labelled: bool
) -> Loaded:
    """Read `path` as the model's training data were read, but for `overrides`; collective.

    Raises on all ranks: FileError, DataError (also for other columns than the model's), JobError.
    """
    spec = DataSpec()
    if "job" in model.metadata:
        spec = parse_job(str(model.metadata["job"]), "the model's job").data
    # With .npy the target is the name of another file, which does not come with this one.
    is_pair = str(spec.target).endswith(".npy") or path.endswith(".npy")
    spec = dataclasses.replace(
        spec,
        path=path,
        format="auto",
        test="",
        test_target="",
        test_fraction=0.0,
        target="" if is_pair else spec.target,
    )
    spec = change_data(spec, overrides)
    if not labelled:
        with world.phase(f"opening {path}"):
            spec = _without_target(spec, model)
    data = _in_order(model.columns, load(world, spec, Path(), labelled=labelled))
    require_columns(model.columns, data)
    return data


def _without_target(spec: DataSpec, model: Model) -> DataSpec:
    """Return how to read rows that are to be predicted: they may lack the target, or have it."""
    plain = dataclasses.replace(spec, target="")
    bare = open_source(plain, labelled=False)
    return plain if bare.n_features == len(model.columns) else spec


def _in_order(expected: tuple[str, ...], data: Loaded) -> Loaded:
    """Return the data with their columns chosen and put in order by name, where that is needed."""
    found = data.source.columns
    if found == expected or not set(expected) <= set(found):
        return data
    places = [found.index(name) for name in expected]
    x = aligned_empty((len(data.x), len(expected)), data.x.dtype)
    np.take(data.x, places, axis=1, out=x)
    return dataclasses.replace(data, x=x, columns=expected)


def require_columns(expected: tuple[str, ...], data: Loaded) -> None:
    """Raise DataError, the same on all ranks, unless the data have the columns of the training.

    Columns without names of their own are taken by their order.
    """
    found = data.columns
    if len(found) != len(expected):
        raise DataError(
            f"{data.source.locate(0)}: got {len(found)} features, expected {len(expected)} as in "
            "training; give the same columns"
        )
    if found == tuple(f"x{j}" for j in range(len(found))):
        return
    for got, wanted in zip(found, expected, strict=True):
        if got != wanted:
            raise DataError(
                f"{data.source.locate(0)}: got the column {got!r} where the training had "
                f"{wanted!r}; give the same columns in the same order"
            )


def predictor(model: Model, data: Loaded) -> NDArray[np.float64]:
    """Return z = X coef + intercept of the local rows, block by block of the row grid."""
    rows = Rows(data.grid, data.first_tile, data.last_tile, Dense(data.x), np.empty(0))
    n_outputs = model.loss.n_outputs(len(model.classes or ()))
    return Kernel(rows, model.loss, n_outputs).predictor(model.coef, model.intercept)
