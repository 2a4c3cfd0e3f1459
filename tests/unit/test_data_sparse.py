"""Sparse archives are read by rows, and what is no sparse matrix is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from mpi_gd.data import DataSpec, open_source
from mpi_gd.errors import DataError, JobError

RNG = np.random.default_rng(4)
X = scipy.sparse.random(50, 8, density=0.2, format="csr", rng=np.random.default_rng(1))
Y = RNG.integers(0, 2, 50).astype(np.float64)


def parts(**changed: Any) -> dict[str, Any]:
    """Return the arrays of a good archive, some of them changed; None leaves one out."""
    found = {
        "data": X.data,
        "indices": X.indices,
        "indptr": X.indptr,
        "format": np.array(b"csr"),
        "shape": np.array(X.shape),
        "y": Y,
        **changed,
    }
    return {name: value for name, value in found.items() if value is not None}


def read(path: Path, **keys: Any) -> list[Any]:
    """Return all rows, read in three parts."""
    source = open_source(DataSpec(path=path.name, **keys), path.parent)
    source.settle(source.survey(0, 1))
    n = source.n_samples
    return [source.read(a, b) for a, b in ((0, n // 3), (n // 3, n // 2), (n // 2, n))]


@pytest.mark.parametrize("compressed", [False, True])
def test_rows_are_those_that_scipy_saved(tmp_path: Path, compressed: bool) -> None:
    scipy.sparse.save_npz(tmp_path / "x.npz", X, compressed=compressed)
    np.save(tmp_path / "y.npy", Y)
    blocks = read(tmp_path / "x.npz", target="y.npy")
    dense = np.vstack([block.x.reader(50).block(0, len(block.x)).dense() for block in blocks])
    np.testing.assert_array_equal(dense, X.toarray())
    np.testing.assert_array_equal(np.concatenate([block.y for block in blocks]), Y)


def test_target_weight_and_names_in_the_archive(tmp_path: Path) -> None:
    names = [f"word {j}" for j in range(8)]
    np.savez(tmp_path / "x.npz", **parts(columns=names, w=np.arange(50.0)))
    blocks = read(tmp_path / "x.npz", weight="w")
    np.testing.assert_array_equal(
        np.concatenate([block.extras["weight"] for block in blocks]), np.arange(50.0)
    )
    source = open_source(DataSpec(path="x.npz"), tmp_path)
    assert source.columns == tuple(names)
    assert (source.n_samples, source.n_features, source.n_stored) == (50, 8, X.nnz)


def test_prediction_needs_no_target(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **parts(y=None))
    source = open_source(DataSpec(path="x.npz"), tmp_path, purpose="predict")
    assert np.isnan(source.read(3, 5).y).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": np.array(b"csc")}, "of the format 'csc', expected csr; save it again"),
        ({"format": np.array(3)}, "expected text"),
        ({"format": None}, "without the array 'format'"),
        ({"shape": np.array([50, 8, 2])}, "expected the two numbers"),
        ({"shape": np.array([0, 8])}, "got 0 rows"),
        ({"shape": np.array([50, 1 << 40])}, "at most"),
        ({"shape": np.array([49, 8])}, "'indptr'.* got 51 numbers, expected 50"),
        ({"indices": X.indices[:-1]}, "'indices'.* got .* numbers, expected"),
        ({"data": X.data.astype(complex)}, "array 'data'"),
        ({"indices": X.indices.astype(float)}, "expected whole numbers"),
        ({"shape": np.array([50, 3])}, r"row \d+: got the column \d, expected 0 to 2"),
        ({"indices": X.indices - 1}, r"row \d+: got the column -1"),
        ({"indptr": X.indptr[::-1].copy()}, "it falls after row"),
        ({"indptr": np.maximum(X.indptr, 1)}, "expected them within 0"),
        ({"indptr": np.minimum(X.indptr, X.nnz - 1)}, "expected them within 0"),
        ({"y": Y[:-1]}, "got 49 rows, expected 50"),
        ({"y": None}, "no array is called 'y'"),
    ],
)
def test_what_is_no_sparse_matrix(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "x.npz", **parts(**changed))
    with pytest.raises((DataError, JobError), match=message):
        read(tmp_path / "x.npz")


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "x.npz", X)
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"x\.npz"):
        read(tmp_path / "x.npz", target="y.npy")
