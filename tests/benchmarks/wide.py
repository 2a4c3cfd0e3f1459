"""Memory and time of our solvers where the state is long: 10,000,000 sparse columns.

    python -m tests.benchmarks.wide [--rows 200000] [--columns 10000000] [--solvers lbfgs,fista]

Makes the data once, trains with each solver for a few iterations on two ranks, and says what a rank
holds at most, and how long set-up, an iteration and a checkpoint take. MPI must be beside this
Python.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.problems import Problem, make
from tests.benchmarks.run import run_limited

_LIMIT_SECONDS = 600.0
_GIB = float(1 << 30)


def main() -> int:
    """Measure as the arguments say."""
    given = _arguments()
    problem = Problem("wide", "logistic", given.rows, given.columns, 1e-5, 1e-6, "wide", 1, 60)
    folder = (given.out / f"wide-{given.rows}-{given.columns}").resolve()
    began = time.perf_counter()
    make(problem, folder)
    print(f"{given.rows:,} x {given.columns:,}; made in {time.perf_counter() - began:.0f} s")
    print("solver               setup s   iteration s   gradients   peak GiB a rank   whole s")
    found = {}
    for solver in given.solvers.split(","):
        found[solver] = figures = _measure(folder, solver, given)
        if "failure" in figures:
            print(f"{solver:20} {figures['failure']}", flush=True)
            continue
        print(
            f"{solver:20} {figures['setup_seconds']:7.1f}   {figures['iteration_seconds']:11.2f}   "
            f"{figures['questions']:9d}   {figures['peak_GiB']:15.2f}   "
            f"{figures['whole_seconds']:7.1f}",
            flush=True,
        )
    (given.out / "wide.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _measure(folder: Path, solver: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train a few iterations; return the figures."""
    job, run, counter = folder / "job.toml", folder / "run", folder / "counts"
    penalty = "l1" if solver in ("fista", "owl-qn") else "l2"
    job.write_text(
        f'[data]\npath = "x.npz"\n[loss]\nkind = "logistic"\n'
        f'[penalty]\nkind = "{penalty}"\nalpha = 1e-5\n[solver]\nkind = "{solver}"\n'
        f"[stop]\ntol = 0.0\nmax_iter = {given.iterations}\n"
    )
    words = [str(Path(sys.executable).with_name("mpirun")), "-n", str(given.ranks)]
    words += [sys.executable, "-m", "tests.benchmarks.counted", str(counter)]
    words += ["train", str(job), "--out", str(run), "--force", "--progress", "none"]
    for key in given.set:
        words += ["--set", key]
    failure, whole, _ = run_limited(words, {"OPENBLAS_NUM_THREADS": "1"}, _LIMIT_SECONDS)
    if failure:
        return {"failure": failure}
    ranks = [json.loads(Path(f"{counter}.{rank}.json").read_text()) for rank in range(given.ranks)]
    summary = json.loads((run / "summary.json").read_text())
    lines = (run / "metrics.jsonl").read_text().splitlines()
    elapsed = [json.loads(line)["elapsed_seconds"] for line in lines]
    each = [after - before for before, after in itertools.pairwise(elapsed)]
    return {
        "setup_seconds": summary["setup_seconds"],
        "reading_seconds": summary["reading_seconds"],
        "iteration_seconds": statistics.median(each) if each else 0.0,
        "questions": summary["questions"],
        "peak_GiB": max(rank["peak_bytes"] for rank in ranks) / _GIB,
        "peaks": ranks[0]["peaks"],
        "model_bytes": os.path.getsize(run / "model.npz"),
        "whole_seconds": whole,
    }


def _arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.wide", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=10_000_000)
    parser.add_argument("--solvers", default="lbfgs,fista,gd,sgd")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/wide"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
