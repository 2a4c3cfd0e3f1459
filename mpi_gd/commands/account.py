"""The account of a training that every rank can write to, and the root alone gives."""

from __future__ import annotations

import dataclasses
import time

from mpi_gd import __version__
from mpi_gd.comm import World
from mpi_gd.commands.folder import RunFolder
from mpi_gd.commands.setup import Setup
from mpi_gd.report import Progress, Report, choose_progress, keep_metrics
from mpi_gd.trainer import Record

__all__ = ["Account"]


class Account:
    """The root's report; on the other ranks nothing."""

    def __init__(
        self,
        world: World,
        folder: RunFolder,
        setup: Setup,
        progress: Progress,
        iteration: int,
        last: Record | None = None,
    ) -> None:
        """Open the history, and drop what it has beyond `iteration`, from which to go on.

        `last` is the record of that iteration, where ranks have died since.
        """
        self._report: Report | None = None
        self.began = time.monotonic()
        self.last = last
        with world.phase("opening the history", by_root=True):
            if world.is_root:
                told = dataclasses.asdict(last) if last else None
                keep_metrics(folder.metrics, iteration, told)
                # A root that may die, while the others go on, keeps nothing back.
                pause = 0.0 if setup.job.fault_tolerance == "continue" else 1.0
                shown = choose_progress(progress)
                self._report = Report(folder.metrics, shown, setup.job.stop.tol, pause)
        ranks = "1 rank" if world.size == 1 else f"{world.size} ranks"
        self.say(f"mpi_gd {__version__} on {ranks}: {setup.summary}")
        for remark in setup.remarks:
            self.say(remark)
        if n_streaming := setup.data.n_streaming:
            who = "" if n_streaming == world.size else f"{n_streaming} of the ranks: "
            self.say(f"{who}Rows are streamed from disk, a few MiB at a time.")
        n_busy = min(setup.data.grid.n_workers, setup.data.grid.n_tiles)
        if 0 < n_busy < world.size:
            self.say(
                f"{world.size - n_busy} of the ranks have no rows: there are {n_busy} workers."
            )
        elif uneven := setup.data.division.remark():
            self.say(uneven)

    def say(self, text: str) -> None:
        """Print a line."""
        if self._report:
            self._report.say(text)

    def step(self, record: Record) -> None:
        """Note an iteration."""
        self.last = record
        if self._report:
            self._report.step(record.__dict__)

    def flush(self) -> None:
        """Write what the history has so far."""
        if self._report:
            self._report.flush()

    def close(self) -> None:
        """Close the history."""
        if self._report:
            self._report.close(None if self.last is None else self.last.__dict__)
