"""Arguments of `predict`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mpi_gd.options.fields import ALPHA, DATA, MODEL, NO_ALPHA, SET_DATA, require_alpha

__all__ = ["PredictOptions"]


@dataclass(frozen=True)
class PredictOptions:
    """Write a model's predictions for a data file, a line for each row."""

    command: ClassVar[str] = "predict"
    needs_world: ClassVar[bool] = True
    examples: ClassVar[str] = """\
  python -m mpi_gd predict runs/train/model.npz new.csv
  mpirun -n 8 python -m mpi_gd predict model.npz new.csv --set header=no --out new-y.csv
"""

    model: str = field(metadata=MODEL)
    data: str = field(metadata=DATA)
    out: str = field(
        default="predictions.csv",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "the CSV file to write (default: predictions.csv)",
        },
    )
    overrides: tuple[str, ...] = field(default=(), metadata=SET_DATA)
    alpha: float = field(default=NO_ALPHA, metadata=ALPHA)

    def __post_init__(self) -> None:
        require_alpha(self.alpha)
