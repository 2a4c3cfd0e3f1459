"""Arguments of `slurm`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mpi_gd.options.fields import JOB, SET_JOB

__all__ = ["SlurmOptions"]


@dataclass(frozen=True)
class SlurmOptions:
    """Write a Slurm batch script for a job, sized from its data; submit it if asked."""

    command: ClassVar[str] = "slurm"
    needs_world: ClassVar[bool] = False
    examples: ClassVar[str] = """\
  python -m mpi_gd slurm JOB.toml --nodes 4 --time 2:00:00 --script job.sbatch
  python -m mpi_gd slurm JOB.toml --nodes 4 --partition short --preemptible --submit
"""

    job: str = field(metadata=JOB)
    overrides: tuple[str, ...] = field(default=(), metadata=SET_JOB)
    out: str = field(
        default="",
        metadata={
            "metavar": "FOLDER",
            "group": "the job",
            "help": "the run's folder (default: runs/NAME)",
        },
    )
    nodes: int = field(
        default=1,
        metadata={
            "metavar": "N",
            "group": "the allocation",
            "help": "nodes (default: 1)",
        },
    )
    time: str = field(
        default="1:00:00",
        metadata={
            "metavar": "H:MM:SS",
            "group": "the allocation",
            "help": "time limit, [DAYS-]H:MM:SS (default: 1:00:00)",
        },
    )
    ranks_per_node: int = field(
        default=0,
        metadata={
            "flag": "--ranks-per-node",
            "metavar": "R",
            "group": "the allocation",
            "help": "ranks on each node (default: its cores by sinfo, else 8)",
        },
    )
    threads: int = field(
        default=1,
        metadata={
            "metavar": "T",
            "group": "the allocation",
            "help": "threads of each rank (default: 1)",
        },
    )
    mem: str = field(
        default="",
        metadata={
            "metavar": "SIZE",
            "group": "the allocation",
            "help": "memory of each node, as in 8G (default: by the data)",
        },
    )
    partition: str = field(
        default="",
        metadata={
            "metavar": "NAME",
            "group": "the allocation",
            "help": "the partition",
        },
    )
    account: str = field(
        default="",
        metadata={
            "metavar": "NAME",
            "group": "the allocation",
            "help": "the account",
        },
    )
    preemptible: bool = field(
        default=False,
        metadata={
            "group": "the allocation",
            "help": "go on after preemption, time limits and crashes",
        },
    )
    launcher: Literal["mpirun", "srun"] = field(
        default="mpirun",
        metadata={
            "group": "the allocation",
            "help": "what starts the ranks (default: mpirun, which asks "
            "Slurm for the nodes; srun must fit the MPI)",
        },
    )
    script: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "write the script here (default: print it)",
        },
    )
    submit: bool = field(
        default=False,
        metadata={
            "group": "output",
            "help": "give it to sbatch",
        },
    )

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("threads", 1), ("ranks_per_node", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must be 1 or more, got {getattr(self, name)}")
        # They stand in the script as they are.
        for name, pattern, wanted in (
            ("time", r"([0-9]+-)?[0-9]+:[0-5][0-9]:[0-5][0-9]", "H:MM:SS"),
            ("mem", r"([0-9]+[KMGT]?)?", "a size as 8G"),
            ("partition", r"[\w.,+-]*", "a name"),
            ("account", r"[\w.,+-]*", "a name"),
        ):
            if not re.fullmatch(pattern, getattr(self, name), re.ASCII):
                raise ValueError(f"--{name}: got {getattr(self, name)!r}, expected {wanted}")
