"""Scores of a model on labelled rows, and how people are shown them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.apply import predictor
from mpi_gd.commands.load import Loaded
from mpi_gd.commands.response import check_trials, read_response
from mpi_gd.commands.weights import weight_of
from mpi_gd.evaluation import Scores, evaluate
from mpi_gd.model import Model

__all__ = ["format_scores", "score", "score_all"]

_NAMES = {"auc": "AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R2", "log_loss": "log loss"}


def score(
    world: World,
    model: Model,
    data: Loaded,
    y: NDArray[np.float64],
    counted: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score the model on the rows that count, all by default, by their weight; collective.

    The weights of classes, which are the training's, have no part in it.
    """
    weight = weight_of(data)
    if counted is not None:
        weight = counted.astype(np.float64) if weight is None else np.where(counted, weight, 0.0)
    z = predictor(model, data)
    return evaluate(world, model.loss, y, z, weight, data.tile_sizes, data.grid.n_tiles)


def score_all(world: World, model: Model, data: Loaded) -> Scores:
    """Score the model on all rows, whose target is checked first; collective."""
    check_trials(data, model.loss)
    return score(world, model, data, read_response(world, data, model.loss, model.classes))


def format_scores(scores: Scores) -> str:
    """Return the scores on one line."""
    shown = [
        f"{_NAMES.get(name, name)} {value:.6g}" for name, value in scores.items() if name != "n"
    ]
    shown += [f"{_NAMES.get(name, name)}: {why}" for name, why in scores.omitted.items()]
    return f"{scores['n']:,} rows: " + ", ".join(shown)
