"""Arguments of `train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mpi_gd.options.fields import CHECK, JOB, PROGRESS, REPLACE, RUN_FOLDER, SET_JOB

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
        metadata={**JOB, "help": "the job file; without one: the job that the package carries"},
    )
    overrides: tuple[str, ...] = field(default=(), metadata=SET_JOB)
    out: str = field(default="", metadata=RUN_FOLDER)
    resume: bool = field(
        default=False,
        metadata={
            "group": "the run",
            "help": "go on from the newest checkpoint in the folder, on any number of ranks",
        },
    )
    check: bool = field(default=False, metadata=CHECK)
    force: bool = field(default=False, metadata=REPLACE)
    progress: Literal["auto", "live", "lines", "none"] = field(default="auto", metadata=PROGRESS)

    def __post_init__(self) -> None:
        if self.resume and self.force:
            raise ValueError("got --resume and --force, expected one: go on with a run or replace")
