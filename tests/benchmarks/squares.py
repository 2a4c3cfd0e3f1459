"""Seconds of ridge regression and of a lasso path in memory: from the rows to the answer.

    OPENBLAS_NUM_THREADS=1 mpirun -n 2 python -m tests.benchmarks.squares [--repeat 5]

The data are AR(1)-correlated columns of uneven scales, made in memory. The ridge's objective is
compared with that of Newton's method, the path checked by its optimality conditions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.grid import RowGrid
from mpi_gd.losses import Squared
from mpi_gd.matrix import Dense
from mpi_gd.objective import GramPass, Rows, find_scaling
from mpi_gd.penalties import L2
from mpi_gd.solvers import Newton
from mpi_gd.solvers.path import PathPenalty, alpha_grid, largest_alpha, walk_path
from tests.fitting import fit_rows

Floats = NDArray[np.float64]
_RIDGE = 1e-4


def make(world: World, n: int, d: int) -> Rows:
    """Make this rank's rows, the same on any number of ranks."""
    grid = RowGrid(n, d, 8)
    first, last = grid.tiles_of(world.rank, world.size)
    start, stop = grid.rows_of(world.rank, world.size)
    rng = np.random.default_rng(1)
    scales, w = 10.0 ** rng.uniform(-1.5, 1.5, d), rng.normal(size=d) * (rng.random(d) < 0.3)
    x, y = aligned_empty((stop - start, d), np.dtype(np.float64)), np.empty(stop - start)
    for tile in range(first, last):
        random = np.random.Generator(np.random.Philox(key=[1, tile]))
        begin, end = (row - start for row in grid.tile_bounds(tile))
        part = random.normal(size=(end - begin, d))
        for j in range(1, d):
            part[:, j] = 0.8 * part[:, j - 1] + 0.6 * part[:, j]
        y[begin:end] = part @ w + 3.0 * random.normal(size=end - begin) + 1.0
        np.multiply(part, scales, out=x[begin:end])
    return Rows(grid, first, last, Dense(x), y)


def ridge(world: World, n: int, d: int) -> Callable[[], str]:
    """Return a fit that says how near it came."""
    rows = make(world, n, d)
    exact = fit_rows(
        world, rows, rows.target, Squared(), L2(alpha=_RIDGE), solver=Newton(), tol=1e-13
    )
    best = exact.records[-1].objective

    def run() -> str:
        found = fit_rows(world, rows, rows.target, Squared(), L2(alpha=_RIDGE), tol=1e-8)
        last = found.records[-1]
        passes = last.rows / n
        return f"{passes:.0f} pass, relative gap {abs(last.objective / best - 1):.1e}"

    return run


def path(world: World, n: int, d: int) -> Callable[[], str]:
    """Return a path of 100 penalties that says how well it satisfies the conditions."""
    rows = make(world, n, d)
    names = tuple(f"x{j}" for j in range(d))

    def run() -> str:
        reading = GramPass(world, rows, "exact")
        scaling = find_scaling(
            world,
            rows,
            names,
            "exact",
            standardize=False,
            precondition=True,
            locate=str,
            measure=reading.measure,
        )
        squares = reading.gram().squares(scaling, has_intercept=True)
        read = time.perf_counter()
        free = np.full(d + 1, np.inf)
        l1 = np.append(scaling.penalty_scale, 0.0)
        penalty = PathPenalty(l1, np.zeros(d + 1), -free, free)
        alphas = alpha_grid(largest_alpha(squares.gradient, squares.point, penalty), 100, 1e-3)
        points = list(walk_path(squares.hessian, squares.gradient, squares.point, penalty, alphas))
        walked = time.perf_counter() - read
        worst = max(
            float(np.abs(penalty.times(alpha).residual(u, squares.at(u)[1]) / l1.max()).max())
            for alpha, u in zip(alphas.tolist(), points, strict=True)
        )
        n_last = np.count_nonzero(points[-1][:-1])
        return f"algebra {walked:.3f} s, KKT {worst:.1e}, {n_last} non-zeros at the end"

    return run


def main() -> None:
    """Print the seconds of each repetition, and the median."""
    parser = argparse.ArgumentParser(description="ridge and a lasso path in memory")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    options = parser.parse_args()
    world = MpiWorld()
    problems = {
        "ridge, 1,000,000 x 100 (bar 0.16 s)": ridge(world, int(1_000_000 * options.scale), 100),
        "lasso path, 500,000 x 100 (bar 0.21 s)": path(world, int(500_000 * options.scale), 100),
    }
    for name, run in problems.items():
        taken = []
        for _ in range(options.repeat):
            world.bcast_text("ready")
            began = time.perf_counter()
            told = run()
            seconds = np.array([time.perf_counter() - began])
            world.allreduce_max(seconds)
            taken.append(float(seconds[0]))
        if world.is_root:
            each = " ".join(f"{seconds:.3f}" for seconds in taken)
            print(f"{name}: median {np.median(taken):.3f} s ({each}); {told}", flush=True)


if __name__ == "__main__":
    main()
