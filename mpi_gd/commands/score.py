"""Scores of a model on labelled rows, and how people are shown them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.apply import predictor
from mpi_gd.commands.load import Loaded
from mpi_gd.commands.response import check_roles, read_response
from mpi_gd.commands.tables import format_cell, format_pairs, format_table
from mpi_gd.commands.weights import weight_of
from mpi_gd.evaluation import METRICS, Scores, evaluate
from mpi_gd.model import Model

__all__ = ["describe_scores", "format_scores", "score", "score_all"]


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
    return evaluate(
        world,
        model.loss,
        y,
        z,
        weight,
        data.tile_sizes,
        data.grid.n_tiles,
        # With another link log(exposure) is a shift, and y no amount for a unit of it.
        exposure=data.extras.get("exposure") if getattr(model.loss, "link", "") == "log" else None,
        labels=model.classes or (),
    )


def score_all(world: World, model: Model, data: Loaded) -> Scores:
    """Score the model on all rows, whose target is checked first; collective."""
    check_roles(data, model.loss)
    return score(world, model, data, read_response(world, data, model.loss, model.classes))


def format_scores(scores: Scores) -> str:
    """Return the main numbers on one line."""
    shown = [f"{METRICS[name].title} {_value(scores, name)}" for name in scores.headlines]
    return f"{_rows(scores)}: " + ", ".join(shown)


def describe_scores(scores: Scores) -> list[str]:
    """Return all numbers and tables, and why some are missing, in lines."""
    names = [name for name in METRICS if name in scores and not METRICS[name].is_curve]
    tables = [name for name in names if isinstance(scores[name], list)]
    numbers = [(METRICS[name].title, _value(scores, name)) for name in names if name not in tables]
    lines = [f"{_rows(scores)}:", *format_pairs(numbers)]
    for name in tables:
        table = scores[name]
        if isinstance(table, list):
            lines += ["", METRICS[name].title, *format_table(table)]
    if scores.omitted:
        reasons = [(METRICS[name].title, why) for name, why in scores.omitted.items()]
        lines += ["", "without a value", *format_pairs(reasons)]
    return lines


def _rows(scores: Scores) -> str:
    """Return the number of rows."""
    return f"{scores['n']:,} rows"


def _value(scores: Scores, name: str) -> str:
    """Return a number, or why there is none."""
    return format_cell(scores[name]) if name in scores else f"({scores.omitted[name]})"
