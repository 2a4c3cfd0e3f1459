"""Ranks that wait for one that never comes: an end, not a hang."""

from __future__ import annotations

from collections.abc import Callable

from tests.launch import Completed, Rank


def test_a_rank_that_never_starts_mpi(launch: Callable[..., Completed]) -> None:
    asleep = Rank(args=["-c", "import time; time.sleep(50)"])
    done = launch(
        2,
        ["-m", "mpi_gd", "train", "--check"],
        ranks={1: asleep},
        env={"MPI_GD_START_SECONDS": "2"},
        timeout=45,
    )
    assert done.rc != 0
    assert "in _join_all_ranks" in done.text
