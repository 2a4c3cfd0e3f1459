"""Fit arrays as the program does, without files: for tests of what a fit finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.data.grid import RowGrid
from mpi_gd.inference import Fit
from mpi_gd.losses import Loss
from mpi_gd.matrix import Dense, Matrix
from mpi_gd.objective import (
    GramPass,
    Objective,
    Rank,
    Rows,
    bind_penalty,
    find_rank,
    find_scaling,
    find_spread,
    find_start,
    takes_moments,
)
from mpi_gd.penalties import Penalty
from mpi_gd.solvers import Auto, GramSolver, Solver
from mpi_gd.trainer import N_VOTES, Ballot, Course, Outcome, Record, train

__all__ = ["Fitted", "fit", "fit_rows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit finds."""

    coef: Floats
    intercept: Any
    outcome: Outcome
    records: list[Record]
    rank: Rank | None
    fit: Fit
    solver: Solver


def fit(
    world: World,
    x: Any,
    y: Floats,
    loss: Loss,
    penalty: Penalty,
    *,
    solver: Solver | None = None,
    weight: Any = None,
    offset: Any = None,
    intercept: bool = True,
    standardize: bool = False,
    precondition: bool = True,
    tol: float = 1e-12,
    max_iter: int = 2000,
    n_classes: int = 2,
    clusters: Any = None,
) -> Fitted:
    """Train on all ranks' share of the arrays, of which every rank has the whole; collective."""
    rows, own = share(world, x, y, loss, weight, offset)
    return fit_rows(
        world,
        rows,
        y[own],
        loss,
        penalty,
        solver=solver,
        intercept=intercept,
        standardize=standardize,
        precondition=precondition,
        tol=tol,
        max_iter=max_iter,
        n_classes=n_classes,
        clusters=None if clusters is None else clusters[own],
    )


def share(
    world: World, x: Any, y: Floats, loss: Loss, weight: Any = None, offset: Any = None
) -> tuple[Rows, slice]:
    """Return this rank's part of the arrays, and which rows it is."""
    n, d = x.shape
    n_stored = x.n_stored if isinstance(x, Matrix) else 0
    grid = RowGrid(n, d, 8, n_stored)
    own = slice(*grid.rows_of(world.rank, world.size))
    first, last = grid.tiles_of(world.rank, world.size)
    matrix: Matrix
    if isinstance(x, Matrix):
        matrix = x.part(own.start, own.stop)
    else:
        matrix = Dense(np.ascontiguousarray(x[own]))
    rows = Rows(
        grid,
        first,
        last,
        matrix,
        loss.encode(y[own]),
        None if weight is None else weight[own],
        None if offset is None else offset[own],
    )
    return rows, own


def fit_rows(
    world: World,
    rows: Rows,
    y: Floats,
    loss: Loss,
    penalty: Penalty,
    *,
    solver: Solver | None = None,
    intercept: bool = True,
    standardize: bool = False,
    precondition: bool = True,
    tol: float = 1e-12,
    max_iter: int = 2000,
    n_classes: int = 2,
    clusters: Any = None,
) -> Fitted:
    """Train on the ranks' rows, whose responses are `y`; collective."""
    d = rows.x.shape[1]
    names, k = tuple(f"x{j}" for j in range(d)), loss.n_outputs(n_classes)
    solver = solver or Auto()
    takes = isinstance(solver, Auto | GramSolver) and takes_moments(loss, d)
    is_convex = penalty.bind(names, np.ones(d)).is_convex
    reading = GramPass(world, rows, "exact") if takes and is_convex else None
    found = find_scaling(
        world,
        rows,
        names,
        "exact",
        standardize=standardize,
        precondition=precondition,
        locate=str,
        intercept=intercept,
        ties=penalty.ties(names),
        n_outputs=k,
        measure=reading.measure if reading and rows.x.can_shift else None,
        rough=None if reading else 0,
    )
    gram = reading.gram() if reading else None
    scaling, bound = bind_penalty(penalty, loss, found, names, precondition)
    free = np.ones((d + 1, k), dtype=bool)
    rank = None
    if bound.is_smooth and not (bound.hessian_diagonal() > 0).all():
        rank = find_rank(world, rows, y, scaling, has_intercept=intercept, known=gram)
        free[:-1] = rank.kept[:, None]
    free[-1] = intercept
    objective = Objective(
        world,
        rows,
        loss,
        bound,
        scaling,
        n_votes=N_VOTES,
        free=free.reshape(-1),
        is_ill_conditioned=bool(rank and rank.is_ill_conditioned),
        kink_width=1.0 if loss.is_smooth or loss.task != "numbers" else find_spread(world, rows, y),
        gram=gram,
    )
    chosen = solver.resolve(objective.problem)
    start = find_start(world, rows, y, loss, scaling, free.reshape(-1), gram)
    records: list[Record] = []
    outcome = train(
        objective,
        chosen,
        Course(chosen.start(objective.problem, start)),
        tol=tol,
        max_iter=max_iter,
        ballot=Ballot(world.is_root, lambda: False),
        on_step=records.append,
        on_save=lambda: None,
    )
    if outcome.step is None:
        raise RuntimeError("the training ended without an iterate")
    coef, b = scaling.to_original(outcome.step.u)
    penalty_hessian = np.append(bound.hessian_diagonal(), np.zeros(k))
    fitted = Fit(
        objective,
        rows,
        y,
        loss,
        scaling,
        outcome.step.u,
        free.reshape(-1),
        penalty_hessian,
        rank is not None,
        clusters,
    )
    return Fitted(coef, b, outcome, records, rank, fitted, chosen)
