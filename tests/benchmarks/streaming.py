"""Seconds of a pass over rows on a disk, beside those of reading the same bytes and nothing else.

    OPENBLAS_NUM_THREADS=1 mpirun -n 2 python -m tests.benchmarks.streaming [--gigabytes 2]

The rows are in a file of `--folder`, of which no page is in the system's cache when a pass begins:
it is dropped by posix_fadvise. The plain read goes through the rank's part in order, 4 MiB at a
time, into one buffer. Then the same with the file in the cache, beside rows in memory, and the
seconds that it takes to read a `.npy` file into memory.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mpi_gd.comm import World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.commands.load import Loaded, load
from mpi_gd.data import DataSpec
from mpi_gd.losses import Logistic
from mpi_gd.objective import Objective, Rows, find_scaling
from mpi_gd.penalties import L2
from mpi_gd.solvers import Question

_PIECE = 4 << 20


def make(world: World, folder: Path, gigabytes: float, d: int) -> int:
    """Write X and y; return the number of rows."""
    n = int(gigabytes * 1e9 / (8 * d)) // 1000 * 1000
    if world.is_root:
        some = np.random.default_rng(1).standard_normal((1000, d))
        x = np.lib.format.open_memmap(folder / "stream_x.npy", "w+", np.float64, (n, d))
        for first in range(0, n, 1000):
            x[first : first + 1000] = some
        x.flush()
        np.save(folder / "stream_y.npy", np.random.default_rng(2).integers(0, 2, n) * 1.0)
        os.sync()
    world.allreduce_sum(np.zeros(1))
    return n


def forget(path: Path) -> None:
    """Drop the file from the system's cache."""
    number = os.open(path, os.O_RDONLY)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(number)


def plain(path: Path, start: int, stop: int) -> None:
    """Read the bytes [start, stop) of a file."""
    buffer = np.empty(_PIECE, dtype=np.uint8)
    number = os.open(path, os.O_RDONLY)
    for first in range(start, stop, _PIECE):
        os.preadv(number, [buffer[: min(_PIECE, stop - first)].data], first)
    os.close(number)


def gradient(world: World, data: Loaded) -> Callable[[], object]:
    """Return what computes one gradient of all rows."""
    loss = Logistic()
    y = loss.encode(np.asarray(data.y))
    rows = Rows(data.grid, data.first_tile, data.last_tile, data.x, y)
    scaling = find_scaling(
        world,
        rows,
        data.columns,
        "exact",
        standardize=False,
        precondition=True,
        locate=str,
        rough=1,
    )
    penalty = L2(alpha=1e-3).bind(data.columns, np.ones(len(data.columns)))
    objective = Objective(world, rows, loss, penalty, scaling)
    question = Question(np.zeros(objective.n_params))
    return lambda: objective.answer(question)


def timed(world: World, path: Path, work: Callable[[], object], is_cold: bool) -> float:
    """Return the seconds of work that all ranks do."""
    if is_cold:
        forget(path)
    world.allreduce_sum(np.zeros(1))
    began = time.perf_counter()
    work()
    world.allreduce_sum(np.zeros(1))
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    world = MpiWorld()
    path = options.folder / "stream_x.npy"
    n = make(world, options.folder, options.gigabytes, options.columns)
    size, part = path.stat().st_size, n * 8 * options.columns // world.size
    begin = 128 + world.rank * part
    spec = DataSpec(path="stream_x.npy", target="stream_y.npy", memory="stream")
    streamed = gradient(world, load(world, spec, options.folder))
    memory = DataSpec(path="stream_x.npy", target="stream_y.npy", memory="keep")

    def show(what: str, work: Callable[[], object], is_cold: bool) -> float:
        """Print and return the median of some times."""
        seconds = float(
            np.median([timed(world, path, work, is_cold) for _ in range(options.repeat)])
        )
        if world.is_root:
            where = "from the disk" if is_cold else "from the cache"
            print(f"{what:28} {where:15} {seconds:7.3f} s {size / seconds / 1e9:6.2f} GB/s")
        return seconds

    for is_cold in (True, False):
        read = show("plain read", lambda: plain(path, begin, begin + part), is_cold)
        ours = show("streamed gradient", streamed, is_cold)
        kept = show("reading into memory", lambda: load(world, memory, options.folder), is_cold)
        if world.is_root:
            print(f"  gradient / plain read {ours / read:.2f}, memory / plain {kept / read:.2f}")
    kept_rows = gradient(world, load(world, memory, options.folder))
    show("gradient of rows in memory", kept_rows, False)
    if world.is_root:
        path.unlink()
        (options.folder / "stream_y.npy").unlink()


if __name__ == "__main__":
    main()
