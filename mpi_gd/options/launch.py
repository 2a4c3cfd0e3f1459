"""Arguments of `launch`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["LaunchOptions"]


@dataclass(frozen=True)
class LaunchOptions:
    """Run a command under mpirun, stop it with a checkpoint, start it again after a crash."""

    command: ClassVar[str] = "launch"
    needs_world: ClassVar[bool] = False
    examples: ClassVar[str] = """\
  python -m mpi_gd launch train JOB.toml
  python -m mpi_gd launch --ranks 8 --max-restarts 3 train JOB.toml --out runs/first
  python -m mpi_gd launch --mpirun "mpirun --hostfile hosts" --ranks 64 train JOB.toml
  python -m mpi_gd launch --mpirun "srun --mpi=pmi2" --requeue train JOB.toml --out runs/first
"""

    words: tuple[str, ...] = field(
        metadata={
            "flag": "",
            "metavar": "COMMAND",
            "group": "what to run",
            "help": "train, predict, evaluate or bench, and its arguments",
        },
    )
    ranks: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "how to run it",
            "help": "ranks to start (default: as many as the Slurm job has tasks, else as there "
            "are cores here)",
        },
    )
    max_restarts: int = field(
        default=0,
        metadata={
            "flag": "--max-restarts",
            "metavar": "K",
            "group": "how to run it",
            "help": "times to start a training again, with --resume, after a crash; with "
            "--requeue: after crashes since the last new checkpoint (default: 0)",
        },
    )
    mpirun: str = field(
        default="",
        metadata={
            "metavar": "COMMAND",
            "group": "how to run it",
            "help": "what starts the ranks, with its options but for -n (default: the mpirun "
            "beside this Python, else the first one on PATH)",
        },
    )
    grace: float = field(
        default=60.0,
        metadata={
            "metavar": "SECONDS",
            "group": "how to run it",
            "help": "from the signal to stop until all is ended by force (default: 60)",
        },
    )

    requeue: bool = field(
        default=False,
        metadata={
            "group": "how to run it",
            "help": "in a Slurm job's batch script: put the job back into the queue when the "
            "training was stopped by USR1 or the time limit, or has crashed",
        },
    )

    def __post_init__(self) -> None:
        if self.ranks < 0:
            raise ValueError(f"--ranks must be 1 or more, got {self.ranks}")
        if self.max_restarts < 0:
            raise ValueError(f"--max-restarts must be 0 or more, got {self.max_restarts}")
        if not 0 <= self.grace < float("inf"):
            raise ValueError(f"--grace must be 0 seconds or more, got {self.grace}")
