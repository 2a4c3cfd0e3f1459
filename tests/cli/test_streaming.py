"""Data ten times larger than the memory that a rank may take: the same model, or one message."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.launch import Completed

# What is read from where does not depend on the MPI.
pytestmark = pytest.mark.one_mpi

N, D = 30_000, 1000
ALLOWED = 24 << 20

# Limits the data of the process, as Linux counts them, to what the loaded program has and so much
# more: memory that is the process's own, but not maps of files.
LIMITED = textwrap.dedent(
    f"""
    import resource, sys, threading
    import numpy as np
    from mpi_gd.comm import mpi
    from mpi_gd.commands import train
    from mpi_gd.matrix import streamed
    from mpi_gd.__main__ import main

    # Of a thread's stack little is used, and all is counted.
    threading.stack_size(1 << 18)
    # BLAS takes its memory when it is first used.
    np.dot(np.ones((300, 300)), np.ones((300, 300)))
    (used,) = (line for line in open("/proc/self/status") if line.startswith("VmData"))
    limit = (int(used.split()[1]) << 10) + {ALLOWED}
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    sys.exit(main())
    """
)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Write ten times as much as is allowed; return the job."""
    rng = np.random.default_rng(2)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float64, (N, D))
    some = rng.standard_normal((1000, D))
    y = np.empty(N)
    for first in range(0, N, 1000):
        x[first : first + 1000] = np.roll(some, first // 1000, axis=1)
        y[first : first + 1000] = x[first : first + 1000, :20].sum(axis=1) + 1e-3 * first > 0
    x.flush()
    assert x.nbytes >= 9.5 * ALLOWED
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "job.toml").write_text(
        '[data]\npath = "x.npy"\ntarget = "y.npy"\n[loss]\nkind = "logistic"\n'
        '[penalty]\nkind = "l2"\nalpha = 1e-3\n[solver]\nkind = "lbfgs"\n[stop]\nmax_iter = 2\n'
    )
    return tmp_path


def test_the_same_model_in_a_tenth_of_the_memory(
    large: Path, launch: Callable[..., Completed]
) -> None:
    def train(n: int, memory: str, folder: Path = large, *, limited: bool = True) -> Completed:
        program = ["-c", LIMITED] if limited else ["-m", "mpi_gd"]
        arguments = ["train", "job.toml", "--set", f"data.memory={memory}", "--out", f"{n}{memory}"]
        return launch(n, [*program, *arguments], cwd=folder, timeout=100)

    assert train(1, "keep", limited=False).rc == 0
    model = (large / "1keep" / "model.npz").read_bytes()
    failed = train(2, "keep")
    assert failed.rc == 2
    assert "GiB of memory, more than is free" in failed.err
    done = train(3, "stream")
    assert done.rc == 0, done.text
    assert (large / "3stream" / "model.npz").read_bytes() == model
    assert "Rows are streamed from disk" in done.out
    # Column after column, the rows are put aside first; that they do not fit is found out.
    (large / "columns").mkdir()
    np.save(large / "columns" / "x.npy", np.asfortranarray(np.load(large / "x.npy")))
    for name in ("y.npy", "job.toml"):
        (large / name).rename(large / "columns" / name)
    done = train(1, "auto", large / "columns")
    assert done.rc == 0, done.text
    assert "Rows are streamed from disk" in done.out
    assert (large / "columns" / "1auto" / "model.npz").read_bytes() == model


def test_a_folder_for_rows_that_is_none(workplace: Any, program: Callable[..., Completed]) -> None:
    np.save(workplace.folder / "x.npy", np.asfortranarray(workplace.x))
    job = workplace.job(data='memory = "stream"\nscratch = "none"')
    done = program(2, "train", job)
    assert done.rc == 2
    assert done.err.count("rows that do not fit into memory cannot be put aside there") == 1
    assert "data.scratch" in done.err
