"""The rates of this machine that `forecast` works with, measured on all ranks together."""

from __future__ import annotations

import dataclasses
import math
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands.random_rows import random_rows
from mpi_gd.costs import Rates, fit_link
from mpi_gd.options import BenchOptions
from mpi_gd.solvers import Question

__all__ = ["measure_machine"]

# The widths between which a gradient's time tells a row's part from a number's.
_NARROW, _WIDE = 8, 128
_HESSIAN_ROWS = 20_000
# Doubles in a block of a rank: 128 MB, beyond any cache.
_NUMBERS = 1 << 24
_VECTOR = 1 << 22
_SQUARE = 512
_MESSAGES = (8, 64, 512, 4096, 32_768, 262_144, 1 << 21, 1 << 23)
_MESSAGE_SECONDS = 0.3


def measure_machine(
    world: World, iteration_seconds: float, options: BenchOptions
) -> dict[str, Any]:
    """Return the rates, the Allreduces they come from, and what was measured; collective.

    `iteration_seconds` is what an iteration takes where there is hardly anything to compute.
    """
    hosts = world.gather_small(socket.gethostname())
    messages = _messages(world)
    link = None
    if world.size > 1:
        link = fit_link(world.size, *zip(*messages, strict=True))
    rates = _rates(world, options, math.ceil(world.size / len(set(hosts))))
    message = link.seconds(world.size, 8.0 * 2 * 16) if link else 0.0
    question = max(0.0, iteration_seconds - message)
    return {
        "ranks": world.size,
        "hosts": len(set(hosts)),
        "rates": dataclasses.asdict(dataclasses.replace(rates, question_seconds=question)),
        "link": dataclasses.asdict(link) if link else None,
        "allreduce": [{"bytes": size, "seconds": seconds} for size, seconds in messages],
    }


def _messages(world: World) -> list[tuple[int, float]]:
    """Return the median seconds of Allreduces by their bytes; collective."""
    found = []
    for size in _MESSAGES:
        buffer = np.zeros(size // 8)
        send = partial(world.allreduce_sum, buffer)
        once = _seconds(world, send, 3)
        repeat = int(np.clip(_MESSAGE_SECONDS / max(once, 1e-6), 5, 500))
        found.append((size, _seconds(world, send, repeat)))
    return found


def _rates(world: World, options: BenchOptions, ranks_per_node: int) -> Rates:
    """Return what a rank computes in what time, but for the question's own; collective."""
    wide, narrow = (_gradient(world, options, n) for n in (_WIDE, _NARROW))
    alone = _gradient(world, options, _WIDE, alone=True)
    # Seconds of a row: t = k number + row.
    per_row = [gradient.median / gradient.n_rows for gradient in (wide, narrow)]
    slowdown = max(1.0, wide.median / alone.median)
    number = max(0.0, (per_row[0] - per_row[1]) / (_WIDE - _NARROW))
    row = max(0.0, per_row[1] - _NARROW * number)
    vector, square = np.ones((2, _VECTOR)), np.eye(_SQUARE) * 2.0

    def add() -> None:
        vector[0] += vector[1]

    return Rates(
        number_seconds=number / slowdown,
        row_seconds=row / slowdown,
        pair_seconds=_hessian_seconds(world, options) / slowdown,
        question_seconds=0.0,
        # Two vectors are read and one is written.
        vector_seconds=_seconds(world, add, options.repeat) / (3 * _VECTOR * slowdown),
        flop_seconds=_seconds(world, lambda: np.linalg.cholesky(square), options.repeat)
        * 3.0
        / _SQUARE**3,
        jitter=wide.jitter,
        slowdown=slowdown,
        ranks_per_node=ranks_per_node,
        cores=len(os.sched_getaffinity(0)),
    )


@dataclasses.dataclass(frozen=True)
class _Gradient:
    """Seconds of a rank's gradients."""

    n_rows: float
    """Of a rank."""
    median: float
    jitter: float
    """Deviation over ranks and repetitions, as a share of the median."""


def _gradient(
    world: World, options: BenchOptions, n_columns: int, alone: bool = False
) -> _Gradient:
    """Measure gradients on all ranks at once, or on the root while the others wait; collective."""
    n_rows = _NUMBERS // n_columns
    rows = random_rows(SerialWorld(), n_rows, n_columns, options.dtype, options.loss)
    objective, question = rows.objective("exact"), Question(np.zeros(n_columns + 1))
    taken = np.zeros((world.size, options.repeat + 1))
    ready = np.zeros(1)
    for k in range(options.repeat + 1):
        world.allreduce_max(ready)
        began = time.perf_counter()
        if world.is_root or not alone:
            objective.answer(question)
        taken[world.rank, k] = time.perf_counter() - began
    world.allreduce_max(taken)
    # The first one touches memory for the first time.
    used = taken[:1, 1:] if alone else taken[:, 1:]
    median = float(np.median(used))
    # From the middle half: a moment in which the machine did something else is no jitter.
    low, high = np.percentile(used, [25, 75])
    return _Gradient(n_rows, median, float(high - low) / 1.349 / median)


def _hessian_seconds(world: World, options: BenchOptions) -> float:
    """Return the seconds of a row's product of two numbers; collective."""
    rows = random_rows(SerialWorld(), _HESSIAN_ROWS, _WIDE, options.dtype, options.loss)
    objective, u = rows.objective("exact"), np.zeros(_WIDE + 1)
    both = _seconds(world, lambda: objective.answer(Question(u, hessian=True)), options.repeat)
    gradient = _seconds(world, lambda: objective.answer(Question(u)), options.repeat)
    return max(0.0, both - gradient) / _HESSIAN_ROWS / ((_WIDE + 1) ** 2 / 2.0)


def _seconds(world: World, call: Callable[[], object], repeat: int) -> float:
    """Return the median seconds of a call on all ranks, the slowest rank's; collective."""
    taken, ready = np.zeros(repeat + 1), np.zeros(1)
    for k in range(repeat + 1):
        world.allreduce_max(ready)
        began = time.perf_counter()
        call()
        taken[k] = time.perf_counter() - began
    world.allreduce_max(taken)
    return float(np.median(taken[1:]))
