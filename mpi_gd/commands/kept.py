"""What each rank keeps, so that the others can go on without it: the answer to a lost rank.

A training's state is the same on all ranks, but for the last answer, which some may have heard
and others not when a rank died. So those that are left take the newest state among them, and go on
as from a checkpoint. Only a rank that heard the very last answer has no further question: its
state is of no use to the others, who are one question behind and ask it again.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi_gd.comm import World
from mpi_gd.commands.folder import RunFolder
from mpi_gd.commands.load import Loaded
from mpi_gd.model import ModelPath
from mpi_gd.trainer import Course, Ending, Outcome, Record

__all__ = ["Kept"]


@dataclass
class Kept:
    """This rank's part of a run, through all losses and new divisions of the rows."""

    is_watched: bool = False
    """Whether the ranks have begun to watch each other."""
    began: float = field(default_factory=time.monotonic)
    folder: RunFolder | None = None
    resumes: bool = False
    """Whether there was a run in the folder that is to go on."""
    has_begun: bool = False
    """Whether the folder's marker is this run's."""
    data: Loaded | None = None
    path: ModelPath | None = None
    """The models for all strengths of the penalty, once they are there; the same on all ranks."""
    outcome: Outcome | None = None
    """The training's end, on all ranks or none after `share`."""
    state: bytes = b""
    """The checkpoint to go on from, agreed on at the last loss; empty if there was none."""
    questions: int = -1
    """Questions that had been answered there."""
    record: Record | None = None
    """The last iteration's record there."""
    shares: list[int] | None = None
    """What part of the rows each rank is to have; None: all alike."""
    n_divisions: int = 0
    """How often the rows have been divided anew."""
    _course: Course | None = None
    _snapshot: Callable[[], tuple[bytes, Record | None]] | None = None

    @property
    def iteration(self) -> int:
        """Return the last one; -1 before the first."""
        return int(self._course.state.iteration) if self._course else -1

    def begin(self, course: Course, snapshot: Callable[[], tuple[bytes, Record | None]]) -> None:
        """Note a training that begins; `snapshot` returns its present state and last record."""
        self._course, self._snapshot = course, snapshot

    def hold(self) -> None:
        """Keep where the training is, which all ranks know alike, to go on with other rows."""
        if self._snapshot is None or self._course is None:
            raise RuntimeError("no training has begun")
        self.state, self.record = self._snapshot()
        self.questions = self._course.questions
        self.n_divisions += 1
        self.outcome = self._course = self._snapshot = None

    def share(self, world: World) -> None:
        """Agree on what all that are left have; collective. What it raises leaves all as it was."""
        # Those that are left have other numbers.
        self.shares = None
        # Some may not have come to its end.
        self.path = None
        mine = {
            "folder": str(self.folder.path) if self.folder else "",
            "resumes": self.resumes,
            "has_data": self.data is not None,
            "has_ended": self.outcome is not None and self.outcome.ending is not Ending.STOPPED,
            "questions": self._course.questions if self._course else self.questions,
        }
        all_ = [json.loads(text) for text in world.gather_small(json.dumps(mine))]
        knowing = [theirs for theirs in all_ if theirs["folder"]]
        if knowing:
            self.folder, self.resumes = RunFolder(Path(knowing[0]["folder"])), knowing[0]["resumes"]
        if not all(theirs["has_data"] for theirs in all_):
            self.data = None
        if not all(theirs["has_ended"] for theirs in all_):
            self._share_state(world, all_)

    def _share_state(self, world: World, all_: list[dict[str, Any]]) -> None:
        """Take the newest state of those who have not heard the last answer; collective."""
        behind = [rank for rank, theirs in enumerate(all_) if not theirs["has_ended"]]
        newest = max(behind, key=lambda rank: (all_[rank]["questions"], -rank))
        state, record = self._snapshot() if self._snapshot else (self.state, self.record)
        is_source = world.rank == newest
        state = world.bcast_bytes(state if is_source else None, newest)
        told = json.dumps(record and dataclasses.asdict(record)).encode()
        record = json.loads(world.bcast_bytes(told if is_source else None, newest))
        self.state, self.questions = state, all_[newest]["questions"]
        self.record = Record(**record) if record else None
        self.outcome = self._course = self._snapshot = None
