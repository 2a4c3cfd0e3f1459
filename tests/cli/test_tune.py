"""Searches as programs: killed and gone on with, in groups of ranks, to the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

from tests.launch import mpirun_command
from tests.running import Running

STEPS = (
    '[solver]\nkind = "gd"\n[stop]\nmax_iter = 250\ntol = 0\n[tune]\nfolds = 2\n[space]\n'
    '"solver.step" = [0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15]\n'
)


def lines(workplace: Any, out: str = "run") -> list[str]:
    """Return the records of finished candidates; the last line may be cut."""
    path = workplace.folder / out / "candidates.jsonl"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def interrupted(workplace: Any, job: str, number: int) -> str:
    """Search until one candidate more is finished and the signal ends it; return the state."""
    command = [*mpirun_command(2), sys.executable, "-m", "mpi_gd", "tune", job, "--out", "run"]
    before = len(lines(workplace))
    started = Running([*command, "--resume"], workplace.folder)
    started.until(lambda: len(lines(workplace)) > before)
    # A launcher may end one as soon as it misses the other.
    for pid in [started.rank(rank) for rank in (0, 1)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    started.wait()
    started.kill()
    return str(json.loads((workplace.folder / "run" / "status.json").read_text())["state"])


def test_a_search_goes_on_where_it_was(workplace: Any, program: Any) -> None:
    job = workplace.job(STEPS)
    assert interrupted(workplace, job, signal.SIGKILL) == "running"
    assert interrupted(workplace, job, signal.SIGUSR1) == "stopped"
    before = [json.loads(line) for line in lines(workplace)]
    assert len(before) < 8
    done = program(3, "tune", job, "--out", "run", "--resume")
    assert done.rc == 0, done.text
    after = [json.loads(line) for line in lines(workplace)]
    # What was finished stands as it stood, and nothing comes twice.
    assert after[: len(before)] == before
    assert len({record["key"] for record in after}) == len(after) == 8
    assert program(1, "tune", job, "--out", "whole").rc == 0
    for name in ("results.csv", "model.npz"):
        run, whole = (workplace.folder / out / name for out in ("run", "whole"))
        assert run.read_bytes() == whole.read_bytes()


def test_groups_make_no_difference(workplace: Any, program: Any) -> None:
    job = workplace.job("[tune]\nfolds = 2\n[space]\npenalty.alpha = [1, 1e-2]\n")
    more = ["--set", 'space.solver.kind=["newton", "auto"]']
    tables = []
    for ranks, groups in ((1, 0), (4, 0), (3, 2)):
        out = f"run{ranks}{groups}"
        done = program(ranks, "tune", job, "--out", out, "--set", f"tune.groups={groups}", *more)
        assert done.rc == 0, done.text
        tables.append((workplace.folder / out / "results.csv").read_bytes())
        tables.append(workplace.model(out))
    assert len(set(tables)) == 2


def test_an_error_in_a_group_is_one_message(workplace: Any, program: Any) -> None:
    job = workplace.job('[tune]\nfolds = 3\n[space]\n"data.dtype" = ["float64", "float32"]\n')
    (workplace.folder / "job.toml").write_text(
        (workplace.folder / "job.toml").read_text().replace("folds = 3", "folds = 900")
    )
    done = program(3, "tune", job, "--set", "tune.split=grouped")
    assert done.rc == 2 and done.err.count("mpi_gd: error:") == 1, done.text
    assert "data.cluster" in done.err and not done.orphans
