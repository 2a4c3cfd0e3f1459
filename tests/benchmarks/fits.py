"""Seconds, passes and Allreduces of four fits in memory, by the solver that `auto` chooses.

    OPENBLAS_NUM_THREADS=1 mpirun -n 2 python -m tests.benchmarks.fits [problem ...]

Data and best objectives are made once, and kept in $MPI_GD_BENCHMARKS (or a folder for temporary
files). A fit is from the rows in memory, nothing known of them, to the last iterate. A pass is as
many rows as the problem has, whatever was asked of them, set-up included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.data.grid import RowGrid
from mpi_gd.losses import Logistic, Loss, Multinomial, Poisson
from mpi_gd.matrix import Block, Csr, Dense, Matrix, Reader
from mpi_gd.objective import Rows
from mpi_gd.penalties import L2
from mpi_gd.solvers import SOLVERS, Lbfgs, Solver
from tests.fitting import Fitted, fit_rows

Floats = NDArray[np.float64]
_PART = 50_000


@dataclass(frozen=True)
class Fit:
    """A problem, and how far its fit must get."""

    n: int
    d: int
    loss: Loss
    alpha: float
    gap: float
    tol: float
    """With which it gets there."""
    bar: float
    """Seconds to reach."""
    n_classes: int = 2
    n_numbers: int = 0
    """Of a sparse row."""


FITS = {
    "logistic": Fit(1_000_000, 100, Logistic(), 1e-4, 1e-8, 2e-5, 0.40),
    "poisson": Fit(1_000_000, 50, Poisson(), 1e-4, 1e-8, 2e-5, 0.30),
    "multinomial": Fit(200_000, 256, Multinomial(), 1e-4, 1e-7, 2e-5, 1.24, n_classes=10),
    "sparse": Fit(400_000, 100_000, Logistic(), 1e-5, 1e-7, 1e-5, 1.25, n_numbers=60),
}


def make(name: str, fit: Fit, folder: Path) -> None:
    """Write a problem's arrays: AR(1)-correlated columns of uneven scales, or sparse ones."""
    rng = np.random.default_rng(1)
    if fit.n_numbers:
        _make_sparse(fit, folder, rng)
        return
    scales = 10.0 ** rng.uniform(-1.5, 1.5, fit.d)
    k = fit.n_classes if isinstance(fit.loss, Multinomial) else 1
    w = rng.normal(size=(fit.d, k)) / np.sqrt(fit.d)
    if isinstance(fit.loss, Poisson):
        w *= 0.3
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float64, (fit.n, fit.d))
    y = np.empty(fit.n)
    for start in range(0, fit.n, _PART):
        part = rng.normal(size=(min(_PART, fit.n - start), fit.d))
        for j in range(1, fit.d):
            part[:, j] = 0.8 * part[:, j - 1] + 0.6 * part[:, j]
        z = part @ w - 0.5
        own = slice(start, start + len(part))
        x[own] = part * scales
        if k > 1:
            y[own] = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        elif isinstance(fit.loss, Poisson):
            y[own] = rng.poisson(np.exp(z[:, 0]))
        else:
            y[own] = rng.random(len(part)) < 1 / (1 + np.exp(-z[:, 0]))
    np.save(folder / "y.npy", y)


def _make_sparse(fit: Fit, folder: Path, rng: Any) -> None:
    """Write rows of `n_numbers` numbers in columns that are more and less frequent."""
    weight = 1.0 / (np.arange(fit.d) + 100.0)
    edges = np.cumsum(weight / weight.sum())
    columns = np.searchsorted(edges, rng.random((fit.n, fit.n_numbers))).clip(max=fit.d - 1)
    columns.sort(axis=1)
    data = rng.normal(size=columns.shape) * rng.uniform(0.5, 2.0, fit.d)[columns]
    w = rng.normal(size=fit.d)
    z = (data * w[columns]).sum(axis=1) / np.sqrt(fit.n_numbers) * 1.5
    np.save(folder / "data.npy", data.ravel())
    np.save(folder / "indices.npy", columns.ravel().astype(np.int32))
    np.save(folder / "y.npy", (rng.random(fit.n) < 1 / (1 + np.exp(-z))) * 1.0)


class _CountedReader(Reader):
    """A reader that counts the rows it brings."""

    def __init__(self, reader: Reader, count: Callable[[int], None]) -> None:
        self._reader, self._count = reader, count

    def block(self, first: int, last: int) -> Block:
        self._count(last - first)
        return self._reader.block(first, last)

    def put(self, first: int, last: int, out: Any) -> None:
        self._count(last - first)
        self._reader.put(first, last, out)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def counted(matrix: Matrix) -> Callable[[], int]:
    """Let a matrix count the rows that are read of it."""
    total, plain = [0], matrix.reader

    def count(n: int) -> None:
        total[0] += n

    matrix.reader = lambda *given: _CountedReader(plain(*given), count)  # type: ignore[method-assign]
    return lambda: total[0]


