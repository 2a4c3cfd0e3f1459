"""Arguments of `forecast`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from mpi_gd.options.fields import JSON

__all__ = ["ForecastOptions"]


@dataclass(frozen=True)
class ForecastOptions:
    """Say how long an iteration would take on more nodes, from rates that were measured."""

    command: ClassVar[str] = "forecast"
    needs_world: ClassVar[bool] = False
    examples: ClassVar[str] = """\
  mpirun -n 64 python -m mpi_gd bench --out node.json               (all ranks of a node)
  mpirun -n 8 -ppn 1 python -m mpi_gd bench --out network.json      (a rank on each of 8 nodes)
  python -m mpi_gd forecast node.json --network network.json --rows 1e9 --columns 100
  python -m mpi_gd forecast node.json --latency-us 25 --gigabytes 12.5 --nodes 1,100,1000
  python -m mpi_gd forecast slurm/assumed_node.json --latency-us 2 --solver all --nodes 1,1000
"""

    machine: str = field(
        metadata={
            "flag": "",
            "metavar": "FILE",
            "group": "the cluster",
            "help": "rates of a node, by bench --out with all its ranks",
        }
    )
    network: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "the cluster",
            "help": "rates by bench --out with one rank on each of several nodes: their messages",
        },
    )
    latency_us: float = field(
        default=25.0,
        metadata={
            "flag": "--latency-us",
            "metavar": "X",
            "group": "the cluster",
            "help": "without --network: microseconds of a message between nodes (default: 25)",
        },
    )
    gigabytes: float = field(
        default=12.5,
        metadata={
            "metavar": "X",
            "group": "the cluster",
            "help": "without --network: gigabytes per second between nodes (default: 12.5)",
        },
    )
    nodes: str = field(
        default="1,2,4,8,16,32,64,128,256,512,1000",
        metadata={
            "metavar": "N,N,...",
            "group": "the cluster",
            "help": "numbers of nodes (default: 1,2,4,...,512,1000)",
        },
    )
    ranks: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "the cluster",
            "help": "ranks on each node (default: as many as were measured)",
        },
    )
    rows: float = field(
        default=1e9, metadata={"metavar": "N", "group": "the data", "help": "rows (default: 1e9)"}
    )
    columns: int = field(
        default=100,
        metadata={"metavar": "N", "group": "the data", "help": "columns (default: 100)"},
    )
    stored: float = field(
        default=0.0,
        metadata={
            "metavar": "N",
            "group": "the data",
            "help": "numbers of a sparse row (default: 0, all are stored)",
        },
    )
    outputs: int = field(
        default=1,
        metadata={
            "metavar": "N",
            "group": "the data",
            "help": "outputs: the classes of a multinomial loss (default: 1)",
        },
    )
    solver: str = field(
        default="lbfgs",
        metadata={
            "metavar": "KIND",
            "group": "the solver",
            "help": "the solver, or all (default: lbfgs)",
        },
    )
    json: bool = field(default=False, metadata=JSON)

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "outputs", "latency_us", "gigabytes"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", self.nodes):
            raise ValueError(f"--nodes must be numbers of 1 or more, by commas, got {self.nodes!r}")
