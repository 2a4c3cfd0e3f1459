"""Arguments of `train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

__all__ = ["TrainOptions"]


@dataclass(frozen=True)
class TrainOptions:
    """Train a model as a job file says."""

    command: ClassVar[str] = "train"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd train JOB.toml
  mpirun -n 8 python -m mpi_gd train JOB.toml --set solver.kind=gd --set solver.step=0.1
  mpirun -n 4 python -m mpi_gd train JOB.toml --resume
  python -m mpi_gd train JOB.toml --set data.path=more.csv --check
"""

    job: str = field(
        default="",
        metadata={
            "flag": "",
            "metavar": "JOB.toml",
            "group": "the job",
            "help": "the job file; without one: the job that the package carries",
        },
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "the job",
            "help": "change a key of the job, as in solver.step=0.1; may come several times",
        },
    )
    out: str = field(
        default="",
        metadata={
            "metavar": "FOLDER",
            "group": "the run",
            "help": "the run's folder (default: runs/NAME by the job's name, or runs/NAME-2 ...)",
        },
    )
    resume: bool = field(
        default=False,
        metadata={
            "group": "the run",
            "help": "go on from the newest checkpoint in the folder, on any number of ranks",
        },
    )
    check: bool = field(
        default=False,
        metadata={"group": "the run", "help": "read and check the job and its data, then stop"},
    )
    force: bool = field(
        default=False,
        metadata={"group": "the run", "help": "replace the run that is in the folder"},
    )
    progress: Literal["auto", "live", "lines", "none"] = field(
        default="auto",
        metadata={
            "group": "the run",
            "help": 'a live line, log lines or nothing; "auto" is live on a terminal, else lines '
            "(default: auto)",
        },
    )

    def __post_init__(self) -> None:
        if self.resume and self.force:
            raise ValueError("got --resume and --force, expected one: go on with a run or replace")
