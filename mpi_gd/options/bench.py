"""Arguments of `bench`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mpi_gd.options.fields import JSON

__all__ = ["BenchOptions"]


@dataclass(frozen=True)
class BenchOptions:
    """Measure this machine and the program on random data."""

    command: ClassVar[str] = "bench"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 2 python -m mpi_gd bench
  mpirun -n 2 python -m mpi_gd bench --rows 4000000 --columns 30 --dtype float32
  mpirun -n 64 python -m mpi_gd bench --out node.json
"""

    rows: int = field(
        default=2_000_000,
        metadata={"metavar": "N", "group": "the data", "help": "rows in all (default: 2000000)"},
    )
    columns: int = field(
        default=100,
        metadata={"metavar": "N", "group": "the data", "help": "columns (default: 100)"},
    )
    dtype: Literal["float64", "float32"] = field(
        default="float64",
        metadata={"group": "the data", "help": "type of the numbers (default: float64)"},
    )
    loss: str = field(
        default="logistic",
        metadata={"metavar": "KIND", "group": "the data", "help": "the loss (default: logistic)"},
    )
    repeat: int = field(
        default=7,
        metadata={"metavar": "N", "group": "output", "help": "times to measure (default: 7)"},
    )
    json: bool = field(default=False, metadata=JSON)
    out: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "measure the rates that `forecast` works with, too, and write them",
        },
    )

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "repeat"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
