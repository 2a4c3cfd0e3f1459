"""Arguments of `convert`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mpi_gd.options.fields import FORCE

__all__ = ["ConvertOptions"]


@dataclass(frozen=True)
class ConvertOptions:
    """Write data in another format, the numbers, names and the order of rows kept."""

    command: ClassVar[str] = "convert"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd convert clicks.csv clicks.npz --set target=clicked
  mpirun -n 8 python -m mpi_gd convert JOB.toml features.npz        (with [prepare]: the features)
  mpirun -n 8 python -m mpi_gd convert big.npz shards/ --shards 64 --format parquet

formats, by the suffix of DST:
  .npz      X, y and the rest in one archive, not compressed: the trainer maps it; sparse rows stay
            sparse, as scipy.sparse.save_npz has them
  .npy      X in DST, y and the rest beside it, as in x.npy, x-y.npy, x-weight.npy
  .csv      a header, the features, the rest, the target in the last column
  .parquet  the same columns; one file is written by one rank, shards by all
  The bytes do not depend on the number of ranks.
"""

    source: str = field(
        metadata={
            "flag": "",
            "metavar": "SRC",
            "group": "input",
            "help": "a data file, or a job file (.toml): what its [data] and [prepare] make",
        }
    )
    destination: str = field(
        metadata={
            "flag": "",
            "metavar": "DST",
            "group": "output",
            "help": "the file to write, or with --shards a new folder",
        }
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "input",
            "help": "how to read SRC, as in target=price or prepare.categorical=auto: a key of a "
            "job's tables [data] or [prepare]; may come several times",
        },
    )
    dtype: Literal["auto", "float64", "float32", "float16"] = field(
        default="auto",
        metadata={"group": "output", "help": "type of the features (default: that of SRC)"},
    )
    shards: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "output",
            "help": "write N files of about as many rows each into the folder DST",
        },
    )
    format: Literal["auto", "npz", "csv", "parquet"] = field(
        default="auto",
        metadata={
            "group": "output",
            "help": "of the files of a folder (default: parquet for columns, npz for sparse rows)",
        },
    )
    force: bool = field(default=False, metadata=FORCE)

    def __post_init__(self) -> None:
        if self.shards < 0:
            raise ValueError(f"--shards must be 1 or more, got {self.shards}")
        if self.format != "auto" and not self.shards:
            raise ValueError("--format is for the files of a folder; give --shards N, too")
