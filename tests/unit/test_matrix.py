"""Sparse and dense rows give the same products, block by block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld
from mpi_gd.losses import LOSSES
from mpi_gd.matrix import Beside, Csr, Dense, Matrix
from mpi_gd.penalties import L1, L2
from tests.fitting import fit

Floats = NDArray[np.float64]


def sparse(x: Floats, *, shuffled: bool = False) -> Csr:
    """Return the matrix as compressed sparse rows; shuffled, with duplicates that add up."""
    rng = np.random.default_rng(0)
    data: list[float] = []
    indices: list[int] = []
    indptr = [0]
    for row in x:
        columns = np.flatnonzero(row)
        parts = [(int(j), float(row[j])) for j in columns]
        if shuffled:
            parts = [(j, v) for j, value in parts for v in (value / 2, value / 2)]
            rng.shuffle(parts)
        indices += [int(j) for j, _ in parts]
        data += [float(v) for _, v in parts]
        indptr.append(len(data))
    return Csr(np.array(data), np.array(indices, dtype=np.int32), np.array(indptr), x.shape[1])


def beside(x: Floats, width: int) -> Beside:
    """Return the matrix with so many dense columns, the others sparse."""
    return Beside(Dense(np.ascontiguousarray(x[:, :width])), sparse(x[:, width:]))


def table(n: int, d: int, seed: int, share: float = 0.3) -> Floats:
    """Return rows of which a share is not zero."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=(n, d)) * (rng.random((n, d)) < share))


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("shuffled", [False, True])
@given(n=st.integers(0, 40), d=st.integers(1, 12), seed=st.integers(0, 99), cut=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_products_are_those_of_the_filled_rows(
    k: int, shuffled: bool, n: int, d: int, seed: int, cut: int
) -> None:
    # Rows of few numbers, as of categories, go another way than those of some more.
    x = table(n, d, seed, 0.3 if seed % 2 else 0.04)
    rng = np.random.default_rng(seed)
    first = min(cut, n)
    shape = (k,) if k else ()
    w, r = rng.normal(size=(d, *shape)), rng.normal(size=(n - first, *shape))
    h, center = rng.random(n - first), rng.normal(size=d)
    found = []
    matrices: tuple[Matrix, ...] = (
        Dense(x),
        sparse(x, shuffled=shuffled),
        beside(x, d // 2),
        beside(x, d),
    )
    for matrix in matrices:
        assert matrix.shape == (n, d) and len(matrix) == n
        block = matrix.reader(max(1, n)).block(first, n)
        z, g = np.empty((n - first, *shape)), np.ones((d, *shape))
        gram, moments = np.ones((d, d)), np.ones((2, d))
        block.times(w, z)
        block.add_transposed_times(r, g)
        block.add_gram(h, gram)
        block.add_moments(center, h, moments)
        columns = matrix.columns(np.array([d - 1, 0]))
        rows, is_used = np.empty((n - first, d)), np.arange(n) % 3 > 0
        matrix.reader(max(1, n)).put(first, n, rows)
        ends = matrix.ends(np.arange(d)[::-1], is_used)
        part = matrix.part(first, n).columns(np.arange(d))
        found.append([z, g, gram, moments, columns, block.dense().copy(), rows, ends, part])
    for dense, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, dense, rtol=1e-11, atol=1e-11)


def test_what_is_not_finite_is_found() -> None:
    x = table(9, 4, 1)
    x[5, 2], x[7, 0] = np.inf, np.nan
    for matrix in (Dense(x), sparse(x), *(beside(x, width) for width in range(5))):
        assert matrix.find_not_finite(0, 5) is None
        assert matrix.find_not_finite(2, 9) == (5, 2, np.inf)


def test_sparse_rows_are_not_shifted() -> None:
    x = table(3, 2, 0)
    for matrix in (sparse(x), beside(x, 1)):
        assert not matrix.can_shift
        with pytest.raises(ValueError, match="cannot be shifted"):
            matrix.reader(3, np.zeros(2))


def test_columns_side_by_side_have_the_same_rows() -> None:
    with pytest.raises(ValueError, match="as many rows"):
        Beside(Dense(np.zeros((3, 1))), sparse(np.zeros((2, 1))))
    with pytest.raises(NotImplementedError, match="partly full"):
        beside(table(3, 2, 0), 1).by_columns([(0, 3)])


@pytest.mark.parametrize("kind", ["logistic", "squared", "poisson", "multinomial"])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("penalty", [L2(1e-2), L1(1e-2)])
def test_a_fit_of_sparse_rows_is_that_of_the_filled_ones(
    kind: str, standardize: bool, penalty: L1 | L2
) -> None:
    loss = LOSSES[kind]()
    x = table(700, 6, 2) + (np.arange(6) == 1)
    y = np.random.default_rng(3).integers(0, 3 if kind == "multinomial" else 2, 700).astype(float)
    fits = [
        fit(SerialWorld(), each, y, loss, penalty, standardize=standardize, n_classes=3)
        for each in (x, sparse(x), beside(x, 2))
    ]
    for other in fits[1:]:
        np.testing.assert_allclose(fits[0].coef, other.coef, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fits[0].intercept, other.intercept, rtol=1e-8, atol=1e-10)
