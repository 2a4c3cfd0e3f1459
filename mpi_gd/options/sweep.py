"""Arguments of `sweep`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["SweepOptions"]


@dataclass(frozen=True)
class SweepOptions:
    """Try a solver's step on a few batches, from too short to too long, and suggest one."""

    command: ClassVar[str] = "sweep"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd sweep JOB.toml --set solver.kind=sgd
  python -m mpi_gd sweep JOB.toml --set solver.kind=adam --steps 200 --out adam.json

For sgd, adagrad, adam, svrg and local-sgd. The step grows by the same factor from batch to batch,
until the loss diverges, seen on the same 8192 rows each time, as a running median of five.
Good steps are those at which nine tenths of the loss's largest fall are there, before the loss does
nothing but rise; suggested is half the geometric mean of the shortest and the longest good one; for
adagrad, whose steps shrink the longer it trains, the longest. It is the same on any number of
ranks. Nothing is trained. The file has the loss of every step; where matplotlib is installed, a
plot (.svg) is beside it.
"""

    job: str = field(
        metadata={"flag": "", "metavar": "JOB.toml", "group": "the job", "help": "the job file"}
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "the job",
            "help": "change a key of the job, as in solver.kind=sgd; may come several times",
        },
    )
    steps: int = field(
        default=100,
        metadata={
            "metavar": "N",
            "group": "the sweep",
            "help": "how many steps, and so batches (default: 100)",
        },
    )
    low: float = field(
        default=0.0,
        metadata={
            "metavar": "STEP",
            "group": "the sweep",
            "help": "the first step (default: a thousandth of what the solver would choose)",
        },
    )
    high: float = field(
        default=0.0,
        metadata={
            "metavar": "STEP",
            "group": "the sweep",
            "help": "the last step (default: a thousand times what the solver would choose)",
        },
    )
    out: str = field(
        default="sweep.csv",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "the .csv or .json file to write (default: sweep.csv)",
        },
    )

    def __post_init__(self) -> None:
        if self.steps < 10:
            raise ValueError(f"--steps must be 10 or more, got {self.steps}")
        for name in ("low", "high"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"--{name} must be a positive number, got {value}")
        if self.low and self.high and self.low >= self.high:
            raise ValueError(f"--low must be below --high, got {self.low} and {self.high}")
        if not self.out.endswith((".csv", ".json")):
            raise ValueError(f"--out must end in .csv or .json, got {self.out!r}")
