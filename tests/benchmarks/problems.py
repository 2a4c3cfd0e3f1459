"""The problems on which fits are compared: what is minimized, how far, and on which data.

    F(w, b) = mean of loss(y_i, x_i.w + b) + alpha (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2)

Dense columns are an AR(1) process along the row, of uneven scales: 1/3 to 3. Sparse rows have their
numbers in columns of uneven frequency and scale.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["PROBLEMS", "Problem", "make", "read", "shrunk"]

Floats = NDArray[np.float64]
Kind = Literal["logistic", "squared", "poisson", "multinomial"]

_PART = 50_000
_CORRELATION = 0.5
# Wider apart would be unkind to methods that depend on it: dual coordinate ascent needs passes in
# proportion to the mean square of a row.
_DECADES = 0.5
_SHIFT = -0.5


@dataclass(frozen=True)
class Problem:
    """What is to be minimized, and how near to the minimum."""

    name: str
    loss: Kind
    n_rows: int
    n_columns: int
    alpha: float
    gap: float
    """Of the objective, relative to the best."""
    title: str
    n_classes: int = 1
    n_stored: int = 0
    """Numbers of a sparse row; 0 for dense rows."""
    n_alphas: int = 0
    """Of a lasso path without intercept; `alpha` is then the last one's share of the first."""


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("logistic", "logistic", 1_000_000, 100, 1e-4, 1e-8, "dense logistic, L2"),
        Problem("ridge", "squared", 1_000_000, 100, 1e-4, 1e-10, "ridge"),
        Problem("lasso", "squared", 500_000, 100, 1e-3, 1e-6, "lasso path", n_alphas=100),
        Problem("multinomial", "multinomial", 200_000, 256, 1e-4, 1e-7, "multinomial, L2", 10),
        Problem("poisson", "poisson", 1_000_000, 50, 1e-4, 1e-8, "Poisson, L2"),
        Problem("sparse", "logistic", 400_000, 100_000, 1e-5, 1e-7, "sparse logistic, L2", 1, 60),
    )
}


def shrunk(problem: Problem, share: int) -> Problem:
    """Return a problem of so many times fewer rows, and of fewer columns if it is sparse."""
    n_columns = problem.n_columns // share if problem.n_stored else problem.n_columns
    return dataclasses.replace(problem, n_rows=problem.n_rows // share, n_columns=n_columns)


def make(problem: Problem, folder: Path) -> None:
    """Write x.npy or x.npz (a SciPy CSR matrix), and y.npy, unless they are there."""
    stamp = folder / "problem.json"
    text = json.dumps({**dataclasses.asdict(problem), "made": [_CORRELATION, _DECADES, _SHIFT]})
    if stamp.exists() and stamp.read_text() == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    rng = np.random.default_rng(1)
    (_make_sparse if problem.n_stored else _make_dense)(problem, folder, rng)
    stamp.write_text(text)


def read(problem: Problem, folder: Path) -> tuple[Any, Floats]:
    """Return the rows, an array or a SciPy CSR matrix, and y, in memory."""
    y = np.load(folder / "y.npy")
    if not problem.n_stored:
        return np.load(folder / "x.npy"), y
    from scipy.sparse import csr_matrix

    with np.load(folder / "x.npz") as stored:
        arrays = tuple(stored[name] for name in ("data", "indices", "indptr"))
    # 32 bits are what all peers take.
    arrays = arrays[0], arrays[1].astype(np.int32), arrays[2].astype(np.int32)
    return csr_matrix(arrays, shape=(problem.n_rows, problem.n_columns)), y


def _make_dense(problem: Problem, folder: Path, rng: np.random.Generator) -> None:
    """Write correlated columns, part by part."""
    n, d = problem.n_rows, problem.n_columns
    scales = 10.0 ** rng.uniform(-_DECADES, _DECADES, d)
    w = rng.normal(size=(d, problem.n_classes)) / np.sqrt(d)
    if problem.loss == "poisson":
        w *= 0.3
    if problem.n_alphas:
        # Some columns tell nothing: a lasso is to find out.
        w[rng.random(d) < 0.7] = 0.0
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float64, (n, d))
    y = np.empty(n)
    for start in range(0, n, _PART):
        part = rng.normal(size=(min(_PART, n - start), d))
        for j in range(1, d):
            part[:, j] *= np.sqrt(1 - _CORRELATION**2)
            part[:, j] += _CORRELATION * part[:, j - 1]
        own = slice(start, start + len(part))
        x[own] = part * scales
        y[own] = _response(problem, part @ w + (0.0 if problem.n_alphas else _SHIFT), rng)
    x.flush()
    np.save(folder / "y.npy", y)


def _make_sparse(problem: Problem, folder: Path, rng: np.random.Generator) -> None:
    """Write rows with `n_stored` numbers each; a column that is drawn twice adds up."""
    n, d, k = problem.n_rows, problem.n_columns, problem.n_stored
    weight = 1.0 / (np.arange(d) + 100.0)
    edges = np.cumsum(weight / weight.sum())
    columns = np.searchsorted(edges, rng.random((n, k))).clip(max=d - 1).astype(np.int64)
    columns.sort(axis=1)
    data = rng.normal(size=(n, k)) * rng.uniform(0.5, 2.0, d)[columns]
    w = rng.normal(size=d)
    z = (data * w[columns]).sum(axis=1) / np.sqrt(k) * 1.5
    # Equal columns of a row become one.
    is_first = np.ones((n, k), dtype=bool)
    is_first[:, 1:] = columns[:, 1:] != columns[:, :-1]
    starts = np.flatnonzero(is_first)
    np.savez(
        folder / "x.npz",
        format=np.array(b"csr"),
        shape=np.array([n, d]),
        data=np.add.reduceat(data.ravel(), starts),
        indices=columns.ravel()[starts].astype(np.int32),
        indptr=np.append(0, np.cumsum(is_first.sum(axis=1))),
        y=(y := _response(problem, z[:, None], rng)),
    )
    np.save(folder / "y.npy", y)


def _response(problem: Problem, z: Floats, rng: np.random.Generator) -> Floats:
    """Draw y from the model whose linear predictor is z (n, K)."""
    if problem.loss == "multinomial":
        return np.asarray((z + rng.gumbel(size=z.shape)).argmax(axis=1), dtype=np.float64)
    z = z[:, 0]
    if problem.loss == "poisson":
        return rng.poisson(np.exp(z)).astype(np.float64)
    if problem.loss == "squared":
        return np.asarray(z + rng.normal(size=len(z)))
    return (rng.random(len(z)) < 1.0 / (1.0 + np.exp(-z))).astype(np.float64)
