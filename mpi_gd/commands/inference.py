"""The summary table of a training, where one can be made."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpi_gd.comm import World
from mpi_gd.commands.setup import Setup
from mpi_gd.errors import JobError
from mpi_gd.inference import Fit, as_json, as_text, coefficients, infer, require_student
from mpi_gd.losses import Likelihood
from mpi_gd.trainer import Outcome

__all__ = ["check_inference", "summarize"]

# With "auto" longer tables are not made: nobody reads them.
_MOST_AUTO = 100
# More parameters than this have no room for their covariance.
_MOST_PARAMS = 5000


def check_inference(world: World, setup: Setup) -> None:
    """Raise JobError, on all ranks, if the job asks for standard errors that do not exist."""
    with world.phase("planning the standard errors"):
        _kind(setup)


def _kind(setup: Setup) -> str:
    """Return the kind of covariance, "none" for none; raises JobError."""
    job, n_params = setup.job, setup.objective.n_params
    kind, loss = job.inference.covariance, job.loss
    if kind == "none":
        return kind
    reason = ""
    is_student = kind in ("auto", "fisher") and isinstance(loss, Likelihood) and not loss.dispersion
    if not setup.penalty.is_smooth:
        reason = "the penalty has kinks or bounds, and no standard errors are known for it"
    elif not loss.is_smooth:
        reason = "the loss has kinks"
    elif kind in ("auto", "fisher") and not isinstance(loss, Likelihood):
        reason = 'the loss is no likelihood; use "hc1"'
    elif kind == "cluster" and setup.clusters is None:
        reason = "name the column of the clusters: data.cluster"
    elif n_params > _MOST_PARAMS:
        reason = f"there are {n_params} parameters, expected at most {_MOST_PARAMS}"
    elif is_student and not _has_student():
        reason = 'Student\'s distribution needs SciPy: pip install "mpi_gd[stats]"'
    if kind == "auto":
        is_penalized = bool(setup.penalty.hessian_diagonal().any())
        return "none" if reason or is_penalized or n_params > _MOST_AUTO else "fisher"
    if reason:
        raise JobError(f"inference.covariance = {kind!r}: {reason}")
    return kind


def _has_student() -> bool:
    """Whether Student's distribution is there."""
    try:
        require_student()
    except ImportError:
        return False
    return True


def summarize(world: World, setup: Setup, outcome: Outcome) -> tuple[dict[str, Any], str]:
    """Return the table for summary.json and for people, both empty if none is wanted; collective.

    Only the root's are whole.
    """
    kind = _kind(setup)
    step = outcome.step
    if kind == "none" or step is None:
        return {}, ""
    k, scaling = setup.scaling.n_outputs, setup.scaling
    penalty_hessian = np.append(setup.penalty.hessian_diagonal(), np.zeros(k))
    found = infer(
        world,
        Fit(
            setup.objective,
            setup.rows,
            setup.y,
            setup.job.loss,
            scaling,
            step.u,
            setup.free,
            penalty_hessian,
            setup.rank is not None,
            setup.clusters,
            setup.data.extras.get("trials"),
        ),
        kind,
    )
    if not world.is_root:
        return {}, ""
    notes = []
    if penalty_hessian.any():
        notes.append("the penalty draws the estimates to 0, which they do not account for")
    if not outcome.ending.is_converged:
        notes.append("the training has not converged")
    estimates = scaling.to_original_matrix() @ step.u
    names = _names(setup)
    # The intercepts first, as people know it; none if there is none.
    order = [*range(len(names) - k, len(names)), *range(len(names) - k)]
    lines = coefficients(found, estimates, names, setup.job.inference.level)
    shown = [lines[place] for place in order if place < len(names) - k or setup.job.intercept]
    level, note = setup.job.inference.level, ", and ".join(notes)
    return as_json(found, shown, level, note), as_text(found, shown, level, note)


def _names(setup: Setup) -> list[str]:
    """Return the parameters' names, in the order of u."""
    names = [*setup.data.columns, "(intercept)"]
    if setup.scaling.n_outputs == 1:
        return names
    return [f"{label}: {name}" for name in names for label in setup.classes or ()]
