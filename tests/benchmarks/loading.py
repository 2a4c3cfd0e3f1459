"""How fast data are loaded, beside those who can do nothing but read.

    python -m tests.benchmarks.loading [--megabytes 300] [--rounds 3] [--folder FOLDER]

Needs mpirun on PATH, the extras csv and sparse, and scikit-learn. Every reading is a process of its
own; all take turns, several rounds, and medians count. Rows that are mapped are touched, so that
all of them are in memory. "cold": the file's pages are dropped from the cache before. Ours agrees
on the file, counts its rows and checks them, too, and is an MPI program of one or two ranks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

__all__ = ["READERS", "make"]

# A cache line's worth of pages is brought in by a number of each.
_PAGE = 4096
_COLUMNS = 100


@dataclass(frozen=True)
class Reading:
    """One line of the table."""

    name: str
    file: str
    reader: str
    n_ranks: int = 1
    is_cold: bool = False


READINGS = (
    Reading("plain readinto", "x.npy", "readinto"),
    Reading("mpi_gd, mapped", "x.npy", "map"),
    Reading('mpi_gd, memory = "keep"', "x.npy", "keep"),
    Reading('mpi_gd, memory = "keep", 2 ranks', "x.npy", "keep", 2),
    Reading("plain readinto, cold", "x.npy", "readinto", is_cold=True),
    Reading("mpi_gd, mapped, cold", "x.npy", "map", is_cold=True),
    Reading('mpi_gd, memory = "keep", cold', "x.npy", "keep", is_cold=True),
    Reading("pyarrow.csv, one thread", "t.csv", "arrow"),
    Reading("mpi_gd, 1 rank", "t.csv", "csv"),
    Reading("pyarrow.csv, two threads", "t.csv", "arrow2"),
    Reading("mpi_gd, 2 ranks", "t.csv", "csv", 2),
    Reading("pyarrow.parquet, one thread", "t.parquet", "parquet"),
    Reading("mpi_gd, 1 rank", "t.parquet", "csv"),
    Reading("mpi_gd, 2 ranks", "t.parquet", "csv", 2),
    Reading("scikit-learn", "t.svm", "sklearn"),
    Reading("mpi_gd, 1 rank", "t.svm", "svm"),
    Reading("mpi_gd, 2 ranks", "t.svm", "svm", 2),
)


def make(folder: Path, megabytes: int) -> None:
    """Write the files: text of so many MB, .npy of five times as much, Parquet of as many rows."""
    import pyarrow as pa
    from pyarrow import csv, parquet
    from sklearn.datasets import dump_svmlight_file

    rng = np.random.default_rng(0)
    n = 5 * megabytes * 1_000_000 // (8 * _COLUMNS)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float64, (n, _COLUMNS))
    for first in range(0, n, 10_000):
        x[first : first + 10_000] = rng.normal(size=(min(10_000, n - first), _COLUMNS))
    x.flush()
    np.save(folder / "y.npy", rng.normal(size=n))
    # The same lines over and over: a reader does not know.
    block = {f"x{j}": rng.normal(size=5000) for j in range(_COLUMNS)}
    table = pa.table({**block, "y": rng.integers(0, 2, 5000).astype(np.float64)})
    sink = BytesIO()
    csv.write_csv(table, sink)
    head, _, rows = sink.getvalue().partition(b"\n")
    times = max(1, megabytes * 1_000_000 // len(rows))
    with (folder / "t.csv").open("wb") as file:
        file.write(head.replace(b'"', b"") + b"\n")
        file.writelines([rows] * times)
    parquet.write_table(
        pa.concat_tables([table] * times), folder / "t.parquet", row_group_size=20_000
    )
    sparse = np.where(rng.random((2000, 2000)) < 0.02, rng.normal(size=(2000, 2000)), 0.0)
    sink = BytesIO()
    dump_svmlight_file(sparse, rng.integers(0, 2, 2000), sink, zero_based=False)
    lines = sink.getvalue()
    with (folder / "t.svm").open("wb") as file:
        file.writelines([lines] * max(1, megabytes * 1_000_000 // len(lines)))
    # What has been written is to be on the disk: else it cannot be dropped from the cache.
    os.sync()


def _readinto(path: Path) -> None:
    """Read all bytes into fresh memory."""
    out = np.empty(path.stat().st_size, dtype=np.uint8)
    place = 0
    with path.open("rb", buffering=0) as file:
        while place < len(out):
            place += file.readinto(out[place : place + (1 << 26)].data) or 0


def _arrow(path: Path, use_threads: bool = False) -> None:
    from pyarrow import csv

    csv.read_csv(path, csv.ReadOptions(use_threads=use_threads))


def _parquet(path: Path) -> None:
    from pyarrow import parquet

    parquet.read_table(path, use_threads=False)


def _sklearn(path: Path) -> None:
    from sklearn.datasets import load_svmlight_file

    load_svmlight_file(str(path))


def _ours(**keys: Any) -> Callable[[Path], None]:
    """Return what loads this rank's rows."""

    def read(path: Path) -> None:
        from mpi_gd.comm.mpi import MpiWorld
        from mpi_gd.commands.load import load
        from mpi_gd.data import DataSpec

        data = load(MpiWorld(), DataSpec(path=path.name, **keys), path.parent)
        x: Any = data.x
        if isinstance(getattr(x, "x", None), np.ndarray):
            x.x.reshape(-1)[:: _PAGE // 8].sum()

    return read


READERS: dict[str, Callable[[Path], None]] = {
    "readinto": _readinto,
    "arrow": _arrow,
    "arrow2": lambda path: _arrow(path, use_threads=True),
    "parquet": _parquet,
    "sklearn": _sklearn,
    "map": _ours(target="y.npy", memory="map"),
    "keep": _ours(target="y.npy", memory="keep"),
    "csv": _ours(target="y", memory="keep"),
    "svm": _ours(),
}


def _work(reader: str, path: Path) -> None:
    """Read on all ranks, and print the seconds from the first's start to the last's end."""
    if reader in ("map", "keep", "csv", "svm"):
        from mpi4py import MPI

        import mpi_gd.commands.load  # noqa: F401

        barrier, rank = MPI.COMM_WORLD.Barrier, MPI.COMM_WORLD.rank
    else:
        barrier, rank = (lambda: None), 0
    if path.suffix == ".csv" or reader == "arrow":
        import pyarrow.csv
    if path.suffix == ".parquet":
        import pyarrow.parquet
    if reader == "sklearn":
        import sklearn.datasets  # noqa: F401
    if path.suffix == ".svm":
        import pyarrow.csv  # noqa: F401
        import scipy.sparse  # noqa: F401
    barrier()
    began = time.monotonic()
    READERS[reader](path)
    barrier()
    if rank == 0:
        print("SECONDS", time.monotonic() - began)


def _seconds(reading: Reading, folder: Path) -> float:
    """Return how long a reading takes, in a process or two of their own."""
    path = folder / reading.file
    number = os.open(path, os.O_RDONLY)
    if reading.is_cold:
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        # All of it is in the cache.
        while os.read(number, 1 << 26):
            pass
    os.close(number)
    program = [
        sys.executable,
        "-m",
        "tests.benchmarks.loading",
        "--work",
        reading.reader,
        str(path),
    ]
    if reading.n_ranks > 1:
        program = ["mpirun", "-n", str(reading.n_ranks), *program]
    done = subprocess.run(program, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{reading.name}: {done.stderr[-2000:]}")
    return float(done.stdout.partition("SECONDS")[2].split()[0])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--megabytes", type=int, default=300, help="of text (default: 300)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a file's suffix, as csv")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    if options.work:
        _work(options.work[0], Path(options.work[1]))
        return
    from mpi_gd.data import FORMATS

    readings = [each for each in READINGS if each.file.endswith(options.only)]
    if "parquet" not in FORMATS:
        readings = [each for each in readings if not each.file.endswith(".parquet")]
    if options.folder:
        Path(options.folder).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        make(folder, options.megabytes)
        seconds: dict[Reading, list[float]] = {reading: [] for reading in readings}
        for _ in range(options.rounds):
            for reading in readings:
                seconds[reading].append(_seconds(reading, folder))
        print("| file | reader | seconds | MB/s |\n|---|---|---|---|")
        for reading, times in seconds.items():
            size = (folder / reading.file).stat().st_size / 1e6
            found = median(times)
            print(f"| {reading.file} | {reading.name} | {found:.2f} | {size / found:,.0f} |")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
