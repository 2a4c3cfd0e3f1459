"""Measure this machine and the kernels, on the same ranks in one run, on random data.

The roof is what no gradient can beat: X read once, by the matrix product X @ w of the whole local
block. All figures are medians of interleaved repetitions, so that a noisy moment meets all alike.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import Reduction, World
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.grid import RowGrid
from mpi_gd.data.names import default_names
from mpi_gd.errors import JobError
from mpi_gd.losses import LOSSES, Loss
from mpi_gd.matrix import Dense
from mpi_gd.objective import Objective, Rows, Scaling
from mpi_gd.options import BenchOptions
from mpi_gd.penalties import L2
from mpi_gd.report import Report
from mpi_gd.solvers import GradientDescent, Question
from mpi_gd.trainer import N_VOTES, Ballot, Course, train

__all__ = ["run"]

Floats = NDArray[np.float64]

# The small problem on which the cost of an iteration beside the arithmetic shows.
_SMALL_ROWS, _SMALL_COLUMNS, _SMALL_ITERATIONS = 1000, 10, 2000


@dataclass(frozen=True)
class _Problem:
    """Random rows, and ways to compute their gradient."""

    world: World
    x: NDArray[Any]
    """(n_rows, n_features): the rows, as NumPy users hold them."""
    rows: Rows
    loss: Loss

    def objective(self, reduction: Reduction) -> Objective:
        """Return our objective in the data's own coordinates."""
        n = self.rows.x.shape[1]
        ones, zeros = np.ones(n), np.zeros(n)
        n_samples = self.rows.grid.n_samples
        scaling = Scaling(zeros, ones, float(n_samples), n_samples, False, ones, ones)
        return Objective(
            self.world,
            self.rows,
            self.loss,
            L2().bind(default_names(n), ones),
            scaling,
            reduction=reduction,
            n_votes=N_VOTES,
        )

    def naive(self, u: Floats) -> Floats:
        """Return the gradient as it is usually written: two passes over X, whole-block arrays."""
        x, target = self.x, self.rows.target
        z = x @ u[:-1].astype(x.dtype) + u[-1]
        if self.loss.is_classifier:
            r = target / (1.0 + np.exp(-target * z))
            value = np.logaddexp(0.0, target * z).sum()
        else:
            r = z - target
            value = 0.5 * np.square(r).sum()
        message = np.concatenate([x.T @ r.astype(x.dtype), [r.sum(), value]]).astype(np.float64)
        self.world.allreduce_sum(message)
        return message

    def roof(self, u: Floats) -> Floats:
        """Read X once: z = X @ w."""
        return np.asarray(self.x @ u[:-1].astype(self.x.dtype))


def run(world: World, options: BenchOptions) -> int:
    """Print the figures; collective. Return the exit code."""
    if options.loss not in LOSSES:
        raise JobError(f"--loss: got {options.loss!r}, expected one of {', '.join(LOSSES)}")
    problem = _random_problem(world, options.rows, options.columns, options)
    u = np.random.default_rng(1).standard_normal(options.columns + 1) * 0.1
    exact, fast = problem.objective("exact"), problem.objective("fast")
    seconds = _medians(
        world,
        options.repeat,
        {
            "roof": lambda: problem.roof(u),
            "naive": lambda: problem.naive(u),
            "exact": lambda: exact.answer(Question(u)),
            "fast": lambda: fast.answer(Question(u)),
        },
    )
    figures = _figures(world, options, seconds) | _small(world, options)
    if world.is_root:
        print(json.dumps(figures) if options.json else _table(options, world.size, figures))
    return 0


