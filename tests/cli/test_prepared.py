"""Columns that become features, in the whole program: the same bytes, and one message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

JOB = """
[data]
path = "x.npz"
[prepare]
categorical = ["x1", "x2"]
missing = {x0 = "mean", x1 = "level"}
winsorize = {x0 = 0.01}
splines = {x3 = 5}
interactions = ["x0:x1"]
layout = "sparse"
[loss]
kind = "logistic"
[penalty]
kind = "l2"
alpha = 1e-3
"""


@pytest.fixture
def columns(workplace: Any) -> np.ndarray:
    """Write rows with gaps, and levels that few rows have; return them."""
    rng = np.random.default_rng(7)
    n = 2500
    x = np.column_stack(
        [rng.normal(size=n), rng.integers(0, 4, n), rng.zipf(1.6, n) % 97, rng.random(n)]
    )
    y = np.where(
        x[:, 0] + (x[:, 1] == 2) + np.sin(6 * x[:, 3]) + rng.logistic(size=n) > 1, 1.0, 0.0
    )
    x[rng.random((n, 4)) < [0.05, 0.05, 0.0, 0.0]] = np.nan
    np.savez(workplace.folder / "x.npz", X=x, y=y)
    (workplace.folder / "job.toml").write_text(JOB)
    return x


@pytest.mark.one_mpi
def test_a_model_of_prepared_columns_is_the_same_on_any_number_of_ranks(
    columns: np.ndarray, workplace: Any, program: Any
) -> None:
    program(1, "train", "job.toml", "--out", "one")
    program(3, "train", "job.toml", "--out", "three")
    assert workplace.model("one") == workplace.model("three")
    np.savez(workplace.folder / "new.npz", X=columns[:400])
    for n in (1, 3):
        program(n, "predict", "one/model.npz", "new.npz", "--out", f"p{n}.csv")
    lines = (workplace.folder / "p1.csv").read_text()
    assert lines == (workplace.folder / "p3.csv").read_text() and len(lines.splitlines()) == 401


@pytest.mark.one_mpi
def test_a_level_that_the_training_did_not_have_is_one_error(
    columns: np.ndarray, workplace: Any, program: Any
) -> None:
    program(1, "train", "job.toml", "--out", "one")
    columns[[7, 2000], 2] = 1234.0
    np.savez(workplace.folder / "new.npz", X=columns)
    for n in (1, 3):
        done = program(n, "predict", "one/model.npz", "new.npz")
        assert done.rc == 2
        message = "row 7, column 'x2': 2 rows have levels that the training did not have"
        assert done.err.count(message) == 1 and "'1234'" in done.err
