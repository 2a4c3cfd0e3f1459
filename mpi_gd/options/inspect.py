"""Arguments of `inspect`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mpi_gd.options.fields import JSON

__all__ = ["InspectOptions"]


@dataclass(frozen=True)
class InspectOptions:
    """Say what data hold: columns, ranges, missing values, memory, and what to do about them."""

    command: ClassVar[str] = "inspect"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  python -m mpi_gd inspect clicks.csv --set target=clicked
  mpirun -n 8 python -m mpi_gd inspect JOB.toml --ranks 64
  mpirun -n 8 python -m mpi_gd inspect data/ --machine node.json --json

All rows are read, by all ranks together; the figures are the same on any number of ranks. Of text
the most frequent levels are counted, up to 10,000 different ones.
"""

    source: str = field(
        metadata={
            "flag": "",
            "metavar": "DATA",
            "group": "input",
            "help": "a data file, a folder or a pattern, or a job file (.toml) for its [data]",
        }
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "input",
            "help": "how to read it, as in target=price: a key of a job's table [data]; may come "
            "several times",
        },
    )
    ranks: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "the training",
            "help": "ranks to plan for (default: those that run this)",
        },
    )
    machine: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "the training",
            "help": "rates by bench --out, for the time of a pass (default: a rule)",
        },
    )
    all: bool = field(
        default=False,
        metadata={"group": "output", "help": "show all columns, not only the first 50"},
    )
    json: bool = field(default=False, metadata=JSON)

    def __post_init__(self) -> None:
        if self.ranks < 0:
            raise ValueError(f"--ranks must be 1 or more, got {self.ranks}")
