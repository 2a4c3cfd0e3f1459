"""Make up a problem of known coefficients: the rows, the job that trains on them, the truth."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mpi_gd.comm import World
from mpi_gd.commands.written import require_free, write_source
from mpi_gd.config import Job, dump_job, parse_job
from mpi_gd.config.dump import literal
from mpi_gd.errors import JobError
from mpi_gd.files import write_atomically
from mpi_gd.losses import LOSSES
from mpi_gd.options import GenerateOptions
from mpi_gd.synthetic import Problem, SyntheticSource

__all__ = ["run"]

_USUAL = '[data]\npath = "x"\n[loss]\nkind = "squared"\n'


def run(world: World, options: GenerateOptions) -> int:
    """Write the rows, the job and the truth; collective. Return the exit code."""
    out = Path(options.out)
    job_path, truth_path = out.with_suffix(".toml"), out.with_name(f"{out.stem}-truth.json")
    with world.phase("making up the problem"):
        problem = _problem(options)
        source = SyntheticSource(problem, options.dtype)
    with world.phase("making up the problem", by_root=True):
        if world.is_root:
            require_free([job_path, truth_path], options.force)
    lines = write_source(world, source, out, force=options.force, unit=source.tile_rows)
    with world.phase("writing the job", by_root=True):
        if world.is_root:
            write_atomically(truth_path, _truth(source, options).encode())
            write_atomically(job_path, _short(_job(options, lines)).encode())
    if world.is_root:
        shape = f"{problem.n_rows:,} rows x {problem.n_columns:,} columns"
        print(f"{shape} are in {out}, their coefficients in {truth_path}; train them: {job_path}")
    return 0


def _problem(options: GenerateOptions) -> Problem:
    """Return what is asked for; raises JobError."""
    if options.loss not in LOSSES:
        raise JobError(f"--loss: got {options.loss!r}, expected one of {', '.join(LOSSES)}")
    informative = int(options.informative)
    if informative > options.columns:
        raise JobError(
            f"--informative: got {informative:,}, expected at most {options.columns:,.0f}, the "
            "columns"
        )
    return Problem(
        int(options.rows),
        int(options.columns),
        _job(options, {"path": options.out}).loss,
        density=options.density,
        correlation=options.correlation,
        decades=options.scales,
        n_classes=options.classes,
        noise=options.noise,
        signal=options.signal,
        n_informative=informative,
        trials=options.trials,
        seed=options.seed,
    )


def _job(options: GenerateOptions, lines: Mapping[str, str]) -> Job:
    """Return a job that trains on the rows, which the keys `lines` of [data] read."""
    data = "\n".join(f"{key} = {literal(value)}" for key, value in lines.items())
    text = f"[data]\n{data}\n[loss]\nkind = {literal(options.loss)}\n"
    return parse_job(text, "the job", options.overrides)


def _short(job: Job) -> str:
    """Return the text of a job without the keys that are what they are by default."""
    found = tomllib.loads(dump_job(job))
    usual = tomllib.loads(dump_job(parse_job(_USUAL, "the job")))
    del usual["data"]["path"], usual["loss"]["kind"]
    top, tables = "", []
    for name, value in found.items():
        if not isinstance(value, dict):
            top += f"{name} = {literal(value)}\n" if usual[name] != value else ""
            continue
        changed = {key: each for key, each in value.items() if usual[name].get(key) != each}
        if changed:
            rows = "".join(f"{key} = {literal(each)}\n" for key, each in changed.items())
            tables.append(f"[{name}]\n{rows}")
    return "\n".join([*filter(None, [top]), *tables])


def _truth(source: SyntheticSource, options: GenerateOptions) -> str:
    """Return the coefficients that are not 0, by column, and how they came about."""
    problem = source.problem
    is_one = problem.n_outputs == 1
    coef = {
        source.columns[j]: float(problem.coef[j, 0]) if is_one else problem.coef[j].tolist()
        for j in np.flatnonzero(problem.coef.any(axis=1)).tolist()
    }
    intercept = float(problem.intercept[0]) if is_one else problem.intercept.tolist()
    made = dataclasses.asdict(options) | {"out": Path(options.out).name}
    return json.dumps({"intercept": intercept, "coef": coef, "made_by": made}, indent=1) + "\n"
