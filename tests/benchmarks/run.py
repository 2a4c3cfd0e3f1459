"""A fit of one contender: a process of its own, with a limit of time, and what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers import N_THREADS
from tests.benchmarks.problems import Problem

__all__ = ["Fit", "Ours", "fit_ours", "fit_peer", "run_limited"]

Floats = NDArray[np.float64]
_ROOT = Path(__file__).parents[2]
_LAST_LINES = 3


@dataclass(frozen=True)
class Fit:
    """What came of a fit; `failure` is empty if it is one."""

    failure: str = ""
    seconds: float = 0.0
    """From rows in memory to coefficients."""
    whole_seconds: float = 0.0
    """Of the process, from its start to its end."""
    coef: Floats | None = None
    intercept: Any = 0.0
    version: str = ""


@dataclass(frozen=True)
class Ours:
    """How our program is run."""

    bin: Path
    """Where its Python and its mpirun are."""
    solver: str = "auto"
    n_ranks: int = 2


def fit_peer(
    problem: Problem, folder: Path, name: str, settings: dict[str, float], limit: float
) -> Fit:
    """Fit with a peer, in this environment."""
    out = folder / "peer.npz"
    words = [sys.executable, "-m", "tests.benchmarks.worker", str(folder)]
    words += [json.dumps(asdict(problem)), name, json.dumps(settings), str(out)]
    threads = {f"{name}_NUM_THREADS": str(N_THREADS) for name in ("OMP", "OPENBLAS", "MKL")}
    failure, seconds, told = run_limited(words, threads, limit)
    if failure:
        return Fit(failure)
    line = json.loads(told.strip().splitlines()[-1])
    with np.load(out) as found:
        coef, intercept = found["coef"], found["intercept"]
    return Fit("", line["seconds"], seconds, coef, intercept, line["version"])


def fit_ours(
    problem: Problem,
    folder: Path,
    ours: Ours,
    settings: dict[str, float],
    limit: float,
    *,
    alpha_max: float = 0.0,
    counts: bool = False,
) -> tuple[Fit, dict[str, Any]]:
    """Fit with ours; return also what it did: its summary, and if asked for, counts.

    A path is always counted: its seconds are found on the way.
    """
    job, run = folder / "job.toml", folder / "run"
    job.write_text(_job(problem, ours.solver, settings["tol"]))
    is_path = problem.n_alphas > 0
    words = ["train", str(job), "--out", str(run), "--force", "--progress", "none"]
    if is_path:
        words = ["path", str(job), "--n-alphas", str(problem.n_alphas), "--eps"]
        words += [str(problem.alpha), "--alpha-max", repr(alpha_max), "--out", f"{run}.npz"]
    counter = folder / "counts"
    module = ["-m", "mpi_gd"]
    if counts or is_path:
        module = ["-m", "tests.benchmarks.counted", str(counter)]
    mpirun = [str(ours.bin / "mpirun"), "-n", str(ours.n_ranks)]
    command = [*mpirun, str(ours.bin / "python"), *module, *words]
    failure, whole, _ = run_limited(command, {"OPENBLAS_NUM_THREADS": "1"}, limit)
    if failure:
        return Fit(failure), {}
    did = _counts(counter, problem, ours.n_ranks) if counts or is_path else {}
    if is_path:
        with np.load(f"{run}.npz") as found:
            return Fit("", did["seconds"], whole, found["coef"].T, found["intercept"]), did
    summary = json.loads((run / "summary.json").read_text())
    with np.load(run / "model.npz") as found:
        coef, intercept = found["coef"], found["intercept"]
    seconds = summary["setup_seconds"] + summary["solve_seconds"]
    return Fit("", seconds, whole, coef, intercept, summary["version"]), {**summary, **did}


def _job(problem: Problem, solver: str, tol: float) -> str:
    """Return the job file."""
    data = '"x.npz"' if problem.n_stored else '"x.npy"\ntarget = "y.npy"'
    penalty = f'kind = "l2"\nalpha = {problem.alpha!r}'
    if problem.n_alphas:
        penalty = 'kind = "l1"'
    return f"""\
intercept = {"false" if problem.n_alphas else "true"}
[data]
path = {data}
[loss]
kind = "{problem.loss}"
[penalty]
{penalty}
[solver]
kind = "{solver}"
[stop]
tol = {tol!r}
max_iter = 10000
"""


def _counts(counter: Path, problem: Problem, n_ranks: int) -> dict[str, Any]:
    """Return the counts of all ranks."""
    ranks = [json.loads(Path(f"{counter}.{rank}.json").read_text()) for rank in range(n_ranks)]
    return {
        "passes": sum(rank["rows"] for rank in ranks) / problem.n_rows,
        # The others agree on errors, a number each, from the start to the end of the program.
        "sums": ranks[0]["calls"].get("allreduce_sum", 0),
        "calls": sum(ranks[0]["calls"].values()),
        "seconds": ranks[0]["seconds"],
    }


def run_limited(words: Sequence[str], env: dict[str, str], limit: float) -> tuple[str, float, str]:
    """Run a command; return why it failed, its seconds and what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**os.environ, **env},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"not done after {limit:.0f} s", 0.0, ""
    seconds = time.perf_counter() - began
    if process.returncode:
        lines = (out + err).strip().splitlines()[-_LAST_LINES:]
        return f"failed with {process.returncode}: {' | '.join(lines)}", seconds, out
    return "", seconds, out
