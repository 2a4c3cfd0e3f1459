"""Score a model on a data file that has the target."""

from __future__ import annotations

import json

from mpi_gd.comm import World
from mpi_gd.commands.apply import load_data, load_shared_model
from mpi_gd.commands.score import describe_scores, score_all
from mpi_gd.options import EvaluateOptions

__all__ = ["run"]


def run(world: World, options: EvaluateOptions) -> int:
    """Print the scores; collective. Return the exit code."""
    model = load_shared_model(world, options.model, options.alpha)
    data = load_data(world, model, options.data, options.overrides, purpose="score")
    scores = score_all(world, model, data)
    if world.is_root:
        if options.json:
            print(json.dumps(scores.as_json()))
        else:
            print("On " + "\n".join(describe_scores(scores)))
    return 0
