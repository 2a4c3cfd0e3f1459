"""Sparse rows so wide that their message goes out in pieces: most columns have no number at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpi_gd.data.grid import BY_COLUMN
from mpi_gd.model import load_model

N, WIDTH, PER_ROW = 3000, BY_COLUMN + 5001, 12


@pytest.fixture
def job(workplace: Any) -> str:
    """Write the rows, columns as rare as words are, and return the job."""
    rng = np.random.default_rng(3)
    columns = np.sort((WIDTH ** rng.random((N, PER_ROW))).astype(np.int64) - 1, axis=1)
    data = np.ones(N * PER_ROW)
    y = np.where(columns.min(axis=1) % 2 + rng.normal(size=N) > 0.5, 1.0, -1.0)
    np.savez(
        workplace.folder / "wide.npz",
        data=data,
        indices=columns.reshape(-1),
        indptr=np.arange(N + 1) * PER_ROW,
        format=np.array(b"csr"),
        shape=np.array([N, WIDTH]),
        y=y,
    )
    path = workplace.folder / "wide.toml"
    path.write_text(
        '[data]\npath = "wide.npz"\n[loss]\nkind = "logistic"\n[penalty]\nkind = "l2"\n'
        'alpha = 1e-2\n[solver]\nkind = "lbfgs"\nmemory_length = 3\n'
    )
    return str(path)


def test_same_bytes_on_other_ranks_and_after_a_resume(
    job: str, workplace: Any, program: Any
) -> None:
    few = ("--set", "stop.max_iter=3")
    assert program(2, "train", job, "--out", "whole", *few).rc == 0
    late = ("--set", "stop.max_seconds=1e-9")
    stopped = program(3, "train", job, "--out", "parts", *few, *late)
    assert stopped.rc == 75, stopped.text
    done = program(1, "train", job, "--out", "parts", *few, "--resume")
    assert done.rc == 0, done.text
    assert workplace.model("parts") == workplace.model("whole")


def test_float32_messages_end_where_they_tell_no_more(
    job: str, workplace: Any, program: Any
) -> None:
    exact = program(2, "train", job, "--out", "exact", "--set", "stop.tol=1e-10")
    assert "Converged" in exact.out, exact.text
    rough = ("--set", "reduction=float32", "--set", "stop.tol=1e-10")
    done = program(3, "train", job, "--out", "rough", *rough)
    assert done.rc == 0 and "Converged" in done.out, done.text
    assert "float32 messages of 3 ranks tell gradients to 1.8e-07: stop.tol is that" in done.out
    coefs = [load_model(workplace.folder / out / "model.npz").coef for out in ("exact", "rough")]
    np.testing.assert_allclose(coefs[0], coefs[1], atol=1e-4)
