"""How long cross-validated searches take, beside one fit and beside scikit-learn.

    python -m tests.benchmarks.tuning --peer PYTHON [--problems ridge,net,logistic] [--shrink 1]

Each problem is run in turns: `tune` on 2 ranks with one thread each, files to model; and, with the
Python of an environment that has scikit-learn, its own cross-validation with both cores, arrays in
memory to model. Compared are seconds, and the penalties that are chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.launch import environment, mpirun_command

_JOB = """\
[data]
path = "x.npy"
target = "y.npy"
[loss]
kind = "{loss}"
[penalty]
kind = "{penalty}"
{more}
[tune]
folds = 5
[space]
"penalty.alpha" = {alphas}
"""
# What scikit-learn calls these strengths: see the docstrings of the penalties' `alpha`.
_PEER = """\
import json, sys, time
import numpy as np
x, y = np.load("x.npy"), np.load("y.npy")
n = len(x)
began = time.perf_counter()
if sys.argv[1] == "net":
    from sklearn.linear_model import ElasticNetCV
    found = ElasticNetCV(l1_ratio=0.5, alphas=100, cv=5, n_jobs=2).fit(x, y)
    alpha = found.alpha_
else:
    from sklearn.linear_model import LogisticRegressionCV
    alphas = np.geomspace(1e-5, 1.0, 20)
    options = dict(cv=5, n_jobs=2, max_iter=500, l1_ratios=(0,), use_legacy_attributes=False)
    options["scoring"] = "neg_log_loss"
    found = LogisticRegressionCV(Cs=1 / (alphas * n * 0.8), **options).fit(x, y)
    alpha = 1 / (np.ravel(found.C_)[0] * n * 0.8)
print(json.dumps({"seconds": time.perf_counter() - began, "alpha": float(alpha)}))
"""


@dataclass(frozen=True)
class Problem:
    """A data set and the search in it."""

    rows: int
    columns: int
    loss: str
    penalty: str
    more: str
    alphas: str
    has_peer: bool


_RANGE = "{{low = {}, high = {}, log = true, steps = {}}}"
PROBLEMS = {
    "ridge": Problem(
        1_000_000, 100, "squared", "l2", "", _RANGE.format(1e-6, 1e2, 50), has_peer=False
    ),
    "net": Problem(
        500_000, 100, "squared", "elastic-net", "l1_ratio = 0.5", '"path"', has_peer=True
    ),
    "logistic": Problem(
        500_000, 50, "logistic", "l2", "", _RANGE.format(1e-5, 1.0, 20), has_peer=True
    ),
}


def write(problem: Problem, folder: Path, shrink: int) -> None:
    """Write correlated columns, a target of some of them, and the job."""
    rng = np.random.default_rng(11)
    n, d = problem.rows // shrink, problem.columns
    x = rng.normal(size=(n, d))
    for j in range(1, d):
        x[:, j] = 0.5 * x[:, j - 1] + np.sqrt(0.75) * x[:, j]
    z = x @ (rng.normal(size=d) * (rng.random(d) < 0.5) * 0.3)
    is_squared = problem.loss == "squared"
    y = z + 3.0 * rng.normal(size=n) if is_squared else (z + rng.logistic(size=n) > 0) * 1.0
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    (folder / "job.toml").write_text(
        _JOB.format(
            loss=problem.loss, penalty=problem.penalty, more=problem.more, alphas=problem.alphas
        )
    )


def ours(folder: Path, command: str, out: str) -> dict[str, Any]:
    """Run a command of the program on 2 ranks; return its summary, and the seconds of it all."""
    line = [*mpirun_command(2), sys.executable, "-m", "mpi_gd", command, "job.toml"]
    line += ["--out", out, "--force", "--progress", "none"]
    began = time.perf_counter()
    subprocess.run(
        line, cwd=folder, check=True, env=environment("tuning", {}, line), timeout=1800,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    summary: dict[str, Any] = json.loads((folder / out / "summary.json").read_text())
    return {**summary, "wall": seconds}


def peers(folder: Path, python: str, name: str) -> dict[str, Any]:
    """Run scikit-learn's search with both cores."""
    # Two folds at a time, each with one thread.
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-W", "ignore", "-c", _PEER, name], cwd=folder, check=True, env=env,
        capture_output=True, text=True, timeout=3600,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the problems in turns, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default="", help="Python of an environment with scikit-learn")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--shrink", type=int, default=1, help="take so many times fewer rows")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.problems.split(","):
        problem = PROBLEMS[name]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write(problem, folder, options.shrink)
            fits, searches, theirs = [], [], []
            for number in range(options.rounds):
                if problem.loss == "squared" and problem.penalty == "l2":
                    fits.append(ours(folder, "train", "fit"))
                searches.append(ours(folder, "tune", "search"))
                if options.peer and problem.has_peer and number == 0:
                    theirs.append(peers(folder, options.peer, name))
            report(name, fits, searches, theirs)


def report(
    name: str,
    fits: list[dict[str, Any]],
    searches: list[dict[str, Any]],
    theirs: list[dict[str, Any]],
) -> None:
    """Print medians, and the penalties that were chosen."""
    own = float(np.median([each["tune"]["seconds"] for each in searches]))
    wall = float(np.median([each["wall"] for each in searches]))
    alpha = searches[0]["tune"]["values"]["penalty.alpha"]
    print(f"{name}: search {own:.3g} s, the whole program {wall:.3g} s, alpha {alpha:.4g}")
    if fits:
        fit = float(np.median([each["setup_seconds"] + each["solve_seconds"] for each in fits]))
        print(f"  one fit {fit:.3g} s: the search takes {own / fit:.2f} times that")
    for each in theirs:
        print(
            f"  scikit-learn {each['seconds']:.3g} s, alpha {each['alpha']:.4g}: "
            f"{each['seconds'] / own:.1f} times as long"
        )


if __name__ == "__main__":
    main()
