"""Is a dual coordinate ascent worth having? SDCA, row by row in NumPy, beside L-BFGS, one process.

    python tests/benchmarks/sdca_in_numpy.py [ROWS] [COLUMNS]

Sparse logistic regression, 60 numbers a row, L2 4 / ROWS; both to a relative gap of 1e-7. SDCA is
that of Shalev-Shwartz and Zhang (JMLR 14, 2013), two Newton steps a row on the dual: of CoCoA+ (Ma
et al., ICML 2015) it is the local solver, and with one worker all of it, so that more workers need
no fewer epochs.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.sparse import csr_array

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import Logistic
from mpi_gd.matrix import Csr
from mpi_gd.matrix.matrix import Floats
from mpi_gd.penalties import L2
from mpi_gd.solvers import Lbfgs
from tests.fitting import fit

# alpha times the rows is what a row's step depends on: as in 400,000 rows with L2 1e-5.
STRENGTH, PER_ROW, GAP, MOST_EPOCHS = 4.0, 60, 1e-7, 15


def table(n: int, d: int) -> tuple[csr_array, Floats]:
    """Return rows of counts in which some columns are far more frequent, and labels -1, 1."""
    rng = np.random.default_rng(0)
    columns = np.minimum((d * rng.random((n, PER_ROW)) ** 3).astype(np.int64), d - 1)
    rows = np.repeat(np.arange(n), PER_ROW)
    x = csr_array((rng.random(n * PER_ROW), (rows, columns.reshape(-1))), shape=(n, d))
    x.sum_duplicates()
    z = x @ rng.normal(size=d)
    return x, 1.0 * np.where(rng.random(n) < 1 / (1 + np.exp(-z)), 1.0, -1.0)


def objective(x: csr_array, s: Floats, w: Floats) -> float:
    """Return the mean loss and the penalty."""
    return float(np.logaddexp(0.0, -s * (x @ w)).mean() + STRENGTH / len(s) / 2 * w @ w)


def epoch(x: csr_array, s: Floats, a: Floats, w: Floats, seed: int) -> None:
    """Take each row's step once: a_i in (0, 1), w = sum a_i s_i x_i / STRENGTH."""
    for i in np.random.default_rng(seed).permutation(len(s)).tolist():
        own = slice(x.indptr[i], x.indptr[i + 1])
        places, numbers = x.indices[own], x.data[own]
        q = float(numbers @ numbers) / STRENGTH
        z, old = float(s[i] * (numbers @ w[places])), float(a[i])
        # Two Newton steps on a log a + (1 - a) log(1 - a) + z (a - old) + q (a - old)^2 / 2.
        new = min(max(old, 1e-12), 1 - 1e-12)
        for _ in range(2):
            slope = np.log(new / (1 - new)) + z + q * (new - old)
            new = min(max(new - slope / (1 / (new * (1 - new)) + q), 0.1 * new), 0.9 + 0.1 * new)
        a[i] = new
        w[places] += (new - old) * s[i] / STRENGTH * numbers


def main() -> None:
    """Print both times."""
    n, d = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (20_000, 5_000)
    x, s = table(n, d)
    y: Floats = np.asarray((s > 0) * 1.0, dtype=np.float64)
    rows = Csr(x.data, x.indices, x.indptr, d)
    found = fit(
        SerialWorld(),
        rows,
        y,
        Logistic(),
        L2(STRENGTH / n),
        solver=Lbfgs(),
        intercept=False,
        tol=1e-9,
        max_iter=1000,
    )
    best = found.records[-1].objective
    enough = next(each for each in found.records if each.objective <= best * (1 + GAP))
    print(f"L-BFGS: {enough.elapsed_seconds:.2f} s, {enough.questions} passes to gap {GAP:g}")
    a, w, spent = np.zeros(n), np.zeros(d), 0.0
    for k in range(MOST_EPOCHS):
        began = time.perf_counter()
        epoch(x, s, a, w, k)
        spent += time.perf_counter() - began
        gap = objective(x, s, w) / best - 1
        print(f"SDCA: epoch {k + 1}, {spent:.2f} s, gap {gap:.1e}", flush=True)
        if gap <= GAP:
            break


if __name__ == "__main__":
    main()
