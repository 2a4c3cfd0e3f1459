"""Ranks die, the others finish with the bytes of an undisturbed run: Open MPI with ULFM."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.launch import Completed, mpi_kind, mpirun

JOB = '[solver]\nkind = "lbfgs"\nmemory_length = 3\n[stop]\nmax_iter = 30\ntol = 0\n'
SAVING = "[checkpoint]\nevery_iterations = 5\n"
ULFM = ("--with-ft", "ulfm", "--mca", "btl", "tcp,self")
DYING = str(Path(__file__).parents[1] / "faults" / "dying.py")

open_mpi = pytest.mark.skipif(mpi_kind() != "openmpi", reason="MPICH's wheel has no ULFM")


def survive(workplace: Any, n: int, dying: str, *more: str) -> Completed:
    """Train under ULFM while ranks die as `dying` says."""
    return mpirun(
        n,
        [DYING, dying, "train", "job.toml", "--out", "run", *more],
        options=ULFM,
        cwd=workplace.folder,
        timeout=100,
    )


@pytest.fixture
def job(workplace: Any) -> bytes:
    """Write the job; return the model of an undisturbed run."""
    workplace.job(JOB + SAVING, data="test_fraction = 0.3")
    path = workplace.folder / "job.toml"
    path.write_text('fault_tolerance = "continue"\n' + path.read_text())
    done = mpirun(1, ["-m", "mpi_gd", "train", "job.toml", "--out", "whole"], cwd=workplace.folder)
    assert done.rc == 0, done.text
    return bytes(workplace.model("whole"))


@open_mpi
@pytest.mark.parametrize(
    ("n", "dying"),
    [
        (4, "question:1:0:late"),
        (3, "read:1:1:now"),
        (4, "save:3:0:now"),
        (4, "question:5:1:now,question:9:0:late,question:20:3:now"),
        (4, "question:7:0:now,recover:1:1:now"),
        (2, "question:31:1:late"),
    ],
)
def test_the_others_finish_with_the_same_bytes(
    n: int, dying: str, job: bytes, workplace: Any
) -> None:
    done = survive(workplace, n, dying)
    assert "Traceback" not in done.text, done.text
    assert not done.orphans
    assert workplace.model("run") == job, done.text
    run = workplace.folder / "run"
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == list(range(31))
    n_lost = len(set(re.findall(r"rank \d+ \(host [^)]*process \d+\)", done.err)))
    assert n_lost == len({wish.split(":")[2] for wish in dying.split(",")})
    assert json.loads((run / "summary.json").read_text())["ranks"] == n - n_lost


@open_mpi
def test_without_the_key_a_loss_ends_the_run(job: bytes, workplace: Any) -> None:
    done = survive(workplace, 3, "question:12:2:now", "--set", "fault_tolerance=stop")
    assert "lost rank 2" in done.err
    assert "Traceback" not in done.text
    assert not done.orphans
    assert not (workplace.folder / "run" / "model.npz").exists()
    again = mpirun(
        2,
        ["-m", "mpi_gd", "train", "job.toml", "--out", "run", "--resume"],
        options=ULFM,
        cwd=workplace.folder,
    )
    assert again.rc == 0, again.text
    assert workplace.model("run") == job


def test_a_launcher_that_takes_all_along_is_refused(job: bytes, workplace: Any) -> None:
    done = mpirun(2, ["-m", "mpi_gd", "train", "job.toml"], cwd=workplace.folder)
    assert done.rc == 2
    assert "--with-ft ulfm" in done.err
    assert done.err.count("mpi_gd: error") == 1


@open_mpi
@pytest.mark.parametrize("ranks", ["{0}", "{2}", "{0, 1, 2}"])
def test_a_defect_is_not_survived(ranks: str, job: bytes, workplace: Any) -> None:
    """An exception that nothing caught ends all ranks, though they could live on without it."""
    script = workplace.folder / "raising.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from mpi_gd.objective import Objective

        answer, asked = Objective.answer, 0

        def raising(self, question, votes=None):
            global asked
            asked += 1
            if asked == 4 and self._world.rank in {ranks}:
                raise RuntimeError("boom")
            return answer(self, question, votes)

        Objective.answer = raising
        from mpi_gd.__main__ import main
        sys.exit(main())
        """)
    )
    done = mpirun(
        3,
        [str(script), "train", "job.toml", "--out", "run"],
        options=ULFM,
        cwd=workplace.folder,
        timeout=60,
    )
    assert done.err.count("boom") >= 1
    assert not done.orphans
    assert not (workplace.folder / "run" / "model.npz").exists()
