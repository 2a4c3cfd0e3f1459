"""From a job and its data to the objective."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.jobs import needs
from mpi_gd.commands.labels import find_labels
from mpi_gd.commands.load import Loaded, load
from mpi_gd.commands.response import check_roles, read_response
from mpi_gd.commands.weights import Part, find_part, offset_of, with_class_weight
from mpi_gd.config import Job, kind_of
from mpi_gd.data.holdout import held_out
from mpi_gd.data.names import list_some
from mpi_gd.errors import DataError, JobError
from mpi_gd.objective import (
    MOST_COLUMNS,
    Certifier,
    Gram,
    GramPass,
    Objective,
    Rank,
    Rows,
    Scaling,
    bind_penalty,
    find_certifier,
    find_rank,
    find_scaling,
    find_spread,
    find_start,
    is_by_column,
    require_finite,
    takes_moments,
)
from mpi_gd.penalties import Bound
from mpi_gd.solvers import SOLVERS, Auto, GramSolver, Problem, Solver
from mpi_gd.trainer import N_VOTES

__all__ = ["Reading", "Setup", "needs_moments_of", "plan", "read", "set_up"]

T = TypeVar("T")

_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Setup:
    """This rank's part of everything that is trained on."""

    job: Job
    data: Loaded
    classes: tuple[str, ...] | None
    y: NDArray[np.float64]
    """(n_rows,): the number, the share of successes, or the label's place among the classes."""
    held: NDArray[np.bool_] | None
    """(n_rows,): the rows that are held out."""
    part: Part
    """The rows that are trained on."""
    rows: Rows
    scaling: Scaling
    penalty: Bound
    objective: Objective
    solver: Solver
    """The job's, or the one that it chooses."""
    start: NDArray[np.float64]
    """(n_params,): where the training begins."""
    free: NDArray[np.bool_]
    """(n_params,): the parameters that are not held at 0."""
    rank: Rank | None
    """What is known of dependent columns; None if nobody looked."""
    gram: Gram | None
    """The second moments of the rows that are trained on, where least squares needs them."""
    clusters: NDArray[Any] | None
    """(n_rows,): the cluster of each row, numbers or text; None if the job names none."""
    needs: dict[str, Any]
    """What a checkpoint must share with the job that goes on from it, by name."""
    reading_seconds: float
    """Until the rows were in memory, or mapped into it."""
    setup_seconds: float
    """From then on, until all was ready for the first question."""

    @property
    def summary(self) -> str:
        """Say what is trained on what."""
        grid = self.data.grid
        counts = ((self.part.n_held, "held out"), (self.part.n_weightless, "of weight 0"))
        idle = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        idle = f" ({idle})" if idle else ""
        tiles = "1 tile" if grid.n_tiles == 1 else f"{grid.n_tiles} tiles"
        return (
            f"{grid.n_samples:,} rows{idle} x {grid.n_features} features of "
            f"{self.data.source.dtype}, {tiles}"
        )

    def certifier(self, world: World) -> Certifier:
        """Return what bounds how far the objective is above its minimum; collective."""
        return find_certifier(
            world,
            self.rows,
            self.y,
            self.job.loss,
            self.penalty,
            self.scaling,
            self.free,
            self.objective,
        )

    @property
    def remarks(self) -> list[str]:
        """Say what was decided for the user."""
        names, found = self.data.columns, []
        if isinstance(self.job.solver, Auto):
            solver, reason = self.job.solver.choose(self.objective.problem)
            found.append(f"Solver: {kind_of(SOLVERS, solver)}, for {reason}.")
        for j, parts in self.rank.combinations.items() if self.rank else ():
            of = list_some([names[part] for part in parts])
            what = f"is a combination of {of}" if parts else "is constant"
            found.append(f"Column {names[j]!r} {what}: its coefficient is held at 0.")
        return found


@dataclass(frozen=True, eq=False)
class Reading:
    """This rank's rows, and what they are: all that comes before their columns are looked at."""

    data: Loaded
    held: NDArray[np.bool_] | None
    """(n_rows,): the rows that are held out for the final scores."""
    part: Part
    """The rows that are trained on."""
    classes: tuple[str, ...] | None
    y: NDArray[np.float64]
    """(n_rows,): as in a Setup."""
    seconds: float
    """That it took until the rows were in memory."""

    def only(self, world: World, chosen: NDArray[np.bool_]) -> Reading:
        """Return the same, where rows that are not `chosen` are left out as well; collective."""
        left_out = ~chosen if self.held is None else self.held | ~chosen
        return replace(self, part=find_part(world, self.data, left_out))


