"""A model and the data it is applied to: what predict and evaluate have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.load import Loaded, load
from mpi_gd.commands.weights import offset_of
from mpi_gd.config import change_data, parse_job, parse_override
from mpi_gd.data import DataSpec, open_source
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.names import default_names
from mpi_gd.data.roles import NEEDED, Purpose, is_file
from mpi_gd.errors import DataError, JobError
from mpi_gd.matrix import Dense
from mpi_gd.model import Model, load_model
from mpi_gd.objective import Rows
from mpi_gd.objective.kernel import Kernel

__all__ = ["load_data", "load_shared_model", "predictor", "require_columns"]


def load_shared_model(world: World, path: str, alpha: float = -1.0) -> Model:
    """Read the model on every rank, that for `alpha` if it is 0 or more; collective.

    The same error on all ranks.
    """
    with world.phase("reading the model"):
        model = load_model(path)
        return model if alpha < 0 else model.at(alpha)


def load_data(
    world: World, model: Model, path: str, overrides: tuple[str, ...], *, purpose: Purpose
) -> Loaded:
    """Read `path` as the model's training data were read, but for `overrides`; collective.

    The columns that `purpose` does not need may be missing.
    Raises on all ranks: FileError, DataError (also for other columns than the model's), JobError.
    """
    spec = DataSpec()
    if "job" in model.metadata:
        spec = parse_job(str(model.metadata["job"]), "the model's job").data
    # With .npy a column is another file, which does not come with this one.
    strange = {
        role: name for role, name in spec.named_columns.items() if is_file(name) or is_file(path)
    }
    spec = dataclasses.replace(
        spec.as_trained(model.columns),
        path=path,
        format="auto",
        test="",
        test_target="",
        test_files={},
        test_fraction=0.0,
    ).with_columns(dict.fromkeys(strange, ""))
    spec = change_data(spec, overrides)
    _require_named(strange, path, overrides, purpose)
    with world.phase("reading the model"):
        recipe = model.recipe
    inputs = [each.name for each in recipe.inputs] if recipe else model.columns
    with world.phase(f"opening {path}"):
        spec = _without_unneeded(spec, len(inputs), purpose)
    data = load(world, spec, Path(), purpose=purpose, prepare=recipe or model.columns)
    data = _in_order(model.columns, data)
    require_columns(model.columns, data)
    return data


def _require_named(
    strange: dict[str, str | int], path: str, overrides: tuple[str, ...], purpose: Purpose
) -> None:
    """Raise JobError if a column that is needed was a file of its own, and no other is given."""
    given = {parse_override(item).path[-1] for item in overrides}
    for role, name in strange.items():
        # A target that is not named is missed when the file is opened.
        if role in NEEDED[purpose] and role != "target" and role not in given:
            raise JobError(
                f"{path}: the model was trained with data.{role} = {name!r}, which does not come "
                f"with this file: name it, as in --set data.{role}={role}.npy, or do without it: "
                f'--set data.{role}=""'
            )


def _without_unneeded(spec: DataSpec, n_columns: int, purpose: Purpose) -> DataSpec:
    """Return how to read a file which may lack the columns that are not needed, or have them.

    A file that has as many columns as the training had, `n_columns`, lacks them all.
    """
    unneeded = [role for role in spec.named_columns if role not in NEEDED[purpose]]
    if not unneeded:
        return spec
    plain = spec.with_columns(dict.fromkeys(unneeded, ""))
    bare = open_source(plain, purpose=purpose)
    return plain if bare.n_features == n_columns else spec


def _in_order(expected: Sequence[str], data: Loaded) -> Loaded:
    """Return the data with their columns chosen and put in order by name, where that is needed."""
    found = data.source.columns
    if found == expected or not set(expected) <= set(found):
        return data
    numbers = {name: number for number, name in enumerate(found)}
    places = np.array([numbers[name] for name in expected])
    if not isinstance(data.x, Dense):
        return dataclasses.replace(data, x=data.x.with_columns(places), columns=expected)
    x = aligned_empty((len(data.x), len(expected)), data.x.dtype)
    x[...] = data.x.columns(places)
    return dataclasses.replace(data, x=Dense(x), columns=expected)


def require_columns(expected: Sequence[str], data: Loaded) -> None:
    """Raise DataError, the same on all ranks, unless the data have the columns of the training.

    Columns without names of their own are taken by their order.
    """
    found = data.columns
    is_named = found != default_names(len(found))
    if len(found) != len(expected):
        missing = [repr(name) for name in expected if name not in set(found)] if is_named else []
        lack = f"; the first that is not there is {missing[0]}" if missing else ""
        n = "1 feature" if len(found) == 1 else f"{len(found)} features"
        raise DataError(
            f"{data.source.locate(0)}: got {n}, expected {len(expected)} as in training{lack}; "
            "give the same columns"
        )
    if not is_named:
        return
    for got, wanted in zip(found, expected, strict=True):
        if got != wanted:
            is_shifted = (got, wanted) == ("x1", "x0")
            hint = ", or of LIBSVM data set data.index_base = 0" if is_shifted else ""
            raise DataError(
                f"{data.source.locate(0)}: got the column {got!r} where the training had "
                f"{wanted!r}; give the same columns in the same order{hint}"
            )


def predictor(model: Model, data: Loaded) -> NDArray[np.float64]:
    """Return z = X coef + intercept + offset of the local rows, block by block of the row grid."""
    rows = Rows(
        data.grid,
        data.first_tile,
        data.last_tile,
        data.x,
        target=np.empty(0),
        offset=offset_of(data),
    )
    n_outputs = model.loss.n_outputs(len(model.classes or ()))
    return Kernel(rows, model.loss, n_outputs).predictor(model.coef, model.intercept)
