"""A slow rank loses rows to the others, and the model has the same bytes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from tests.launch import Completed

# It is a matter of what is measured, not of the MPI.
pytestmark = pytest.mark.one_mpi

# The last rank is slow: it sleeps with every tile, as if something else had its core. Nobody waits
# for it for long.
SLOW = textwrap.dedent(
    """
    import sys, time
    from mpi_gd.comm import mpi
    from mpi_gd.commands import pacing
    from mpi_gd.objective.kernel import Kernel
    from mpi_gd.__main__ import main

    plain, make = Kernel.rows, pacing.Pace
    pacing.Pace = lambda loads, cost: make(loads, min(cost, 0.02))
    is_last = mpi.MPI.COMM_WORLD.rank == mpi.MPI.COMM_WORLD.size - 1

    def rows(self, *args):
        plain(self, *args)
        time.sleep(0.006 if is_last else 0.001)

    Kernel.rows = rows
    sys.exit(main())
    """
)


def test_it_loses_rows_and_no_bit(
    workplace: Any, program: Callable[..., Completed], launch: Callable[..., Completed]
) -> None:
    job = workplace.job('[solver]\nkind = "gd"\nstep = 1e-3\n[stop]\nmax_iter = 40\ntol = 0\n')
    assert program(1, "train", job, "--out", "even").rc == 0
    arguments = ["train", job, "--set", 'slow_ranks="divide"', "--out", "slow"]
    done = launch(3, ["-c", SLOW, *arguments], cwd=workplace.folder, timeout=60)
    assert done.rc == 0, done.text
    assert "Dividing the rows anew: rank 2 at " in done.out
    assert "Going on from iteration " in done.out
    assert workplace.model("slow") == workplace.model("even")
    summary = json.loads((workplace.folder / "slow" / "summary.json").read_text())
    rows = summary["balance"]["rows"]
    # Nine tiles, three each at first.
    assert rows["min"] <= 1024 < 1536 < rows["max"]
    assert summary["iteration"] == 40
    lines = (workplace.folder / "slow" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(41))
    # A search that ends in the same training does the same.
    search = ["--set", "space.penalty.alpha=[1e-3]", "--set", "tune.split=fixed"]
    arguments = ["tune", *arguments[1:-1], "tuned", *search]
    done = launch(3, ["-c", SLOW, *arguments], cwd=workplace.folder, timeout=60)
    assert done.rc == 0, done.text
    assert "Dividing the rows anew" in done.out
    assert workplace.model("tuned") == workplace.model("even")