def set_up(
    world: World,
    job: Job,
    base: Path,
    kept: Loaded | None = None,
    *,
    data: Loaded | None = None,
    thorough: bool = False,
    shares: Sequence[int] | None = None,
) -> Setup:
    """Read the data that `job` names relative to `base`, and plan the objective; collective.

    `kept`, on all ranks or none, is what was read before some ranks died, or were found to be slow;
    `shares` how large a part of the rows each rank is to have; `data` are rows that are in memory
    and need no reading. `thorough`: look at every number now, and not where the training meets it.
    Raises on all ranks: DataError, FileError, JobError.
    """
    reading = read(world, job, base, kept, data=data, shares=shares)
    return plan(world, job, reading, thorough=thorough)


def read(
    world: World,
    job: Job,
    base: Path,
    kept: Loaded | None = None,
    *,
    data: Loaded | None = None,
    shares: Sequence[int] | None = None,
) -> Reading:
    """Read the rows that `job` names relative to `base`, and their response; collective.

    `kept`, `data` and `shares` are as in `set_up`.
    Raises on all ranks: DataError, FileError, JobError.
    """
    began = time.monotonic()
    data = data or load(
        world,
        job.data,
        base,
        kept=kept,
        n_workers=job.solver.divides,
        prepare=job.prepare,
        seed=job.seed,
        shares=shares,
    )
    loaded = time.monotonic()
    fraction, stop = job.data.test_fraction, data.start + len(data.y)
    held = held_out(data.start, stop, fraction, job.seed) if fraction else None
    part = find_part(world, data, held)
    if fraction and not part.n_held:
        raise DataError(
            f"data.test_fraction = {fraction} holds out none of the {data.grid.n_samples} rows; "
            "set it higher, or to 0"
        )
    check_roles(data, job.loss)
    is_classifier = job.loss.is_classifier
    classes = find_labels(world, data, part.left_out, job.loss.task) if is_classifier else None
    y = read_response(world, data, job.loss, classes)
    return Reading(data, held, part, classes, y, loaded - began)


