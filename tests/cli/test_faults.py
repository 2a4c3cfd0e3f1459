"""Whatever goes wrong on whichever rank ends soon, in one message and a non-zero exit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.data.holdout import held_out
from tests.launch import Completed, Rank

# A hang is a failure. The limit is 5 seconds; starting 8 Pythons on 2 busy cores takes
# most of them, so that the limit here is wider.
LIMIT = 30.0


def one_error(done: Completed, rc: int = 2) -> str:
    """Return the program's one message; fail on anything else."""
    assert done.rc == rc, done.text
    assert not done.orphans
    errors = [line for line in done.err.splitlines() if line.startswith("mpi_gd: error: ")]
    assert len(errors) == 1, done.text
    assert "Traceback" not in done.text
    return errors[0]


def test_a_nan_in_one_ranks_rows(workplace: Any, program: Any) -> None:
    workplace.x[3000, 4] = np.nan
    np.save(workplace.folder / "x.npy", workplace.x)
    error = one_error(program(8, "train", workplace.job(), timeout=LIMIT))
    assert "rank 5: " in error
    assert "x.npy: row 3000, column 'x4': got nan" in error


@pytest.mark.one_mpi
def test_a_truncated_file(workplace: Any, program: Any) -> None:
    path = workplace.folder / "x.npy"
    path.write_bytes(path.read_bytes()[:-1000])
    error = one_error(program(3, "train", workplace.job(), timeout=LIMIT))
    assert "cut short" in error
    assert "rank" not in error


@pytest.mark.one_mpi
def test_a_label_that_is_none(workplace: Any, program: Any) -> None:
    workplace.label[4000] = 3
    np.save(workplace.folder / "label.npy", workplace.label)
    error = one_error(program(3, "train", workplace.job(), timeout=LIMIT))
    assert "row 4000" in error
    assert "'3'" in error


@pytest.mark.one_mpi
def test_one_label_in_the_rows_that_are_trained_on(workplace: Any, program: Any) -> None:
    """Only a held-out row has the other label: there is nothing to learn."""
    held = held_out(0, len(workplace.label), 0.3, 0)
    workplace.label[:] = -1
    workplace.label[np.flatnonzero(held)[0]] = 1
    np.save(workplace.folder / "label.npy", workplace.label)
    job = workplace.job(data="test_fraction = 0.3")
    error = one_error(program(3, "train", job, timeout=LIMIT))
    assert "all rows that are trained on have the label '-1'" in error


def test_a_file_that_one_rank_lacks(workplace: Any, program: Any) -> None:
    job = workplace.job()
    elsewhere = workplace.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job.toml").write_text(Path(job).read_text())
    one = {3: Rank(cwd=str(elsewhere))}
    error = one_error(program(8, "train", "job.toml", ranks=one, timeout=LIMIT))
    assert "rank 3: " in error
    assert "x.npy" in error


@pytest.mark.one_mpi
def test_a_rank_with_other_data(workplace: Any, program: Any) -> None:
    job = workplace.job()
    elsewhere = workplace.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job.toml").write_text(Path(job).read_text())
    np.save(elsewhere / "x.npy", workplace.x + 1)
    np.save(elsewhere / "label.npy", workplace.label)
    one = {2: Rank(cwd=str(elsewhere))}
    error = one_error(program(4, "train", "job.toml", ranks=one, timeout=LIMIT))
    assert "rank 2: the data differ from rank 0's" in error


@pytest.mark.one_mpi
def test_a_rank_with_another_job(workplace: Any, program: Any) -> None:
    args = ["-m", "mpi_gd", "train", workplace.job(), "--set", "seed=1"]
    error = one_error(program(4, "train", "job.toml", ranks={1: Rank(args=args)}, timeout=LIMIT))
    assert "rank 1: the job and the packages differ" in error


@pytest.mark.one_mpi
def test_a_job_with_a_wrong_key(workplace: Any, program: Any) -> None:
    job = workplace.job('[solver]\nkind = "lbfgs"\nmemory_lenght = 1')
    error = one_error(program(4, "train", job, timeout=LIMIT))
    assert "unknown key 'memory_lenght'" in error
    assert "did you mean 'memory_length'" in error


@pytest.mark.one_mpi
def test_a_step_that_is_too_large(workplace: Any, program: Any) -> None:
    job = workplace.job('[solver]\nkind = "gd"\nstep = 1e9', loss="squared")
    error = one_error(program(4, "train", job, timeout=LIMIT), rc=3)
    assert "not a finite number at iteration" in error
    assert "solver.step" in error


@pytest.mark.one_mpi
def test_a_run_that_is_there(workplace: Any, program: Any) -> None:
    job = workplace.job()
    assert program(2, "train", job, "--out", "run").rc == 0
    before = workplace.model("run")
    error = one_error(program(2, "train", job, "--out", "run", timeout=LIMIT))
    assert "--force" in error
    assert workplace.model("run") == before


MID_LOOP = """
    import sys
    from mpi_gd.objective import Objective

    answer, asked = Objective.answer, 0

    def raising(self, question, votes=None):
        global asked
        asked += 1
        if asked == 4 and self._world.rank in {ranks}:
            raise {error}
        return answer(self, question, votes)

    Objective.answer = raising
    from mpi_gd.__main__ import main
    sys.exit(main())
"""


@pytest.mark.parametrize(
    ("ranks", "error"),
    [
        ("{2}", "RuntimeError('boom')"),
        ("{0}", "RuntimeError('boom')"),
        ("{0, 1, 2, 3}", "RuntimeError('boom')"),
        ("{1}", "ValueError('boom')"),
    ],
)
def test_an_exception_in_mid_loop(
    ranks: str, error: str, workplace: Any, launch: Callable[..., Completed]
) -> None:
    script = workplace.folder / "raising.py"
    script.write_text(textwrap.dedent(MID_LOOP).replace("{ranks}", ranks).replace("{error}", error))
    done = launch(4, [str(script), "train", workplace.job()], cwd=workplace.folder, timeout=LIMIT)
    assert done.rc != 0
    assert not done.orphans
    assert done.err.count("Traceback") == 1, done.err
    assert "boom" in done.err


def test_a_user_error_that_one_rank_alone_has(
    workplace: Any, launch: Callable[..., Completed]
) -> None:
    """Outside a phase that is a defect: nobody may wait for the rank that leaves."""
    script = workplace.folder / "raising.py"
    text = textwrap.dedent(MID_LOOP).replace("{ranks}", "{1}")
    script.write_text(
        "from mpi_gd.errors import DataError\n" + text.replace("{error}", "DataError('alone')")
    )
    done = launch(3, [str(script), "train", workplace.job()], cwd=workplace.folder, timeout=LIMIT)
    assert done.rc != 0
    assert not done.orphans
    assert "alone" in done.err
