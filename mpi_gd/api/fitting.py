"""Fit a job from Python: its data, or arrays in memory; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.api.rows import take_rows
from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands.jobs import read_shared_job, require_same_job
from mpi_gd.commands.load import Loaded
from mpi_gd.commands.results import model_of, scores_of
from mpi_gd.commands.setup import set_up
from mpi_gd.commands.train import rules_of
from mpi_gd.config import Job, dump_job, make_job
from mpi_gd.errors import DataError, JobError
from mpi_gd.evaluation import Scores
from mpi_gd.model import Model
from mpi_gd.objective import Certificate
from mpi_gd.prepare import PrepareSpec
from mpi_gd.trainer import Ballot, Course, Record, train

if TYPE_CHECKING:
    from mpi4py import MPI

__all__ = ["Fit", "fit", "world_of"]

IN_MEMORY = "in memory"


@dataclass(frozen=True, eq=False)
class Fit:
    """What a training found, the same on all ranks."""

    model: Model
    ending: str
    """Why it ended, in words."""
    converged: bool
    certificate: Certificate
    """What is certain of the objective."""
    history: tuple[Record, ...]
    """The iterations, the start first."""
    scores: Mapping[str, Scores]
    """Scores by the rows that they are of: "held-out", "test"."""
    remarks: tuple[str, ...]
    """What was decided on the way, as the solver that was chosen, and why."""


def fit(
    job: Job | Mapping[str, Any] | str | PathLike[str],
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    columns: Sequence[str] = (),
    comm: MPI.Intracomm | str | None = None,
    callback: Callable[[Record], object] | None = None,
) -> Fit:
    """Train as a job says, on its data or on arrays in memory; collective over `comm`.

    `job` is the path of a job file, a `Job`, or its tables as a mapping; paths in the last two are
    relative to the working directory. `x` (n, d), an array or a sparse matrix of SciPy's, and `y`
    (n,) are this process's own rows, n may differ; with them the job names no data. `sample_weight`
    and `offset` are (n,). `comm`: None for this process alone, "world" for all processes that MPI
    has started, or a communicator of mpi4py's. `callback` gets each iteration's record, on all
    ranks. The result is the same, bit for bit, for any number of ranks and any division of the
    rows, as long as their order is the same.
    Raises, on all ranks: JobError, DataError, FileError, Diverged.
    """
    world = world_of(comm)
    extras = {"weight": sample_weight, "offset": offset}
    is_given = y is not None or any(values is not None for values in extras.values())
    if x is None and (is_given or len(columns)):
        raise JobError("fit: got y, weights, offsets or names without x; give x too, or none")
    made, base = _job(world, job, in_memory=x is not None)
    data = None if x is None else _rows(world, made, x, y, extras, columns)
    return run(world, made, base, data, callback)


def run(
    world: World,
    job: Job,
    base: Path,
    data: Loaded | None,
    callback: Callable[[Record], object] | None = None,
) -> Fit:
    """Train on rows that are read, or on those that the job names; collective."""
    setup = set_up(world, job, base, data=data)
    history: list[Record] = []

    def note(record: Record) -> None:
        history.append(record)
        if callback:
            callback(record)

    certifier = setup.certifier(world)
    outcome = train(
        setup.objective,
        setup.solver,
        Course(setup.solver.start(setup.objective.problem, setup.start)),
        tol=max(job.stop.tol, setup.objective.rounding),
        max_iter=job.stop.max_iter,
        ballot=Ballot(world.is_root, lambda: False),
        on_step=note,
        on_save=lambda: None,
        rules=rules_of(setup, certifier if job.stop.gap_tol else None),
    )
    if outcome.step is None or outcome.record is None:
        raise RuntimeError("the training ended without an iterate")
    model = model_of(setup, outcome, outcome.record)
    return Fit(
        model=model,
        ending=outcome.ending.value + (f": {outcome.detail}" if outcome.detail else ""),
        converged=outcome.ending.is_converged,
        certificate=certifier.certify(outcome.step),
        history=tuple(history),
        scores=scores_of(world, model, setup, base),
        remarks=tuple(setup.remarks),
    )


def world_of(comm: MPI.Intracomm | str | None) -> World:
    """Return the world of a communicator; MPI is started where there is one, and only there."""
    if comm is None:
        return SerialWorld()
    if isinstance(comm, str) and comm != "world":
        raise ValueError(f'comm: got {comm!r}, expected None, "world", or a communicator')
    from mpi_gd.comm.mpi import MpiWorld

    return MpiWorld() if isinstance(comm, str) else MpiWorld(comm)


def _job(world: World, job: Any, *, in_memory: bool) -> tuple[Job, Path]:
    """Return the job, and what its paths are relative to; collective where it is a file."""
    if isinstance(job, Job):
        return job, Path()
    if not isinstance(job, Mapping):
        path = Path(job)
        overrides = (f'data.path="{IN_MEMORY}"',) if in_memory else ()
        return read_shared_job(world, path, overrides), path.parent
    tables = {key: dict(each) if isinstance(each, Mapping) else each for key, each in job.items()}
    if in_memory:
        tables.setdefault("data", {}).setdefault("path", IN_MEMORY)
    made = make_job(tables)
    require_same_job(world, dump_job(made))
    return made, Path()


def _rows(
    world: World,
    job: Job,
    x: Any,
    y: Any,
    extras: Mapping[str, Any],
    columns: Sequence[str],
) -> Loaded:
    """Return arrays as rows of a data set; collective."""
    if y is None:
        raise JobError("fit: got x without y; give both")
    if job.prepare != PrepareSpec():
        raise JobError(
            "fit: the table [prepare] makes features of a file's columns, and x are features; "
            "name a file under [data], or remove the table"
        )
    named = list(getattr(x, "columns", ())) if not len(columns) else list(columns)
    if named and not all(isinstance(name, str) for name in named):
        named = []
    with world.phase("looking at the rows"):
        target = _target(y)
        given = {
            role: _numbers(role, values) for role, values in extras.items() if values is not None
        }
    return take_rows(world, x, target, given, named, n_workers=job.solver.divides)


def _target(y: Any) -> NDArray[Any]:
    """Return y as numbers or text, (n,); raises DataError."""
    values = np.asarray(y)
    return values.astype(np.str_) if values.dtype.kind in "USO" else _numbers("y", values)


def _numbers(name: str, values: Any) -> NDArray[np.float64]:
    """Return the values as float64; raises DataError for what is no number."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: got what is no number ({error}), expected numbers") from error
