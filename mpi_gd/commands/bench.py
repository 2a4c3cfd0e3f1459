"""Measure this machine and the kernels, on the same ranks in one run, on random data.

With --out the rates that `forecast` works with are measured too, and written.

The roof is what no gradient can beat: X read once, by the matrix product X @ w of the whole local
block. All figures are medians of interleaved repetitions, so that a noisy moment meets all alike.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mpi_gd.comm import World
from mpi_gd.commands.machine import measure_machine
from mpi_gd.commands.random_rows import random_rows
from mpi_gd.errors import JobError
from mpi_gd.files import write_atomically
from mpi_gd.losses import LOSSES
from mpi_gd.options import BenchOptions
from mpi_gd.report import Report
from mpi_gd.solvers import GradientDescent, Question
from mpi_gd.trainer import Ballot, Course, Record, train

__all__ = ["run"]

# The small problem on which the cost of an iteration beside the arithmetic shows.
_SMALL_ROWS, _SMALL_COLUMNS, _SMALL_ITERATIONS = 1000, 10, 2000


def run(world: World, options: BenchOptions) -> int:
    """Print the figures; collective. Return the exit code."""
    if options.loss not in LOSSES:
        raise JobError(f"--loss: got {options.loss!r}, expected one of {', '.join(LOSSES)}")
    problem = random_rows(world, options.rows, options.columns, options.dtype, options.loss)
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
    if options.out:
        measured = measure_machine(world, figures["iteration_us"] * 1e-6, options)
        with world.phase("writing the rates", by_root=True):
            if world.is_root:
                text = json.dumps({"figures": figures, **measured}, indent=1)
                write_atomically(Path(options.out), f"{text}\n".encode())
    if world.is_root:
        print(json.dumps(figures) if options.json else _table(options, world.size, figures))
    return 0


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
    problem = random_rows(world, _SMALL_ROWS, _SMALL_COLUMNS, options.dtype, options.loss)
    objective = problem.objective("exact")
    solver = GradientDescent(step=1e-3)
    report = None
    if world.is_root:
        report = Report(Path(os.devnull), "none", 0.0)
    course = Course(solver.start(objective.problem, np.zeros(_SMALL_COLUMNS + 1)))
    moments: list[float] = []

    def note(record: Record) -> None:
        if report:
            report.step(record.__dict__)
        moments.append(time.perf_counter())

    train(
        objective,
        solver,
        course,
        tol=0.0,
        max_iter=_SMALL_ITERATIONS,
        ballot=Ballot(world.is_root, lambda: False, save_seconds=3600.0),
        on_step=note,
        on_save=lambda: None,
    )
    # The median: a moment in which the machine did something else is no cost of an iteration.
    return {"iteration_us": 1e6 * float(np.median(np.diff(moments)))}


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
