"""Arguments of `path`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["PathOptions"]


@dataclass(frozen=True)
class PathOptions:
    """Fit a model for each of many strengths of the penalty, from strong to weak."""

    command: ClassVar[str] = "path"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd path JOB.toml --n-alphas 100 --out path.npz
  python -m mpi_gd path JOB.toml --set penalty.kind=elastic-net --out path.csv

The file has, for each alpha: the objective, the mean loss, the share of the deviance that is
explained beyond the unpenalized coefficients, the coefficients that are not 0, and all of them on
the data's own scale. With the squared loss all fits come from one pass over the rows.
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
            "help": "change a key of the job, as in penalty.l1_ratio=0.9; may come several times",
        },
    )
    n_alphas: int = field(
        default=100,
        metadata={
            "flag": "--n-alphas",
            "metavar": "N",
            "group": "the path",
            "help": "how many strengths (default: 100)",
        },
    )
    eps: float = field(
        default=1e-3,
        metadata={
            "metavar": "SHARE",
            "group": "the path",
            "help": "the last alpha, as a share of the first (default: 0.001)",
        },
    )
    alpha_max: float = field(
        default=0.0,
        metadata={
            "flag": "--alpha-max",
            "metavar": "ALPHA",
            "group": "the path",
            "help": "the first alpha (default: the least for which all coefficients are 0)",
        },
    )
    out: str = field(
        default="path.npz",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "the .npz or .csv file to write (default: path.npz)",
        },
    )

    def __post_init__(self) -> None:
        if self.n_alphas < 1:
            raise ValueError(f"--n-alphas must be 1 or more, got {self.n_alphas}")
        if not 0 < self.eps < 1:
            raise ValueError(f"--eps must be in (0, 1), got {self.eps}")
        if not 0 <= self.alpha_max < float("inf"):
            raise ValueError(f"--alpha-max must be 0 or more, got {self.alpha_max}")
        if not self.out.endswith((".npz", ".csv")):
            raise ValueError(f"--out must end in .npz or .csv, got {self.out!r}")
