"""One fit of a peer in a process of its own; a JSON line says how it went.

    python -m tests.benchmarks.worker FOLDER PROBLEM CONTENDER SETTINGS OUT.npz

The clock runs from rows in memory, and packages imported, to coefficients.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tests.benchmarks.peers import N_THREADS, PEERS
from tests.benchmarks.problems import Problem, read
from tests.benchmarks.spark import prepare

# What a package is imported as, so that no import is in the time of a fit.
_IMPORTS = {
    "scikit-learn": "sklearn.linear_model",
    "scikit-learn-intelex": "sklearnex.linear_model",
    "pyspark": "pyspark.ml.classification",
}


def main(folder: Path, problem: Problem, name: str, settings: dict[str, float], out: Path) -> None:
    """Fit, and write coefficients and intercept."""
    peer = PEERS[problem.name][name]
    import_module(_IMPORTS.get(peer.package, peer.package))
    if peer.package == "pyspark":
        x, y = prepare(folder, N_THREADS), np.zeros(0)
    else:
        x, y = read(problem, folder)
    began = time.perf_counter()
    coef, intercept = peer.fit(problem, x, y, settings)
    seconds = time.perf_counter() - began
    np.savez(out, coef=coef, intercept=np.asarray(intercept))
    print(json.dumps({"seconds": seconds, "version": version(peer.package)}), flush=True)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Problem(**json.loads(sys.argv[2])),
        sys.argv[3],
        json.loads(sys.argv[4]),
        Path(sys.argv[5]),
    )