def _random_problem(world: World, n_rows: int, n_columns: int, options: BenchOptions) -> _Problem:
    """Make this rank's rows, the same on any number of ranks."""
    dtype = np.dtype(options.dtype)
    grid = RowGrid(n_rows, n_columns, dtype.itemsize)
    first, last = grid.tiles_of(world.rank, world.size)
    start, stop = grid.rows_of(world.rank, world.size)
    with world.phase("making random data"):
        x = aligned_empty((stop - start, n_columns), dtype)
        y = np.empty(stop - start)
        for tile in range(first, last):
            random = np.random.Generator(np.random.Philox(key=[0, tile]))
            begin, end = (row - start for row in grid.tile_bounds(tile))
            x[begin:end] = random.standard_normal((end - begin, n_columns), dtype=np.float32)
            y[begin:end] = x[begin:end, 0] + random.standard_normal(end - begin) > 0
    loss = LOSSES[options.loss]()
    return _Problem(world, x, Rows(grid, first, last, Dense(x), loss.encode(y)), loss)


def _medians(world: World, repeat: int, calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of each call, the slowest rank's of each repetition."""
    taken = np.zeros((repeat + 1, len(calls)))
    ready = np.zeros(1)
    for times in taken:
        for k, call in enumerate(calls.values()):
            world.allreduce_max(ready)
            began = time.perf_counter()
            call()
            times[k] = time.perf_counter() - began
    world.allreduce_max(taken)
    # The first repetition touches memory for the first time.
    return dict(zip(calls, np.median(taken[1:], axis=0).tolist(), strict=True))


def _figures(world: World, options: BenchOptions, seconds: dict[str, float]) -> dict[str, float]:
    """Return the figures of the large problem."""
    gigabytes = options.rows * options.columns * np.dtype(options.dtype).itemsize / 1e9
    message = np.zeros(2 * (options.columns + 4) + 1)
    n_calls = 1000
    began = time.perf_counter()
    for _ in range(n_calls):
        world.allreduce_sum(message)
    each = (time.perf_counter() - began) / n_calls
    return {
        "roof_GB_per_s": gigabytes / seconds["roof"],
        "roof_ms": 1e3 * seconds["roof"],
        "naive_ms": 1e3 * seconds["naive"],
        "exact_ms": 1e3 * seconds["exact"],
        "fast_ms": 1e3 * seconds["fast"],
        "share_of_roof": seconds["roof"] / seconds["exact"],
        "speedup_over_naive": seconds["naive"] / seconds["exact"],
        "price_of_exact_sum": seconds["exact"] / seconds["fast"] - 1.0,
        "allreduce_us": 1e6 * each,
    }


def _small(world: World, options: BenchOptions) -> dict[str, float]:
    """Return the cost of an iteration of the whole loop, history included, on a small problem."""
    problem = _random_problem(world, _SMALL_ROWS, _SMALL_COLUMNS, options)
    objective = problem.objective("exact")
    solver = GradientDescent(step=1e-3)
    report = None
    if world.is_root:
        report = Report(Path(os.devnull), "none", 0.0)
    course = Course(solver.start(objective.problem, np.zeros(_SMALL_COLUMNS + 1)))
    began = time.perf_counter()
    train(
        objective,
        solver,
        course,
        tol=0.0,
        max_iter=_SMALL_ITERATIONS,
        ballot=Ballot(world.is_root, lambda: False, save_seconds=3600.0),
        on_step=lambda record: report.step(record.__dict__) if report else None,
        on_save=lambda: None,
    )
    return {"iteration_us": 1e6 * (time.perf_counter() - began) / _SMALL_ITERATIONS}


def _table(options: BenchOptions, size: int, figures: dict[str, float]) -> str:
    """Return the figures for people."""
    f = figures
    return f"""\
{options.rows:,} rows x {options.columns} columns of {options.dtype}, {options.loss} loss, \
{size} ranks
X @ w, X read once    {f["roof_ms"]:9.1f} ms   {f["roof_GB_per_s"]:.1f} GB/s: the roof
two-pass gradient     {f["naive_ms"]:9.1f} ms
our gradient          {f["exact_ms"]:9.1f} ms   {f["share_of_roof"]:.0%} of the roof, \
{f["speedup_over_naive"]:.2f} times the two-pass gradient's speed
the same, fast sum    {f["fast_ms"]:9.1f} ms   the exact sum costs {f["price_of_exact_sum"]:.1%}
Allreduce             {f["allreduce_us"]:9.1f} us
iteration, 1000 x 10  {f["iteration_us"]:9.1f} us   all of it, with history"""