def plan(
    world: World,
    job: Job,
    reading: Reading,
    *,
    thorough: bool = False,
    known: Gram | None = None,
) -> Setup:
    """Plan the objective of rows that have been read; collective.

    `known` are the second moments of the rows that are trained on, where least squares needs them.
    Raises on all ranks: DataError, JobError.
    """
    began = time.monotonic()
    data, part, classes, y = reading.data, reading.part, reading.classes, reading.y
    is_classifier = job.loss.is_classifier
    n_outputs = job.loss.n_outputs(len(classes or ()))
    rows = Rows(
        data.grid,
        data.first_tile,
        data.last_tile,
        data.x,
        job.loss.encode(y),
        with_class_weight(world, data, job.data, part, y, classes, job.reduction),
        offset_of(data),
    )
    columns = data.source.columns
    with world.phase("matching the penalty with the columns"):
        ties = _named("penalty", lambda: job.penalty.ties(columns))
    needs_moments = needs_moments_of(job, columns)
    gram_pass = GramPass(world, rows, job.reduction, known) if needs_moments else None
    found = find_scaling(
        world,
        rows,
        columns,
        job.reduction,
        standardize=job.data.standardize,
        precondition=job.precondition,
        locate=data.source.locate,
        intercept=job.intercept,
        ties=ties,
        n_outputs=n_outputs,
        measure=gram_pass.measure if gram_pass and data.x.can_shift else None,
        rough=None if thorough or gram_pass or job.stop.gap_tol else job.seed,
    )
    gram = gram_pass.gram() if gram_pass else None

    def look() -> None:
        with world.phase("looking for what is not a finite number"):
            require_finite(rows, columns, data.source.locate)

    with world.phase("matching the penalty with the columns"):
        scaling, penalty = _named(
            "penalty",
            lambda: bind_penalty(job.penalty, job.loss, found, columns, job.precondition),
        )
    rank = _rank(world, job, rows, y, scaling, penalty, columns, gram)
    free = np.ones((len(columns) + 1, n_outputs), dtype=bool)
    if rank:
        free[:-1] = rank.kept[:, None]
    free[-1] = job.intercept
    objective = Objective(
        world,
        rows,
        job.loss,
        penalty,
        scaling,
        reduction=job.reduction,
        seed=job.seed,
        n_votes=N_VOTES,
        free=free.reshape(-1),
        is_ill_conditioned=bool(rank and rank.is_ill_conditioned),
        kink_width=1.0 if job.loss.is_smooth or is_classifier else find_spread(world, rows, y),
        gram=gram,
        on_not_finite=look if scaling.is_rough else None,
    )
    # Found once: a checkpoint is made while all wait, and the file may be gone by then.
    shared = {"the data": data.fingerprint, **needs(job)}
    if data.source.recipe:
        shared["the preparation"] = data.source.recipe.digest
    if is_by_column(rows):
        # Of wide sparse rows earlier versions made other tiles, and so other bits.
        shared["tiles"] = f"{data.grid.n_tiles} of {data.grid.tile_rows} rows"
    with world.phase("matching solver and objective"):
        solver = _matching(job.solver, objective.problem)
    start = find_start(world, rows, y, job.loss, scaling, free.reshape(-1), gram)
    return Setup(
        job=job,
        data=data,
        classes=classes,
        y=y,
        held=reading.held,
        part=part,
        rows=rows,
        scaling=scaling,
        penalty=penalty,
        objective=objective,
        solver=solver,
        start=start,
        free=free.reshape(-1),
        rank=rank,
        gram=gram,
        clusters=data.extras.get("cluster"),
        needs=shared,
        reading_seconds=reading.seconds,
        setup_seconds=time.monotonic() - began,
    )


def needs_moments_of(job: Job, columns: Sequence[str]) -> bool:
    """Whether least squares is to be solved from the second moments."""
    if not isinstance(job.solver, Auto | GramSolver) or not takes_moments(job.loss, len(columns)):
        return False
    # A penalty is convex or not whatever the columns' scales.
    return _named("penalty", lambda: job.penalty.bind(columns, np.ones(len(columns)))).is_convex


def _named(table: str, make: Callable[[], T]) -> T:
    """Return what `make` returns; raises JobError, beginning with a key, for its ValueError."""
    try:
        return make()
    except ValueError as error:
        raise JobError(f"{table}.{error}") from error


def _rank(
    world: World,
    job: Job,
    rows: Rows,
    y: NDArray[np.float64],
    scaling: Scaling,
    penalty: Bound,
    columns: Sequence[str],
    gram: Gram | None,
) -> Rank | None:
    """Look for dependent columns, where they would leave the optimum undetermined; collective.

    Raises JobError, on all ranks, where the job asks to stop for them.
    """
    is_determined = bool((penalty.hessian_diagonal() > 0).all()) or not penalty.is_smooth
    if is_determined or not 0 < len(columns) <= MOST_COLUMNS:
        return None
    rank = find_rank(world, rows, y, scaling, has_intercept=job.intercept, known=gram)
    if job.collinear == "stop" and rank.combinations:
        j, parts = next(iter(rank.combinations.items()))
        names = ", ".join(repr(columns[part]) for part in parts[:_SHOWN])
        raise JobError(
            f"column {columns[j]!r} is {f'a combination of {names}' if parts else 'constant'}, so "
            'its coefficient is not determined: remove it, add a penalty, or set collinear = "drop"'
        )
    return rank


def _matching(solver: Solver, problem: Problem) -> Solver:
    """Return the solver that does the work; raises JobError if it cannot, naming those that can."""
    chosen = solver.resolve(problem)
    lacks = chosen.lacks(problem)
    if not lacks:
        return chosen
    fitting = [kind for kind, cls in SOLVERS.items() if not cls().lacks(problem)]
    raise JobError(
        f"solver.kind: {kind_of(SOLVERS, solver)!r} {lacks}; expected one of "
        f"{', '.join(repr(kind) for kind in fitting)}"
    )