class CountingMpi(MpiWorld):
    """All ranks of MPI; counts its Allreduces."""

    n_collectives = 0

    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        self.n_collectives += 1
        super().allreduce_sum(buffer)

    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        self.n_collectives += 1
        super().allreduce_max(buffer)


def load(world: World, fit: Fit, folder: Path) -> tuple[Rows, Floats]:
    """Return this rank's rows, in memory, and their responses."""
    n_stored = fit.n * fit.n_numbers
    grid = RowGrid(fit.n, fit.d, 8, n_stored)
    own = slice(*grid.rows_of(world.rank, world.size))
    y = np.load(folder / "y.npy")[own]
    matrix: Matrix
    if fit.n_numbers:
        part = slice(own.start * fit.n_numbers, own.stop * fit.n_numbers)
        indptr = np.arange(own.stop - own.start + 1, dtype=np.int64) * fit.n_numbers
        arrays = [
            np.array(np.load(folder / f"{name}.npy", "r")[part]) for name in ("data", "indices")
        ]
        matrix = Csr(arrays[0], arrays[1], indptr, fit.d)
    else:
        matrix = Dense(np.array(np.load(folder / "x.npy", "r")[own]))
    first, last = grid.tiles_of(world.rank, world.size)
    return Rows(grid, first, last, matrix, fit.loss.encode(y)), y


def run(
    world: CountingMpi, name: str, fit: Fit, solver: Solver, tol: float, repeats: int, verbose: bool
) -> None:
    """Fit, and print a line of the table a time."""
    top = Path(os.environ.get("MPI_GD_BENCHMARKS", Path(tempfile.gettempdir()) / "mpi_gd_fits"))
    folder = top / f"{name}-{fit.n}-{fit.d}"
    if world.is_root and not (folder / "y.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(name, fit, folder)
    world.bcast_text("made")
    rows, y = load(world, fit, folder)
    best_file = folder / "best.npy"
    if not best_file.exists():
        found = fit_rows(
            world,
            rows,
            y,
            fit.loss,
            L2(alpha=fit.alpha),
            solver=Lbfgs(),
            tol=1e-11,
            n_classes=fit.n_classes,
            max_iter=1000,
        )
        if world.is_root:
            np.save(best_file, found.records[-1].objective)
        world.bcast_text("known")
    best = float(np.load(best_file))
    for _ in range(repeats):
        n_rows = counted(rows.x)
        world.bcast_text("ready")
        world.n_collectives, began, busy = 0, time.perf_counter(), time.process_time()
        found = fit_rows(
            world,
            rows,
            y,
            fit.loss,
            L2(alpha=fit.alpha),
            solver=solver,
            tol=tol or fit.tol,
            n_classes=fit.n_classes,
        )
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        n = world.n_collectives
        del rows.x.reader
        total = np.array([float(n_rows())])
        world.allreduce_sum(total)
        if world.is_root:
            if verbose:
                _tell_records(fit, found, best)
            gap = found.records[-1].objective / best - 1
            kind = next(k for k, cls in SOLVERS.items() if cls is type(found.solver))
            print(
                f"{name:12s} {kind:12s} {seconds:7.3f} s (bar {fit.bar:.2f}; busy {busy:.3f})  "
                f"{total[0] / fit.n:6.2f} passes  {n:3d} Allreduces  "
                f"gap {gap:8.1e} (bar {fit.gap:.0e})",
                flush=True,
            )


def _tell_records(fit: Fit, found: Fitted, best: float) -> None:
    """Print a line an iteration."""
    for record in found.records:
        print(
            f"  {record.iteration:3d}  {record.questions:3d} questions  "
            f"{record.rows / fit.n:6.2f} passes  gap {record.objective / best - 1:8.1e}  "
            f"criterion {record.criterion:.1e}  {record.elapsed_seconds:.3f} s"
        )


def main() -> None:
    """Run the problems that are named, or all."""
    parser = argparse.ArgumentParser(description="fit four problems in memory")
    parser.add_argument("problem", nargs="*", default=list(FITS))
    parser.add_argument("--solver", default="auto", choices=list(SOLVERS))
    parser.add_argument("--tol", type=float, default=0.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    world = CountingMpi()
    for name in options.problem:
        run(
            world,
            name,
            FITS[name],
            SOLVERS[options.solver](),
            options.tol,
            options.repeats,
            options.verbose,
        )


if __name__ == "__main__":
    main()
