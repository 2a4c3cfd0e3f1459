"""Fit a model for each of many strengths of the penalty, from strong to weak."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd import __version__, pulse
from mpi_gd.archive import pack
from mpi_gd.comm import World
from mpi_gd.commands.jobs import read_shared_job, resolved
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.lost import ending
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.commands.strengths import Fits, fit_strengths
from mpi_gd.config import Job
from mpi_gd.errors import JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import PathOptions
from mpi_gd.penalties import L1, L2, ElasticNet
from mpi_gd.selection.strength import first_strength
from mpi_gd.solvers.path import alpha_grid

__all__ = ["run"]

Floats = NDArray[np.float64]


def run(world: World, options: PathOptions) -> int:
    """Write coefficients and measures of every fit; collective. Return the exit code."""
    began = time.monotonic()
    pulse.start(world, ending(world, Kept()))
    path = Path(options.job)
    job = read_shared_job(world, path, options.overrides)
    if not isinstance(job.penalty, L1 | L2 | ElasticNet):
        raise JobError(
            'penalty.kind: a path is of "l1", "elastic-net" or "l2", whose alpha it changes; '
            "set one of them"
        )
    job = dataclasses.replace(job, penalty=first_strength(job.penalty))
    if not job.loss.is_smooth:
        raise JobError("loss.kind: a path is of losses without kinks; train for each alpha instead")
    setup = set_up(world, job, path.parent, thorough=True)
    fits = fit_strengths(world, setup, lambda largest: _alphas(options, largest))
    out = Path(options.out)
    with world.phase("writing the path", by_root=True):
        if world.is_root:
            write_atomically(out, _contents(setup, fits, path.parent, out.suffix == ".csv"))
    if world.is_root:
        print(_told(setup, fits, time.monotonic() - began))
        print(f"The path is {out}")
    return 0


def _alphas(options: PathOptions, largest: float) -> Floats:
    """Return the path's strengths."""
    largest = options.alpha_max or largest
    if not largest > 0:
        raise JobError(
            "no coefficient is penalized, or none would differ from 0: there is no path; give "
            "--alpha-max"
        )
    return alpha_grid(largest, options.n_alphas, options.eps)


def _originals(setup: Setup, points: Floats) -> Iterator[tuple[Floats, float | Floats]]:
    """Yield coefficients and intercepts on the data's own scale."""
    for point in points:
        yield setup.scaling.to_original(point)


def _contents(setup: Setup, fits: Fits, base: Path, as_csv: bool) -> bytes:
    """Return the bytes of the file."""
    found = list(_originals(setup, fits.points))
    coef = np.stack([w for w, _ in found])
    intercept = np.array([b for _, b in found])
    n_nonzero = np.count_nonzero(coef.reshape(len(coef), -1), axis=1)
    measures = {
        "alphas": fits.alphas,
        "objective": fits.objectives,
        "loss": fits.losses,
        "explained": fits.explained,
        "n_nonzero": n_nonzero,
        "criterion": fits.criteria,
    }
    if as_csv:
        return _csv(setup, measures, coef, intercept)
    job: Job = setup.job
    names = {"columns": list(setup.data.columns), "classes": setup.classes}
    return pack(
        {**measures, "coef": coef, "intercept": intercept},
        {**names, "job": resolved(job, base), "mpi_gd": __version__},
    )


def _csv(setup: Setup, measures: dict[str, Floats], coef: Floats, intercept: Floats) -> bytes:
    """Return a line for each alpha; of several outputs the columns are named column:label."""
    columns = setup.data.columns
    labels = [f":{label}" for label in setup.classes or ()] if coef.ndim == 3 else [""]
    names = [*measures, *(f"(intercept){label}" for label in labels)]
    names += [f"{column}{label}" for column in columns for label in labels]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    table = [intercept.reshape(len(coef), -1), coef.reshape(len(coef), -1)]
    numbers = np.column_stack([*measures.values(), *table])
    lines = (",".join(map(repr, row)) for row in numbers.tolist())
    return ("\n".join([",".join(quoted), *lines]) + "\n").encode("utf-8")


def _told(setup: Setup, fits: Fits, seconds: float) -> str:
    """Return what people want to know."""
    last = np.count_nonzero(fits.points[-1][: -setup.scaling.n_outputs])
    tol = setup.job.stop.tol
    n_short = int(np.count_nonzero(fits.criteria > tol))
    short = f"; {n_short} of them did not reach stop.tol" if n_short else ""
    return (
        f"{setup.summary}\n{len(fits.alphas)} fits, alpha from {fits.alphas[0]:.6g} to "
        f"{fits.alphas[-1]:.6g}, in {seconds:.3g} s{short}\nThe last: {last} non-zeros, "
        f"{fits.explained[-1]:.4%} of the deviance explained"
    )
