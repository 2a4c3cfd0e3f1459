"""Arguments of `generate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mpi_gd.options.fields import FORCE

__all__ = ["GenerateOptions"]


@dataclass(frozen=True)
class GenerateOptions:
    """Make up rows of known coefficients, and a job that trains on them."""

    command: ClassVar[str] = "generate"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd generate clicks.npz --rows 1e8 --columns 100
  mpirun -n 8 python -m mpi_gd train clicks.toml
  python -m mpi_gd generate text.npz --rows 1e6 --columns 1e6 --density 6e-5
  python -m mpi_gd generate claims.csv --loss tweedie --set loss.power=1.7 --correlation 0.5

Besides OUT there are NAME.toml, the job, and NAME-truth.json, the coefficients. The response has
the law whose likelihood the loss is. Labels of the hinge losses are on two sides of a plane: its
direction can be found. The same arguments give the same bytes on any number of ranks.
"""

    out: str = field(
        metadata={
            "flag": "",
            "metavar": "OUT",
            "group": "output",
            "help": "the file to write: .npz, .npy, .csv or .parquet",
        }
    )
    loss: str = field(
        default="logistic",
        metadata={
            "metavar": "KIND",
            "group": "the response",
            "help": "the loss it is for, one of loss.kind (default: logistic)",
        },
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "the response",
            "help": "a key of the job, as in loss.link=probit or penalty.kind=l2; may come several "
            "times",
        },
    )
    noise: float = field(
        default=1.0,
        metadata={
            "metavar": "X",
            "group": "the response",
            "help": "deviation of the noise; of amounts the root of the dispersion (default: 1)",
        },
    )
    signal: float = field(
        default=1.0,
        metadata={
            "metavar": "X",
            "group": "the response",
            "help": "deviation of the linear predictor over the rows (default: 1)",
        },
    )
    classes: int = field(
        default=3,
        metadata={
            "metavar": "K",
            "group": "the response",
            "help": "labels of the multinomial loss (default: 3)",
        },
    )
    trials: int = field(
        default=20,
        metadata={
            "metavar": "N",
            "group": "the response",
            "help": "most trials of a row with the binomial loss (default: 20)",
        },
    )
    rows: float = field(
        default=1e5, metadata={"metavar": "N", "group": "the rows", "help": "rows (default: 1e5)"}
    )
    columns: float = field(
        default=20.0,
        metadata={"metavar": "N", "group": "the rows", "help": "columns (default: 20)"},
    )
    density: float = field(
        default=1.0,
        metadata={
            "metavar": "SHARE",
            "group": "the rows",
            "help": "share of numbers that are not 0; below 1 the rows are sparse (default: 1)",
        },
    )
    correlation: float = field(
        default=0.0,
        metadata={
            "metavar": "R",
            "group": "the rows",
            "help": "of neighbouring columns (default: 0)",
        },
    )
    scales: float = field(
        default=0.0,
        metadata={
            "metavar": "DECADES",
            "group": "the rows",
            "help": "powers of ten between the smallest and the largest column (default: 0)",
        },
    )
    informative: float = field(
        default=0.0,
        metadata={
            "metavar": "N",
            "group": "the rows",
            "help": "columns that have a coefficient (default: all)",
        },
    )
    dtype: Literal["float64", "float32", "float16"] = field(
        default="float64",
        metadata={"group": "output", "help": "type of the features (default: float64)"},
    )
    seed: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "the rows",
            "help": "what all random numbers follow from (default: 0)",
        },
    )
    force: bool = field(default=False, metadata=FORCE)

    def __post_init__(self) -> None:
        for name, least in (("rows", 1), ("columns", 1), ("informative", 0)):
            value = getattr(self, name)
            if not least <= value < 2**62 or value != int(value):
                raise ValueError(f"--{name} must be a whole number, {least} or more, got {value:g}")
        for name in ("noise", "signal"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"--{name} must be above 0, got {getattr(self, name)}")
        for name, least in (("classes", 2), ("trials", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} must be {least} or more, got {getattr(self, name)}")
        if not 0 < self.density <= 1:
            raise ValueError(f"--density must be above 0, at most 1, got {self.density}")
        if not -1 < self.correlation < 1:
            raise ValueError(f"--correlation must be between -1 and 1, got {self.correlation}")
        if self.density < 1 and self.correlation:
            raise ValueError("--correlation is for dense rows; leave --density out")
        if not 0 <= self.scales <= 12:
            raise ValueError(f"--scales must be in [0, 12], got {self.scales}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"--seed must be in [0, 2**63), got {self.seed}")
