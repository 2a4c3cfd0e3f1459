"""Arguments of `collect`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["CollectOptions"]


@dataclass(frozen=True)
class CollectOptions:
    """Compare the results of several runs, the best first."""

    command: ClassVar[str] = "collect"
    needs_world: ClassVar[bool] = False
    examples: ClassVar[str] = """\
  python -m mpi_gd collect runs/grid/*
  python -m mpi_gd collect --by auc --out grid.csv runs/grid/*
"""

    folders: tuple[str, ...] = field(
        metadata={
            "flag": "",
            "metavar": "FOLDER",
            "group": "input",
            "help": "folders of runs, after the options",
        },
    )
    by: str = field(
        default="",
        metadata={
            "metavar": "SCORE",
            "group": "output",
            "help": "the score to sort by (default: log_loss, deviance or rmse of the rows held "
            "out, else the objective)",
        },
    )
    out: str = field(
        default="",
        metadata={"metavar": "FILE", "group": "output", "help": "write the table as CSV, too"},
    )
